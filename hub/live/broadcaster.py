"""All viewers and views: who looks at what, and the turns in which they are told.

Everything that happened since the last turn is drawn at once, at most every `diff_interval_ms`: each view says what
has changed, that becomes one frame, and the frame is written to every viewer's connection without waiting for any.
"""

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Any, Final

from hub import clock
from hub.config.settings import CommandSettings, LiveSettings
from hub.core.commands import CommandRecord
from hub.core.fleet import Fleet
from hub.live.alarm_views import AlarmSource, AlarmsView
from hub.live.feeds import (
    COMMANDS_SHOWN,
    EVENTS_SHOWN,
    CommandsView,
    EventsView,
    JobsView,
    LoadCommands,
    LoadEvents,
    LoadJobs,
    LockerEventsView,
)
from hub.live.fleet_views import FleetView, LockerLiveView, SiteView, SummaryView
from hub.live.frames import LiveFrame, data_frame, error_frame, resync_frame
from hub.live.recent import RecentCommands
from hub.live.rows import LockerRows
from hub.live.subscribers import Outlet, Viewer
from hub.live.views import Changes, Topic, TopicScope, View
from hub.metrics import Metrics
from hub.operators import Role
from hub.schemas.fleet import EventView, event_of_batch
from hub.tasks import Make
from wire.messages import EventBatch

_log = logging.getLogger(__name__)
_EVENTS_A_DIFF_MAX: Final = 200
_COMMANDS_OF_LOCKER: Final = 20
_BEAT_S: Final = 1.0
_LAG_LOOK_S: Final = 0.05
"""How often a viewer that does not keep up is looked after."""


class _Channel:
    """A view and those who have it."""

    def __init__(self, kind: Topic, view: View) -> None:
        self.kind = kind
        self.view = view
        self.seq = 0
        self.viewers: set[Viewer] = set()
        self.is_ready = False
        self.getting_ready = asyncio.Lock()
        self.coming = 0
        """Viewers that wait for it to be ready."""
        self.refreshed_s = time.monotonic()

    def is_due(self, now_s: float) -> bool:
        """Whether its view is to be refreshed: half a beat early is better than a whole one late."""
        every_s = self.view.refresh_s
        return every_s is not None and self.is_ready and now_s - self.refreshed_s >= every_s - _BEAT_S / 2


