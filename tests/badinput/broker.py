"""A broker that does as a test says: it lets the hub's link in, and then sends whatever bytes it is given."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from hub.config.settings import MqttSettings
from hub.metrics import Metrics
from hub.mqtt.acks import ManualAck
from hub.mqtt.connection import MqttConnection, Receive

CONNACK = {4: b"\x20\x02\x00\x00", 5: b"\x20\x03\x00\x00\x00"}
SUBACK = {4: b"\x90\x03\x00\x01\x01", 5: b"\x90\x04\x00\x01\x00\x01"}
VERSIONS = {"3.1.1": 4, "5": 5}


class Malice:
    """The broker. Each connection gets the next of `says`, written in pieces of `piece` bytes; then silence."""

    def __init__(self, version: str, says: Iterable[bytes], piece: int = 65_536) -> None:
        self.version = VERSIONS[version]
        self.connects: list[bytes] = []
        self.ended = 0
        self.heard = bytearray()
        self.port = 0
        self._says = iter(says)
        self._piece = piece

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.connects.append(await _packet(reader))
            writer.write(CONNACK[self.version])
            subscribe = await _packet(reader)
            suback = SUBACK[self.version]
            writer.write(suback[:2] + subscribe[:2] + suback[4:])
            said = next(self._says, b"")
            for at in range(0, len(said), self._piece):
                writer.write(said[at : at + self._piece])
                await writer.drain()
            while data := await reader.read(65_536):
                self.heard += data
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.ended += 1
            writer.close()


async def _packet(reader: asyncio.StreamReader) -> bytes:
    """Return the body of one packet."""
    await reader.readexactly(1)
    length = shift = 0
    while True:
        (byte,) = await reader.readexactly(1)
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return await reader.readexactly(length)


@asynccontextmanager
async def linked(malice: Malice, receive: Receive | ManualAck) -> AsyncIterator[MqttConnection]:
    """Run a link to the broker."""
    server = await asyncio.start_server(malice.serve, "127.0.0.1", 0)
    malice.port = server.sockets[0].getsockname()[1]
    version = {number: name for name, number in VERSIONS.items()}[malice.version]
    settings = MqttSettings(
        host="127.0.0.1", port=malice.port, version=version, connect_timeout_s=2, reconnect_s_max=0.1  # type: ignore[arg-type] # one of its three
    )  # fmt: skip
    link = MqttConnection(
        "ingest", settings, Metrics("0"), username="hub-ingest", password=None, filters=["a/+"], receive=receive
    )
    task = asyncio.create_task(link.run(), name="link")
    try:
        yield link
    finally:
        task.cancel()
        await asyncio.wait([task])
        server.close()
        await server.wait_closed()
