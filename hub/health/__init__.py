"""The hub's own health: readiness checks, and one picture a second of queues, rates and links."""
