"""Hold the lockers' own truth against the database.

A simulated fleet counts every physical edge at its boards (a latch that opened or closed, an item put in or taken
out) and says which part of each ledger its agents wrote meanwhile. Lost is what the boards saw and the database
has not; duplicate is what the database has more often than it happened.
"""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

import msgspec

from hub.store.ledgers import Ledgers

KINDS: Final = {"opened": "door.opened", "closed": "door.closed", "occupancy": "occupancy.changed"}


class LockerTruth(msgspec.Struct, frozen=True):
    """One locker's run: its part of the ledger, and the edges at its boards by door."""

    epoch: UUID
    first_seq: int
    last_seq: int
    opened: dict[int, int]
    closed: dict[int, int]
    occupancy: dict[int, int]
    by_snapshot: int = 0
    """More edges, of boards that fell out of reach before they were read again: a snapshot told of them."""


class TelemetryTruth(msgspec.Struct, frozen=True):
    """Samples taken, and those that fell out of a full ring."""

    produced: int
    dropped: int


class CommandsTruth(msgspec.Struct, frozen=True):
    """Commands as the people at the lockers saw them."""

    sent: int
    succeeded: int
    pulse_ms: list[float]
    opened_ms: list[float]


class FleetTruth(msgspec.Struct, frozen=True):
    """True history of a simulated fleet, as `edge-agent simulate --json` prints it."""

    lockers: int
    seconds: float
    truth: dict[str, LockerTruth]
    telemetry: TelemetryTruth
    commands: CommandsTruth
    drained: bool


@dataclass(frozen=True, slots=True)
class EventComparison:
    """Door and item edges, and what became of them."""

    produced: int
    stored: int
    lost: int
    duplicate: int
    by_snapshot: int


async def reconcile_events(ledgers: Ledgers, truth: FleetTruth) -> EventComparison:
    """Compare edge by edge, and each ledger's numbers for holes and repeats."""
    produced = stored = lost = duplicate = by_snapshot = 0
    for locker, said in truth.truth.items():
        key = (locker, said.epoch)
        found = await ledgers.door_edges(key, said.first_seq, said.last_seq)
        happened = {
            (door, kind): count
            for name, kind in KINDS.items()
            for door, count in {"opened": said.opened, "closed": said.closed, "occupancy": said.occupancy}[
                name
            ].items()
        }
        for edge in happened.keys() | found.keys():
            in_truth, in_store = happened.get(edge, 0), found.get(edge, 0)
            produced += in_truth
            stored += in_store
            lost += max(0, in_truth - in_store)
            duplicate += max(0, in_store - in_truth)
        rows, numbers = await ledgers.range(key, said.first_seq, said.last_seq)
        lost += max(0, said.last_seq - said.first_seq + 1 - numbers)
        duplicate += rows - numbers
        by_snapshot += said.by_snapshot
    return EventComparison(produced, stored, lost, duplicate, by_snapshot)


def decode_truth(text: bytes) -> FleetTruth:
    """Read the fleet's last line. Raises msgspec.DecodeError for what is not one."""
    return msgspec.json.decode(text, type=FleetTruth)


def percentile(values: list[float], share: float) -> float | None:
    """Return the nearest-rank percentile, or None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3)
