"""Queries behind live views: events, commands and jobs that only the database has."""

from datetime import timedelta
from typing import Any, Final

from hub import clock
from hub.config.settings import Config
from hub.errors import StoreError, StoreUnavailable
from hub.live import Broadcaster
from hub.live.tap_view import tap_topic
from hub.mqtt.tap import MessageTap
from hub.schemas.fleet import CommandView, EventView, command_of_row
from hub.schemas.jobs import job_view
from hub.store.commands import CommandsQuery, CommandStore
from hub.store.database import Database
from hub.store.jobs import JobStore
from hub.store.rows import EventsQuery

_EVENTS_SHOWN: Final = 100
_EVENTS_BACK: Final = timedelta(days=90)
_EVENTS_AHEAD: Final = timedelta(minutes=1)
_COMMANDS_BACK: Final = timedelta(days=31)


class LiveQueries:
    """Gives the live views what the database has."""

    def __init__(self, live: Broadcaster, tap: MessageTap, config: Config, store: Database) -> None:
        self._live = live
        self._config = config
        self._store = store
        self._commands = CommandStore(store)
        self._jobs = JobStore(store)
        live.load_with(self._events_of)
        live.load_commands_with(self._commands_newest)
        live.show_jobs(self._jobs_newest)
        live.offer(tap_topic(tap, live.wake))

    async def load(self) -> None:
        """Begin with the events of before."""
        self._live.start([EventView(**row) for row in await self._store.events_newest(_EVENTS_SHOWN)])

    async def _events_of(self, locker: str) -> list[EventView]:
        now = clock.wall()
        try:
            rows = await self._store.events_of(
                EventsQuery(locker, now - _EVENTS_BACK, now + _EVENTS_AHEAD, _EVENTS_SHOWN)
            )
        except StoreUnavailable:
            # The view begins empty; what happens from now on is shown all the same.
            return []
        return [EventView(**row) for row in rows]

    async def _commands_newest(self, limit: int) -> list[CommandView]:
        try:
            rows = await self._commands.page(CommandsQuery(clock.wall() - _COMMANDS_BACK, limit))
        except StoreUnavailable:
            return []
        return [command_of_row(row, self._config.commands) for row in rows]

    async def _jobs_newest(self, limit: int) -> list[dict[str, Any]] | None:
        try:
            found = await self._jobs.newest(limit)
        except StoreError:
            return None
        shown = [(job_view(row), counts) for row, counts in found]
        return [
            {**{name: getattr(view, name) for name in view.__slots__}, "counts": counts} for view, counts in shown
        ]
