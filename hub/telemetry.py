"""Telemetry in: judged, stored, and acknowledged once it is committed.

So a database that does not write holds the broker back, and with it telemetry and nothing else: events and presence
come over another link.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from hub import clock
from hub.alarms.engine import Alarms
from hub.core.accounting import Outcome, Tally
from hub.core.clocks import Clocks
from hub.core.fairness import Limit, Shares, records_in
from hub.core.fleet import Fleet
from hub.core.samples import Seen, Taken, is_late, sampled_ms, sent_ms
from hub.deliveries import Delivery
from hub.errors import CursorConflict, StoreRejected
from hub.metrics import Metrics
from hub.quarantine import Quarantine
from hub.store.batch import Batcher
from hub.store.binary import reading_row
from hub.store.rows import ReadingUnit
from hub.store.timescale import Store
from hub.tail import DROPPED, DUPLICATE, TAKEN, Tail
from wire.errors import Reason, WireError
from wire.messages import Clock, decode_telemetry
from wire.messages import Telemetry as Message
from wire.topics import Channel, parse

_log = logging.getLogger(__name__)

_TOPICS_KNOWN_MAX: Final = 200_000
_STALLED_S: Final = 2.0
_FRESH_MS_MAX: Final = 5000
"""A message that comes later than this, by its locker's own clock, says nothing of what time it is there."""


@dataclass(frozen=True, slots=True)
class TelemetryParts:
    """What telemetry works with."""

    tally: Tally
    fleet: Fleet
    clocks: Clocks
    readings: Batcher[ReadingUnit]
    quarantine: Quarantine
    shares: Shares
    seen: Seen
    alarms: Alarms
    silent_after_ms: float
    tail: Tail
    metrics: Metrics


class Telemetry:
    """Takes telemetry. `deliver` never blocks, never raises for what a peer sent, and acknowledges each message."""

    def __init__(self, parts: TelemetryParts) -> None:
        self._parts = parts
        self._lockers: dict[str, str] = {}
        self._count = parts.metrics.messages.labels(Channel.TELEMETRY.value).inc
        self._count_other = parts.metrics.messages.labels("other").inc
        self._limited = parts.metrics.limited
        self._deaf_until_ms = 0.0

    def deliver(self, delivery: Delivery) -> None:
        """Take one message. It is acknowledged when its samples are committed, or otherwise accounted for."""
        verdict = self._deliver(delivery)
        tail = self._parts.tail
        if tail.watched:
            tail.note("in", delivery.topic, delivery.payload, verdict, retained=delivery.retained)

    def _deliver(self, delivery: Delivery) -> str:
        """Take one message; return what became of it, as far as that is known at once."""
        parts = self._parts
        topic = delivery.topic
        received_ms = clock.wall_ms()
        tally: Tally | None = None
        try:
            locker = self._lockers.get(topic) or self._parse(topic)
            tally = parts.tally
            self._count()
            if locker not in parts.fleet.lockers:
                detail = f"no locker {locker!r} in the registry; `hub locker add {locker}` adds it"
                parts.quarantine.keep(topic, delivery.payload, "locker_unknown", detail, received_ms, tally)
                delivery.acknowledge()
                return "quarantined:locker_unknown"
            now_ms = clock.now_ms()
            limit = parts.shares.admit(locker, now_ms)
            if limit is not None:
                self._refuse(locker, limit, now_ms)
                delivery.acknowledge()
                return DROPPED
            message = decode_telemetry(delivery.payload)
        except WireError as error:
            if tally is None:
                self._count_other()
            parts.quarantine.keep(topic, delivery.payload, error.reason.value, error.detail, received_ms, tally)
            delivery.acknowledge()
            return f"quarantined:{error.reason.value}"
        parts.shares.charge(locker, records_in(len(message.samples), len(delivery.payload)), now_ms)
        return self._store(locker, message, delivery, received_ms, now_ms)

    def deaf(self, now_ms: float, *, linked: bool) -> bool:
        """Say whether a locker's silence may be ours: telemetry is held back, or was a moment ago.

        Args:
            now_ms: the hub's monotonic time.
            linked: whether the telemetry link is up.
        """
        if not linked or self._parts.readings.writing_for_s > _STALLED_S:
            self._deaf_until_ms = now_ms + self._parts.silent_after_ms
        return now_ms < self._deaf_until_ms

    def _parse(self, topic: str) -> str:
        locker, channel = parse(topic)
        if channel is not Channel.TELEMETRY:
            raise WireError(Reason.TOPIC, f"{channel.value} do not come over the telemetry link")
        if len(self._lockers) >= _TOPICS_KNOWN_MAX:
            self._lockers.clear()
        self._lockers[topic] = locker
        return locker

    def _refuse(self, locker: str, limit: Limit, now_ms: float) -> None:
        parts = self._parts
        parts.tally.received += 1
        parts.tally.settle(Outcome.DROPPED)
        self._limited.labels(Channel.TELEMETRY.value, limit.value).inc()
        if parts.shares.tell(locker, now_ms):
            _log.warning(
                "A locker sends more telemetry than its share; it is dropped",
                extra={"locker": locker, "limit": limit.value},
            )

    def _store(self, locker: str, message: Message, delivery: Delivery, received_ms: int, now_ms: float) -> str:
        parts = self._parts
        synced = message.clock is Clock.SYNCED and received_ms - message.at <= _FRESH_MS_MAX
        boot_clock = None if synced else parts.clocks.at(locker, now_ms)
        if not delivery.retained and not is_late(message, boot_clock, _FRESH_MS_MAX):
            parts.clocks.observe(locker, message.boot, message.t, now_ms)
            parts.fleet.heard(locker, now_ms=now_ms, at=clock.wall(), in_order=False)
        sent = sent_ms(message, received_ms, boot_clock)
        taken = [
            Taken(sample.boot or message.boot, sample.t, sampled_ms(message, sample, sent))
            for sample in message.samples
        ]
        new = parts.seen.take(locker, taken, repeated=delivery.repeated)
        if new[-1]:
            parts.alarms.telemetry(locker, message, taken[-1].sampled, received_ms)
        rows = [
            reading_row(
                message.samples[place], locker=locker, sampled_ms=taken[place].sampled, received_ms=received_ms
            )
            for place, is_new in enumerate(new)
            if is_new
        ]
        tally = parts.tally
        tally.received += len(message.samples)
        if len(rows) < len(message.samples):
            tally.settle(Outcome.DUPLICATE, len(message.samples) - len(rows))
            if not rows and not parts.readings.in_flight:
                delivery.acknowledge()
                return DUPLICATE
        # Without rows as well: what it repeats may be on its way, and is acknowledged when it has arrived.
        unit = ReadingUnit(rows, received_ms, delivery.topic, delivery.payload, delivery.acknowledge)
        if not parts.readings.put(unit):
            tally.settle(Outcome.DROPPED, len(rows))
            delivery.acknowledge()
            return DROPPED
        return TAKEN if rows else DUPLICATE


