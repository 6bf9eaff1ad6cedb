"""Commands in a real database: rows come in any order and only go forward; the ledger gives back what was lost."""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations, product
from typing import Any
from uuid import UUID

import pytest
from psycopg.types.json import Jsonb

from hub.core.commands import CommandClass, CommandRecord, CommandStatus, DoorOutcome, Order
from hub.store.commands import (
    CommandRow,
    CommandsQuery,
    CommandStore,
    CommandUpdate,
    OutcomeRow,
    Settlement,
    record_of_row,
)
from hub.store.database import Database
from tests.hub.scene import fresh_database, rows
from tests.services.conftest import Cluster

pytestmark = pytest.mark.services

NOW = datetime.now(UTC).replace(microsecond=123456)
ORDER = Order("berlin-01", "open", 3, UUID(int=4), "hand-over", {"ms": 5, "soft": True, "word": "ä"}, "anna")


@pytest.fixture(params=["plain", "timescaledb"])
def dsn(request: pytest.FixtureRequest) -> Iterator[str]:
    cluster: Cluster = request.getfixturevalue({"plain": "plain_postgres"}.get(request.param, request.param))
    with fresh_database(cluster) as name:
        yield name


@pytest.fixture
async def store(dsn: str) -> AsyncIterator[CommandStore]:
    async with Database(dsn, connections_max=4, statement_timeout_ms=10_000, connect_timeout_s=5) as opened:
        yield CommandStore(opened)


def instant(number: int = 1, **changed: Any) -> CommandRecord:  # noqa: ANN401 - fields of Entry
    return replace(CommandRecord(UUID(int=number), ORDER, NOW, 0.0, 2000.0), **changed)


def durable(number: int = 1, **changed: Any) -> CommandRecord:  # noqa: ANN401 - fields of Entry
    entry = CommandRecord(
        UUID(int=number),
        Order("berlin-01", "configure", args={"n": number}),
        NOW + timedelta(seconds=number),
        0.0,
        10_000.0,
        state=CommandStatus.QUEUED,
        command_class=CommandClass.DURABLE,
        expires_at=NOW + timedelta(days=1),
    )
    return replace(entry, **changed)


async def test_a_command_comes_back_as_it_was(store: CommandStore) -> None:
    told = instant(
        state=CommandStatus.SUCCEEDED, detail="fine", outcome=DoorOutcome.OPENED, late=True, cancel_requested=True,
        stages_ms={"published": 0.125, "opened": 240.5},
    )  # fmt: skip
    await store.write([CommandRow.of(told)])
    row = await store.find(told.id)
    assert row is not None
    assert row["by"] == "anna"
    assert record_of_row(row, now=NOW, now_ms=7000.0) == replace(told, accepted_ms=7000.0)
    assert record_of_row(row, now=NOW + timedelta(seconds=2), now_ms=7000.0).accepted_ms == 5000.0
    # A wall clock that was put back makes no command of the future.
    assert record_of_row(row, now=NOW - timedelta(hours=1), now_ms=7000.0).accepted_ms == 7000.0
    assert await store.find(UUID(int=9)) is None


def life() -> list[CommandUpdate]:
    """How a command stood at each moment: sent, timed out, late reply, opened, closed."""
    moments = [
        instant(stages_ms={"published": 1.0}),
        instant(state=CommandStatus.TIMED_OUT, stages_ms={"published": 1.0}),
        instant(state=CommandStatus.SUCCEEDED, late=True, stages_ms={"published": 1.0, "replied": 9.0}),
        instant(
            state=CommandStatus.SUCCEEDED, late=True, outcome=DoorOutcome.OPENED,
            stages_ms={"published": 1.0, "replied": 9.0, "opened": 10.0},
        ),
    ]  # fmt: skip
    return [*map(CommandRow.of, moments), OutcomeRow(UUID(int=1), "berlin-01", 3, DoorOutcome.CLOSED)]


async def test_rows_in_every_order_come_to_the_same(store: CommandStore, dsn: str) -> None:
    for order in permutations(range(5)):
        moments: Sequence[CommandUpdate] = life()
        for place in order:
            await store.write([moments[place]])
        # The sensor's word on a row that is not there yet is told by a later row or by the next start.
        await store.write([moments[4]])
        row = await store.find(UUID(int=1))
        assert row is not None
        assert (row["state"], row["outcome"], row["late"]) == ("succeeded", "closed", True), order
        assert row["stages_ms"] == {"published": 1.0, "replied": 9.0, "opened": 10.0}, order
        rows(dsn, "DELETE FROM command")
    await store.write(list(reversed(life())))
    row = await store.find(UUID(int=1))
    assert row is not None
    assert (row["state"], row["outcome"], row["late"]) == ("succeeded", "closed", True)


