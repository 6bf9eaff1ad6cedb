"""Fields of an event's data that alarms read. It comes from lockers: whatever does not fit counts as absent."""

import math
from collections.abc import Mapping
from typing import Any, Final

from hub.core.alarms.rules import UNITS
from hub.core.alarms.sightings import NO_DETAILS, Details, Reading
from hub.core.alarms.texts import SENSORS

_UNITS: Final = frozenset(UNITS.values())
BOARD_CHARACTERS_MAX: Final = 64
_OPEN: Final = {"open": True, "closed": False}


def details_of(data: Mapping[str, Any]) -> Details:
    """Return what an event's data says."""
    if not data:
        return NO_DETAILS
    board, doors, sensor = data.get("board"), data.get("doors"), data.get("sensor")
    return Details(
        str(board)[:BOARD_CHARACTERS_MAX] if isinstance(board, str | int) else "",
        frozenset(one for one in doors if type(one) is int) if isinstance(doors, list) else frozenset(),
        _reading(data),
        sensor if sensor in SENSORS else None,
    )


def doors_seen(data: Mapping[str, Any]) -> dict[int, bool]:
    """Return the doors of a snapshot that are known to be open (true) or closed."""
    doors = data.get("doors")
    found = {}
    for item in doors if isinstance(doors, list) else []:
        match item:
            case [int(number), "open" | "closed" as state, *_]:
                found[number] = _OPEN[state]
            case _:
                continue
    return found


def _reading(data: Mapping[str, Any]) -> Reading | None:
    value, unit = _number(data.get("value")), data.get("unit")
    if value is None or not isinstance(unit, str) or unit not in _UNITS:
        return None
    return Reading(value, _number(data.get("limit")), unit)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
