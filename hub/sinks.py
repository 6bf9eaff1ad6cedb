"""Where batches go: the store first, then the books, the ledger and the receipts."""

from collections.abc import Sequence

from hub import clock
from hub.core.accounting import Accounts, Outcome
from hub.core.ledger import Ledger
from hub.errors import CursorConflict, StoreRejected
from hub.metrics import Metrics
from hub.quarantine import Quarantine
from hub.receipts import Receipts
from hub.store.rows import CommandRow, EventUnit, ReadingUnit
from hub.store.timescale import Store


class EventSink:
    """Stores ledger events; a receipt goes out only after the commit."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        accounts: Accounts,
        receipts: Receipts,
        quarantine: Quarantine,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._tally = accounts.events
        self._receipts = receipts
        self._quarantine = quarantine
        self._delay = metrics.intake_delay.labels("events")
        self._quarantined = metrics.quarantined.labels("rejected")

    async def write(self, batch: Sequence[EventUnit]) -> None:
        """Store rows and cursors in one transaction."""
        await self._store.write_events(batch)

    async def committed(self, batch: Sequence[EventUnit]) -> None:
        """Settle the batch, and send each locker one receipt."""
        self._tally.settle(Outcome.STORED, sum(unit.count for unit in batch))
        self._delay.observe(max(0, clock.wall_ms() - min(unit.received_ms for unit in batch)) / 1000)
        newest = {unit.key: unit.next_seq for unit in batch}
        for key, next_seq in newest.items():
            self._receipts.upto(key, self._ledger.committed(key, next_seq))

    async def rejected(self, unit: EventUnit, error: StoreRejected) -> None:
        """Keep the message in quarantine and let its locker's ledger go on behind it."""
        row = self._quarantine.row(unit.topic, unit.payload, "rejected", str(error), unit.received_ms)
        await self._store.skip_events(unit, row)
        self._quarantined.inc(unit.count)
        self._tally.settle(Outcome.QUARANTINED, unit.count)
        self._receipts.upto(unit.key, self._ledger.committed(unit.key, unit.next_seq))

    async def conflict(self, batch: Sequence[EventUnit], error: CursorConflict) -> Sequence[EventUnit]:
        """Find out where the ledgers stand.

        A batch whose COMMIT was answered by silence is met here again: its rows are there, so its units are
        duplicates. Units that do not follow on the database's cursor are asked for again. The rest is returned.
        """
        stands = await self._store.cursors_of(sorted(error.keys))
        writable = []
        for unit in batch:
            next_seq = stands.get(unit.key)
            if next_seq is None or next_seq == unit.first_seq:
                writable.append(unit)
                if next_seq is not None:
                    stands[unit.key] = unit.next_seq
            elif unit.next_seq <= next_seq:
                self._tally.settle(Outcome.DUPLICATE, unit.count)
                self._receipts.upto(unit.key, self._ledger.committed(unit.key, next_seq))
            else:
                self._tally.settle(Outcome.DEFERRED, unit.count)
                self._receipts.expected(unit.key, self._ledger.reset(unit.key, next_seq))
        return writable


class ReadingSink:
    """Stores telemetry."""

    def __init__(self, store: Store, accounts: Accounts, quarantine: Quarantine, metrics: Metrics) -> None:
        self._store = store
        self._tally = accounts.samples
        self._quarantine = quarantine
        self._delay = metrics.intake_delay.labels("telemetry")

    async def write(self, batch: Sequence[ReadingUnit]) -> None:
        """Store rows."""
        await self._store.write_readings(batch)

    async def committed(self, batch: Sequence[ReadingUnit]) -> None:
        """Settle the batch."""
        self._tally.settle(Outcome.STORED, sum(unit.count for unit in batch))
        self._delay.observe(max(0, clock.wall_ms() - min(unit.received_ms for unit in batch)) / 1000)

    async def rejected(self, unit: ReadingUnit, error: StoreRejected) -> None:
        """Keep the message in quarantine."""
        self._quarantine.keep(unit.topic, unit.payload, "rejected", str(error), unit.received_ms)
        self._tally.settle(Outcome.QUARANTINED, unit.count)

    async def conflict(self, batch: Sequence[ReadingUnit], error: CursorConflict) -> Sequence[ReadingUnit]:
        """Telemetry has no cursors."""
        raise AssertionError(batch) from error


class CommandSink:
    """Stores commands as they stand."""

    def __init__(self, store: Store, metrics: Metrics) -> None:
        self._store = store
        self._dropped = metrics.batch_dropped.labels("command")

    async def write(self, batch: Sequence[CommandRow]) -> None:
        """Store rows."""
        await self._store.write_commands(batch)

    async def committed(self, batch: Sequence[CommandRow]) -> None:
        """Nothing waits for it."""

    async def rejected(self, unit: CommandRow, error: StoreRejected) -> None:
        """Count it: the locker's own ledger still carries the whole command."""
        del unit, error
        self._dropped.inc()

    async def conflict(self, batch: Sequence[CommandRow], error: CursorConflict) -> Sequence[CommandRow]:
        """Commands have no cursors."""
        raise AssertionError(batch) from error
