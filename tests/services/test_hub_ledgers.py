"""Ledgers in a real PostgreSQL, plain and with TimescaleDB: one history, every number accounted for."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from hub.core.gaps import DeclaredGap
from hub.core.ledger import START, Key
from hub.core.verify import GapView, LedgerView, RangeView, judge
from hub.errors import CursorConflict, StoreRejected, StoreUnavailable
from hub.store.binary_copy import event_rows
from hub.store.database import Database
from hub.store.ledgers import RANGES_SHOWN_MAX, Ledgers
from hub.store.migrate import PLAIN, TIMESCALEDB, migrations
from hub.store.rows import EventUnit, Quarantined
from hub.store.statements import statement
from tests.hub.scene import fresh_database, rows
from tests.services.conftest import Cluster
from wire.messages import CHAIN_START, Clock, Event, EventBatch

pytestmark = pytest.mark.services

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
EPOCH = UUID(int=7)
KEY: Key = ("berlin-01", EPOCH)
OTHER: Key = ("null", EPOCH)
"""A locker may be called so, and is not nothing."""
A, B, C = "00000000000000aa", "00000000000000bb", "00000000000000cc"


@pytest.fixture(params=["plain_postgres", "timescaledb"])
def dsn(request: pytest.FixtureRequest) -> Iterator[str]:
    cluster: Cluster = request.getfixturevalue(request.param)
    with fresh_database(cluster) as name:
        yield name


def opened_store(dsn: str) -> Database:
    return Database(dsn, connections_max=4, statement_timeout_ms=5000, connect_timeout_s=5)


@pytest.fixture
async def ledgers(dsn: str) -> AsyncIterator[Ledgers]:
    async with opened_store(dsn) as made:
        yield Ledgers(made)


def opened(door: int | None = 1, kind: str = "door.opened", data: dict[str, Any] | None = None) -> Event:
    return Event(t=1, at=1, kind=kind, door=door, data=data)


def unit(
    first: int,
    events: list[Event],
    key: Key = KEY,
    *,
    gap: tuple[int, int] | None = None,
    prev: str | None = None,
    chain: str | None = None,
    spoiled: Sequence[int] = (),
    told: Sequence[DeclaredGap] = (),
) -> EventUnit:
    """A unit of `events`, of which those at the places `spoiled` could not be taken."""
    batch = EventBatch(
        v=1, boot=UUID(int=1), t=1, at=NOW_MS, clock=Clock.SYNCED, epoch=key[1], first=first, events=events
    )
    made = event_rows(
        batch, skip=0, tenant="default", locker=key[0], occurred=[NOW_MS] * len(events), received_ms=NOW_MS,
        leave_out=spoiled,
    )  # fmt: skip
    kept = [quarantined(key, first + place, "schema") for place in spoiled]
    return EventUnit(
        key, gap[0] if gap else first, first + len(events), made, gap, NOW_MS, "topic", b"", len(events), prev,
        chain, kept, told,
    )  # fmt: skip


def quarantined(key: Key, seq: int | None, reason: str) -> Quarantined:
    return Quarantined(NOW, "topic", reason, "why", b"{}", 2, key, seq)


def seqs(dsn: str, key: Key = KEY) -> list[int]:
    found = rows(dsn, "SELECT seq FROM event WHERE locker_id = %s AND epoch = %s ORDER BY seq", *key)
    return [seq for (seq,) in found]


async def counted(ledgers: Ledgers, key: Key = KEY) -> LedgerView:
    row = await ledgers.count(key)
    assert row is not None
    return judge(row)


async def test_rows_and_cursor_go_in_together_or_not_at_all(ledgers: Ledgers, dsn: str) -> None:
    assert await ledgers.stands_of([KEY]) == {KEY: START}
    await ledgers.write_events([unit(1, [opened()] * 3)])
    assert await ledgers.stands_of([KEY]) == {KEY: (4, None)}
    assert await ledgers.stands(10) == [(KEY, (4, None))]
    for wrong in (unit(1, [opened()]), unit(3, [opened()]), unit(5, [opened()])):
        with pytest.raises(CursorConflict) as conflict:
            await ledgers.write_events([wrong])
        assert conflict.value.keys == {KEY}
    with pytest.raises(CursorConflict):
        await ledgers.write_events([unit(1, [opened()], key=OTHER), unit(9, [opened()])])
    assert await ledgers.stands(10) == [(KEY, (4, None))]
    assert seqs(dsn) == [1, 2, 3]
    assert seqs(dsn, OTHER) == []


async def test_several_units_of_a_ledger_go_in_one_transaction(ledgers: Ledgers, dsn: str) -> None:
    other: Key = ("berlin-01", uuid4())
    await ledgers.write_events(
        [
            unit(1, [opened()] * 2, prev=CHAIN_START, chain=A),
            unit(1, [opened()], key=other),
            unit(3, [opened()], prev=A, chain=B),
            unit(4, [opened()] * 2, prev=B, chain=C),
        ]
    )
    assert await ledgers.stands_of([KEY, other]) == {KEY: (6, C), other: (2, None)}
    for wrong in (
        [unit(6, [opened()]), unit(8, [opened()])],
        [unit(6, [opened()], prev=C, chain=A), unit(7, [opened()], prev=B, chain=C)],
    ):
        with pytest.raises(CursorConflict) as conflict:
            await ledgers.write_events(wrong)
        assert conflict.value.keys == {KEY}
    assert seqs(dsn) == [1, 2, 3, 4, 5]


async def test_the_cursor_advances_only_along_its_own_history(ledgers: Ledgers, dsn: str) -> None:
    await ledgers.write_events([unit(1, [opened()], prev=CHAIN_START, chain=A), unit(1, [opened()], key=OTHER)])
    with pytest.raises(CursorConflict):
        await ledgers.write_events([unit(2, [opened()], prev=B, chain=C)])
    assert seqs(dsn) == [1]
    await ledgers.write_events([unit(2, [opened()], prev=A, chain=B), unit(2, [opened()], key=OTHER, prev=C)])
    assert await ledgers.stands_of([KEY, OTHER]) == {KEY: (3, B), OTHER: (3, None)}
    # An agent of before does not say; behind it the chain is unknown, and then known again.
    await ledgers.write_events([unit(3, [opened()])])
    await ledgers.write_events([unit(4, [opened()], prev=C, chain=A)])
    assert await ledgers.stands_of([KEY]) == {KEY: (5, A)}


async def test_of_two_hubs_at_once_one_stores(dsn: str) -> None:
    """They believe the same and write the same numbers, each of its own history."""
    rounds = 40
    keys = [(f"locker-{number}", EPOCH) for number in range(5)]
    async with opened_store(dsn) as one, opened_store(dsn) as other:
        hubs = {A: Ledgers(one), B: Ledgers(other)}
        prev, won = CHAIN_START, {A: 0, B: 0}
        for turn in range(rounds):
            first = 1 + 2 * turn
            # Both write to many ledgers at once, in two orders.
            attempts = {
                name: [
                    unit(first, [opened(1 if name == A else 2)] * 2, key=key, prev=prev, chain=name)
                    for key in (keys if name == A else keys[::-1])
                ]
                for name in hubs
            }
            told = await asyncio.gather(*(_until_told(hubs[name], units) for name, units in attempts.items()))
            assert sorted(told) == [False, True]
            winner = next(name for name, stored in zip(hubs, told, strict=True) if stored)
            won[winner] += 1
            prev = winner
            assert await hubs[A].stands_of(keys) == dict.fromkeys(keys, (first + 2, winner))
        assert sum(won.values()) == rounds
        for key in keys:
            assert seqs(dsn, key) == list(range(1, 2 * rounds + 1))
            doors = rows(dsn, "SELECT door FROM event WHERE locker_id = %s AND door = 1", key[0])
            assert len(doors) == 2 * won[A]


async def _until_told(ledgers: Ledgers, units: list[EventUnit]) -> bool:
    """Write as the batcher does: again while the database only says "not now" (two orders can lock each other)."""
    while True:
        try:
            await ledgers.write_events(units)
        except CursorConflict:
            return False
        except StoreUnavailable:
            continue
        return True


async def test_a_gap_is_written_with_the_rows_behind_it(ledgers: Ledgers, dsn: str) -> None:
    await ledgers.write_events([unit(4, [opened()], gap=(1, 3), chain=A)])
    assert await ledgers.stands_of([KEY]) == {KEY: (5, A)}
    assert rows(dsn, "SELECT from_seq, to_seq, reason FROM ledger_gap") == [(1, 3, "unknown")]
    assert seqs(dsn) == [4]
    assert await ledgers.totals() == {"stored": 1, "missing": 3, "quarantined": 0, "gone": 0}


async def test_what_a_locker_says_of_its_gap_is_cut_out_of_it(ledgers: Ledgers, dsn: str) -> None:
    await ledgers.write_events([unit(11, [opened()], gap=(1, 10))])
    full = DeclaredGap(3, 5, "outbox_full")
    await ledgers.write_events([unit(12, [opened()], told=[full])])
    expected = [(1, 2, "unknown"), (3, 5, "outbox_full"), (6, 10, "unknown")]
    query = "SELECT from_seq, to_seq, reason FROM ledger_gap ORDER BY from_seq"
    assert rows(dsn, query) == expected
    # Said again it changes nothing; nor does what the hub never missed.
    await ledgers.write_events([unit(13, [opened()], told=[full, DeclaredGap(11, 12, "outbox_full")])])
    assert rows(dsn, query) == expected
    # One word on several gaps, one of them in the same message.
    await ledgers.write_events([unit(20, [opened()], gap=(14, 19), told=[DeclaredGap(1, 15, "disk_lost")])])
    assert rows(dsn, query) == [
        (1, 2, "disk_lost"), (3, 5, "outbox_full"), (6, 10, "disk_lost"), (14, 15, "disk_lost"),
        (16, 19, "unknown"),
    ]  # fmt: skip
    view = await counted(ledgers)
    assert (view.declared, view.declared_ranges, view.complete) == (16, 5, True)
    assert view.declared_list[1] == GapView(3, 5, "outbox_full")


async def test_a_spoiled_event_has_its_place_in_quarantine(ledgers: Ledgers, dsn: str) -> None:
    await ledgers.write_events([unit(1, [opened(1), opened(2), opened(3)], spoiled=[1], chain=A)])
    assert seqs(dsn) == [1, 3]
    assert rows(dsn, "SELECT locker_id, epoch, seq, reason FROM quarantine") == [("berlin-01", EPOCH, 2, "schema")]
    assert await ledgers.stands_of([KEY]) == {KEY: (4, A)}
    assert await ledgers.totals() == {"stored": 2, "missing": 0, "quarantined": 1, "gone": 0}
    assert (await counted(ledgers)).complete
    # Of several messages in one transaction each counts.
    again = [unit(4, [opened()] * 3, spoiled=[0, 1]), unit(9, [opened()] * 2, gap=(7, 8), spoiled=[1])]
    await ledgers.write_events(again)
    assert await ledgers.totals() == {"stored": 4, "missing": 2, "quarantined": 4, "gone": 0}
    assert (await counted(ledgers)).complete


@pytest.mark.parametrize("bad", [{0}, {9}, {3, 4}, {0, 5, 9}, set(range(10)), set()])
async def test_only_what_the_database_refuses_is_left_out(ledgers: Ledgers, dsn: str, bad: set[int]) -> None:
    rows(dsn, "ALTER TABLE event ADD CHECK (kind <> 'poison')")
    events = [opened(kind="poison") if place in bad else opened(place + 1) for place in range(10)]
    # Number 8 is spoiled, and numbers 1 to 2 are missing, so that numbers are not places.
    poison = unit(3, events, gap=(1, 2), chain=A, spoiled=[5])
    refused = sorted(3 + place for place in bad - {5})
    if refused:
        with pytest.raises(StoreRejected) as error:
            await ledgers.write_events([poison])
        assert "poison" not in str(error.value)
    why: dict[int, str] = {}

    def keep(seq: int, text: str) -> Quarantined:
        why[seq] = text
        return quarantined(KEY, seq, "rejected")

    kept = await ledgers.write_apart(poison, keep)
    assert [row.seq for row in kept] == sorted(why) == refused
    assert all("check constraint" in text for text in why.values())
    assert seqs(dsn) == [seq for seq in range(3, 13) if seq != 8 and seq not in refused]
    kept_rows = rows(dsn, "SELECT seq FROM quarantine ORDER BY seq")
    assert kept_rows == [(seq,) for seq in sorted([8, *refused])]
    assert await ledgers.totals() == {
        "stored": 9 - len(refused), "missing": 2, "quarantined": 1 + len(refused), "gone": 0,
    }  # fmt: skip
    assert (await counted(ledgers)).complete
    with pytest.raises(CursorConflict):
        await ledgers.write_apart(poison, keep)
    await ledgers.write_events([unit(13, [opened()], prev=A, chain=B)])
    assert seqs(dsn)[-1] == 13


async def test_counting_finds_what_is_lost_doubled_or_too_much(ledgers: Ledgers, dsn: str) -> None:
    await ledgers.write_events([unit(1, [opened()] * 20, spoiled=[3]), unit(31, [opened()], gap=(21, 30))])
    whole = await counted(ledgers)
    assert (whole.complete, whole.first_stored, whole.last, whole.stored) == (True, 1, 31, 20)
    assert (whole.declared, whole.quarantined_list) == (10, [4])
    rows(dsn, "DELETE FROM event WHERE seq IN (1, 2, 7, 31)")
    rows(dsn, "INSERT INTO event SELECT * FROM event WHERE false")
    rows(
        dsn,
        "INSERT INTO event (occurred_at, received_at, tenant_id, locker_id, epoch, seq, kind, clock, stamped_at)"
        " SELECT occurred_at + interval '1 second', received_at, tenant_id, locker_id, epoch, n, kind, clock,"
        " stamped_at FROM event, (VALUES (9), (32), (40)) v (n) WHERE seq = 10",
    )
    found = await counted(ledgers)
    assert not found.complete
    assert (found.stored, found.duplicates, found.beyond, found.first_stored) == (16, 1, 2, 3)
    assert (found.missing, found.missing_ranges) == (4, 3)
    assert found.missing_list == [RangeView(1, 2), RangeView(7, 7), RangeView(31, 31)]
    assert found.problems == [
        "4 numbers are neither stored nor explained",
        "1 numbers are there twice",
        "2 rows lie beyond the cursor",
        "16 are stored, 20 were",
    ]
    rows(dsn, "DELETE FROM quarantine")
    rows(dsn, "UPDATE ledger_gap SET to_seq = 29")
    found = await counted(ledgers)
    assert found.missing_list == [RangeView(1, 2), RangeView(4, 4), RangeView(7, 7), RangeView(30, 31)]
    assert found.problems[-2:] == ["0 are in quarantine, 1 were put there", "9 are declared missing, 10 were"]
    assert await ledgers.count(OTHER) is None


async def test_lists_are_bounded_and_counts_are_not(ledgers: Ledgers, dsn: str) -> None:
    await ledgers.write_events([unit(1, [opened()] * 400)])
    rows(dsn, "DELETE FROM event WHERE seq %% 2 = 0")
    found = await counted(ledgers)
    assert (found.missing, found.missing_ranges, len(found.missing_list)) == (200, 200, RANGES_SHOWN_MAX)
    assert found.missing_list[0] == RangeView(2, 2)


async def test_what_a_locker_could_not_write_is_summed_up(ledgers: Ledgers) -> None:
    said: list[dict[str, Any] | None] = [
        {"events": 3, "reason": "disk_full"}, {"events": 4}, {"from": 1, "to": 1}, None, {"events": "x"},
        {"events": -5}, {"events": 1e300}, {"events": None},
    ]  # fmt: skip
    await ledgers.write_events([unit(1, [opened(None, "outbox.gap", data) for data in said])])
    await ledgers.write_events([unit(9, [opened(None, "something.else", {"events": 100})])])
    view = await counted(ledgers)
    assert (view.given_up, view.complete) == (7, True)


async def test_counters_come_in_pages(ledgers: Ledgers) -> None:
    keys = sorted((f"locker-{number}", uuid4()) for number in (1, 2, 2, 3))
    await ledgers.write_events([unit(1, [opened()] * 2, key=key, chain=A) for key in keys])
    page = await ledgers.counters(locker=None, after=None, limit=3)
    assert [(row["locker"], row["epoch"]) for row in page] == keys[:3]
    assert (page[0]["last"], page[0]["stored"], page[0]["chain"]) == (2, 2, A)
    rest = await ledgers.counters(locker=None, after=keys[2], limit=3)
    assert [(row["locker"], row["epoch"]) for row in rest] == keys[3:]
    assert len(await ledgers.counters(locker="locker-2", after=None, limit=9)) == 2
    found = [(row["locker"], row["epoch"]) async for row in ledgers.each(locker=None, page=1)]
    assert found == keys
    assert [row["locker"] async for row in ledgers.each(locker="locker-3")] == ["locker-3"]
    assert [row async for row in ledgers.each(locker="nobody")] == []


async def test_events_without_a_cursor_are_found(ledgers: Ledgers, dsn: str) -> None:
    assert await ledgers.without_cursor(locker=None) == []
    keys = sorted((f"locker-{number}", uuid4()) for number in (1, 2, 2, 3))
    await ledgers.write_events([unit(1, [opened()] * 2, key=key) for key in keys])
    assert await ledgers.without_cursor(locker=None) == []
    rows(dsn, "DELETE FROM ledger_cursor WHERE epoch = ANY (%s)", [keys[0][1], keys[2][1]])
    assert await ledgers.without_cursor(locker=None) == [keys[0], keys[2]]
    assert await ledgers.without_cursor(locker="locker-2") == [keys[2]]
    assert await ledgers.without_cursor(locker="locker-3") == []


async def test_ranges_are_counted(ledgers: Ledgers) -> None:
    await ledgers.write_events(
        [unit(1, [opened(1), opened(1), opened(2, "door.closed"), opened(None, "tamper.on")])]
    )
    assert await ledgers.door_edges(KEY, 1, 4) == {(1, "door.opened"): 2, (2, "door.closed"): 1}
    assert await ledgers.door_edges(KEY, 2, 2) == {(1, "door.opened"): 1}
    assert await ledgers.range(KEY, 2, 9) == (3, 3)
    assert await ledgers.range(KEY, 50, 60) == (0, 0)


@pytest.mark.parametrize("postgres_form", [PLAIN, TIMESCALEDB])
async def test_what_was_there_before_is_brought_forward(postgres_form: str, request: pytest.FixtureRequest) -> None:
    cluster: Cluster = request.getfixturevalue({PLAIN: "plain_postgres"}.get(postgres_form, postgres_form))
    name = f"test_{uuid4().hex}"
    rows(cluster.dsn("postgres"), f"CREATE DATABASE {name} TEMPLATE template0")
    dsn = cluster.dsn(name)
    try:
        with psycopg.connect(dsn, autocommit=True) as connection:
            if postgres_form == TIMESCALEDB:
                connection.execute(statement("timescaledb_create"))
            for migration in migrations():
                if migration.form in {None, postgres_form} and migration.number <= 2:
                    connection.execute(migration.sql.encode())
            connection.execute("INSERT INTO ledger_cursor VALUES ('berlin-01', %s, 13), ('paris-02', %s, 3)",
                               (EPOCH, EPOCH))  # fmt: skip
            connection.execute("INSERT INTO ledger_gap VALUES ('berlin-01', %s, 1, 4)", (EPOCH,))
            connection.execute(
                "INSERT INTO event (occurred_at, received_at, tenant_id, locker_id, epoch, seq, kind, clock,"
                " stamped_at) SELECT now(), now(), 'default', 'berlin-01', %s, n, 'door.opened', 'synced', now()"
                " FROM (VALUES (5), (6), (7), (11), (12)) v (n)",
                (EPOCH,),
            )
            # Numbers 8 to 10 were refused as one message, twice; what was cut or is no JSON tells no numbers.
            message = {"epoch": str(EPOCH), "first": 7, "events": [{"n": n} for n in range(7, 11)]}
            text = json.dumps(message).encode()
            for topic, reason, payload in (
                ("lh/v1/00/berlin-01/events", "rejected", text),
                ("lh/v1/00/berlin-01/events", "rejected", text),
                ("lh/v1/00/paris-02/events", "rejected", text[:40]),
                ("lh/v1/00/paris-02/events", "rejected", b"\xff"),
                ("lh/v1/00/paris-02/telemetry", "rejected", text),
                ("lh/v1/00/paris-02/events", "schema", text),
            ):
                connection.execute(
                    "INSERT INTO quarantine (received_at, topic, reason, detail, payload, payload_bytes)"
                    " VALUES (now(), %s, %s, 'why', %s, 9)",
                    (topic, reason, payload),
                )
            for migration in migrations():
                if migration.form in {None, postgres_form} and migration.number > 2:
                    connection.execute(migration.sql.encode())
        async with opened_store(dsn) as store:
            ledgers = Ledgers(store)
            view = await counted(ledgers)
            assert (view.complete, view.stored, view.declared, view.quarantined_list) == (True, 5, 4, [8, 9, 10])
            assert view.declared_list == [GapView(1, 4, "unknown")]
            # Of these nobody knows any more: said so, and not made up.
            lost = await counted(ledgers, ("paris-02", EPOCH))
            assert (lost.complete, lost.missing_list) == (False, [RangeView(1, 2)])
        kept = rows(dsn, "SELECT payload, detail FROM quarantine WHERE seq = 9")
        assert [(json.loads(payload), detail) for payload, detail in kept] == [({"n": 9}, "why")]
        assert rows(dsn, "SELECT count(*) FROM quarantine WHERE seq IS NULL") == [(6,)]
    finally:
        rows(cluster.dsn("postgres"), f"DROP DATABASE {name} WITH (FORCE)")
