"""The last known state of each locker and door.

What is shown is derived, never a stored flag: a locker is online while its session is and it was heard within
`silent_after_ms`; a door is open or closed only while its locker is online and its board answers, and unknown
otherwise. Times: `now_ms` is the hub's monotonic clock, `at` the wall clock.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from hub.core.natural import Key, natural_key
from wire.messages import Event, EventKind, Presence


class LockerState(StrEnum):
    """Whether a locker's agent can be reached."""

    ONLINE = "online"
    OFFLINE = "offline"
    NEVER_SEEN = "never_seen"


class DoorState(StrEnum):
    """What the latch's sensor says."""

    OPEN = "open"
    CLOSED = "closed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class DoorSpec:
    """A door as the registry has it. `row` and `column` place it in the front view, from 1."""

    number: int
    label: str
    size: str
    row: int
    column: int
    in_service: bool = True
    service_reason: str | None = None


@dataclass(frozen=True, slots=True)
class LockerSpec:
    """A locker as the registry has it."""

    id: str
    tenant: str
    name: str
    site: str
    doors: tuple[DoorSpec, ...]
    address: str = ""
    serial: str = ""
    """The maker's number of the cabinet."""
    tags: tuple[str, ...] = ()
    disabled: str | None = None
    """Why nothing is taken from it and sent to it for now; None where it is in use."""


@dataclass(slots=True)
class Door:
    """One door: what the registry says, and what was seen last."""

    spec: DoorSpec
    seen: DoorState = DoorState.UNKNOWN
    known: DoorState = DoorState.UNKNOWN
    """The last state that was not unknown."""
    since: datetime | None = None
    occupied: bool | None = None


