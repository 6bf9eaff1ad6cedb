"""Many viewers of one view on raw sockets, as a process: `python -m bench.viewers PORT COUNT VIEW SECONDS`.

They take part in compression, as browsers do, and read everything. The first one also looks at it: how long each
frame was on its way, by the hub's `at` and this machine's clock. The last line printed is one JSON object.
"""

import base64
import json
import os
import re
import select
import socket
import sys
import time
import zlib
from datetime import datetime
from typing import Any, Final

from bench.figures import percentile
from bench.processes import HOST, BenchError

_READ_BYTES: Final = 262_144
_AT: Final = re.compile(rb'"type":"(\w+)",.*?"at":"([^"]+)"')
_HEAD_CHARACTERS: Final = 300
_COMPRESSED: Final = 0x40
_SHORT_MAX: Final = 125
_TAIL: Final = b"\x00\x00\xff\xff"
_TEXT: Final = 1
_PING: Final = 9
_PONG: Final = 10
_SAID_S_MAX: Final = 30.0
_BEGUN_FRAMES: Final = 2
"""Hello and the snapshot."""


class Frames:
    """Cuts a stream of a server's frames; counts them, and hands out the payload of text if asked."""

    def __init__(self) -> None:
        self._rest = b""
        self._inflate = zlib.decompressobj(wbits=-15)

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Return (opcode, payload) of each frame that is complete now, text inflated."""
        data = self._rest + data if self._rest else data
        found = []
        start = 0
        while (whole := _cut(data, start)) is not None:
            first, at, end = whole
            payload = data[at:end]
            if first & _COMPRESSED:
                payload = self._inflate.decompress(payload + _TAIL)
            found.append((first & 0x0F, payload))
            start = end
        self._rest = data[start:]
        return found


class Counter:
    """Counts frames of a stream without reading what is in them."""

    def __init__(self) -> None:
        self.frames = 0
        self.bytes = 0
        self._head = b""
        self._skip = 0

    def feed(self, data: bytes) -> bool:
        """Take bytes. Returns whether there was a ping among them."""
        self.bytes += len(data)
        pinged = False
        start = 0
        while start < len(data):
            if self._skip:
                taken = min(self._skip, len(data) - start)
                self._skip -= taken
                start += taken
                continue
            self._head += data[start : start + 1]
            start += 1
            if (length := _length(self._head)) is not None:
                pinged = pinged or self._head[0] & 0x0F == _PING
                self.frames += 1
                self._skip, self._head = length, b""
        return pinged


def connect(port: int, *, receive_buffer_bytes: int | None = None) -> socket.socket:
    """Return a connected viewer; nothing of what the hub says is read but the handshake."""
    viewer = socket.socket()
    if receive_buffer_bytes is not None:
        viewer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
    viewer.settimeout(_SAID_S_MAX)
    viewer.connect((HOST, port))
    key = base64.b64encode(os.urandom(16)).decode()
    viewer.sendall(
        f"GET /live HTTP/1.1\r\nHost: {HOST}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n".encode()
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        one = viewer.recv(1)
        if not one:
            raise BenchError(f"the hub does not let a viewer in: {head!r}")
        head += one
    if b" 101 " not in head.split(b"\r\n")[0]:
        raise BenchError(f"the hub does not let a viewer in: {head!r}")
    return viewer


def subscribe(viewer: socket.socket, view: str) -> None:
    """Ask for a view."""
    viewer.sendall(masked(_TEXT, json.dumps({"type": "subscribe", "view": view}).encode()))


def masked(opcode: int, payload: bytes) -> bytes:
    """Return a client's frame of at most 125 bytes; its mask is all zeros."""
    return bytes((0x80 | opcode, 0x80 | len(payload))) + bytes(4) + payload


class Viewers:
    """All of them, and the loop over them."""

    def __init__(self, port: int, count: int, view: str) -> None:
        self.delays_ms: list[float] = []
        self._first: int | None = None
        self._frames = Frames()
        self._of_file: dict[int, tuple[socket.socket, Counter]] = {}
        self._poll = select.epoll()
        for _ in range(count):
            viewer = connect(port)
            subscribe(viewer, view)
            viewer.setblocking(False)  # noqa: FBT003 - the library's signature
            self._of_file[viewer.fileno()] = (viewer, Counter())
            self._first = self._first or viewer.fileno()
            self._poll.register(viewer.fileno(), select.EPOLLIN)
            # Those before read meanwhile, or the hub would find them slow.
            self.turn(0.0)

    @property
    def begun(self) -> bool:
        """Whether all have their snapshot."""
        return all(counter.frames >= _BEGUN_FRAMES for _, counter in self._of_file.values())

    @property
    def counted(self) -> tuple[int, int]:
        """Frames and bytes of all of them."""
        counters = [counter for _, counter in self._of_file.values()]
        return sum(one.frames for one in counters), sum(one.bytes for one in counters)

    def turn(self, timeout_s: float = 0.1) -> None:
        """Read what has come."""
        for file, _ in self._poll.poll(timeout_s):
            viewer, counter = self._of_file[file]
            data = viewer.recv(_READ_BYTES)
            if not data:
                raise BenchError("the hub closed a viewer's connection")
            if counter.feed(data):
                viewer.send(masked(_PONG, b""))
            if file == self._first:
                self.delays_ms += _delays(self._frames.feed(data))


def watch(port: int, count: int, view: str, seconds: float) -> dict[str, Any]:
    """Say when all have their snapshot; from a line of standard input on, read for so long; return the figures."""
    viewers = Viewers(port, count, view)
    while not viewers.begun:
        viewers.turn()
    print("connected", flush=True)
    while not select.select([sys.stdin], [], [], 0)[0]:
        viewers.turn()
    before, end_s = viewers.counted, time.monotonic() + seconds
    viewers.delays_ms.clear()
    while time.monotonic() < end_s:
        viewers.turn()
    frames, size = (after - earlier for after, earlier in zip(viewers.counted, before, strict=True))
    return {
        "frames_per_viewer": round(frames / count, 1),
        "bytes_per_viewer_s": round(size / count / seconds),
        "delay_p50_ms": round(percentile(viewers.delays_ms, 50), 1),
        "delay_p99_ms": round(percentile(viewers.delays_ms, 99), 1),
    }


def _delays(frames: list[tuple[int, bytes]]) -> list[float]:
    now = time.time()
    delays = []
    for opcode, payload in frames:
        found = _AT.search(payload[:_HEAD_CHARACTERS]) if opcode == _TEXT else None
        if found is not None and found[1] == b"diff":
            delays.append((now - datetime.fromisoformat(found[2].decode()).timestamp()) * 1000)
    return delays


def _length(head: bytes) -> int | None:
    """Return the length of the payload once the head of a frame is whole."""
    if len(head) < 2:  # noqa: PLR2004 - RFC 6455, 5.2
        return None
    short = head[1]
    if short <= _SHORT_MAX:
        return short
    size = 2 if short == _SHORT_MAX + 1 else 8
    return int.from_bytes(head[2 : 2 + size], "big") if len(head) == 2 + size else None


def _cut(data: bytes, start: int) -> tuple[int, int, int] | None:
    """Return the first byte of a frame, where its payload begins and ends; None if it is not all there."""
    for size in (2, 4, 10):
        head = data[start : start + size]
        if len(head) < size:
            return None
        length = _length(head)
        if length is not None:
            end = start + size + length
            return (head[0], start + size, end) if end <= len(data) else None
    return None


if __name__ == "__main__":
    print(json.dumps(watch(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], float(sys.argv[4]))), flush=True)
