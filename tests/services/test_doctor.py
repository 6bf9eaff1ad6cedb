"""`hub doctor` on real databases: it sees what is there, of both forms, and ends as it found."""

import asyncio
import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from hub.cli.main import app
from hub.config.settings import load
from hub.core.doctor import Facts, judge
from hub.errors import StoreUnavailable
from hub.metrics import Metrics
from hub.preflight.online import check_online
from hub.scheduler import series
from hub.scheduler.scheduler import Scheduler
from hub.store.database import Database
from hub.store.doctor import collect_facts
from hub.store.lease import LeaseTable
from hub.store.migrate import migrate
from tests.hub.scene import fresh_database, rows
from tests.services.conftest import Cluster

pytestmark = pytest.mark.services

NAMES = ["event", "reading", "reading_hour", "reading_day"]


@pytest.fixture(params=["plain", "timescaledb"])
def dsn(request: pytest.FixtureRequest) -> Iterator[str]:
    running = {"plain": "plain_postgres"}.get(request.param, request.param)
    with fresh_database(request.getfixturevalue(running)) as dsn:
        # A copy of a database has none of its settings.
        migrate(dsn)
        yield dsn


def sentences(facts: Facts) -> str:
    return "\n".join(one.text for one in judge(facts, pool_connections_max=8, clock_ahead_s=0))


async def test_what_is_there_is_seen(dsn: str) -> None:
    now = datetime.now(UTC)
    for days in (0, 110, 800):
        at = now - timedelta(days=days)
        rows(dsn, "INSERT INTO reading (sampled_at, received_at, locker_id) VALUES (%s, now(), 'x')", at)
    before = collect_facts(dsn)
    (reading,) = [one for one in before.series if one.name == "reading"]
    assert [one.name for one in before.series] == NAMES
    assert (reading.oldest, reading.newest) == (now - timedelta(days=800), now)
    assert reading.bytes > 0
    assert not {"event", "reading_day"} & before.tables.keys()
    assert before.tables.keys() >= {"command", "upkeep"}
    assert "no hub has done any upkeep" in sentences(before)
    plain = before.schema.form == "plain"
    if plain:
        assert "2 rows of reading are in no month's partition" in sentences(before)
    else:
        assert "2 chunks of reading should be compressed" in sentences(before)
        rows(dsn, "SELECT add_retention_policy('reading', interval '1 year')")
        assert re.search(
            r"job \d+ \(policy_retention\) on reading to TimescaleDB: it deletes", sentences(collect_facts(dsn))
        )
        rows(dsn, "SELECT remove_retention_policy('reading')")

    async with Database(dsn, connections_max=4, statement_timeout_ms=10_000, connect_timeout_s=5) as store:
        upkeep = Scheduler(store, Metrics("0"), series.series_tasks(store))
        for task in series.series_tasks(store):
            await upkeep.turn(task)
    after = collect_facts(dsn)
    (reading,) = [one for one in after.series if one.name == "reading"]
    assert (reading.default_rows, reading.overdue) == (0, 0)
    assert reading.compressed == (0 if plain else 2)
    assert (reading.ratio is None) is plain
    assert (reading.upto is not None) is plain
    assert {one.task: one.late(after.at) for one in after.upkeep} == {
        "partitions": False, "compression": False, "rollup": False,
    }  # fmt: skip
    assert {one.text for one in judge(after, pool_connections_max=8, clock_ahead_s=0) if one.trouble} == {
        "fsync is off, so that a power cut can destroy the whole database: set fsync = on"
    }


