"""What an answer means, and how long to wait before the next try."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from hub.core.retry_after import asked_s

RETRIES_MAX: Final = 7
PAUSE_S_MIN: Final = 1.0
PAUSE_S_MAX: Final = 600.0
"""The longest pause, whatever a receiver asks for."""
_REQUEST_TIMEOUT: Final = 408
_TOO_MANY: Final = 429
_SERVER_ERROR: Final = 500
_TEXT_CHARACTERS_MAX: Final = 200


class DeliveryVerdict(StrEnum):
    """What a try came to."""

    SENT = "sent"
    LATER = "later"
    FAILED = "failed"
    """For good: the same would be refused again."""


@dataclass(frozen=True, slots=True)
class DeliveryOutcome:
    """Of one try. `detail` is for people, and has no secret in it."""

    verdict: DeliveryVerdict
    detail: str
    retry_after: str | None = None


def of_status(status: int, text: str, retry_after: str | None) -> DeliveryOutcome:
    """Judge an answer of a webhook: 2xx is sent; 408, 429 and 5xx are tried again; the rest is refused."""
    said = " ".join(text.split())[:_TEXT_CHARACTERS_MAX]
    detail = f"{status}: {said}" if said else str(status)
    if 200 <= status < 300:  # noqa: PLR2004 - success, as HTTP has it
        return DeliveryOutcome(DeliveryVerdict.SENT, detail)
    if status in {_REQUEST_TIMEOUT, _TOO_MANY} or status >= _SERVER_ERROR:
        return DeliveryOutcome(DeliveryVerdict.LATER, detail, retry_after)
    if 300 <= status < 400:  # noqa: PLR2004 - redirects, as HTTP has it
        return DeliveryOutcome(
            DeliveryVerdict.FAILED, f"{status}: redirects are not followed; set the address itself"
        )
    return DeliveryOutcome(DeliveryVerdict.FAILED, detail)


def of_replies(codes: Collection[int], detail: str) -> DeliveryOutcome:
    """Judge the refusals of a mail server: any temporary one (4xx) makes a later try worth it."""
    temporary = any(400 <= code < 500 for code in codes)  # noqa: PLR2004 - as SMTP has it
    said = " ".join(detail.split())[:_TEXT_CHARACTERS_MAX]
    return DeliveryOutcome(DeliveryVerdict.LATER if temporary else DeliveryVerdict.FAILED, said)


def pause_s(failed: int, retry_after: str | None, now: datetime, jitter: float) -> float:
    """Return how long to wait before the next try.

    Args:
        failed: how many have failed, from 1: the pause doubles from a second, times 0.5 to 1.
        retry_after: the header, in seconds or as a date of HTTP; what cannot be read counts as absent. It is
            obeyed where it asks for more than the pause would be, up to ten minutes.
        now: the wall clock.
        jitter: 0 to 1.
    """
    own_s = PAUSE_S_MIN * 2.0 ** min(failed - 1, 30) * (0.5 + jitter / 2)
    return min(PAUSE_S_MAX, max(own_s, asked_s(retry_after, now)))
