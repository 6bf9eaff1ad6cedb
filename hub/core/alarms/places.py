"""A locker as the registry has it, as far as alarms need it, and places in words."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hub.core.alarms.alarm import Spot


@dataclass(frozen=True, slots=True)
class AlarmPlace:
    """A locker as the registry has it, as far as alarms need it. `doors`: whether each is in service."""

    tenant: str
    site: str
    name: str
    doors: Mapping[int, bool] = field(default_factory=dict)


def where_text(spot: Spot, place: AlarmPlace | None) -> str:
    """Return a place in words: site, locker, door."""
    parts = [spot.site or "the whole fleet"] if place is None else [place.site, f"{place.name} ({spot.locker})"]
    if place is not None and place.name == spot.locker:
        parts[1] = place.name
    if spot.door is not None:
        parts.append(f"door {spot.door}")
    return ", ".join(part for part in parts if part)
