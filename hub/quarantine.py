"""Keep what could not be accepted, with its reason, bounded in size and in number."""

from collections.abc import Sequence
from datetime import UTC, datetime

from hub.core.accounting import Outcome, Tally
from hub.errors import CursorConflict, StoreRejected
from hub.metrics import Metrics
from hub.store.batch import Batcher
from hub.store.rows import Quarantined
from hub.store.timescale import Store

_TOPIC_CHARACTERS_MAX = 300
_DETAIL_CHARACTERS_MAX = 500


class Quarantine:
    """Takes messages in; above the queue's limit they are dropped and counted."""

    def __init__(self, batcher: Batcher[Quarantined], metrics: Metrics, *, payload_bytes_max: int) -> None:
        self._batcher = batcher
        self._reasons = metrics.quarantined
        self._dropped = metrics.batch_dropped.labels("quarantine")
        self._payload_bytes_max = payload_bytes_max

    def keep(
        self, topic: str, payload: bytes, reason: str, detail: str, received_ms: int, tally: Tally | None = None
    ) -> None:
        """Keep a message. With a tally, it counts as one record received and settled."""
        kept = self._batcher.put(self.row(topic, payload, reason, detail, received_ms))
        self._reasons.labels(reason).inc()
        if not kept:
            self._dropped.inc()
        if tally is not None:
            tally.received += 1
            tally.settle(Outcome.QUARANTINED if kept else Outcome.DROPPED)

    def row(self, topic: str, payload: bytes, reason: str, detail: str, received_ms: int) -> Quarantined:
        """Return the row that is kept of a message: its payload cut to the limit."""
        return Quarantined(
            received_at=datetime.fromtimestamp(received_ms / 1000, UTC),
            topic=_storable(topic)[:_TOPIC_CHARACTERS_MAX],
            reason=reason,
            detail=_storable(detail)[:_DETAIL_CHARACTERS_MAX],
            payload=payload[: self._payload_bytes_max],
            payload_bytes=len(payload),
        )


class QuarantineSink:
    """Writes quarantine rows."""

    def __init__(self, store: Store, metrics: Metrics) -> None:
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


def _storable(text: str) -> str:
    # PostgreSQL's text holds neither NUL nor lone surrogates.
    return text.replace("\x00", "\N{SYMBOL FOR NULL}").encode("utf-8", "replace").decode()
