"""Retention with all of its parts, for the hub and for the command line."""

from datetime import datetime
from typing import Final
from uuid import UUID

from hub.config.settings import Config
from hub.core.people.erasing import Cause
from hub.metrics import Metrics
from hub.people.service import erasing
from hub.retention.run import RetentionRun
from hub.retention.service import RetentionService
from hub.retention.verification import trusted_keys
from hub.store.database import Database
from hub.store.transactions import Transactions
from wire import __version__

_BY: Final = "hub"


def build_service(config: Config, store: Database, hub_id: str, metrics: Metrics) -> RetentionService:
    """Return retention as it is part of a running hub. Raises ConfigError if a trusted key cannot be read."""
    # Better said at the start than when somebody wants to know whether all is well.
    trusted_keys(config.retention)
    return RetentionService(store, build_retention(config, store, hub_id), config.retention, metrics)


def build_retention(config: Config, store: Database, hub_id: str) -> RetentionRun:
    """Return what plans and runs; `hub_id` is what the proofs call it."""
    eraser = erasing(config, store).eraser
    transactions = Transactions(store)

    async def erase(account: UUID, now: datetime) -> bool:
        return not (await eraser.erase(account, cause=Cause.DEACTIVATED, by=_BY, now=now)).partly

    async def sweep(now: datetime) -> int:
        return (await transactions.expire(now))["codes"]

    return RetentionRun(
        store, config.retention, {"id": hub_id, "version": __version__}, erase=erase, sweep=sweep
    )  # fmt: skip