class ReadingSink:
    """Stores telemetry; an acknowledgement goes out only after the commit."""

    def __init__(self, store: Store, tally: Tally, quarantine: Quarantine, metrics: Metrics) -> None:
        self._store = store
        self._tally = tally
        self._quarantine = quarantine
        self._delay = metrics.intake_delay.labels(Channel.TELEMETRY.value)

    async def write(self, batch: Sequence[ReadingUnit]) -> None:
        """Store rows."""
        await self._store.write_readings(batch)

    async def committed(self, batch: Sequence[ReadingUnit]) -> None:
        """Settle the batch."""
        self._tally.settle(Outcome.STORED, sum(unit.count for unit in batch))
        self._delay.observe(max(0, clock.wall_ms() - min(unit.received_ms for unit in batch)) / 1000)
        _acknowledge(batch)

    async def rejected(self, unit: ReadingUnit, error: StoreRejected) -> None:
        """Store what can be stored of a message; the message goes into quarantine for the rest."""
        del error
        refused = await self._store.write_readings_apart(unit)
        self._tally.settle(Outcome.STORED, unit.count - len(refused))
        if refused:
            detail = f"{len(refused)} of its samples: {refused[0]}"
            self._quarantine.keep(unit.topic, unit.payload, "rejected", detail, unit.received_ms)
            self._tally.settle(Outcome.QUARANTINED, len(refused))
        _acknowledge([unit])

    async def conflict(self, batch: Sequence[ReadingUnit], error: CursorConflict) -> Sequence[ReadingUnit]:
        """Telemetry has no cursors."""
        raise AssertionError(batch) from error


async def newest_stored(store: Store) -> list[tuple[str, int]]:
    """Return the newest sample of the last hour of each locker, in Unix milliseconds."""
    rows = await store.fetch("readings_newest")
    return [(row["locker"], round(row["newest"].timestamp() * 1000)) for row in rows]


def _acknowledge(units: Iterable[ReadingUnit]) -> None:
    acknowledge: Callable[[], None] | None
    for unit in units:
        acknowledge = unit.acknowledge
        if acknowledge is not None:
            acknowledge()
