"""The sum over all ledgers: told again and again, and kept while the database is away."""

import asyncio
import logging

import pytest

from hub.ingest.ledger_metrics import watch_ledgers
from hub.metrics import Metrics
from hub.store.database import Database
from hub.store.ledgers import Ledgers
from tests.hub.scene import eventually


async def test_a_database_that_is_away_is_told_and_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics("0")
    metrics.ledger_events.labels("stored").set(7)
    store = Database(
        "postgresql://nobody@127.0.0.1:1/nothing", connections_max=4, statement_timeout_ms=500, connect_timeout_s=1
    )
    async with store:
        task = asyncio.create_task(watch_ledgers(Ledgers(store), metrics, 0.01), name="ledger.watch")

        async def told() -> bool:
            said = [one for one in caplog.records if one.name == "hub.ingest.ledger_metrics"]
            return [one.levelno for one in said[:2]] == [logging.WARNING] * 2

        try:
            await eventually(told, "two warnings")
        finally:
            task.cancel()
            await asyncio.wait([task])
    assert metrics.registry.get_sample_value("lockerhub_ledger_events", {"state": "stored"}) == 7
