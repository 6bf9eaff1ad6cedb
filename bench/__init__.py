"""Benchmarks on real services: what a message costs, how long a command takes. See docs/benchmarks.md."""
