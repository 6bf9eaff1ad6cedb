"""What a locker says of numbers that it deleted before they were confirmed: its event `outbox.gap`."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from wire.messages import Event, EventKind

KIND: Final = EventKind.OUTBOX_GAP.value
UNKNOWN: Final = "unknown"
"""The reason of a gap that no locker has given one for."""
_REASON_CHARACTERS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class DeclaredGap:
    """A range of numbers, both ends included, that will never come, and why."""

    from_seq: int
    to_seq: int
    reason: str


def declared_gap(event: Event, seq: int) -> DeclaredGap | None:
    """Return what an `outbox.gap` with number `seq` says of numbers; None where it only counts events without any.

    A range that is none, or that does not lie before the event itself, says nothing: the locker numbers its events
    in the order in which it writes them.
    """
    data = event.data or {}
    first, last, reason = data.get("from"), data.get("to"), data.get("reason")
    # In Python, and not in JSON, true is a number.
    if type(first) is not int or type(last) is not int or not 1 <= first <= last < seq:
        return None
    if not isinstance(reason, str) or not reason:
        reason = UNKNOWN
    return DeclaredGap(first, last, reason[:_REASON_CHARACTERS_MAX])


def disjoint(told: Sequence[DeclaredGap]) -> list[DeclaredGap]:
    """Return what is said of each number, first word first, as ranges in order that do not overlap.

    A word without a reason says nothing. Takes O(n log n), whatever the ranges; there are at most twice as many.
    """
    told = [one for one in told if one.reason != UNKNOWN]
    starts = sorted(range(len(told)), key=lambda place: told[place].from_seq)
    edges = sorted({edge for one in told for edge in (one.from_seq, one.to_seq + 1)})
    found: list[DeclaredGap] = []
    open_: list[int] = []
    next_start = 0
    for begin, end in pairwise(edges):
        while next_start < len(starts) and told[starts[next_start]].from_seq == begin:
            heapq.heappush(open_, starts[next_start])
            next_start += 1
        while open_ and told[open_[0]].to_seq < begin:
            heapq.heappop(open_)
        if not open_:
            continue
        reason = told[open_[0]].reason
        if found and found[-1].to_seq == begin - 1 and found[-1].reason == reason:
            found[-1] = DeclaredGap(found[-1].from_seq, end - 1, reason)
        else:
            found.append(DeclaredGap(begin, end - 1, reason))
    return found
