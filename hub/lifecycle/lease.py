"""Holds the lease of this hub: takes it, renews it, and says when it is another hub's.

A database that is away does not end a lease: commands go on without it. Another hub that holds it does.
"""

import asyncio
import contextlib
import logging
import os
import socket
from typing import Final
from uuid import UUID

from hub import clock
from hub.config.settings import Config
from hub.core.lease import RENEWALS_PER_LEASE, LeaseVerdict, LeaseWatch, Loss, lease_name, may_be_another_hub
from hub.errors import StepDown, StoreError, StoreUnavailable
from hub.metrics import Metrics
from hub.store.lease import Holder, LeaseTable

_log = logging.getLogger(__name__)

_POLL_S: Final = 0.05
"""How often a standby looks: a lease that was released is taken within it."""
_AWAY_S: Final = 0.5
_LOOK_S: Final = 0.25
"""How often the holder looks whether its session is still there."""
_RELEASE_S: Final = 2.0
_ASK_S: Final = {Loss.TAKEN_OVER: 4.0, Loss.SOON: 4.0, Loss.LATER: 0.5}
"""How long a link that was lost waits for the database to say whose the lease is."""


class HubLease:
    """The lease of one hub, from `acquire` to `release`."""

    def __init__(self, config: Config, hub: UUID, metrics: Metrics) -> None:
        mqtt = config.mqtt
        accounts = (mqtt.ingest_username, mqtt.command_username, mqtt.telemetry_username)
        machine = socket.gethostname()
        self.name = config.service.lease_name or lease_name(mqtt.host, mqtt.port, accounts, machine)
        self._hub = hub
        self._node = f"{machine}, process {os.getpid()}"[:300]
        self._lease_s = config.service.lease_s
        self._table = LeaseTable(config.dsn(), self.name, connect_timeout_s=config.database.connect_timeout_s)
        self._gauge = metrics.active
        self._gauge.set(0)
        self._away: str | None = None
        self._holder: Holder | None = None
        self._hurry = asyncio.Event()
        self._answered = asyncio.Event()
        self._renewed_ms = 0.0
        self.broker: str | None = None
        """What the broker said of its version, to this hub or to the one before."""
        self.lost = False
        """Another hub has the lease that this one had."""

    async def acquire(self, stop: asyncio.Event) -> bool:
        """Wait until this hub holds the lease; False if `stop` was set before."""
        watch = LeaseWatch(self._hub, self._lease_s)
        while not stop.is_set():
            if await self._try(watch):
                self._gauge.set(1)
                return True
            try:
                async with asyncio.timeout(_POLL_S if self._away is None else _AWAY_S):
                    await stop.wait()
            except TimeoutError:
                continue
        return False

    def know_broker(self, version: str) -> None:
        """Keep what the broker says of its version for the next hub, and for `hub doctor`."""
        self.broker = version
        self._hurry.set()

    async def keep(self) -> None:
        """Renew the lease until cancelled. Raises StepDown once another hub has it."""
        every_s = self._lease_s / RENEWALS_PER_LEASE
        while True:
            due_ms = clock.now_ms() + (every_s if self._away is None else _AWAY_S) * 1000
            while clock.now_ms() < due_ms and not self._hurry.is_set():
                if self._away is None and self._table.is_broken():
                    break
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_S):
                        await self._hurry.wait()
            self._hurry.clear()
            try:
                await self._renew()
            finally:
                self._answered.set()

    async def confirm(self, loss: Loss) -> None:
        """Make sure, after a link was lost, that no other hub has the lease; `keep` has to run beside it.

        Raises StepDown if one has it, or may have it where the database cannot be asked.
        """
        self._answered.clear()
        self._hurry.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ASK_S[loss]):
                await self._answered.wait()
        if self.lost:
            raise StepDown("another hub has the lease")
        if self._answered.is_set() and self._away is None:
            return
        if may_be_another_hub(loss, (clock.now_ms() - self._renewed_ms) / 1000, self._lease_s):
            self._step_down(
                "the broker gave this hub's session to another client, and the database cannot be asked "
                "whether that is a hub with the lease"
            )

    async def release(self) -> None:
        """Let another hub take over at once. Where the database does not answer, the lease runs out by itself."""
        self._gauge.set(0)
        try:
            async with asyncio.timeout(_RELEASE_S):
                await self._table.release(self._hub)
        except (StoreError, TimeoutError) as error:
            _log.warning("The lease runs out by itself", extra={"error": str(error)})

    async def close(self) -> None:
        """Close the connection to the database."""
        await self._table.close()

    async def check_standby(self) -> None:
        """Raise StoreUnavailable: a standby is not ready, because of the hub that is active."""
        if self._away is not None:
            raise StoreUnavailable(f"standby: the database cannot say which hub is active: {self._away}")
        if self._holder is None:
            raise StoreUnavailable("standby: no hub is active; this one takes the lease")
        raise StoreUnavailable(f"standby: {_sentence(self._holder)}")

    async def _try(self, watch: LeaseWatch) -> bool:
        asked_ms = clock.now_ms()
        try:
            standing, holder = await self._table.look()
            self.broker = self._table.broker
            verdict = watch.judge(standing, clock.now_ms())
            taken = verdict is LeaseVerdict.HOLD or (
                verdict is LeaseVerdict.TAKE
                and await self._table.take(self._hub, self._node, self._lease_s, standing)
            )
        except StoreError as error:
            # Also what the database refuses, as one that may only be read: it is waited for.
            self._lose_sight(error)
            return False
        self._away = None
        if taken:
            self._renewed_ms = asked_ms
            if self._holder is not None:
                _log.warning("This hub takes over", extra={"from": _sentence(self._holder), "lease": self.name})
            return True
        if holder is not None and (self._holder is None or self._holder.hub != holder.hub):
            _log.warning(
                "This hub waits as a standby: another hub with the same accounts at the broker is active",
                extra={"active": _sentence(holder), "lease": self.name},
            )
        self._holder = holder
        return False

    async def _renew(self) -> bool:
        """Renew the lease; False if the database is away."""
        asked_ms = clock.now_ms()
        try:
            held = await self._table.renew(self._hub, self._lease_s, self.broker)
            if not held:
                standing, self._holder = await self._table.look()
                # Nobody's: the row was deleted, or is that of a backup.
                free = standing.holder is None
                held = free and await self._table.take(self._hub, self._node, self._lease_s, standing)
        except StoreError as error:
            self._lose_sight(error)
            return False
        if not held:
            self._step_down(_sentence(self._holder) if self._holder is not None else "the lease was taken away")
        if self._away is not None:
            _log.info("The lease is renewed again")
        self._away = None
        self._renewed_ms = asked_ms
        return True

    def _lose_sight(self, error: StoreError) -> None:
        if self._away is None:
            _log.warning("The lease waits for the database", extra={"error": str(error)})
        self._away = str(error)

    def _step_down(self, why: str) -> None:
        self.lost = True
        self._gauge.set(0)
        raise StepDown(why)


def _sentence(holder: Holder) -> str:
    since = "" if holder.since is None else f" since {holder.since.isoformat(timespec='seconds')}"
    return f"hub {holder.hub} is active{since} ({holder.node})"
