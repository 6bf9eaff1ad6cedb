"""`python -m bench.live_load PORT PASSWORD_FILE RATE < names`: doors open and shut at a steady rate until SIGTERM.

First every locker tells that all its doors are closed; then `ready` is printed. At the end one JSON object tells
which locker sent when, in Unix milliseconds, by its place among the names. Each of these events changes what is
shown of its locker, which says nothing else. A process of its own, so that it does not hold up who measures.
"""

import json
import resource
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

from bench.lockers import Fleet, LockerConnection
from bench.mqtt_packets import publish
from wire.messages import PROTOCOL, Clock, Event, EventBatch, EventKind, encode
from wire.topics import Channel, topic_of

_DOORS: Final = 16
_TURN_S: Final = 0.002
_CATCH_UP_S_MAX: Final = 0.1
_SNAPSHOTS_PER_S: Final = 1500


@dataclass(slots=True)
class _Ledger:
    connection: LockerConnection
    topic: str
    epoch: UUID = field(default_factory=uuid4)
    next_seq: int = 1
    is_open: bool = False

    def packet(self, t: int, kind: EventKind, door: int | None, data: dict[str, Any] | None = None) -> bytes:
        """Return the next event of this ledger, as it goes over the wire."""
        at = time.time_ns() // 1_000_000
        said = EventBatch(
            v=PROTOCOL, boot=self.connection.boot, t=t, at=at, clock=Clock.SYNCED, epoch=self.epoch,
            first=self.next_seq, events=[Event(t=t, at=at, kind=kind, door=door, data=data)],
        )  # fmt: skip
        self.next_seq += 1
        self.connection.unacknowledged += 1
        return publish(self.topic, encode(said), self.connection.next_packet_id())


class Doors:
    """Everybody's doors. `sent` is the place of the locker and the moment of each door event."""

    def __init__(self, fleet: Fleet) -> None:
        self.sent: list[tuple[int, int]] = []
        self.going = True
        self._fleet = fleet
        self._ledgers = [_Ledger(one, topic_of(one.name, Channel.EVENTS)) for one in fleet.lockers]
        self._began_s = time.monotonic()

    def close_all(self) -> None:
        """Tell once of each locker that its doors are closed."""
        doors = {"doors": [[number, "closed", True] for number in range(1, _DOORS + 1)]}
        self._evenly(
            _SNAPSHOTS_PER_S, len(self._ledgers),
            lambda place: self._ledgers[place].packet(self._t(), EventKind.SNAPSHOT, None, doors),
        )  # fmt: skip

    def move(self, rate_per_s: float) -> None:
        """Open and shut one door of each locker in turn, until `going` is false."""

        def next_of(number: int) -> bytes:
            place = number % len(self._ledgers)
            ledger = self._ledgers[place]
            ledger.is_open = not ledger.is_open
            kind = EventKind.DOOR_OPENED if ledger.is_open else EventKind.DOOR_CLOSED
            packet = ledger.packet(self._t(), kind, place % _DOORS + 1)
            self.sent.append((place, time.time_ns() // 1_000_000))
            return packet

        self._evenly(rate_per_s, None, next_of)

    def _evenly(self, rate_per_s: float, count: int | None, packet_of: Any) -> None:  # noqa: ANN401 - a function
        number, due, before_s = 0, 0.0, time.monotonic()
        while self.going and (count is None or number < count):
            now_s = time.monotonic()
            # After a pause of this process the rate goes on; what was missed meanwhile is no burst.
            due += min(now_s - before_s, _CATCH_UP_S_MAX) * rate_per_s
            before_s = now_s
            while due >= 1 and (count is None or number < count):
                self._fleet.send(self._fleet.lockers[number % len(self._ledgers)], packet_of(number))
                number += 1
                due -= 1
            self._fleet.turn(lambda *_: None, _TURN_S)

    def _t(self) -> int:
        return 1000 + int((time.monotonic() - self._began_s) * 1000)


def main() -> None:
    """Send until SIGTERM."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    port, password, rate = int(sys.argv[1]), Path(sys.argv[2]).read_text().strip(), float(sys.argv[3])
    fleet = Fleet(sys.stdin.read().split(), port, password)
    doors = Doors(fleet)

    def stop(*_: object) -> None:
        doors.going = False

    signal.signal(signal.SIGTERM, stop)
    doors.close_all()
    print("ready", flush=True)
    doors.move(rate)
    fleet.close()
    print(json.dumps({"sent": doors.sent}), flush=True)


if __name__ == "__main__":
    main()
