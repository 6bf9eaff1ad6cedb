"""The agent on one smart locker: it reads the lock boards, keeps the ledger, and obeys the hub in time."""

from wire import __version__

__all__ = ["__version__"]
