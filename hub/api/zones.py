"""The names of time zones that a caller may give."""

import asyncio
from zoneinfo import available_timezones


class TimeZones:
    """The time zones of this machine (IANA), which take 100 ms and more to look for: once, and in a thread.

    What callers give is compared with them, and never kept.
    """

    def __init__(self) -> None:
        self._names: frozenset[str] | None = None

    async def has(self, name: str) -> bool:
        """Say whether there is such a zone. Nothing else waits for it, however many ask."""
        if self._names is None:
            self._names = frozenset(await asyncio.to_thread(available_timezones))
        return name in self._names
