"""Telemetry in: judged, stored, and acknowledged once it is committed.

So a database that does not write holds the broker back, and with it telemetry and nothing else: events and presence
come over another link.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from hub import clock
from hub.alarms.engine import AlarmEngine
from hub.core.accounting import Disposition, Tally
from hub.core.clocks import Clocks
from hub.core.fairness import Limit, Shares, records_in
from hub.core.fleet import Fleet
from hub.core.samples import Identity, RecentSamples, is_late, is_stamped_now, sampled_at, sent_at
from hub.core.timing import TimeSource
from hub.errors import CursorConflict, StoreRejected
from hub.metrics import Metrics
from hub.mqtt.acks import IncomingMessage
from hub.mqtt.quarantine import Quarantine
from hub.mqtt.tap import DROPPED, DUPLICATE, IGNORED, TAKEN, MessageTap
from hub.store.batcher import Batcher
from hub.store.binary_copy import reading_row, reading_values
from hub.store.database import Database
from hub.store.readings import write_readings, write_readings_apart
from hub.store.rows import ReadingUnit, unit_bytes
from wire.errors import Reason, WireError
from wire.messages import TelemetryBatch, decode_telemetry
from wire.salvage import Spoiled, raw_samples, salvage_samples
from wire.topics import Channel, parse

_log = logging.getLogger(__name__)

_TOPICS_KNOWN_MAX: Final = 200_000
_STALLED_S: Final = 2.0
_FRESH_MS_MAX: Final = 5000
"""A message that comes later than this, by its locker's own clock, says nothing of what time it is there."""
_RETAINED: Final = "telemetry is never retained: the broker has kept this copy, and sends it at each start anew"
_NONE_SPOILED: Final[Mapping[int, Spoiled]] = {}


@dataclass(frozen=True, slots=True)
class TelemetryIngestParts:
    """Parts that the ingest of telemetry works with."""

    tally: Tally
    fleet: Fleet
    clocks: Clocks
    readings: Batcher[ReadingUnit]
    quarantine: Quarantine
    shares: Shares
    seen: RecentSamples
    alarms: AlarmEngine
    silent_after_ms: float
    tap: MessageTap
    metrics: Metrics


