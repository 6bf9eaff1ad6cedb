"""Ledgers that this hub has no cursor of: new ones, within their locker's share, and forgotten ones, looked up.

While every cursor of the database is in memory, an epoch that is not there is new. Once one was forgotten it may be
an old one, whose events would be shown as if they happened now: then the message stays on its locker until the
database has said where the ledger stands, and the locker is asked to go on from there.
"""

import asyncio
import logging
from collections import Counter
from typing import Final

from hub import clock
from hub.alarms.engine import AlarmEngine
from hub.core.epochs import EpochQuota
from hub.core.ledger import START, Key, Ledger
from hub.errors import StoreError
from hub.ingest.receipts import ReceiptPublisher
from hub.metrics import Metrics
from hub.mqtt.quarantine import Quarantine, RateLimits
from hub.store.ledgers import Ledgers

_log = logging.getLogger(__name__)

REASON: Final = "epoch_limit"
_COPIES_PER_MINUTE: Final = 0.1
_COPIES_AT_ONCE: Final = 3.0
_LOCKERS_MAX: Final = 100_000
_LOOKUPS_MAX: Final = 10_000
_LOOKUPS_PER_LOCKER_MAX: Final = 10
_LOOKUPS_AT_ONCE_MAX: Final = 500
_RETRY_S: Final = 0.1
_RETRY_S_MAX: Final = 2.0


class EpochAdmission:
    """Decides about ledgers without a cursor.

    At most `_LOOKUPS_MAX` wait to be looked up, `_LOOKUPS_PER_LOCKER_MAX` of one locker; a message above that is
    left on its locker, which sends it again.
    """

    def __init__(
        self,
        shares: EpochQuota,
        ledger: Ledger,
        ledgers: Ledgers,
        quarantine: Quarantine,
        receipts: ReceiptPublisher,
        alarms: AlarmEngine,
        metrics: Metrics,
    ) -> None:
        self._shares = shares
        self._ledger = ledger
        self._ledgers = ledgers
        self._quarantine = quarantine
        self._receipts = receipts
        self._alarms = alarms
        self._refused = metrics.ledger_epochs_refused
        self._looked_up = metrics.ledger_lookups
        self._copies: RateLimits[str] = RateLimits(_COPIES_PER_MINUTE, _COPIES_AT_ONCE, _LOCKERS_MAX)
        self._waiting: dict[Key, None] = {}
        self._waiting_of: Counter[str] = Counter()
        self._wake = asyncio.Event()

    async def load(self) -> None:
        """Take over how many epochs each locker has. Raises StoreUnavailable."""
        self._shares.load(await self._ledgers.epochs())

    def met(self, key: Key, topic: str, payload: bytes, received_ms: int) -> bool:
        """Meet a ledger without a cursor. True: it has one now, and its message may be judged again."""
        if self._ledger.complete:
            return self._began(key, topic, payload, received_ms)
        if (
            key not in self._waiting
            and len(self._waiting) < _LOOKUPS_MAX
            and self._waiting_of[key[0]] < _LOOKUPS_PER_LOCKER_MAX
        ):
            self._waiting[key] = None
            self._waiting_of[key[0]] += 1
            self._wake.set()
        return False

    async def run(self) -> None:
        """Look up what is asked for, until cancelled."""
        pause_s = _RETRY_S
        while True:
            await self._wake.wait()
            keys = list(self._waiting)[:_LOOKUPS_AT_ONCE_MAX]
            try:
                stands = await self._ledgers.stands_of(keys)
            except StoreError as error:
                _log.warning("Ledgers wait to be looked up", extra={"error": str(error), "ledgers": len(keys)})
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, _RETRY_S_MAX)
                continue
            pause_s = _RETRY_S
            for key, stand in stands.items():
                self._forget(key)
                self._looked_up.inc()
                if self._ledger.knows(key):
                    continue
                if stand != START:
                    self._ledger.begin(key, stand)
                elif not self._began(key, "", b"", clock.wall_ms()):
                    continue
                # Its message was left with the locker.
                self._receipts.expected(key, stand[0])
            if not self._waiting:
                self._wake.clear()

    def _forget(self, key: Key) -> None:
        del self._waiting[key]
        self._waiting_of[key[0]] -= 1
        if not self._waiting_of[key[0]]:
            del self._waiting_of[key[0]]

    def _began(self, key: Key, topic: str, payload: bytes, received_ms: int) -> bool:
        locker, now_ms = key[0], clock.now_ms()
        if self._shares.admit(locker, now_ms):
            self._ledger.begin(key)
            return True
        self._refused.inc()
        self._alarms.epochs(locker)
        if self._copies.pass_one(locker, now_ms):
            detail = (
                f"{locker} has begun {self._shares.count(locker)} epochs; a new one is taken when its share allows"
            )
            _log.error("A locker begins ledger after ledger", extra={"locker": locker, "epoch": str(key[1])})
            if payload:
                self._quarantine.keep_whole(topic, payload, REASON, detail, received_ms, key)
        return False
