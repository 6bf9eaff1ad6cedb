"""Keep what could not be accepted, with its reason, bounded in size and in number."""

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from datetime import UTC, datetime
from typing import Final, Generic, TypeVar

import msgspec

from hub import clock
from hub.core.accounting import Disposition, Tally
from hub.core.ledger import Key
from hub.core.rates import TokenBucket
from hub.errors import CursorConflict, StoreRejected
from hub.metrics import Metrics
from hub.store.batcher import Batcher
from hub.store.database import Database
from hub.store.rows import Quarantined, unit_bytes
from wire.errors import Reason

_TOPIC_CHARACTERS_MAX: Final = 300
_DETAIL_CHARACTERS_MAX: Final = 500
_TOPICS_MAX: Final = 10_000
_REASONS: Final = (
    "epoch_limit", "ledger_fork", "locker_disabled", "locker_removed", "locker_unknown", "rejected", "retained",
)  # fmt: skip
_K = TypeVar("_K", bound=Hashable)


class RateLimits(Generic[_K]):
    """A rate for each key, of which the `keys_max` that were seen last are remembered."""

    def __init__(self, per_minute: float, at_once: float, keys_max: int) -> None:
        self._per_minute = per_minute
        self._at_once = at_once
        self._keys_max = keys_max
        self._buckets: OrderedDict[_K, TokenBucket] = OrderedDict()

    def pass_one(self, key: _K, now_ms: float) -> bool:
        """Say whether one more may pass."""
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= self._keys_max:
                self._buckets.popitem(last=False)
            bucket = self._buckets[key] = TokenBucket(self._per_minute, self._at_once)
        else:
            self._buckets.move_to_end(key)
        return bucket.take(now_ms) == 0


class Quarantine:
    """Takes messages in; above the queue's limit, and above a topic's rate, they are left out and counted.

    Args:
        batcher: the queue.
        metrics: what is left out is counted there.
        payload_bytes_max: how much of a message is kept.
        per_topic_per_minute: so many messages of a topic, which is one locker's, are kept in a minute, and at once.
    """

    def __init__(
        self, batcher: Batcher[Quarantined], metrics: Metrics, *, payload_bytes_max: int, per_topic_per_minute: int
    ) -> None:
        self._batcher = batcher
        self._reasons = metrics.quarantined
        # Each is there from the start, so that the first one already shows as a rise.
        for reason in (*Reason, *_REASONS):
            metrics.quarantined.labels(reason)
        self._dropped = metrics.batch_dropped.labels("quarantine")
        self._limited = metrics.quarantine_limited
        self._payload_bytes_max = payload_bytes_max
        self._limits: RateLimits[str] = RateLimits(per_topic_per_minute, per_topic_per_minute, _TOPICS_MAX)

    def keep(
        self, topic: str, payload: bytes, reason: str, detail: str, received_ms: int, tally: Tally | None = None
    ) -> bool:
        """Keep a message, or a part of one. With a tally, it counts as one record received and settled.

        Returns False where it is over a limit: then it was counted, and not kept.
        """
        self._reasons.labels(reason).inc()
        kept = False
        # Whoever gets no receipt sends the same again and again: one locker may not fill the table.
        if self._limits.pass_one(topic[:_TOPIC_CHARACTERS_MAX], clock.now_ms()):
            kept = self._put(self.row(topic, payload, reason, detail, received_ms))
        else:
            self._limited.inc()
        if tally is not None:
            tally.received += 1
            tally.settle(Disposition.QUARANTINED if kept else Disposition.DROPPED)
        return kept

    def keep_whole(self, topic: str, payload: bytes, reason: str, detail: str, received_ms: int, key: Key) -> None:
        """Keep a message of a ledger in full, however long; the caller limits the rate and keeps the books."""
        self._reasons.labels(reason).inc()
        self._put(self._row(topic, payload, len(payload), reason, detail, received_ms, key, None))

    def row(self, topic: str, payload: bytes, reason: str, detail: str, received_ms: int) -> Quarantined:
        """Return the row that is kept of a message: its payload cut to the limit."""
        return self._row(topic, payload, self._payload_bytes_max, reason, detail, received_ms, None, None)

    def event(
        self, topic: str, payload: bytes, reason: str, detail: str, received_ms: int, key: Key, seq: int
    ) -> Quarantined:
        """Return the row that is kept of one event, which has a number; it is written along with the cursor."""
        return self._row(topic, payload, self._payload_bytes_max, reason, detail, received_ms, key, seq)

    def _row(
        self,
        topic: str,
        payload: bytes,
        payload_bytes_max: int,
        reason: str,
        detail: str,
        received_ms: int,
        key: Key | None,
        seq: int | None,
    ) -> Quarantined:
        return Quarantined(
            received_at=datetime.fromtimestamp(received_ms / 1000, UTC),
            topic=storable(topic)[:_TOPIC_CHARACTERS_MAX],
            reason=reason,
            detail=storable(detail)[:_DETAIL_CHARACTERS_MAX],
            payload=payload[:payload_bytes_max],
            payload_bytes=len(payload),
            key=key,
            seq=seq,
        )

    def _put(self, row: Quarantined) -> bool:
        # A topic is one locker's.
        kept = self._batcher.put(row, key=row.topic, size=unit_bytes(row.payload, 1))
        if not kept:
            self._dropped.inc()
        return kept


class QuarantineSink:
    """Writes quarantine rows."""

    def __init__(self, store: Database, metrics: Metrics) -> None:
        self._store = store
        self._dropped = metrics.batch_dropped.labels("quarantine")

    async def write(self, batch: Sequence[Quarantined]) -> None:
        """Write the rows."""
        await self._store.write_quarantine(batch)

    async def committed(self, batch: Sequence[Quarantined]) -> None:
        """Nothing waits for it."""

    async def rejected(self, unit: Quarantined, error: StoreRejected) -> None:
        """Count a row that even quarantine cannot hold."""
        del unit, error
        self._dropped.inc()

    async def conflict(self, batch: Sequence[Quarantined], error: CursorConflict) -> Sequence[Quarantined]:
        """Quarantine has no cursors."""
        raise AssertionError(batch) from error

    def kept_back(self, unit: Quarantined) -> None:
        """Count a row that the database fails with."""
        del unit
        self._dropped.inc()


class _Message(msgspec.Struct, frozen=True):
    first: int
    events: list[msgspec.Raw]


_read_message = msgspec.json.Decoder(_Message).decode


def event_texts(payload: bytes) -> dict[int, bytes]:
    """Return the events of a batch as they were sent, by number."""
    message = _read_message(payload)
    return {message.first + place: bytes(raw) for place, raw in enumerate(message.events)}


def storable(text: str) -> str:
    """Return text as PostgreSQL can hold it: it has neither NUL nor lone surrogates."""
    return text.replace("\x00", "\N{SYMBOL FOR NULL}").encode("utf-8", "replace").decode()
