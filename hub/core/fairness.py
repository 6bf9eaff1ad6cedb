"""One locker's share of the hub: what it may send before the others would suffer.

Two token buckets a locker, one of messages and one of records (events or samples). A message is judged before it is
decoded, so that one that is not taken costs next to nothing. Its records are known only afterwards: they may take
their bucket below nothing once, and the next message waits until it is refilled.

A record that is more work than a row counts for more than one: a long one, and those of `RECORDS_OF`.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from wire.messages import EventKind

_TELL_EVERY_MS: Final = 60_000.0
_RECORD_BYTES: Final = 256
"""A longer one counts as so many more: what is decoded, checked and stored again costs by the byte."""
RECORDS_OF: Final[Mapping[str, int]] = {
    # It is looked for among the gaps, and raises an alarm each time.
    EventKind.OUTBOX_GAP.value: 10,
    # A whole command, which may be written as a row of its own.
    EventKind.COMMAND_FINISHED.value: 5,
}
"""What an event of a kind counts, where it is more than one record."""
RECORDS_OF_SPOILED: Final = 5
"""What an event counts that cannot be taken: it is decoded twice, and kept in quarantine by itself."""
RECORDS_OF_GAP: Final = 20
"""What a declared gap counts: a row that stays, and an alarm."""


def records_in(records: int, message_bytes: int) -> int:
    """Return what a message of so many records counts by its length."""
    return max(records, message_bytes // _RECORD_BYTES)


class Limit(StrEnum):
    """Which limit a locker has reached."""

    MESSAGES = "messages"
    RECORDS = "records"
    GAPS = "gaps"
    """Declared gaps; the message waits, and what the locker deletes meanwhile becomes part of the same gap."""
    GAP_REASONS = "gap_reasons"
    """What it says of its gaps; the events are taken, and the reason stays unknown."""


class _Account:
    """When each bucket will be full again; in the past for one that is."""

    __slots__ = ("messages_full_ms", "records_full_ms", "told_ms")

    def __init__(self, now_ms: float) -> None:
        self.messages_full_ms = now_ms
        self.records_full_ms = now_ms
        self.told_ms: float | None = None


class Shares:
    """The shares of all lockers.

    A bucket is kept as the moment at which it will be full again, which costs less than counting tokens.

    Args:
        messages_per_s: what one locker may send for long.
        records_per_s: the same, in events or samples.
        burst_s: and in one go, as much as in so many seconds.
        lockers_max: of more lockers, those that have used nothing of their share are forgotten, which changes
            nothing for them. If all have, the one that was first heard.
    """

    def __init__(self, *, messages_per_s: float, records_per_s: float, burst_s: float, lockers_max: int) -> None:
        self._message_ms = 1000 / messages_per_s
        self._record_ms = 1000 / records_per_s
        # A bucket takes at least one.
        self._messages_burst_ms = max(burst_s * 1000, self._message_ms)
        self._records_burst_ms = max(burst_s * 1000, self._record_ms)
        self._lockers_max = lockers_max
        self._accounts: dict[str, _Account] = {}

    def __len__(self) -> int:
        """Return how many lockers are remembered."""
        return len(self._accounts)

    def admit(self, locker: str, now_ms: float) -> Limit | None:
        """Return None and count a message, or say which limit its locker has reached: then it counts nothing."""
        account = self._accounts.get(locker)
        if account is None:
            account = self._open(locker, now_ms)
        if account.records_full_ms - now_ms >= self._records_burst_ms:
            return Limit.RECORDS
        full_ms = max(now_ms, account.messages_full_ms) + self._message_ms
        if full_ms - now_ms > self._messages_burst_ms:
            return Limit.MESSAGES
        account.messages_full_ms = full_ms
        return None

    def charge(self, locker: str, records: int, now_ms: float) -> None:
        """Count records of a message that was admitted; see `records_in`, RECORDS_OF."""
        account = self._accounts.get(locker)
        if account is not None:
            account.records_full_ms = max(now_ms, account.records_full_ms) + records * self._record_ms

    def tell(self, locker: str, now_ms: float) -> bool:
        """Say whether to tell people that a locker is over its limit: once a minute."""
        account = self._accounts.get(locker)
        if account is None or (account.told_ms is not None and now_ms - account.told_ms < _TELL_EVERY_MS):
            return False
        account.told_ms = now_ms
        return True

    def _open(self, locker: str, now_ms: float) -> _Account:
        if len(self._accounts) >= self._lockers_max:
            idle = [
                name
                for name, account in self._accounts.items()
                if account.messages_full_ms <= now_ms and account.records_full_ms <= now_ms
            ]
            for name in idle or [next(iter(self._accounts))]:
                del self._accounts[name]
        account = self._accounts[locker] = _Account(now_ms)
        return account
