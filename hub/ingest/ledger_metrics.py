"""Tell the metrics, from time to time, what became of all numbers of all ledgers."""

import asyncio
import logging

from hub.errors import StoreUnavailable
from hub.metrics import Metrics
from hub.store.ledgers import Ledgers

_log = logging.getLogger(__name__)


async def watch_ledgers(ledgers: Ledgers, metrics: Metrics, period_s: float) -> None:
    """Sum up the counters that are kept along with the cursors, every `period_s`, until cancelled.

    A database that is away leaves the figures as they were.
    """
    while True:
        try:
            totals = await ledgers.totals()
        except StoreUnavailable as error:
            _log.warning("The ledgers cannot be summed up; trying again later", extra={"error": str(error)})
        else:
            for state, count in totals.items():
                metrics.ledger_events.labels(state).set(count)
        await asyncio.sleep(period_s)
