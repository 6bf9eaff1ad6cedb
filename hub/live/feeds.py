"""What comes one after the other: events, commands, jobs."""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final
from uuid import UUID

from hub.config.settings import CommandSettings
from hub.live.recent import RecentCommands
from hub.live.views import Changes, StaticView
from hub.schemas.fleet import CommandView, EventView, command_view

EVENTS_SHOWN: Final = 100
COMMANDS_SHOWN: Final = 100
JOBS_SHOWN: Final = 50

LoadEvents = Callable[[str], Awaitable[list[EventView]]]
"""Returns a locker's newest events, newest first; none if the database is away."""
LoadCommands = Callable[[int], Awaitable[list[CommandView]]]
"""Returns the newest commands, newest first; none if the database is away."""
LoadJobs = Callable[[int], Awaitable[list[dict[str, Any]] | None]]
"""Returns the newest jobs with their counts, newest first; None if the database is away."""


class EventsView(StaticView):
    """All events."""

    def __init__(self, newest: "deque[EventView]") -> None:
        self._newest = newest

    def snapshot(self) -> dict[str, Any]:
        """Return the newest."""
        return {"events": list(self._newest)}

    def diff(self, turn: Changes) -> dict[str, Any] | None:
        """Return the new ones."""
        if not turn.events and not turn.skipped:
            return None
        return {"events": turn.events, "skipped": turn.skipped.total()}


class LockerEventsView(StaticView):
    """The events of one locker."""

    def __init__(self, newest: "deque[EventView]", locker: str, load: LoadEvents) -> None:
        self._locker = locker
        self._load = load
        self._newest: deque[EventView] = deque(
            (event for event in newest if event.locker == locker), maxlen=EVENTS_SHOWN
        )
        self._loaded: set[tuple[UUID, int]] = set()

    async def prepare(self) -> None:
        """Read those of before."""
        loaded = await self._load(self._locker)
        # The newest may not be committed yet, or be among the loaded as well.
        known = {(event.epoch, event.seq) for event in self._newest}
        older = [event for event in loaded if (event.epoch, event.seq) not in known]
        self._loaded = {(event.epoch, event.seq) for event in older}
        self._newest = deque([*self._newest, *older][:EVENTS_SHOWN], maxlen=EVENTS_SHOWN)

    def snapshot(self) -> dict[str, Any]:
        """Return the newest."""
        return {"events": list(self._newest)}

    def diff(self, turn: Changes) -> dict[str, Any] | None:
        """Return the new ones."""
        told = turn.events_by_locker.get(self._locker, [])
        # What was taken a moment ago may have been read from the database already.
        events = [event for event in told if (event.epoch, event.seq) not in self._loaded]
        for event in reversed(events):
            self._newest.appendleft(event)
        skipped = turn.skipped[self._locker]
        if not events and not skipped:
            return None
        return {"events": events, "skipped": skipped}


class CommandsView(StaticView):
    """The newest commands of all lockers."""

    def __init__(self, recent: RecentCommands, config: CommandSettings, load: LoadCommands) -> None:
        self._recent = recent
        self._config = config
        self._load = load
        self._loaded: list[CommandView] = []

    async def prepare(self) -> None:
        """Read those of before."""
        self._loaded = await self._load(COMMANDS_SHOWN)

    def snapshot(self) -> dict[str, Any]:
        """Return the newest."""
        known = {entry.id: command_view(entry, self._config) for entry in self._recent.all()}
        older = [one for one in self._loaded if one["id"] not in known]
        newest = sorted([*known.values(), *older], key=lambda one: one["accepted_at"], reverse=True)
        return {"commands": newest[:COMMANDS_SHOWN]}

    def diff(self, turn: Changes) -> dict[str, Any] | None:
        """Return those that are new or changed, whole."""
        if not turn.commands:
            return None
        return {"commands": [command_view(entry, self._config) for entry in turn.commands.values()]}


class JobsView(StaticView):
    """The newest jobs. Other hubs run jobs, too, so the database is asked while somebody looks."""

    refresh_s: float | None = 1.0

    def __init__(self, load: LoadJobs) -> None:
        self._load = load
        self._jobs: dict[UUID, dict[str, Any]] = {}
        self._changed: list[dict[str, Any]] = []

    async def prepare(self) -> None:
        """Read them."""
        await self.refresh()
        self._changed = []

    async def refresh(self) -> None:
        """Read them again; while the database is away they stay as they are."""
        jobs = await self._load(JOBS_SHOWN)
        if jobs is not None:
            self._changed += [job for job in jobs if self._jobs.get(job["id"]) != job]
            self._jobs = {job["id"]: job for job in jobs}

    def snapshot(self) -> dict[str, Any]:
        """Return the newest."""
        return {"jobs": list(self._jobs.values())}

    def diff(self, turn: Changes) -> dict[str, Any] | None:
        """Return those that are new or changed, whole."""
        del turn
        changed, self._changed = self._changed, []
        return {"jobs": changed} if changed else None
