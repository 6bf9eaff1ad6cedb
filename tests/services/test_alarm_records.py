"""The rows of alarms: two hubs at one database, answers that do not come, rows that are refused."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from uuid import uuid4

import psycopg
import pytest

from hub.alarms.alarm_writer import AlarmWriter
from hub.core.alarms.alarm import Occurrence, Severity, Spot, acknowledged
from hub.core.alarms.places import AlarmPlace
from hub.core.alarms.rules import parse_rules
from hub.core.alarms.watch import AlarmWatch
from hub.metrics import Metrics
from hub.store.alarms import AlarmStore
from hub.store.database import Database
from tests.hub.core.alarms.scene import BERLIN, DEFAULT
from tests.hub.scene import fresh_database, rows
from tests.services.conftest import Cluster

pytestmark = pytest.mark.services


@pytest.fixture
def dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as name:
        yield name


class Half:
    """As much of a hub as there is to alarms and their rows."""

    def __init__(self, store: Database) -> None:
        self.watch = AlarmWatch(parse_rules(DEFAULT.read_bytes()), uuid4, open_max=1000)
        self.watch.follow({BERLIN: AlarmPlace("default", "Testville", BERLIN)}, datetime.now(UTC))
        self.records = AlarmWriter(self.watch, AlarmStore(store, uuid4()), Metrics("0"), lambda: None)
        self.told: list[str] = []
        self.watch.listeners.append(lambda transition: self.told.append(transition.what))

    def event(self, kind: str, door: int = 1) -> None:
        now = datetime.now(UTC)
        self.watch.event(BERLIN, kind, now, now=now, now_ms=now.timestamp() * 1000, door=door)

    def states(self) -> list[str]:
        return [one.state.value for one in self.watch.book.alarms.values()]

    async def flush(self) -> None:
        while self.watch.book.unwritten:
            await self.records._flush()  # noqa: SLF001 - one step of it


@pytest.fixture
async def store(dsn: str) -> AsyncIterator[Database]:
    async with Database(dsn, connections_max=4, statement_timeout_ms=10_000, connect_timeout_s=5) as opened:
        yield opened


async def test_of_two_hubs_one_has_the_row_and_the_other_takes_it_over(store: Database, dsn: str) -> None:
    one, other = Half(store), Half(store)
    for half in (one, other):
        half.event("door.forced")
    await asyncio.gather(one.flush(), other.flush())
    assert one.watch.book.alarms.keys() == other.watch.book.alarms.keys()
    assert rows(dsn, "SELECT count(*) FROM alarm") == [(1,)]
    for half in (one, other):
        half.event("door.closed")
    await asyncio.gather(one.flush(), other.flush())
    assert rows(dsn, "SELECT state, count FROM alarm") == [("cleared_unacked", 1)]
    assert one.states() == other.states() == ["cleared_unacked"]


async def test_what_one_hub_does_the_other_sees(store: Database) -> None:
    one, other = Half(store), Half(store)
    await other.records.look()
    one.event("door.forced")
    await one.flush()
    await other.records.look()
    (alarm_id,) = other.watch.book.alarms
    now = datetime.now(UTC)
    await other.records.act([alarm_id], lambda it: acknowledged(it, "anna", None, now), what="acked", by="anna",
                            note=None, detail={})  # fmt: skip
    # It does not know of the acknowledgement yet, and sees the end of the condition.
    one.event("door.closed")
    await one.flush()
    assert one.states() == []
    await other.records.look()
    assert other.states() == []


async def acked_by_command_line(store: Database, half: Half) -> None:
    (alarm_id,) = half.watch.book.alarms
    now = datetime.now(UTC)
    await AlarmStore(store).act([alarm_id], lambda it: acknowledged(it, "anna", None, now), what="acked", by="anna",
                                at=now, note=None, detail={})  # fmt: skip


async def test_what_a_command_line_did_is_told_by_one_of_the_hubs(store: Database) -> None:
    one, other = Half(store), Half(store)
    for half in (one, other):
        await half.records.look()
    one.event("door.forced")
    await one.flush()
    await other.records.look()
    await acked_by_command_line(store, one)
    await asyncio.gather(one.records.look(), other.records.look())
    assert one.states() == other.states() == ["active_acked"]
    for _ in range(2):
        assert sorted([*one.told, *other.told]) == ["acked", "raised"]
        await asyncio.gather(one.records.look(), other.records.look())


async def test_what_a_command_line_did_while_a_hub_was_about_to_write_is_told_too(
    store: Database, dsn: str
) -> None:
    half = Half(store)
    half.event("door.forced")
    await half.flush()
    await acked_by_command_line(store, half)
    half.event("door.closed")
    await half.flush()
    await half.records.look()
    assert half.told == ["raised", "cleared", "acked", "closed"]
    assert rows(dsn, "SELECT state FROM alarm") == [("normal",)]
    journal = rows(dsn, "SELECT what, state FROM alarm_step ORDER BY at, number")
    assert journal == [
        ("raised", "active_unacked"), ("acked", "active_acked"), ("cleared", "cleared_unacked"),
        ("closed", "normal"),
    ]  # fmt: skip


async def test_an_answer_that_never_came_changes_nothing(store: Database, dsn: str) -> None:
    half = Half(store)
    half.event("door.forced")
    taken = half.watch.book.take_unwritten(10)
    await AlarmStore(store, uuid4()).write(taken)
    half.watch.book.give_back(taken)
    await half.flush()
    assert rows(dsn, "SELECT count(*), max(version) FROM alarm") == [(1, 2)]
    assert rows(dsn, "SELECT what FROM alarm_step") == [("raised",)]


async def test_a_row_that_is_gone_is_written_anew(store: Database, dsn: str) -> None:
    half = Half(store)
    half.event("door.forced")
    await half.flush()
    rows(dsn, "DELETE FROM alarm")
    half.event("door.closed")
    await half.flush()
    assert rows(dsn, "SELECT state FROM alarm") == [("cleared_unacked",)]


async def test_a_row_that_is_refused_holds_up_no_other(store: Database, dsn: str) -> None:
    half = Half(store)
    half.event("door.forced", 1)
    now = datetime.now(UTC)
    seen = Occurrence(key=("tamper", Spot("default", None, BERLIN)), rule="x" * 99, severity=Severity.LOW, at=now)
    half.watch.book.raised(seen, site=None, where="", now=now)
    half.event("door.forced", 2)
    await half.flush()
    assert rows(dsn, "SELECT door FROM alarm ORDER BY door") == [(1,), (2,)]


def test_the_index_lets_one_open_alarm_be_at_a_place_also_where_there_is_no_door(dsn: str) -> None:
    def insert(
        site: str | None, locker: str | None, door: int | None, tenant: str = "default", *, closed: bool = False
    ) -> None:
        rows(dsn, "INSERT INTO alarm (id, type, severity, tenant_id, site, locker_id, door, place, rule, state,"
             " opened_at, began_at, raised_at, last_at, closed_at, count) VALUES (%s, 'tamper', 'high', %s, %s, %s,"
             " %s, 'p', 'r', %s, now(), now(), now(), now(), %s, 1)", uuid4(), tenant, site, locker, door,
             "normal" if closed else "active_unacked", datetime.now(UTC) if closed else None)  # fmt: skip

    places: list[tuple[str | None, str | None, int | None]] = [
        ("S", BERLIN, 1), ("S", BERLIN, 2), ("S", BERLIN, None), ("S", None, None), ("T", None, None),
        (None, None, None),
    ]  # fmt: skip
    for place in places:
        insert(*place)
        insert(*place, closed=True)
    insert("S", None, None, "acme")
    for place in [*places, ("elsewhere", BERLIN, None)]:
        with pytest.raises(psycopg.errors.UniqueViolation):
            insert(*place)
