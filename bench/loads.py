"""Two kinds of load: ledger events paced by receipts, and telemetry paced by what the hub has stored."""

import threading
import time
from dataclasses import dataclass, field
from typing import Final, Protocol
from uuid import UUID, uuid4

from bench.http_connection import HttpConnection
from bench.lockers import Fleet, LockerConnection
from bench.messages import events_around_first, telemetry_around_count
from bench.mqtt_packets import Publishes
from bench.processes import BenchError
from bench.rig import settled
from wire.messages import Receipt
from wire.topics import Channel, topic_of

RESEND_AFTER_S: Final = 5.0
"""A locker without a receipt for so long sends again; the agent's own default."""
_SEEN_EVERY_S: Final = 0.2
_T: Final = 1000
_BURST: Final = 20
_UNACKNOWLEDGED_MAX: Final = 400


class Load(Protocol):
    """What a phase sends, and how it knows what is stored."""

    def start(self) -> None:
        """Send the first messages."""
        ...

    def told(self, locker: LockerConnection, receipts: list[Receipt]) -> None:
        """Go on where something has come back."""
        ...

    def tick(self, now_s: float) -> None:
        """Do what time asks for; called at least every 10 ms or so."""
        ...

    def stop(self) -> None:
        """Send nothing new."""
        ...

    @property
    def stored(self) -> int:
        """How many records the hub says that it has stored, up to now."""
        ...

    @property
    def sent(self) -> int:
        """How many records were sent, each counted once."""
        ...


@dataclass(slots=True)
class _Ledger:
    epoch: UUID
    publishes: Publishes
    next_seq: int = 1
    sent_to: int = 0
    upto: int = 0
    progress_s: float = 0.0


@dataclass
class EventsLoad:
    """Each locker sends batches of `events_a_message`, `in_flight` of them before the first is receipted.

    An agent has one in flight. What is asked for again, or not receipted in time, is sent again. Of the fleet, the
    first `lockers_max` lockers send.
    """

    fleet: Fleet
    events_a_message: int
    in_flight: int
    lockers_max: int = 1_000_000
    sent_again: int = 0
    stored: int = 0
    ledgers: dict[str, _Ledger] = field(default_factory=dict)
    senders: list[LockerConnection] = field(default_factory=list)
    _stopped: bool = False
    _looked_s: float = 0.0

    def __post_init__(self) -> None:
        at_ms = time.time_ns() // 1_000_000
        self.senders = self.fleet.lockers[: self.lockers_max]
        for number, locker in enumerate(self.senders):
            epoch = uuid4()
            around = events_around_first(
                epoch=epoch, boot=locker.boot, t=_T, at_ms=at_ms, events=self.events_a_message, door=number % 16 + 1
            )
            self.ledgers[locker.name] = _Ledger(epoch, Publishes(topic_of(locker.name, Channel.EVENTS), *around))

    @property
    def sent(self) -> int:
        """How many events were sent, each counted once."""
        return sum(ledger.sent_to for ledger in self.ledgers.values())

    def start(self) -> None:
        """Send the first batches."""
        now_s = time.monotonic()
        for locker in self.senders:
            self.ledgers[locker.name].progress_s = now_s
            self._fill(locker)

    def told(self, locker: LockerConnection, receipts: list[Receipt]) -> None:
        """Go on after what is receipted, or go back to what is expected."""
        for receipt in receipts:
            ledger = self.ledgers[locker.name]
            if receipt.epoch != ledger.epoch:
                continue
            if receipt.upto is not None and receipt.upto > ledger.upto:
                self.stored += receipt.upto - ledger.upto
                ledger.upto = receipt.upto
                ledger.progress_s = time.monotonic()
                self._fill(locker)
            if receipt.expected is not None and receipt.expected < ledger.next_seq:
                self._again(locker, ledger, receipt.expected)

    def tick(self, now_s: float) -> None:
        """Send again what was not receipted in time."""
        if now_s - self._looked_s < 1:
            return
        self._looked_s = now_s
        for locker in self.senders:
            ledger = self.ledgers[locker.name]
            if ledger.upto < ledger.sent_to and now_s - ledger.progress_s > RESEND_AFTER_S:
                ledger.progress_s = now_s
                self._again(locker, ledger, ledger.upto + 1)

    def stop(self) -> None:
        """Send nothing new."""
        self._stopped = True

    def _again(self, locker: LockerConnection, ledger: _Ledger, seq: int) -> None:
        self.sent_again += ledger.next_seq - seq
        ledger.next_seq = seq
        self._fill(locker)

    def _fill(self, locker: LockerConnection) -> None:
        ledger = self.ledgers[locker.name]
        limit = ledger.upto + self.in_flight * self.events_a_message
        if self._stopped:
            limit = min(limit, ledger.sent_to)
        packets = []
        while ledger.next_seq - 1 + self.events_a_message <= limit:
            packets.append(ledger.publishes.packet(locker.next_packet_id(), ledger.next_seq))
            locker.unacknowledged += 1
            ledger.next_seq += self.events_a_message
        ledger.sent_to = max(ledger.sent_to, ledger.next_seq - 1)
        if packets:
            self.fleet.send(locker, b"".join(packets))


