"""The front view of a new locker: doors in a grid."""

from collections.abc import Mapping

from hub.core.fleet import DoorSpec


def grid(doors: int, *, columns: int = 4, sizes: Mapping[int, str] | None = None) -> tuple[DoorSpec, ...]:
    """Return `doors` doors, numbered from 1, in rows of `columns`. `sizes` by number; M where it says nothing."""
    return tuple(
        DoorSpec(
            number=number,
            label=str(number),
            size=(sizes or {}).get(number, "M"),
            row=(number - 1) // columns + 1,
            column=(number - 1) % columns + 1,
        )
        for number in range(1, doors + 1)
    )
