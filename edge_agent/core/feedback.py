"""What a board's feedback lines say of themselves: a sensor that contradicts itself, a lock that never opens. Pure.

Debouncing swallows a line that never comes to rest: its door would look still. So changes are counted as they are
read. A person opens and shuts a door a few times in ten seconds; a loose contact changes as often in one.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from edge_agent.core.doors import Note
from wire.messages import EventKind

_SENSORS: Final = ("hook", "item")


@dataclass(frozen=True, slots=True)
class FeedbackRules:
    """When a line is at fault, when it is well again, and when a lock counts as jammed."""

    changes: int = 10
    within_ms: int = 10_000
    calm_ms: int = 30_000
    jam_tries: int = 3
    """Pulses in a row that opened nothing."""


class Feedback:
    """The lines of one board; bit 0 is `first_door`."""

    def __init__(
        self, first_door: int, locks: int, rules: FeedbackRules | None = None, *, item_sensor: bool = True
    ) -> None:
        self._first_door = first_door
        self._rules = rules or FeedbackRules()
        self._masks = ((1 << locks) - 1, (1 << locks) - 1 if item_sensor else 0)
        self._levels: tuple[int, int] | None = None
        # (sensor, bit) -> when it changed, the last so many times
        self._changes: dict[tuple[int, int], deque[int]] = {}
        self._faulty: set[tuple[int, int]] = set()
        self._tries: dict[int, int] = {}

    def observe(self, hooks: int, items: int, now_ms: int) -> list[Note]:
        """Take one reading, as it is before any debouncing, and return what it says of the sensors."""
        levels = (hooks & self._masks[0], items & self._masks[1])
        before, self._levels = self._levels, levels
        notes: list[Note] = []
        if before is not None and levels != before:
            for line in self._changed(before, levels):
                notes.extend(self._change(line, now_ms))
        if self._faulty:
            notes.extend(self._recovered(now_ms))
        return notes

    def follow(self, notes: Iterable[Note]) -> list[Note]:
        """Look at what the doors' own watch made of a reading, and return which locks are jammed."""
        found = []
        for note in notes:
            if note.door is None:
                continue
            if note.kind is EventKind.DOOR_OPENED:
                self._tries.pop(note.door, None)
            elif note.kind is EventKind.DOOR_OPEN_NOT_DETECTED:
                tries = self._tries[note.door] = self._tries.get(note.door, 0) + 1
                if tries == self._rules.jam_tries:
                    found.append(self._note(note.t, EventKind.DOOR_JAMMED, note.door, tries=tries))
        return found

    def gone(self) -> None:
        """The board is out of reach: the next reading is not held against the last one."""
        self._levels = None

    def _changed(self, before: tuple[int, int], levels: tuple[int, int]) -> Iterator[tuple[int, int]]:
        for sensor in (0, 1):
            differing, bit = before[sensor] ^ levels[sensor], 0
            while differing >> bit:
                if differing >> bit & 1:
                    yield sensor, bit
                bit += 1

    def _change(self, line: tuple[int, int], now_ms: int) -> Iterator[Note]:
        rules = self._rules
        times = self._changes.setdefault(line, deque(maxlen=rules.changes))
        times.append(now_ms)
        if line in self._faulty or len(times) < rules.changes or now_ms - times[0] > rules.within_ms:
            return
        self._faulty.add(line)
        yield self._note(
            now_ms, EventKind.SENSOR_FAULT, self._first_door + line[1], sensor=_SENSORS[line[0]],
            changes=len(times), within_ms=now_ms - times[0],
        )  # fmt: skip

    def _recovered(self, now_ms: int) -> list[Note]:
        calm = sorted(line for line in self._faulty if now_ms - self._changes[line][-1] >= self._rules.calm_ms)
        self._faulty.difference_update(calm)
        return [
            self._note(now_ms, EventKind.SENSOR_OK, self._first_door + bit, sensor=_SENSORS[sensor])
            for sensor, bit in calm
        ]

    def _note(self, t: int, kind: EventKind, door: int, **data: Any) -> Note:  # noqa: ANN401 - any JSON
        return Note(t, kind, door, data=data)
