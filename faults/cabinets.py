"""`python -m faults.cabinets DIRECTORY SEED DOORS LOCKER...`: the boards of some lockers, and the people at them.

A process of its own, so that doors and their truth outlive any agent, and no load of the harness delays an answer.
First it prints each locker's terminal, as one JSON object. `DIRECTORY/LOCKER.jsonl` then gets a line for each
movement, timed by CLOCK_BOOTTIME in ms; `within_ms` is how much earlier it may have been. A line `busy` on standard
input lets people come: some open a door by the emergency key, and all doors are shut after a while; after `calm`
nobody comes, and what is open is shut.
"""

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path
from random import Random
from typing import Final

from edge_agent.simulator.board_terminal import BoardTerminal
from edge_agent.simulator.cu16_board import SimulatedCu16

LOCKS: Final = 16
KEY_DOORS: Final = 2
"""The last doors of a locker are opened by key, the others by command."""
OPEN_S: Final = (0.8, 1.6)
"""How long a door stands open: long enough to be seen at 20 readings a second, and through a busy moment."""
_TICK_S: Final = 0.05
_ASIDE_MS: Final = 200
"""Boards that have not looked up for so long were put aside, and do not know when in that time a frame came."""
_AFTER_ASIDE_MS: Final = 20
"""What is read so soon after it may have come in that time."""
_KEYS_PER_S: Final = 0.25
_NICENESS: Final = -10


class Attention:
    """How exactly the boards know when a frame came."""

    def __init__(self) -> None:
        self._looked_ms: int | None = None
        self._aside: tuple[int, int] | None = None

    def look(self, now_ms: int) -> int:
        """Look up; return for how long what is read now may have been waiting, in ms."""
        if self._looked_ms is not None and now_ms - self._looked_ms > _ASIDE_MS:
            self._aside = self._looked_ms, now_ms
        self._looked_ms = now_ms
        if self._aside is None or now_ms - self._aside[1] > _AFTER_ASIDE_MS:
            return 0
        return now_ms - self._aside[0]


class Cabinet:
    """The boards of one locker on one terminal, and the record of what they did."""

    def __init__(self, name: str, doors: int, directory: Path, random: Random) -> None:
        self.name = name
        self.doors = doors
        self._random = random
        self._file = os.open(directory / f"{name}.jsonl", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        self._boards = [
            SimulatedCu16(
                address,
                min(LOCKS, doors - first),
                random,
                record=lambda what, lock, first=first: self._write(what, first + lock + 1),  # type: ignore[misc]
            )
            for address, first in enumerate(range(0, doors, LOCKS))
        ]
        self._shut_at: dict[int, float] = {}
        self._attention = Attention()
        self._within_ms = 0
        self._terminal = BoardTerminal(self._respond)

    @property
    def port(self) -> str:
        """The path that an agent opens like a serial port."""
        return self._terminal.port

    def tick(self, now_s: float, *, busy: bool) -> None:
        """Let people come, and shut what is open for long enough. `now_s` stands still while the boards do."""
        now_ms = _now_ms()
        self._within_ms = self._attention.look(now_ms)
        if busy and self._random.random() < _KEYS_PER_S * _TICK_S:
            board, lock = self._at(self._random.randint(self.doors - KEY_DOORS + 1, self.doors))
            board.turn_key(lock, now_ms)
        for door in range(1, self.doors + 1):
            board, lock = self._at(door)
            if not board.is_open(lock, now_ms):
                continue
            shut_at = self._shut_at.setdefault(door, now_s + self._random.uniform(*OPEN_S))
            if now_s >= shut_at and board.push_shut(lock, now_ms):
                del self._shut_at[door]

    def close(self) -> None:
        """Hang up."""
        self._terminal.close()
        os.close(self._file)

    def _at(self, door: int) -> tuple[SimulatedCu16, int]:
        return self._boards[(door - 1) // LOCKS], (door - 1) % LOCKS

    def _respond(self, data: bytes) -> bytes:
        now_ms = _now_ms()
        self._within_ms = self._attention.look(now_ms)
        return b"".join(board.receive(data, now_ms) for board in self._boards)

    def _write(self, what: str, door: int) -> None:
        record = {"t": _now_ms(), "what": what, "door": door, "within_ms": self._within_ms}
        os.write(self._file, json.dumps(record).encode() + b"\n")


async def serve(directory: Path, seed: str, doors: int, names: list[str]) -> None:
    """Answer until SIGTERM, or until standard input ends."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    cabinets = [Cabinet(name, doors, directory, Random(f"{seed}/{name}")) for name in names]
    busy = False

    def told() -> None:
        nonlocal busy
        line = sys.stdin.readline()
        busy = line.strip() == "busy"
        if not line:
            loop.remove_reader(sys.stdin)
            stop.set()

    loop.add_reader(sys.stdin, told)
    print(json.dumps({cabinet.name: cabinet.port for cabinet in cabinets}), flush=True)
    had_s, ticked_s = 0.0, loop.time()
    while not stop.is_set():
        # While all stand still nobody can see a door stand open: that time does not count.
        now_s = loop.time()
        had_s, ticked_s = had_s + min(now_s - ticked_s, _ASIDE_MS / 1000), now_s
        for cabinet in cabinets:
            cabinet.tick(had_s, busy=busy)
        await asyncio.sleep(_TICK_S)
    for cabinet in cabinets:
        cabinet.close()


def _now_ms() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


if __name__ == "__main__":
    if os.geteuid() == 0:
        # A board has a processor of its own.
        os.nice(_NICENESS)
    asyncio.run(serve(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4:]))
