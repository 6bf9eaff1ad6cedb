"""The InfluxDB sink between a real database and a server with InfluxDB's write API: VictoriaMetrics.

It answers 204 to malformed lines, counts them, and makes of measurement and field one name; what servers answer to
trouble is in tests/hub/influx/test_delivery.py.
"""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hub.influx.sink import InfluxSink, server
from hub.metrics import Metrics
from hub.store.database import Database
from hub.store.influx_feed import InfluxFeed, StreamPosition
from hub.store.task_runs import advisory_lock
from tests.hub.fake_influx import fake_influx
from tests.hub.scene import Scene, eventually, fresh_database, online, rows, scene
from tests.services.conftest import Cluster, MosquittoBroker, free_port
from tests.services.influx_scene import (
    COUNTS,
    DOOR_HOUR,
    Victoria,
    has,
    measure,
    same,
    sent,
    settings,
    sink,
    stored,
    victoria,
)
from wire.messages import Event, Sample

pytestmark = pytest.mark.services


@pytest.fixture
def vm() -> Iterator[Victoria]:
    with victoria() as running:
        yield running


@pytest.fixture
def dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as name:
        yield name


@pytest.fixture(params=["plain_postgres", "timescaledb"])
def either_dsn(request: pytest.FixtureRequest) -> Iterator[str]:
    with fresh_database(request.getfixturevalue(request.param)) as name:
        yield name


async def test_everything_that_is_stored_is_there_once(either_dsn: str, vm: Victoria) -> None:
    metrics = Metrics("0")
    async with sink(either_dsn, vm.url, metrics, batch_rows_max=700, extra_fields=["fan_rpm"]):
        # More rows of one transaction, and so of one stamp, than a page or a batch holds.
        measure(either_dsn, 400)
        for part in range(5):
            # Far apart: a second that passes between two parts must not make two samples of one time.
            measure(either_dsn, 20, first=1000 + part * 200)
        # Of a locker that was away for ten days.
        measure(either_dsn, 100, lockers=2, age="10 days")
        await eventually(lambda: same(vm, either_dsn), "every reading in VictoriaMetrics")
        assert vm.invalid() == 0
        fans = vm.points("lockerhub_reading_extra_fan_rpm")
        assert set(fans.values()) == {900.0}
        assert len(fans) == len(stored(either_dsn)) / 2
        assert set(vm.points("lockerhub_reading_temperature_c").values()) == {21.5}
    sent = {
        stream: metrics.registry.get_sample_value(
            "lockerhub_influx_lines_total", {"stream": stream, "result": "sent"}
        )
        for stream in ("reading", "reading_late")
    }
    assert sent == {"reading": 2500, "reading_late": 200}


async def test_what_doors_did_comes_again_when_it_was_counted_again(dsn: str, vm: Victoria) -> None:
    async with sink(dsn, vm.url):
        rows(dsn, DOOR_HOUR)
        await eventually(lambda: asyncio.to_thread(vm.points, "lockerhub_door_hour_openings"), "openings")
        for place, name in enumerate(COUNTS):
            points = vm.points(f"lockerhub_door_hour_{name}")
            assert {locker: value for (locker, _), value in points.items()} == {
                f"locker-1{door}": 10 + place for door in (1, 2, 3)
            }


async def test_a_transaction_that_goes_on_is_not_passed_over(dsn: str) -> None:
    async with fake_influx() as fake, sink(dsn, fake.url) as store:
        feed = InfluxFeed(store, 0.0)
        async with await psycopg.AsyncConnection.connect(dsn) as slow:
            await slow.execute(
                "INSERT INTO reading (sampled_at, received_at, locker_id, outbox_events) "
                "VALUES (now(), now(), 'slow', 1)"
            )
            ((begun,),) = await (await slow.execute("SELECT now()")).fetchall()
            measure(dsn, 10)
            assert (await feed.stand("reading")).horizon == begun
            await slow.commit()
        await eventually(lambda: has(fake.stored, 51), "all of them")
        assert sum("slow" in key for key in fake.stored) == 1


async def test_a_place_moves_only_from_where_it_was(dsn: str) -> None:
    async with Database(dsn, connections_max=4, statement_timeout_ms=5000, connect_timeout_s=5) as store:
        feed = InfluxFeed(store, 1.0)
        was = (await feed.stand("reading")).place
        now = StreamPosition(was.upto + timedelta(seconds=1), "locker-1", was.at, 3)
        assert await feed.advance("reading", was, now)
        assert not await feed.advance("reading", was, StreamPosition(was.upto))
        assert (await feed.stand("reading")).place == now


async def test_killed_between_the_answer_and_the_cursor_nothing_is_missing_or_twice(dsn: str) -> None:
    async with fake_influx() as fake:
        async with sink(dsn, fake.url, batch_rows_max=100):
            # It loses what it is sent.
            fake.answers = ["cut"] * 10_000
            measure(dsn, 100)
            await eventually(lambda: sent(fake, 2), "a batch twice")
        # It takes what it is sent, and nobody hears of it.
        fake.answers = ["taken, and cut"] * 10_000
        async with sink(dsn, fake.url, batch_rows_max=100):
            await eventually(lambda: has(fake.stored, 100), "a batch")
        assert len(fake.stored) == 100
        fake.answers = []
        async with sink(dsn, fake.url, batch_rows_max=100):
            await eventually(lambda: has(fake.stored, 500), "the rest")
        assert {(key.split("=")[1].split(" ")[0], int(key.split(" ")[1])) for key in fake.stored} == set(
            stored(dsn)
        )


