"""Telemetry, acknowledged after its commit: a database that does not write holds it back, and nothing else."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.hub.scene import Agent, Scene, agent, eventually, fresh_database, online, rows, scene
from tests.services.conftest import Cluster, MosquittoBroker, mosquitto
from tests.services.locked import locked
from wire.messages import Clock, Event, Sample, Telemetry, encode
from wire.topics import Channel

pytestmark = pytest.mark.services
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


async def say(locker: Agent, count: int, *, clock: Clock = Clock.SYNCED) -> list[int]:
    """Send so many messages of one sample each; return their `outbox_events`, which number them."""
    numbers = []
    for _ in range(count):
        up = locker.up() | {"clock": clock}
        number = up["t"] % 2**31
        await locker.publish(
            Channel.TELEMETRY, encode(Telemetry(**up, samples=[Sample(t=up["t"], outbox_events=number)]))
        )
        numbers.append(number)
        await asyncio.sleep(0.002)  # the next one has another `t`
    return numbers


def stored(dsn: str) -> list[int]:
    return [number for (number,) in rows(dsn, "SELECT outbox_events FROM reading ORDER BY outbox_events")]


async def owed(one: Scene, count: int) -> bool:
    return (await one.metrics())[OWED] == count


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
            Channel.TELEMETRY, encode(Telemetry(**late, samples=[Sample(t=late["t"], outbox_events=1)]))
        )
        await eventually(lambda: has(dsn, [1]), "the sample")
        ((age_s,),) = rows(dsn, "SELECT extract(epoch FROM received_at - sampled_at) FROM reading")
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
