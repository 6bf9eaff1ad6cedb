"""One locker's share of presence: above it only its newest word waits, and the ones between are left out."""

import logging
from typing import Final, NamedTuple

from hub.core.fairness import Shares
from hub.metrics import Metrics
from wire.topics import Channel

_log = logging.getLogger(__name__)
_WAITING_BYTES_MAX: Final = 4096
"""A longer one does not wait, and is dropped: presence is some hundred bytes."""


class PresenceMessage(NamedTuple):
    """A presence message as it came."""

    topic: str
    locker: str
    payload: bytes
    retained: bool
    received_ms: int


class PresenceShares:
    """Judges presence before it is decoded. What counts is what was said last, so that is never lost.

    At most one message of `_WAITING_BYTES_MAX` waits for each locker of the registry.
    """

    def __init__(self, shares: Shares, metrics: Metrics) -> None:
        self._shares = shares
        self._limited = metrics.limited
        self._waiting: dict[str, PresenceMessage] = {}

    def admit(self, word: PresenceMessage, now_ms: float) -> bool:
        """Say whether a message is taken now; if not, it waits in the place of the one before it."""
        limit = self._shares.admit(word.locker, now_ms)
        self._waiting.pop(word.locker, None)
        if limit is None:
            return True
        self._limited.labels(Channel.PRESENCE.value, limit.value).inc()
        if self._shares.tell(word.locker, now_ms):
            _log.warning(
                "A locker says more often than its share who it is; its newest word waits",
                extra={"locker": word.locker, "limit": limit.value},
            )
        if len(word.payload) <= _WAITING_BYTES_MAX:
            self._waiting[word.locker] = word
        return False

    def due(self, now_ms: float) -> list[PresenceMessage]:
        """Take those of the waiting messages for which there is room again. Call it once a second or so."""
        if not self._waiting:
            return []
        due = [one for one in self._waiting.values() if self._shares.admit(one.locker, now_ms) is None]
        for one in due:
            del self._waiting[one.locker]
        return due
