"""One locker that sends too much: it waits, or its telemetry is dropped, and nobody else notices."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hub.scene import Scene, eventually, fresh_database, obedient, online, rows, scene
from tests.services.conftest import Cluster, MosquittoBroker
from tests.services.locked import locked
from wire.messages import Event, Sample
from wire.topics import Channel

pytestmark = pytest.mark.services
TIGHT: dict[str, Any] = {"intake_messages_per_s_max": 1, "intake_records_per_s_max": 50, "intake_burst_s": 5}


@pytest.fixture
def dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as name:
        yield name


def opened(t: int = 1) -> Event:
    return Event(t=t, at=1, kind="door.opened", door=1)


async def limited(one: Scene, channel: Channel, reason: str) -> float:
    name = f'lockerhub_intake_limited_total{{channel="{channel.value}",reason="{reason}"}}'
    return (await one.metrics()).get(name, 0)


async def test_who_sends_too_many_messages_has_to_wait_and_loses_nothing(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        scene(mosquitto_broker, dsn, tmp_path, **TIGHT) as hub,
        online(hub) as locker,
        online(hub, "paris-02") as neighbour,
    ):
        for seq in range(1, 31):
            await locker.events(seq, [opened()])

        async def counted() -> bool:
            return (await hub.balanced())["received"] >= 30

        await eventually(counted, "thirty batches")
        refused = await limited(hub, Channel.EVENTS, "messages")
        assert refused >= 20
        assert (await hub.balanced())["deferred"] >= refused
        # Its presence is always taken, and its neighbour has a share of its own.
        await locker.presence(session=9)

        async def session() -> bool:
            return bool((await hub.locker("berlin-01"))["session"] == 9)

        await eventually(session, "the new session")
        await neighbour.events(1, [opened()])
        assert (await neighbour.receipt()).upto == 1
        # What was refused is still its own: it sends again, and in time everything is taken.
        upto, sent = 0, 31

        async def judged() -> bool:
            heard = (await hub.metrics())['lockerhub_intake_messages_total{channel="events"}']
            return heard == sent and not (await hub.balanced())["in_flight"]

        async with asyncio.timeout(30):
            while upto < 30:
                await locker.events(1, [opened()] * 30)
                sent += 1
                await eventually(judged, "the whole backlog taken or refused")
                while not locker.receipts.empty():
                    upto = max(upto, (await locker.receipt()).upto or 0)
        assert [seq for seq, _, _ in await hub.events("berlin-01")] == list(range(1, 31))
        told = [record for record in caplog.records if "more events than its share" in record.message]
        assert [record.__dict__["locker"] for record in told] == ["berlin-01"]


async def test_of_very_much_presence_the_last_word_counts(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path, **TIGHT) as hub, online(hub) as locker:
        for number in range(2, 202):
            await locker.presence(session=number)

        async def session() -> bool:
            return bool((await hub.locker("berlin-01"))["session"] == 201)

        await eventually(session, "the newest session")
        assert await limited(hub, Channel.PRESENCE, "messages") > 0


async def test_who_sends_too_many_events_has_to_wait_as_well(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path, **TIGHT) as hub, online(hub) as locker:
        await locker.events(1, [opened()] * 500)
        # Taken in whole, and paid for afterwards.
        assert (await locker.receipt()).upto == 500
        await locker.events(501, [opened()])

        async def refused() -> bool:
            return await limited(hub, Channel.EVENTS, "records") == 1

        await eventually(refused, "the next batch refused")
        assert (await hub.balanced())["deferred"] == 1


async def test_telemetry_above_the_share_is_dropped_counted_and_acknowledged(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path, **TIGHT) as hub, online(hub) as locker:
        for number in range(20):
            await locker.telemetry([Sample(t=locker.up()["t"] + number)])

        async def settled() -> bool:
            books = await hub.balanced("sample")
            return books["received"] == 20 and books["in_flight"] == 0

        await eventually(settled, "twenty messages")
        books = await hub.balanced("sample")
        dropped = await limited(hub, Channel.TELEMETRY, "messages")
        assert books["dropped"] == dropped >= 10
        assert books["stored"] == 20 - dropped
        assert all(link.owed == 0 for link in hub.hub.links)
        # Its events have a share of their own.
        await locker.events(1, [opened()])
        assert (await locker.receipt()).upto == 1


async def test_a_backlog_does_not_hold_up_what_happens_now(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    """With a database that does not write, the backlog has its own limit, and leaves room to the others."""
    settings: dict[str, Any] = {"intake_backlog_queue_rows_max": 10, "intake_event_queue_rows_max": 40}
    async with (
        scene(mosquitto_broker, dsn, tmp_path, **settings) as hub,
        online(hub) as locker,
        online(hub, "paris-02") as neighbour,
        obedient(hub, neighbour),
    ):
        async with locked(dsn, "event"):
            now = neighbour.up()["t"]
            await neighbour.events(1, [opened(now)])

            async def writing() -> bool:
                waits = (
                    "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
                )
                return bool(await asyncio.to_thread(rows, dsn, waits))

            await eventually(writing, "one event being written")
            old = [opened(locker.up()["t"] - 3_600_000)] * 10
            await locker.events(1, old)
            await locker.events(11, old)

            async def full() -> bool:
                return (await hub.balanced())["deferred"] == 10

            await eventually(full, "a full backlog")
            await neighbour.events(2, [opened(now)] * 20)

            async def taken() -> bool:
                books = await hub.balanced()
                return (books["in_flight"], books["deferred"]) == (31, 10)

            await eventually(taken, "new events taken")
            backlog = (await hub.metrics())['lockerhub_batch_queue_rows{table="event_backlog"}']
            assert backlog == 10
            # And the database is on nobody's way to a door.
            status, answer = await hub.post(
                "/api/v1/lockers/paris-02/commands?wait=pulse", json={"kind": "open", "door": 1}
            )
            assert (status, answer["state"]) == (200, "succeeded")
        while (await neighbour.receipt()).upto != 21:
            pass
        assert (await locker.receipt()).upto == 10
        await locker.events(11, old)
        assert (await locker.receipt()).upto == 20
