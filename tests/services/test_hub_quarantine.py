"""What cannot be accepted, with real services: it is kept with its reason, and nobody else notices."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.hub.scene import Scene, eventually, fresh_database, online, rows, scene
from tests.services.conftest import Cluster, MosquittoBroker
from tests.services.locked import locked
from tests.wire.payloads import BAD_EVENTS, BAD_PRESENCES, BAD_TELEMETRY, EPOCH, EVENTS, payload
from wire.errors import Reason, WireError
from wire.messages import Event, Sample, TelemetryBatch, encode
from wire.salvage import salvage_events, salvage_samples
from wire.topics import Channel, topic_of

pytestmark = pytest.mark.services


@pytest.fixture
def dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as name:
        yield name


def opened(door: int = 1) -> Event:
    return Event(t=1, at=1, kind="door.opened", door=door)


def numbers(stored: list[tuple[int, str, int]]) -> list[int]:
    return [seq for seq, _, _ in stored]


async def settled(hub: Scene, samples: int) -> dict[str, float] | None:
    books = await hub.balanced("sample")
    return books if books["received"] == samples and books["in_flight"] == 0 else None


_Kept = tuple[Reason, bytes]


def bad_events() -> tuple[list[_Kept], list[tuple[bytes, list[_Kept]]], int]:
    """What is bad as a message, what is bad in its events only (each in an epoch of its own), how many are good.

    The messages with (reason, text) of what is kept: all of it, or one event.
    """
    whole: list[_Kept] = []
    single: list[tuple[bytes, list[_Kept]]] = []
    good = 0
    for text, reason in BAD_EVENTS.values():
        try:
            batch, spoiled = salvage_events(text)
        except WireError:
            whole.append((reason, text))
        else:
            kept = [(one.error.reason, one.raw) for one in spoiled.values()]
            single.append((text.replace(EPOCH.encode(), str(uuid4()).encode()), kept))
            good += len(batch.events) - len(spoiled)
    return whole, single, good


def bad_samples(text: bytes, reason: Reason) -> list[_Kept]:
    """What is kept of a message that was refused: its bad samples, or all of it."""
    try:
        _, spoiled = salvage_samples(text)
    except WireError:
        return [(reason, text)]
    return [(one.error.reason, one.raw) for one in spoiled.values()]


async def test_what_the_database_refuses_goes_to_quarantine_and_the_ledger_goes_on(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    rows(dsn, "ALTER TABLE event ADD CHECK (kind <> 'poison')")
    async with (
        scene(mosquitto_broker, dsn, tmp_path, intake_flush_age_ms_max=200) as hub,
        online(hub) as locker,
        online(hub, "paris-02") as neighbour,
    ):
        await neighbour.events(1, [opened()] * 2)
        await locker.events(1, [opened(), Event(t=1, at=1, kind="poison")])
        await neighbour.events(3, [opened()])
        assert (await locker.receipt()).upto == 2
        while (await neighbour.receipt()).upto != 3:
            pass
        await locker.events(3, [opened()])
        assert (await locker.receipt()).upto == 3
        # Its neighbour in the same message is stored.
        assert numbers(await hub.events("berlin-01")) == [1, 3]
        assert numbers(await hub.events("paris-02")) == [1, 2, 3]
        kept = await hub.quarantined(topic_of("berlin-01", Channel.EVENTS))
        assert [(reason, message) for reason, _, message, _ in kept] == [
            ("rejected", b'{"t":1,"at":1,"kind":"poison"}')
        ]
        assert rows(dsn, "SELECT locker_id, epoch, seq FROM quarantine") == [("berlin-01", locker.epoch, 2)]
        books = await hub.balanced()
        assert (books["stored"], books["quarantined"]) == (5, 1)


async def test_a_sample_that_the_database_refuses_costs_its_neighbours_nothing(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    rows(dsn, "ALTER TABLE reading ADD CHECK (outbox_events <> 13)")
    async with (
        scene(mosquitto_broker, dsn, tmp_path, intake_flush_age_ms_max=200) as hub,
        online(hub) as locker,
        online(hub, "paris-02") as neighbour,
    ):
        for one, numbers_ in ((neighbour, range(3)), (locker, range(10, 16)), (neighbour, range(20, 23))):
            up = one.up()
            samples = [Sample(t=up["t"] - 9 + place, outbox_events=number) for place, number in enumerate(numbers_)]
            await one.publish(Channel.TELEMETRY, encode(TelemetryBatch(**up, samples=samples)))
            await asyncio.sleep(0.02)  # the next message's samples are later ones
        kept = await eventually(
            lambda: hub.quarantined(topic_of("berlin-01", Channel.TELEMETRY)), "what is kept of the message"
        )
        assert [(reason, json.loads(text)["outbox_events"]) for reason, _, text, _ in kept] == [("rejected", 13)]
        books = await eventually(lambda: settled(hub, 12), "all samples settled")
        assert books is not None
        assert (books["stored"], books["quarantined"]) == (11, 1)
        stored = rows(dsn, "SELECT outbox_events FROM reading ORDER BY outbox_events")
        assert [number for (number,) in stored] == [0, 1, 2, 10, 11, 12, 14, 15, 20, 21, 22]


async def test_all_bad_input_is_quarantined_with_its_reason_and_a_neighbour_does_not_notice(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    whole, single, good = bad_events()
    assert whole
    assert single
    telemetry = [one for text, reason in BAD_TELEMETRY.values() for one in bad_samples(text, reason)]
    # A message of nothing is a deletion, and is not kept.
    whole = [(reason, text) for reason, text in whole if text]
    telemetry = [(reason, text) for reason, text in telemetry if text]
    presences = [(reason, text) for text, reason in BAD_PRESENCES.values() if text]
    bad = (
        # Message, and what is kept of it.
        (
            Channel.EVENTS,
            [text for _, text in whole] + [text for text, _ in single],
            whole + [one for _, kept in single for one in kept],
        ),
        (Channel.TELEMETRY, [text for text, _ in BAD_TELEMETRY.values()], telemetry),
        (Channel.PRESENCE, [text for _, text in presences], presences),
    )
    sent = 0
    async with (
        scene(mosquitto_broker, dsn, tmp_path) as hub,
        online(hub) as locker,
        online(hub, "paris-02") as neighbour,
    ):
        stop = asyncio.Event()

        async def scrape() -> int:
            count = 0
            while not stop.is_set():
                await hub.balanced("event")
                await hub.balanced("sample")
                count += 1
            return count

        scraping = asyncio.create_task(scrape(), name="scrape")
        for channel, messages, _ in bad:
            for text in messages:
                await locker.publish(channel, text)
                sent += 1
                await neighbour.events(sent, [opened()])
        wrong_shard = "lh/v1/zz/berlin-01/events"
        await locker.client.publish(wrong_shard, payload(EVENTS), qos=1)
        while (await neighbour.receipt()).upto != sent:
            pass
        await locker.events(1, [opened()])
        while (await locker.receipt()).epoch != locker.epoch:
            pass
        assert numbers(await hub.events("paris-02")) == list(range(1, sent + 1))
        limit = hub.config.intake.quarantine_payload_bytes_max
        for channel, _, expected in bad:
            topic = topic_of("berlin-01", channel)

            async def all_kept(topic: str = topic, count: int = len(expected)) -> bool:
                return len(await hub.quarantined(topic)) == count

            await eventually(all_kept, f"{topic} in quarantine")
            kept = await hub.quarantined(topic)
            # Events are kept along with their ledger, and messages are not: two queues, no order between them.
            assert sorted((reason, text, length) for reason, _, text, length in kept) == sorted(
                (reason.value, text[:limit], len(text)) for reason, text in expected
            )
            assert all(detail for _, detail, _, _ in kept)
        assert [row[0] for row in await hub.quarantined(wrong_shard)] == [Reason.TOPIC.value]
        stop.set()
        assert await scraping > 0
        books = await hub.balanced("event")
        assert (books["stored"], books["quarantined"]) == (sent + 1 + good, len(bad[0][2]))
        samples = await hub.balanced("sample")
        assert samples["quarantined"] == len(telemetry)
        # The good ones among them: two of the broken sensor's neighbours, and one more.
        assert samples["received"] == len(telemetry) + 3
        assert (await hub.locker("berlin-01"))["state"] == "online"


async def test_a_flooded_quarantine_drops_and_counts(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with (
        scene(mosquitto_broker, dsn, tmp_path, intake_quarantine_queue_rows_max=2, intake_queue_share_max=1) as hub,
        online(hub) as locker,
    ):
        async with locked(dsn, "quarantine"):
            for _ in range(5):
                await locker.publish(Channel.EVENTS, b"{")

            async def counted() -> bool:
                return (await hub.balanced())["received"] == 5

            await eventually(counted, "five bad messages")
            books = await hub.balanced()
            assert (books["quarantined"], books["dropped"]) == (2, 3)
        await eventually(lambda: hub.quarantined(topic_of("berlin-01", Channel.EVENTS)), "what was kept")
        assert len(await hub.quarantined(topic_of("berlin-01", Channel.EVENTS))) == 2
        assert (await hub.metrics())['lockerhub_batch_dropped_total{table="quarantine"}'] == 3
