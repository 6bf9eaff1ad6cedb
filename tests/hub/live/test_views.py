"""Views: a snapshot, dense changes, and who falls behind starts again; over a real websocket."""

from pathlib import Path
from uuid import UUID

from hub.config.settings import LiveSettings
from hub.core.commands import CommandRecord, Order
from hub.schemas.fleet import EventView, event_of_batch
from tests.hub.api.serving import locker, served
from tests.hub.live.watching import AT, FLEET, NOW, QUICK, Watch, batch, come_online, happen, until
from wire.messages import Event


async def test_hello_a_snapshot_and_dense_changes(tmp_path: Path) -> None:
    async with served(tmp_path, lockers=FLEET, live=QUICK) as hub, hub.http.ws_connect("/live") as socket:
        watch = Watch(socket)
        hello = await watch.next()
        assert (hello["type"], hello["protocol"], hello["version"]) == ("hello", 2, "0.0.0")
        assert hello["now"].endswith("Z")
        assert hello["role"] == "admin"
        await watch.say("subscribe", "fleet")
        snapshot = await watch.next()
        assert snapshot["type"] == "snapshot"
        assert [one["id"] for one in snapshot["data"]["lockers"]] == ["berlin-01", "paris-02"]
        for name in ("paris-02", "berlin-01"):
            come_online(hub, name)
            diff = await watch.next()
            ((changed, fields),) = diff["data"]["lockers"]
            assert (diff["type"], changed, fields["state"], fields["agent"]) == ("diff", name, "online", "0.1.0")
            # What is as it was told before is not told again.
            assert fields.keys() == {"state", "state_changed_at", "last_seen_at", "agent", "session", "boards"}
        hub.fleet.load(FLEET[:1])
        hub.live.wake()
        assert (await watch.next())["data"] == {"lockers": [], "removed": ["paris-02"]}


async def test_who_offers_compression_gets_the_same_in_fewer_bytes(tmp_path: Path) -> None:
    many = [locker(f"l-{number}") for number in range(50)]
    async with served(tmp_path, lockers=many, live=QUICK) as hub:
        told = []
        sizes = []
        for compress in (0, 15):
            before = hub.metrics.registry.get_sample_value("lockerhub_live_bytes_total") or 0.0
            async with hub.http.ws_connect("/live", compress=compress) as socket:
                assert bool(socket.compress) is bool(compress)
                watch = Watch(socket)
                await watch.say("subscribe", "fleet")
                snapshot = await watch.until("snapshot")
                # Twice, as a window that goes on over messages would break the second one.
                await watch.say("resync", "fleet")
                assert (await watch.until("snapshot"))["data"] == snapshot["data"]
                told.append(snapshot["data"])
            await until(lambda: not hub.live.viewers)
            sizes.append((hub.metrics.registry.get_sample_value("lockerhub_live_bytes_total") or 0.0) - before)
        assert told[0] == told[1]
        assert sizes[1] < sizes[0] / 5


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
        entry = CommandRecord(UUID(int=5), Order("berlin-01", "open", 2), AT, 0.0, 2000.0)
        hub.live.command(entry)
        data = (await watch.next())["data"]
        assert [command["id"] for command in data["commands"]] == [str(entry.id)]
        assert data.keys() == {"commands"}
        # Another locker's affairs are not told.
        come_online(hub, "paris-02")
        hub.live.command(CommandRecord(UUID(int=6), Order("paris-02", "open", 2), AT, 0.0, 2000.0))
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


async def test_a_ping_is_answered(tmp_path: Path) -> None:
    async with served(tmp_path) as hub, hub.http.ws_connect("/live") as socket:
        await socket.send_json({"type": "ping"})
        pong = await Watch(socket).until("pong")
        assert pong["now"].endswith("Z")


async def test_views_and_viewers_are_limited(tmp_path: Path) -> None:
    few = LiveSettings(viewers_max=1, views_per_viewer_max=2, diff_interval_ms=1)
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
        await until(lambda: not hub.live.viewers)
        async with hub.http.ws_connect("/live") as socket:
            assert (await Watch(socket).next())["type"] == "hello"


async def test_who_stops_reading_falls_behind_and_starts_again_and_nobody_else_notices(tmp_path: Path) -> None:
    small = LiveSettings(diff_interval_ms=1, viewer_queue_frames_max=2, send_timeout_s=30)
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
        while not hub.live.behind:
            rounds += 1
            assert rounds < 2000
            # A change of everything.
            hub.fleet.load([locker(f"l-{n}", site=f"Site {rounds} {'x' * 200}") for n in range(400)])
            hub.live.wake()
            assert (await watch.until("diff"))["view"] == "fleet"
        stuck._conn.transport.resume_reading()  # noqa: SLF001
        assert (await slow.until("resync"))["view"] == "fleet"
        snapshot = await slow.next()
        assert (snapshot["type"], len(snapshot["data"]["lockers"])) == ("snapshot", 400)
        come_online(hub, "l-7")
        for one in (watch, slow):
            while (frame := await one.until("diff"))["data"]["lockers"][0][1].get("state") != "online":
                pass
            assert [name for name, _ in frame["data"]["lockers"]] == ["l-7"]
        (resynced,) = [viewer for viewer in hub.live.viewers if viewer.resyncs]
        assert resynced.resyncs == 1
