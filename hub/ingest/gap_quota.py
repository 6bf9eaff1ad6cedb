"""One locker's share of gaps: each is a row that stays, an alarm, and a search for whatever is said of it."""

from collections.abc import Sequence
from typing import Final

from hub.core.gaps import KIND, UNKNOWN, DeclaredGap, declared_gap
from hub.mqtt.quarantine import RateLimits
from wire.messages import Event

_BURST_MIN: Final = 10
"""In one go as many as in so many minutes."""
_REASONS_PER_GAP: Final = 5
"""A locker deletes its oldest events bit by bit, and says so each time."""
_LOCKERS_MAX: Final = 100_000


class GapShares:
    """The shares of all lockers. `per_minute_max` gaps, and five times as many reasons, of each for long."""

    def __init__(self, per_minute_max: int) -> None:
        reasons = _REASONS_PER_GAP * per_minute_max
        self._gaps: RateLimits[str] = RateLimits(per_minute_max, per_minute_max * _BURST_MIN, _LOCKERS_MAX)
        self._reasons: RateLimits[str] = RateLimits(reasons, reasons * _BURST_MIN, _LOCKERS_MAX)

    def may_declare(self, locker: str, now_ms: float) -> bool:
        """Say whether a locker may declare one more gap now, and count it."""
        return self._gaps.pass_one(locker, now_ms)

    def reasons(
        self, locker: str, first: int, events: Sequence[tuple[int, Event]], now_ms: float
    ) -> tuple[list[DeclaredGap], int]:
        """Return the reasons that a locker gives for gaps, as far as its share goes, and how many are left out.

        Args:
            locker: whose.
            first: the number of its message's first event.
            events: its events by place; those that are no `outbox.gap` are passed over.
            now_ms: the hub's monotonic time.
        """
        told: list[DeclaredGap] = []
        left_out = 0
        for place, event in events:
            one = declared_gap(event, first + place) if event.kind == KIND else None
            if one is None or one.reason == UNKNOWN:
                continue
            if self._reasons.pass_one(locker, now_ms):
                told.append(one)
            else:
                left_out += 1
        return told, left_out
