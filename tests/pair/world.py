"""One world with one true time, and the machines in it, whose clocks are wrong each in its own way.

Time is an integer of nanoseconds. It stands still while something happens, and jumps to the next thing that does.
"""

import hashlib
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

if TYPE_CHECKING:
    from tests.pair.broker import Broker
    from tests.pair.database import Database

MS: Final = 1_000_000
SECOND: Final = 1_000_000_000
TRUE_EPOCH_MS: Final = 1_795_219_200_000
"""The true wall clock when a world begins, in Unix milliseconds."""
_MILLION: Final = 1_000_000
_ROUNDING_NS: Final = 1_000
"""A loop's time is a float of seconds, which rounds by less than this."""

Line = tuple[int, str, str, tuple[Any, ...]]


class Over(Exception):  # noqa: N818 - a state of the world, not a mistake of the program
    """A promise was broken, or things went on happening beyond every bound."""


class World:
    """What happens, when, and everything that is known to have happened (`trace`).

    `breach` is what the checkers call; the world ends with what is happening then (`Over`).
    """

    broker: "Broker"
    database: "Database"

    def __init__(self, seed: int, *, steps_max: int = 400_000) -> None:
        self.random = Random(seed)
        self.now_ns = 0
        self.over = False
        self.trace: list[Line] = []
        self.breaches: list[str] = []
        self.traps: dict[tuple[str, str], list[tuple[int, Callable[[], None]]]] = {}
        self._passed: dict[tuple[str, str], int] = {}
        self._due: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._number = count()
        self._steps_left = steps_max

    def at(self, ns: int, act: Callable[..., None], *args: Any) -> None:  # noqa: ANN401 - passed through
        """Let something happen at a true time."""
        heappush(self._due, (max(ns, self.now_ns), next(self._number), act, args))

    def after(self, seconds: float, act: Callable[..., None], *args: Any) -> None:  # noqa: ANN401 - passed through
        """Let something happen in a while."""
        self.at(self.now_ns + int(seconds * SECOND), act, *args)

    def run(self, until_ns: int, done: Callable[[], bool] | None = None) -> bool:
        """Go on until a true time, or until `done` says so after something has happened. Returns whether it did."""
        due = self._due
        while due and due[0][0] <= until_ns:
            self.now_ns, _, act, args = heappop(due)
            act(*args)
            self._steps_left -= 1
            if self._steps_left < 0:
                self.breach("exception", "more happens than ever should: something goes round in circles")
            if self.breaches:
                raise Over
            if done is not None and done():
                return True
        self.now_ns = until_ns
        return done is not None and done()

    def note(self, who: str, what: str, *details: object) -> None:
        """Write a line of the trace."""
        if not self.over:
            self.trace.append((self.now_ns, who, what, details))

    def breach(self, rule: str, text: str) -> None:
        """Write down that something happened which must never happen."""
        if self.over:
            return
        line = f"{rule}: {text}"
        self.note("checker", "BREACH", line)
        self.breaches.append(line)

    def trap(self, who: str, point: str, nth: int, act: Callable[[], None]) -> None:
        """Let `act` happen when `who` passes `point` for the nth time from now on."""
        passed = self._passed.get((who, point), 0)
        self.traps.setdefault((who, point), []).append((passed + nth, act))

    def passes(self, who: str, point: str) -> None:
        """Spring the traps that were laid here."""
        key = (who, point)
        passed = self._passed[key] = self._passed.get(key, 0) + 1
        traps = self.traps.get(key)
        if not traps:
            return
        sprung = [act for nth, act in traps if nth == passed]
        if sprung:
            left = [one for one in traps if one[0] != passed]
            if left:
                self.traps[key] = left
            else:
                del self.traps[key]
            self.note(who, "trap", point)
            for act in sprung:
                act()

    def latency(self, low_ms: float, high_ms: float) -> int:
        """Return a random time in nanoseconds."""
        return int((low_ms + self.random.random() * (high_ms - low_ms)) * MS)

    def uuid(self) -> UUID:
        """Return a random id of this world's chance."""
        return UUID(bytes=self.random.randbytes(16), version=4)

    def lines(self) -> list[str]:
        """Return the trace for people: a line for each thing that happened."""
        return [
            f"{now / SECOND:11.6f} {who:<12} {what:<12} {' '.join(str(detail) for detail in details)}".rstrip()
            for now, who, what, details in self.trace
        ]

    def digest(self) -> str:
        """Return a hash of the whole history."""
        return hashlib.sha256("\n".join(self.lines()).encode()).hexdigest()


class Machine:
    """A machine's clocks since it was booted: BOOTTIME with its drift, and a wall clock that may be wrong."""

    def __init__(self, world: World, *, drift_ppm: int, uptime_ms: int, wall_error_ms: int = 0) -> None:
        self.boot = world.uuid()
        self.wall_error_ms = wall_error_ms
        self._world = world
        self._began_ns = world.now_ns
        self._uptime_ns = uptime_ms * MS
        self._rate = _MILLION + drift_ppm

    def boot_ns(self) -> int:
        """Return CLOCK_BOOTTIME in nanoseconds."""
        return self._uptime_ns + (self._world.now_ns - self._began_ns) * self._rate // _MILLION

    def wall_ms(self) -> int:
        """Return what this machine takes for the Unix time in milliseconds."""
        return max(0, TRUE_EPOCH_MS + self._world.now_ns // MS + self.wall_error_ms)

    def true_ns(self, boot_s: float) -> int:
        """Return the true time at which `boot_ns` will have reached so many seconds."""
        distance_ns = int(boot_s * SECOND) - self._uptime_ns
        return self._began_ns + distance_ns * _MILLION // self._rate + _ROUNDING_NS
