"""The header Retry-After: seconds, or a date of HTTP."""

from datetime import datetime
from email.utils import parsedate_to_datetime


def asked_s(retry_after: str | None, now: datetime) -> float:
    """Return how many seconds from now a server asks to wait; 0 for nothing, below it for a time that is over.

    What cannot be read counts as absent.
    """
    if retry_after is None:
        return 0.0
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    # A date without a zone is UTC, as every date of HTTP is.
    return (at.replace(tzinfo=at.tzinfo or now.tzinfo) - now).total_seconds()
