"""Field cases of MQTT: what other hubs and their brokers made of each other (docs/field-cases.md)."""

import asyncio
from pathlib import Path

import pytest

from hub.core.broker_terms import VERSION_TOPIC, faults, receive_maximum
from hub.core.lease import Loss
from hub.errors import LinkError
from hub.metrics import Metrics
from hub.mqtt.acks import ManualAck
from hub.mqtt.connection import MqttConnection
from tests.field.scripted_broker import VERSION_3, VERSION_5, Step, linked
from tests.hub.scene import eventually, fresh_database, online, rows, scene
from tests.services.conftest import Cluster, MosquittoBroker
from wire.messages import Event, Sample
from wire.topics import Channel


async def _so(condition: bool) -> bool:  # noqa: FBT001 - what is waited for
    return condition


async def trouble(link: MqttConnection, words: str) -> None:
    async def is_told() -> bool:
        return words in str(link.trouble)

    await eventually(is_told, words)


# Subscriptions.


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        ((1, 0x87), "the broker does not serve b/+: refused, not authorized (0x87)"),
        ((0x80, 1), "the broker does not serve a/+: refused, unspecified error (0x80)"),
        ((1, 0), "b/+: granted at QoS 0 instead of 1"),
        ((1,), "2 subscriptions with 1 codes"),
    ],
)
async def test_a_subscription_that_is_refused_or_downgraded_is_no_link(codes: tuple[int, ...], words: str) -> None:
    steps = [Step(suback=codes), Step(suback=codes), Step()]
    async with linked(steps) as (broker, link):
        seen: set[str] = set()

        async def is_up() -> bool:
            assert link.connected or len(broker.versions) <= 3
            seen.add(str(link.trouble))
            return link.connected

        await eventually(is_up, "the subscription that is granted at last")
        assert any(words in one for one in seen), seen
        # Tried again, each time on a new connection.
        assert len(broker.versions) == 3
        assert link.trouble is None


# The version.


async def test_a_link_that_fell_to_3_1_1_goes_back_to_5() -> None:
    steps = [Step(connack=0x84), Step(ends=True), Step()]
    async with linked(steps) as (broker, link):
        await eventually(lambda: _so(len(broker.versions) >= 3 and link.connected), "the third connection")
        assert broker.versions == [VERSION_5, VERSION_3, VERSION_5]


async def test_a_broker_that_hung_up_once_is_not_taken_for_an_old_one() -> None:
    steps = [Step(ends=True), Step(connack=None), Step(connack=0x88), Step()]
    async with linked(steps) as (broker, link):
        await eventually(lambda: _so(len(broker.versions) >= 4 and link.connected), "the fourth connection")
        assert set(broker.versions) == {VERSION_5}


async def test_an_old_broker_is_spoken_to_in_its_own_version_without_a_wait() -> None:
    # As brokers of MQTT 3.1.1 refuse: with the code of their own version.
    async with linked([Step(connack=1), Step()]) as (broker, link):
        await eventually(lambda: _so(link.connected), "the link")
        assert broker.versions == [VERSION_5, VERSION_3]


# CONNACK.


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (Step(properties=b"\x24\x00"), "QoS 0 only"),
        (Step(properties=b"\x25\x00"), "keeps no retained messages"),
        (Step(properties=b"\x28\x00"), "no wildcard subscriptions"),
        (Step(session_present=True), "went on with a session where a new one was asked for"),
        (Step(connack=0x87), "refuses the connection: not authorized (0x87)"),
    ],
)
async def test_terms_that_a_hub_cannot_work_with_are_no_link(step: Step, words: str) -> None:
    async with linked([step], will=("lh/v1/hub/state", b"{}")) as (broker, link):
        await trouble(link, words)
        await eventually(lambda: _so(len(broker.versions) >= 2), "another attempt")
        assert not link.connected


async def test_a_message_that_is_larger_than_the_broker_takes_is_refused_here() -> None:
    async with linked([Step(properties=b"\x27\x00\x00\x04\x00")]) as (broker, link):
        await eventually(lambda: _so(link.connected), "the link")
        with pytest.raises(LinkError, match="larger than the broker takes, 1024"):
            link.publish("c", bytes(1024))
        link.publish("c", bytes(100))
        await eventually(lambda: _so(len(broker.published) == 1), "the smaller one")
        assert link.connected


async def test_a_receive_maximum_of_one_is_one() -> None:
    async with linked([Step(properties=b"\x21\x00\x01", puback=None)]) as (broker, link):
        await eventually(lambda: _so(link.connected), "the link")
        link.publish("c", b"first")
        with pytest.raises(LinkError, match="has not acknowledged"):
            link.publish("c", b"second")
        await eventually(lambda: _so(len(broker.published) == 1), "the first one")


