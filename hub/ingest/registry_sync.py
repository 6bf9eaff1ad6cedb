"""The registry as a running hub follows it, and the front view of a new locker: doors in a grid."""

import asyncio
import logging
from collections.abc import Callable, Mapping

from hub.core.fleet import DoorSpec, Fleet
from hub.errors import StoreUnavailable
from hub.store.database import Database

_log = logging.getLogger(__name__)


class RegistrySync:
    """Keeps the fleet as the registry is: at once where this hub changed it, within `poll_s` otherwise."""

    def __init__(self, store: Database, fleet: Fleet, poll_s: float) -> None:
        self._store = store
        self._fleet = fleet
        self._poll_s = poll_s
        self._version: int | None = None
        self._reading = asyncio.Lock()
        self._tell: Callable[[bool], None] = lambda _: None

    def tell(self, changed: Callable[[bool], None]) -> None:
        """Call this after every change; with True where lockers are heard that were not before."""
        self._tell = changed

    async def refresh(self) -> None:
        """Take over what the database says now. Raises StoreUnavailable."""
        # One after the other, so that what was read before never overwrites what was read after it.
        async with self._reading:
            version = await self._store.registry_version()
            if version == self._version:
                return
            known = self._fleet.lockers.keys() - self._fleet.disabled
            self._fleet.load(await self._store.registry(), await self._store.lockers_removed())
            self._tell(bool(self._fleet.lockers.keys() - self._fleet.disabled - known))
            # Last: whatever fails before is done once more.
            self._version = version

    async def run(self) -> None:
        """Follow the registry until cancelled."""
        while True:
            await asyncio.sleep(self._poll_s)
            try:
                await self.refresh()
            except StoreUnavailable as error:
                _log.warning("The registry cannot be read; trying again", extra={"error": str(error)})


def grid(doors: int, *, columns: int = 4, sizes: Mapping[int, str] | None = None) -> tuple[DoorSpec, ...]:
    """Return `doors` doors, numbered from 1, in rows of `columns`. `sizes` by number; M where it says nothing."""
    return tuple(
        DoorSpec(
            number=number,
            label=str(number),
            size=(sizes or {}).get(number, "M"),
            row=(number - 1) // columns + 1,
            column=(number - 1) % columns + 1,
        )
        for number in range(1, doors + 1)
    )