@dataclass(slots=True)
class Locker:
    """One locker: registry, presence, doors."""

    spec: LockerSpec
    doors: dict[int, Door]
    online: bool = False
    """What the newest session said of itself."""
    reachable: bool = False
    """Online, and heard of late."""
    session: int = 0
    boot: UUID | None = None
    """Of the session."""
    over_at: datetime | None = None
    """When a session was last said to be over."""
    since: datetime | None = None
    heard_at: datetime | None = None
    heard_ms: float | None = None
    heard_shown_ms: float = float("-inf")
    agent: str | None = None
    boards_total: int = 0
    boards_online: int = 0
    alarms: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Open alarms that people are to see: critical, high, medium, low."""
    maintenance: bool = False
    """Somebody works at it, as planned."""
    counted: dict[str, int] | None = None
    """Doors by what was seen of them, and those out of service; None where they are to be counted."""

    @property
    def state(self) -> LockerState:
        """The state to show."""
        if self.reachable:
            return LockerState.ONLINE
        return LockerState.OFFLINE if self.heard_at is not None or self.session else LockerState.NEVER_SEEN

    def mentions(self, text: str) -> bool:
        """Say whether a text is in what people look a locker up by, whatever the case of letters."""
        spec = self.spec
        wanted = text.casefold()
        parts = (spec.id, spec.name, spec.site, spec.address, spec.serial, self.agent or "", *spec.tags)
        return any(wanted in part.casefold() for part in parts)

    def door_state(self, door: Door) -> DoorState:
        """Return the state of a door to show: silence is not "closed"."""
        return door.seen if self.reachable else DoorState.UNKNOWN

    def door_counts(self) -> Mapping[str, int]:
        """Count the doors by the state that is shown."""
        seen, total = self.counted or self.count(), len(self.doors)
        if self.reachable:
            return {"total": total, **seen}
        return {"total": total, "open": 0, "closed": 0, "unknown": total, "out_of_service": seen["out_of_service"]}

    def count(self) -> dict[str, int]:
        """Count the doors by what was seen of them; `counted` follows from then on."""
        counted = {"open": 0, "closed": 0, "unknown": 0, "out_of_service": 0}
        for door in self.doors.values():
            counted[door.seen.value] += 1
            counted["out_of_service"] += not door.spec.in_service
        self.counted = counted
        return counted


@dataclass(slots=True)
class FleetChanges:
    """What is to be drawn again since the last `take_changes`."""

    lockers: set[str] = field(default_factory=set)
    doors: dict[str, set[int]] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        """Say whether anything changed."""
        return bool(self.lockers or self.doors or self.removed)


_ORDER_UNSURE = timedelta(seconds=5)
_HEARD_SHOWN_EVERY_MS = 5000
"""That a locker was heard again is worth drawing this often."""
_SHOWN = {"open": DoorState.OPEN, "closed": DoorState.CLOSED, "unknown": DoorState.UNKNOWN}
_EDGE = {EventKind.DOOR_OPENED.value: DoorState.OPEN, EventKind.DOOR_CLOSED.value: DoorState.CLOSED}


class Fleet:
    """All lockers of the registry."""

    def __init__(self, *, silent_after_ms: float) -> None:
        self._silent_after_ms = silent_after_ms
        self._changes = FleetChanges()
        self.lockers: dict[str, Locker] = {}
        self.order: list[Key] = []
        """Their ids (`[1]` of each) as lists show them."""
        self.disabled: frozenset[str] = frozenset()
        """Those of them whose messages are not taken."""
        self.removed: frozenset[str] = frozenset()
        """Ids of lockers that left the registry for good."""

    def load(self, specs: Iterable[LockerSpec], removed: Iterable[str] = ()) -> None:
        """Follow the registry: add, change and remove lockers; what is known of the others stays."""
        wanted = {spec.id: spec for spec in specs}
        if wanted.keys() != self.lockers.keys():
            self.order = sorted(map(natural_key, wanted))
        self.disabled = frozenset(spec.id for spec in wanted.values() if spec.disabled is not None)
        self.removed = frozenset(removed)
        for gone in self.lockers.keys() - wanted.keys():
            del self.lockers[gone]
            self._changes.removed.add(gone)
            self._changes.lockers.discard(gone)
            self._changes.doors.pop(gone, None)
        for spec in wanted.values():
            locker = self.lockers.get(spec.id)
            if locker is None:
                doors = {door.number: Door(door) for door in spec.doors}
                self.lockers[spec.id] = Locker(spec, doors)
                self._changes.removed.discard(spec.id)
                self._touch_all_doors(self.lockers[spec.id])
            elif locker.spec != spec:
                locker.spec = spec
                known = locker.doors
                locker.doors = {door.number: known.get(door.number) or Door(door) for door in spec.doors}
                for door_spec in spec.doors:
                    locker.doors[door_spec.number].spec = door_spec
                locker.counted = None
                if spec.disabled is not None:
                    # Nothing of it is heard from here on: it has to say again that it is there.
                    locker.online = locker.reachable = False
                self._touch_all_doors(locker)

    def why_not_taken(self, locker_id: str) -> tuple[str, str]:
        """Return why messages are not taken that come under an id: a reason of quarantine, and a sentence."""
        if locker_id in self.disabled:
            why = self.lockers[locker_id].spec.disabled
            return "locker_disabled", f"{locker_id} is disabled ({why}); `hub locker enable {locker_id}` ends that"
        if locker_id in self.removed:
            return "locker_removed", f"{locker_id} was removed from the registry; its account at the broker is left"
        return "locker_unknown", f"no locker {locker_id!r} in the registry; `hub locker add {locker_id}` adds it"

    def heard(self, locker_id: str, *, now_ms: float, at: datetime, in_order: bool = True) -> None:
        """Note a sign of life that came now (not one that the broker had kept).

        A locker that is heard after a will is there, and the will was another session's. Two connections have no
        common order, though: what does not come over the one that carries presence (`in_order`) may be from before
        the will, and counts only some seconds after it.
        """
        locker = self.lockers[locker_id]
        if not locker.online and (in_order or locker.over_at is None or at - locker.over_at > _ORDER_UNSURE):
            locker.online = True
        locker.heard_ms = now_ms
        locker.heard_at = at
        if now_ms - locker.heard_shown_ms >= _HEARD_SHOWN_EVERY_MS:
            locker.heard_shown_ms = now_ms
            self._touch(locker_id)
        if locker.online and not locker.reachable:
            self._set_reachable(locker, reachable=True, at=at)

    def presence(self, locker_id: str, presence: Presence, *, at: datetime) -> bool:
        """Apply a session's word. Returns False for the end of another session, which changes nothing.

        A session is its number within its boot. That one is online is always news: a broker tells things in their
        order, keeps only what was said last, and the number may be lower than before where a disk was put back.
        That one is over may be said long afterwards, by its will: of an older session, or of one of another boot,
        it says nothing about this one.
        """
        locker = self.lockers[locker_id]
        is_newer = presence.boot == locker.boot and presence.session >= locker.session
        if not presence.online and not is_newer and locker.boot is not None:
            return False
        locker.boot, locker.session = presence.boot, presence.session
        locker.online = presence.online
        locker.agent = presence.agent
        locker.boards_total = presence.boards
        if presence.online:
            locker.boards_online = presence.boards_online
            if presence.boards and not presence.boards_online:
                # Until a board answers, what was seen before says nothing.
                for number, door in locker.doors.items():
                    if door.seen is not DoorState.UNKNOWN:
                        self._see(locker, number, DoorState.UNKNOWN, at)
        else:
            locker.over_at = at
        self._touch(locker_id)
        if not presence.online and locker.reachable:
            self._set_reachable(locker, reachable=False, at=at)
        return True

    def event(self, locker_id: str, event: Event, *, at: datetime) -> None:
        """Apply one new ledger event that occurred `at`. Kinds that say nothing of a door are ignored."""
        locker = self.lockers[locker_id]
        shown = _EDGE.get(event.kind)
        if shown is not None:
            self._see(locker, event.door, shown, at)
        elif event.kind == EventKind.OCCUPANCY_CHANGED:
            occupied = (event.data or {}).get("occupied")
            door = locker.doors.get(event.door or 0)
            if door is not None and isinstance(occupied, bool):
                door.occupied = occupied
                self._touch(locker_id, door.spec.number)
        elif event.kind == EventKind.SNAPSHOT:
            self._snapshot(locker, event, at)
        elif event.kind == EventKind.BOARD_OFFLINE:
            for number in _doors_of(event):
                self._see(locker, number, DoorState.UNKNOWN, at)

    def mark(self, locker_id: str, *, alarms: tuple[int, int, int, int], maintenance: bool) -> None:
        """Note how many alarms a locker has, and whether somebody works at it. An unknown locker is ignored."""
        locker = self.lockers.get(locker_id)
        if locker is not None and (locker.alarms, locker.maintenance) != (alarms, maintenance):
            locker.alarms, locker.maintenance = alarms, maintenance
            self._touch(locker_id)

    def sweep(self, *, now_ms: float, at: datetime) -> None:
        """Turn lockers that have been silent for too long unreachable. Call it once a second or so."""
        for locker in self.lockers.values():
            silent = locker.heard_ms is None or now_ms - locker.heard_ms > self._silent_after_ms
            if locker.reachable and silent:
                self._set_reachable(locker, reachable=False, at=at)

    def take_changes(self) -> FleetChanges:
        """Return what changed since the last call."""
        changes, self._changes = self._changes, FleetChanges()
        return changes

    def counts(self) -> tuple[dict[str, int], dict[str, int]]:
        """Count lockers and doors by state."""
        lockers = {state.value: 0 for state in LockerState}
        opened = closed = unknown = online = 0
        # Once a second over every locker of the fleet, while doors wait to be opened: not over their doors as well.
        for locker in self.lockers.values():
            if not locker.reachable:
                lockers[locker.state.value] += 1
                unknown += len(locker.doors)
                continue
            online += 1
            seen = locker.counted or locker.count()
            opened += seen["open"]
            closed += seen["closed"]
            unknown += seen["unknown"]
        lockers[LockerState.ONLINE.value] = online
        by_state = {DoorState.OPEN: opened, DoorState.CLOSED: closed, DoorState.UNKNOWN: unknown}
        return lockers, {state.value: count for state, count in by_state.items()}

    def _snapshot(self, locker: Locker, event: Event, at: datetime) -> None:
        for item in _list_of_doors(event):
            match item:
                case [int(number), str(state), *rest] if number in locker.doors and state in _SHOWN:
                    door = locker.doors[number]
                    if door.seen is not _SHOWN[state]:
                        self._see(locker, number, _SHOWN[state], at)
                    door.occupied = rest[0] if rest and isinstance(rest[0], bool) else None
                    self._touch(locker.spec.id, number)
                case _:
                    continue

    def _see(self, locker: Locker, number: int | None, state: DoorState, at: datetime) -> None:
        door = locker.doors.get(number or 0)
        if door is None:
            return
        if locker.counted is not None:
            locker.counted[door.seen.value] -= 1
            locker.counted[state.value] += 1
        door.seen = state
        if state is not DoorState.UNKNOWN:
            door.known = state
        door.since = at
        self._touch(locker.spec.id, door.spec.number)

    def _set_reachable(self, locker: Locker, *, reachable: bool, at: datetime) -> None:
        locker.reachable = reachable
        locker.since = at
        self._touch_all_doors(locker)

    def _touch(self, locker_id: str, door: int | None = None) -> None:
        self._changes.lockers.add(locker_id)
        if door is not None:
            self._changes.doors.setdefault(locker_id, set()).add(door)

    def _touch_all_doors(self, locker: Locker) -> None:
        self._touch(locker.spec.id)
        self._changes.doors.setdefault(locker.spec.id, set()).update(locker.doors)


def _doors_of(event: Event) -> list[int]:
    return [number for number in _list_of_doors(event) if type(number) is int]


def _list_of_doors(event: Event) -> list[object]:
    doors = (event.data or {}).get("doors")
    return doors if isinstance(doors, list) else []
