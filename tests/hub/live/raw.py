"""A viewer of nothing but bytes: it says what no browser would."""

import asyncio
import base64
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.hub.api.serving import Served

TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
WAIT_S = 30.0


class RawViewer:
    """A connection after its handshake."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, opcode: int, payload: bytes = b"", *, fin: bool = True, length: int | None = None) -> None:
        """Send a frame as a client has to, masked (with zeros); `length`: what its head says instead."""
        size = len(payload) if length is None else length
        head = bytes([opcode | (0x80 if fin else 0)])
        if size < 126:
            head += bytes([0x80 | size])
        elif size < 65_536:
            head += bytes([0x80 | 126]) + size.to_bytes(2, "big")
        else:
            head += bytes([0x80 | 127]) + size.to_bytes(8, "big")
        self.writer.write(head + bytes(4) + payload)

    def say(self, kind: str, view: str = "") -> None:
        self.send(TEXT, json.dumps({"type": kind, "view": view}).encode())

    async def frame(self) -> tuple[int, bytes]:
        """Return (opcode, payload) of the next frame. Raises IncompleteReadError, ConnectionError at the end."""
        async with asyncio.timeout(WAIT_S):
            first, size = await self.reader.readexactly(2)
            if size >= 126:
                size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8), "big")
            return first & 0x0F, await self.reader.readexactly(size)

    async def until(self, kind: str) -> dict[str, Any]:
        """Return the next frame of a kind."""
        while True:
            opcode, payload = await self.frame()
            if opcode == TEXT and (told := json.loads(payload))["type"] == kind:
                return told  # type: ignore[no-any-return]

    async def end(self) -> int | None:
        """Read to the end. Returns the code of the hub's close frame, None where there was none."""
        code = None
        try:
            while True:
                opcode, payload = await self.frame()
                if opcode == CLOSE:
                    code = int.from_bytes(payload[:2], "big")
        except (asyncio.IncompleteReadError, ConnectionError):
            return code


def handshake(hub: Served, headers: str = "") -> bytes:
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET /live HTTP/1.1\r\nHost: {hub.host}:{hub.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n"
    ).encode()


@asynccontextmanager
async def connected(
    hub: Served, headers: str = "", *, receive_bytes: int | None = None
) -> AsyncIterator[RawViewer]:
    """Connect; `receive_bytes`: how much the system takes for a viewer that does not read."""
    plain = socket.socket()
    if receive_bytes is not None:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    plain.setblocking(False)  # noqa: FBT003 - the library's signature
    await asyncio.get_running_loop().sock_connect(plain, (hub.host, hub.port))
    limit = 2**16 if receive_bytes is None else receive_bytes
    reader, writer = await asyncio.open_connection(sock=plain, limit=limit)
    writer.write(handshake(hub, headers))
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 "), head
    try:
        yield RawViewer(reader, writer)
    finally:
        writer.transport.abort()
