"""A toxic TCP proxy: latency with jitter, stalls, slices, bandwidth, silence, resets in the middle of a packet.

It knows how MQTT packets are cut (not what is in them), so that packets can be watched, doubled and put in between.
Every setting works at once, on open connections too.
"""

import asyncio
import contextlib
import socket
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from bench.mqtt_packets import PUBLISH, MalformedPacket, Packet, Parser, remaining_length

HOST: Final = "127.0.0.1"
WAITING_BYTES_MAX: Final = 1 << 20
"""What waits in one direction of one connection; at the limit nothing more is read, as in a full pipe."""
_READ_BYTES: Final = 65_536
_LINGER: Final = struct.pack("ii", 1, 0)

Watch = Callable[[str, Packet], None]
"""Gets each packet: its direction, `up` (from the client) or `down`, and the packet."""


@dataclass(slots=True)
class Toxics:
    """What is done to one direction. The defaults do nothing."""

    latency_ms: float = 0.0
    jitter_ms: float = 0.0
    stall_share: float = 0.0
    """The share of packets that stall, with all behind them, for `stall_ms`."""
    stall_ms: float = 0.0
    slice_bytes: int = 0
    """Write in slices of 1 to so many bytes; 0 writes whole packets."""
    bytes_per_s: float = 0.0
    """0 is without a limit."""
    silent: bool = False
    """Neither read nor write, and keep the connection: a cable that was pulled."""
    copies: int = 1
    """How often each PUBLISH goes out."""


class Proxy:
    """One listening port in front of one port.

    Args:
        port: where to connect to.
        random: decides on jitter, stalls and slices.
        watch: is shown each packet before anything is done to it.
    """

    def __init__(self, port: int, random: Random, watch: Watch | None = None, *, host: str = HOST) -> None:
        self.up = Toxics()
        self.down = Toxics()
        self.refusing = False
        """Close new connections at once."""
        self.accepted = 0
        self.port = 0
        self._target = port
        self._host = host
        self._random = random
        self._watch = watch
        self._pairs: set[_Pair] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> "Proxy":
        """Listen; `port` is then known."""
        self._server = await asyncio.start_server(self._accept, self._host, 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def close(self) -> None:
        """Stop listening and end every connection."""
        if self._server is not None:
            self._server.close()
        await self.drop()

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._pairs)

    def heal(self) -> None:
        """Do nothing bad any more."""
        self.up, self.down = Toxics(), Toxics()
        self.refusing = False
        self.wake()

    def wake(self) -> None:
        """Look at the settings again where a direction was silent."""
        for pair in self._pairs:
            pair.wake()

    async def drop(self, *, reset: bool = False) -> None:
        """End every connection: politely, or with a reset."""
        pairs = list(self._pairs)
        for pair in pairs:
            pair.end(reset=reset)
        for pair in pairs:
            await pair.ended.wait()

    def reset_within_next(self, direction: str) -> None:
        """Cut the next packet of a direction of every connection in the middle, and reset the connection."""
        for pair in self._pairs:
            pair.pipe(direction).cut_next = True

    def put_in(self, direction: str, packet: bytes) -> int:
        """Put a packet between the others of every connection; returns how many connections got it."""
        for pair in self._pairs:
            pair.pipe(direction).put(packet)
        return len(self._pairs)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            writer.transport.abort()
            return
        self.accepted += 1
        try:
            onward = await asyncio.open_connection(HOST, self._target)
        except OSError:
            writer.transport.abort()
            return
        pair = _Pair(self, (reader, writer), onward)
        self._pairs.add(pair)
        try:
            await pair.run()
        finally:
            self._pairs.discard(pair)

    def toxics(self, direction: str) -> Toxics:
        """Return what is done to a direction now."""
        return self.up if direction == "up" else self.down

    def show(self, direction: str, packet: Packet) -> None:
        """Show a packet to whoever watches."""
        if self._watch is not None:
            self._watch(direction, packet)

    @property
    def random(self) -> Random:
        """What decides."""
        return self._random


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Pair:
    """One connection: two pipes that end together."""

    def __init__(self, proxy: Proxy, near: Stream, far: Stream) -> None:
        self.ended = asyncio.Event()
        self._writers = near[1], far[1]
        for writer in self._writers:
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._pipes = {
            "up": _Pipe(proxy, "up", near[0], far[1], self.end),
            "down": _Pipe(proxy, "down", far[0], near[1], self.end),
        }
        self._tasks: list[asyncio.Task[None]] = []

    def pipe(self, direction: str) -> "_Pipe":
        return self._pipes[direction]

    def wake(self) -> None:
        for pipe in self._pipes.values():
            pipe.changed.set()

    async def run(self) -> None:
        try:
            self._tasks = [
                asyncio.create_task(work(), name=f"proxy {direction} {name}")
                for direction, pipe in self._pipes.items()
                for name, work in (("reads", pipe.read), ("writes", pipe.write))
            ]
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.end()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self.ended.set()

    def end(self, *, reset: bool = False) -> None:
        for writer in self._writers:
            if reset:
                with contextlib.suppress(OSError):
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
                writer.transport.abort()
            else:
                writer.close()
        for task in self._tasks:
            task.cancel()


