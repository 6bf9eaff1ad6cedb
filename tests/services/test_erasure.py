"""Erasing a person on a real database: nothing of them is left anywhere, and everything else is."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest

from hub.core.people.erasing import Cause
from hub.core.retention.holds import HoldOrder
from hub.errors import ErasureIncomplete, PeopleError
from hub.store.audit import verify_audit
from hub.store.database import Database
from hub.store.holds import Holds
from hub.store.people import AccountStore
from hub.store.statistics import recount
from tests.hub.people.persons import (
    BADGE,
    BY,
    NOW,
    add_events,
    eraser_of,
    found_in,
    journal_of,
    person,
    switch_on,
)
from tests.hub.scene import eventually, fresh_database, register, rows
from tests.services.conftest import Cluster

KNOWN_BY_ID = ("erasure",)
"""The one table that knows random ids of the erased, for lockers that come back late."""


@pytest.fixture(params=["plain_postgres", "timescaledb"])
def dsn(request: pytest.FixtureRequest) -> Iterator[str]:
    cluster: Cluster = request.getfixturevalue(request.param)
    with fresh_database(cluster) as dsn:
        yield dsn


@pytest.fixture
def plain_dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as dsn:
        yield dsn


async def opened(dsn: str) -> Database:
    await register(dsn, ["berlin-01", "paris-02"])
    return Database(dsn, connections_max=4, statement_timeout_ms=10_000, connect_timeout_s=5)


@pytest.fixture
async def store(dsn: str) -> AsyncIterator[Database]:
    async with await opened(dsn) as store:
        yield store


@pytest.fixture
async def plain(plain_dsn: str) -> AsyncIterator[Database]:
    async with await opened(plain_dsn) as store:
        yield store


def compress(dsn: str) -> None:
    if not rows(dsn, "SELECT FROM pg_extension WHERE extname = 'timescaledb'"):
        return
    chunks = rows(dsn, "SELECT compress_chunk(c, if_not_compressed => true) FROM show_chunks('event') c")
    assert len(chunks) > 1


def ledger(dsn: str, locker: str) -> tuple[int, int]:
    """The rows that are stored, and how many the cursor says."""
    ((count,),) = rows(dsn, "SELECT count(*) FROM event WHERE locker_id = %s", locker)
    ((stored,),) = rows(dsn, "SELECT stored FROM ledger_cursor WHERE locker_id = %s", locker)
    return count, stored


async def test_nothing_is_left_of_a_person_and_everything_of_the_others(
    store: Database, dsn: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await switch_on(store)
    berta, other = await person(store), uuid4()
    add_events(dsn, "berlin-01", [berta.actor, None, other] * 400)
    add_events(dsn, "paris-02", [other, berta.actor, berta.actor])
    compress(dsn)
    # What comes while a chunk is compressed lies beside it.
    add_events(dsn, "berlin-01", [berta.actor] * 3, first=1201, since=NOW - timedelta(days=299, minutes=7))
    assert len(found_in(dsn, berta.needles)) > 20

    erased = await eraser_of(store, tmp_path).erase(
        berta.account, cause=Cause.REQUEST, by="anna", now=NOW, request=berta.request
    )
    assert not erased.partly
    assert erased.deleted["event"] == 405
    assert erased.lockers == 2
    assert rows(dsn, "SELECT count(*) FROM event WHERE actor_id = %s", berta.actor) == [(0,)]
    assert rows(dsn, "SELECT count(*) FROM event WHERE actor_id = %s", other) == [(401,)]
    assert ledger(dsn, "berlin-01") == (800, 800)
    assert ledger(dsn, "paris-02") == (1, 1)
    gone = "SELECT numbers::text, why FROM ledger_gone WHERE locker_id = 'paris-02'"
    assert rows(dsn, gone) == [("{[2,4)}", "erasure")]
    verdict = await verify_audit(store)
    assert verdict.faults == []
    assert verdict.emptied > 5

    # The orders to forget are the one thing that still names the actor, until the lockers have ended them.
    told = rows(dsn, "SELECT locker_id, args, state, class FROM command WHERE kind = 'forget' ORDER BY locker_id")
    forget = {"actor": str(berta.actor)}
    assert told == [("berlin-01", forget, "queued", "durable"), ("paris-02", forget, "queued", "durable")]
    assert set(found_in(dsn, berta.needles, without=KNOWN_BY_ID)) == {"command.args"}
    rows(dsn, "DELETE FROM command WHERE kind = 'forget'")
    assert found_in(dsn, berta.needles, without=KNOWN_BY_ID) == {}
    assert set(found_in(dsn, berta.needles)) == {"erasure.account_id", "erasure.actor_id"}
    journal = journal_of(tmp_path).path.read_text()
    for needle in ("berta", BADGE.lower(), "müller"):
        assert needle not in journal.lower()
        assert needle not in caplog.text.lower()
    assert rows(dsn, "SELECT state, account_id FROM rights_request") == [("identity_checked", None)]


async def test_statistics_forget_them_too(plain: Database, plain_dsn: str, tmp_path: Path) -> None:
    await switch_on(plain)
    berta = await person(plain)
    add_events(plain_dsn, "berlin-01", [berta.actor, None, None, None])
    async with plain.transaction() as conn:
        await recount(conn, [("berlin-01", NOW - timedelta(days=300))])
    counted = "SELECT sum(openings), sum(closings) FROM door_hour"
    ((before, closings),) = rows(plain_dsn, counted)
    await eraser_of(plain, tmp_path).erase(berta.account, cause=Cause.DEACTIVATED, by="hub", now=NOW)
    assert rows(plain_dsn, counted) == [(before - 1, closings)]


STEPS = (
    "journal", "begin", "secrets", "events", "command_text", "command", "job_text", "quarantine", "rating",
    "account", "verified", "told",
)  # fmt: skip


class PowerCut(Exception):  # noqa: N818 - what it is
    pass


async def test_cut_off_after_any_step_and_run_again_it_comes_to_the_same_end(
    plain: Database, plain_dsn: str, tmp_path: Path
) -> None:
    await switch_on(plain)
    berta = await person(plain)
    add_events(plain_dsn, "berlin-01", [berta.actor, None] * 1500)
    seen: list[str] = []
    runs = 0
    while True:
        passed: list[str] = []

        def pass_(step: str, passed: list[str] = passed) -> None:
            passed.append(step)
            if seen.count(step) < passed.count(step):
                seen.append(step)
                raise PowerCut(step)

        runs += 1
        try:
            erased = await eraser_of(plain, tmp_path, passed=pass_).erase(
                berta.account, cause=Cause.REQUEST, by="anna", now=NOW, request=berta.request
            )
        except PowerCut:
            continue
        break
    assert set(STEPS) <= set(seen)
    assert runs == len(seen) + 1
    assert erased.deleted["event"] == 1500
    assert erased.deleted["account"] == 1
    assert ledger(plain_dsn, "berlin-01") == (1500, 1500)
    assert rows(plain_dsn, "SELECT count(*) FROM command WHERE kind = 'forget'") == [(1,)]
    rows(plain_dsn, "DELETE FROM command WHERE kind = 'forget'")
    assert found_in(plain_dsn, berta.needles, without=KNOWN_BY_ID) == {}
    assert len(journal_of(tmp_path).read()) == 1
    with pytest.raises(PeopleError) as unknown:
        await eraser_of(plain, tmp_path).erase(uuid4(), cause=Cause.CHILD, by="anna", now=NOW)
    assert unknown.value.code == "account_unknown"


def hold(dsn: str, **named: object) -> UUID:
    one = uuid4()
    names = ["id", "tenant_id", "why", "placed_by", "placed_at", *named]
    values = [one, "default", "a lawsuit", "anna", NOW - timedelta(days=1000), *named.values()]
    slots = ", ".join(["%s"] * len(values))
    rows(dsn, f"INSERT INTO legal_hold ({', '.join(names)}) VALUES ({slots})", *values)
    return one


async def test_a_hold_on_a_locker_and_a_time_keeps_exactly_those_events(
    store: Database, dsn: str, tmp_path: Path
) -> None:
    await switch_on(store)
    berta = await person(store)
    add_events(dsn, "berlin-01", [berta.actor, None] * 500)
    compress(dsn)
    since = NOW - timedelta(days=300)
    held = hold(dsn, locker_id="berlin-01", since=since, before=since + timedelta(hours=10))
    eraser = eraser_of(store, tmp_path)
    erased = await eraser.erase(berta.account, cause=Cause.DEACTIVATED, by="hub", now=NOW)
    # Ten hours of half an hour each, every other one hers.
    assert erased.kept == {"event": 10}
    assert erased.deleted["event"] == 490
    assert [one.id for one in erased.holds] == [held]
    assert str(held) in erased.sentence()
    # Nothing else is kept: without the account, what is held is of nobody.
    assert rows(dsn, "SELECT count(*) FROM account") == [(0,)]
    assert rows(dsn, "SELECT count(*) FROM transaction") == [(0,)]
    assert ledger(dsn, "berlin-01") == (510, 510)

    # It is as it has to be: the journal has nothing to add, as long as the hold lasts.
    (entry,) = journal_of(tmp_path).read()
    assert await eraser.again(entry, NOW) is None
    rows(dsn, "UPDATE legal_hold SET released_at = now()")
    assert (await eraser.sweep(NOW + timedelta(days=1)))["erasures"] == 1
    assert rows(dsn, "SELECT count(*) FROM event WHERE actor_id IS NOT NULL") == [(0,)]
    assert rows(dsn, "SELECT kept FROM erasure") == [({},)]
    assert (await eraser.sweep(NOW + timedelta(days=1)))["erasures"] == 0


async def test_a_hold_on_a_person_keeps_them_closed_and_whole(
    plain: Database, plain_dsn: str, tmp_path: Path
) -> None:
    await switch_on(plain)
    berta = await person(plain)
    add_events(plain_dsn, "berlin-01", [berta.actor, None])
    hold(plain_dsn, account_id=berta.account, actor_id=berta.actor, until=NOW + timedelta(days=3650))
    erased = await eraser_of(plain, tmp_path).erase(berta.account, cause=Cause.REQUEST, by="anna", now=NOW)
    assert erased.partly
    assert erased.kept["account"] == erased.kept["credential"] == erased.kept["event"] == 1
    assert erased.kept["transaction"] == 2
    # Codes are for doors, and never evidence.
    assert erased.deleted["access_code"] == 1
    ((closed,),) = rows(plain_dsn, "SELECT deactivated_at FROM account")
    assert closed == NOW
    with pytest.raises(PeopleError) as refused:
        await AccountStore(plain).reactivate(berta.account, BY)
    assert refused.value.code == "being_erased"


async def test_a_hold_that_comes_in_the_middle_keeps_what_is_still_there(
    plain: Database, plain_dsn: str, tmp_path: Path
) -> None:
    await switch_on(plain)
    berta = await person(plain)
    add_events(plain_dsn, "berlin-01", [berta.actor, None])

    def pass_(step: str) -> None:
        if step == "rating":
            hold(plain_dsn, account_id=berta.account, actor_id=berta.actor)

    eraser = eraser_of(plain, tmp_path, passed=pass_)
    erased = await eraser.erase(berta.account, cause=Cause.REQUEST, by="anna", now=NOW, request=berta.request)
    assert erased.partly
    assert (erased.kept["account"], erased.kept["rights_request"]) == (1, 1)
    assert "account" not in erased.deleted


async def somebody_waits(dsn: str) -> bool:
    waits = "SELECT 1 FROM pg_locks WHERE relation = 'legal_hold'::regclass AND NOT granted"
    return bool(await asyncio.to_thread(rows, dsn, waits))


async def test_a_hold_that_is_being_placed_is_waited_for(store: Database, dsn: str, tmp_path: Path) -> None:
    await switch_on(store)
    berta = await person(store)
    add_events(dsn, "berlin-01", [berta.actor, None])
    async with await psycopg.AsyncConnection.connect(dsn) as placing:
        await placing.execute(
            "INSERT INTO legal_hold (id, tenant_id, account_id, actor_id, why, placed_by, placed_at)"
            " VALUES (gen_random_uuid(), 'default', %s, %s, 'a lawsuit', 'anna', now())",
            (berta.account, berta.actor),
        )
        eraser = eraser_of(store, tmp_path)
        erasing = asyncio.create_task(
            eraser.erase(berta.account, cause=Cause.REQUEST, by="anna", now=NOW), name="erasing"
        )
        await eventually(lambda: somebody_waits(dsn), "the erasure waits for the hold")
        await placing.commit()
        erased = await erasing
    assert erased.kept["account"] == erased.kept["credential"] == erased.kept["event"] == 1


async def test_nobody_is_held_who_is_gone_by_the_time_that_the_hold_is_there(store: Database, dsn: str) -> None:
    berta = (await AccountStore(store).create("berta@example.org", "Berta", BY))["id"]
    async with await psycopg.AsyncConnection.connect(dsn) as erasing:
        await erasing.execute("LOCK TABLE legal_hold IN SHARE MODE")
        await erasing.execute("DELETE FROM account")
        order = HoldOrder("a lawsuit", account=berta)
        placing = asyncio.create_task(Holds(store).place(uuid4(), order, by="anna", now=NOW), name="placing")
        await eventually(lambda: somebody_waits(dsn), "the hold waits for the erasure")
        await erasing.commit()
        assert await placing == f"There is no account {berta}."
    assert rows(dsn, "SELECT count(*) FROM legal_hold") == [(0,)]


async def test_a_hold_on_a_transaction_keeps_it_and_whose_it_is(
    plain: Database, plain_dsn: str, tmp_path: Path
) -> None:
    await switch_on(plain)
    berta = await person(plain)
    add_events(plain_dsn, "berlin-01", [berta.actor, None, berta.actor], transaction=berta.transaction)
    # Others of hers lie before, between and after them.
    between = NOW - timedelta(days=300, minutes=5)
    add_events(plain_dsn, "berlin-01", [berta.actor] * 4, first=4, since=between)
    add_events(plain_dsn, "paris-02", [berta.actor])
    hold(plain_dsn, transaction_id=berta.transaction)
    erased = await eraser_of(plain, tmp_path).erase(berta.account, cause=Cause.REQUEST, by="anna", now=NOW)
    assert erased.kept["event"] == 2
    assert erased.kept["transaction"] == 1
    assert erased.kept["account"] == 1
    assert "badge" not in erased.kept
    assert "credential" not in erased.kept
    rows(plain_dsn, "UPDATE legal_hold SET released_at = now()")
    await eraser_of(plain, tmp_path).sweep(NOW)
    rows(plain_dsn, "DELETE FROM command WHERE kind = 'forget'")
    rows(plain_dsn, "DELETE FROM legal_hold")
    assert found_in(plain_dsn, berta.needles, without=KNOWN_BY_ID) == {}


async def test_what_a_locker_brings_later_is_erased_as_well_and_the_locker_told_again(
    plain: Database, plain_dsn: str, tmp_path: Path
) -> None:
    await switch_on(plain)
    berta = await person(plain)
    add_events(plain_dsn, "berlin-01", [berta.actor, None])
    eraser = eraser_of(plain, tmp_path)
    # A child: at once, on a decision of the staff, without a request.
    await eraser.erase(berta.account, cause=Cause.CHILD, by="anna", now=NOW)
    ended = "UPDATE command SET state = 'succeeded' WHERE kind = 'forget' RETURNING args"
    assert rows(plain_dsn, ended) == [(None,)]
    add_events(plain_dsn, "berlin-01", [berta.actor, None], first=3)
    add_events(plain_dsn, "paris-02", [berta.actor])
    assert (await eraser.sweep(NOW))["erasures"] == 1
    assert rows(plain_dsn, "SELECT count(*) FROM event WHERE actor_id IS NOT NULL") == [(0,)]
    forget = "SELECT locker_id, count(*) FROM command WHERE kind = 'forget' GROUP BY 1 ORDER BY 1"
    assert rows(plain_dsn, forget) == [("berlin-01", 2), ("paris-02", 1)]
    # No locker is away for so long: then the ids go as well.
    assert (await eraser.sweep(NOW + timedelta(days=401)))["ids_let_go"] == 1
    assert rows(plain_dsn, "SELECT actor_id, cause, deleted ->> 'event' FROM erasure") == [(None, "child", "3")]


async def test_rows_that_come_back_while_it_is_verified_are_no_success(
    plain: Database, plain_dsn: str, tmp_path: Path
) -> None:
    await switch_on(plain)
    berta = await person(plain)

    def pass_(step: str) -> None:
        if step == "account":
            add_events(plain_dsn, "berlin-01", [berta.actor])

    with pytest.raises(ErasureIncomplete, match="event"):
        await eraser_of(plain, tmp_path, passed=pass_).erase(berta.account, cause=Cause.REQUEST, by="anna", now=NOW)
    assert rows(plain_dsn, "SELECT done_at FROM erasure") == [(None,)]


async def test_one_at_a_time(plain: Database, tmp_path: Path) -> None:
    await switch_on(plain)
    berta = await person(plain)
    one, other = eraser_of(plain, tmp_path), eraser_of(plain, tmp_path)
    results = await asyncio.gather(
        *(each.erase(berta.account, cause=Cause.REQUEST, by="anna", now=NOW) for each in (one, other)),
        return_exceptions=True,
    )
    assert sum(isinstance(result, PeopleError) for result in results) <= 1
    assert any(not isinstance(result, BaseException) for result in results)


def test_the_test_of_what_is_left_finds_things(plain_dsn: str) -> None:
    with psycopg.connect(plain_dsn) as conn:
        conn.execute("INSERT INTO quarantine VALUES (DEFAULT, now(), 't', 'r', 'd', 'some BeRta', 1)")
    assert found_in(plain_dsn, ["berta"]) == {"quarantine.payload": 1}
