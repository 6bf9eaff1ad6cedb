"""Times that lie near each other as spans; numbers as PostgreSQL writes ranges of them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise


def spans(times: Sequence[datetime], near: timedelta) -> list[tuple[datetime, datetime]]:
    """Return the spans, both ends included, of ascending times whose neighbours are at most `near` apart."""
    if not times:
        return []
    breaks = [place for place, (one, two) in enumerate(pairwise(times), 1) if two - one > near]
    starts, ends = [0, *breaks], [*breaks, len(times)]
    return [(times[start], times[end - 1]) for start, end in zip(starts, ends, strict=True)]


def multirange(numbers: Sequence[int]) -> str:
    """Return distinct numbers, in any order, as an int8multirange is written: `{[1,4),[7,8)}`."""
    parts: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if parts and parts[-1][1] == number:
            parts[-1] = (parts[-1][0], number + 1)
        else:
            parts.append((number, number + 1))
    return "{" + ",".join(f"[{start},{end})" for start, end in parts) + "}"