async def test_how_a_command_ended_stays(store: CommandStore) -> None:
    ends = [state for state in CommandStatus if state.settled]
    for number, (first, second) in enumerate(product(ends, CommandStatus), 1):
        await store.write([CommandRow.of(instant(number, state=first, detail="first"))])
        await store.write([CommandRow.of(instant(number, state=second, detail="second", late=True))])
        row = await store.find(UUID(int=number))
        assert row is not None
        assert (row["state"], row["detail"], row["late"]) == (first.value, "first", False), (first, second)


async def test_an_end_from_elsewhere_is_late_where_the_row_had_timed_out(store: CommandStore) -> None:
    await store.write([CommandRow.of(instant(state=CommandStatus.TIMED_OUT))])
    await store.write([CommandRow.of(instant(state=CommandStatus.FAILED, accepted_at=NOW + timedelta(hours=3)))])
    row = await store.find(UUID(int=1))
    assert row is not None
    assert (row["state"], row["late"], row["accepted_at"]) == ("failed", True, NOW)


async def test_another_lockers_word_changes_nothing(store: CommandStore) -> None:
    await store.write([CommandRow.of(instant())])
    other = instant(order=replace(ORDER, locker="paris-02"), state=CommandStatus.SUCCEEDED)
    await store.write(
        [
            CommandRow.of(other),
            OutcomeRow(UUID(int=1), "paris-02", 3, DoorOutcome.OPENED),
            OutcomeRow(UUID(int=1), "berlin-01", 2, DoorOutcome.OPENED),
        ]
    )
    row = await store.find(UUID(int=1))
    assert row is not None
    assert (row["state"], row["outcome"], row["locker"]) == ("sent", None, "berlin-01")


async def test_the_ranks_in_the_database_are_those_in_memory(dsn: str) -> None:
    for state in CommandStatus:
        assert rows(dsn, "SELECT command_rank(%s)", state.value) == [(state.rank,)]


async def test_lists_and_pages(store: CommandStore) -> None:
    told = [instant(n, accepted_at=NOW + timedelta(seconds=n)) for n in (1, 2, 3)]
    await store.write([CommandRow.of(one) for one in told])
    await store.add_durable(durable(4))
    assert [row["id"].int for row in await store.of_locker("berlin-01", 3)] == [4, 3, 2]
    assert await store.of_locker("paris-02", 3) == []
    assert [row["id"].int for row in await store.instant_newest(NOW, 2)] == [3, 2]
    assert await store.instant_newest(NOW + timedelta(seconds=4), 2) == []
    query = CommandsQuery(since=NOW, limit=2, command_class="instant")
    page = await store.page(query)
    assert [row["id"].int for row in page] == [3, 2]
    rest = await store.page(replace(query, after=(page[-1]["accepted_at"], page[-1]["id"])))
    assert [row["id"].int for row in rest] == [1]
    assert [row["id"].int for row in await store.page(CommandsQuery(NOW, 9, state="queued"))] == [4]


async def test_only_who_wrote_a_row_in_doubt_deletes_it(store: CommandStore) -> None:
    mine, other = durable(1), durable(2)
    await store.add_durable(mine)
    await store.add_durable(other)
    # Another hub wrote this one before; another one took that one since.
    later = replace(mine, accepted_at=mine.accepted_at + timedelta(microseconds=1))
    assert not (await store.add_durable(later))[0]
    await store.add_durable(other)
    await store.take_back({mine.id: later.accepted_at, other.id: other.accepted_at})
    assert {row["id"] for row in await store.durable_under_way(None, 9)} == {mine.id, other.id}
    alone = durable(3)
    await store.add_durable(alone)
    await store.take_back({alone.id: alone.accepted_at})
    assert await store.find(alone.id) is None


