"""Which hub sends over a channel: of all hubs at one database exactly one, which renews its right all the time.

A hub that stops gives it back. One that is gone loses it after `LEASE_S`, and another takes over. While the
database does not answer, each keeps what it had: nobody can take it from them there.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from hub import clock
from hub.errors import StoreError
from hub.store.notifications import NotificationStore

LEASE_S: Final = 15.0
RENEW_S: Final = 4.0


class ChannelLease:
    """The right to send, as this hub has it. Before the database was asked, it has all of it."""

    def __init__(self, store: NotificationStore, hub: UUID, channels: Sequence[str]) -> None:
        self.held = frozenset(channels)
        self._store = store
        self._hub = hub
        self._channels = tuple(channels)
        self._sure_until_ms = float("-inf")
        self._released = False

    async def renew(self) -> None:
        """Keep what this hub has, and take what nobody has. Raises StoreUnavailable: all is as before."""
        if not self._channels or self._released:
            return
        asked_ms = clock.now_ms()
        self.held = frozenset(await self._store.take_lease(self._channels, self._hub, LEASE_S))
        self._sure_until_ms = asked_ms + (LEASE_S - RENEW_S) * 1000

    async def may_send(self, channel: str) -> bool:
        """Say whether this hub sends over a channel now. It asks again where its answer may be too old."""
        if channel in self.held and clock.now_ms() > self._sure_until_ms:
            # It was frozen, or the database is away: then messages go out all the same, and it is asked no sooner.
            try:
                await self.renew()
            except StoreError:
                self._sure_until_ms = clock.now_ms() + RENEW_S * 1000
        return channel in self.held

    async def release(self) -> None:
        """Let another hub send at once, for good. Raises StoreUnavailable: it may after `LEASE_S`."""
        self._released = True
        if self._channels:
            await self._store.release_lease(self._hub)
