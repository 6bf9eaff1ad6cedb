"""Frames as bytes: JSON, and the websocket frame around it, made once for all viewers of a view.

RFC 6455, 5.2: what a server sends is not masked, so the same bytes fit every connection. RFC 7692, 7.2.1: a message
may be compressed without what came before it, whatever was agreed on, so the same compressed bytes fit all, too.
"""

import zlib
from datetime import datetime
from struct import Struct
from typing import Any, Final

import orjson

from hub import clock
from hub.operators import Role

PROTOCOL: Final = 2
DEFLATE_WINDOW_BITS: Final = 15
"""A viewer that has agreed on a smaller window gets everything uncompressed."""

_DEFLATE_BYTES_MIN: Final = 512
_DEFLATE_BYTES_MAX: Final = 262_144
"""More than that takes milliseconds, in which no door would be opened: a fleet's snapshot goes out as it is."""
_TAIL: Final = b"\x00\x00\xff\xff"
_FIN_TEXT: Final = 0x81
_RSV1: Final = 0x40
_LENGTH_1_MAX: Final = 125
_LENGTH_2_MAX: Final = 65_535
_HEAD_2: Final = Struct("!BBH")
_HEAD_8: Final = Struct("!BBQ")

PING: Final = b"\x89\x00"


class LiveFrame:
    """One text message, ready for any number of connections."""

    __slots__ = ("_deflated", "_payload", "_plain")

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._plain: bytes | None = None
        self._deflated: bytes | None = None

    @property
    def payload(self) -> bytes:
        """The JSON."""
        return self._payload

    def wire(self, *, deflate: bool) -> bytes:
        """Return the bytes of the connection; compressed if that was agreed on and is worth it."""
        if deflate and _DEFLATE_BYTES_MIN <= len(self._payload) <= _DEFLATE_BYTES_MAX:
            if self._deflated is None:
                self._deflated = _framed(_deflated(self._payload), _FIN_TEXT | _RSV1)
            return self._deflated
        if self._plain is None:
            self._plain = _framed(self._payload, _FIN_TEXT)
        return self._plain


def pong_to(payload: bytes) -> bytes:
    """Return the websocket's own answer to its own ping, whose payload is 125 bytes at the most."""
    return bytes((0x8A, len(payload))) + payload


def data_frame(kind: str, view: str, seq: int, at: datetime, data: Any) -> LiveFrame:  # noqa: ANN401 - whatever orjson can write
    """Return a snapshot or a diff of a view."""
    return _frame({"type": kind, "view": view, "seq": seq, "at": at, "data": data})


def resync_frame(view: str) -> LiveFrame:
    """Return the word that a viewer fell behind, and a snapshot follows."""
    return _frame({"type": "resync", "view": view})


def hello_frame(version: str, hub: str, role: Role) -> LiveFrame:
    """Return the first frame of a connection."""
    return _frame(
        {
            "type": "hello", "protocol": PROTOCOL, "version": version, "hub": hub, "now": clock.wall(),
            "role": role.value,
        }
    )  # fmt: skip


def pong_frame() -> LiveFrame:
    """Return the answer to a viewer's ping: a quiet hub, not a dead one."""
    return _frame({"type": "pong", "now": clock.wall()})


def error_frame(code: str, detail: str, view: str | None) -> LiveFrame:
    """Return a frame that says what was wrong."""
    return _frame({"type": "error", "code": code, "detail": detail, "view": view})


def encoded(data: Any) -> bytes:  # noqa: ANN401 - whatever orjson can write
    """Return JSON as every frame has it."""
    return orjson.dumps(data, option=orjson.OPT_UTC_Z)


def _frame(said: dict[str, Any]) -> LiveFrame:
    return LiveFrame(encoded(said))


def _deflated(payload: bytes) -> bytes:
    squeeze = zlib.compressobj(level=1, wbits=-DEFLATE_WINDOW_BITS)
    return (squeeze.compress(payload) + squeeze.flush(zlib.Z_SYNC_FLUSH)).removesuffix(_TAIL)


def _framed(payload: bytes, first: int) -> bytes:
    length = len(payload)
    if length <= _LENGTH_1_MAX:
        return bytes((first, length)) + payload
    if length <= _LENGTH_2_MAX:
        return _HEAD_2.pack(first, 126, length) + payload
    return _HEAD_8.pack(first, 127, length) + payload
