"""The sequence of each locker's ledger: what is new, what was seen, where a gap is, what may be receipted.

A locker numbers its events 1, 2, 3 … within an epoch. The hub takes them in that order only. `next_seq` runs
ahead of `committed_seq` while rows are on their way into the database; a receipt speaks of committed rows only.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

Key = tuple[str, UUID]
"""A locker's id and the epoch of its ledger."""


@dataclass(frozen=True, slots=True)
class Take:
    """Store the batch from its event number `skip` (counted from 0); the ones before it were seen.

    `gap` is the range (from, to), both included, that the locker no longer has.
    """

    skip: int
    gap: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """All of the batch was taken before. `upto` is the last committed number, 0 for none."""

    upto: int


@dataclass(frozen=True, slots=True)
class Gap:
    """The batch begins too late: send again from `expected`."""

    expected: int


Verdict = Take | Seen | Gap
_ALL = Take(0)
"""The usual verdict."""


@dataclass(slots=True)
class _Cursor:
    next_seq: int = 1
    committed_next: int = 1


class Ledger:
    """The cursors of the fleet, in memory; the database holds the truth.

    An unknown epoch starts at 1. If the database knows better, the commit fails there and `reset` corrects it,
    which is why the least recently used cursors can be forgotten once there are `cursors_max` of them.
    """

    def __init__(self, cursors_max: int) -> None:
        self._cursors: OrderedDict[Key, _Cursor] = OrderedDict()
        self._cursors_max = cursors_max

    def load(self, cursors: Iterable[tuple[Key, int]]) -> None:
        """Take over committed cursors from the database: the next number of each key."""
        for key, next_seq in cursors:
            self._cursors[key] = _Cursor(next_seq, next_seq)
        self._forget()

    def take(self, key: Key, first: int, count: int, oldest: int | None) -> Verdict:
        """Judge a batch of `count` events beginning at `first`, and run ahead over what is taken."""
        cursor = self._cursor(key)
        end = first + count
        if end <= cursor.next_seq:
            return Seen(cursor.committed_next - 1)
        if first <= cursor.next_seq:
            skip = cursor.next_seq - first
            cursor.next_seq = end
            return Take(skip) if skip else _ALL
        if oldest == first:
            gap = (cursor.next_seq, first - 1)
            cursor.next_seq = end
            return Take(0, gap)
        return Gap(cursor.next_seq)

    def committed(self, key: Key, next_seq: int) -> int:
        """Note that all before `next_seq` is committed. Returns the last number that may be receipted."""
        cursor = self._cursor(key)
        cursor.committed_next = max(cursor.committed_next, next_seq)
        cursor.next_seq = max(cursor.next_seq, cursor.committed_next)
        return cursor.committed_next - 1

    def reset(self, key: Key, next_seq: int | None = None) -> int:
        """Fall back to what is committed, or to `next_seq` as the database has it. Returns what to ask for."""
        cursor = self._cursor(key)
        if next_seq is not None:
            cursor.committed_next = next_seq
        cursor.next_seq = cursor.committed_next
        return cursor.next_seq

    def _cursor(self, key: Key) -> _Cursor:
        cursor = self._cursors.get(key)
        if cursor is None:
            cursor = _Cursor()
            self._forget(room_for=1)
            self._cursors[key] = cursor
        else:
            self._cursors.move_to_end(key)
        return cursor

    def _forget(self, room_for: int = 0) -> None:
        while len(self._cursors) + room_for > self._cursors_max:
            settled = next((k for k, c in self._cursors.items() if c.next_seq == c.committed_next), None)
            if settled is None:
                return
            del self._cursors[settled]
