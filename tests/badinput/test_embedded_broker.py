"""The broker inside `hub demo`: a packet that is too long, and what is no MQTT, end their own connection only."""

import asyncio
import contextlib
import gc
import socket
import struct
import warnings
from collections.abc import Iterator

import aiomqtt
import pytest

from hub.demo.embedded.broker import PACKET_BYTES_MAX, EmbeddedBroker
from tests.badinput.corpus import packets
from tests.badinput.raw import packet, text, throw

# amqtt forgets sockets of peers that were gone before it looked at them. They are collected here, where they were
# left, and not in whatever test comes next.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture(autouse=True, scope="module")
def forgotten_sockets() -> Iterator[None]:
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


async def test_what_is_too_long_is_not_read() -> None:
    async with EmbeddedBroker() as broker:
        reader, writer = await asyncio.open_connection(broker.host, broker.port)
        writer.write(packet(0x10, text(b"MQTT") + b"\x04\x02\x00\x3c" + text(b"a")))
        assert await reader.readexactly(4) == b"\x20\x02\x00\x00"
        writer.write(packet(0x32, text(b"t") + b"\x00\x01" + bytes(PACKET_BYTES_MAX + 1)))
        async with asyncio.timeout(10):
            with contextlib.suppress(ConnectionError):
                while await reader.read(1000):
                    pass
        writer.close()


async def test_whoever_leaves_while_being_turned_away_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    async with EmbeddedBroker() as broker:
        for data in (b"\x30\x03\x00\x01t", b"\x10\x02\x00\x00", b"\xf0\x00"):
            for _ in range(20):
                reset = socket.create_connection((broker.host, broker.port))
                reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                reset.sendall(data)
                reset.close()
        async with aiomqtt.Client(broker.host, broker.port, timeout=20) as client:
            await client.publish("mark", "here", qos=1, timeout=20)
    assert "Unhandled" not in caplog.text


async def test_nothing_on_the_wire_stops_it() -> None:
    async with (
        EmbeddedBroker() as broker,
        aiomqtt.Client(broker.host, broker.port, identifier="neighbour", timeout=20) as client,
    ):
        await client.subscribe("mark", qos=1)
        for number, data in enumerate(packets("hub-admin", "x").values()):
            await asyncio.to_thread(throw, broker.host, broker.port, data)
            await client.publish("mark", str(number), qos=1, timeout=20)
            async with asyncio.timeout(20):
                message = await anext(aiter(client.messages))
            assert message.payload == str(number).encode()
