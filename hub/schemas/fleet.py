"""Response types of lockers, doors, events and commands; see docs/api.md.

Dataclasses, because orjson writes them as they are and msgspec makes their JSON Schema.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, Literal, TypedDict
from uuid import UUID

from hub import clock
from hub.config.settings import CommandSettings
from hub.core.commands import CommandRecord
from hub.core.fleet import Door, Locker
from hub.core.lanes import is_forget
from wire.messages import Args, CommandKind, EventBatch

_SAME_MAX: Final = 4096
"""Values that are kept to be shown again."""


@dataclass(frozen=True, slots=True)
class BoardsView:
    """Lock boards that the agent has, and that answer."""

    total: int
    online: int


@dataclass(frozen=True, slots=True)
class DoorCounts:
    """Doors by state."""

    total: int
    open: int
    closed: int
    unknown: int
    out_of_service: int


@dataclass(frozen=True, slots=True)
class AlarmCounts:
    """Open alarms that people are to see, by severity."""

    critical: int
    high: int
    medium: int
    low: int


@dataclass(frozen=True, slots=True)
class LockerView:
    """A locker in a list."""

    id: str
    name: str
    site: str
    address: str
    serial: str
    tags: list[str]
    state: Literal["online", "offline", "never_seen"]
    state_changed_at: datetime | None
    last_seen_at: datetime | None
    agent: str | None
    session: int | None
    boards: BoardsView | None
    door_counts: DoorCounts
    alarms: AlarmCounts
    maintenance: bool
    disabled: str | None


@dataclass(frozen=True, slots=True)
class DoorView:
    """A door. `state` is unknown while its locker or board does not answer; `last_known` keeps what was seen."""

    number: int
    label: str
    size: str
    row: int
    column: int
    state: Literal["open", "closed", "unknown"]
    state_changed_at: datetime | None
    last_known: Literal["open", "closed", "unknown"]
    occupied: bool | None
    service: Literal["in", "out"]
    service_reason: str | None


# `class` is a word of Python's, so that no class can have it as a field.
CommandView = TypedDict(
    "CommandView",
    {
        "id": UUID,
        "locker": str,
        "kind": str,
        "class": Literal["instant", "durable"],
        "door": int | None,
        "actor": UUID | None,
        "by": str | None,
        "reason": str | None,
        "args": Args | None,
        "state": Literal[
            "queued", "sent", "accepted", "timed_out", "rejected", "succeeded", "failed", "unknown", "expired",
            "cancelled",
        ],
        "detail": str | None,
        "outcome": Literal["opened", "closed", "open_not_detected"] | None,
        "late": bool,
        "accepted_at": datetime,
        "expires_at": datetime | None,
        "cancel_requested": bool,
        "attempts": int,
        "budget_ms": int,
        "deadline_ms": int,
        "stages_ms": dict[str, float],
    },
)  # fmt: skip
"""A command as it stands. `stages_ms` count from acceptance; a stage not reached is left out. `expires_at` and
`attempts` are a durable command's. `by` is the operator who gave it. Whom a `forget` is about is never shown: it
has no `args`."""


@dataclass(frozen=True, slots=True)
class LockerDetail(LockerView):
    """A locker with its doors and newest commands."""

    doors: list[DoorView]
    commands: list[CommandView]


@dataclass(frozen=True, slots=True)
class EventView:
    """One entry of a locker's ledger."""

    locker: str
    epoch: UUID
    seq: int
    kind: str
    door: int | None
    occurred_at: datetime
    received_at: datetime
    clock: str
    actor: UUID | None
    command: UUID | None
    transaction: UUID | None
    data: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class ReadingView:
    """One telemetry reading; what was not measured is null."""

    locker: str
    at: datetime
    temperature_c: float | None
    humidity_pct: float | None
    supply_v: float | None
    battery_pct: float | None
    rssi_dbm: float | None
    cpu_temp_c: float | None
    cpu_pct: float | None
    memory_pct: float | None
    disk_free_mb: float | None
    outbox_events: int | None
    board_errors: int | None
    extra: dict[str, float] | None


