"""The edge agent: one per locker, between its lock boards and the hub."""
