"""Ingest of events and presence: decode, decide, queue for the database, tell observers."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from hub import clock
from hub.alarms.engine import AlarmEngine
from hub.commands.instant import InstantCommands
from hub.core.accounting import Disposition, MessageAccounting, Tally
from hub.core.clocks import Clocks
from hub.core.fairness import (
    RECORDS_OF,
    RECORDS_OF_GAP,
    RECORDS_OF_SPOILED,
    Limit,
    Shares,
    records_in,
)
from hub.core.fleet import Fleet
from hub.core.gaps import DeclaredGap
from hub.core.ledger import UNKNOWN, AlreadyStored, Fork, Gap, Key, Ledger, Take, Unknown, Verdict
from hub.core.stamps import Newest, Stamped, stamp
from hub.core.timing import TimeSource
from hub.ingest.epochs import EpochAdmission
from hub.ingest.forks import ForkRecorder
from hub.ingest.gap_quota import GapShares
from hub.ingest.presence_quota import PresenceMessage, PresenceShares
from hub.ingest.receipts import ReceiptPublisher
from hub.live import Broadcaster
from hub.metrics import Metrics
from hub.mqtt.quarantine import Quarantine
from hub.mqtt.retained_cleanup import RetainedCleanup
from hub.mqtt.tap import DEFERRED, DUPLICATE, IGNORED, TAKEN, MessageTap
from hub.store.batcher import Batcher
from hub.store.binary_copy import event_rows
from hub.store.lane import WriteLane
from hub.store.rows import EventUnit, Quarantined, unit_bytes
from wire.errors import WireError
from wire.messages import (
    Event,
    EventBatch,
    Up,
    decode_events,
    decode_presence,
)
from wire.salvage import Spoiled, salvage_events
from wire.topics import Channel, parse

_log = logging.getLogger(__name__)

_TOPICS_KNOWN_MAX: Final = 200_000
_RETAINED: Final = "events are never retained: the broker has kept this copy, and nobody knows since when"
_NONE_SPOILED: Final[Mapping[int, Spoiled]] = {}


_Take = Callable[[str, str, bytes, bool, int], str]
_Route = tuple[str, Channel, Callable[[], None], _Take | None]
"""Route of a topic: locker, channel, the counter of its messages, and who takes them."""


@dataclass(frozen=True, slots=True)
class EventIngestParts:
    """Parts that the ingest of events works with."""

    accounts: MessageAccounting
    fleet: Fleet
    clocks: Clocks
    ledger: Ledger
    epochs: EpochAdmission
    events: Batcher[EventUnit]
    shares: Shares
    presence_shares: Shares
    quarantine: Quarantine
    forks: ForkRecorder
    receipts: ReceiptPublisher
    cleanup: RetainedCleanup
    instant: InstantCommands
    live: Broadcaster
    tap: MessageTap
    alarms: AlarmEngine
    metrics: Metrics
    backlog_age_ms: float
    gaps_per_minute_max: int


class EventIngest:
    """Takes events and presence. `receive` never blocks and never raises for what a peer sent."""

    def __init__(self, parts: EventIngestParts) -> None:
        self._parts = parts
        self._topics: dict[str, _Route] = {}
        self._newest: dict[str, Newest] = {}
        """Of each locker of the registry."""
        self._messages = {channel: parts.metrics.messages.labels(channel.value) for channel in Channel}
        self._other_messages = parts.metrics.messages.labels("other")
        self._gaps = parts.metrics.ledger_gaps
        self._limited = parts.metrics.limited
        self._presences = PresenceShares(parts.presence_shares, parts.metrics)
        self._gap_shares = GapShares(parts.gaps_per_minute_max)
        self._by_channel: dict[Channel, _Take] = {
            Channel.EVENTS: self._events,
            Channel.PRESENCE: self._presence,
        }

    def receive(self, topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001 - the link's signature
        """Take one message."""
        verdict = self._receive(topic, payload, retained)
        tap = self._parts.tap
        if tap.watched:
            tap.note("in", topic, payload, verdict, retained=retained)

    def look(self) -> None:
        """Take presence that had to wait, and clear what removed lockers left. Call it once a second or so."""
        parts = self._parts
        parts.cleanup.turn()
        for word in self._presences.due(clock.now_ms()):
            if word.locker not in parts.fleet.lockers or word.locker in parts.fleet.disabled:
                continue
            try:
                self._take_presence(word)
            except WireError as error:
                parts.quarantine.keep(word.topic, word.payload, error.reason.value, error.detail, word.received_ms)

    def _receive(self, topic: str, payload: bytes, retained: bool) -> str:  # noqa: FBT001
        """Take one message; return what became of it, as far as that is known at once."""
        received_ms = clock.wall_ms()
        parts = self._parts
        try:
            locker, channel, count, take = self._topics.get(topic) or self._parse(topic)
            count()
            if take is None or not payload:
                # Without a payload it is how a retained message is deleted, and nothing that a locker says.
                return IGNORED
            if locker not in parts.fleet.lockers or locker in parts.fleet.disabled:
                return self._not_taken(topic, locker, channel, payload, retained, received_ms)
            if channel is Channel.EVENTS:
                limit = parts.shares.admit(locker, now_ms := clock.now_ms())
                if limit is not None:
                    self._defer(locker, limit, now_ms)
                    return DEFERRED
            return take(topic, locker, payload, retained, received_ms)
        except WireError as error:
            known = self._topics.get(topic)
            if known is None:
                self._other_messages.inc()
            tally = None if known is None else _tally(parts.accounts, known[1])
            parts.quarantine.keep(topic, payload, error.reason.value, error.detail, received_ms, tally)
            return f"quarantined:{error.reason.value}"

    def _not_taken(
        self,
        topic: str,
        locker: str,
        channel: Channel,
        payload: bytes,
        retained: bool,  # noqa: FBT001 - the link's signature
        received_ms: int,
    ) -> str:
        parts = self._parts
        if channel is Channel.PRESENCE and retained and locker in parts.fleet.removed:
            # The broker has it of a locker that was removed while no hub ran, or by an account that is left.
            parts.cleanup.found(locker)
            return IGNORED
        reason, detail = parts.fleet.why_not_taken(locker)
        parts.quarantine.keep(topic, payload, reason, detail, received_ms, _tally(parts.accounts, channel))
        return f"quarantined:{reason}"

    def _parse(self, topic: str) -> _Route:
        locker, channel = parse(topic)
        parsed = (locker, channel, self._messages[channel].inc, self._by_channel.get(channel))
        if len(self._topics) >= _TOPICS_KNOWN_MAX:
            self._topics.clear()
        self._topics[topic] = parsed
        return parsed

    def _defer(self, locker: str, limit: Limit, now_ms: float) -> None:
        """Leave a message, undecoded, with a locker that sends more than its share: it sends it again."""
        parts = self._parts
        parts.accounts.events.received += 1
        parts.accounts.events.settle(Disposition.DEFERRED)
        self._over(locker, limit, now_ms)

    def _over(self, locker: str, limit: Limit, now_ms: float, count: int = 1) -> None:
        self._limited.labels(Channel.EVENTS.value, limit.value).inc(count)
        if self._parts.shares.tell(locker, now_ms):
            _log.warning(
                "A locker sends more events than its share; it has to wait",
                extra={"locker": locker, "limit": limit.value},
            )

    def _events(self, topic: str, locker: str, payload: bytes, retained: bool, received_ms: int) -> str:  # noqa: FBT001
        parts = self._parts
        if retained:
            # Of any age, while its events would count back from its receipt. Their locker sends them anyway.
            parts.quarantine.keep(topic, payload, "retained", _RETAINED, received_ms, parts.accounts.events)
            return "quarantined:retained"
        return self._batch(topic, locker, payload, received_ms)

    def _batch(self, topic: str, locker: str, payload: bytes, received_ms: int) -> str:
        parts = self._parts
        batch, spoiled = _read(payload)
        now_ms = clock.now_ms()
        count = len(batch.events)
        tally = parts.accounts.events
        tally.received += count
        parts.shares.charge(locker, records_in(count, len(payload)), now_ms)
        key = (locker, batch.epoch)
        stamped = stamp(
            batch, received_ms, possible=parts.clocks.possible(locker, batch.boot, batch.t, now_ms),
            newest=self._newest.get(locker),
        )  # fmt: skip
        newest_ms = stamped.occurred[-1]
        is_old = newest_ms < received_ms - parts.backlog_age_ms
        lane = parts.events.room(count, key=locker, old=is_old, size=unit_bytes(payload, count))
        if lane is None:
            # The locker keeps what was not receipted and sends it again.
            self._heard(locker, batch, now_ms)
            parts.alarms.batch(locker, batch, newest_ms, received_ms)
            tally.settle(Disposition.DEFERRED, count)
            return DEFERRED
        verdict = self._judge(key, topic, payload, batch, received_ms)
        if not isinstance(verdict, Fork):
            # Of another history it is another machine that was heard.
            self._heard(locker, batch, now_ms)
            parts.alarms.batch(locker, batch, newest_ms, received_ms)
        match verdict:
            case AlreadyStored(upto, chain):
                tally.settle(Disposition.DUPLICATE, count)
                if upto:
                    parts.receipts.upto(key, upto, chain)
                return DUPLICATE
            case Unknown():
                tally.settle(Disposition.DEFERRED, count)
                return DEFERRED
            case Gap(expected):
                tally.settle(Disposition.DEFERRED, count)
                self._gaps.inc()
                parts.receipts.expected(key, expected)
                return DEFERRED
            case Take():
                return self._take(topic, key, payload, batch, spoiled, verdict, received_ms, stamped, lane)
            case Fork():
                # The locker still has them, and sends them again as a new epoch.
                tally.settle(Disposition.DEFERRED, count)
                parts.forks.found(key, verdict, topic, payload, received_ms)
                return "quarantined:ledger_fork"

    def _judge(self, key: Key, topic: str, payload: bytes, batch: EventBatch, received_ms: int) -> Verdict:
        ledger, count = self._parts.ledger, len(batch.events)
        verdict = ledger.take(key, batch.first, count, batch.oldest, batch.prev, batch.chain)
        if verdict is UNKNOWN and self._parts.epochs.met(key, topic, payload, received_ms):
            return ledger.take(key, batch.first, count, batch.oldest, batch.prev, batch.chain)
        return verdict

    def _put_back(self, key: Key, gap: Take, count: int, now_ms: float) -> str:
        """Leave a declared gap with its locker: what it deletes meanwhile becomes part of the same row."""
        self._parts.ledger.put_back(key, gap)
        self._parts.accounts.events.settle(Disposition.DEFERRED, count)
        self._over(key[0], Limit.GAPS, now_ms)
        return DEFERRED

    def _take(
        self,
        topic: str,
        key: Key,
        payload: bytes,
        batch: EventBatch,
        spoiled: Mapping[int, Spoiled],
        verdict: Take,
        received_ms: int,
        stamped: Stamped,
        lane: WriteLane[EventUnit],
    ) -> str:
        parts = self._parts
        locker, skip, gap = key[0], verdict.skip, verdict.gap
        first, events = batch.first, batch.events
        if gap is not None and not self._gap_shares.may_declare(locker, now_ms := clock.now_ms()):
            return self._put_back(key, verdict, len(events), now_ms)
        if skip:
            parts.accounts.events.settle(Disposition.DUPLICATE, skip)
        occurred, sources = stamped
        if not spoiled and (sources is None or sources[-1] is TimeSource.BOOT):
            self._newest[locker] = (batch.epoch, first + len(events), occurred[-1])
        spec = parts.fleet.lockers[locker].spec
        rows = event_rows(
            batch, skip=skip, tenant=spec.tenant, locker=locker, occurred=occurred, received_ms=received_ms,
            sources=sources,
            leave_out=spoiled,
        )  # fmt: skip
        first_seq = gap[0] if gap is not None else first + skip
        kept: Sequence[Quarantined] = ()
        if spoiled:
            kept = [
                parts.quarantine.event(
                    topic, one.raw, one.error.reason.value, one.error.detail, received_ms, key, first + place
                )
                for place, one in spoiled.items()
                if place >= skip
            ]
        costly = [(place, event) for place, event in enumerate(events) if event.kind in RECORDS_OF]
        told: Sequence[DeclaredGap] = ()
        if costly or spoiled or gap is not None:
            now_ms = clock.now_ms()
            told, left_out = self._gap_shares.reasons(locker, first, costly, now_ms)
            if left_out:
                self._over(locker, Limit.GAP_REASONS, now_ms, left_out)
            more = sum(RECORDS_OF[event.kind] for _, event in costly) + RECORDS_OF_SPOILED * len(spoiled)
            parts.shares.charge(locker, more + (0 if gap is None else RECORDS_OF_GAP), now_ms)
        parts.events.put_in(
            lane,
            EventUnit(
                key, first_seq, first + len(events), rows, gap, received_ms, topic, payload, len(rows) + len(kept),
                None if gap is not None or skip else batch.prev, batch.chain, kept, told,
            ),
            locker,
            unit_bytes(payload, len(events)),
        )  # fmt: skip
        if gap is not None:
            parts.alarms.gap(locker)
        for place in range(skip, len(events)):
            if spoiled and place in spoiled:
                continue
            self._tell(locker, batch, place, events[place], occurred[place], received_ms)
        return f"quarantined:{next(iter(spoiled.values())).error.reason.value}" if spoiled else TAKEN

    def _tell(
        self, locker: str, batch: EventBatch, place: int, event: Event, occurred: int, received_ms: int
    ) -> None:
        parts = self._parts
        at = clock.from_ms(occurred)
        parts.fleet.event(locker, event, at=at)
        if event.command is not None:
            parts.instant.on_event(locker, event, at)
        if event.kind in parts.alarms.kinds:
            parts.alarms.event(locker, batch, place, event, at)
        parts.live.event(locker, batch, place, occurred, received_ms)

    def _presence(self, topic: str, locker: str, payload: bytes, retained: bool, received_ms: int) -> str:  # noqa: FBT001
        word = PresenceMessage(topic, locker, payload, retained, received_ms)
        return self._take_presence(word) if self._presences.admit(word, clock.now_ms()) else DEFERRED

    def _take_presence(self, word: PresenceMessage) -> str:
        locker, retained = word.locker, word.retained
        presence = decode_presence(word.payload)
        fleet = self._parts.fleet
        current = fleet.presence(locker, presence, at=clock.from_ms(word.received_ms))
        if presence.online and current and not retained:
            self._heard(locker, presence, clock.now_ms())
            self._parts.alarms.presence(locker, presence)
        self._parts.live.wake()
        return TAKEN if current else IGNORED

    def _heard(self, locker: str, message: Up, now_ms: float) -> None:
        self._parts.clocks.observe(locker, message.boot, message.t, now_ms)
        self._parts.fleet.heard(locker, now_ms=now_ms, at=clock.wall())


def _read(payload: bytes) -> tuple[EventBatch, Mapping[int, Spoiled]]:
    try:
        return decode_events(payload), _NONE_SPOILED
    except WireError:
        # One bad event does not hold up a ledger. What has no numbers raises again, and goes into quarantine.
        return salvage_events(payload)


def _tally(accounts: MessageAccounting, channel: Channel) -> Tally | None:
    return accounts.events if channel is Channel.EVENTS else None
