"""Durable commands are taken over page by page, and none is left out, whatever is stored and ends meanwhile."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from hub.commands.durable import DurableCommands
from hub.commands.observers import CommandObservers
from hub.commands.publisher import CommandPublisher
from hub.commands.result import Accepted
from hub.config.settings import Config
from hub.core.clocks import Clocks
from hub.core.commands import Order
from hub.core.fleet import Fleet
from hub.keys import make_key
from hub.live import Broadcaster
from hub.metrics import Metrics
from hub.mqtt.tap import MessageTap
from hub.store.commands import FORGETS_PER_LOCKER_MAX, CommandStore
from hub.store.database import Database
from tests.hub.api.serving import locker
from tests.hub.scene import fresh_database, register
from tests.services.conftest import Cluster

pytestmark = pytest.mark.services

AT = datetime.now(UTC).replace(microsecond=0)
LOCKERS = ("berlin-01", "paris-02", "rome-03")
ADD = """
    INSERT INTO command (id, class, locker_id, kind, args, accepted_at, deadline_ms, expires_at, state, late,
                         stages_ms, updated_at)
    SELECT t.id, 'durable', %(locker)s, %(kind)s, '{}', t.at, 10000, t.at + interval '1 day', 'queued', false, '{}',
           t.at
    FROM unnest(%(ids)s::uuid[], %(ats)s::timestamptz[]) AS t (id, at)