class _Pipe:
    """One direction of one connection."""

    def __init__(
        self,
        proxy: Proxy,
        direction: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        end: Callable[..., None],
    ) -> None:
        self.cut_next = False
        self.changed = asyncio.Event()
        self._proxy = proxy
        self._direction = direction
        self._reader = reader
        self._writer = writer
        self._end = end
        self._parser: Parser | None = Parser()
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._waiting_bytes = 0
        self._last_due = 0.0

    async def read(self) -> None:
        """Take packets apart until the other side ends."""
        with contextlib.suppress(ConnectionError):
            while True:
                await self._unless(lambda: self._toxics.silent or self._waiting_bytes > WAITING_BYTES_MAX)
                data = await self._reader.read(_READ_BYTES)
                if not data:
                    # What was read before is still delivered.
                    await self._unless(lambda: bool(self._waiting))
                    return
                # Silence may have begun while this read waited.
                await self._unless(lambda: self._toxics.silent)
                for piece in self._pieces(data):
                    self.put(piece)

    async def write(self) -> None:
        """Deliver what is due, in order."""
        with contextlib.suppress(ConnectionError):
            while True:
                await self._unless(lambda: self._toxics.silent or not self._waiting)
                due, data = self._waiting[0]
                pause_s = due - asyncio.get_running_loop().time()
                if pause_s > 0:
                    await asyncio.sleep(pause_s)
                    continue
                if self.cut_next:
                    self._writer.write(data[: max(1, len(data) // 2)])
                    self._end(reset=True)
                    return
                await self._deliver(data)
                self._waiting.popleft()
                self._waiting_bytes -= len(data)
                self.changed.set()

    def put(self, data: bytes) -> None:
        """Queue bytes behind what waits."""
        toxics, random = self._toxics, self._proxy.random
        delay_ms = toxics.latency_ms + random.uniform(0, toxics.jitter_ms)
        if toxics.stall_share and random.random() < toxics.stall_share:
            delay_ms += toxics.stall_ms
        self._last_due = max(self._last_due, asyncio.get_running_loop().time() + delay_ms / 1000)
        self._waiting.append((self._last_due, data))
        self._waiting_bytes += len(data)
        self.changed.set()

    @property
    def _toxics(self) -> Toxics:
        return self._proxy.toxics(self._direction)

    def _pieces(self, data: bytes) -> list[bytes]:
        if self._parser is None:
            return [data]
        try:
            packets = self._parser.feed(data)
        except MalformedPacket:
            # Not MQTT: from here on bytes are bytes.
            self._parser = None
            return [data]
        pieces = []
        for packet in packets:
            self._proxy.show(self._direction, packet)
            raw = bytes((packet.kind << 4 | packet.flags,)) + remaining_length(len(packet.body)) + packet.body
            pieces += [raw] * (self._toxics.copies if packet.kind == PUBLISH else 1)
        return pieces

    async def _deliver(self, data: bytes) -> None:
        toxics, random = self._toxics, self._proxy.random
        at = 0
        while at < len(data):
            size = random.randint(1, toxics.slice_bytes) if toxics.slice_bytes else len(data)
            self._writer.write(data[at : at + size])
            await self._writer.drain()
            at += size
            if toxics.bytes_per_s:
                await asyncio.sleep(size / toxics.bytes_per_s)
            elif toxics.slice_bytes:
                await asyncio.sleep(0)

    async def _unless(self, holds: Callable[[], bool]) -> None:
        while holds():
            self.changed.clear()
            await self.changed.wait()
