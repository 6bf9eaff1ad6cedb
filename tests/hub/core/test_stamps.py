"""When an event occurred: the boot clock first, a synced wall clock next, and never after its receipt."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.stamps import occurred_ms
from tests.wire.strategies import AT_MS_MAX, batches
from wire.messages import Clock, Event, Events

NOW = 1_790_000_000_000
EARLIEST = 1_577_836_800_000
BOOT, OTHER = UUID(int=1), UUID(int=2)


def batch(clock: Clock, event: Event) -> Events:
    return Events(v=1, boot=BOOT, t=10_000, at=NOW, clock=clock, epoch=UUID(int=3), first=1, events=[event])


CASES = {
    "the boot clock counts, whatever the wall clock says": (
        Clock.SYNCED, Event(t=4000, at=NOW + 99_999, kind="x"), NOW - 6000,
    ),
    "the same boot, named": (Clock.UNSET, Event(t=10_000, at=0, kind="x", boot=BOOT), NOW),
    "before the first lockers": (Clock.SYNCED, Event(t=0, at=0, kind="x"), NOW - 10_000),
    "stamped after its own message": (Clock.SYNCED, Event(t=10_001, at=NOW - 7, kind="x"), NOW - 7),
    "an earlier boot, synced": (Clock.SYNCED, Event(t=5, at=NOW - 9, kind="x", boot=OTHER), NOW - 9),
    "an earlier boot, synced in the future": (
        Clock.SYNCED, Event(t=5, at=NOW + 1, kind="x", boot=OTHER), NOW,
    ),
    "an earlier boot, synced in 1970": (Clock.SYNCED, Event(t=5, at=1, kind="x", boot=OTHER), EARLIEST),
    "an earlier boot, not synced, possible": (
        Clock.HOLDOVER, Event(t=5, at=NOW - 9, kind="x", boot=OTHER), NOW - 9,
    ),
    "an earlier boot, unset, impossible": (Clock.UNSET, Event(t=5, at=1, kind="x", boot=OTHER), NOW),
    "an earlier boot, unset, in the future": (
        Clock.UNSET, Event(t=5, at=AT_MS_MAX, kind="x", boot=OTHER), NOW,
    ),
    "the event's own clock quality counts": (
        Clock.SYNCED, Event(t=5, at=1, kind="x", boot=OTHER, clock=Clock.UNSET), NOW,
    ),
    "the event was synced, the message is not": (
        Clock.UNSET, Event(t=5, at=1, kind="x", boot=OTHER, clock=Clock.SYNCED), EARLIEST,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("clock", "event", "expected"), CASES.values(), ids=CASES.keys())
def test_when_it_occurred(clock: Clock, event: Event, expected: int) -> None:
    assert occurred_ms(batch(clock, event), event, NOW) == expected


def test_the_distance_of_an_old_event_is_kept_to_what_is_possible() -> None:
    event = Event(t=0, at=0, kind="x")
    message = Events(
        v=1, boot=BOOT, t=2**53 - 1, at=NOW, clock=Clock.SYNCED, epoch=UUID(int=3), first=1, events=[event]
    )
    assert occurred_ms(message, event, NOW) == EARLIEST


@given(batches, st.integers(0, AT_MS_MAX))
def test_it_is_always_possible_whatever_any_clock_says(message: Events, received_ms: int) -> None:
    for event in message.events:
        assert EARLIEST <= occurred_ms(message, event, received_ms) <= max(received_ms, EARLIEST)
