"""When an event occurred, by the hub's clock."""

from wire.messages import Clock, Event, Events

# A locker's wall clock is believed only within what is possible: not before the first lockers, not in the future.
_EARLIEST_MS = 1_577_836_800_000  # 2020-01-01


def occurred_ms(batch: Events, event: Event, received_ms: int) -> int:
    """Return when `event` occurred, in Unix milliseconds, never later than its receipt, and never before 2020.

    So it can always be stored, even by a hub whose own clock was never set: then 2020 is the answer.

    Within one boot the distance on the locker's own boot clock counts, whatever its wall clock says. For an event
    of an earlier boot its wall clock counts, if it was synced. What is left is clamped to what is possible.

    Args:
        batch: the message that carried the event.
        event: one of its events.
        received_ms: when the message was received, in Unix milliseconds by the hub's clock.
    """
    if (event.boot is None or event.boot == batch.boot) and event.t <= batch.t:
        return max(received_ms - (batch.t - event.t), _EARLIEST_MS)
    latest_ms = max(received_ms, _EARLIEST_MS)
    clock = event.clock or batch.clock
    if clock is Clock.SYNCED or event.at >= _EARLIEST_MS:
        return min(max(event.at, _EARLIEST_MS), latest_ms)
    return latest_ms
