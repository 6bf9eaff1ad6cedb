"""A CU16 with its latches, doors and item sensors, made of software: bytes in, bytes out; time is an argument.

A pulse retracts a latch for `pulse_ms`; the ejector's spring then pops the door open 80 to 250 ms after the pulse
began, and only an open door lets the hook go. Pushed shut after the pulse, the latch holds again without power.
Every edge of a hook or an item bit is counted where it happens: what an agent reports is compared with that.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Final

from edge_agent.boards import kerong_cu16 as cu16

POP_MS: Final = (80, 250)
PULSE_MS: Final = 550
_SETTLED_MS: Final = 1500
_SETTLED_READINGS: Final = 10
"""What moved so long ago, and was read so often since, is known to any agent, however busy its machine is."""
_STILL_READINGS: Final = 12
"""Nothing moves until a board that was silent has been read so often: its agent has to learn its levels first."""
_FLICKER_EVERY: Final = 4
"""Of so many readings one is wrong: never two in a row, even where one or two are lost."""


@dataclass(slots=True)
class BoardTruth:
    """Physical edges by lock, from 0: doors that came open, doors that shut, items put in or taken out.

    `by_snapshot` is how many more there were that no agent could see as an edge: its board fell out of reach before
    it was read again, and the first levels after that told of them.
    """

    opened: Counter[int] = field(default_factory=Counter)
    closed: Counter[int] = field(default_factory=Counter)
    occupancy: Counter[int] = field(default_factory=Counter)
    by_snapshot: int = 0


Levels = tuple[bool | None, bool | None]
"""Whether the door is open, and whether there is an item behind it; None where that is not known."""


@dataclass(slots=True)
class _Lock:
    open: bool = False
    item: bool = False
    pulse_until: int = 0
    pops_at: int | None = None
    stuck_until: int = 0
    flickers_until: int = 0


class SimulatedCu16:
    """One board. `now_ms` of all calls is one clock that never goes back.

    Args:
        address: 0 to 9.
        locks: how many of the 16 have a latch; the others read as locked.
        random: decides on pops and jams, so that a seed gives the same board again.
        jam_share: the share of pulses whose latch sticks.
        record: is told of each movement as it happens: `pulse`, `opened`, `closed` or `occupancy`, and the lock.
        watched: says what the agent knows of a lock. A lock moves only once its agent knows of the movement before,
            as a machine that is too busy to poll would see two as one or none. Without it nothing is waited for.
    """

    def __init__(
        self,
        address: int,
        locks: int,
        random: Random,
        *,
        jam_share: float = 0.0,
        record: Callable[[str, int], None] | None = None,
        watched: Callable[[int], Levels] | None = None,
    ) -> None:
        self.address = address
        self.locks = locks
        self.truth = BoardTruth()
        self.pulses: Counter[int] = Counter()
        """Pulses by lock."""
        self.pulse_ms = PULSE_MS
        self._random = random
        self._jam_share = jam_share
        self._record = record or _nobody
        self._watched = watched
        self._unread: dict[int, Counter[int]] = {}
        self._locks = [_Lock() for _ in range(locks)]
        self._frozen = False
        self._silent = False
        self._still_readings = 0
        self._moved_at = 0
        self._moved_reading = 0
        self._flickers_until = 0
        self._readings = 0
        self._next_pop: int | None = None
        self._parser = cu16.RequestParser()
        self._status: bytes | None = None

    def fill(self, locks: Iterable[int]) -> None:
        """Put items behind closed doors before anything begins; these are no edges."""
        for lock in locks:
            self._locks[lock].item = True
        self._status = None

    def receive(self, data: bytes, now_ms: int) -> bytes:
        """Take bytes from the line and return what the board says to them."""
        answer = b""
        if self._silent:
            return answer
        for request in self._parser.feed(data):
            everybody = request.board == cu16.EVERY_BOARD >> 4
            if request.board == self.address or (everybody and request.command == cu16.STATUS_OF_ALL):
                answer += self._obey(request, now_ms)
        return answer

    def is_open(self, lock: int, now_ms: int) -> bool:
        """Whether the door of a lock stands open."""
        self._advance(now_ms)
        return self._locks[lock].open

    def is_known(self, lock: int) -> bool:
        """Whether the agent knows the lock as it is."""
        door = self._locks[lock]
        return self._watched is None or self._watched(lock) == (door.open, door.item)

    def has_item(self, lock: int) -> bool:
        """Whether there is an item behind the door."""
        return self._locks[lock].item

    def push_shut(self, lock: int, now_ms: int) -> bool:
        """Push a door shut. Returns whether it holds: not while the latch is still retracted by a pulse."""
        self._advance(now_ms)
        door = self._locks[lock]
        if self._is_still(lock) or not door.open or now_ms < door.pulse_until:
            return False
        door.open = False
        self._moved(lock, self.truth.closed, now_ms)
        self._record("closed", lock)
        self._status = None
        return True

    def turn_key(self, lock: int, now_ms: int) -> None:
        """Retract a latch by its emergency key."""
        self._advance(now_ms)
        if not self._is_still(lock) and not self._locks[lock].open:
            self._pop(lock, now_ms)

    def set_item(self, lock: int, *, present: bool, now_ms: int) -> bool:
        """Put an item in or take it out, through the open door. Returns whether that changed anything."""
        self._advance(now_ms)
        door = self._locks[lock]
        if self._is_still(lock) or not door.open or door.item == present:
            return False
        door.item = present
        self._moved(lock, self.truth.occupancy, now_ms)
        self._record("occupancy", lock)
        self._status = None
        return True

    def freeze(self, now_ms: int) -> None:
        """Let nothing move any more; the board goes on answering."""
        self._advance(now_ms)
        self._frozen = True

    def stick(self, lock: int, until_ms: int) -> None:
        """Let a latch click and not let go until then."""
        self._locks[lock].stuck_until = until_ms

    def flicker(self, lock: int, until_ms: int) -> None:
        """Let the item sensor of a lock have a loose contact until then."""
        self._locks[lock].flickers_until = until_ms
        self._flickers_until = max(self._flickers_until, until_ms)
        self._status = None

    def fall_silent(self, now_ms: int) -> bool:
        """Stop answering, and let nothing move. Right after a movement it returns False and does nothing."""
        self._advance(now_ms)
        if self._still or not self.is_settled(now_ms):
            return False
        self._silent = True
        return True

    def is_settled(self, now_ms: int) -> bool:
        """Whether everything has stood for so long that its agent knows of it."""
        self._advance(now_ms)
        read = self._readings - self._moved_reading >= _SETTLED_READINGS
        return self._next_pop is None and read and now_ms - self._moved_at >= _SETTLED_MS

    def speak_again(self) -> None:
        """Answer again; doors move again once the board has been read some times."""
        self._silent, self._still_readings = False, _STILL_READINGS

    @property
    def _still(self) -> bool:
        return self._frozen or self._silent or self._still_readings > 0

    def _is_still(self, lock: int) -> bool:
        return self._still or not self.is_known(lock)

    def _obey(self, request: cu16.Request, now_ms: int) -> bytes:
        self._advance(now_ms)
        match request.command:
            case cu16.STATUS:
                self._still_readings = max(0, self._still_readings - 1)
                self._readings += 1
                if self._unread and self._watched is not None:
                    self._look_at_unread(self._watched)
                if now_ms < self._flickers_until:
                    self._status = None
                    return self._status_reply(cu16.STATUS_REPLY, now_ms)
                if self._status is None:
                    self._status = self._status_reply(cu16.STATUS_REPLY)
                return self._status
            case cu16.STATUS_OF_ALL:
                return self._status_reply(cu16.STATUS_OF_ALL_REPLY)
            case cu16.UNLOCK:
                if request.lock < len(self._locks):
                    self._pulse(request.lock, now_ms)
                return b""
            case cu16.PULSE_TIME:
                units = request.data[0] << 8 | request.data[1]
                self.pulse_ms = units * cu16.PULSE_UNIT_MS or self.pulse_ms
                return cu16.pulse_time_reply(self.address, self.pulse_ms)
            case _:
                return b""

    def _pulse(self, lock: int, now_ms: int) -> None:
        self.pulses[lock] += 1
        self._record("pulse", lock)
        door = self._locks[lock]
        pops_after = self._random.randint(*POP_MS)
        jams = self._random.random() < self._jam_share
        if self._is_still(lock) or jams or now_ms < door.stuck_until:
            return
        door.pulse_until = now_ms + self.pulse_ms
        if not door.open and door.pops_at is None:
            door.pops_at = now_ms + pops_after
            self._next_pop = min(door.pops_at, self._next_pop or door.pops_at)

    def _advance(self, now_ms: int) -> None:
        if self._next_pop is None or now_ms < self._next_pop or self._frozen:
            return
        self._next_pop = None
        for lock, door in enumerate(self._locks):
            if door.pops_at is None:
                continue
            if door.pops_at <= now_ms:
                self._pop(lock, now_ms)
            else:
                self._next_pop = min(door.pops_at, self._next_pop or door.pops_at)

    def _pop(self, lock: int, now_ms: int) -> None:
        door = self._locks[lock]
        door.pops_at = None
        if not door.open:
            door.open = True
            self._moved(lock, self.truth.opened, now_ms)
            self._record("opened", lock)
            self._status = None

    def _moved(self, lock: int, edges: Counter[int], now_ms: int) -> None:
        self._moved_at, self._moved_reading = now_ms, self._readings
        edges[lock] += 1
        if self._watched is not None:
            self._unread[lock] = edges

    def _look_at_unread(self, watched: Callable[[int], Levels]) -> None:
        for lock, edges in list(self._unread.items()):
            if self.is_known(lock):
                del self._unread[lock]
            elif None in watched(lock):
                del self._unread[lock]
                edges[lock] -= 1
                self.truth.by_snapshot += 1

    def _status_reply(self, kind: int, now_ms: int | None = None) -> bytes:
        hooks = (1 << cu16.LOCKS) - 1
        items = 0
        for lock, door in enumerate(self._locks):
            hooks &= ~(door.open << lock)
            loose = now_ms is not None and now_ms < door.flickers_until and self._readings % _FLICKER_EVERY == 0
            items |= (door.item ^ loose) << lock
        return cu16.status_reply(self.address, hooks, items, kind=kind)


def _nobody(what: str, lock: int) -> None:
    del what, lock
