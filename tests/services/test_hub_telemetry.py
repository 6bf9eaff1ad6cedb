"""Telemetry, acknowledged after its commit: a database that does not write holds it back, and nothing else."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hub.core.accounting import Disposition, Tally
from hub.errors import StoreUnavailable
from hub.ingest.telemetry import TelemetryWriter
from hub.metrics import Metrics
from hub.mqtt.quarantine import Quarantine, QuarantineSink
from hub.store.batcher import Batcher
from hub.store.binary_copy import reading_row
from hub.store.database import Database
from hub.store.readings import write_readings
from hub.store.rows import ReadingUnit
from tests.hub.scene import Agent, Scene, agent, eventually, fresh_database, online, rows, scene
from tests.services.conftest import Cluster, MosquittoBroker, mosquitto
from tests.services.locked import locked
from tests.wire.strategies import T_MS_MAX
from wire.messages import Clock, Event, Sample, TelemetryBatch, encode
from wire.topics import Channel, topic_of

pytestmark = pytest.mark.services
AT_MS = 1_790_000_000_000
OWED = 'lockerhub_mqtt_unacknowledged{link="telemetry"}'
VERSIONS = pytest.mark.parametrize("version", ["5", "3.1.1"])


@pytest.fixture(scope="module")
def broker() -> Iterator[MosquittoBroker]:
    with mosquitto() as running:
        yield running


@pytest.fixture
def dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as name:
        yield name


async def say(locker: Agent, count: int, *, clock: Clock = Clock.SYNCED, ago_ms: int = 0) -> list[int]:
    """Send so many messages of one sample each; return their `outbox_events`, which number them."""
    numbers = []
    for _ in range(count):
        up = locker.up()
        up |= {"clock": clock, "at": up["at"] - ago_ms}
        number = up["t"] % 2**31
        await locker.publish(
            Channel.TELEMETRY, encode(TelemetryBatch(**up, samples=[Sample(t=up["t"], outbox_events=number)]))
        )
        numbers.append(number)
        await asyncio.sleep(0.002)  # the next one has another `t`
    return numbers


def stored(dsn: str) -> list[int]:
    return [number for (number,) in rows(dsn, "SELECT outbox_events FROM reading ORDER BY outbox_events")]


async def owed(one: Scene, count: int) -> bool:
    return (await one.metrics())[OWED] == count


async def is_online(one: Scene, locker: str) -> bool:
    return bool((await one.locker(locker))["state"] == "online")


async def has(dsn: str, numbers: list[int]) -> bool:
    return await asyncio.to_thread(stored, dsn) == sorted(numbers)


@VERSIONS
async def test_a_database_that_does_not_write_holds_back_telemetry_and_nothing_else(
    broker: MosquittoBroker, dsn: str, tmp_path: Path, version: str
) -> None:
    settings: dict[str, Any] = {"mqtt_version": version, "mqtt_telemetry_receive_max": 5}
    async with scene(broker, dsn, tmp_path, **settings) as hub, online(hub) as locker:
        async with locked(dsn, "reading"):
            first = await say(locker, 8)
            # On MQTT 3.1.1 the broker's own limit counts, which is a thousand.
            await eventually(lambda: owed(hub, 5 if version == "5" else 8), "messages not acknowledged")
            assert (await hub.balanced("sample"))["in_flight"] == (5 if version == "5" else 8)
            await locker.events(1, [Event(t=locker.up()["t"], at=1, kind="door.opened", door=1)])
            assert (await locker.receipt()).upto == 1
            await locker.presence(session=2)
            assert (await hub.locker("berlin-01"))["state"] == "online"
        await eventually(lambda: has(dsn, first), "all samples stored")
        await eventually(lambda: owed(hub, 0), "all acknowledged")
        assert (await hub.balanced("sample"))["stored"] == 8


@VERSIONS
async def test_what_is_not_committed_comes_again_to_the_next_hub(
    broker: MosquittoBroker, dsn: str, tmp_path: Path, version: str
) -> None:
    settings: dict[str, Any] = {"mqtt_version": version, "service_drain_s": 0.1, "mqtt_telemetry_receive_max": 4}
    async with agent(broker) as locker:
        async with AsyncExitStack() as stack, scene(broker, dsn, tmp_path, forget=False, **settings) as hub:
            before = await say(locker, 3)
            await eventually(lambda: has(dsn, before), "the first samples stored")
            # This hub ends while the table is locked: its batch is never written.
            await stack.enter_async_context(locked(dsn, "reading"))
            held = await say(locker, 6)
            await eventually(lambda: owed(hub, 4 if version == "5" else 6), "messages not acknowledged")
        while_away = await say(locker, 3)
        async with scene(broker, dsn, tmp_path, **settings) as hub:
            await eventually(lambda: has(dsn, before + held + while_away), "everything stored once")
            await eventually(lambda: owed(hub, 0), "all acknowledged")
            after = await say(locker, 3)
            await eventually(lambda: has(dsn, before + held + while_away + after), "the session is not stuck")
            await hub.balanced("sample")


@pytest.mark.parametrize("clock", [Clock.SYNCED, Clock.HOLDOVER])
async def test_a_locker_that_died_while_the_hub_was_away_is_not_online_after_its_start(
    broker: MosquittoBroker, dsn: str, tmp_path: Path, clock: Clock
) -> None:
    """Its presence stands at the broker as online, for nobody published its will, and its telemetry comes now."""
    async with agent(broker) as locker:
        async with scene(broker, dsn, tmp_path, forget=False) as hub:
            await locker.presence()
            await eventually(lambda: is_online(hub, "berlin-01"), "the locker is there")
        # What it said a minute ago, before it died: the broker had it for the hub all the time.
        locker.behind_ms = 60_000
        held = await say(locker, 3, clock=clock, ago_ms=60_000)
    async with scene(broker, dsn, tmp_path) as hub:
        await eventually(lambda: has(dsn, held), "what was held is stored")
        shown = await hub.locker("berlin-01")
        assert (shown["state"], shown["last_seen_at"]) == ("offline", None)
        assert {door["state"] for door in shown["doors"]} == {"unknown"}
        assert (await hub.post("/api/v1/lockers/berlin-01/commands", json={"kind": "open", "door": 1}))[0] == 409
        async with agent(broker) as locker:
            await locker.presence(session=2)
            await eventually(lambda: is_online(hub, "berlin-01"), "the locker is back")


@VERSIONS
async def test_what_was_committed_and_never_acknowledged_is_not_stored_twice(
    broker: MosquittoBroker, dsn: str, tmp_path: Path, version: str
) -> None:
    """As after a kill between COMMIT and PUBACK: the broker sends it again, and the next hub knows by its time."""
    settings: dict[str, Any] = {"mqtt_version": version}
    async with agent(broker) as locker:
        async with scene(broker, dsn, tmp_path, forget=False, **settings) as hub:
            samples = hub.hub.links[2]
            assert samples.name == "telemetry"
            client = samples._client  # noqa: SLF001 - the failure is made here, between two lines of the hub
            assert client is not None
            client.acknowledgements._soon = lambda _: None  # noqa: SLF001
            numbers = await say(locker, 5)
            await eventually(lambda: has(dsn, numbers), "the samples stored")
        async with scene(broker, dsn, tmp_path, **settings) as hub:

            async def repeated() -> bool:
                return (await hub.balanced("sample"))["duplicate"] == 5

            await eventually(repeated, "five repeated samples")
            await eventually(lambda: owed(hub, 0), "all acknowledged")
            more = await say(locker, 2)
            await eventually(lambda: has(dsn, numbers + more), "each sample once")


async def test_what_the_agent_or_a_new_connection_sends_again_is_stored_once(
    broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with scene(broker, dsn, tmp_path) as hub, online(hub) as locker:
        async with locked(dsn, "reading"):
            up = locker.up()
            samples = [Sample(t=up["t"] - n, outbox_events=n) for n in range(3)]
            await locker.telemetry(samples)
            await eventually(lambda: owed(hub, 1), "the message")
            link = hub.hub.links[2]
            client = link._client  # noqa: SLF001 - a connection that breaks
            assert client is not None
            client.abort()
            connects = 'lockerhub_mqtt_connects_total{link="telemetry"}'

            async def again() -> bool:
                return (await hub.metrics())[connects] == 2 and link.owed == 1

            await eventually(again, "the message again, on a new connection")
            await locker.telemetry(samples)
            await eventually(lambda: owed(hub, 2), "and again, from the agent")
            # Not acknowledged yet: what they repeat is not committed.
            assert (await hub.balanced("sample"))["duplicate"] == 6
        await eventually(lambda: owed(hub, 0), "all acknowledged")
        assert await asyncio.to_thread(stored, dsn) == [0, 1, 2]


@pytest.mark.parametrize("clock", [Clock.SYNCED, Clock.UNSET])
async def test_when_a_sample_was_taken_does_not_depend_on_when_it_came(
    broker: MosquittoBroker, dsn: str, tmp_path: Path, clock: Clock
) -> None:
    async with scene(broker, dsn, tmp_path) as hub, online(hub) as locker:
        began = time.time()
        up = locker.up() | {"clock": clock}
        # Two minutes on its way, by every clock there is.
        late = up | {"t": up["t"] - 120_000, "at": up["at"] - 120_000}
        await locker.publish(
            Channel.TELEMETRY, encode(TelemetryBatch(**late, samples=[Sample(t=late["t"], outbox_events=1)]))
        )
        await eventually(lambda: has(dsn, [1]), "the sample")
        ((age_s, source),) = rows(
            dsn, "SELECT extract(epoch FROM received_at - sampled_at), time_source FROM reading"
        )
        assert source == ("wall" if clock is Clock.SYNCED else "boot")
        assert 119 < age_s < 121 + time.time() - began
        # The hub's idea of the locker's clock, and so its commands' deadlines, did not suffer.
        assert (await hub.locker("berlin-01"))["state"] == "online"


async def test_a_locker_whose_telemetry_is_held_back_is_not_taken_for_silent(
    broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with scene(broker, dsn, tmp_path, intake_silent_after_s=3) as hub, online(hub) as locker:
        async with locked(dsn, "reading"):
            await say(locker, 1)
            began_s = time.monotonic()

            async def long_silent() -> bool:
                assert (await hub.locker("berlin-01"))["state"] == "online"
                return time.monotonic() - began_s > 4.5

            await eventually(long_silent, "a silence longer than is borne otherwise")
            # A will is no silence.
            await locker.presence(online=False)

            async def offline() -> bool:
                return bool((await hub.locker("berlin-01"))["state"] == "offline")

            await eventually(offline, "the end of its session")
            await locker.presence(session=2)
        # And once telemetry flows again, silence counts as before.
        await eventually(offline, "a silent locker offline")


async def send(locker: Agent, *samples: dict[str, Any], retain: bool = False, **changed: Any) -> None:  # noqa: ANN401
    up = json.loads(encode(TelemetryBatch(**locker.up(), samples=[]))) | changed
    text = json.dumps({**up, "samples": [{"t": up["t"], **sample} for sample in samples]}).encode()
    await locker.publish(Channel.TELEMETRY, text, retain=retain)


async def settled(hub: Scene, samples: int) -> dict[str, float] | None:
    books = await hub.balanced("sample")
    return books if (books["received"], books["in_flight"]) == (samples, 0) else None


async def test_a_bad_sample_is_kept_alone_and_its_locker_is_there_all_the_same(
    broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with scene(broker, dsn, tmp_path) as hub, online(hub) as locker:
        await send(locker, {"outbox_events": 1}, {"temperature_c": -127}, {"outbox_events": 2})
        await send(locker, {"outbox_events": 3}, {"extra": {"a\0": 1}})
        await eventually(lambda: settled(hub, 5), "the first two messages settled")
        heard = hub.hub.fleet.lockers["berlin-01"].heard_ms
        assert heard is not None
        await send(locker, {"cpu_temp_c": float("nan")})
        books = await eventually(lambda: settled(hub, 6), "all samples settled")
        assert books is not None
        assert (books["stored"], books["quarantined"]) == (3, 3)
        assert await has(dsn, [1, 2, 3])
        await eventually(lambda: owed(hub, 0), "all acknowledged")
        topic = topic_of("berlin-01", Channel.TELEMETRY)

        async def kept() -> list[Any] | None:
            found = await hub.quarantined(topic)
            return found if len(found) == 3 else None

        bad = await eventually(kept, "what is kept of them")
        assert bad is not None
        assert [reason for reason, _, _, _ in bad] == ["schema", "schema", "malformed"]
        assert json.loads(bad[0][2])["temperature_c"] == -127
        # A locker with nothing but a broken sensor is not silent.
        assert (hub.hub.fleet.lockers["berlin-01"].heard_ms or 0) > heard


async def test_a_clock_that_leaps_stands_still_or_goes_back_costs_no_sample(
    broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with scene(broker, dsn, tmp_path) as hub, online(hub) as locker:
        t = locker.up()["t"]
        for number, told in enumerate((t, t, 2**53 - 1, T_MS_MAX, t, t - 1, t + 5)):
            await send(locker, {"outbox_events": number}, t=told)
        books = await eventually(lambda: settled(hub, 7), "all samples settled")
        assert books is not None
        # What no clock can say is refused; the largest that one can say is believed by nobody, and harms nobody.
        assert (books["stored"], books["quarantined"]) == (6, 1)
        assert await has(dsn, [0, 1, 3, 4, 5, 6])
        ((oldest_s,),) = rows(dsn, "SELECT max(extract(epoch FROM received_at - sampled_at)) FROM reading")
        assert oldest_s < 60


async def test_a_retained_sample_is_not_stored_anew_at_each_start(
    broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with agent(broker) as locker:
        async with scene(broker, dsn, tmp_path, forget=False) as hub:
            await send(locker, {"outbox_events": 1}, retain=True, clock="unset")
            await eventually(lambda: has(dsn, [1]), "the sample, when it was sent")
        for last in (False, True):
            async with scene(broker, dsn, tmp_path, forget=last) as hub:
                books = await eventually(partial(settled, hub, 1), "the broker's copy")
                assert books is not None
                assert (books["quarantined"], books["stored"]) == (1, 0)
        # Not at QoS 1: the session of a hub that is away would keep it for the next one.
        await locker.client.publish(topic_of("berlin-01", Channel.TELEMETRY), b"", qos=0, retain=True)
        assert await has(dsn, [1])
        assert set(rows(dsn, "SELECT reason FROM quarantine")) == {("retained",)}


async def test_what_its_first_words_to_a_new_hub_repeat_is_stored_once(
    broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    """The agent had no acknowledgement of its broker, and sends it anew: nothing says that it comes again."""
    async with agent(broker) as locker:
        up = locker.up()
        text = encode(TelemetryBatch(**up, samples=[Sample(t=up["t"] - n, outbox_events=n) for n in range(3)]))
        for duplicates in (0, 3):
            async with scene(broker, dsn, tmp_path) as hub:
                await locker.publish(Channel.TELEMETRY, text)
                books = await eventually(partial(settled, hub, 3), "all samples settled")
                assert books is not None
                assert (books["stored"], books["duplicate"]) == (3 - duplicates, duplicates)
        assert await has(dsn, [0, 1, 2])


async def test_a_commit_that_was_not_answered_stores_nothing_twice(dsn: str) -> None:
    made = [
        reading_row(Sample(t=n, outbox_events=n), locker="berlin-01", sampled_ms=AT_MS + n, received_ms=AT_MS)
        for n in range(3)
    ]
    unit = ReadingUnit(made, AT_MS, "t", b"")
    tally, metrics = Tally(), Metrics("0")
    limits: dict[str, int] = {"connections_max": 2, "statement_timeout_ms": 5000, "connect_timeout_s": 1}
    async with Database(dsn, **limits) as store, Database("host=127.0.0.1 port=1", **limits) as away:
        quarantine = Quarantine(
            Batcher(
                "quarantine", QuarantineSink(store, metrics), metrics, queue_rows_max=9, flush_rows_max=9,
                flush_age_ms_max=1,
            ),
            metrics, payload_bytes_max=99, per_topic_per_minute=9,
        )  # fmt: skip
        # It was committed, and the connection ended before the hub knew.
        await write_readings(store, [unit])
        with pytest.raises(StoreUnavailable):
            await TelemetryWriter(away, tally, quarantine, metrics).write([unit])
        sink = TelemetryWriter(store, tally, quarantine, metrics)
        tally.received += unit.count
        await sink.write([unit])
        await sink.committed([unit])
    assert (tally.settled[Disposition.DUPLICATE], tally.open()) == (3, 0)
    assert await has(dsn, [0, 1, 2])
