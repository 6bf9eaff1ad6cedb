"""When events occurred, by the hub's clock.

From the distance on the boot clock where that can be, else from the locker's wall clock where that can be believed,
else from the order in the ledger.
"""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from hub.core.timing import CLOCK_ERROR_MS_MAX, EARLIEST_MS, TimeSource
from wire.messages import Clock, EventBatch


class Stamped(NamedTuple):
    """When each event of a batch occurred, in Unix milliseconds, and how that was got: None for all by BOOT."""

    occurred: list[int]
    sources: Sequence[TimeSource] | None


Newest = tuple[UUID, int, int]
"""The newest event of a ledger whose time is well known: the epoch, the number after it, and when it occurred."""


def stamp(batch: EventBatch, received_ms: int, *, possible: bool = True, newest: Newest | None = None) -> Stamped:
    """Return when the events of a batch occurred, never later than its receipt, and never before 2020.

    So it can always be stored, even by a hub whose own clock was never set: then 2020 is the answer.

    Within one boot the distance on the locker's own boot clock counts, whatever its wall clock says. An event of an
    earlier boot has its wall clock's time, if that was synced then, or later in the same boot. One that was not
    (`holdover`, `unset`) is not believed, whatever it says: such an event is as late as what comes behind it in the
    ledger lets it be, at its distance from the next event of its boot.

    Args:
        batch: the message that carried the events.
        received_ms: when the message was received, in Unix milliseconds by the hub's clock.
        possible: whether the message's own boot clock is possible (`hub.core.clocks`); its distances are then.
        newest: the newest event of the locker's ledger so far. What a wall clock says that is before it is not
            believed of events behind it.
    """
    boot, t = batch.boot, batch.t
    if possible:
        base_ms = received_ms - t
        occurred = []
        for event in batch.events:
            if event.t > t or (event.boot is not None and event.boot != boot):
                break
            occurred.append(max(base_ms + event.t, EARLIEST_MS))
        else:
            return Stamped(occurred, None)
    is_before = newest is not None and newest[0] == batch.epoch and newest[1] <= batch.first
    not_before_ms = newest[2] if newest is not None and is_before else 0
    return _placed(batch, max(received_ms, EARLIEST_MS), possible=possible, not_before_ms=not_before_ms)


def _placed(batch: EventBatch, latest_ms: int, *, possible: bool, not_before_ms: int) -> Stamped:
    """Go through a batch from its end: each event that is not known better is bounded by the one behind it."""
    least_ms, most_ms = max(EARLIEST_MS, not_before_ms - CLOCK_ERROR_MS_MAX), latest_ms + CLOCK_ERROR_MS_MAX
    synced = [
        (event.clock or batch.clock) is Clock.SYNCED and least_ms <= event.at <= most_ms for event in batch.events
    ]
    anchors: dict[UUID, tuple[int, int]] = {}
    for event, is_synced in zip(batch.events, synced, strict=True):
        if is_synced:
            anchors.setdefault(event.boot or batch.boot, (event.t, min(event.at, latest_ms)))
    occurred: list[int] = []
    sources: list[TimeSource] = []
    upper_ms, source = latest_ms, TimeSource.RECEIPT
    behind: tuple[UUID, int] | None = None
    for event, is_synced in zip(reversed(batch.events), reversed(synced), strict=True):
        boot = event.boot or batch.boot
        anchor = anchors.get(boot)
        by_wall_ms: int | None = None
        if is_synced:
            by_wall_ms = min(event.at, latest_ms)
        elif anchor is not None:
            by_wall_ms = max(anchor[1] + event.t - anchor[0], EARLIEST_MS)
        if possible and boot == batch.boot and event.t <= batch.t:
            at_ms, how = max(latest_ms - (batch.t - event.t), EARLIEST_MS), TimeSource.BOOT
        elif by_wall_ms is not None and by_wall_ms <= upper_ms:
            at_ms, how = by_wall_ms, TimeSource.WALL
        else:
            distance_ms = max(behind[1] - event.t, 0) if behind is not None and behind[0] == boot else 0
            lower_ms = min(max(not_before_ms, EARLIEST_MS), upper_ms)
            at_ms, how = max(upper_ms - distance_ms, lower_ms), source
        occurred.append(at_ms)
        sources.append(how)
        upper_ms, behind = min(upper_ms, at_ms), (boot, event.t)
        source = TimeSource.RECEIPT if how is TimeSource.RECEIPT else TimeSource.ORDER
    return Stamped(occurred[::-1], sources[::-1])
