"""Viewers against a plain model: whatever their connection takes, and when, they end up with what is true."""

import json
import zlib
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.config.settings import CommandSettings, LiveSettings
from hub.core.fleet import Fleet
from hub.live import Broadcaster, LiveFrame, Viewer
from hub.live.frames import DEFLATE_WINDOW_BITS, encoded, pong_to
from hub.live.subscribers import BUFFER_BYTES_MAX
from hub.metrics import Metrics
from hub.operators import Role
from hub.schemas.fleet import locker_fields
from tests.hub.api.serving import locker


@dataclass
class Pipe:
    """A connection that takes what it is let."""

    deflates: bool = False
    is_open: bool = True
    held: bytearray = field(default_factory=bytearray)
    through: bytearray = field(default_factory=bytearray)
    was_cut: bool = False

    @property
    def buffered_bytes(self) -> int:
        return len(self.held)

    def write(self, data: bytes) -> None:
        assert self.buffered_bytes <= BUFFER_BYTES_MAX
        self.held += data

    def cut(self) -> None:
        self.was_cut = True

    def take(self, size: int) -> None:
        self.through += self.held[:size]
        del self.held[:size]

    def frames(self) -> list[dict[str, Any]]:
        return [json.loads(payload) for payload in texts(bytes(self.through))]


def texts(data: bytes) -> list[bytes]:
    """Read a server's frames as a browser does: one inflating window for all of them."""
    inflate = zlib.decompressobj(wbits=-DEFLATE_WINDOW_BITS)
    found: list[bytes] = []
    while data:
        first, size, at = data[0], data[1], 2
        assert not size & 0x80, "a server does not mask"
        if size >= 126:
            at = 4 if size == 126 else 10
            size = int.from_bytes(data[2:at], "big")
        payload = data[at : at + size]
        if len(payload) < size:
            return found
        data = data[at + size :]
        if first == 0xC1:
            payload = inflate.decompress(payload + b"\x00\x00\xff\xff")
        else:
            assert first == 0x81
        found.append(payload)
    return found