async def test_what_is_older_than_the_bucket_keeps_and_what_is_empty_is_notsent(dsn: str) -> None:
    metrics = Metrics("0")
    async with fake_influx() as fake, sink(dsn, fake.url, metrics, retention_days=2):
        measure(dsn, 2, age="10 days")
        rows(dsn, "INSERT INTO reading (sampled_at, received_at, locker_id) VALUES (now(), now(), 'silent')")
        measure(dsn, 1)
        await eventually(lambda: has(fake.stored, 5), "what is to be sent")
        value = metrics.registry.get_sample_value
        await eventually(lambda: _counted(metrics, "reading_late", "expired", 10), "what has expired")
        assert value("lockerhub_influx_lines_total", {"stream": "reading", "result": "empty"}) == 1
        assert len(fake.stored) == 5


async def _counted(metrics: Metrics, stream: str, result: str, count: int) -> bool:
    labels = {"stream": stream, "result": result}
    return metrics.registry.get_sample_value("lockerhub_influx_lines_total", labels) == count


async def test_a_bucket_that_is_missing_does_not_hold_up_the_other(dsn: str) -> None:
    async with fake_influx() as fake, sink(dsn, fake.url, refused_s=3600.0):
        fake.missing = {"lockerhub"}
        measure(dsn, 10)
        await eventually(lambda: sent(fake, 1), "the readings, in vain")
        rows(dsn, DOOR_HOUR)
        await eventually(lambda: has(fake.stored, 3), "the doors' hours")
        assert all(key.startswith("lockerhub_door_hour,") for key in fake.stored)


async def test_one_hub_at_a_time(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.influx.sink._AGAIN_S", 0.01)
    metrics = Metrics("0")
    async with Database(dsn, connections_max=4, statement_timeout_ms=5000, connect_timeout_s=5) as store:
        async with advisory_lock(store, "influx") as got, fake_influx() as fake:
            assert got
            metrics.influx_lag.labels("reading").set(7)
            one = InfluxSink(settings(fake.url), store, server(settings(fake.url)), metrics)
            task = asyncio.create_task(one.run(), name="influx")
            await eventually(lambda: _no_lag(metrics), "the lag of a hub that feeds nothing")
            assert await InfluxFeed(store, 0.05).cursors() == []
        await eventually(lambda: InfluxFeed(store, 0.05).cursors(), "the second hub's turn")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _no_lag(metrics: Metrics) -> bool:
    return metrics.registry.get_sample_value("lockerhub_influx_lag_seconds", {"stream": "reading"}) is None


async def test_a_database_that_goes_away_is_waited_for(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.influx.sink._AGAIN_S", 0.05)
    async with fake_influx() as fake, sink(dsn, fake.url):
        name = dsn.rpartition("/")[2]
        rows(
            dsn,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
            name,
        )
        measure(dsn, 10)
        await eventually(lambda: has(fake.stored, 50), "what was stored since")


async def test_a_table_that_is_gone_is_told_and_waited_for(
    dsn: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("hub.influx.sink._AGAIN_S", 0.05)
    async with fake_influx() as fake, sink(dsn, fake.url):
        rows(dsn, "ALTER TABLE reading RENAME TO elsewhere")
        await eventually(lambda: _told(caplog, "The InfluxDB sink waits for the database"), "the wait in the log")
        rows(dsn, "ALTER TABLE elsewhere RENAME TO reading")
        measure(dsn, 10)
        await eventually(lambda: has(fake.stored, 50), "what was stored since")


async def _told(caplog: pytest.LogCaptureFixture, text: str) -> bool:
    return text in caplog.text


async def test_a_dead_influxdb_costs_the_hub_nothing_and_misses_nothing(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    port = free_port()
    settings: dict[str, Any] = {
        "influx_url": f"http://127.0.0.1:{port}", "influx_lag_s": 0.6, "influx_poll_s": 0.05,
        "influx_retry_s_max": 0.1, "database_statement_timeout_ms": 500,
    }  # fmt: skip
    async with scene(mosquitto_broker, dsn, tmp_path, **settings) as one, online(one) as locker:
        await eventually(lambda: _lagging(one), "the cursors")
        for number in range(1, 21):
            await locker.events(number, [Event(t=locker.up()["t"], at=1, kind="door.opened", door=1)])
            assert (await locker.receipt()).upto == number
            await locker.telemetry([Sample(t=locker.up()["t"], outbox_events=number)])
        await eventually(lambda: _retried(one), "attempts that failed")
        assert (await one.balanced("event"))["stored"] >= 20
        await eventually(lambda: _stored(one, 20), "every sample stored")
        assert len(await one.events("berlin-01")) == 20
    # The next hub goes on from where the first one could not get on.
    with victoria(port) as vm:
        async with scene(mosquitto_broker, dsn, tmp_path, **settings):
            await eventually(lambda: same(vm, dsn), "every reading in VictoriaMetrics")
            assert len(vm.points()) == 20


async def _lagging(one: Scene) -> bool:
    return 'lockerhub_influx_lag_seconds{stream="reading"}' in await one.metrics()


async def _retried(one: Scene) -> bool:
    return (await one.metrics()).get('lockerhub_influx_retries_total{reason="later"}', 0) > 2


async def _stored(one: Scene, count: int) -> bool:
    return (await one.balanced("sample"))["stored"] == count
