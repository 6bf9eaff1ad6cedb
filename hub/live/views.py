"""What a view is: it shows how things stand, and then, turn after turn, what has changed.

A view exists while somebody has it; all its viewers share it, and each of its frames.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from functools import cached_property
from typing import Any, Protocol
from uuid import UUID

from hub.core.commands import CommandRecord
from hub.core.fleet import FleetChanges
from hub.operators import Role
from hub.schemas.fleet import EventView


@dataclass
class Changes:
    """What has happened since the last turn, the same for every view."""

    at: datetime
    fleet: FleetChanges = field(default_factory=FleetChanges)
    rows: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    """Of lockers that differ from how they were drawn last: the fields that differ."""
    events: list[EventView] = field(default_factory=list)
    """Newest first."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Events left out, by locker."""
    commands: dict[UUID, CommandRecord] = field(default_factory=dict)
    alarms: tuple[set[UUID], set[UUID]] = field(default_factory=lambda: (set(), set()))
    """Alarms that changed, and those that closed."""

    @cached_property
    def events_by_locker(self) -> dict[str, list[EventView]]:
        """The events of each locker, newest first."""
        sorted_out: dict[str, list[EventView]] = {}
        for event in self.events:
            sorted_out.setdefault(event.locker, []).append(event)
        return sorted_out

    @cached_property
    def commands_by_locker(self) -> dict[str, list[CommandRecord]]:
        """The changed commands of each locker."""
        sorted_out: dict[str, list[CommandRecord]] = {}
        for entry in self.commands.values():
            sorted_out.setdefault(entry.order.locker, []).append(entry)
        return sorted_out


class View(Protocol):
    """One view. All but `prepare` and `refresh` neither wait nor raise."""

    refresh_s: float | None
    """How often `refresh` is to be called; None: never."""

    async def prepare(self) -> None:
        """Get ready, once, before the first snapshot. Turns come already meanwhile."""
        ...

    async def refresh(self) -> None:
        """Ask for what nobody tells; the next turn shows it."""
        ...

    def snapshot(self) -> Any:  # noqa: ANN401 - whatever orjson can write
        """Return how things stand as of the last turn. None: what it was about is gone."""
        ...

    def diff(self, turn: Changes) -> Any:  # noqa: ANN401 - whatever orjson can write
        """Return what a turn has changed, or None for nothing."""
        ...

    def close(self) -> None:
        """Nobody has it any more."""
        ...


class StaticView:
    """A view that needs nothing done but to be drawn."""

    refresh_s: float | None = None

    async def prepare(self) -> None:
        """Nothing to get ready."""

    async def refresh(self) -> None:
        """Nothing to ask for."""

    def close(self) -> None:
        """Nothing to give back."""


class TopicScope(Enum):
    """What stands behind the colon of a view's name."""

    NOTHING = 0
    SITE = 1
    LOCKER = 2
    MAYBE_LOCKER = 3
    """A locker, or neither it nor a colon."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A kind of views: those of one name, for whatever they are about."""

    name: str
    subject: TopicScope
    open: Callable[[str], View]
    """Makes the view; gets what stands behind the colon."""
    role: Role = Role.VIEWER