class TelemetryLoad:
    """Single samples, `in_flight` of them beyond what the hub's metrics say is settled.

    So the queues between locker and table stay below their limits, and nothing has a reason to be dropped.
    """

    def __init__(self, fleet: Fleet, *, in_flight: int, http_port: int) -> None:
        self.sent = 0
        self.counts = dict.fromkeys((locker.name for locker in fleet.lockers), 0)
        self._fleet = fleet
        self._in_flight = in_flight
        self._stopped = False
        self._turn = 0
        at_ms = time.time_ns() // 1_000_000
        self._publishes = {
            locker.name: Publishes(
                topic_of(locker.name, Channel.TELEMETRY),
                *telemetry_around_count(boot=locker.boot, at_ms=at_ms),
            )
            for locker in fleet.lockers
        }
        self._progress = Progress(http_port, "sample")

    @property
    def stored(self) -> int:
        """How many samples the hub's metrics say are stored."""
        return self._progress.stored

    def start(self) -> None:
        """Send the first messages."""
        self._progress.start()
        self._fill()

    def told(self, locker: LockerConnection, receipts: list[Receipt]) -> None:
        """Telemetry has no receipts."""

    def tick(self, now_s: float) -> None:
        """Go on as the hub does."""
        del now_s
        self._fill()

    def stop(self) -> None:
        """Send nothing new."""
        self._stopped = True

    def close(self) -> None:
        """Ask the hub no more."""
        self._progress.close()

    def _fill(self) -> None:
        if self._stopped:
            return
        lockers = self._fleet.lockers
        room = self._in_flight - (self.sent - self._progress.settled)
        for _ in range(len(lockers)):
            if room < _BURST:
                return
            locker = lockers[self._turn % len(lockers)]
            self._turn += 1
            if locker.unacknowledged > _UNACKNOWLEDGED_MAX:
                continue
            count = self.counts[locker.name]
            publishes = self._publishes[locker.name]
            self._fleet.send(
                locker,
                b"".join(
                    publishes.packet(locker.next_packet_id(), number)
                    for number in range(count + 1, count + 1 + _BURST)
                ),
            )
            locker.unacknowledged += _BURST
            self.counts[locker.name] = count + _BURST
            self.sent += _BURST
            room -= _BURST


class Progress:
    """The hub's own count of one kind of record, read five times a second by a thread."""

    def __init__(self, http_port: int, record: str) -> None:
        self.stored = 0
        self.settled = 0
        self._record = record
        self._connection = HttpConnection(http_port)
        self._before = settled(self._connection, record)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="progress", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def close(self) -> None:
        """End."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._connection.close()

    def _follow(self) -> None:
        while not self._stop.wait(_SEEN_EVERY_S):
            try:
                now = settled(self._connection, self._record)
            except (BenchError, OSError):
                # The hub has ended: the loop over the lockers says so, with the hub's last words.
                return
            self.stored = now["stored"] - self._before["stored"]
            self.settled = sum(now.values()) - sum(self._before.values())
