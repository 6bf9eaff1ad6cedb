"""How the time of a stored row was got, from the most to the least that is known."""

from enum import StrEnum
from typing import Final

EARLIEST_MS: Final = 1_577_836_800_000  # 2020-01-01: no locker is older
CLOCK_ERROR_MS_MAX: Final = 60_000
"""Two clocks that are synchronised differ by less."""
DELAY_MS_MAX: Final = 60_000
"""A message that was on its way for longer was held back by somebody, and says nothing of its sender's clock."""


class TimeSource(StrEnum):
    """What a row's time was computed from. Its values are in the database."""

    BOOT = "boot"
    """The distance on the locker's boot clock, counted back from the hub's own time."""
    WALL = "wall"
    """The locker's wall clock, which it said was synchronised, and which was possible."""
    ORDER = "order"
    """Its place: it came before what is known of the ledger's next entry, or with the message that brought it."""
    RECEIPT = "receipt"
    """When it was received: it is older, and nobody knows by how much."""
