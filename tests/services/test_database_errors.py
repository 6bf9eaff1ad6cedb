"""Whatever the database answers: the hub goes on, nothing is lost, nothing is stored twice."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from tests.hub.asking import ask
from tests.hub.scene import Scene, eventually, fresh_database, obedient, online, rows, scene
from tests.services.conftest import Cluster, MosquittoBroker
from wire.messages import Event, Receipt, Sample

pytestmark = pytest.mark.services

Trouble = Callable[[Cluster, str], AbstractAsyncContextManager[None]]
SEQ_MAX = 2**63 - 1 - 500
"""The largest number that a message may begin with."""


@pytest.fixture
def dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as name:
        yield name


def opened(door: int = 1) -> Event:
    return Event(t=1, at=1, kind="door.opened", door=door)


def gap(from_seq: int, to_seq: int) -> Event:
    return Event(t=1, at=1, kind="outbox.gap", data={"from": from_seq, "to": to_seq, "reason": "disk_lost"})


@pytest.mark.parametrize("last", [2**15 - 1, 2**15, 2**31 - 1, 2**31, SEQ_MAX - 1])
async def test_a_gap_may_end_at_any_number(
    last: int, mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    """psycopg sends a number in the smallest type that it fits into, and SQL reckons in that."""
    async with (
        scene(mosquitto_broker, dsn, tmp_path) as hub,
        online(hub) as locker,
        online(hub, "paris-02") as other,
    ):
        first = last + 2 if last < SEQ_MAX - 1 else last + 1
        told = [gap(1, last)] if first == last + 1 else [gap(1, last), opened()]
        await locker.events(first, told, oldest=first)
        assert await locker.receipt() == Receipt(v=1, epoch=locker.epoch, upto=first + len(told) - 1)
        await other.events(1, [opened()])
        assert (await other.receipt()).upto == 1
        parts = rows(dsn, "SELECT from_seq, to_seq, reason FROM ledger_gap ORDER BY from_seq")
        expected = [(1, last, "disk_lost")]
        if first > last + 1:
            expected.append((last + 1, first - 1, "unknown"))
        assert parts == expected
        books = await hub.balanced()
        assert (books["stored"], books["quarantined"], books["in_flight"]) == (len(told) + 1, 0, 0)


STATES = ("XX000", "25P03", "42501", "3D000", "53100", "57014", "58030", "P0001", "42P01", "25006", "40001")
"""What a database may answer to an insert: none of it is the fault of the rows."""


@asynccontextmanager
async def answering(dsn: str, state: str, when: str = "true") -> AsyncIterator[None]:
    """Let every insert of an event, or of some, fail with a SQLSTATE.

    The trigger stays, and its function changes: that locks no table, and cannot end in a deadlock with the hub.
    """
    function = (
        "CREATE OR REPLACE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {} RETURN NEW; END $$"
    )
    await changed(
        dsn, function.format(f"IF {when} THEN RAISE EXCEPTION 'an answer' USING ERRCODE = '{state}'; END IF;")
    )
    if not await asyncio.to_thread(rows, dsn, "SELECT tgname FROM pg_trigger WHERE tgname = 'fails'"):
        await changed(dsn, "CREATE TRIGGER fails BEFORE INSERT ON event FOR EACH ROW EXECUTE FUNCTION fails()")
    try:
        yield
    finally:
        await changed(dsn, function.format(""))


@asynccontextmanager
async def read_only(cluster: Cluster, dsn: str) -> AsyncIterator[None]:
    """Let the database be as a standby is. Connections that are made meanwhile stay so, as long as they live."""
    name, everywhere = dsn.rpartition("/")[2], cluster.dsn("postgres")
    await changed(everywhere, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    await disconnect(everywhere, name)
    try:
        yield
    finally:
        await changed(everywhere, f"ALTER DATABASE {name} RESET default_transaction_read_only")


@asynccontextmanager
async def renamed(cluster: Cluster, dsn: str) -> AsyncIterator[None]:
    """Let there be no database of this name."""
    name, everywhere = dsn.rpartition("/")[2], cluster.dsn("postgres")
    await changed(everywhere, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    await disconnect(everywhere, name)
    await changed(everywhere, f"ALTER DATABASE {name} RENAME TO {name}_away")
    try:
        yield
    finally:
        await changed(everywhere, f"ALTER DATABASE {name}_away RENAME TO {name}")
        await changed(everywhere, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


async def disconnect(everywhere: str, name: str) -> None:
    await changed(
        everywhere, "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s", name
    )


async def changed(dsn: str, query: str, *values: object) -> None:
    """Run a statement that may have to wait for the hub, which runs in this thread."""
    await asyncio.to_thread(rows, dsn, query, *values)


async def failures(hub: Scene, table: str = "event") -> float:
    return (await hub.metrics())[f'lockerhub_batch_failures_total{{table="{table}"}}']


async def no_task_failed(hub: Scene) -> None:
    found = {
        name: count
        for name, count in (await hub.metrics()).items()
        if name.startswith("lockerhub_task_restarts_total") and count
    }
    assert found == {}


async def test_whatever_the_database_answers_doors_open_and_events_are_stored_once(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path) as hub, online(hub) as locker, obedient(hub, locker):
        for number, state in enumerate(STATES, 1):
            before = await failures(hub)
            async with answering(dsn, state):
                await locker.events(number, [opened()])

                async def failed(before: float = before) -> bool:
                    return await failures(hub) >= before + 2

                await eventually(failed, f"attempts that end with {state}")
                status, answer = await ask(hub, params={"wait": "pulse"})
                assert (status, answer["state"]) == (200, "succeeded"), state
                assert (await hub.balanced())["in_flight"] == 1
                assert locker.receipts.empty()
            assert (await locker.receipt()).upto == number
        assert [seq for seq, _, _ in await hub.events("berlin-01")] == list(range(1, len(STATES) + 1))
        books = await hub.balanced()
        assert (books["stored"], books["received"], books["quarantined"]) == (len(STATES), len(STATES), 0)
        await no_task_failed(hub)


@pytest.mark.parametrize("trouble", [read_only, renamed])
async def test_a_database_that_cannot_be_written_is_waited_for_by_every_task(
    trouble: Trouble, mosquitto_broker: MosquittoBroker, plain_postgres: Cluster, dsn: str, tmp_path: Path
) -> None:
    """Read-only as after a failover, or gone. What is there again is used at once, by connections made anew."""
    async with (
        scene(
            mosquitto_broker,
            dsn,
            tmp_path,
            database_connect_timeout_s=1,
            service_ledger_watch_s=1,
            people_watch_s=1,
        ) as hub,
        online(hub) as locker,
        obedient(hub, locker),
    ):
        await locker.events(1, [opened()])
        assert (await locker.receipt()).upto == 1
        async with trouble(plain_postgres, dsn):
            await locker.events(2, [opened()] * 2)
            await locker.telemetry([Sample(t=1, temperature_c=20.0)])

            async def failed() -> bool:
                return await failures(hub) >= 3 and await failures(hub, "reading") >= 3

            await eventually(failed, "attempts that fail")
            status, answer = await ask(hub, params={"wait": "pulse"})
            assert (status, answer["state"]) == (200, "succeeded")
            assert (await hub.balanced())["in_flight"] == 2
            await no_task_failed(hub)
        assert (await locker.receipt()).upto == 3
        assert [seq for seq, _, _ in await hub.events("berlin-01")] == [1, 2, 3]

        async def written() -> bool:
            waiting = {name: count for name, count in (await hub.metrics()).items() if "batch_queue_rows{" in name}
            return not any(waiting.values())

        await eventually(written, "an empty queue of every table")
        assert await asyncio.to_thread(rows, dsn, "SELECT count(*) FROM reading") == [(1,)]
        assert await asyncio.to_thread(rows, dsn, "SELECT state FROM command") == [("succeeded",)]
        await hub.balanced()
        await hub.balanced("sample")
        await no_task_failed(hub)


async def test_a_right_that_is_revoked_is_waited_for(
    mosquitto_broker: MosquittoBroker, plain_postgres: Cluster, dsn: str, tmp_path: Path
) -> None:
    role = f"role_{dsn.rpartition('_')[2]}"
    rows(dsn, f"CREATE ROLE {role} LOGIN")
    rows(dsn, f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
    rows(dsn, f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}")
    try:
        as_role = dsn.replace("lockerhub@", f"{role}@")
        async with (
            scene(mosquitto_broker, as_role, tmp_path) as hub,
            online(hub) as locker,
            obedient(hub, locker),
        ):
            await changed(dsn, f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}")
            await locker.events(1, [opened()])

            async def failed() -> bool:
                return await failures(hub) >= 3

            await eventually(failed, "attempts that fail")
            status, answer = await ask(hub, params={"wait": "pulse"})
            assert (status, answer["state"]) == (200, "succeeded")
            _, ready = await hub.get("/readyz")
            assert "the database refuses the hub's role" in ready["checks"]["database"]
            await changed(dsn, f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
            assert (await locker.receipt()).upto == 1
            await no_task_failed(hub)
    finally:
        rows(dsn, f"DROP OWNED BY {role}")
        rows(plain_postgres.dsn("postgres"), f"DROP ROLE {role}")


async def test_a_message_with_which_the_database_fails_holds_up_nobody_else(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    """It stays on its locker, is told, and is stored once when the database takes it."""
    async with (
        scene(mosquitto_broker, dsn, tmp_path) as hub,
        online(hub) as locker,
        online(hub, "paris-02") as other,
    ):
        async with answering(dsn, "XX000", when="NEW.locker_id = 'berlin-01'"):
            await locker.events(1, [opened()])

            async def failed() -> bool:
                return await failures(hub) >= 3

            await eventually(failed, "attempts that fail")
            await other.events(1, [opened()])
            assert (await other.receipt()).upto == 1

            async def kept_back() -> bool:
                return (await hub.metrics())['lockerhub_batch_kept_back_total{table="event"}'] == 1

            await eventually(kept_back, "the message that is kept back")
            assert locker.receipts.empty()
            books = await hub.balanced()
            assert (books["deferred"], books["stored"], books["in_flight"]) == (1, 1, 0)
        # As a locker does that has no receipt.
        await locker.events(1, [opened()])
        assert (await locker.receipt()).upto == 1
        assert [seq for seq, _, _ in await hub.events("berlin-01")] == [1]
        await no_task_failed(hub)
