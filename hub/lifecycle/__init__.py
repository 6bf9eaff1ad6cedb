"""Which hub is active, and how one hands over to the next: lease, socket hand-over, draining of queues."""
