"""The hub's link to a real broker: what it takes in, and what it survives."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from hub.config.settings import MqttSettings
from hub.errors import LinkError
from hub.metrics import Metrics
from hub.mqtt.connection import MqttConnection, Receive
from tests.hub.scene import fresh_database, scene
from tests.services.conftest import Cluster, MosquittoBroker, mosquitto
from wire.messages import decode_hub_state
from wire.topics import HUB_STATE, Channel, subscription, topic_of

pytestmark = pytest.mark.services
TOPIC = topic_of("berlin-01", Channel.EVENTS)


@pytest.fixture(scope="module")
def broker() -> Iterator[MosquittoBroker]:
    with mosquitto() as running:
        yield running


@asynccontextmanager
async def link(
    broker: MosquittoBroker, name: str, version: str, receive: Receive, keepalive_s: int = 10
) -> AsyncIterator[MqttConnection]:
    up = asyncio.Event()
    made = MqttConnection(
        name,
        MqttSettings(
            host=broker.host,
            port=broker.port,
            version=version,  # type: ignore[arg-type] # one of its three
            keepalive_s=keepalive_s,
            connect_timeout_s=1,
            reconnect_s_max=0.5,
        ),
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


@asynccontextmanager
async def frozen(broker: MosquittoBroker) -> AsyncIterator[None]:
    """Stop the broker's process where it stands: its sockets stay open and say nothing."""
    broker.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        broker.process.send_signal(signal.SIGCONT)


_LOOKED_AT_S = 0.01
_HELD_UP_S = 0.1
"""A look that is later than this is the machine's doing: what is due comes after it, and not while it lasts."""


async def within(seconds: float, condition: Callable[[], bool]) -> None:
    """Wait until a condition holds, for so much time as this process really had."""
    had_s, seen_s = 0.0, time.monotonic()
    while not condition():
        await asyncio.sleep(_LOOKED_AT_S)
        now_s = time.monotonic()
        had_s, seen_s = had_s + min(now_s - seen_s, _HELD_UP_S), now_s
        assert had_s < seconds, f"it did not come true within {seconds} s"


def pour(one: MqttConnection) -> None:
    for _ in range(1000):
        one.publish(topic_of("berlin-01", Channel.RECEIPTS), bytes(100_000), qos=0)


KEEPALIVE_S = 2


@pytest.mark.parametrize("version", ["5", "3.1.1"])
@pytest.mark.parametrize("sending", [False, True], ids=["idle", "sending"])
async def test_a_frozen_broker_is_noticed_within_two_keepalives_and_found_again(
    broker: MosquittoBroker,
    version: str,
    sending: bool,  # noqa: FBT001
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard: list[bytes] = []
    async with link(broker, "ingest", version, lambda _, payload, __: heard.append(payload), KEEPALIVE_S) as one:
        async with frozen(broker):
            if sending:
                # More than the kernel takes for it: a connection with something to send does not close by itself.
                with pytest.raises(LinkError, match="does not read"):
                    pour(one)
            await within(2 * KEEPALIVE_S, lambda: not one.connected)
            with pytest.raises(LinkError, match="is down"):
                one.publish(TOPIC, b"x")
            # As long as it is frozen no attempt succeeds, and none of them hangs.
            await within(20, lambda: caplog.text.count("link to the broker is not up") >= 2)
            assert not one.connected
        await within(20, lambda: one.connected)
        one.publish(TOPIC, b"after")
        await within(20, lambda: b"after" in heard)


async def test_a_broker_that_reads_on_after_the_link_has_given_it_up_is_found_again(
    broker: MosquittoBroker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # As on a machine that was put aside at the wrong moment: gmqtt finds the silence first, closes with something
    # still to be sent, and the connection ends when that has gone.
    monkeypatch.setattr("hub.mqtt.connection._SILENT_KEEPALIVES", 1000)
    async with link(broker, "ingest", "5", lambda *_: None, KEEPALIVE_S) as one:
        async with frozen(broker):
            with pytest.raises(LinkError, match="does not read"):
                pour(one)
            await within(20, lambda: "LOST HEARTBEAT" in caplog.text)
        await within(20, lambda: not one.connected)
        await within(20, lambda: one.connected)


@asynccontextmanager
async def on_duty(broker: MosquittoBroker) -> AsyncIterator[list[bool]]:
    """Listen to what is told of the hub on duty: whether it is there, from what the broker keeps on."""
    password = await asyncio.to_thread(broker.locker_password, "berlin-01")
    told: list[bool] = []
    async with aiomqtt.Client(broker.host, broker.port, username="berlin-01", password=password) as client:
        await client.subscribe(HUB_STATE, qos=1)

        async def listen() -> None:
            async for message in client.messages:
                assert isinstance(message.payload, bytes)
                told.append(decode_hub_state(message.payload).online)

        task = asyncio.create_task(listen(), name="listens to the hub's state")
        try:
            yield told
        finally:
            task.cancel()
            await asyncio.wait([task])


async def test_a_hub_is_shown_on_duty_after_its_broker_was_frozen(
    broker: MosquittoBroker, plain_postgres: Cluster, tmp_path: Path
) -> None:
    """The will of the connection that was given up comes late, and must not be the last word."""
    settings: dict[str, Any] = {
        "mqtt_keepalive_s": KEEPALIVE_S,
        "mqtt_connect_timeout_s": 1,
        "mqtt_reconnect_s_max": 0.5,
    }
    with fresh_database(plain_postgres) as dsn:
        async with scene(broker, dsn, tmp_path, **settings) as hub, on_duty(broker) as told:
            await within(20, lambda: told == [True])
            async with frozen(broker):
                await within(2 * KEEPALIVE_S, lambda: not any(one.connected for one in hub.hub.links))
                status, _ = await hub.get("/readyz")
                assert status == 503
            await within(20, lambda: all(one.connected for one in hub.hub.links))
            await within(20, lambda: False in told and told[-1])
            async with on_duty(broker) as kept:
                await within(20, lambda: kept == [True])


async def test_a_link_whose_task_dies_is_started_again_and_told(
    broker: MosquittoBroker,
    plain_postgres: Cluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    true_run = MqttConnection.run
    died: set[str] = set()

    async def die_once(self: MqttConnection) -> None:
        if self.name not in died:
            died.add(self.name)
            raise ZeroDivisionError("a mistake of ours")
        await true_run(self)

    monkeypatch.setattr(MqttConnection, "run", die_once)
    with fresh_database(plain_postgres) as dsn:
        # It waits until all links are up.
        async with scene(broker, dsn, tmp_path) as one:
            assert died == {"ingest", "telemetry", "command"}
            restarts = {
                name: count
                for name, count in (await one.metrics()).items()
                if name.startswith("lockerhub_task_restarts_total") and count
            }
    assert sum(restarts.values()) == 3
    assert caplog.text.count("failed; it is started again") == 3
