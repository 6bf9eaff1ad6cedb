"""The `/live` websocket: aiohttp reads it and shakes hands, frames are written to the connection as they are.

One task reads from each viewer. Nothing waits until a viewer takes what is written: `hub.live` sees to that.
"""

import asyncio
import logging
import socket as sockets
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Final, Literal

import msgspec
from aiohttp import WSMessage, WSMsgType, web
from msgspec import Meta

from hub import clock
from hub.api.auth import Auth, role_of
from hub.api.problems import Problem
from hub.api.routes import Route
from hub.config.settings import LiveSettings
from hub.core.rates import TokenBucket
from hub.live import Broadcaster, Viewer, error_frame, hello_frame, pong_frame
from hub.live.frames import DEFLATE_WINDOW_BITS, PING, pong_to
from hub.live.subscribers import BUFFER_BYTES_MAX
from hub.metrics import Metrics

_log = logging.getLogger(__name__)
_MESSAGE_BYTES_MAX: Final = 4096
_MESSAGES_PER_MINUTE: Final = 600
_MESSAGES_AT_ONCE: Final = 60
"""A viewer that says more is read from no faster than that: what it says piles up at its own end."""
_LOOK_S: Final = 5.0
_PING_AFTER_S: Final = 20.0
_SILENT_S_MAX: Final = 30.0
"""A viewer that has said nothing for so long, not even to a ping, is gone."""
_GOODBYE_S: Final = 1.0
_SEND_BUFFER_BYTES: Final = 262_144
"""What the system holds for a viewer that does not read; by itself it would be megabytes, for each of them."""
_AT_ONCE: Final = struct.pack("ii", 1, 0)
"""SO_LINGER: what is not sent yet is thrown away."""
_DETAILS: Final = {
    "view_unknown": (
        "a view is summary, fleet, site:{name}, locker:{locker}, events, events:{locker}, alarms, alarms:{locker}, "
        "commands, jobs, health or tail:{locker}"
    ),
    "locker_unknown": "there is no such locker in the registry",
    "site_unknown": "no locker in the registry has that site",
    "too_many_views": "unsubscribe from a view first",
    "role_needed": "the messages of a locker are for operators",
}


class ViewerMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a viewer may say."""

    type: Literal["subscribe", "unsubscribe", "resync", "ping"]
    view: Annotated[str, Meta(max_length=160)] = ""


class LiveSocket:
    """The route of the websocket."""

    def __init__(
        self, live: Broadcaster, auth: Auth, config: LiveSettings, version: str, hub: str, metrics: Metrics
    ) -> None:
        self._live = live
        self._auth = auth
        self._config = config
        self._version = version
        self._hub = hub
        self._open: set[_Connection] = set()
        self._goodbyes: set[asyncio.Task[None]] = set()
        self._closed = metrics.live_closed
        self._taken = metrics.live_messages.labels("taken")
        self._refused = metrics.live_messages.labels("refused")
        self._held = metrics.live_messages.labels("held")

    def routes(self) -> list[Route]:
        """Return the route."""
        return [Route("GET", "/live", "Live changes over a websocket", self._serve, documented=False)]

    async def run(self) -> None:
        """Ask silent viewers whether they are there, and let those go that are not, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            now_s = time.monotonic()
            for connection in list(self._open):
                silent_s = now_s - connection.heard_s
                if silent_s >= _SILENT_S_MAX:
                    self._closed.labels("silent").inc()
                    connection.cut()
                elif not self._auth.may_stay(connection.request):
                    self._dismiss(connection)
                elif silent_s >= _PING_AFTER_S:
                    connection.offer(PING)

    async def close(self) -> None:
        """Tell every viewer to come back in a moment."""
        await asyncio.gather(*(_goodbye(one, 1012, b"the hub is restarting") for one in list(self._open)))

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        # What it may send is small; what is not compressed by us is not worth it, and aiohttp itself sends no data.
        socket = web.WebSocketResponse(autoping=False, max_msg_size=_MESSAGE_BYTES_MAX, timeout=_GOODBYE_S)
        connection = _Connection(request, socket)
        viewer = self._live.admit(connection, role_of(request))
        if viewer is None:
            raise Problem(
                "too_many_viewers", f"{self._config.viewers_max} viewers are the limit.", retry_after_s=30
            )
        forget: Callable[[], None] | None = None
        try:
            await socket.prepare(request)
            connection.begin()
            self._open.add(connection)
            forget = self._auth.tell_of_end(request, lambda: self._dismiss(connection))
            self._live.tell(viewer, hello_frame(self._version, self._hub, viewer.role))
            await self._read(connection, viewer)
        finally:
            if forget is not None:
                forget()
            self._open.discard(connection)
            self._live.leave(viewer)
        return socket

    async def _read(self, connection: "_Connection", viewer: Viewer) -> None:
        allowance = TokenBucket(_MESSAGES_PER_MINUTE, _MESSAGES_AT_ONCE)
        async for message in connection.socket:
            connection.heard_s = time.monotonic()
            if message.type is WSMsgType.ERROR:
                return
            while wait_ms := allowance.take(clock.now_ms()):
                self._held.inc()
                await asyncio.sleep(wait_ms / 1000)
            if message.type is WSMsgType.PING:
                connection.offer(pong_to(bytes(message.data)))
            elif message.type is not WSMsgType.PONG:
                await self._hear(message, viewer)

    async def _hear(self, message: WSMessage, viewer: Viewer) -> None:
        if message.type is not WSMsgType.TEXT:
            self._refuse(viewer, "bad_message", "send JSON text")
            return
        try:
            said = msgspec.json.decode(message.data, type=ViewerMessage)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
            self._refuse(viewer, "bad_message", str(error))
            return
        code = None
        if said.type == "ping":
            self._live.tell(viewer, pong_frame())
        elif said.type == "unsubscribe":
            self._live.unsubscribe(viewer, said.view)
        else:
            code = await self._live.subscribe(viewer, said.view)
        if code is None:
            self._taken.inc()
        else:
            self._refuse(viewer, code, _DETAILS[code], said.view)

    def _refuse(self, viewer: Viewer, code: str, detail: str, view: str | None = None) -> None:
        self._refused.inc()
        self._live.tell(viewer, error_frame(code, detail, view))

    def _dismiss(self, connection: "_Connection") -> None:
        """Close a connection whose session has ended."""
        if connection not in self._open:
            return
        self._open.discard(connection)
        self._closed.labels("signed_out").inc()
        task = asyncio.create_task(_goodbye(connection, 1008, b"signed out"), name="live.goodbye")
        self._goodbyes.add(task)
        task.add_done_callback(self._goodbyes.discard)


class _Connection:
    """A viewer's connection. What is written does not wait, and goes out after what was written before."""

    def __init__(self, request: web.Request, socket: web.WebSocketResponse) -> None:
        self.request = request
        self.socket = socket
        self.heard_s = time.monotonic()
        self.deflates = False
        """Whether compression was agreed on."""
        self._transport: asyncio.Transport | None = None

    def begin(self) -> None:
        """Take frames, now that hands are shaken."""
        self._transport = self.request.transport
        self.deflates = self.socket.compress == DEFLATE_WINDOW_BITS
        self._set_option(sockets.SO_SNDBUF, _SEND_BUFFER_BYTES)

    @property
    def is_open(self) -> bool:
        """Whether it takes frames: not before the handshake, nor after a close frame."""
        return self._transport is not None and not self.socket.closed and not self._transport.is_closing()

    @property
    def buffered_bytes(self) -> int:
        """What the system has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def write(self, data: bytes) -> None:
        """Write whole frames to what is open."""
        assert self._transport is not None, "is_open is asked before"  # noqa: S101
        self._transport.write(data)

    def offer(self, data: bytes) -> None:
        """Write a small frame that need not come, if there is room."""
        if self.is_open and self.buffered_bytes <= BUFFER_BYTES_MAX:
            self.write(data)

    def cut(self) -> None:
        """End it without a word."""
        if self.request.transport is not None:
            self._set_option(sockets.SO_LINGER, _AT_ONCE)
            self.request.transport.abort()

    def _set_option(self, option: int, value: int | bytes) -> None:
        below: sockets.socket | None = self.socket.get_extra_info("socket")
        if below is not None:
            with suppress(OSError):
                below.setsockopt(sockets.SOL_SOCKET, option, value)


async def _goodbye(connection: _Connection, code: int, why: bytes) -> None:
    """Close politely, for a second; then by force."""
    try:
        with suppress(ConnectionError, RuntimeError):
            async with asyncio.timeout(_GOODBYE_S):
                await connection.socket.close(code=code, message=why)
    except TimeoutError:
        connection.cut()
