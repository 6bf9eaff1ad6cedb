"""The doors of one lock board: readings and pulses in, ledger entries out. Pure; time is an argument.

What a board reports is the hook of each latch; with an ejector, an open hook is an open door. A level counts
once it was read `debounce_reads` times in a row. The first levels after a start, or after the board was away,
are a snapshot and not edges; while a board does not answer its doors are unknown, never closed.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from uuid import UUID

from wire.messages import EventKind

WINDOWS_MAX: Final = 8
"""Pulses of one door that may wait for it to open; the oldest is forgotten beyond."""
_NEVER: Final = 2**63


@dataclass(frozen=True, slots=True)
class DoorRules:
    """When a level counts, and how long is too long. Milliseconds, except where a name says otherwise."""

    debounce_reads: int = 2
    open_detect_ms: int = 1500
    left_open_ms: int = 60_000
    board_silent_polls: int = 3


class Note(NamedTuple):
    """One ledger entry in the making: `t` is the board clock's moment when it was first seen."""

    t: int
    kind: EventKind
    door: int | None = None
    command: UUID | None = None
    actor: UUID | None = None
    data: dict[str, Any] | None = None


class DoorStatus(NamedTuple):
    """What is known of a door: `open` and `occupied` are None while nobody can know."""

    number: int
    open: bool | None
    occupied: bool | None


@dataclass(slots=True)
class _Window:
    command: UUID | None
    actor: UUID | None
    deadline: int
    answered: bool
    """The door opened in it, or was open when it began."""


@dataclass(slots=True)
class _Door:
    windows: deque[_Window] = field(default_factory=lambda: deque(maxlen=WINDOWS_MAX))
    opened_by: tuple[UUID | None, UUID | None] = (None, None)
    left_open_at: int = _NEVER


