"""Viewers: a snapshot, dense changes, and who falls behind starts again; over a real websocket."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType

from hub.api.views import EventView, event_of_batch
from hub.config import Commands
from hub.config import Live as LiveConfig
from hub.core.commands import Entry, Order
from hub.core.fleet import Fleet
from hub.live import Live, Viewer
from hub.metrics import Metrics
from tests.hub.api.serving import Served, locker, served
from wire.messages import Clock, Event, Events, Presence

AT = datetime(2026, 11, 20, tzinfo=UTC)
NOW = 1_790_000_000_000
FLEET = [locker("berlin-01"), locker("paris-02")]
QUICK = LiveConfig(diff_interval_ms=1)


def batch(first: int, count: int = 1) -> Events:
    events = [Event(t=1, at=1, kind="door.opened", door=1) for _ in range(count)]
    return Events(
        v=1, boot=UUID(int=1), t=1, at=1, clock=Clock.SYNCED, epoch=UUID(int=2), first=first, events=events
    )


def happen(live: Live, name: str, first: int, count: int = 1) -> None:
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
        frame: dict[str, Any] = await self.socket.receive_json(timeout=10)
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


async def test_hello_a_snapshot_and_dense_changes(tmp_path: Path) -> None:
    async with served(tmp_path, lockers=FLEET, live=QUICK) as hub, hub.http.ws_connect("/live") as socket:
        watch = Watch(socket)
        hello = await watch.next()
        assert (hello["type"], hello["protocol"], hello["version"]) == ("hello", 1, "0.0.0")
        assert hello["now"].endswith("Z")
        await watch.say("subscribe", "fleet")
        snapshot = await watch.next()
        assert snapshot["type"] == "snapshot"
        assert [one["id"] for one in snapshot["data"]["lockers"]] == ["berlin-01", "paris-02"]
        for name in ("paris-02", "berlin-01"):
            come_online(hub, name)
            diff = await watch.next()
            assert (diff["type"], [(one["id"], one["state"]) for one in diff["data"]["lockers"]]) == (
                "diff", [(name, "online")],
            )  # fmt: skip
        hub.fleet.load(FLEET[:1])
        hub.live.wake()
        assert (await watch.next())["data"] == {"lockers": [], "removed": ["paris-02"]}


async def test_a_lockers_view_tells_only_what_changed(tmp_path: Path) -> None:
    async with served(tmp_path, lockers=FLEET, live=QUICK) as hub, hub.http.ws_connect("/live") as socket:
        watch = Watch(socket)
        await watch.say("subscribe", "locker:berlin-01")
        snapshot = await watch.until("snapshot")
        assert [door["number"] for door in snapshot["data"]["doors"]] == [1, 2, 3]
        come_online(hub, "berlin-01")
        assert (await watch.next())["data"].keys() == {"locker", "doors"}
        hub.fleet.event("berlin-01", Event(t=1, at=1, kind="door.opened", door=2), at=AT)
        hub.live.wake()
        assert [(door["number"], door["state"]) for door in (await watch.next())["data"]["doors"]] == [(2, "open")]
        entry = Entry(UUID(int=5), Order("berlin-01", "open", 2), AT, 0.0, 2000.0)
        hub.live.command(entry)
        data = (await watch.next())["data"]
        assert [command["id"] for command in data["commands"]] == [str(entry.id)]
        assert data.keys() == {"commands"}
        # Another locker's affairs are not told.
        come_online(hub, "paris-02")
        hub.live.command(Entry(UUID(int=6), Order("paris-02", "open", 2), AT, 0.0, 2000.0))
        hub.live.command(entry)
        assert [command["id"] for command in (await watch.next())["data"]["commands"]] == [str(entry.id)]
        await watch.say("resync", "locker:berlin-01")
        assert [one["id"] for one in (await watch.until("snapshot"))["data"]["commands"]] == [str(entry.id)]


async def test_events_come_newest_first_and_the_left_out_are_counted(tmp_path: Path) -> None:
    async with served(tmp_path, lockers=FLEET, live=QUICK) as hub, hub.http.ws_connect("/live") as socket:
        watch = Watch(socket)
        happen(hub.live, "berlin-01", 1, 120)
        await watch.say("subscribe", "events")
        shown = [event["seq"] for event in (await watch.until("snapshot"))["data"]["events"]]
        assert shown == list(range(120, 20, -1))
        happen(hub.live, "berlin-01", 121, 3)
        data = (await watch.next())["data"]
        assert ([event["seq"] for event in data["events"]], data["skipped"]) == ([123, 122, 121], 0)
        happen(hub.live, "berlin-01", 124, 250)
        data = (await watch.next())["data"]
        assert (len(data["events"]), data["skipped"]) == (200, 50)
        assert data["events"][0]["seq"] > data["events"][-1]["seq"]


async def test_events_of_one_locker_are_those_of_before_and_of_now_and_each_once(tmp_path: Path) -> None:
    async with served(tmp_path, lockers=FLEET, live=QUICK) as hub, hub.http.ws_connect("/live") as socket:
        older = [event_of_batch("berlin-01", batch(1, 5), place, NOW, NOW) for place in range(5)]

        async def load(name: str) -> list[EventView]:
            assert name == "berlin-01"
            # Number 5 is committed already, and comes by the live way while the past is being read.
            happen(hub.live, "berlin-01", 5)
            happen(hub.live, "paris-02", 1)
            hub.live.flush()
            return older[::-1]

        hub.live.load_with(load)
        happen(hub.live, "berlin-01", 4)
        watch = Watch(socket)
        await watch.say("subscribe", "events:berlin-01")
        shown = (await watch.until("snapshot"))["data"]["events"]
        assert [event["seq"] for event in shown] == [5, 4, 3, 2, 1]
        happen(hub.live, "paris-02", 2)
        happen(hub.live, "berlin-01", 6)
        assert [event["seq"] for event in (await watch.next())["data"]["events"]] == [6]
        await watch.say("unsubscribe", "events:berlin-01")
        await watch.say("subscribe", "events")
        await watch.until("snapshot", "events")
        happen(hub.live, "berlin-01", 7)
        assert (await watch.next())["view"] == "events"


async def test_a_locker_with_more_events_than_shown_says_how_many_were_left_out(tmp_path: Path) -> None:
    async with served(tmp_path, lockers=FLEET, live=QUICK) as hub, hub.http.ws_connect("/live") as socket:

        async def load(_: str) -> list[EventView]:
            return []

        hub.live.load_with(load)
        watch = Watch(socket)
        await watch.say("subscribe", "events:berlin-01")
        await watch.until("snapshot")
        happen(hub.live, "berlin-01", 1, 60)
        happen(hub.live, "paris-02", 1, 150)
        data = (await watch.next())["data"]
        assert (len(data["events"]), data["skipped"]) == (50, 10)
        assert data["events"][-1]["seq"] == 11
        happen(hub.live, "berlin-01", 61, 1)
        assert (await watch.next())["data"]["skipped"] == 0


BAD = [
    ("{", "bad_message"),
    ("[]", "bad_message"),
    ("5", "bad_message"),
    ('{"type": "subscribe"}', "view_unknown"),
    ('{"type": "subscribe", "view": 5}', "bad_message"),
    ('{"type": "subscribe", "view": "' + "x" * 61 + '"}', "bad_message"),
    ('{"type": "shout", "view": "fleet"}', "bad_message"),
    ('{"type": "subscribe", "view": "fleet", "since": 1}', "bad_message"),
    ("[" * 2000, "bad_message"),
    ('{"type": "subscribe", "view": ""}', "view_unknown"),
    ('{"type": "subscribe", "view": "locker"}', "view_unknown"),
    ('{"type": "subscribe", "view": "locker:"}', "view_unknown"),
    ('{"type": "subscribe", "view": "events:"}', "view_unknown"),
    ('{"type": "subscribe", "view": "fleet:berlin-01"}', "view_unknown"),
    ('{"type": "subscribe", "view": "locker:nowhere"}', "locker_unknown"),
    ('{"type": "subscribe", "view": "events:nowhere"}', "locker_unknown"),
    ('{"type": "resync", "view": "nothing"}', "view_unknown"),
]


async def test_bad_messages_are_answered_and_the_link_lives_on(tmp_path: Path) -> None:
    async with served(tmp_path, lockers=FLEET) as hub, hub.http.ws_connect("/live") as socket:
        watch = Watch(socket)
        assert (await watch.next())["type"] == "hello"
        for text, code in BAD:
            await socket.send_str(text)
            frame = await watch.next()
            assert (frame["type"], frame["code"]) == ("error", code), text
            assert frame["detail"]
        await socket.send_bytes(b'{"type": "subscribe", "view": "fleet"}')
        assert (await watch.next())["code"] == "bad_message"
        await watch.say("unsubscribe", "never:seen")
        await watch.say("subscribe", "fleet")
        assert (await watch.next())["type"] == "snapshot"


async def test_a_ping_is_answered(tmp_path: Path) -> None:
    async with served(tmp_path) as hub, hub.http.ws_connect("/live") as socket:
        await socket.send_json({"type": "ping"})
        pong = await Watch(socket).until("pong")
        assert pong["now"].endswith("Z")


async def test_a_message_that_is_too_long_ends_the_link(tmp_path: Path) -> None:
    async with served(tmp_path) as hub, hub.http.ws_connect("/live") as socket:
        await Watch(socket).next()
        await socket.send_str("x" * 5000)
        message = await socket.receive(timeout=10)
        assert message.type in {WSMsgType.CLOSE, WSMsgType.CLOSED}
        assert socket.close_code == 1009


async def test_views_and_viewers_are_limited(tmp_path: Path) -> None:
    few = LiveConfig(viewers_max=1, views_per_viewer_max=2, diff_interval_ms=1)
    async with served(tmp_path, lockers=FLEET, live=few) as hub:
        async with hub.http.ws_connect("/live") as socket:
            watch = Watch(socket)
            for view in ("fleet", "events", "fleet"):
                await watch.say("subscribe", view)
                await watch.until("snapshot", view)
            await watch.say("subscribe", "locker:berlin-01")
            assert (await watch.next())["code"] == "too_many_views"
            await watch.say("unsubscribe", "events")
            await watch.say("subscribe", "locker:berlin-01")
            await watch.until("snapshot", "locker:berlin-01")
            async with hub.http.get("/live", headers={"Connection": "Upgrade", "Upgrade": "websocket"}) as response:
                body = await response.json(content_type=None)
                assert (response.status, body["code"]) == (503, "too_many_viewers")
        async with asyncio.timeout(10):
            while not await place_is_free(hub):
                pass


async def place_is_free(hub: Served) -> bool:
    """Let the hub see that the first viewer went, and look."""
    async with hub.http.get("/healthz"):
        viewer = hub.live.admit()
    if viewer is not None:
        hub.live.leave(viewer)
    return viewer is not None


async def test_who_stops_reading_falls_behind_and_starts_again_and_nobody_else_notices(tmp_path: Path) -> None:
    small = LiveConfig(diff_interval_ms=1, viewer_queue_frames_max=2, send_timeout_s=30)
    async with (
        served(tmp_path, lockers=[locker(f"l-{n}") for n in range(400)], live=small) as hub,
        hub.http.ws_connect("/live") as stuck,
        hub.http.ws_connect("/live") as awake,
    ):
        watch = Watch(awake)
        slow = Watch(stuck)
        for one in (watch, slow):
            await one.say("subscribe", "fleet")
            await one.until("snapshot")
        # It does not read: the sockets between fill up, then its queue.
        assert stuck._conn is not None  # noqa: SLF001 - aiohttp has no other way to stop reading
        assert stuck._conn.transport is not None  # noqa: SLF001
        stuck._conn.transport.pause_reading()  # noqa: SLF001
        rounds = 0
        while not any(viewer.behind for viewer in viewers(hub.live)):
            rounds += 1
            assert rounds < 2000
            for name in hub.fleet.lockers:
                hub.fleet._touch(name)  # noqa: SLF001 - a change of everything, in one word
            hub.live.wake()
            assert (await watch.until("diff"))["view"] == "fleet"
        stuck._conn.transport.resume_reading()  # noqa: SLF001
        assert (await slow.until("resync"))["view"] == "fleet"
        snapshot = await slow.next()
        assert (snapshot["type"], len(snapshot["data"]["lockers"])) == ("snapshot", 400)
        come_online(hub, "l-7")
        for one in (watch, slow):
            while (frame := await one.until("diff"))["data"]["lockers"][0]["state"] != "online":
                pass
            assert [entry["id"] for entry in frame["data"]["lockers"]] == ["l-7"]


def viewers(live: Live) -> set[Viewer]:
    return {viewer for view in live._views.values() for viewer in view.viewers}  # noqa: SLF001 - to know when


def test_a_full_queue_is_emptied_and_the_viewer_is_behind() -> None:
    viewer = Viewer(frames_max=2)
    viewer.views = {"fleet", "events"}
    assert viewer.push(b"1", "fleet")
    assert viewer.push(b"2", "events")
    assert not viewer.push(b"3", "fleet")
    assert viewer.behind == {"fleet", "events"}
    assert viewer.next() is None
    # What is behind gets a snapshot, and no changes before it.
    assert viewer.push(b"4", "fleet")
    assert viewer.next() is None
    assert viewer.push(b"5")
    assert viewer.next() == b"5"


@pytest.fixture
def live() -> Live:
    fleet = Fleet(silent_after_ms=1e9)
    fleet.load(FLEET)
    return Live(QUICK, Commands(), fleet, Metrics("0"))


async def test_the_newest_events_of_before_are_shown(live: Live) -> None:
    newest = [event_of_batch("berlin-01", batch(1, 130), place, NOW, NOW) for place in range(129, -1, -1)]
    live.start(newest)
    viewer = live.admit()
    assert viewer is not None
    assert await live.subscribe(viewer, "events") is None
    frame = viewer.next()
    assert frame is not None
    assert frame.count(b'"seq"') == 101
    assert b'"seq":130,"kind"' in frame
    assert b'"seq":30,"kind"' not in frame


async def test_a_locker_that_is_gone_is_told_to_those_who_look_at_it(live: Live) -> None:
    viewer = live.admit()
    assert viewer is not None
    assert await live.subscribe(viewer, "locker:berlin-01") is None
    live._fleet.load(FLEET[1:])  # noqa: SLF001 - the fleet of the fixture
    viewer.behind = {"locker:berlin-01"}
    resync, error = live.resync(viewer)
    assert b'"resync"' in resync
    assert b"locker_unknown" in error
    live.leave(viewer)
    assert live.admit() is not None
