"""The hub's link to a real broker: what it takes in, and what it survives."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from hub.config import Mqtt
from hub.errors import LinkError
from hub.metrics import Metrics
from hub.mqtt import Link, Receive
from tests.services.conftest import MosquittoBroker, mosquitto
from wire.topics import Channel, subscription, topic_of

pytestmark = pytest.mark.services
TOPIC = topic_of("berlin-01", Channel.EVENTS)


@pytest.fixture(scope="module")
def broker() -> Iterator[MosquittoBroker]:
    with mosquitto() as running:
        yield running


@asynccontextmanager
async def link(broker: MosquittoBroker, name: str, version: str, receive: Receive) -> AsyncIterator[Link]:
    up = asyncio.Event()
    made = Link(
        name,
        Mqtt(host=broker.host, port=broker.port, version=version),  # type: ignore[arg-type] # one of its three
        Metrics("0"),
        username=f"hub-{name}",
        password=broker.hub_password,
        filters=[subscription(Channel.EVENTS)],
        receive=receive,
        connected=up.set,
    )
    task = asyncio.create_task(made.run())
    try:
        async with asyncio.timeout(20):
            await up.wait()
        yield made
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_a_message_that_breaks_us_does_not_break_the_link(
    broker: MosquittoBroker, version: str, caplog: pytest.LogCaptureFixture
) -> None:
    taken: list[bytes] = []
    complete = asyncio.Event()

    def receive(topic: str, payload: bytes, _: bool) -> None:  # noqa: FBT001 - the link's signature
        assert topic == TOPIC
        if payload == b"bad":
            raise ZeroDivisionError
        taken.append(payload)
        if len(taken) == 3000:
            complete.set()

    async with (
        link(broker, "ingest", version, receive),
        link(broker, "command", version, lambda *_: None) as sender,
    ):
        expected = []
        # More than the broker has in flight at a time: unacknowledged messages would stop the flow.
        for number in range(3000):
            if number % 100 == 0:
                sender.publish(TOPIC, b"bad", qos=0)
                await asyncio.sleep(0)
            while True:
                try:
                    sender.publish(TOPIC, b"%d" % number)
                    break
                except LinkError:
                    # Everything that the broker takes at a time is out; its acknowledgements are on their way.
                    await asyncio.sleep(0.001)
            expected.append(b"%d" % number)
        async with asyncio.timeout(30):
            await complete.wait()
    assert taken == expected
    assert "ZeroDivisionError" in caplog.text


async def test_a_link_that_is_down_queues_nothing(broker: MosquittoBroker) -> None:
    async with link(broker, "ingest", "auto", lambda *_: None) as up:
        up.publish(TOPIC, b"x")
    with pytest.raises(LinkError, match="is down"):
        up.publish(TOPIC, b"x")
