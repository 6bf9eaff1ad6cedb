"""Commands to lockers: admission, instant and durable delivery, and what became of each."""
