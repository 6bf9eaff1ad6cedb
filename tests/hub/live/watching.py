"""A viewer over a real websocket, and things for it to see."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from aiohttp import ClientWebSocketResponse

from hub.config.settings import LiveSettings
from hub.live import Broadcaster
from tests.hub.api.serving import Served, locker
from tests.hub.live.schema import check_frame
from wire.messages import Clock, Event, EventBatch, Presence

AT = datetime(2026, 11, 20, tzinfo=UTC)
NOW = 1_790_000_000_000
FLEET = [locker("berlin-01"), locker("paris-02")]
QUICK = LiveSettings(diff_interval_ms=1)


def batch(first: int, count: int = 1) -> EventBatch:
    events = [Event(t=1, at=1, kind="door.opened", door=1) for _ in range(count)]
    return EventBatch(
        v=1, boot=UUID(int=1), t=1, at=1, clock=Clock.SYNCED, epoch=UUID(int=2), first=first, events=events
    )


def happen(live: Broadcaster, name: str, first: int, count: int = 1) -> None:
    message = batch(first, count)
    for place in range(count):
        live.event(name, message, place, NOW, NOW)


def come_online(hub: Served, name: str) -> None:
    word = Presence(
        v=1,
        boot=UUID(int=1),
        t=1,
        at=1,
        clock=Clock.SYNCED,
        session=1,
        online=True,
        agent="0.1.0",
        doors=3,
        boards=1,
    )
    hub.fleet.presence(name, word, at=AT)
    hub.fleet.heard(name, now_ms=1e7, at=AT)
    hub.live.wake()


class Watch:
    """A viewer that reads frames, and keeps its own account of each view's numbers."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self.socket = socket
        self.seqs: dict[str, int] = {}

    async def next(self) -> dict[str, Any]:
        frame: dict[str, Any] = await self.socket.receive_json(timeout=20)
        check_frame(frame)
        if frame["type"] == "snapshot":
            self.seqs[frame["view"]] = frame["seq"]
        elif frame["type"] == "diff":
            self.seqs[frame["view"]] += 1
            assert frame["seq"] == self.seqs[frame["view"]]
        return frame

    async def until(self, kind: str, view: str | None = None) -> dict[str, Any]:
        while True:
            frame = await self.next()
            if frame["type"] == kind and view in {None, frame.get("view")}:
                return frame

    async def say(self, kind: str, view: str) -> None:
        await self.socket.send_json({"type": kind, "view": view})


async def until(condition: Callable[[], object]) -> None:
    """Return once it holds."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - of things that tell nobody
            await asyncio.sleep(0.01)
