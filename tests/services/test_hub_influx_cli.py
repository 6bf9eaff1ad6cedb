"""`hub influx`: how far the sink is, and the past again."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web

from tests.hub.fake_influx import fake_influx
from tests.hub.scene import eventually, fresh_database, rows
from tests.services.conftest import Cluster
from tests.services.influx_scene import (
    Victoria,
    measure,
    same,
    sent,
    sink,
    stored,
    victoria,
)

pytestmark = pytest.mark.services


@pytest.fixture
def vm() -> Iterator[Victoria]:
    with victoria(overwrites=True) as running:
        yield running


@pytest.fixture
def dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as name:
        yield name


@pytest.fixture
def series_dsn(timescaledb: Cluster) -> Iterator[str]:
    with fresh_database(timescaledb) as name:
        yield name


def hub(dsn: str, url: str, *arguments: str, **changed: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "HUB_DATABASE_DSN": dsn, "HUB_INFLUX_URL": url, **changed}
    command = [str(Path(sys.executable).with_name("hub")), "influx", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


async def test_the_past_is_sent_again_from_where_it_was_left(series_dsn: str, vm: Victoria) -> None:
    dsn = series_dsn
    measure(dsn, 300, age="1 hour")
    measure(dsn, 300, age="3 days")
    measure(dsn, 300, lockers=2, age="20 days")
    rows(dsn, "SELECT compress_chunk(c) FROM show_chunks('reading') c")
    measure(dsn, 10, age="20 days 2 hours")  # late, into a compressed chunk
    since = (datetime.now(UTC) - timedelta(days=30)).date().isoformat()
    async with fake_influx() as fake:
        # The server takes two days and then refuses; the process is stopped there.
        def judge(_: list[str]) -> web.Response | None:
            return web.Response(status=401) if len(fake.stored) > 500 else None

        fake.judge = judge
        environment = {**os.environ, "HUB_DATABASE_DSN": dsn, "HUB_INFLUX_URL": fake.url}
        environment |= {"HUB_INFLUX_BATCH_ROWS_MAX": "200"}
        command = [str(Path(sys.executable).with_name("hub")), "influx", "rebuild", "--since", since]
        process = await asyncio.create_subprocess_exec(*command, env=environment, stderr=subprocess.PIPE)
        # How far it was is written down before the next request.
        await eventually(lambda: sent(fake, 3), "the request that is refused")
        process.kill()
        await process.communicate()
    left = await asyncio.to_thread(hub, dsn, vm.url, "rebuild", "--since", since)
    assert left.returncode == 1
    assert "a rebuild was left unfinished" in left.stderr
    done = await asyncio.to_thread(hub, dsn, vm.url, "rebuild")
    assert done.returncode == 0, done.stderr
    assert "sent again: reading from" in done.stdout
    went_on = await asyncio.to_thread(vm.points)
    assert 0 < len(went_on) < len(stored(dsn)), "what the first server had taken is not sent to the second"
    anew = await asyncio.to_thread(hub, dsn, vm.url, "rebuild", "--since", since)
    assert anew.returncode == 0, anew.stderr
    await eventually(lambda: same(vm, dsn), "every reading in VictoriaMetrics")
    assert f"{len(stored(dsn))} lines" in anew.stdout
    status = await asyncio.to_thread(hub, dsn, vm.url, "status", "--json")
    found = json.loads(status.stdout)
    assert [(one["stream"], one["lines"]) for one in found["rebuilds"]] == [
        ("door_hour", 0), ("reading", len(stored(dsn))),
    ]  # fmt: skip
    assert [bucket["kept_s"] for bucket in found["buckets"]] == [None, None]


async def test_the_status_is_told_to_people(dsn: str) -> None:
    kept = {"lockerhub": 397 * 86_400, "lockerhub-statistics": 0}
    async with fake_influx(buckets=kept) as fake:
        before = await asyncio.to_thread(hub, dsn, fake.url, "status")
        assert "nothing was sent yet" in before.stdout
        async with sink(dsn, fake.url):
            pass
        lines = (await asyncio.to_thread(hub, dsn, fake.url, "status")).stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["door_hour", "reading", "reading_late", "bucket", "bucket"]
    assert lines[3] == "bucket lockerhub: kept 397 days, as it should be"
    assert "kept for ever, and 2557 days is right" in lines[4]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("rebuild",), 2, "no rebuild was left unfinished"),
        (("rebuild", "--since", "yesterday"), 2, "'yesterday' is not a time"),
        (("rebuild", "--since", "2099-01-01"), 2, "has to lie before"),
        (("rebuild", "--until", "2026-01-01"), 2, "need --since"),
    ],
)
def test_what_cannot_be_sent_again_is_told(dsn: str, arguments: tuple[str, ...], status: int, said: str) -> None:
    done = hub(dsn, "http://127.0.0.1:1", *arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert said in done.stderr


def test_without_the_extra_the_hub_says_what_to_install() -> None:
    def run(**environment: str) -> "subprocess.CompletedProcess[str]":
        code = "import sys; sys.modules['influxdb_client'] = None; from hub.cli.main import main; main()"
        return subprocess.run(
            [sys.executable, "-c", code, "influx", "status"],
            env={"PATH": os.environ["PATH"], "HUB_DATABASE_DSN": "postgresql://127.0.0.1:1/none", **environment},
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    done = run(HUB_INFLUX_URL="http://127.0.0.1:1")
    assert done.returncode == 1
    assert "influxdb_client is not installed: install the extra, lockerhub[influx]" in done.stderr
    assert "the InfluxDB sink is off" in run().stderr
