"""The `/live` websocket: one reader and one writer for each viewer."""

import asyncio
import logging
from typing import Annotated, Final, Literal

import msgspec
from aiohttp import WSMsgType, web
from msgspec import Meta

from hub.api.problems import Problem
from hub.api.routes import Route
from hub.config import Live as LiveConfig
from hub.live import Live, Viewer, error_frame, hello_frame, pong_frame

_log = logging.getLogger(__name__)
_MESSAGE_BYTES_MAX: Final = 4096
_PING_S: Final = 20.0
_DETAILS: Final = {
    "view_unknown": "a view is fleet, events, events:{locker} or locker:{locker}",
    "locker_unknown": "there is no such locker in the registry",
    "too_many_views": "unsubscribe from a view first",
}


class ViewerMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a viewer may say."""

    type: Literal["subscribe", "unsubscribe", "resync", "ping"]
    view: Annotated[str, Meta(max_length=60)] = ""


class Socket:
    """The route of the websocket."""

    def __init__(self, live: Live, config: LiveConfig, version: str, hub: str) -> None:
        self._live = live
        self._config = config
        self._version = version
        self._hub = hub
        self._open: set[web.WebSocketResponse] = set()

    def routes(self) -> list[Route]:
        """Return the route."""
        return [Route("GET", "/live", "Live changes over a websocket", self._serve, documented=False)]

    async def close(self) -> None:
        """Tell every viewer to come back in a moment."""
        for socket in list(self._open):
            try:
                async with asyncio.timeout(1):
                    await socket.close(code=1012, message=b"the hub is restarting")
            except TimeoutError:
                continue

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        viewer = self._live.admit()
        if viewer is None:
            raise Problem(
                "too_many_viewers", f"{self._config.viewers_max} viewers are the limit.", retry_after_s=30
            )
        socket = web.WebSocketResponse(
            heartbeat=_PING_S, max_msg_size=_MESSAGE_BYTES_MAX, compress=False, writer_limit=_MESSAGE_BYTES_MAX
        )
        try:
            await socket.prepare(request)
            self._open.add(socket)
            viewer.push(hello_frame(self._version, self._hub))
            writer = asyncio.create_task(self._write(socket, viewer, request), name="live.writer")
            try:
                await self._read(socket, viewer)
            finally:
                writer.cancel()
                await asyncio.wait([writer])
        finally:
            self._open.discard(socket)
            self._live.leave(viewer)
        return socket

    async def _read(self, socket: web.WebSocketResponse, viewer: Viewer) -> None:
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                viewer.push(error_frame("bad_message", "send JSON text", None))
                continue
            try:
                said = msgspec.json.decode(message.data, type=ViewerMessage)
            except (msgspec.DecodeError, UnicodeEncodeError) as error:
                viewer.push(error_frame("bad_message", str(error), None))
                continue
            if said.type == "ping":
                viewer.push(pong_frame())
                continue
            if said.type == "unsubscribe":
                self._live.unsubscribe(viewer, said.view)
                continue
            code = await self._live.subscribe(viewer, said.view)
            if code is not None:
                viewer.push(error_frame(code, _DETAILS[code], said.view))

    async def _write(self, socket: web.WebSocketResponse, viewer: Viewer, request: web.Request) -> None:
        try:
            while True:
                await viewer.wake.wait()
                viewer.wake.clear()
                while (frame := viewer.next()) is not None:
                    await self._send(socket, frame)
                if viewer.behind:
                    for frame in self._live.resync(viewer):
                        await self._send(socket, frame)
        except TimeoutError:
            self._live.closed.labels("never_reads").inc()
            # A viewer that does not read cannot be told; its socket is cut so that nothing piles up behind it.
            if request.transport is not None:
                request.transport.abort()
        except (ConnectionError, RuntimeError):
            self._live.closed.labels("gone").inc()

    async def _send(self, socket: web.WebSocketResponse, frame: bytes) -> None:
        async with asyncio.timeout(self._config.send_timeout_s):
            await socket.send_str(frame.decode())