class TelemetryIngest:
    """Takes telemetry. `deliver` never blocks, never raises for what a peer sent, and acknowledges each message."""

    def __init__(self, parts: TelemetryIngestParts) -> None:
        self._parts = parts
        self._lockers: dict[str, str] = {}
        self._count = parts.metrics.messages.labels(Channel.TELEMETRY.value).inc
        self._count_other = parts.metrics.messages.labels("other").inc
        self._limited = parts.metrics.limited
        self._deaf_until_ms = 0.0

    def deliver(self, delivery: IncomingMessage) -> None:
        """Take one message. It is acknowledged when its samples are committed, or otherwise accounted for."""
        verdict = self._deliver(delivery)
        tap = self._parts.tap
        if tap.watched:
            tap.note("in", delivery.topic, delivery.payload, verdict, retained=delivery.retained)

    def _deliver(self, delivery: IncomingMessage) -> str:
        """Take one message; return what became of it, as far as that is known at once."""
        parts = self._parts
        topic = delivery.topic
        received_ms = clock.wall_ms()
        tally: Tally | None = None
        try:
            locker = self._lockers.get(topic) or self._parse(topic)
            tally = parts.tally
            self._count()
            if not delivery.payload:
                # How a retained message is deleted.
                delivery.acknowledge()
                return IGNORED
            if locker not in parts.fleet.lockers or locker in parts.fleet.disabled:
                reason, detail = parts.fleet.why_not_taken(locker)
                parts.quarantine.keep(topic, delivery.payload, reason, detail, received_ms, tally)
                delivery.acknowledge()
                return f"quarantined:{reason}"
            now_ms = clock.now_ms()
            limit = parts.shares.admit(locker, now_ms)
            if limit is not None:
                self._refuse(locker, limit, now_ms)
                delivery.acknowledge()
                return DROPPED
            if delivery.retained:
                # It came when it was sent, or its time is not known: a copy is of any age.
                parts.quarantine.keep(topic, delivery.payload, "retained", _RETAINED, received_ms, tally)
                delivery.acknowledge()
                return "quarantined:retained"
            try:
                message, spoiled = decode_telemetry(delivery.payload), _NONE_SPOILED
            except WireError:
                # One bad sample costs no other. What has no time raises again, and goes into quarantine.
                message, spoiled = salvage_samples(delivery.payload)
        except WireError as error:
            if tally is None:
                self._count_other()
            parts.quarantine.keep(topic, delivery.payload, error.reason.value, error.detail, received_ms, tally)
            delivery.acknowledge()
            return f"quarantined:{error.reason.value}"
        count = len(message.samples) + len(spoiled)
        parts.shares.charge(locker, records_in(count, len(delivery.payload)), now_ms)
        if not spoiled:
            return self._store(locker, message, None, delivery, received_ms, now_ms)
        for one in spoiled.values():
            parts.quarantine.keep(topic, one.raw, one.error.reason.value, one.error.detail, received_ms, tally)
        places = [place for place in range(count) if place not in spoiled]
        self._store(locker, message, places, delivery, received_ms, now_ms)
        return f"quarantined:{next(iter(spoiled.values())).error.reason.value}"

    def ingest_stalled(self, now_ms: float, *, linked: bool) -> bool:
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
        parts.tally.settle(Disposition.DROPPED)
        self._limited.labels(Channel.TELEMETRY.value, limit.value).inc()
        if parts.shares.tell(locker, now_ms):
            _log.warning(
                "A locker sends more telemetry than its share; it is dropped",
                extra={"locker": locker, "limit": limit.value},
            )

    def _store(
        self,
        locker: str,
        message: TelemetryBatch,
        places: Sequence[int] | None,
        delivery: IncomingMessage,
        received_ms: int,
        now_ms: float,
    ) -> str:
        """Take a message that was read. `places`: where its samples are in the payload, if some are spoiled."""
        parts = self._parts
        samples = message.samples
        is_now = is_stamped_now(message, received_ms, _FRESH_MS_MAX)
        boot_clock = None if is_now else parts.clocks.at(locker, now_ms)
        sent = sent_at(message, received_ms, boot_clock)
        if parts.clocks.possible(locker, message.boot, message.t, now_ms):
            times = [sampled_at(message, sample, sent) for sample in samples]
        else:
            # Ages would be counted back from a time that it is not there.
            times = [(sent[0], TimeSource.ORDER)] * len(samples)
        rows = [
            reading_row(sample, locker=locker, sampled_ms=at_ms, received_ms=received_ms, source=source)
            for sample, (at_ms, source) in zip(samples, times, strict=True)
        ]
        identities = [
            _identity(message, sample.boot, sample.t, row, source)
            for sample, row, (_, source) in zip(samples, rows, times, strict=True)
        ]
        # From here on the message is good, and changes what the hub knows.
        reachable = parts.fleet.lockers[locker].reachable
        if is_now or not is_late(message, boot_clock, _FRESH_MS_MAX, reachable=reachable):
            parts.clocks.observe(locker, message.boot, message.t, now_ms, begins=is_now)
            parts.fleet.heard(locker, now_ms=now_ms, at=clock.wall(), in_order=False)
        verdicts, first = parts.seen.take(locker, identities)
        if samples and verdicts[-1]:
            parts.alarms.telemetry(locker, message, times[-1][0], received_ms)
        tally = parts.tally
        tally.received += len(rows)
        if not all(verdicts):
            new = [place for place, is_new in enumerate(verdicts) if is_new]
            tally.settle(Disposition.DUPLICATE, len(rows) - len(new))
            rows = [rows[place] for place in new]
            identities = [identities[place] for place in new]
            places = new if places is None else [places[place] for place in new]
        if not rows and not parts.readings.in_flight:
            delivery.acknowledge()
            return DUPLICATE
        # Without rows as well: what it repeats may be on its way, and is acknowledged when it has arrived.
        unit = ReadingUnit(
            rows, received_ms, delivery.topic, delivery.payload, delivery.acknowledge, places,
            delivery.repeated or first,
        )  # fmt: skip
        if not parts.readings.put(unit, key=locker, size=unit_bytes(delivery.payload, len(rows))):
            parts.seen.forget(locker, identities)
            tally.settle(Disposition.DROPPED, len(rows))
            delivery.acknowledge()
            return DROPPED
        return TAKEN if rows else DUPLICATE


