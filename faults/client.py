"""A small MQTT 3.1.1 client that says exactly the bytes it is given: what no honest client would send, too."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from bench.mqtt_packets import (
    CONNACK,
    DISCONNECT,
    PUBACK,
    PUBLISH,
    Packet,
    Parser,
    connect,
    puback,
    publish,
    read_connack,
    read_puback,
    read_publish,
    subscribe,
)
from bench.processes import HOST
from faults.errors import FaultsError

_KEEPALIVE_S: Final = 600
_HELLO_S: Final = 10.0
_READ_BYTES: Final = 262_144
_PACKET_ID_MAX: Final = 65_535
_RECEIVED_MAX: Final = 100_000


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.received: deque[tuple[str, bytes]] = deque(maxlen=_RECEIVED_MAX)
        """Topic and payload of what came, oldest first."""
        self.changed = asyncio.Event()
        self.open = True
        self._reader = reader
        self._writer = writer
        self._parser = Parser()
        self._packet_id = 0
        self._unacknowledged: set[int] = set()

    @property
    def unacknowledged(self) -> int:
        """PUBLISH packets whose PUBACK has not come."""
        return len(self._unacknowledged)

    async def hello(self, username: str, password: str, client_id: str) -> int:
        """Connect; returns the return code, 0 for accepted. Raises FaultsError where no answer came."""
        self._writer.write(connect(client_id, username=username, password=password, keepalive_s=_KEEPALIVE_S))
        packets: list[Packet] = []
        try:
            async with asyncio.timeout(_HELLO_S):
                while not packets:
                    data = await self._reader.read(_READ_BYTES)
                    if not data:
                        raise FaultsError(f"the broker closed the connection of {username}")
                    packets = self._parser.feed(data)
        except TimeoutError:
            raise FaultsError(f"no CONNACK for {username} within {_HELLO_S:g} s") from None
        if packets[0].kind != CONNACK:
            raise FaultsError(f"not a CONNACK: {packets[0]}")
        self._take(packets[1:])
        return read_connack(packets[0])

    async def subscribe(self, topic_filter: str) -> None:
        """Subscribe at QoS 1."""
        self._writer.write(subscribe(self._next_id(), topic_filter))
        await self._writer.drain()

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish at QoS 1; see `acknowledged`."""
        packet_id = self._next_id()
        self._unacknowledged.add(packet_id)
        self._writer.write(publish(topic, payload, packet_id, retain=retain))
        await self._writer.drain()

    async def acknowledged(self, seconds: float = 20.0, *, left: int = 0) -> None:
        """Wait until at most `left` PUBACKs are missing. Raises FaultsError."""
        try:
            async with asyncio.timeout(seconds):
                while len(self._unacknowledged) > left:
                    self.changed.clear()
                    if not self.open:
                        raise FaultsError("the broker closed the connection")
                    await self.changed.wait()
        except TimeoutError:
            raise FaultsError(f"{len(self._unacknowledged)} PUBACKs are missing after {seconds:g} s") from None

    async def read(self) -> None:
        """Take what comes until the connection ends."""
        with contextlib.suppress(ConnectionError):
            while data := await self._reader.read(_READ_BYTES):
                self._take(self._parser.feed(data))
        self.open = False
        self.changed.set()

    def _take(self, packets: list[Packet]) -> None:
        for packet in packets:
            if packet.kind == PUBACK:
                self._unacknowledged.discard(read_puback(packet))
            elif packet.kind == PUBLISH:
                message = read_publish(packet)
                if message.packet_id:
                    self._writer.write(puback(message.packet_id))
                self.received.append((message.topic, message.payload))
        self.changed.set()

    def _next_id(self) -> int:
        self._packet_id = self._packet_id % _PACKET_ID_MAX + 1
        return self._packet_id


@asynccontextmanager
async def client(
    port: int, username: str, password: str, *, client_id: str | None = None, host: str = HOST
) -> AsyncIterator[Client]:
    """Connect for as long as the block runs. Raises FaultsError where the broker does not let it in."""
    reader, writer = await asyncio.open_connection(host, port)
    connection = Client(reader, writer)
    reading: asyncio.Task[None] | None = None
    try:
        code = await connection.hello(username, password, client_id or username)
        if code:
            raise FaultsError(f"the broker refuses {username}: return code {code}")
        reading = asyncio.create_task(connection.read(), name=f"{username} reads")
        yield connection
        writer.write(DISCONNECT)
        await writer.drain()
    finally:
        if reading is not None:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        writer.close()
