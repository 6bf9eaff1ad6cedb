"""What the hub and its edge agents say to each other: topics and messages, without I/O."""

__version__ = "0.1.0"
