"""How often something happened within a time: the counting behind repetitions."""

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, field
from math import inf


@dataclass(slots=True)
class Repetitions:
    """Those of one condition at one place, by when they happened: a backlog of a week in a second is no burst.

    At the most twice as many are kept as are asked for, so that what happened long ago and what happens now can be
    counted side by side. One more costs two or three searches by halving, in whatever order they come.
    """

    clearable: bool = False
    """Whether an event begins the count anew."""
    _seen: list[tuple[float, int, object]] = field(default_factory=list)
    """When, a number of its own, and of what; the oldest first."""
    _of: dict[object, tuple[float, int, object]] = field(default_factory=dict)
    _number: int = 0

    def add(self, at_s: float, *, within_s: float, count: int, of: object = None) -> int:
        """Take one more; return how many there are within the time of it, it among them, but no more than `count`.

        Args:
            at_s: when it happened.
            within_s: how far from it others may be.
            count: how many are looked for.
            of: what it is of, where each counts once, with its last one; None where every one counts.
        """
        seen = self._seen
        self._number += 1
        one = (at_s, self._number, of)
        if of is not None:
            before = self._of.get(of)
            if before is not None:
                del seen[bisect_left(seen, before)]
            self._of[of] = one
        insort(seen, one)
        if len(seen) < count:
            # Most of the time that is all.
            return len(seen)
        first = bisect_left(seen, (at_s - within_s,))
        end = bisect_right(seen, (at_s + within_s, inf))
        near = end - first
        if len(seen) > 2 * count:
            # The oldest of whichever there are more than enough: around this one, before it, after it.
            gone = seen.pop(first if near > count else 0 if first > len(seen) - end else end)
            if gone[2] is not None:
                del self._of[gone[2]]
        return min(near, count)