class TelemetryWriter:
    """Stores telemetry; an acknowledgement goes out only after the commit."""

    def __init__(self, store: Database, tally: Tally, quarantine: Quarantine, metrics: Metrics) -> None:
        self._store = store
        self._tally = tally
        self._quarantine = quarantine
        self._repeated = 0
        """Rows of the batch that was written last which were there already."""
        self._delay = metrics.intake_delay.labels(Channel.TELEMETRY.value)

    async def write(self, batch: Sequence[ReadingUnit]) -> None:
        """Store rows."""
        try:
            self._repeated = await write_readings(self._store, batch)
        except BaseException:
            _doubt(batch)
            raise

    async def committed(self, batch: Sequence[ReadingUnit]) -> None:
        """Settle the batch."""
        self._settle(sum(unit.count for unit in batch), self._repeated)
        self._delay.observe(max(0, clock.wall_ms() - min(unit.received_ms for unit in batch)) / 1000)
        _acknowledge(batch)

    async def rejected(self, unit: ReadingUnit, error: StoreRejected) -> None:
        """Store what can be stored of a message; each sample that cannot be goes into quarantine alone."""
        del error
        try:
            done = await write_readings_apart(self._store, unit)
        except BaseException:
            _doubt([unit])
            raise
        self._settle(unit.count - len(done.refused), done.repeated)
        raws = raw_samples(unit.payload) if done.refused else []
        for row, why in done.refused:
            place = row if unit.places is None else unit.places[row]
            kept = self._quarantine.keep(unit.topic, raws[place], "rejected", why, unit.received_ms)
            self._tally.settle(Disposition.QUARANTINED if kept else Disposition.DROPPED)
        _acknowledge([unit])

    def _settle(self, written: int, repeated: int) -> None:
        self._tally.settle(Disposition.STORED, written - repeated)
        self._tally.settle(Disposition.DUPLICATE, repeated)

    async def conflict(self, batch: Sequence[ReadingUnit], error: CursorConflict) -> Sequence[ReadingUnit]:
        """Telemetry has no cursors."""
        raise AssertionError(batch) from error

    def kept_back(self, unit: ReadingUnit) -> None:
        """Put a message into quarantine with which the database fails."""
        detail = "the database fails with it, and takes others"
        kept = self._quarantine.keep(unit.topic, unit.payload, "rejected", detail, unit.received_ms)
        self._tally.settle(Disposition.QUARANTINED if kept else Disposition.DROPPED, unit.count)
        _acknowledge([unit])


def _identity(message: TelemetryBatch, boot: UUID | None, t: int, row: bytes, source: TimeSource) -> Identity:
    number = (boot or message.boot).int
    return number, t, hash((number, t, reading_values(row, source)))


def _doubt(units: Iterable[ReadingUnit]) -> None:
    """Have rows compared with what is there: their COMMIT may have been done, and only its answer lost."""
    for unit in units:
        unit.doubtful = True


def _acknowledge(units: Iterable[ReadingUnit]) -> None:
    acknowledge: Callable[[], None] | None
    for unit in units:
        acknowledge = unit.acknowledge
        if acknowledge is not None:
            acknowledge()
