"""One locker's share of epochs: each is a cursor in memory and a row that stays, for all of its ledger's life.

A locker begins an epoch with a new disk, and when its ledger forks: a few times in its life. Above `at_once_max` it
gets one every `1 / per_day_max` of a day, and once it has `per_locker_max` in all, one a day: who has a new disk
always gets in, and who makes epochs up fills nothing.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from hub.core.rates import TokenBucket

_DAY_MINUTES: Final = 24 * 60


class EpochQuota:
    """The shares of all lockers.

    Args:
        per_day_max: new epochs of one locker for long, and at once.
        per_locker_max: in all; above it there is one a day.
        lockers_max: of more lockers, the one whose last new epoch is oldest begins anew.
    """

    def __init__(self, *, per_day_max: int, per_locker_max: int, lockers_max: int) -> None:
        self._per_day_max = per_day_max
        self._per_locker_max = per_locker_max
        self._lockers_max = lockers_max
        self._counts: dict[str, int] = {}
        self._buckets: OrderedDict[tuple[str, bool], TokenBucket] = OrderedDict()

    def load(self, counts: Mapping[str, int]) -> None:
        """Take over how many epochs each locker has, from the database."""
        self._counts = dict(counts)

    def count(self, locker: str) -> int:
        """Return how many epochs a locker has, with those that were admitted and have no row yet."""
        return self._counts.get(locker, 0)

    def admit(self, locker: str, now_ms: float) -> bool:
        """Say whether a locker may begin one more epoch now, and count it."""
        count = self._counts.get(locker, 0)
        is_full = count >= self._per_locker_max
        key = (locker, is_full)
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= self._lockers_max:
                self._buckets.popitem(last=False)
            per_day = 1 if is_full else self._per_day_max
            bucket = self._buckets[key] = TokenBucket(per_day / _DAY_MINUTES, per_day)
        else:
            self._buckets.move_to_end(key)
        if bucket.take(now_ms):
            return False
        self._counts[locker] = count + 1
        return True
