"""One queue of units before a table, bounded in rows and bytes, in all and for each key."""

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

UNBOUNDED: Final = 2**62


class WriteUnit(Protocol):
    """What is written whole or not at all; `count` is its number of records."""

    @property
    def count(self) -> int:
        """How many records it settles."""
        ...


_U = TypeVar("_U", bound=WriteUnit)


@dataclass(frozen=True, slots=True)
class LaneRoom:
    """The limits of a queue. `key_share` is the part of it that the units of one key may take, 1 for all."""

    rows_max: int
    bytes_max: int = UNBOUNDED
    key_share: float = 1.0

    def part(self, rows_max: int) -> "LaneRoom":
        """Return the limits of a part of the queue, with as much of the bytes as of the rows."""
        return LaneRoom(rows_max, max(1, self.bytes_max * rows_max // self.rows_max), self.key_share)


class WriteLane(Generic[_U]):
    """A queue in order. Neither it nor a key's part of it refuses a unit that would wait there alone."""

    def __init__(self, room: LaneRoom) -> None:
        self.rows = 0
        self.bytes = 0
        self.rows_max = room.rows_max
        self.bytes_max = room.bytes_max
        self._key_rows_max = int(room.rows_max * room.key_share)
        self._key_bytes_max = int(room.bytes_max * room.key_share)
        self._units: deque[tuple[_U, Hashable, int]] = deque()
        self._waiting: dict[Hashable, list[int]] = {}
        """By key: units, rows, bytes."""

    def __len__(self) -> int:
        return len(self._units)

    def refuses(self, count: int, size: int, key: Hashable) -> str | None:
        """Return which limit a unit of `count` records and `size` bytes would exceed: rows, bytes or share."""
        if self.rows and self.rows + count > self.rows_max:
            return "rows"
        if self.bytes and self.bytes + size > self.bytes_max:
            return "bytes"
        held = self._waiting.get(key)
        if held is not None and (held[1] + count > self._key_rows_max or held[2] + size > self._key_bytes_max):
            return "share"
        return None

    def put(self, unit: _U, key: Hashable, size: int) -> None:
        """Append a unit."""
        self._units.append((unit, key, size))
        self.rows += unit.count
        self.bytes += size
        if key is None:
            return
        held = self._waiting.get(key)
        if held is None:
            self._waiting[key] = [1, unit.count, size]
        else:
            held[0] += 1
            held[1] += unit.count
            held[2] += size

    def take(self, rows_max: int, lanes: "dict[Hashable, WriteLane[_U]]") -> tuple[list[_U], int, int]:
        """Take units of so many rows, at least one unit if there is one, and let keys go that wait no more.

        Returns them, their rows and their bytes.
        """
        units: list[_U] = []
        rows = taken_bytes = 0
        while self._units and (not units or rows + self._units[0][0].count <= rows_max):
            unit, key, size = self._units.popleft()
            units.append(unit)
            rows += unit.count
            taken_bytes += size
            if key is None:
                continue
            held = self._waiting[key]
            if held[0] == 1:
                del self._waiting[key], lanes[key]
            else:
                held[0] -= 1
                held[1] -= unit.count
                held[2] -= size
        self.rows -= rows
        self.bytes -= taken_bytes
        return units, rows, taken_bytes