"""


@pytest.fixture
def dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as name:
        yield name


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    await register(dsn, LOCKERS)
    async with Database(dsn, connections_max=2, statement_timeout_ms=10_000, connect_timeout_s=5) as opened:
        yield opened


def add(dsn: str, at_s: dict[int, float], place: str = "berlin-01", kind: str = "configure") -> None:
    """Store commands by number, each accepted so many seconds after `AT`."""
    ats = [AT + timedelta(seconds=seconds) for seconds in at_s.values()]
    given = {"locker": place, "kind": kind, "ids": [UUID(int=number) for number in at_s], "ats": ats}
    with psycopg.connect(dsn) as conn:
        conn.execute(ADD, given)


def end(dsn: str, *numbers: int) -> None:
    with psycopg.connect(dsn) as conn:
        conn.execute(
            "UPDATE command SET state = 'expired' WHERE id = ANY (%s)", [[UUID(int=one) for one in numbers]]
        )


async def pages(
    look: Callable[[dict[str, Any] | None, int], Awaitable[list[dict[str, Any]]]],
    limit: int,
    between: Callable[[int], None] = lambda _: None,
) -> list[int]:
    """Return the numbers of all commands, page by page; `between` is called after each with how many there were."""
    found: list[int] = []
    page = await look(None, limit)
    while page:
        assert len(page) <= limit
        found += [row["id"].int for row in page]
        between(len(found))
        page = await look(page[-1], limit)
    return found


async def test_pages_are_bounded_and_leave_out_nothing_while_rows_come_and_go(dsn: str, database: Database) -> None:
    # Some were accepted in the same moment, across the border of a page.
    add(dsn, {number: number // 8 for number in range(1, 31)})
    add(dsn, {99: 2.0}, kind="forget")

    def between(found: int) -> None:
        if found == 10:
            # The last one seen, one seen and one unseen end; one comes in before, among and after what is to come.
            end(dsn, 10, 3, 17)
            add(dsn, {40: 0.5, 41: 2.5, 42: 100.0})

    found = await pages(CommandStore(database).durable_under_way, 10, between)
    assert found == [*range(1, 17), 18, 19, 20, 21, 22, 23, 41, *range(24, 31), 42]
    # What came in before the page that was read then is there when one begins anew.
    assert 40 in await pages(CommandStore(database).durable_under_way, 10)


async def test_pages_of_forgets_have_some_of_each_locker(dsn: str, database: Database) -> None:
    for place, name in enumerate((*LOCKERS, "gone-04")):
        add(dsn, {100 * place + number: number // 3 for number in range(1, 16)}, name, kind="forget")
    add(dsn, {999: 0.0})
    store = CommandStore(database)
    first = [100 * place + number for place in range(4) for number in range(1, FORGETS_PER_LOCKER_MAX + 1)]
    by_locker = {0: "berlin-01", 3: "gone-04", 1: "paris-02", 2: "rome-03"}
    first.sort(key=lambda number: by_locker[number // 100])
    assert await pages(store.forgets_under_way, 7) == first
    assert await pages(store.forgets_under_way, 10) == first

    def between(found: int) -> None:
        if found == 7:
            end(dsn, 2, 7, 9)

    # Where some ended, the next of that locker have their turn.
    then = await pages(store.forgets_under_way, 7, between)
    assert then == [1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, *first[FORGETS_PER_LOCKER_MAX:]]
    (row, *_) = [row for row in await store.forgets_under_way(None, 100) if row["locker"] == "gone-04"]
    assert not row["registered"]


class Counted(CommandStore):
    """The real store: notes how much is asked for at once, and once does what a test wants before rows arrive."""

    def __init__(self, store: Database) -> None:
        super().__init__(store)
        self.asked: Counter[str] = Counter()
        self.most = 0
        self.then: Callable[[], Awaitable[None]] | None = None

    async def by_ids(self, ids: Any) -> Any:  # noqa: ANN401 - as it is given
        self.most = max(self.most, len(ids))
        self.asked["rows"] += len(ids)
        rows = await super().by_ids(ids)
        if self.then is not None:
            then, self.then = self.then, None
            await then()
        return rows

    async def durable_under_way(self, after: Any, limit: int) -> Any:  # noqa: ANN401 - as it is given
        self.most = max(self.most, limit)
        self.asked["pages"] += 1
        return await super().durable_under_way(after, limit)

    async def expire(self, ids: Any, detail: str) -> Any:  # noqa: ANN401 - as it is given
        self.most = max(self.most, len(ids))
        self.asked["expired"] += len(ids)
        return await super().expire(ids, detail)


def durable_of(store: CommandStore, folder: Path) -> DurableCommands:
    config, metrics, fleet = Config(), Metrics("0.0.0"), Fleet(silent_after_ms=1e12)
    fleet.load(locker(name) for name in LOCKERS)
    publisher = CommandPublisher(make_key(folder / "key.pem"), Clocks(), MessageTap(metrics))
    news = CommandObservers(Broadcaster(config.live, config.commands, fleet, metrics), metrics)
    return DurableCommands(config.commands, store, publisher, fleet, news, metrics)


async def test_what_is_known_is_not_read_again_and_what_is_new_is(
    dsn: str, database: Database, tmp_path: Path
) -> None:
    for place, name in enumerate((*LOCKERS, "gone-04")):
        add(dsn, {1000 * place + number: number for number in range(1, 91)}, name)
        add(dsn, {1000 * place + number: number for number in range(501, 505)}, name, kind="forget")
    store = Counted(database)
    durable = durable_of(store, tmp_path)
    await durable.load()
    kept = [1000 * place + number for place in range(3) for number in (*range(1, 91), *range(501, 505))]
    assert all(durable.find(UUID(int=number)) for number in kept)
    # The lanes of a locker that is gone end, a page at once, and only what is of it.
    assert durable.find(UUID(int=3001)) is None
    assert store.asked["rows"] == 4 * 94
    assert store.asked["expired"] == 94
    assert store.asked["pages"] == 4
    assert store.most == 100
    store.asked.clear()
    await durable.load()
    assert store.asked["rows"] == store.asked["expired"] == 0
    add(dsn, {5000: 200.0})
    await durable.load()
    assert store.asked["rows"] == 1
    assert durable.find(UUID(int=5000)) is not None


@pytest.mark.parametrize("how", ["cancelled", "ended elsewhere", "taken and cancelled"])
async def test_what_ends_while_its_row_is_read_does_not_come_back(
    dsn: str, database: Database, tmp_path: Path, how: str
) -> None:
    add(dsn, {number: number for number in range(1, 4)})
    store = Counted(database)
    durable = durable_of(store, tmp_path)
    second = UUID(int=2)

    async def meanwhile() -> None:
        if how == "ended elsewhere":
            end(dsn, 2)
        elif how == "taken and cancelled":
            taken = await durable.submit(second, Order("berlin-01", "configure", args={}), 60.0)
            assert isinstance(taken, Accepted)
        await durable.cancel(second)

    store.then = meanwhile
    await durable.load()
    row = await store.find(second)
    assert row is not None
    assert row["state"] == ("expired" if how == "ended elsewhere" else "cancelled")
    assert durable.find(second) is None
    assert durable.find(UUID(int=3)) is not None