class BoardDoors:
    """The doors of one board, numbered from `first_door`; bit 0 is its first.

    `item_sensor=False`: occupancy is never known. Hook bits given here are 1 for locked.
    """

    def __init__(
        self, first_door: int, locks: int, rules: DoorRules, *, item_sensor: bool = True, board: int = 1
    ) -> None:
        self.first_door = first_door
        self.locks = locks
        self._rules = rules
        self._item_sensor = item_sensor
        self._board = board
        self._mask = (1 << locks) - 1
        self._known = False
        self._reported_offline = False
        self._silent_polls = 0
        self._hooks = 0
        self._items = 0
        self._first_reads = 0
        self._first = (-1, -1)
        # (is an item, bit) -> reads in a row that differ from the level that counts, and when they began
        self._pending: dict[tuple[bool, int], tuple[int, int]] = {}
        self._doors = [_Door() for _ in range(locks)]
        self._next_deadline = _NEVER

    @property
    def online(self) -> bool:
        """Whether the board answers and the levels of its doors are known."""
        return self._known

    def follow(self, rules: DoorRules) -> None:
        """Go by other rules from now on, also for doors that are open; pulses already sent keep their window."""
        longer_ms = rules.left_open_ms - self._rules.left_open_ms
        for door in self._doors:
            if door.left_open_at != _NEVER:
                door.left_open_at += longer_ms
        self._rules = rules
        self._find_next_deadline()

    def has(self, door: int) -> bool:
        """Whether the door is on this board."""
        return self.first_door <= door < self.first_door + self.locks

    def views(self) -> list[DoorStatus]:
        """Return what is known of each door, in order."""
        return [self._view(bit) for bit in range(self.locks)]

    def view(self, door: int) -> DoorStatus:
        """Return what is known of one door, by its number."""
        return self._view(door - self.first_door)

    def observe(self, hooks: int, items: int, now_ms: int) -> list[Note]:
        """Take one reading (bit 1: locked; bit 1: an item) and return what it means, in order."""
        self._silent_polls = 0
        hooks &= self._mask
        items &= self._mask if self._item_sensor else 0
        if hooks == self._hooks and items == self._items and not self._pending and self._known:
            # Nearly every poll ends here.
            return self._overdue(now_ms) if now_ms >= self._next_deadline else []
        if not self._known:
            return self._first_reading(hooks, items, now_ms)
        notes: list[Note] = []
        for is_item, bit, since in self._settled(hooks, items, now_ms):
            notes.extend(self._item_edge(bit, since) if is_item else self._hook_edge(bit, since))
        self._find_next_deadline()
        notes.extend(self._overdue(now_ms))
        return notes

    def silent(self, now_ms: int) -> list[Note]:
        """Take one poll without an answer."""
        self._silent_polls += 1
        return self.gone(now_ms) if self._silent_polls >= self._rules.board_silent_polls else []

    def gone(self, now_ms: int) -> list[Note]:
        """The board is out of reach: its doors are unknown from now on."""
        self._known = False
        self._first_reads = 0
        self._pending.clear()
        self._next_deadline = _NEVER
        for door in self._doors:
            door.windows.clear()
            door.left_open_at = _NEVER
            door.opened_by = (None, None)
        if self._reported_offline:
            return []
        self._reported_offline = True
        return [Note(now_ms, EventKind.BOARD_OFFLINE, data=self._about())]

    def pulsed(self, door: int, command: UUID | None, actor: UUID | None, now_ms: int) -> None:
        """A pulse went to the door's lock: an opening within `open_detect_ms` is this command's."""
        bit = door - self.first_door
        deadline = now_ms + self._rules.open_detect_ms
        is_open = self._known and not self._hooks >> bit & 1
        self._doors[bit].windows.append(_Window(command, actor, deadline, is_open))
        self._next_deadline = min(self._next_deadline, deadline + 1)

    def _first_reading(self, hooks: int, items: int, now_ms: int) -> list[Note]:
        self._first_reads = self._first_reads + 1 if (hooks, items) == self._first else 1
        self._first = (hooks, items)
        if self._first_reads < self._rules.debounce_reads:
            return []
        self._known, self._reported_offline = True, False
        self._hooks, self._items = hooks, items
        for bit, door in enumerate(self._doors):
            if not hooks >> bit & 1:
                door.left_open_at = now_ms + self._rules.left_open_ms
        self._find_next_deadline()
        return [
            Note(now_ms, EventKind.BOARD_ONLINE, data=self._about()),
            Note(now_ms, EventKind.SNAPSHOT, data=snapshot_data(self.views())),
        ]

    def _settled(self, hooks: int, items: int, now_ms: int) -> Iterator[tuple[bool, int, int]]:
        """Yield the bits whose new level counts from this reading on, hooks first, with its beginning."""
        before, self._pending = self._pending, {}
        for is_item, differing in ((False, hooks ^ self._hooks), (True, items ^ self._items)):
            bit = 0
            while differing >> bit:
                if differing >> bit & 1:
                    reads, since = before.get((is_item, bit), (0, now_ms))
                    if reads + 1 >= self._rules.debounce_reads:
                        yield is_item, bit, since
                    else:
                        self._pending[is_item, bit] = (reads + 1, since)
                bit += 1

    def _hook_edge(self, bit: int, since: int) -> Iterator[Note]:
        self._hooks ^= 1 << bit
        door, number = self._doors[bit], self.first_door + bit
        if self._hooks >> bit & 1:
            command, actor = door.opened_by
            door.opened_by = (None, None)
            door.left_open_at = _NEVER
            yield Note(since, EventKind.DOOR_CLOSED, number, command, actor)
            return
        door.left_open_at = since + self._rules.left_open_ms
        window = next((w for w in reversed(door.windows) if since <= w.deadline), None)
        if window is None:
            yield Note(since, EventKind.DOOR_OPENED, number)
            yield Note(since, EventKind.DOOR_FORCED, number)
            return
        door.opened_by = (window.command, window.actor)
        # A door that springs back and opens again within the window is still this command's.
        for earlier in door.windows:
            earlier.answered = True
        yield Note(since, EventKind.DOOR_OPENED, number, window.command, window.actor)

    def _item_edge(self, bit: int, since: int) -> Iterator[Note]:
        self._items ^= 1 << bit
        door, number = self._doors[bit], self.first_door + bit
        command, actor = door.opened_by
        occupied = bool(self._items >> bit & 1)
        yield Note(since, EventKind.OCCUPANCY_CHANGED, number, command, actor, {"occupied": occupied})

    def _overdue(self, now_ms: int) -> list[Note]:
        if now_ms < self._next_deadline:
            return []
        notes: list[Note] = []
        for bit, door in enumerate(self._doors):
            number = self.first_door + bit
            locked = bool(self._hooks >> bit & 1)
            # An opening that is not settled yet began inside the window: its edge decides.
            opening = locked and (False, bit) in self._pending
            while door.windows and now_ms > door.windows[0].deadline and not opening:
                window = door.windows.popleft()
                if locked and not window.answered:
                    notes.append(
                        Note(now_ms, EventKind.DOOR_OPEN_NOT_DETECTED, number, window.command, window.actor)
                    )
            if now_ms >= door.left_open_at:
                door.left_open_at = _NEVER
                command, actor = door.opened_by
                notes.append(Note(now_ms, EventKind.DOOR_LEFT_OPEN, number, command, actor))
        self._find_next_deadline()
        return notes

    def _find_next_deadline(self) -> None:
        self._next_deadline = min(
            min((door.windows[0].deadline + 1 if door.windows else _NEVER, door.left_open_at))
            for door in self._doors
        )

    def _view(self, bit: int) -> DoorStatus:
        number = self.first_door + bit
        if not self._known:
            return DoorStatus(number, None, None)
        occupied = bool(self._items >> bit & 1) if self._item_sensor else None
        return DoorStatus(number, not self._hooks >> bit & 1, occupied)

    def _about(self) -> dict[str, Any]:
        return {"board": self._board, "doors": list(range(self.first_door, self.first_door + self.locks))}


def snapshot_data(views: list[DoorStatus]) -> dict[str, Any]:
    """Return the data of a snapshot: `{"doors": [[number, "open" | "closed" | "unknown", occupied], …]}`."""
    names = {True: "open", False: "closed", None: "unknown"}
    return {"doors": [[view.number, names[view.open], view.occupied] for view in views]}
