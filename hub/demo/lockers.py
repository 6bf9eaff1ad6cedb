"""The made-up lockers of the demo: names, addresses, serial numbers, tags, and four kinds of cabinets."""

from typing import Final

from hub.core.fleet import DoorSpec, LockerSpec
from hub.ingest.registry_sync import grid

DOORS: Final = 16
_SITES: Final = {
    "Berlin": ("Invalidenstraße 91, 10115 Berlin", "office"),
    "Lyon": ("12 rue de la Bourse, 69002 Lyon", "campus"),
    "Milano": ("Via Tortona 27, 20144 Milano", "office"),
    "Porto": ("Rua do Heroísmo 210, 4300-259 Porto", "factory"),
    "Utrecht": ("Croeselaan 15, 3521 BJ Utrecht", "campus"),
}
_PLACES: Final = {
    "lobby": "parcels",
    "canteen": "lunch",
    "workshop": "tools",
    "second floor": "laptops",
    "goods entrance": "parcels",
}
_CABINETS: Final = (
    # How many columns, and the size of the doors of each row.
    (4, ("XL", "L", "M", "S")),
    (8, ("M", "M")),
    (2, ("S", "S", "S", "M", "M", "M", "L", "XL")),
    (5, ("M", "M", "L", "XL")),
)


def locker_id(number: int) -> str:
    """Return the id that the simulated fleet gives its locker `number`."""
    return f"locker-{number:03d}"


def demo_locker(number: int) -> LockerSpec:
    """Return the demo's locker `number`, from 1."""
    place = (number - 1) // len(_SITES)
    site, (address, kind) = list(_SITES.items())[(number - 1) % len(_SITES)]
    room, purpose = list(_PLACES.items())[place % len(_PLACES)]
    return LockerSpec(
        locker_id(number),
        "default",
        f"{site}, {room}",
        site,
        _doors(number),
        address=address,
        serial=f"LH{2200 + number % 4}-{7919 * number % 100_000:05d}",
        tags=(kind, purpose),
    )


def _doors(number: int) -> tuple[DoorSpec, ...]:
    columns, sizes = _CABINETS[number % len(_CABINETS)]
    return grid(DOORS, columns=columns, sizes={door: sizes[(door - 1) // columns] for door in range(1, DOORS + 1)})
