"""The upkeep on a real database: once a period whoever does it, one at a time, told when it does not go."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hub.errors import StoreRejected, StoreUnavailable
from hub.metrics import Metrics
from hub.scheduler.scheduler import PeriodicTask, Scheduler
from hub.store.database import Database
from hub.store.task_runs import advisory_lock
from hub.tasks import Supervisor
from tests.hub.scene import eventually, fresh_database, rows, scene
from tests.services.conftest import Cluster, MosquittoBroker

pytestmark = pytest.mark.services

HOUR = 3600.0


@pytest.fixture(scope="module")
def dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as dsn:
        yield dsn


@pytest.fixture
async def store(dsn: str) -> AsyncIterator[Database]:
    rows(dsn, "DELETE FROM upkeep")
    async with Database(dsn, connections_max=4, statement_timeout_ms=10_000, connect_timeout_s=5) as store:
        yield store


class Work:
    """A task that counts its runs."""

    def __init__(self, name: str = "work", every_s: float = HOUR) -> None:
        self.runs = 0
        self.fails: Exception | None = None
        self.began, self.may_end = asyncio.Event(), asyncio.Event()
        self.may_end.set()
        self.task = PeriodicTask(name, every_s, self.run)

    async def run(self) -> dict[str, Any]:
        self.runs += 1
        self.began.set()
        await self.may_end.wait()
        if self.fails is not None:
            raise self.fails
        return {"runs": self.runs}


def sample(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"lockerhub_upkeep_{name}", {"task": "work", **labels})


async def test_what_was_done_is_done_again_after_its_period_only_whoever_asks(store: Database, dsn: str) -> None:
    work, metrics = Work(), Metrics("0")
    one, other = Scheduler(store, metrics, [work.task]), Scheduler(store, Metrics("0"), [work.task])
    assert HOUR - 60 < await one.turn(work.task) <= HOUR
    assert HOUR - 60 < await other.turn(work.task) <= HOUR
    assert work.runs == 1
    assert rows(dsn, "SELECT did, error, ended_at >= started_at FROM upkeep") == [({"runs": 1}, None, True)]
    assert sample(metrics, "runs_total", result="succeeded") == 1
    assert sample(metrics, "period_seconds") == HOUR
    ((at,),) = rows(dsn, "SELECT extract(epoch FROM succeeded_at)::float8 FROM upkeep")
    assert sample(metrics, "last_success_timestamp_seconds") == at

    rows(
        dsn,
        "UPDATE upkeep SET started_at = started_at - interval '1 hour', succeeded_at = now() - interval '1 hour'",
    )
    await other.turn(work.task)
    assert work.runs == 2


async def test_one_at_a_time_however_many_hubs_there_are(store: Database) -> None:
    work = Work()
    work.may_end.clear()
    one, other = (Scheduler(store, Metrics("0"), [work.task]) for _ in range(2))
    first = asyncio.create_task(one.turn(work.task), name="first")
    await work.began.wait()
    async with advisory_lock(store, "work") as got:
        assert not got
    assert await other.turn(work.task) > 0
    assert work.runs == 1
    async with advisory_lock(store, "something_else") as got:
        assert got
    work.may_end.set()
    await first
    async with advisory_lock(store, "work") as got:
        assert got


async def test_the_lock_is_held_without_a_transaction_that_keeps_vacuum_from_its_work(
    store: Database, dsn: str
) -> None:
    async with advisory_lock(store, "work"):
        query = "SELECT state, xact_start FROM pg_stat_activity WHERE application_name = 'lockerhub work'"
        assert await asyncio.to_thread(rows, dsn, query) == [("idle", None)]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (StoreRejected("it cannot be"), "it cannot be"),
        # Not to the log, and not to the table: what comes behind the first line has the values of rows.
        (psycopg.InternalError("chunk not found\nDETAIL: anna@example.org"), "InternalError: chunk not found"),
    ],
)
async def test_a_failure_is_told_and_tried_again_soon(
    store: Database, dsn: str, error: Exception, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    work, metrics = Work(), Metrics("0")
    upkeep = Scheduler(store, metrics, [work.task])
    work.fails = error
    assert 200 < await upkeep.turn(work.task) <= 300
    assert rows(dsn, "SELECT error, succeeded_at, did FROM upkeep") == [(told, None, None)]
    assert [getattr(one, "error", None) for one in caplog.records if one.message == "Upkeep failed"] == [told]
    assert "anna" not in caplog.text
    assert sample(metrics, "runs_total", result="failed") == 1
    # Lateness counts from when the task was first known.
    ((known,),) = rows(dsn, "SELECT extract(epoch FROM known_at)::float8 FROM upkeep")
    assert sample(metrics, "last_success_timestamp_seconds") == known

    work.fails = None
    rows(dsn, "UPDATE upkeep SET started_at = started_at - interval '5 minutes'")
    await upkeep.turn(work.task)
    assert rows(dsn, "SELECT error, did FROM upkeep") == [(None, {"runs": 2})]


async def test_a_run_that_was_cut_off_is_tried_again(store: Database, dsn: str) -> None:
    work = Work()
    work.may_end.clear()
    upkeep = Scheduler(store, Metrics("0"), [work.task])
    run = asyncio.create_task(upkeep.turn(work.task), name="run")
    await work.began.wait()
    run.cancel()
    await asyncio.wait([run])
    assert rows(dsn, "SELECT ended_at, started_at IS NULL FROM upkeep") == [(None, False)]
    assert 200 < await upkeep.turn(work.task) <= 300


async def test_a_long_chore_does_not_delay_the_others(store: Database) -> None:
    slow, quick = Work("slow"), Work("quick")
    slow.may_end.clear()
    metrics = Metrics("0")
    upkeep = Scheduler(store, metrics, [slow.task, quick.task])
    async with asyncio.timeout(15), Supervisor(metrics).running(upkeep.tasks(), endless=True):
        await slow.began.wait()
        await quick.began.wait()
    assert set(metrics.samples(metrics.task_restarts).values()) == {0}


async def test_a_running_hub_gets_every_task_done(
    mosquitto_broker: MosquittoBroker, timescaledb: Cluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with fresh_database(timescaledb) as dsn:
        async with scene(mosquitto_broker, dsn, tmp_path, lockers=[]) as running:
            waits = "SELECT task FROM upkeep WHERE succeeded_at IS NULL AND error IS NULL"

            async def done() -> bool:
                known = {
                    name for name in await running.metrics() if name.startswith("lockerhub_upkeep_period_seconds")
                }
                told = await asyncio.to_thread(rows, dsn, "SELECT task FROM upkeep")
                return len(known) == len(told) and not await asyncio.to_thread(rows, dsn, waits)

            await eventually(done, "the upkeep")
            assert (
                await asyncio.to_thread(rows, dsn, "SELECT task, error FROM upkeep WHERE error IS NOT NULL") == []
            )
    assert "Upkeep failed" not in caplog.messages


async def test_a_database_that_is_away_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    away = Database(
        "postgresql://nobody@127.0.0.1:1/nothing", connections_max=4, statement_timeout_ms=500, connect_timeout_s=1
    )
    work = Work()
    async with away:
        with pytest.raises(StoreUnavailable):
            async with advisory_lock(away, "work"):
                pass
        metrics = Metrics("0")

        async def told() -> bool:
            return "Upkeep waits for the database" in caplog.messages

        upkeep = Scheduler(away, metrics, [work.task])
        async with Supervisor(metrics).running(upkeep.tasks(), endless=True):
            await eventually(told, "the warning")
        assert set(metrics.samples(metrics.task_restarts).values()) == {0}
    assert work.runs == 0
