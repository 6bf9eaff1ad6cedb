"""The rows of the fault matrix, a module for each group; importing this package enters them all."""

from faults.rows import broker, database, edge, forgery, hub, link, load, refusals

__all__ = ["broker", "database", "edge", "forgery", "hub", "link", "load", "refusals"]
