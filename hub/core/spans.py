"""Spans of time that somebody asks for: what is missing is filled in, nonsense is refused with a sentence."""

from datetime import UTC, datetime, timedelta
from typing import Final

Span = tuple[datetime, datetime]
"""From the first instant, before the second."""

LONGEST: Final = timedelta(days=3660)
"""Ten years: longer than anything is kept."""
EVER: Final = timedelta(days=366 * 8)
"""How far back "from the beginning" is: a year more than events are kept."""
FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LAST: Final = datetime(2200, 1, 1, tzinfo=UTC)
"""Nothing of a hub is before the first or from the last on; any span can be added to what lies between."""
_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_AHEAD: Final = timedelta(minutes=1)


class BadSpan(ValueError):  # noqa: N818 - what it is
    """A span that makes no sense; the text is a sentence."""


def span(since: datetime | None, until: datetime | None, *, now: datetime, back: timedelta) -> Span:
    """Return the span that is meant, in UTC: to a minute after `now`, from `back` before, where nothing is said.

    Raises BadSpan.
    """
    # The end is excluded, and a locker's newest event may be stamped in this very millisecond.
    newest = now + _AHEAD
    end = newest if until is None else _utc(until)
    start = max(min(end, newest) - back, _EARLIEST) if since is None else _utc(since)
    if start >= end:
        raise BadSpan(f"`since` ({_shown(start)}) is not before `until` ({_shown(end)}).")
    if end - start > LONGEST:
        raise BadSpan(f"From {_shown(start)} to {_shown(end)} is more than ten years; nothing is kept for so long.")
    return start, end


def past_moment(at: datetime, *, now: datetime) -> datetime:
    """Return a moment of the past in UTC. Raises BadSpan for one that is still to come, or that nobody has seen."""
    moment = _utc(at)
    if moment > now:
        raise BadSpan(f"`at` ({_shown(moment)}) is still to come; it is {_shown(now.replace(microsecond=0))}.")
    if moment < _EARLIEST:
        raise BadSpan(f"`at` ({_shown(moment)}) is before the year 2000; no locker is so old.")
    return moment


def read_time(text: str) -> datetime:
    """Read a time with its offset, as `2026-11-20T08:00:00Z`. Raises BadSpan."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise BadSpan(f"{text[:40]!r} is not a time; 2026-11-20T08:00:00Z is one.") from None
    if at.tzinfo is None:
        raise BadSpan(f"{text[:40]!r} says no offset; 2026-11-20T08:00:00Z or …+01:00 does.")
    return _utc(at)


def _utc(at: datetime) -> datetime:
    if not FIRST <= at < LAST:
        raise BadSpan(f"{_shown(at)} is outside of the years {FIRST.year} to {LAST.year - 1}.")
    return at.astimezone(UTC)


def _shown(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
