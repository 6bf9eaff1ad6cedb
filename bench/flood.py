"""`python -m bench.flood PORT PASSWORD_FILE RATE LOCKER`: one locker's events, one a message, until SIGTERM.

A locker gone wrong: it heeds no limit, and sends again from wherever the hub asks. Prints how many it has sent.
"""

import signal
import sys
import time
from pathlib import Path
from typing import Final
from uuid import uuid4

from bench.lockers import Fleet, LockerConnection
from bench.messages import events_around_first
from bench.mqtt_packets import Publishes
from wire.messages import Receipt
from wire.topics import Channel, topic_of

_TURN_S: Final = 0.002
_CATCH_UP_S_MAX: Final = 0.1
_UNACKNOWLEDGED_MAX: Final = 20_000


def send(port: int, password: str, rate_per_s: float, name: str) -> int:
    """Send until SIGTERM; return how many."""
    fleet = Fleet([name], port, password)
    (locker,) = fleet.lockers
    at_ms = time.time_ns() // 1_000_000
    around = events_around_first(epoch=(epoch := uuid4()), boot=locker.boot, t=1, at_ms=at_ms, events=1)
    publishes = Publishes(topic_of(name, Channel.EVENTS), *around)
    going = True
    seq = 1

    def stop(*_: object) -> None:
        nonlocal going
        going = False

    def told(_: LockerConnection, receipts: list[Receipt]) -> None:
        nonlocal seq
        for receipt in receipts:
            if receipt.epoch == epoch and receipt.expected is not None:
                seq = receipt.expected

    signal.signal(signal.SIGTERM, stop)
    sent = 0
    due, before_s = 0.0, time.monotonic()
    while going:
        now_s = time.monotonic()
        due += min(now_s - before_s, _CATCH_UP_S_MAX) * rate_per_s
        before_s = now_s
        packets = []
        while due >= 1 and locker.unacknowledged < _UNACKNOWLEDGED_MAX:
            packets.append(publishes.packet(locker.next_packet_id(), seq))
            locker.unacknowledged += 1
            seq += 1
            sent += 1
            due -= 1
        if packets:
            fleet.send(locker, b"".join(packets))
        fleet.turn(told, _TURN_S)
    fleet.close()
    return sent


if __name__ == "__main__":
    print(send(int(sys.argv[1]), Path(sys.argv[2]).read_text().strip(), float(sys.argv[3]), sys.argv[4]))
