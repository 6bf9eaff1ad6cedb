"""The sequence of each locker's ledger: what is new, what was seen, where a gap is, what may be receipted.

A locker numbers its events 1, 2, 3 … within an epoch. The hub takes them in that order only. `next_seq` runs
ahead of `committed_seq` while rows are on their way into the database; a receipt speaks of committed rows only.

A *chain* names a history up to a number: equal chains, equal history (docs/protocol.md). Where a batch's chain is
not the one that is known, two lockers write under one name, and nothing of it may be taken or confirmed. None
stands for a chain that is not known, which contradicts nothing: agents of before, and what lies behind a gap.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import overload
from uuid import UUID

from wire.messages import CHAIN_START

Key = tuple[str, UUID]
"""A locker's id and the epoch of its ledger."""

Stand = tuple[int, str | None]
"""Where a ledger is: the next number, and the chain before it."""

START: Stand = (1, CHAIN_START)
"""Where every ledger begins."""


@dataclass(frozen=True, slots=True)
class Take:
    """Store the batch from its event number `skip` (counted from 0); the ones before it were seen.

    `gap` is the range (from, to), both included, that the locker no longer has; `chain` the one before it.
    """

    skip: int
    gap: tuple[int, int] | None = None
    chain: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class AlreadyStored:
    """All of the batch was taken before. `upto` is the last committed number, 0 for none, `chain` the one there."""

    upto: int
    chain: str | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """The batch cannot be taken as it begins: send again from exactly `expected`."""

    expected: int


@dataclass(frozen=True, slots=True)
class Fork:
    """The batch is of another history: at number `at` its chain is `theirs`, and not `ours`."""

    at: int
    ours: str
    theirs: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """There is no cursor of this ledger: it is new, or was forgotten. `Ledger.begin` makes one."""


Verdict = Take | AlreadyStored | Gap | Fork | Unknown
_ALL = Take(0)
"""The usual verdict."""
UNKNOWN = Unknown()


@dataclass(slots=True)
class _Cursor:
    next_seq: int = 1
    chain: str | None = CHAIN_START
    committed_next: int = 1
    committed_chain: str | None = CHAIN_START


def contradict(one: str | None, other: str | None) -> bool:
    """Say whether two chains at one number are of two histories."""
    return one is not None and other is not None and one != other


class Ledger:
    """The cursors of the fleet, in memory; the database holds the truth.

    The least recently used cursors are forgotten once there are `cursors_max` of them. A ledger without a cursor is
    `Unknown`, or begins at 1 where `begins_new`: if the database knows better, the commit fails there and `reset`
    corrects it, but what is told of its events before that is told twice.
    """

    def __init__(self, cursors_max: int, *, begins_new: bool = True) -> None:
        self._cursors: OrderedDict[Key, _Cursor] = OrderedDict()
        self._cursors_max = cursors_max
        self._begins_new = begins_new
        self.complete = True
        """Whether no cursor was ever forgotten: then an unknown ledger is a new one."""

    def load(self, cursors: Iterable[tuple[Key, Stand]]) -> None:
        """Take over committed cursors from the database."""
        for key, stand in cursors:
            self._cursors[key] = _Cursor(*stand, *stand)
        self._forget()

    def knows(self, key: Key) -> bool:
        """Say whether there is a cursor of a ledger."""
        return key in self._cursors

    def begin(self, key: Key, stand: Stand = START) -> None:
        """Make a cursor of a ledger that is unknown, as the database has it."""
        assert key not in self._cursors, "it stands where it stands"  # noqa: S101
        self._forget(room_for=1)
        self._cursors[key] = _Cursor(*stand, *stand)

    def take(
        self,
        key: Key,
        first: int,
        count: int,
        oldest: int | None,
        prev: str | None = None,
        chain: str | None = None,
    ) -> Verdict:
        """Judge a batch of `count` events beginning at `first`, and run ahead over what is taken.

        Args:
            key: whose ledger.
            first: the number of the batch's first event.
            count: how many events it has, at least one.
            oldest: the first number that the locker still has, where it says so.
            prev: the chain before the first event, None where it is not said.
            chain: the chain after the last one, None where it is not said.
        """
        cursor = self._cursor(key, begins=self._begins_new)
        if cursor is None:
            return UNKNOWN
        next_seq, known = cursor.next_seq, cursor.chain
        end = first + count
        if end <= next_seq:
            if end == next_seq and known is not None and chain is not None and chain != known:
                return Fork(end - 1, known, chain)
            return AlreadyStored(cursor.committed_next - 1, cursor.committed_chain)
        if first == next_seq:
            # A declared gap's `prev` speaks of what nobody has any more: only here it can be held against ours.
            if known is not None and prev is not None and prev != known:
                return Fork(first - 1, known, prev)
            verdict = _ALL
        elif first < next_seq:
            if known is not None and prev is not None:
                # Its `prev` is of a place that is past. What begins exactly here can be checked.
                return Gap(next_seq)
            verdict = Take(next_seq - first)
        elif oldest == first:
            verdict = Take(0, (next_seq, first - 1), known)
        else:
            return Gap(next_seq)
        cursor.next_seq = end
        cursor.chain = chain
        return verdict

    def committed(self, key: Key, next_seq: int, chain: str | None = None) -> Stand:
        """Note that all before `next_seq` is committed, and that the chain is `chain` there.

        Returns the last number that may be receipted, and the chain at it.
        """
        cursor = self._cursor(key)
        if next_seq >= cursor.committed_next:
            cursor.committed_next = next_seq
            cursor.committed_chain = chain
            if next_seq >= cursor.next_seq:
                cursor.next_seq = next_seq
                cursor.chain = chain
        return cursor.committed_next - 1, cursor.committed_chain

    def put_back(self, key: Key, gap: Take) -> None:
        """Stand again where the ledger was before its last verdict, which was to take a gap."""
        assert gap.gap is not None, "nothing else can be put back"  # noqa: S101
        cursor = self._cursor(key)
        cursor.next_seq, cursor.chain = gap.gap[0], gap.chain

    def reset(self, key: Key, stand: Stand | None = None) -> int:
        """Fall back to what is committed, or to `stand` as the database has it. Returns what to ask for."""
        cursor = self._cursor(key)
        if stand is not None:
            cursor.committed_next, cursor.committed_chain = stand
        cursor.next_seq, cursor.chain = cursor.committed_next, cursor.committed_chain
        return cursor.next_seq

    @overload
    def _cursor(self, key: Key) -> _Cursor: ...

    @overload
    def _cursor(self, key: Key, *, begins: bool) -> _Cursor | None: ...

    def _cursor(self, key: Key, *, begins: bool = True) -> _Cursor | None:
        cursor = self._cursors.get(key)
        if cursor is None:
            if not begins:
                return None
            cursor = _Cursor()
            self._forget(room_for=1)
            self._cursors[key] = cursor
        elif len(self._cursors) * 2 > self._cursors_max:
            # To hash a key costs as much as the rest of a verdict; who was used last matters only near the limit.
            self._cursors.move_to_end(key)
        return cursor

    def _forget(self, room_for: int = 0) -> None:
        while len(self._cursors) + room_for > self._cursors_max:
            settled = next((k for k, c in self._cursors.items() if c.next_seq == c.committed_next), None)
            if settled is None:
                return
            del self._cursors[settled]
            self.complete = False
