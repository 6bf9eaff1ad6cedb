"""Websocket viewers: a snapshot, then coalesced and numbered changes.

Each view (fleet, one locker, events) is encoded once per change for all of its viewers, at most every
`diff_interval_ms`; the latest value of a locker or door wins. A viewer has one bounded queue. When it is full the
viewer is behind: its queue is emptied, and each of its views starts again with a snapshot once it reads again.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson

from hub import clock
from hub.api.views import (
    EventView,
    command_view,
    door_view,
    event_of_batch,
    locker_detail,
    locker_view,
)
from hub.config import Commands
from hub.config import Live as LiveConfig
from hub.core.commands import Entry
from hub.core.fleet import Changes, Fleet
from hub.metrics import Metrics
from wire.messages import Events

FLEET: Final = "fleet"
EVENTS: Final = "events"

_log = logging.getLogger(__name__)
_EVENTS_SHOWN: Final = 100
_EVENTS_A_DIFF_MAX: Final = 200
_COMMANDS_SHOWN: Final = 20


class Viewer:
    """One websocket: its queue of frames, and the views that must start again."""

    def __init__(self, frames_max: int) -> None:
        self.views: set[str] = set()
        self.behind: set[str] = set()
        self.wake = asyncio.Event()
        self._frames: deque[bytes] = deque()
        self._frames_max = frames_max

    def push(self, frame: bytes, view: str | None = None) -> bool:
        """Queue a frame. Returns False when the queue was full, was emptied, and the viewer is now behind."""
        if view is not None and view in self.behind:
            return True
        self.wake.set()
        if len(self._frames) >= self._frames_max:
            self._frames.clear()
            self.behind |= self.views
            return False
        self._frames.append(frame)
        return True

    def next(self) -> bytes | None:
        """Return the next frame, or None."""
        return self._frames.popleft() if self._frames else None


class _View:
    def __init__(self, name: str) -> None:
        self.name = name
        self.seq = 0
        self.viewers: set[Viewer] = set()


class Live:
    """All viewers and views."""

    def __init__(self, config: LiveConfig, commands: Commands, fleet: Fleet, metrics: Metrics) -> None:
        self._config = config
        self._commands_config = commands
        self._fleet = fleet
        self._views: dict[str, _View] = {}
        self._waker = asyncio.Event()
        self._events: deque[EventView] = deque(maxlen=_EVENTS_SHOWN)
        self._of_locker: dict[str, deque[EventView]] = {}
        self._new_events: deque[tuple[str, Events, int, int, int]] = deque()
        """Arguments of `event_of_batch`; in a flood most of them are never drawn."""
        self._skipped: Counter[str] = Counter()
        self._commands: dict[str, dict[Any, Entry]] = {}
        self._recent: dict[str, deque[Entry]] = {}
        self._viewers = 0
        self._gauge = metrics.live_viewers
        self._frames = metrics.live_frames
        self._resyncs = metrics.live_resyncs
        self.closed = metrics.live_closed
        self._load_events: Callable[[str], Awaitable[list[EventView]]] | None = None

    def load_with(self, load: Callable[[str], Awaitable[list[EventView]]]) -> None:
        """Give the way to a locker's newest events, newest first."""
        self._load_events = load

    def start(self, newest: list[EventView]) -> None:
        """Begin with the events of before, newest first."""
        self._events.extend(newest[:_EVENTS_SHOWN])

    # What happened, told by intake and dispatch.

    def wake(self) -> None:
        """Draw what changed in the fleet."""
        self._waker.set()

    def event(self, locker: str, batch: Events, place: int, occurred_ms: int, received_ms: int) -> None:
        """Show a new ledger event."""
        self._waker.set()
        if len(self._new_events) == _EVENTS_A_DIFF_MAX:
            self._skipped[self._new_events.popleft()[0]] += 1
        self._new_events.append((locker, batch, place, occurred_ms, received_ms))

    def command(self, entry: Entry) -> None:
        """Show a command as it stands."""
        locker = entry.order.locker
        recent = self._recent.setdefault(locker, deque(maxlen=_COMMANDS_SHOWN))
        if entry not in recent:
            recent.appendleft(entry)
        if f"locker:{locker}" in self._views:
            self._commands.setdefault(locker, {})[entry.id] = entry
            self._waker.set()

    def recent_commands(self, locker: str) -> list[Entry]:
        """Return this hub's newest commands of a locker, newest first."""
        return list(self._recent.get(locker, ()))

    # What viewers ask for.

    def admit(self) -> Viewer | None:
        """Let a viewer in, or return None at the limit."""
        if self._viewers >= self._config.viewers_max:
            return None
        self._viewers += 1
        self._gauge.set(self._viewers)
        return Viewer(self._config.viewer_queue_frames_max)

    def leave(self, viewer: Viewer) -> None:
        """Forget a viewer."""
        for name in list(viewer.views):
            self.unsubscribe(viewer, name)
        self._viewers -= 1
        self._gauge.set(self._viewers)

    async def subscribe(self, viewer: Viewer, name: str) -> str | None:
        """Add a view to a viewer, snapshot first. Returns None, or the code of why not."""
        if name not in viewer.views and len(viewer.views) >= self._config.views_per_viewer_max:
            return "too_many_views"
        kind, _, locker = name.partition(":")
        if name not in {FLEET, EVENTS} and not (kind in {EVENTS, "locker"} and locker):
            return "view_unknown"
        if kind == "locker" or locker:
            if locker not in self._fleet.lockers:
                return "locker_unknown"
            if kind == EVENTS and locker not in self._of_locker and self._load_events is not None:
                loaded = await self._load_events(locker)
                self.flush()
                # The newest may not be committed yet, or be among the loaded as well.
                shown = [event for event in self._events if event.locker == locker]
                known = {(event.epoch, event.seq) for event in shown}
                older = [event for event in loaded if (event.epoch, event.seq) not in known]
                self._of_locker[locker] = deque([*shown, *older][:_EVENTS_SHOWN], maxlen=_EVENTS_SHOWN)
        view = self._views.get(name)
        if view is None:
            view = self._views[name] = _View(name)
        # What is pending belongs into the snapshot, and not into the next diff once more.
        self.flush()
        view.viewers.add(viewer)
        viewer.views.add(name)
        viewer.behind.discard(name)
        viewer.push(self.snapshot(name), name)
        return None

    def unsubscribe(self, viewer: Viewer, name: str) -> None:
        """Take a view from a viewer."""
        viewer.views.discard(name)
        viewer.behind.discard(name)
        view = self._views.get(name)
        if view is None:
            return
        view.viewers.discard(viewer)
        if not view.viewers:
            del self._views[name]
            kind, _, locker = name.partition(":")
            if kind == EVENTS and locker:
                self._of_locker.pop(locker, None)
            if kind == "locker":
                self._commands.pop(locker, None)

    def snapshot(self, name: str) -> bytes:
        """Return the snapshot of a view that someone has subscribed to."""
        kind, _, locker = name.partition(":")
        data: Any
        if kind == FLEET:
            data = {"lockers": [locker_view(one) for one in self._fleet.lockers.values()]}
        elif kind == EVENTS:
            data = {"events": list(self._of_locker[locker] if locker else self._events)}
        elif locker in self._fleet.lockers:
            commands = [command_view(entry, self._commands_config) for entry in self.recent_commands(locker)]
            data = locker_detail(self._fleet.lockers[locker], commands)
        else:
            return error_frame("locker_unknown", f"{locker} is no longer in the registry", name)
        self._frames.labels("snapshot").inc()
        return _frame("snapshot", name, self._views[name].seq, data)

    def resync(self, viewer: Viewer) -> list[bytes]:
        """Return the frames that bring a viewer that was behind up to date."""
        self.flush()
        frames = []
        for name in sorted(viewer.behind & viewer.views):
            self._resyncs.inc()
            frames.append(orjson.dumps({"type": "resync", "view": name}))
            frames.append(self.snapshot(name))
        viewer.behind.clear()
        return frames

    # The drawing.

    async def run(self) -> None:
        """Send diffs when there are changes, at most once every `diff_interval_ms`, until cancelled."""
        while True:
            await self._waker.wait()
            self._waker.clear()
            self.flush()
            await asyncio.sleep(self._config.diff_interval_ms / 1000)

    def flush(self) -> None:
        """Send what has changed."""
        changes = self._fleet.take_changes()
        self._flush_events()
        if not self._views:
            return
        if changes and FLEET in self._views:
            lockers = [locker_view(self._fleet.lockers[one]) for one in sorted(changes.lockers)]
            self._send(FLEET, {"lockers": lockers, "removed": sorted(changes.removed)})
        self._flush_lockers(changes)

    def _flush_lockers(self, changes: Changes) -> None:
        touched = changes.lockers | changes.doors.keys() | self._commands.keys()
        for locker_id in touched:
            name = f"locker:{locker_id}"
            locker = self._fleet.lockers.get(locker_id)
            if name not in self._views or locker is None:
                continue
            data: dict[str, Any] = {}
            if locker_id in changes.lockers:
                data["locker"] = locker_view(locker)
            doors = sorted(changes.doors.get(locker_id, set()) & locker.doors.keys())
            if doors:
                data["doors"] = [door_view(locker, locker.doors[number]) for number in doors]
            commands = self._commands.pop(locker_id, None)
            if commands:
                data["commands"] = [command_view(entry, self._commands_config) for entry in commands.values()]
            if data:
                self._send(name, data)

    def _flush_events(self) -> None:
        if not self._new_events:
            return
        skipped, self._skipped = self._skipped, Counter()
        new = [event_of_batch(*told) for told in reversed(self._new_events)]
        self._new_events.clear()
        by_locker: dict[str, list[EventView]] = {}
        for event in reversed(new):
            self._events.appendleft(event)
            if event.locker in self._of_locker:
                self._of_locker[event.locker].appendleft(event)
                by_locker.setdefault(event.locker, []).insert(0, event)
        if EVENTS in self._views:
            self._send(EVENTS, {"events": new, "skipped": skipped.total()})
        for locker in by_locker.keys() | skipped.keys():
            if f"{EVENTS}:{locker}" in self._views:
                data = {"events": by_locker.get(locker, []), "skipped": skipped[locker]}
                self._send(f"{EVENTS}:{locker}", data)

    def _send(self, name: str, data: Any) -> None:  # noqa: ANN401 - whatever orjson can write
        view = self._views[name]
        view.seq += 1
        frame = _frame("diff", name, view.seq, data)
        for viewer in view.viewers:
            viewer.push(frame, name)
        self._frames.labels("diff").inc(len(view.viewers))


def hello_frame(version: str, hub: str) -> bytes:
    """Return the first frame of a connection."""
    return orjson.dumps(
        {"type": "hello", "protocol": 1, "version": version, "hub": hub, "now": clock.wall()},
        option=orjson.OPT_UTC_Z,
    )


def pong_frame() -> bytes:
    """Return the answer to a viewer's ping: a quiet hub, not a dead one."""
    return orjson.dumps({"type": "pong", "now": clock.wall()}, option=orjson.OPT_UTC_Z)


def error_frame(code: str, detail: str, view: str | None) -> bytes:
    """Return a frame that says what was wrong."""
    return orjson.dumps({"type": "error", "code": code, "detail": detail, "view": view})


def _frame(kind: str, view: str, seq: int, data: Any) -> bytes:  # noqa: ANN401 - whatever orjson can write
    return orjson.dumps(
        {"type": kind, "view": view, "seq": seq, "at": clock.wall(), "data": data}, option=orjson.OPT_UTC_Z
    )