@dataclass(frozen=True, slots=True)
class LockerPage:
    """Lockers by id, and where to go on."""

    items: list[LockerView]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events, newest first, and where to go on."""

    items: list[EventView]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class ReadingPage:
    """Readings, newest first, and where to go on."""

    items: list[ReadingView]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class CommandPage:
    """Commands, newest first, and where to go on."""

    items: list[CommandView]
    next_cursor: str | None


# Few of these differ over a whole fleet, and a locker is drawn at each of its changes.
_boards_view = lru_cache(_SAME_MAX)(BoardsView)
_door_counts = lru_cache(_SAME_MAX)(DoorCounts)
_alarm_counts = lru_cache(_SAME_MAX)(AlarmCounts)


def locker_fields(locker: Locker) -> dict[str, Any]:
    """Return the fields of `LockerView`, by name."""
    spec, doors = locker.spec, locker.door_counts()
    return {
        "id": spec.id,
        "name": spec.name,
        "site": spec.site,
        "address": spec.address,
        "serial": spec.serial,
        "tags": list(spec.tags),
        "state": locker.state.value,
        "state_changed_at": locker.since,
        "last_seen_at": locker.heard_at,
        "agent": locker.agent,
        "session": locker.session or None,
        "boards": _boards_view(locker.boards_total, locker.boards_online if locker.reachable else 0),
        "door_counts": _door_counts(
            doors["total"], doors["open"], doors["closed"], doors["unknown"], doors["out_of_service"]
        ),
        "alarms": _alarm_counts(*locker.alarms),
        "maintenance": locker.maintenance,
        "disabled": spec.disabled,
    }


def locker_view(locker: Locker) -> LockerView:
    """Show a locker in a list."""
    return LockerView(**locker_fields(locker))


def door_view(locker: Locker, door: Door) -> DoorView:
    """Show a door."""
    spec = door.spec
    return DoorView(
        number=spec.number,
        label=spec.label,
        size=spec.size,
        row=spec.row,
        column=spec.column,
        state=locker.door_state(door).value,
        state_changed_at=door.since,
        last_known=door.known.value,
        occupied=door.occupied,
        service="in" if spec.in_service else "out",
        service_reason=spec.service_reason,
    )


def locker_detail(locker: Locker, commands: list[CommandView]) -> LockerDetail:
    """Show a locker with everything."""
    view = locker_view(locker)
    return LockerDetail(
        **{name: getattr(view, name) for name in LockerView.__slots__},
        doors=[door_view(locker, door) for _, door in sorted(locker.doors.items())],
        commands=commands,
    )


def command_view(entry: CommandRecord, config: CommandSettings) -> CommandView:
    """Show a command of this hub's memory."""
    order = entry.order
    return {
        "id": entry.id,
        "locker": order.locker,
        "kind": order.kind,
        "class": entry.command_class.value,
        "door": order.door,
        "actor": order.actor,
        "by": order.by,
        "reason": order.reason,
        "args": None if is_forget(entry) else order.args,
        "state": entry.state.value,
        "detail": entry.detail,
        "outcome": None if entry.outcome is None else entry.outcome.value,
        "late": entry.late,
        "accepted_at": entry.accepted_at,
        "expires_at": entry.expires_at,
        "cancel_requested": entry.cancel_requested,
        "attempts": entry.attempts,
        "budget_ms": config.open_budget_ms,
        "deadline_ms": round(entry.deadline_ms),
        "stages_ms": {stage: round(ms, 3) for stage, ms in entry.stages_ms.items()},
    }


def command_of_row(row: dict[str, Any], config: CommandSettings) -> CommandView:
    """Show a command from the database: its columns have the names of the view."""
    shown: CommandView = {**row, "budget_ms": config.open_budget_ms}  # type: ignore[typeddict-item]
    if shown["kind"] == CommandKind.FORGET:
        shown["args"] = None
    return shown


def event_of_batch(locker: str, batch: EventBatch, place: int, occurred_ms: int, received_ms: int) -> EventView:
    """Show one event of a message that was just taken."""
    event = batch.events[place]
    return EventView(
        locker=locker,
        epoch=batch.epoch,
        seq=batch.first + place,
        kind=event.kind,
        door=event.door,
        occurred_at=clock.from_ms(occurred_ms),
        received_at=clock.from_ms(received_ms),
        clock=(event.clock or batch.clock).value,
        actor=event.actor,
        command=event.command,
        transaction=event.transaction,
        data=event.data,
    )
