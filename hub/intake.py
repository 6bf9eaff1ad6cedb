"""One message in: decode, decide, store, tell."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hub import clock
from hub.core.accounting import Accounts, Outcome, Tally
from hub.core.clocks import Clocks
from hub.core.commands import Outcome as Seen
from hub.core.fleet import Fleet
from hub.core.ledger import Gap, Ledger, Take
from hub.core.ledger import Seen as AllSeen
from hub.core.stamps import occurred_ms
from hub.dispatch import Dispatch
from hub.live import Live
from hub.metrics import Metrics
from hub.quarantine import Quarantine
from hub.receipts import Receipts
from hub.store.batch import Batcher
from hub.store.binary import event_rows, reading_row
from hub.store.rows import EventUnit, ReadingUnit
from wire.errors import WireError
from wire.messages import Event, EventKind, Events, Up, decode_events, decode_presence, decode_telemetry
from wire.topics import Channel, parse

_log = logging.getLogger(__name__)

_OUTCOMES: Final = {
    EventKind.DOOR_OPENED.value: Seen.OPENED,
    EventKind.DOOR_CLOSED.value: Seen.CLOSED,
    EventKind.DOOR_OPEN_NOT_DETECTED.value: Seen.OPEN_NOT_DETECTED,
}
_TOPICS_KNOWN_MAX: Final = 200_000
_SAMPLE_AGE_MS_MAX: Final = 400 * 86_400_000


_Take = Callable[[str, str, bytes, bool, int], None]
_Route = tuple[str, Channel, Callable[[], None], _Take | None]
"""What a topic means: locker, channel, the counter of its messages, and who takes them."""


@dataclass(frozen=True, slots=True)
class IntakeParts:
    """What intake works with."""

    accounts: Accounts
    fleet: Fleet
    clocks: Clocks
    ledger: Ledger
    events: Batcher[EventUnit]
    readings: Batcher[ReadingUnit]
    quarantine: Quarantine
    receipts: Receipts
    dispatch: Dispatch
    live: Live
    metrics: Metrics


class Intake:
    """Takes events, telemetry and presence. `receive` never blocks and never raises for what a peer sent."""

    def __init__(self, parts: IntakeParts) -> None:
        self._parts = parts
        self._topics: dict[str, _Route] = {}
        self._messages = {channel: parts.metrics.messages.labels(channel.value) for channel in Channel}
        self._other_messages = parts.metrics.messages.labels("other")
        self._gaps = parts.metrics.ledger_gaps
        self._by_channel: dict[Channel, _Take] = {
            Channel.EVENTS: self._events,
            Channel.TELEMETRY: self._telemetry,
            Channel.PRESENCE: self._presence,
        }

    def receive(self, topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001 - the link's signature
        """Take one message."""
        received_ms = clock.wall_ms()
        parts = self._parts
        try:
            locker, channel, count, take = self._topics.get(topic) or self._parse(topic)
            count()
            if take is None:
                return
            if locker not in parts.fleet.lockers:
                tally = _tally(parts.accounts, channel)
                detail = f"no locker {locker!r} in the registry; `hub locker add {locker}` adds it"
                parts.quarantine.keep(topic, payload, "locker_unknown", detail, received_ms, tally)
                return
            take(topic, locker, payload, retained, received_ms)
        except WireError as error:
            known = self._topics.get(topic)
            if known is None:
                self._other_messages.inc()
            tally = None if known is None else _tally(parts.accounts, known[1])
            parts.quarantine.keep(topic, payload, error.reason.value, error.detail, received_ms, tally)

    def _parse(self, topic: str) -> _Route:
        locker, channel = parse(topic)
        parsed = (locker, channel, self._messages[channel].inc, self._by_channel.get(channel))
        if len(self._topics) >= _TOPICS_KNOWN_MAX:
            self._topics.clear()
        self._topics[topic] = parsed
        return parsed

    def _events(self, topic: str, locker: str, payload: bytes, retained: bool, received_ms: int) -> None:  # noqa: FBT001
        parts = self._parts
        batch = decode_events(payload)
        if not retained:
            self._heard(locker, batch)
        count = len(batch.events)
        tally = parts.accounts.events
        tally.received += count
        key = (locker, batch.epoch)
        if not parts.events.room(count):
            # The locker keeps what was not receipted and sends it again.
            tally.settle(Outcome.DEFERRED, count)
            return
        verdict = parts.ledger.take(key, batch.first, count, batch.oldest)
        match verdict:
            case AllSeen(upto):
                tally.settle(Outcome.DUPLICATE, count)
                if upto:
                    parts.receipts.upto(key, upto)
            case Gap(expected):
                tally.settle(Outcome.DEFERRED, count)
                self._gaps.inc()
                parts.receipts.expected(key, expected)
            case Take(skip, gap):
                if skip:
                    tally.settle(Outcome.DUPLICATE, skip)
                self._take(topic, locker, payload, batch, skip, gap, received_ms)

    def _take(
        self,
        topic: str,
        locker: str,
        payload: bytes,
        batch: Events,
        skip: int,
        gap: tuple[int, int] | None,
        received_ms: int,
    ) -> None:
        parts = self._parts
        occurred = [occurred_ms(batch, event, received_ms) for event in batch.events]
        spec = parts.fleet.lockers[locker].spec
        rows = event_rows(
            batch, skip=skip, tenant=spec.tenant, locker=locker, occurred=occurred, received_ms=received_ms
        )
        next_seq = batch.first + len(batch.events)
        first_seq = gap[0] if gap is not None else batch.first + skip
        taken = parts.events.put(
            EventUnit((locker, batch.epoch), first_seq, next_seq, rows, gap, received_ms, topic, payload)
        )
        assert taken, "room was asked for"  # noqa: S101
        for place in range(skip, len(batch.events)):
            self._tell(locker, batch, place, batch.events[place], occurred[place], received_ms)

    def _tell(self, locker: str, batch: Events, place: int, event: Event, occurred: int, received_ms: int) -> None:
        parts = self._parts
        parts.fleet.event(locker, event, at=clock.from_ms(occurred))
        outcome = _OUTCOMES.get(event.kind)
        if outcome is not None and event.command is not None:
            parts.dispatch.saw(event.command, locker, outcome)
        parts.live.event(locker, batch, place, occurred, received_ms)

    def _telemetry(self, topic: str, locker: str, payload: bytes, retained: bool, received_ms: int) -> None:  # noqa: FBT001
        parts = self._parts
        message = decode_telemetry(payload)
        if not retained:
            self._heard(locker, message)
        rows = []
        for sample in message.samples:
            age_ms = message.t - sample.t if sample.boot in {None, message.boot} else 0
            sampled_ms = received_ms - min(max(age_ms, 0), _SAMPLE_AGE_MS_MAX)
            rows.append(reading_row(sample, locker=locker, sampled_ms=sampled_ms, received_ms=received_ms))
        tally = parts.accounts.samples
        tally.received += len(rows)
        if not parts.readings.put(ReadingUnit(rows, received_ms, topic, payload)):
            tally.settle(Outcome.DROPPED, len(rows))

    def _presence(self, topic: str, locker: str, payload: bytes, retained: bool, received_ms: int) -> None:  # noqa: FBT001
        del topic
        presence = decode_presence(payload)
        fleet = self._parts.fleet
        current = fleet.presence(locker, presence, at=clock.from_ms(received_ms))
        if presence.online and current and not retained:
            self._heard(locker, presence)
        self._parts.live.wake()

    def _heard(self, locker: str, message: Up) -> None:
        now_ms = clock.now_ms()
        self._parts.clocks.observe(locker, message.boot, message.t, now_ms)
        self._parts.fleet.heard(locker, now_ms=now_ms, at=clock.wall())


def _tally(accounts: Accounts, channel: Channel) -> Tally | None:
    if channel is Channel.EVENTS:
        return accounts.events
    if channel is Channel.TELEMETRY:
        return accounts.samples
    return None