class Broadcaster:
    """All viewers and views."""

    def __init__(self, config: LiveSettings, commands: CommandSettings, fleet: Fleet, metrics: Metrics) -> None:
        self._config = config
        self._fleet = fleet
        self._rows = LockerRows(fleet)
        self._channels: dict[str, _Channel] = {}
        self._waker = asyncio.Event()
        self._lagging: set[Viewer] = set()
        self._someone_lags = asyncio.Event()
        self._events: deque[EventView] = deque(maxlen=EVENTS_SHOWN)
        self._new_events: deque[tuple[str, EventBatch, int, int, int]] = deque()
        """Arguments of `event_of_batch`; in a flood most of them are never drawn."""
        self._skipped: Counter[str] = Counter()
        self._commands: dict[Any, CommandRecord] = {}
        self._recent = RecentCommands(_COMMANDS_OF_LOCKER, COMMANDS_SHOWN)
        self._alarms: AlarmSource | None = None
        self._viewers: set[Viewer] = set()
        self._numbers = 0
        self._load_events: LoadEvents = _none_of
        self._load_commands: LoadCommands = _none_of
        self._gauge = metrics.live_viewers
        self._frames = metrics.live_frames
        self._bytes = metrics.live_bytes
        self._resyncs = metrics.live_resyncs
        self.closed = metrics.live_closed
        metrics.live_behind.set_function(lambda: self.behind)
        self._kinds: dict[str, Topic] = {}
        self._offer_own(commands)

    # What there is to see.

    def offer(self, kind: Topic) -> None:
        """Let viewers have views of another kind."""
        self._kinds[kind.name] = kind

    def load_with(self, load: LoadEvents) -> None:
        """Give the way to a locker's newest events, newest first."""
        self._load_events = load

    def load_commands_with(self, load: LoadCommands) -> None:
        """Give the way to the newest commands, newest first."""
        self._load_commands = load

    def show_jobs(self, load: LoadJobs) -> None:
        """Offer the jobs."""
        self.offer(Topic("jobs", TopicScope.NOTHING, lambda _: JobsView(load)))

    def show_alarms(self, source: AlarmSource) -> None:
        """Offer the alarms, and count them in the summary. Before the first viewer."""
        self._alarms = source
        self.offer(Topic("alarms", TopicScope.MAYBE_LOCKER, lambda locker: AlarmsView(source, locker or None)))

    def start(self, newest: list[EventView]) -> None:
        """Begin with the events of before, newest first."""
        self._events.extend(newest[:EVENTS_SHOWN])

    # What happened.

    def wake(self) -> None:
        """Draw what changed."""
        self._waker.set()

    def event(self, locker: str, batch: EventBatch, place: int, occurred_ms: int, received_ms: int) -> None:
        """Show a new ledger event."""
        self._waker.set()
        if len(self._new_events) == _EVENTS_A_DIFF_MAX:
            self._skipped[self._new_events.popleft()[0]] += 1
        self._new_events.append((locker, batch, place, occurred_ms, received_ms))

    def command(self, entry: CommandRecord) -> None:
        """Show a command as it stands."""
        self._recent.add(entry)
        if self._channels:
            self._commands[entry.id] = entry
            self._waker.set()

    def recent_commands(self, locker: str) -> list[CommandRecord]:
        """Return this hub's newest commands of a locker, newest first."""
        return self._recent.of(locker)

    # Who looks.

    @property
    def viewers(self) -> frozenset[Viewer]:
        """Everybody."""
        return frozenset(self._viewers)

    @property
    def open_views(self) -> frozenset[str]:
        """The names of views that somebody has."""
        return frozenset(self._channels)

    @property
    def viewers_max(self) -> int:
        """How many there may be."""
        return self._config.viewers_max

    @property
    def behind(self) -> int:
        """How many viewers have to start a view again."""
        return sum(1 for viewer in self._lagging if viewer.behind)

    def admit(self, outlet: Outlet, role: Role) -> Viewer | None:
        """Let a viewer in, or return None at the limit."""
        if len(self._viewers) >= self._config.viewers_max:
            return None
        self._numbers += 1
        viewer = Viewer(self._numbers, outlet, role, self._config.viewer_queue_frames_max)
        self._viewers.add(viewer)
        self._gauge.set(len(self._viewers))
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """Forget a viewer."""
        for name in list(viewer.views):
            self.unsubscribe(viewer, name)
        self._viewers.discard(viewer)
        self._lagging.discard(viewer)
        self._gauge.set(len(self._viewers))

    def tell(self, viewer: Viewer, frame: LiveFrame) -> None:
        """Send a viewer what is for it alone."""
        viewer.push(frame)
        self._pump((viewer,))

    async def subscribe(self, viewer: Viewer, name: str) -> str | None:
        """Add a view to a viewer, snapshot first. Returns None, or the code of why not."""
        if name not in viewer.views and len(viewer.views) >= self._config.views_per_viewer_max:
            return "too_many_views"
        found = self._find(name)
        if isinstance(found, str):
            return found
        kind, about = found
        if not viewer.role.covers(kind.role):
            return "role_needed"
        channel = self._channels.get(name)
        if channel is None:
            channel = self._channels[name] = _Channel(kind, kind.open(about))
        await self._get_ready(name, channel)
        channel.viewers.add(viewer)
        viewer.forget(name)
        viewer.views.add(name)
        if viewer.has_room:
            viewer.push(self._snapshot(name, channel))
        else:
            viewer.due.add(name)
        self._pump((viewer,))
        return None

    def unsubscribe(self, viewer: Viewer, name: str) -> None:
        """Take a view from a viewer."""
        viewer.forget(name)
        channel = self._channels.get(name)
        if channel is not None:
            channel.viewers.discard(viewer)
            self._let_go(name, channel)

    # The turns.

    def tasks(self) -> dict[str, Make]:
        """Return the tasks that tell viewers until they are cancelled."""
        return {"live.turns": self._turns, "live.lagging": self._follow_lagging, "live.beat": self._beat}

    def flush(self) -> None:
        """Tell what has changed."""
        turn = Changes(clock.wall(), self._fleet.take_changes())
        if turn.fleet:
            turn.rows = self._rows.update(turn.fleet)
        self._take_events(turn)
        if self._commands:
            turn.commands, self._commands = self._commands, {}
        if self._alarms is not None:
            turn.alarms = self._alarms.take_changes()
        touched: set[Viewer] = set()
        for name, channel in self._channels.items():
            data = channel.view.diff(turn)
            if data is not None and channel.viewers:
                self._send(name, channel, turn, data)
                touched |= channel.viewers
        if touched:
            self._pump(touched)

    async def _turns(self) -> None:
        # Of a turn that failed nobody can say what was told: all who watch start again.
        for name, channel in self._channels.items():
            for viewer in channel.viewers:
                viewer.behind.add(name)
                self._lagging.add(viewer)
        if self._lagging:
            self._someone_lags.set()
        while True:
            await self._waker.wait()
            self._waker.clear()
            began_s = time.monotonic()
            self.flush()
            took_s = time.monotonic() - began_s
            await asyncio.sleep(max(0.0, self._config.diff_interval_ms / 1000 - took_s))

    async def _beat(self) -> None:
        """Ask once a second for what nobody tells, where somebody looks at it."""
        while True:
            now_s = time.monotonic()
            due = [channel for channel in self._channels.values() if channel.is_due(now_s)]
            for channel in due:
                channel.refreshed_s = now_s
            if due:
                await asyncio.gather(*(channel.view.refresh() for channel in due))
                self._waker.set()
            await asyncio.sleep(_BEAT_S)

    async def _follow_lagging(self) -> None:
        """Give viewers that do not keep up what they have room for, and let those go that take nothing."""
        while True:
            await self._someone_lags.wait()
            self._pump(list(self._lagging))
            now_s = time.monotonic()
            for viewer in list(self._lagging):
                if viewer.is_stuck(now_s, self._config.send_timeout_s):
                    self._lagging.discard(viewer)
                    self.closed.labels("never_reads").inc()
                    # It cannot be told; its connection is cut so that nothing piles up behind it.
                    viewer.outlet.cut()
            if not self._lagging:
                self._someone_lags.clear()
            await asyncio.sleep(_LAG_LOOK_S)

    def _pump(self, viewers: Iterable[Viewer]) -> None:
        written = 0
        for viewer in viewers:
            before = viewer.written_bytes
            viewer.pump()
            if (viewer.behind or viewer.due) and viewer.has_room and viewer.outlet.is_open:
                self._start_again(viewer)
            written += viewer.written_bytes - before
            if viewer.is_lagging or viewer.outlet.buffered_bytes:
                self._lagging.add(viewer)
                self._someone_lags.set()
            else:
                self._lagging.discard(viewer)
        self._bytes.inc(written)

    def _start_again(self, viewer: Viewer) -> None:
        for name in sorted(viewer.behind | viewer.due):
            if not viewer.has_room:
                return
            channel = self._channels[name]
            if name in viewer.behind:
                viewer.resyncs += 1
                self._resyncs.inc()
                viewer.push(resync_frame(name))
                # A queue of one has no place for both.
                viewer.pump()
            viewer.behind.discard(name)
            viewer.due.discard(name)
            viewer.push(self._snapshot(name, channel))
            viewer.pump()

    def _snapshot(self, name: str, channel: _Channel) -> LiveFrame:
        data = channel.view.snapshot()
        if data is None:
            return error_frame("locker_unknown", "The registry does not have this locker any more.", name)
        self._frames.labels("snapshot").inc()
        return data_frame("snapshot", name, channel.seq, clock.wall(), data)

    def _send(self, name: str, channel: _Channel, turn: Changes, data: Any) -> None:  # noqa: ANN401 - what a view draws
        channel.seq += 1
        frame = data_frame("diff", name, channel.seq, turn.at, data)
        for viewer in channel.viewers:
            viewer.push(frame, name)
        self._frames.labels("diff").inc(len(channel.viewers))

    def _take_events(self, turn: Changes) -> None:
        if not self._new_events:
            return
        turn.skipped, self._skipped = self._skipped, Counter()
        turn.events = [event_of_batch(*told) for told in reversed(self._new_events)]
        self._new_events.clear()
        self._events.extendleft(reversed(turn.events))

    # Names of views.

    def _find(self, name: str) -> tuple[Topic, str] | str:
        """Return what a name stands for, or the code of why there is nothing."""
        word, colon, about = name.partition(":")
        kind = self._kinds.get(word)
        if kind is None or (colon and not about):
            return "view_unknown"
        if not colon:
            return (kind, "") if kind.subject in {TopicScope.NOTHING, TopicScope.MAYBE_LOCKER} else "view_unknown"
        if kind.subject is TopicScope.NOTHING:
            return "view_unknown"
        if kind.subject is TopicScope.SITE:
            known = any(locker.spec.site == about for locker in self._fleet.lockers.values())
            return (kind, about) if known else "site_unknown"
        return (kind, about) if about in self._fleet.lockers else "locker_unknown"

    async def _get_ready(self, name: str, channel: _Channel) -> None:
        channel.coming += 1
        try:
            async with channel.getting_ready:
                if not channel.is_ready:
                    await channel.view.prepare()
                    channel.is_ready = True
        finally:
            channel.coming -= 1
            if not channel.is_ready:
                self._let_go(name, channel)

    def _let_go(self, name: str, channel: _Channel) -> None:
        if not channel.viewers and not channel.coming and self._channels.get(name) is channel:
            del self._channels[name]
            channel.view.close()

    def _offer_own(self, commands: CommandSettings) -> None:
        rows, fleet, recent = self._rows, self._fleet, self._recent
        own: dict[str, tuple[TopicScope, Callable[[str], View]]] = {
            "summary": (TopicScope.NOTHING, lambda _: SummaryView(rows, self._alarms)),
            "fleet": (TopicScope.NOTHING, lambda _: FleetView(rows)),
            "site": (TopicScope.SITE, lambda site: SiteView(rows, site)),
            "locker": (TopicScope.LOCKER, lambda locker: LockerLiveView(fleet, locker, commands, recent)),
            "events": (TopicScope.MAYBE_LOCKER, self._events_view),
            "commands": (TopicScope.NOTHING, lambda _: CommandsView(recent, commands, self._load_commands)),
        }
        for name, (subject, make) in own.items():
            self.offer(Topic(name, subject, make))

    def _events_view(self, locker: str) -> View:
        return LockerEventsView(self._events, locker, self._load_events) if locker else EventsView(self._events)


async def _none_of(_: object) -> list[Any]:
    return []
