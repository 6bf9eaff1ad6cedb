"""Life of a hub among others: lease, socket hand-over, draining of queues."""
