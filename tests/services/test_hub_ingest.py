"""The way in, with a real broker and a real database: stored once, receipted after the commit, accounted for."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.store.binary_copy import event_rows
from hub.store.ledgers import Ledgers
from hub.store.rows import EventUnit
from tests.hub.scene import Agent, Scene, agent, eventually, fresh_database, online, register, rows, scene
from tests.services.conftest import Cluster, MosquittoBroker
from tests.services.locked import locked
from wire.messages import Event, EventBatch, Receipt, Sample, encode
from wire.topics import Channel, topic_of

pytestmark = pytest.mark.services


@pytest.fixture
def dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as name:
        yield name


def opened(door: int = 1, **changed: object) -> Event:
    return Event(t=1, at=1, kind="door.opened", door=door, **changed)  # type: ignore[arg-type]


def numbers(stored: list[tuple[int, str, int]]) -> list[int]:
    return [seq for seq, _, _ in stored]


async def in_flight(one: Scene, count: int) -> bool:
    return (await one.balanced())["in_flight"] == count


@pytest.mark.parametrize("kind", ["plain_postgres", "timescaledb"])
async def test_events_are_stored_once_and_receipted_after_the_commit(
    kind: str, request: pytest.FixtureRequest, mosquitto_broker: MosquittoBroker, tmp_path: Path
) -> None:
    cluster: Cluster = request.getfixturevalue(kind)
    with fresh_database(cluster) as dsn:
        async with scene(mosquitto_broker, dsn, tmp_path) as hub, online(hub) as locker:
            async with locked(dsn, "event"):
                await locker.events(1, [opened(1), opened(2), opened(3)])
                await eventually(lambda: in_flight(hub, 3), "three events in flight")
                assert locker.receipts.empty()
            assert await locker.receipt() == Receipt(v=1, epoch=locker.epoch, upto=3)
            stored = [(1, "door.opened", 1), (2, "door.opened", 2), (3, "door.opened", 3)]
            assert await hub.events("berlin-01") == stored
            # The same again, and a batch that overlaps what is there.
            await locker.events(1, [opened(1), opened(2), opened(3)])
            assert await locker.receipt() == Receipt(v=1, epoch=locker.epoch, upto=3)
            await locker.events(2, [opened(2), opened(3), opened(4)])
            assert await locker.receipt() == Receipt(v=1, epoch=locker.epoch, upto=4)
            assert await hub.events("berlin-01") == [*stored, (4, "door.opened", 4)]
            books = await hub.balanced()
            assert (books["received"], books["stored"], books["duplicate"]) == (9, 4, 5)


async def test_a_gap_is_asked_for_again_and_a_declared_one_is_recorded(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path) as hub, online(hub) as locker:
        await locker.events(1, [opened()])
        assert (await locker.receipt()).upto == 1
        await locker.events(5, [opened()], oldest=2)
        assert await locker.receipt() == Receipt(v=1, epoch=locker.epoch, expected=2)
        assert numbers(await hub.events("berlin-01")) == [1]
        # It has none of 2 to 4 any more.
        await locker.events(5, [opened(), opened()], oldest=5)
        assert await locker.receipt() == Receipt(v=1, epoch=locker.epoch, upto=6)
        assert numbers(await hub.events("berlin-01")) == [1, 5, 6]
        gaps = rows(dsn, "SELECT locker_id, epoch, from_seq, to_seq FROM ledger_gap")
        assert gaps == [("berlin-01", locker.epoch, 2, 4)]
        assert (await hub.metrics())["lockerhub_ledger_gaps_total"] == 1
        assert (await hub.balanced())["deferred"] == 1


async def test_a_restarted_hub_finds_its_ledgers_again(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with agent(mosquitto_broker) as locker:
        async with scene(mosquitto_broker, dsn, tmp_path):
            await locker.events(1, [opened()] * 3)
            assert (await locker.receipt()).upto == 3
        async with scene(mosquitto_broker, dsn, tmp_path) as hub:
            await locker.events(1, [opened()] * 3)
            assert (await locker.receipt()).upto == 3
            await locker.events(9, [opened()])
            assert (await locker.receipt()).expected == 4
            await locker.events(3, [opened()] * 3)
            assert (await locker.receipt()).upto == 5
            assert numbers(await hub.events("berlin-01")) == [1, 2, 3, 4, 5]


async def test_a_commit_that_nobody_heard_of_makes_duplicates_not_doubles(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    """As after a COMMIT whose answer was lost: rows and cursor are there, and this hub does not know it."""
    async with agent(mosquitto_broker) as locker, scene(mosquitto_broker, dsn, tmp_path) as hub:
        batch = EventBatch(**locker.up(), epoch=locker.epoch, first=1, events=[opened()] * 3)
        now = batch.at
        copied = event_rows(
            batch, skip=0, tenant="default", locker="berlin-01", occurred=[now] * 3, received_ms=now
        )
        there = EventUnit(("berlin-01", locker.epoch), 1, 4, copied, None, now, "", b"", 3)
        await Ledgers(hub.hub.store).write_events([there])
        await locker.events(1, [opened()] * 3)
        assert await locker.receipt() == Receipt(v=1, epoch=locker.epoch, upto=3)
        await locker.events(4, [opened()])
        assert await locker.receipt() == Receipt(v=1, epoch=locker.epoch, upto=4)
        assert numbers(await hub.events("berlin-01")) == [1, 2, 3, 4]
        books = await hub.balanced()
        assert (books["stored"], books["duplicate"]) == (1, 3)


async def test_where_another_hub_is_elsewhere_the_locker_is_asked_from_there(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with agent(mosquitto_broker) as locker, scene(mosquitto_broker, dsn, tmp_path) as hub:
        await locker.events(1, [opened()] * 3)
        assert (await locker.receipt()).upto == 3
        # A backup of yesterday was restored: the database knows only of number 1.
        rows(dsn, "DELETE FROM event WHERE seq > 1")
        rows(dsn, "UPDATE ledger_cursor SET next_seq = 2")
        await locker.events(4, [opened()])
        assert await locker.receipt() == Receipt(v=1, epoch=locker.epoch, expected=2)
        assert (await hub.balanced())["deferred"] == 1
        await locker.events(2, [opened()] * 3)
        assert (await locker.receipt()).upto == 4
        assert numbers(await hub.events("berlin-01")) == [1, 2, 3, 4]
        # Another hub has taken 5 and 6; ours believes in 4.
        rows(dsn, "UPDATE ledger_cursor SET next_seq = 7")
        await locker.events(5, [opened()] * 4)
        assert await locker.receipt() == Receipt(v=1, epoch=locker.epoch, expected=7)
        await locker.events(5, [opened()] * 4)
        assert (await locker.receipt()).upto == 8
        assert numbers(await hub.events("berlin-01")) == [1, 2, 3, 4, 7, 8]


async def test_a_ledger_that_stands_elsewhere_does_not_hold_up_its_neighbours(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with (
        scene(mosquitto_broker, dsn, tmp_path, intake_flush_age_ms_max=200) as hub,
        online(hub) as locker,
        online(hub, "paris-02") as neighbour,
    ):
        await locker.events(1, [opened()])
        assert (await locker.receipt()).upto == 1
        rows(dsn, "UPDATE ledger_cursor SET next_seq = 9")
        await neighbour.events(1, [opened()])
        await locker.events(2, [opened()])
        await neighbour.events(2, [opened()])
        assert (await locker.receipt()).upto == 8
        while (await neighbour.receipt()).upto != 2:
            pass
        assert numbers(await hub.events("paris-02")) == [1, 2]
        books = await hub.balanced()
        assert (books["stored"], books["duplicate"], books["in_flight"]) == (3, 1, 0)


async def test_a_database_that_is_away_loses_nothing(
    mosquitto_broker: MosquittoBroker, plain_postgres: Cluster, dsn: str, tmp_path: Path
) -> None:
    name = dsn.rpartition("/")[2]
    everywhere = plain_postgres.dsn("postgres")
    async with scene(mosquitto_broker, dsn, tmp_path, database_connect_timeout_s=1) as hub, online(hub) as locker:
        rows(everywhere, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        rows(everywhere, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", name)
        await locker.events(1, [opened()] * 2)

        async def tried() -> bool:
            return (await hub.metrics())['lockerhub_batch_failures_total{table="event"}'] > 0

        await eventually(tried, "an attempt that failed")
        status, ready = await hub.get("/readyz")
        assert (status, ready["ready"]) == (503, False)
        assert locker.receipts.empty()
        assert (await hub.balanced())["in_flight"] == 2
        rows(everywhere, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        assert (await locker.receipt()).upto == 2
        assert numbers(await hub.events("berlin-01")) == [1, 2]


async def test_a_full_queue_defers_and_the_locker_sends_again(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with (
        scene(mosquitto_broker, dsn, tmp_path, intake_event_queue_rows_max=2) as hub,
        online(hub) as locker,
        online(hub, "paris-02") as neighbour,
    ):
        async with locked(dsn, "event"):
            await locker.events(1, [opened()] * 2)
            await eventually(lambda: in_flight(hub, 2), "a full queue")
            await neighbour.events(1, [opened()])

            async def deferred() -> bool:
                return (await hub.balanced())["deferred"] == 1

            await eventually(deferred, "the neighbour's batch deferred")
        assert (await locker.receipt()).upto == 2
        await neighbour.events(1, [opened()])
        assert (await neighbour.receipt()).upto == 1


async def test_a_kept_presence_is_not_a_sign_of_life(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with agent(mosquitto_broker) as locker:
        await locker.presence(session=7)
        async with scene(mosquitto_broker, dsn, tmp_path) as hub:

            async def known() -> bool:
                return bool((await hub.locker("berlin-01"))["session"] == 7)

            await eventually(known, "the kept presence")
            shown = await hub.locker("berlin-01")
            assert (shown["state"], shown["last_seen_at"], shown["agent"]) == ("offline", None, "0.1.0")
            await locker.presence(session=7)

            async def is_online() -> bool:
                return bool((await hub.locker("berlin-01"))["state"] == "online")

            await eventually(is_online, "a live presence")


async def test_an_unknown_locker_is_kept_in_quarantine_and_asked_again_once_it_is_known(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path) as hub, agent(mosquitto_broker, "nowhere-03") as stranger:
        topic = topic_of("nowhere-03", Channel.EVENTS)
        await stranger.events(1, [opened()])
        kept = await eventually(lambda: hub.quarantined(topic), "the stranger's events in quarantine")
        assert [row[0] for row in kept] == ["locker_unknown"]
        assert "`hub locker add nowhere-03` adds it" in kept[0][1]
        assert (await hub.balanced())["quarantined"] == 1
        async with asyncio.timeout(10):
            first = await stranger.hub_states.get()
            await register(dsn, ["nowhere-03"])
            while (again := await stranger.hub_states.get()) == first:
                pass
        assert b'"online":true' in again
        await stranger.events(1, [opened()])
        assert (await stranger.receipt()).upto == 1


async def test_telemetry_is_stored_at_its_own_time(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path) as hub, online(hub) as locker:
        now = locker.up()["t"]
        old = Sample(t=now - 60_000, temperature_c=20.5, extra={"lux": 4.0})
        await locker.telemetry([old, Sample(t=now, outbox_events=3, dropped=2)])

        async def stored() -> list[tuple[float | None, ...]]:
            query = (
                "SELECT temperature_c, outbox_events, dropped, extra,"
                " round(extract(epoch FROM received_at - sampled_at)) FROM reading ORDER BY sampled_at"
            )
            return rows(dsn, query)

        assert await eventually(stored, "two readings") == [
            (20.5, None, None, {"lux": 4.0}, 60),
            (None, 3, 2, None, 0),
        ]
        assert (await hub.balanced("sample"))["stored"] == 2
        status, page = await hub.get("/api/v1/lockers/berlin-01/telemetry")
        assert status == 200
        assert [item["temperature_c"] for item in page["items"]] == [None, 20.5]


async def test_an_end_of_a_session_shows_at_once_and_an_older_one_does_not(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path) as hub, online(hub) as locker:
        await locker.presence(session=3)
        await locker.presence(session=2, online=False)
        await locker.events(1, [opened(1)])
        assert (await locker.receipt()).upto == 1
        shown = await hub.locker("berlin-01")
        assert (shown["state"], shown["session"], shown["doors"][0]["state"]) == ("online", 3, "open")
        await locker.presence(session=3, online=False)

        async def offline() -> bool:
            return bool((await hub.locker("berlin-01"))["state"] == "offline")

        await eventually(offline, "offline")
        door = (await hub.locker("berlin-01"))["doors"][0]
        assert (door["state"], door["last_known"]) == ("unknown", "open")


async def test_many_lockers_at_once_are_all_settled(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    """Two links under a load of single-event messages: each scrape balances, each ledger is whole."""
    count = 300

    async def pour(locker: Agent) -> None:
        for seq in range(1, count + 1):
            await locker.events(seq, [opened()])

    async with (
        scene(mosquitto_broker, dsn, tmp_path) as hub,
        online(hub) as one,
        online(hub, "paris-02") as other,
    ):
        pouring = asyncio.gather(pour(one), pour(other))
        while not pouring.done():
            await hub.balanced()
        await pouring
        for locker in (one, other):
            while (await locker.receipt()).upto != count:
                pass
            assert numbers(await hub.events(locker.locker)) == list(range(1, count + 1))
        books = await hub.balanced()
        assert (books["stored"], books["in_flight"]) == (2 * count, 0)
        with contextlib.suppress(asyncio.QueueEmpty):
            assert one.receipts.get_nowait().upto == count


async def test_a_retained_batch_is_kept_apart_and_changes_nothing(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    """The broker's copy is of any age; its locker sends what was not confirmed, and is asked for nothing."""
    topic = topic_of("berlin-01", Channel.EVENTS)
    async with agent(mosquitto_broker) as locker:
        opened = Event(t=1, at=1, kind="door.opened", door=1)
        batch = encode(EventBatch(**locker.up(), epoch=locker.epoch, first=1, events=[opened]))
        await locker.client.publish(topic, batch, qos=0, retain=True)
        async with scene(mosquitto_broker, dsn, tmp_path) as hub:
            kept = await eventually(lambda: hub.quarantined(topic), "the copy in quarantine")
            assert [reason for reason, _, _, _ in kept] == ["retained"]
            books = await hub.balanced()
            assert (books["received"], books["quarantined"]) == (1, 1)
            assert await hub.events("berlin-01") == []
            assert hub.hub.fleet.lockers["berlin-01"].heard_ms is None
        await locker.client.publish(topic, b"", qos=0, retain=True)
