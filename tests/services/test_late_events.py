"""Events that come months late: into compressed chunks on TimescaleDB, into missing partitions elsewhere."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from hub.core.ledger import Key
from hub.errors import CursorConflict, StoreRejected
from hub.scheduler.series import compress, make_partitions
from hub.store.binary_copy import event_rows
from hub.store.database import Database
from hub.store.ledgers import Ledgers
from hub.store.rows import EventUnit
from tests.hub.scene import fresh_database, rows
from tests.services.conftest import Cluster
from wire.messages import Clock, Event, EventBatch

pytestmark = pytest.mark.services

LONG_AGO = datetime.now(UTC) - timedelta(days=200)
EVENTS = 400
FIRST, SECOND = (("berlin-01", UUID(int=number)) for number in (1, 2))


@pytest.fixture(params=["plain_postgres", "timescaledb"])
def dsn(request: pytest.FixtureRequest) -> Iterator[str]:
    cluster: Cluster = request.getfixturevalue(request.param)
    with fresh_database(cluster) as name:
        database = psycopg.conninfo.conninfo_to_dict(name)["dbname"]
        # What TimescaleDB opens at the most for one statement, unless it is told otherwise: here, nothing.
        rows(
            name,
            f"ALTER DATABASE {database} SET timescaledb.max_tuples_decompressed_per_dml_transaction = 1",
        )
        yield name


def unit(key: Key, first: int, count: int, *, shift_s: float = 0.0) -> EventUnit:
    """Events of a minute each, from LONG_AGO on."""
    begin_ms = int((LONG_AGO.timestamp() + shift_s) * 1000)
    occurred = [begin_ms + place * 60_000 for place in range(count)]
    batch = EventBatch(
        v=1, boot=key[1], t=1, at=occurred[-1], clock=Clock.SYNCED, epoch=key[1], first=first,
        events=[Event(t=1, at=at, kind="door.opened", door=1) for at in occurred],
    )  # fmt: skip
    made = event_rows(batch, skip=0, tenant="default", locker=key[0], occurred=occurred, received_ms=occurred[-1])
    return EventUnit(key, first, first + count, made, None, occurred[-1], "topic", b"payload", count)


async def complete(ledgers: Ledgers, key: Key, stored: int) -> bool:
    counted = await ledgers.count(key)
    assert counted is not None
    return (counted["stored"], counted["duplicates"], counted["unexplained"]) == (stored, 0, 0)


async def test_late_events_are_stored_once_beside_what_was_put_away(dsn: str) -> None:
    async with Database(dsn, connections_max=4, statement_timeout_ms=10_000, connect_timeout_s=5) as store:
        ledgers = Ledgers(store)
        await ledgers.write_events([unit(FIRST, 1, EVENTS)])
        put_away = await compress(store)
        await make_partitions(store)
        # The same numbers at the same times in another epoch, so that each has to be looked for, and later numbers
        # in between.
        late = [unit(SECOND, 1, EVENTS), unit(FIRST, EVENTS + 1, EVENTS, shift_s=30)]
        await ledgers.write_events(late)
        with pytest.raises(CursorConflict):
            await ledgers.write_events(late)
        assert await complete(ledgers, FIRST, 2 * EVENTS)
        assert await complete(ledgers, SECOND, EVENTS)
        # Whoever sets a cursor back is kept from doubles by the key, compressed or not.
        rows(dsn, "UPDATE ledger_cursor SET next_seq = 2 WHERE epoch = %s", FIRST[1])
        with pytest.raises(StoreRejected, match="duplicate key"):
            await ledgers.write_events([unit(FIRST, 2, 10, shift_s=60)])
        rows(dsn, "UPDATE ledger_cursor SET next_seq = %s WHERE epoch = %s", 2 * EVENTS + 1, FIRST[1])
        again = await compress(store)
        await make_partitions(store)
        assert await complete(ledgers, FIRST, 2 * EVENTS)
        assert await complete(ledgers, SECOND, EVENTS)
        if put_away["compressed"]:
            assert again["again"] == put_away["compressed"]
            assert rows(dsn, "SELECT count(*) FROM ONLY event") == [(0,)]
        else:
            assert rows(dsn, "SELECT count(*) FROM event_default") == [(0,)]


async def test_single_events_can_be_deleted_of_what_was_put_away(dsn: str) -> None:
    async with Database(dsn, connections_max=4, statement_timeout_ms=10_000, connect_timeout_s=5) as store:
        ledgers = Ledgers(store)
        await ledgers.write_events([unit(FIRST, 1, EVENTS), unit(SECOND, 1, EVENTS)])
        await compress(store)
        async with store.transaction() as conn:
            gone = await conn.execute("DELETE FROM event WHERE locker_id = 'berlin-01' AND seq % 4 = 0")
        assert gone.rowcount == EVENTS // 2
        assert rows(dsn, "SELECT count(*) FROM event") == [(EVENTS // 4 * 6,)]


async def test_late_hours_are_counted_again(dsn: str) -> None:
    async with Database(dsn, connections_max=4, statement_timeout_ms=10_000, connect_timeout_s=5) as store:
        await Ledgers(store).write_events([unit(FIRST, 1, 61), unit(SECOND, 1, 1)])
    begin = LONG_AGO.replace(minute=0, second=0, microsecond=0)
    marked = rows(dsn, "SELECT DISTINCT hour FROM statistics_due ORDER BY hour")
    last = (LONG_AGO + timedelta(hours=1)).replace(minute=0, second=0, microsecond=0)
    assert marked == [(begin,), (last,)]
