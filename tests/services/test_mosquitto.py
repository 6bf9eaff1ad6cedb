"""The broker as it is shipped: who may come in, who may say what to whom, and what is too large."""

import asyncio

import aiomqtt
import pytest

from tests.services.conftest import MosquittoBroker
from wire.topics import HUB_STATE, Channel, subscription, topic_of

pytestmark = pytest.mark.services


def client(broker: MosquittoBroker, name: str, client_id: str | None = None) -> aiomqtt.Client:
    password = broker.hub_password if name.startswith("hub-") else broker.locker_password(name)
    return aiomqtt.Client(
        broker.host, broker.port, username=name, password=password, identifier=client_id or name, timeout=10
    )


async def heard(receiver: aiomqtt.Client) -> list[tuple[str, bytes]]:
    """Everything that the receiver gets until it hears the mark that the hub sends it afterwards."""
    found: list[tuple[str, bytes]] = []
    async with asyncio.timeout(10):
        async for message in receiver.messages:
            assert isinstance(message.payload, bytes)
            if message.payload == b"mark":
                break
            found.append((str(message.topic), message.payload))
    return found


async def test_a_locker_speaks_for_itself_and_nobody_else(mosquitto_broker: MosquittoBroker) -> None:
    up = (Channel.PRESENCE, Channel.EVENTS, Channel.TELEMETRY, Channel.REPLIES)
    async with client(mosquitto_broker, "hub-ingest") as hub, client(mosquitto_broker, "berlin-01") as locker:
        await hub.subscribe("lh/v1/#", qos=1)
        for whose in ("berlin-01", "paris-02"):
            for channel in Channel:
                await locker.publish(topic_of(whose, channel), b"x", qos=1)
        await locker.publish(HUB_STATE, b"x", qos=1)
        await locker.publish("elsewhere", b"x", qos=1)
        async with client(mosquitto_broker, "hub-command") as other:
            await other.publish(HUB_STATE, b"mark", qos=1)
        assert {topic for topic, _ in await heard(hub)} == {topic_of("berlin-01", channel) for channel in up}


async def test_a_locker_hears_its_own_commands_and_receipts_only(mosquitto_broker: MosquittoBroker) -> None:
    async with client(mosquitto_broker, "hub-command") as hub, client(mosquitto_broker, "berlin-01") as locker:
        # The broker grants subscriptions that it then does not serve: only what arrives counts.
        for topic in ("#", subscription(Channel.COMMANDS), "$SYS/#"):
            await locker.subscribe(topic, qos=1)
        for whose in ("berlin-01", "paris-02"):
            for channel in Channel:
                await hub.publish(topic_of(whose, channel), b"x", qos=1)
        await hub.publish(HUB_STATE, b"mark", qos=1)
        down = {topic_of("berlin-01", channel) for channel in (Channel.COMMANDS, Channel.RECEIPTS)}
        assert {topic for topic, _ in await heard(locker)} == down


async def test_nobody_takes_a_connection_by_its_client_id(mosquitto_broker: MosquittoBroker) -> None:
    async with client(mosquitto_broker, "hub-ingest") as hub, client(mosquitto_broker, "berlin-01") as locker:
        async with client(mosquitto_broker, "paris-02", client_id="berlin-01"):
            pass
        async with client(mosquitto_broker, "hub-command", client_id="hub-ingest") as command:
            await hub.subscribe(HUB_STATE, qos=1)
            await locker.subscribe(HUB_STATE, qos=1)
            await command.publish(HUB_STATE, b"mark", qos=1)
            assert await heard(hub) == []
            assert await heard(locker) == []


async def test_without_the_right_password_nobody_comes_in(mosquitto_broker: MosquittoBroker) -> None:
    assert mosquitto_broker.accepts("hub-ingest", mosquitto_broker.hub_password)
    assert not mosquitto_broker.accepts("hub-ingest", "wrong")
    assert not mosquitto_broker.accepts("nobody", mosquitto_broker.hub_password)
    with pytest.raises(aiomqtt.MqttError):
        await aiomqtt.Client(mosquitto_broker.host, mosquitto_broker.port).__aenter__()


async def test_a_message_of_the_protocols_size_passes_and_a_larger_one_does_not(
    mosquitto_broker: MosquittoBroker,
) -> None:
    topic = topic_of("berlin-01", Channel.EVENTS)
    async with client(mosquitto_broker, "hub-ingest") as hub:
        await hub.subscribe(topic, qos=1)
        async with client(mosquitto_broker, "berlin-01") as locker:
            await locker.publish(topic, bytes(256 * 1024), qos=1)
        with pytest.raises(aiomqtt.MqttError):
            async with client(mosquitto_broker, "berlin-01") as locker:
                await locker.publish(topic, bytes(300 * 1024), qos=1, timeout=5)
        await hub.publish(topic, b"mark", qos=1)
        assert [len(payload) for _, payload in await heard(hub)] == [256 * 1024]


def test_the_broker_starts_without_complaint_but_the_one_that_is_meant(mosquitto_broker: MosquittoBroker) -> None:
    complaints = [line for line in mosquitto_broker.log.read_text().splitlines() if "Warning" in line]
    assert all("lh/v1/hub/state" in line for line in complaints)