async def test_a_message_that_the_broker_does_not_take_is_counted() -> None:
    metrics = Metrics("0")
    async with linked([Step(puback=0x87)], metrics=metrics) as (_, link):
        await eventually(lambda: _so(link.connected), "the link")
        link.publish("c", b"x")
        labels = {"link": "ingest", "reason": "0x87"}
        name = "lockerhub_mqtt_publish_refused_total"
        await eventually(lambda: _so(metrics.registry.get_sample_value(name, labels) == 1), "the count")
        link.publish("c", b"y")


# Sessions.


@pytest.mark.parametrize(
    ("says", "loss"),
    [(b"\xe0\x01\x8e", Loss.TAKEN_OVER), (b"\xe0\x01\x8b", Loss.SOON), (b"", Loss.SOON)],
    ids=["taken over", "shutting down", "without a word"],
)
async def test_a_connection_that_the_broker_ends_asks_for_the_lease(says: bytes, loss: Loss) -> None:
    asked: list[Loss] = []
    go_on = asyncio.Event()

    async def ask(found: Loss) -> None:
        asked.append(found)
        await go_on.wait()

    async with linked([Step(says=says, ends=True), Step()], ask_lease=ask) as (broker, link):
        await eventually(lambda: _so(asked == [loss]), "the question")
        # Until it is answered no session is taken back.
        assert len(broker.versions) == 1
        go_on.set()
        await eventually(lambda: _so(link.connected), "the link")


async def test_what_the_broker_says_of_its_version_is_no_telemetry() -> None:
    topic = VERSION_TOPIC.encode()
    text = b"mosquitto version 2.0.11"
    body = len(topic).to_bytes(2, "big") + topic + b"\x00\x07" + b"\x00" + text
    taken: list[object] = []
    found: list[str] = []
    held = ManualAck(taken.append, receive_max=1000, session_s=60)
    step = Step(suback=(1, 1, 1), says=bytes((0x33, len(body))) + body)
    async with linked([step], receive=held) as (_, link):
        link.version_found = found.append
        await eventually(lambda: _so(found == [text.decode()]), "the version")
        assert taken == []


@pytest.mark.parametrize("code", [0x80, 0x87])
async def test_a_broker_that_does_not_show_its_version_serves_all_the_same(code: int) -> None:
    held = ManualAck(lambda _: None, receive_max=1000, session_s=60)
    async with linked([Step(suback=(1, 1, code))], receive=held) as (_, link):
        link.version_found = lambda _: None
        await eventually(lambda: _so(link.connected), "the link")


# Retained messages, and the broker's version, at a real broker.


@pytest.mark.services
async def test_an_empty_retained_message_is_a_deletion(
    mosquitto_broker: MosquittoBroker, plain_postgres: Cluster, tmp_path: Path
) -> None:
    with fresh_database(plain_postgres) as dsn:
        async with scene(mosquitto_broker, dsn, tmp_path) as hub, online(hub) as locker:
            for channel in (Channel.PRESENCE, Channel.EVENTS, Channel.TELEMETRY, Channel.REPLIES):
                await locker.publish(channel, b"", retain=True)
            # Each link has its own order: what comes behind on each says that they were taken.
            await locker.events(1, [Event(t=1, at=1, kind="door.opened", door=1)])
            assert (await locker.receipt()).upto == 1
            await locker.telemetry([Sample(t=1)])

            async def sampled() -> bool:
                return (await hub.metrics())['lockerhub_intake_messages_total{channel="telemetry"}'] == 2

            await eventually(sampled, "telemetry")
            query = "SELECT topic, reason FROM quarantine"
            assert [row for row in rows(dsn, query) if row[1] != "locker_unknown"] == []
            assert (await hub.locker("berlin-01"))["state"] == "online"
            await hub.balanced()


@pytest.mark.services
async def test_a_hub_knows_its_broker_and_asks_for_no_more_than_it_can_count(
    mosquitto_broker: MosquittoBroker, plain_postgres: Cluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with fresh_database(plain_postgres) as dsn:

        async def known() -> str | None:
            ((version,),) = rows(dsn, "SELECT broker FROM hub_lease")
            return str(version) if version else None

        async def as_it_should(telemetry: MqttConnection) -> bool:
            return telemetry.connected and telemetry.receive_max == receive_maximum(await known(), 1000)

        async with scene(mosquitto_broker, dsn, tmp_path, mqtt_version="5") as hub:
            version = await eventually(known, "the broker's version")
            await eventually(lambda: as_it_should(hub.hub.links[2]), "the limit")
        async with scene(mosquitto_broker, dsn, tmp_path, mqtt_version="5") as hub:
            # The next hub knows it beforehand.
            assert await as_it_should(hub.hub.links[2])
            assert (await hub.metrics())['lockerhub_mqtt_connects_total{link="telemetry"}'] == 1
        assert caplog.text.count("The broker has a known fault") == len(faults(version))
