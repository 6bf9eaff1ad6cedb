"""Two histories under one name: say so to everyone who has to know, and keep what shows it."""

import logging
from collections.abc import Callable
from typing import Final

from hub import clock
from hub.core.ledger import Fork, Key
from hub.ingest.receipts import ReceiptPublisher
from hub.metrics import Metrics
from hub.mqtt.quarantine import Quarantine, RateLimits

_log = logging.getLogger(__name__)

_COPIES_PER_MINUTE: Final = 1.0
_COPIES_AT_ONCE: Final = 3.0
_LOCKERS_MAX: Final = 100_000
REASON: Final = "ledger_fork"


class ForkRecorder:
    """Takes batches that are of another history than their ledger.

    The locker is told, so that it begins a new epoch with all that it has not confirmed: that is why the events of
    such a batch are deferred in the books, and not lost. A copy of the whole message goes into quarantine, for
    people; a locker that sends on and on fills neither the table nor the log.
    """

    def __init__(
        self, quarantine: Quarantine, receipts: ReceiptPublisher, metrics: Metrics, tell: Callable[[Key], None]
    ) -> None:
        self._quarantine = quarantine
        self._receipts = receipts
        self._count = metrics.ledger_forks
        self._tell = tell
        self._limits: RateLimits[str] = RateLimits(_COPIES_PER_MINUTE, _COPIES_AT_ONCE, _LOCKERS_MAX)

    def found(self, key: Key, fork: Fork, topic: str, payload: bytes, received_ms: int) -> None:
        """Count, tell and keep one batch."""
        self._count.inc()
        self._receipts.fork(key)
        # By locker: whoever makes up ledgers has no more copies than one whose disk was copied once.
        if not self._limits.pass_one(key[0], clock.now_ms()):
            return
        self._tell(key)
        detail = f"at number {fork.at} the chain is {fork.theirs}, where the hub has {fork.ours}"
        _log.error(
            "Two lockers write one ledger: a copied disk, or a file that was put back",
            extra={"locker": key[0], "epoch": str(key[1]), "detail": detail},
        )
        self._quarantine.keep_whole(topic, payload, REASON, detail, received_ms, key)