def test_the_command_line(dsn: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HUB_DATABASE_DSN", dsn)
    ran = CliRunner().invoke(app, ["doctor", "--json"])
    found = json.loads(ran.stdout)
    assert ran.exit_code == 1
    assert [one["name"] for one in found["facts"]["series"]] == NAMES
    assert any(one["trouble"] and one["text"].startswith("fsync is off") for one in found["findings"])
    assert found["policy"] == "2026.1"
    text = CliRunner().invoke(app, ["doctor"])
    assert text.exit_code == 1
    for words in (
        "PostgreSQL 1", "reading_hour", "TROUBLE: fsync is off", "no migrations missing",
        "retention: policy 2026.1, has not run yet, 0 legal holds active",
    ):  # fmt: skip
        assert words in text.stdout
    policy = tmp_path / "policy.toml"
    policy.write_text('version = "2"\n[keep]\nevent = "-7 years"\n')
    monkeypatch.setenv("HUB_RETENTION_POLICY_FILE", str(policy))
    for words in (
        "TROUBLE: retention does not run",
        "keep.event: -7 years: a period is not below zero",
        "no policy",
    ):
        assert words in CliRunner().invoke(app, ["doctor"]).stdout


async def test_the_active_hub_its_standbys_and_its_broker_are_seen(
    plain_postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = uuid4()
    with fresh_database(plain_postgres) as dsn:
        migrate(dsn)
        monkeypatch.setenv("HUB_DATABASE_DSN", dsn)
        active, standby = (LeaseTable(dsn, "broker:1883 hub", connect_timeout_s=5) for _ in range(2))
        seen, _ = await active.look()
        assert await active.take(hub, "rack-1, process 9", 3600.0, seen)
        assert await active.renew(hub, 3600.0, "mosquitto version 2.0.11")
        await standby.look()

        facts = await asyncio.to_thread(collect_facts, dsn)
        (lease,), (waiting,) = facts.leases, facts.standbys
        assert (lease.name, lease.holder, lease.node, lease.held) == (
            "broker:1883 hub", hub, "rack-1, process 9", True,
        )  # fmt: skip
        assert lease.since is not None
        assert waiting.since is not None
        text = (await asyncio.to_thread(CliRunner().invoke, app, ["doctor"])).stdout
        assert f"lease broker:1883 hub: hub {hub} (rack-1, process 9) is active since " in text
        assert "; broker: mosquitto version 2.0.11\n" in text
        assert text.count("standby: a hub at ") == 1
        assert "note: the broker: mosquitto version 2.0.11 counts messages under way wrongly" in text
        monkeypatch.setenv("HUB_MQTT_VERSION", "3.1.1")
        text = (await asyncio.to_thread(CliRunner().invoke, app, ["doctor"])).stdout
        assert "TROUBLE: the broker: mosquitto version 2.0.11 counts messages under way wrongly" in text

        await standby.close()
        rows(dsn, "UPDATE hub_lease SET expires_at = clock_timestamp() - interval '1 hour'")
        said = sentences(await asyncio.to_thread(collect_facts, dsn))
        expired = f"no hub is active: the lease broker:1883 hub of hub {hub} (rack-1, process 9) expired 60 min"
        assert expired in said
        # It is run before a hub starts, also after the last one died: a missing hub is no reason against it.
        before_start = await asyncio.to_thread(check_online, load(None, os.environ))
        assert not [one for one in before_start if "no hub is active" in one.text]
        assert await active.release(hub)
        await active.close()
        facts = await asyncio.to_thread(collect_facts, dsn)
        assert "no hub is active by the lease broker:1883 hub; the last one (rack-1, pr" in sentences(facts)
        text = (await asyncio.to_thread(CliRunner().invoke, app, ["doctor"])).stdout
        assert "lease broker:1883 hub: no hub is active" in text


def test_a_database_without_a_schema_is_examined(plain_postgres: Cluster) -> None:
    everywhere = plain_postgres.dsn("postgres")
    rows(everywhere, "CREATE DATABASE bare TEMPLATE template0")
    facts = collect_facts(plain_postgres.dsn("bare"))
    assert facts.schema.missing > 0
    assert "`hub migrate` applies them" in sentences(facts)
    rows(everywhere, "DROP DATABASE bare WITH (FORCE)")


def test_a_database_that_is_away() -> None:
    with pytest.raises(StoreUnavailable):
        collect_facts("postgresql://nobody@127.0.0.1:1/nothing")
