"""Benchmarks against real services: what the hub costs a message, and how long a command takes. See docs/benchmarks.md."""
