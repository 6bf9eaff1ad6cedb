"""The proofs of retention on a real database: killed anywhere, put back, altered, removed."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import orjson
import pytest

from hub.config.settings import RetentionSettings
from hub.core.retention.proof import canonical
from hub.errors import HubError, StoreRejected
from hub.retention.run import RetentionRun
from hub.store.database import Database
from hub.store.task_runs import advisory_lock
from tests.hub.scene import fresh_database, rows
from tests.services.conftest import Cluster
from tests.services.retention_scene import (
    CUT,
    NOW,
    OLD,
    TICK,
    build,
    clean,
    compress,
    event,
    events,
    ledger,
    left,
    two_lockers,
    verdict,
)

pytestmark = pytest.mark.services

BOTH = pytest.mark.parametrize("cluster", ["plain_postgres", "timescaledb"], indirect=True)


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> Cluster:
    running: Cluster = request.getfixturevalue(getattr(request, "param", "plain_postgres"))
    return running


@pytest.fixture
def dsn(cluster: Cluster) -> Iterator[str]:
    with two_lockers(cluster) as name:
        yield name


@pytest.fixture
async def store(dsn: str) -> AsyncIterator[Database]:
    async with Database(dsn, connections_max=4, statement_timeout_ms=20_000, connect_timeout_s=5) as opened:
        yield opened


@pytest.fixture
def retention(store: Database, tmp_path: Path) -> RetentionRun:
    return build(store, tmp_path)


@BOTH
async def test_a_run_that_is_killed_anywhere_is_gone_on_with(cluster: Cluster, tmp_path: Path) -> None:
    with fresh_database(cluster) as dsn:
        rows(dsn, "SELECT make_partitions('event', '2026-03-01', 1)")
        async with Database(dsn, connections_max=4, statement_timeout_ms=20_000, connect_timeout_s=5) as store:
            retention = build(store, tmp_path)
            kills = 0
            first = 1
            for stop in range(100):
                events(dsn, OLD, OLD + TICK, CUT - TICK, CUT + TICK, first=first)
                first += 4
                # On TimescaleDB; whatever the run finds compressed, it comes to the same end.
                compress(dsn)
                ended = True
                async with aclosing(retention.steps(NOW)) as steps:
                    place = 0
                    async for _ in steps:
                        if place == stop:
                            ended = False
                            break
                        place += 1
                if not ended:
                    kills += 1
                    await retention.run(NOW)
                assert rows(dsn, "SELECT count(*) FROM event WHERE occurred_at < %s", CUT) == [(0,)]
                # Chunks that were dropped are made anew here by rows as old as those.
                findings = (await verdict(store, retention)).findings
                assert [one for one in findings if "was dropped by" not in one] == []
                assert (await ledger(store)).complete
                if ended:
                    break
                rows(dsn, "SELECT make_partitions('event', '2026-03-01', 1)")
            assert kills > 5
            outcomes = [orjson.loads(bytes(row["proof"]))["manifest"] for row in await retention.proofs.all()]
            assert {one["outcome"] for one in outcomes} == {"complete", "interrupted"}
            assert sum(one["removed"] for said in outcomes for one in said["done"]) == 3 * (kills + 1)


async def test_a_kill_between_the_file_and_its_row_looks_like_nothing(
    store: Database, dsn: str, retention: RetentionRun
) -> None:
    events(dsn, OLD)
    await retention.run(NOW)
    # As if the commit had never come: the file is there, and the run is open.
    rows(dsn, "UPDATE retention_run SET sealed_at = NULL, proof = NULL, sha256 = NULL")
    rows(dsn, "DELETE FROM audit WHERE action = 'retention.sealed'")
    found = await verdict(store, retention)
    assert any("ended between its file and its row" in note for note in found.notes)
    assert found.findings == []
    said = await retention.run(NOW)
    assert (said["number"], said["repairs"]) == (2, [])
    await clean(store, retention)


async def test_a_database_from_a_backup_gets_its_proofs_back(
    store: Database, dsn: str, retention: RetentionRun
) -> None:
    for day in range(3):
        await retention.run(NOW + timedelta(days=day))
    rows(dsn, "DELETE FROM retention_run WHERE number > 1")
    rows(dsn, "DELETE FROM audit")
    found = await verdict(store, retention)
    assert [one.split(":")[0] for one in found.findings] == ["proof 2 is only a file", "proof 3 is only a file"]
    rows(dsn, "UPDATE audit_head SET id = 0, hash = decode(repeat('00', 32), 'hex')")
    said = await retention.run(NOW)
    assert said["number"] == 4
    assert said["repairs"] == [f"the row of proof {n} was put back from its file" for n in (2, 3)]
    await clean(store, retention)


@BOTH
@pytest.mark.parametrize("at", [OLD, CUT - TICK], ids=["of a chunk that was dropped", "of the boundary's chunk"])
async def test_one_row_put_back_is_found(store: Database, dsn: str, retention: RetentionRun, at: datetime) -> None:
    events(dsn, at, CUT + TICK)
    compress(dsn)
    await retention.run(NOW)
    event(dsn, 1, at)
    found = await verdict(store, retention)
    assert any(one.startswith("event: 1 rows lie below the cut-off of run 1") for one in found.findings)
    assert any(
        "1 rows are there although their numbers are gone, from number 1 on" in one for one in found.findings
    )
    view = await ledger(store)
    assert (view.complete, view.resurrected) == (False, 1)
    await retention.run(NOW + TICK)
    assert (await ledger(store)).complete, "it is not counted as gone a second time"
    await clean(store, retention)


async def test_what_comes_late_is_told_apart_and_goes_with_the_next_run(
    store: Database, dsn: str, retention: RetentionRun
) -> None:
    events(dsn, CUT + TICK)
    await retention.run(NOW)
    event(dsn, 2, OLD, received=NOW + TICK)
    rows(dsn, "UPDATE ledger_cursor SET next_seq = 3")
    found = await verdict(store, retention)
    assert found.findings == []
    assert "event: 1 rows below the cut-off came after run 1" in found.notes
    await retention.run(NOW + TICK * 2)
    assert left(dsn) == []
    assert (await ledger(store)).complete


@BOTH
@pytest.mark.parametrize("table", ["reading_hour", "reading_day"])
async def test_a_roll_up_put_back_is_found(store: Database, dsn: str, retention: RetentionRun, table: str) -> None:
    put = (
        f"INSERT INTO {table} SELECT (jsonb_populate_record(NULL::{table}, (SELECT jsonb_object_agg(column_name, 1)"
        " FROM information_schema.columns WHERE table_name = 'reading_day' AND data_type = 'integer')"
        " || jsonb_build_object('bucket', %s::timestamptz, 'locker_id', 'berlin-01'::text))).*"
    )
    rows(dsn, put, OLD)
    await retention.run(NOW)
    assert rows(dsn, f"SELECT count(*) FROM {table}") == [(0,)]
    rows(dsn, put, OLD)
    (finding,) = (await verdict(store, retention)).findings
    assert finding.startswith(f"{table}: 1 rows lie below the cut-off of run 1")


async def test_a_proof_that_is_altered_or_missing_is_found(
    store: Database, dsn: str, retention: RetentionRun
) -> None:
    for day in range(3):
        await retention.run(NOW + timedelta(days=day))
    file = retention.files.path(2)
    good = file.read_bytes()
    file.write_bytes(good.replace(b'"outcome":"complete"', b'"outcome":"Complete"'))
    assert [one[:22] for one in (await verdict(store, retention)).findings] == ["the file of proof 2: i"]
    file.unlink()
    assert (await verdict(store, retention)).findings == ["proof 2 has no file"]
    await retention.run(NOW + timedelta(days=3))
    assert (await verdict(store, retention)).findings == ["proof 2 has no file"], "nobody mends that in silence"
    file.write_bytes(good)
    await clean(store, retention)
    rows(dsn, "UPDATE retention_run SET proof = overlay(proof PLACING 'x' FROM 40) WHERE number = 3")
    findings = (await verdict(store, retention)).findings
    assert any(one.startswith("proof 3 in the table:") for one in findings)
    assert "proof 3 is missing" in findings
    rows(dsn, "DELETE FROM retention_run WHERE number = 4")
    retention.files.path(4).unlink()
    findings = (await verdict(store, retention)).findings
    assert "the audit knows proof 4, and it is not there" in findings


async def test_two_runs_at_once_are_one_too_many(store: Database, retention: RetentionRun) -> None:
    async with advisory_lock(store, "retention") as first, advisory_lock(store, "retention") as second:
        assert (first, second) == (True, False)
    # And if somebody gets round the lock, the database has one open run.
    async with aclosing(retention.steps(NOW)) as steps:
        async for what in steps:
            if what == "begun":
                break
        with pytest.raises(StoreRejected, match="retention_run_open"):
            await retention.proofs.begin(NOW, {})


async def test_a_category_that_fails_does_not_keep_the_others(store: Database, dsn: str, tmp_path: Path) -> None:
    async def broken(_: datetime) -> int:
        raise HubError("Anna's codes cannot be swept")

    retention = build(store, tmp_path)
    failing = RetentionRun(
        store, RetentionSettings(directory=str(tmp_path / "retention"), key_file=str(tmp_path / "key.pem")),
        {"id": "hub", "version": "0"}, sweep=broken,
    )  # fmt: skip
    events(dsn, OLD)
    with pytest.raises(HubError, match="code: Anna's codes cannot be swept"):
        await failing.run(NOW)
    assert left(dsn) == []
    newest = await retention.proofs.newest()
    assert newest is not None
    said = orjson.loads(bytes(newest["proof"]))["manifest"]
    assert (said["outcome"], said["failed"]) == ("partial", [{"category": "code", "why": "HubError"}])
    assert await retention.newest_complete() is None
    await clean(store, retention)


async def test_a_proof_has_nothing_of_a_person_and_its_file_is_what_was_signed(
    dsn: str, retention: RetentionRun
) -> None:
    actor = uuid4()
    events(dsn, OLD, actor=actor)
    await retention.run(NOW, by="anna")
    data = await asyncio.to_thread(retention.files.path(1).read_bytes)
    assert b"anna" not in data
    assert str(actor).encode() not in data
    document = orjson.loads(data)
    assert canonical(document) + b"\n" == data
    assert document["manifest"]["by"] == "operator"
    assert rows(dsn, "SELECT who FROM audit WHERE action = 'retention.sealed'") == [("anna",)]
