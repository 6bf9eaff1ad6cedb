"""`python -m bench.background PORT PASSWORD_FILE RATE LOCKER...`: telemetry at a steady rate until SIGTERM.

Prints how many samples it has sent, at the end. A process of its own, so that it does not hold up who measures.
"""

import signal
import sys
import time
from pathlib import Path
from typing import Final

from bench.lockers import Fleet
from bench.messages import telemetry_around_count
from bench.mqtt_packets import Publishes
from wire.topics import Channel, topic_of

_TURN_S: Final = 0.002
_CATCH_UP_S_MAX: Final = 0.1


def send(port: int, password: str, rate_per_s: float, names: list[str]) -> int:
    """Send until SIGTERM, evenly in time and over the lockers; return how many."""
    fleet = Fleet(names, port, password)
    at_ms = time.time_ns() // 1_000_000
    publishes = [
        Publishes(topic_of(locker.name, Channel.TELEMETRY), *telemetry_around_count(boot=locker.boot, at_ms=at_ms))
        for locker in fleet.lockers
    ]
    going = True

    def stop(*_: object) -> None:
        nonlocal going
        going = False

    signal.signal(signal.SIGTERM, stop)
    sent = 0
    due, before_s = 0.0, time.monotonic()
    while going:
        now_s = time.monotonic()
        # After a pause of this process the rate goes on; what was missed meanwhile is no burst.
        due += min(now_s - before_s, _CATCH_UP_S_MAX) * rate_per_s
        before_s = now_s
        while due >= 1:
            index = sent % len(names)
            locker = fleet.lockers[index]
            fleet.send(locker, publishes[index].packet(locker.next_packet_id(), sent // len(names) + 1))
            locker.unacknowledged += 1
            sent += 1
            due -= 1
        fleet.turn(lambda *_: None, _TURN_S)
    while any(locker.unacknowledged for locker in fleet.lockers):
        fleet.turn(lambda *_: None, _TURN_S)
    fleet.close()
    return sent


if __name__ == "__main__":
    print(send(int(sys.argv[1]), Path(sys.argv[2]).read_text().strip(), float(sys.argv[3]), sys.argv[4:]))
