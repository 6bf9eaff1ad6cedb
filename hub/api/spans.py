"""The span of time of a query: its parameters, and what is wrong with them."""

from datetime import datetime, timedelta

from hub import clock
from hub.api.problems import Problem
from hub.api.values import Time
from hub.core.fleet import Fleet
from hub.core.spans import BadSpan, Span, span

__all__ = ["Time", "asked_span", "lockers_at"]


def asked_span(since: datetime | None, until: datetime | None, *, back: timedelta) -> Span:
    """Return the span that a query means. Raises Problem bad_request."""
    try:
        return span(since, until, now=clock.wall(), back=back)
    except BadSpan as error:
        raise Problem("bad_request", str(error)) from None


def lockers_at(fleet: Fleet, site: str | None) -> tuple[str, ...] | None:
    """Return the lockers of a site; None where no site is given. Raises Problem bad_request."""
    if site is None:
        return None
    found = tuple(sorted(locker.spec.id for locker in fleet.lockers.values() if locker.spec.site == site))
    if not found:
        raise Problem("bad_request", f"No locker of the registry is at the site {site[:40]!r}.")
    return found
