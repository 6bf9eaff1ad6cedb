"""Everything about commands, put together: both classes, their way out, and their rows."""

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from hub import clock
from hub.commands.durable import DurableCommands
from hub.commands.instant import InstantCommands
from hub.commands.observers import CommandObservers
from hub.commands.publisher import CommandPublisher, MqttPublisher
from hub.config.fairness import message_shares
from hub.config.settings import Config
from hub.core.clocks import Clocks
from hub.core.fleet import Fleet
from hub.errors import CursorConflict, StoreRejected, StoreUnavailable
from hub.keys import CommandKey
from hub.live import Broadcaster
from hub.metrics import Metrics
from hub.mqtt.quarantine import Quarantine
from hub.mqtt.tap import MessageTap
from hub.store.commands import CommandStore, CommandUpdate, record_of_row
from hub.store.database import Database
from hub.store.queues import table_queue
from hub.tasks import Make

_log = logging.getLogger(__name__)
_REMEMBERED: Final = timedelta(days=1)


class CommandService:
    """The parts, for the composition root."""

    def __init__(
        self,
        config: Config,
        key: CommandKey,
        store: Database,
        fleet: Fleet,
        clocks: Clocks,
        live: Broadcaster,
        quarantine: Quarantine,
        tap: MessageTap,
        metrics: Metrics,
    ) -> None:
        self._remembered_max = config.commands.remembered_max
        self._settle_s = config.service.settle_s
        self.store = CommandStore(store)
        intake = config.intake
        self.rows = table_queue(
            "command", CommandSink(self.store, metrics), metrics, intake,
            rows_max=intake.command_queue_rows_max, bytes_max=intake.command_queue_bytes_max,
        )  # fmt: skip
        self._publisher = CommandPublisher(key, clocks, tap)
        observers = CommandObservers(live, metrics)
        self.instant = InstantCommands(
            config.commands, self._publisher, fleet, clocks, observers, self.rows, quarantine, metrics
        )
        self.instant.limit(message_shares(config.intake, config.intake.replies_per_s_max))
        self.durable = DurableCommands(config.commands, self.store, self._publisher, fleet, observers, metrics)
        self.instant.listen_for(self.durable)

    def use(self, link: MqttPublisher) -> None:
        """Send over this link."""
        self._publisher.use(link)

    async def load(self) -> None:
        """Take over from the hub before: what is remembered of instant commands, and durable ones under way.

        Raises StoreUnavailable.
        """
        now = clock.wall()
        since = now - _REMEMBERED
        try:
            changed = await self.store.catch_up(since)
        except StoreUnavailable as error:
            # It is for rows that a crash left behind; commands are as safe without it.
            _log.warning("Commands were not brought up to the ledger", extra={"error": str(error)})
        else:
            if changed:
                _log.info("Commands were brought up to the ledger", extra={"commands": changed})
        rows = await self.store.instant_newest(since, self._remembered_max)
        now_ms = clock.now_ms()
        self.instant.restore(record_of_row(row, now=now, now_ms=now_ms) for row in reversed(rows))
        await self.durable.load()

    def tasks(self) -> dict[str, Make]:
        """Return the tasks that go round until they are cancelled."""
        return {"dispatch.deadlines": self.instant.run, "durable": self.durable.run}

    async def settle(self, *, patient: bool = True) -> None:
        """Take no more commands, let instant ones in flight end for a while, and answer whoever waits for one.

        Not `patient`: those in flight are another hub's already.
        """
        self.durable.rest()
        await self.instant.drain(self._settle_s if patient else 0)


class CommandSink:
    """Stores commands as they stand."""

    def __init__(self, store: CommandStore, metrics: Metrics) -> None:
        self._store = store
        self._dropped = metrics.batch_dropped.labels("command")

    async def write(self, batch: Sequence[CommandUpdate]) -> None:
        """Store rows."""
        await self._store.write(batch)

    async def committed(self, batch: Sequence[CommandUpdate]) -> None:
        """Nothing waits for it."""

    async def rejected(self, unit: CommandUpdate, error: StoreRejected) -> None:
        """Count it: the locker's own ledger still carries the whole command."""
        del unit, error
        self._dropped.inc()

    async def conflict(self, batch: Sequence[CommandUpdate], error: CursorConflict) -> Sequence[CommandUpdate]:
        """Commands have no cursors."""
        raise AssertionError(batch) from error

    def kept_back(self, unit: CommandUpdate) -> None:
        """Count it, as one that is refused."""
        del unit
        self._dropped.inc()