@pytest.mark.parametrize("size", [0, 1, 125, 126, 511, 512, 65_535, 65_536, 262_144, 262_145, 3_000_000])
@pytest.mark.parametrize("deflate", [False, True])
def test_a_frame_is_read_as_it_was_meant(size: int, deflate: bool) -> None:  # noqa: FBT001
    payload = (b"abcdefgh" * (size // 8 + 1))[:size]
    frame = LiveFrame(payload)
    wire = frame.wire(deflate=deflate)
    # Twice the same bytes: one window that goes on is no trouble.
    assert texts(wire + wire) == [payload, payload]
    assert frame.wire(deflate=deflate) is wire
    small = 512 <= size <= 262_144
    assert (wire[0] == 0xC1) is (deflate and small)
    assert len(wire) < size / 10 if deflate and small else len(wire) > size


def test_a_pong_carries_what_the_ping_did() -> None:
    assert pong_to(b"x" * 125) == b"\x8a\x7d" + b"x" * 125


class Page:
    """What a page makes of the frames of one view of lockers."""

    def __init__(self) -> None:
        self.lockers: dict[str, dict[str, Any]] = {}
        self.seq: int | None = None

    def hear(self, frame: dict[str, Any]) -> None:
        if frame["type"] == "resync":
            self.seq = None
        elif frame["type"] == "snapshot":
            self.seq = frame["seq"]
            self.lockers = {one["id"]: one for one in frame["data"]["lockers"]}
        else:
            assert self.seq is not None, "no diff comes before its snapshot"
            self.seq += 1
            assert frame["seq"] == self.seq
            for name, fields in frame["data"]["lockers"]:
                assert fields, "a locker that did not change is not told"
                before = self.lockers.get(name)
                assert before is None or all(before[key] != value for key, value in fields.items())
                self.lockers[name] = {**(before or {}), **fields}
            for name in frame["data"]["removed"]:
                self.lockers.pop(name, None)


def truth(fleet: Fleet, site: str | None = None) -> dict[str, Any]:
    rows = [locker_fields(one) for one in fleet.lockers.values()]
    return {row["id"]: json.loads(encoded(row)) for row in rows if site is None or row["site"] == site}


# So long that two frames fill what a connection holds.
SITES = ("north" + "x" * 20_000, "south" + "x" * 20_000)
NORTH = SITES[0]
STEPS = st.one_of(
    st.tuples(st.just("mark"), st.integers(0, 3), st.booleans()),
    st.tuples(st.just("site"), st.integers(0, 3), st.integers(0, 1)),
    st.tuples(st.just("gone"), st.integers(0, 3), st.just("")),
    st.tuples(st.just("take"), st.integers(0, 1), st.sampled_from([1, 100_000, 400_000])),
)


@settings(deadline=None)
@given(steps=st.lists(STEPS, max_size=40), deflates=st.booleans(), frames_max=st.integers(1, 3))
async def test_whoever_reads_in_the_end_sees_what_is_true(
    steps: list[tuple[str, int, Any]],
    deflates: bool,  # noqa: FBT001
    frames_max: int,
) -> None:
    live, fleet = board(frames_max)
    sites = dict.fromkeys(range(4), NORTH)
    fleet.load(specs(sites))
    pipes = {view: Pipe(deflates) for view in ("fleet", f"site:{NORTH}")}
    viewers = {}
    for view, pipe in pipes.items():
        viewer = live.admit(pipe, Role.VIEWER)
        assert viewer is not None
        viewers[view] = viewer
        assert await live.subscribe(viewer, view) is None
    for what, number, value in steps:
        if what == "mark":
            fleet.mark(f"l-{number}", alarms=(0, number * value, 0, 0), maintenance=value)
        elif what == "site":
            sites[number] = SITES[value]
            fleet.load(specs(sites))
        elif what == "gone":
            sites.pop(number, None)
            fleet.load(specs(sites))
        else:
            list(pipes.values())[number].take(value)
        live.flush()
    for view, pipe in pipes.items():
        viewer = viewers[view]
        while pipe.held or viewer.is_lagging:
            pipe.take(len(pipe.held))
            live._pump([viewer])  # noqa: SLF001 - what the hub does twenty times a second
        page = Page()
        for frame in pipe.frames():
            page.hear(frame)
        assert page.lockers == truth(fleet, NORTH if view != "fleet" else None)


def board(frames_max: int) -> tuple[Broadcaster, Fleet]:
    fleet = Fleet(silent_after_ms=1e9)
    config = LiveSettings(viewer_queue_frames_max=frames_max)
    return Broadcaster(config, CommandSettings(), fleet, Metrics("0")), fleet


def specs(sites: dict[int, str]) -> list[Any]:
    return [locker(f"l-{number}", site, doors=()) for number, site in sites.items()]


def test_a_full_queue_is_emptied_and_the_viewer_is_behind() -> None:
    pipe = Pipe()
    viewer = Viewer(1, pipe, Role.ADMIN, frames_max=2)
    viewer.views = {"fleet", "events"}
    pipe.held += bytes(BUFFER_BYTES_MAX + 1)
    one, two, three = (LiveFrame(text) for text in (b"1", b"2", b"3"))
    assert viewer.push(one, "fleet")
    assert viewer.push(two, "events")
    viewer.pump()
    assert viewer.queued == 2, "there was no room"
    assert not viewer.push(three, "fleet")
    assert viewer.behind == {"fleet", "events"}
    assert viewer.queued == 0
    # What is behind gets a snapshot, and no changes before it.
    assert viewer.push(one, "fleet")
    assert viewer.queued == 0
    assert viewer.push(two)
    pipe.take(len(pipe.held))
    viewer.pump()
    assert pipe.held == b"\x81\x012"


def test_what_waits_goes_out_in_one_write_and_in_order() -> None:
    pipe = Pipe()
    viewer = Viewer(1, pipe, Role.ADMIN, frames_max=10)
    for text in (b"1", b"2", b"3"):
        viewer.push(LiveFrame(text))
    viewer.pump()
    assert texts(bytes(pipe.held)) == [b"1", b"2", b"3"]
    assert viewer.written_bytes == 9
    pipe.is_open = False
    viewer.push(LiveFrame(b"4"))
    viewer.pump()
    assert viewer.queued == 0, "nobody will read it"
    assert viewer.written_bytes == 9


def test_who_takes_nothing_is_stuck_and_who_takes_a_little_is_not() -> None:
    pipe = Pipe()
    viewer = Viewer(1, pipe, Role.ADMIN, frames_max=10)
    viewer.push(LiveFrame(bytes(300_000)))
    viewer.pump()
    assert not viewer.is_stuck(0.0, 5.0)
    pipe.take(100)
    assert not viewer.is_stuck(4.9, 5.0)
    assert viewer.is_stuck(5.0, 5.0)
    pipe.take(20_000)
    assert not viewer.is_stuck(5.1, 5.0)
    assert not viewer.is_stuck(10.0, 5.0)
    pipe.take(220_000)
    assert not viewer.is_stuck(50.0, 5.0), "what is left is no more than may wait"


async def test_snapshots_never_pile_up_behind_who_does_not_read() -> None:
    live, fleet = board(4)
    fleet.load([locker(f"l-{number}", "x" * 100, doors=()) for number in range(400)])
    pipe = Pipe()
    viewer = live.admit(pipe, Role.VIEWER)
    assert viewer is not None
    assert await live.subscribe(viewer, "fleet") is None
    size = len(pipe.held)
    assert size > BUFFER_BYTES_MAX
    for _ in range(100):
        assert await live.subscribe(viewer, "fleet") is None
        assert await live.subscribe(viewer, "site:" + "x" * 100) is None
    assert len(pipe.held) == size
    assert viewer.queued == 0
    while pipe.held or viewer.is_lagging:
        pipe.take(len(pipe.held))
        live._pump([viewer])  # noqa: SLF001 - what the hub does twenty times a second
    told = [(frame["type"], frame["view"]) for frame in pipe.frames()]
    assert told == [("snapshot", "fleet"), ("snapshot", "fleet"), ("snapshot", "site:" + "x" * 100)]
    live.leave(viewer)
    assert not live.viewers


async def test_what_changed_while_nobody_looked_is_in_the_next_snapshot() -> None:
    live, fleet = board(4)
    fleet.load(specs({1: "north", 2: "north", 3: "north"}))
    for turn in range(3):
        pipe = Pipe()
        viewer = live.admit(pipe, Role.VIEWER)
        assert viewer is not None
        assert await live.subscribe(viewer, "fleet") is None
        assert await live.subscribe(viewer, "summary") is None
        pipe.take(len(pipe.held))
        fleet_now, summary = (frame["data"] for frame in pipe.frames())
        assert {one["id"]: one for one in fleet_now["lockers"]} == truth(fleet)
        assert summary["alarms"]["high"] == turn
        assert summary["lockers"]["never_seen"] == 3 - (turn > 1)
        assert live.open_views == {"fleet", "summary"}
        live.leave(viewer)
        assert not live.open_views
        fleet.mark("l-1", alarms=(0, turn + 1, 0, 0), maintenance=False)
        live.flush()
        if turn:
            fleet.load(specs({1: "south", 2: "north"}))
            live.flush()
            fleet.load(specs({1: "south", 2: "north", 3: "north"}))
            fleet.load(specs({1: "south", 3: "north"}))
        live.flush()


def test_frames_that_wait_are_bounded_in_bytes() -> None:
    pipe = Pipe()
    viewer = Viewer(1, pipe, Role.ADMIN, frames_max=100, bytes_max=1000)
    viewer.views = {"fleet"}
    assert viewer.push(LiveFrame(b"x" * 5000)), "one alone is never too much"
    assert not viewer.push(LiveFrame(b"x"))
    assert (viewer.queued, viewer.behind) == (0, {"fleet"})
    assert [viewer.push(LiveFrame(b"x" * 400)) for _ in range(3)] == [True, True, False]