async def test_durable_steps(store: CommandStore) -> None:
    one, two = durable(1), durable(2)
    assert (await store.add_durable(one))[0]
    new, row = await store.add_durable(replace(one, order=two.order))
    assert (new, row["args"]) == (False, {"n": 1})
    await store.add_durable(two)
    ids = [one.id, two.id]
    assert [row["id"] for row in await store.durable_under_way(None, 9)] == ids
    (sent,) = await store.deliver([one.id])
    assert (sent["state"], sent["attempts"]) == ("sent", 1)
    # What was sent does not expire, is not forgotten, and is not cancelled by a wish.
    states = {row["id"]: (row["state"], row["detail"]) for row in await store.expire(ids, "over")}
    assert states == {one.id: ("sent", None), two.id: ("expired", "over")}
    await store.take_back({one.id: one.accepted_at, two.id: two.accepted_at})
    assert [row["id"] for row in await store.durable_under_way(None, 9)] == [one.id]
    wished = await store.cancel(one.id)
    assert wished is not None
    assert (wished["state"], wished["cancel_requested"]) == ("sent", True)
    # Nor is it sent again after that.
    (row,) = await store.deliver([one.id])
    assert row["attempts"] == 1
    (row,) = await store.overdue([one.id], "late")
    assert row["detail"] == "late"
    settlements = [
        Settlement(one.id, CommandStatus.ACCEPTED, None, {"accepted": 1.0}),
        Settlement(one.id, CommandStatus.SUCCEEDED, None, {"replied": 2.0}),
        Settlement(one.id, CommandStatus.FAILED, "second", {"replied": 3.0}),
    ]
    (row,) = await store.settle(settlements)
    assert (row["state"], row["detail"]) == ("succeeded", None)
    assert row["stages_ms"] == {"accepted": 1.0, "replied": 2.0}
    assert await store.cancel(UUID(int=9)) is None
    assert await store.durable_under_way(None, 9) == []


def finished(dsn: str, entry: CommandRecord, state: str, reason: str | None = None, seq: int = 1) -> None:
    data = {"command": {"id": str(entry.id)}, "state": state, **({} if reason is None else {"reason": reason})}
    event(dsn, entry, "command.finished", seq, data)


def event(dsn: str, entry: CommandRecord, kind: str, seq: int, data: object = None) -> None:
    query = (
        "INSERT INTO event (occurred_at, received_at, tenant_id, locker_id, epoch, seq, kind, door, command_id,"
        " clock, stamped_at, data)"
        " VALUES (%s, now(), 'default', 'berlin-01', %s, %s, %s, %s, %s, 'synced', now(), %s)"
    )
    values = (entry.accepted_at, UUID(int=5), seq, kind, entry.order.door, entry.id, Jsonb(data))
    rows(dsn, query, *values)


async def test_what_a_crash_lost_comes_from_the_ledger(store: CommandStore, dsn: str) -> None:
    ended, refused, late, away = instant(1), instant(2), instant(3, state=CommandStatus.TIMED_OUT), instant(4)
    settings, undone, over = durable(5), durable(6), durable(7)
    await store.write([CommandRow.of(one) for one in (ended, refused, late, away)])
    for one in (settings, undone, over):
        await store.add_durable(one)
        await store.deliver([one.id])
    finished(dsn, ended, "succeeded", seq=1)
    event(dsn, ended, "door.opened", 2)
    event(dsn, ended, "door.closed", 3)
    finished(dsn, refused, "rejected", "expired", seq=4)
    finished(dsn, late, "failed", "board_offline", seq=5)
    event(dsn, away, "door.open_not_detected", 6)
    finished(dsn, settings, "rejected", "wrong_boot", seq=7)
    finished(dsn, undone, "rejected", "cancelled", seq=8)
    finished(dsn, over, "succeeded", seq=9)
    assert await store.catch_up(NOW - timedelta(minutes=1)) == 7
    assert await store.catch_up(NOW - timedelta(minutes=1)) == 0
    found = {row["id"].int: row for row in await store.page(CommandsQuery(NOW - timedelta(minutes=1), 100))}
    told = {number: (row["state"], row["detail"], row["outcome"]) for number, row in found.items()}
    assert told == {
        1: ("succeeded", None, "closed"),
        2: ("rejected", "expired", None),
        3: ("failed", "board_offline", None),
        4: ("sent", None, "open_not_detected"),
        5: ("sent", None, None),
        6: ("expired", "cancelled", None),
        7: ("succeeded", None, None),
    }
    assert found[3]["late"]
