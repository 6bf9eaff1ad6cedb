"""The broker link where the broker falls silent: no reset, no farewell, only nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from edge_agent.config import MqttSettings
from edge_agent.mqtt import Connection, LinkDownError, connect, ping_after_s

if TYPE_CHECKING:
    from tests.edge_agent.conftest import Broker


@pytest.mark.parametrize("keepalive_s", [*range(3, 200), 3600])
def test_a_dead_link_is_noticed_within_one_and_a_half_keepalives(keepalive_s: int) -> None:
    ping_s, look_s = ping_after_s(keepalive_s), 1
    assert ping_s >= 1
    # The client looks at its clocks once a second: the ping and its answer may each be a second late.
    assert 2 * (ping_s + look_s) <= 1.5 * keepalive_s
    # Not much sooner either: a ping costs a radio's battery.
    assert 2 * (ping_s + 1 + look_s) > 1.5 * keepalive_s - 1


class Wire:
    """A way to the broker that can fall silent: it goes on taking bytes, and nothing comes back."""

    def __init__(self, port: int) -> None:
        self.silent = asyncio.Event()
        self.port = 0
        self._broker_port = port
        self._writers: list[asyncio.StreamWriter] = []

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Wire"]:
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for writer in self._writers:
                writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._broker_port)
        self._writers += [writer, far_writer]
        await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                if not self.silent.is_set():
                    writer.write(data)
        except ConnectionError:
            return
        writer.close()


@asynccontextmanager
async def linked(broker: "Broker") -> AsyncIterator[tuple[Wire, Connection]]:
    async with Wire(broker.port).open() as wire:
        settings = MqttSettings(port=wire.port, keepalive_s=3)
        async with connect(settings, "berlin-01", "will", b"") as link:
            yield wire, link


async def ended(link: Connection) -> None:
    async with asyncio.timeout(20):
        async for _ in link.messages():
            pytest.fail("a message out of nowhere")


@pytest.mark.services
async def test_a_link_on_which_nothing_comes_any_more_ends_while_it_is_idle(broker: "Broker") -> None:
    async with linked(broker) as (wire, link):
        await link.publish("topic", b"")
        wire.silent.set()
        with pytest.raises(LinkDownError):
            await ended(link)


@pytest.mark.services
async def test_a_link_on_which_nothing_comes_any_more_ends_while_it_publishes(broker: "Broker") -> None:
    async with linked(broker) as (wire, link):
        await link.publish("topic", b"")
        wire.silent.set()

        async def publish() -> None:
            while True:
                await link.publish("topic", b"")

        async with asyncio.timeout(20):
            with pytest.raises(LinkDownError):
                await publish()


@pytest.mark.services
async def test_a_frozen_broker_is_left_and_found_again(broker: "Broker") -> None:
    async with connect(MqttSettings(port=broker.port, keepalive_s=3), "berlin-01", "will", b"") as link:
        broker.freeze()
        with pytest.raises(LinkDownError):
            await ended(link)
    with pytest.raises(LinkDownError):
        await connect(MqttSettings(port=broker.port, keepalive_s=3), "berlin-01", "will", b"").__aenter__()
    broker.thaw()
    async with connect(MqttSettings(port=broker.port, keepalive_s=3), "berlin-01", "will", b"") as link:
        await link.publish("topic", b"")
