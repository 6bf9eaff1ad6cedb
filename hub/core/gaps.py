"""What a locker says of numbers that it deleted before they were confirmed: its event `outbox.gap`."""

from dataclasses import dataclass
from typing import Final

from wire.messages import Event, EventKind

KIND: Final = EventKind.OUTBOX_GAP.value
UNKNOWN: Final = "unknown"
"""The reason of a gap that no locker has given one for."""
_REASON_CHARACTERS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class ToldGap:
    """A range of numbers, both ends included, that will never come, and why."""

    from_seq: int
    to_seq: int
    reason: str


def told_gap(event: Event, seq: int) -> ToldGap | None:
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
    return ToldGap(first, last, reason[:_REASON_CHARACTERS_MAX])
