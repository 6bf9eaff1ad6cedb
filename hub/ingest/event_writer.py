"""Writer of event batches: the store first, then the books, the ledger and the receipts."""

from collections.abc import Sequence

from hub import clock
from hub.core.accounting import Disposition, MessageAccounting
from hub.core.ledger import AlreadyStored, Fork, Gap, Ledger, Take
from hub.errors import CursorConflict, StoreRejected
from hub.failpoints import Point, reached
from hub.ingest.forks import ForkRecorder
from hub.ingest.receipts import ReceiptPublisher
from hub.metrics import Metrics
from hub.mqtt.quarantine import Quarantine, event_texts
from hub.store.ledgers import Ledgers
from hub.store.rows import EventUnit, Quarantined


class EventWriter:
    """Stores ledger events; a receipt goes out only after the commit."""

    def __init__(
        self,
        ledgers: Ledgers,
        ledger: Ledger,
        accounts: MessageAccounting,
        receipts: ReceiptPublisher,
        quarantine: Quarantine,
        forks: ForkRecorder,
        metrics: Metrics,
    ) -> None:
        self._ledgers = ledgers
        self._ledger = ledger
        self._tally = accounts.events
        self._receipts = receipts
        self._quarantine = quarantine
        self._forks = forks
        self._delay = metrics.intake_delay.labels("events")
        self._quarantined = metrics.quarantined

    async def write(self, batch: Sequence[EventUnit]) -> None:
        """Store rows and cursors in one transaction."""
        await self._ledgers.write_events(batch)

    async def committed(self, batch: Sequence[EventUnit]) -> None:
        """Settle the batch, and send each locker one receipt."""
        self._tally.settle(Disposition.STORED, sum([len(unit.rows) for unit in batch]))
        self._delay.observe(max(0, clock.wall_ms() - min(unit.received_ms for unit in batch)) / 1000)
        for unit in batch:
            if unit.spoiled:
                self._settle_quarantined(unit.spoiled)
        newest = {unit.key: unit for unit in batch}
        for unit in newest.values():
            self._receipt(unit)
        reached(Point.AFTER_RECEIPT)

    async def rejected(self, unit: EventUnit, error: StoreRejected) -> None:
        """Store what can be stored of a unit, keep the rest in quarantine, and let its ledger go on behind it."""
        del error
        texts = event_texts(unit.payload)

        def refused(seq: int, why: str) -> Quarantined:
            return self._quarantine.event(unit.topic, texts[seq], "rejected", why, unit.received_ms, unit.key, seq)

        kept = await self._ledgers.write_apart(unit, refused)
        self._tally.settle(Disposition.STORED, len(unit.rows) - len(kept))
        self._settle_quarantined([*unit.spoiled, *kept])
        self._receipt(unit)

    async def conflict(self, batch: Sequence[EventUnit], error: CursorConflict) -> Sequence[EventUnit]:
        """Find out where the ledgers stand.

        A batch whose COMMIT was answered by silence is met here again: its rows are there, so its units are
        duplicates. Units that do not follow on the database's cursor are asked for again, and of those that have
        another history nothing is taken. The rest is returned.
        """
        stands = await self._ledgers.stands_of(sorted(error.keys))
        there = Ledger(cursors_max=len(stands))
        there.load(stands.items())
        writable = []
        for unit in batch:
            stand = stands.get(unit.key)
            if stand is None:
                writable.append(unit)
                continue
            count = unit.next_seq - unit.first_seq
            match there.take(unit.key, unit.first_seq, count, None, unit.prev, unit.chain):
                case Take(0):
                    writable.append(unit)
                case AlreadyStored():
                    self._tally.settle(Disposition.DUPLICATE, unit.count)
                    self._receipts.upto(unit.key, *self._ledger.committed(unit.key, *stand))
                case Fork() as fork:
                    self._tally.settle(Disposition.DEFERRED, unit.count)
                    self._ledger.reset(unit.key, stand)
                    self._forks.found(unit.key, fork, unit.topic, unit.payload, unit.received_ms)
                case Gap() | Take():
                    self._tally.settle(Disposition.DEFERRED, unit.count)
                    self._receipts.expected(unit.key, self._ledger.reset(unit.key, stand))
        return writable

    def kept_back(self, unit: EventUnit) -> None:
        """Leave a message with its locker, which has no receipt for it and sends it again after growing pauses."""
        self._tally.settle(Disposition.DEFERRED, unit.count)
        self._ledger.reset(unit.key)

    def _receipt(self, unit: EventUnit) -> None:
        self._receipts.upto(unit.key, *self._ledger.committed(unit.key, unit.next_seq, unit.chain))

    def _settle_quarantined(self, rows: Sequence[Quarantined]) -> None:
        self._tally.settle(Disposition.QUARANTINED, len(rows))
        for row in rows:
            self._quarantined.labels(row.reason).inc()
