"""When an event occurred: the boot clock first, a synced wall clock next, then order; never after its receipt."""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from hub.core.stamps import Newest, Stamped, stamp
from hub.core.timing import TimeSource
from tests.wire.strategies import AT_MS_MAX, T_MS_MAX
from wire.messages import Clock, Event, EventBatch

NOW = 1_790_000_000_000
EARLIEST = 1_577_836_800_000
BOOT, OTHER, THIRD = UUID(int=1), UUID(int=2), UUID(int=3)
DAY_MS = 86_400_000
KNOWN = (UUID(int=9), 1, NOW - 3_600_000)
BY_BOOT, WALL, ORDER, RECEIPT = TimeSource.BOOT, TimeSource.WALL, TimeSource.ORDER, TimeSource.RECEIPT


def batch(clock: Clock, *events: Event, t: int = 10_000) -> EventBatch:
    return EventBatch(v=1, boot=BOOT, t=t, at=NOW, clock=clock, epoch=UUID(int=9), first=1, events=list(events))


CASES: dict[str, tuple[Clock, Event, int, TimeSource | None]] = {
    "the boot clock counts, whatever the wall clock says": (
        Clock.SYNCED, Event(t=4000, at=NOW + 99_999, kind="x"), NOW - 6000, None,
    ),
    "the same boot, named": (Clock.UNSET, Event(t=10_000, at=0, kind="x", boot=BOOT), NOW, None),
    "before the first lockers": (Clock.SYNCED, Event(t=0, at=0, kind="x"), NOW - 10_000, None),
    "stamped after its own message": (Clock.SYNCED, Event(t=10_001, at=NOW - 7, kind="x"), NOW - 7, WALL),
    "stamped after its own message, unset": (Clock.UNSET, Event(t=10_001, at=NOW - 7, kind="x"), NOW, RECEIPT),
    "an earlier boot, synced": (Clock.SYNCED, Event(t=5, at=NOW - 9, kind="x", boot=OTHER), NOW - 9, WALL),
    "an earlier boot, synced, a little ahead": (
        Clock.SYNCED, Event(t=5, at=NOW + 1, kind="x", boot=OTHER), NOW, WALL,
    ),
    "an earlier boot, synced in the future": (
        Clock.SYNCED, Event(t=5, at=NOW + 60_001, kind="x", boot=OTHER), NOW, RECEIPT,
    ),
    "an earlier boot, synced in 1970": (Clock.SYNCED, Event(t=5, at=1, kind="x", boot=OTHER), NOW, RECEIPT),
    "an earlier boot, seconds in place of milliseconds": (
        Clock.SYNCED, Event(t=5, at=NOW // 1000, kind="x", boot=OTHER), NOW, RECEIPT,
    ),
    "an earlier boot, holdover": (Clock.HOLDOVER, Event(t=5, at=NOW - 9, kind="x", boot=OTHER), NOW, RECEIPT),
    "an earlier boot, unset, possible": (Clock.UNSET, Event(t=5, at=NOW - 9, kind="x", boot=OTHER), NOW, RECEIPT),
    "an earlier boot, unset, in the future": (
        Clock.UNSET, Event(t=5, at=AT_MS_MAX, kind="x", boot=OTHER), NOW, RECEIPT,
    ),
    "the event's own clock quality counts": (
        Clock.SYNCED, Event(t=5, at=NOW - 9, kind="x", boot=OTHER, clock=Clock.UNSET), NOW, RECEIPT,
    ),
    "the event was synced, the message is not": (
        Clock.UNSET, Event(t=5, at=NOW - 9, kind="x", boot=OTHER, clock=Clock.SYNCED), NOW - 9, WALL,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("clock", "event", "expected", "source"), CASES.values(), ids=CASES.keys())
def test_when_it_occurred(clock: Clock, event: Event, expected: int, source: TimeSource | None) -> None:
    assert stamp(batch(clock, event), NOW) == Stamped([expected], None if source is None else [source])


def test_a_boot_that_was_never_synced_lies_right_before_what_follows_it() -> None:
    """In its own distances: power came back, nobody had set the clock, the door was opened, power went again."""
    found = stamp(
        batch(
            Clock.SYNCED,
            Event(t=1000, at=5, kind="a", boot=OTHER, clock=Clock.UNSET),
            Event(t=61_000, at=NOW - 5, kind="b", boot=OTHER, clock=Clock.HOLDOVER),
            Event(t=2000, at=7, kind="c", boot=THIRD, clock=Clock.UNSET),
            Event(t=4000, at=0, kind="d"),
        ),
        NOW,
    )
    last = NOW - 6000
    assert found == Stamped([last - 60_000, last, last, last], [ORDER, ORDER, ORDER, BY_BOOT])


def test_a_clock_that_was_set_later_in_its_boot_tells_the_times_before() -> None:
    found = stamp(
        batch(
            Clock.SYNCED,
            Event(t=1000, at=5, kind="a", boot=OTHER, clock=Clock.UNSET),
            Event(t=61_000, at=NOW - DAY_MS, kind="b", boot=OTHER),
            Event(t=71_000, at=NOW - DAY_MS, kind="c", boot=OTHER, clock=Clock.HOLDOVER),
            Event(t=4000, at=0, kind="d"),
        ),
        NOW,
    )
    expected = [NOW - DAY_MS - 60_000, NOW - DAY_MS, NOW - DAY_MS + 10_000, NOW - 6000]
    assert found == Stamped(expected, [WALL, WALL, WALL, BY_BOOT])


def test_a_wall_clock_is_bounded_by_what_follows_and_by_what_is_known_before() -> None:
    ahead = Event(t=5, at=NOW - 10, kind="a", boot=OTHER)
    follows = Event(t=4000, at=0, kind="d")
    assert stamp(batch(Clock.SYNCED, ahead, follows), NOW) == Stamped([NOW - 6000] * 2, [ORDER, BY_BOOT])
    behind = Event(t=5, at=NOW - 456 * DAY_MS, kind="a", boot=OTHER)
    # A locker that was put away for fifteen months may say so; not one that was heard an hour ago.
    assert stamp(batch(Clock.SYNCED, behind), NOW).occurred == [NOW - 456 * DAY_MS]
    known = KNOWN[2]
    assert stamp(batch(Clock.SYNCED, behind), NOW, newest=KNOWN) == Stamped([NOW], [RECEIPT])
    # What comes again from before it, or of another epoch, is not held against it.
    for other in ((UUID(int=9), 2, known), (UUID(int=8), 1, known)):
        assert stamp(batch(Clock.SYNCED, behind), NOW, newest=other).sources == [WALL]
    long = [Event(t=0, at=0, kind="a", boot=OTHER), Event(t=DAY_MS, at=0, kind="b", boot=OTHER)]
    assert stamp(batch(Clock.UNSET, *long), NOW, newest=KNOWN).occurred == [known, NOW]


def test_distances_on_a_boot_clock_that_is_not_possible_are_not_believed() -> None:
    message = batch(
        Clock.SYNCED, Event(t=4000, at=NOW - 80_000, kind="a"), Event(t=5000, at=1, kind="b"), t=8 * 3_600_000
    )
    assert stamp(message, NOW).occurred == [NOW - 8 * 3_600_000 + 4000, NOW - 8 * 3_600_000 + 5000]
    found = stamp(message, NOW, possible=False)
    assert found == Stamped([NOW - 80_000, NOW - 79_000], [WALL, WALL])


def test_the_distance_of_an_old_event_is_kept_to_what_is_possible() -> None:
    assert stamp(batch(Clock.SYNCED, Event(t=0, at=0, kind="x"), t=T_MS_MAX), NOW).occurred == [EARLIEST]


_events = st.lists(
    st.builds(
        Event,
        t=st.integers(0, 20_000) | st.integers(0, T_MS_MAX),
        at=st.integers(NOW - DAY_MS, NOW + 120_000) | st.integers(0, AT_MS_MAX),
        kind=st.just("x"),
        boot=st.sampled_from([None, BOOT, OTHER, THIRD]),
        clock=st.sampled_from([None, *Clock]),
    ),
    min_size=1,
    max_size=8,
)
_batches = st.builds(
    lambda clock, events, t: batch(clock, *events, t=t),
    st.sampled_from(Clock), _events, st.integers(0, 20_000) | st.integers(0, T_MS_MAX),
)  # fmt: skip
_arguments: dict[str, Any] = {
    "message": _batches,
    "received_ms": st.just(NOW) | st.integers(0, AT_MS_MAX),
    "possible": st.booleans(),
    "newest": st.none()
    | st.tuples(
        st.just(UUID(int=9)), st.integers(1, 2), st.integers(NOW - DAY_MS, NOW) | st.integers(0, AT_MS_MAX)
    ),
}


@given(**_arguments)
def test_it_is_always_possible_whatever_any_clock_says(
    message: EventBatch, received_ms: int, *, possible: bool, newest: Newest | None
) -> None:
    found = stamp(message, received_ms, possible=possible, newest=newest)
    assert len(found.occurred) == len(message.events)
    for occurred in found.occurred:
        assert EARLIEST <= occurred <= max(received_ms, EARLIEST)


@given(**_arguments)
def test_what_is_not_known_better_never_comes_after_what_follows_it(
    message: EventBatch, received_ms: int, *, possible: bool, newest: Newest | None
) -> None:
    found = stamp(message, received_ms, possible=possible, newest=newest)
    sources = found.sources or [BY_BOOT] * len(found.occurred)
    for place, source in enumerate(sources[:-1]):
        if source is not BY_BOOT:
            assert found.occurred[place] <= min(found.occurred[place + 1 :])


@given(**_arguments, said=st.data())
def test_what_a_clock_says_that_was_not_synced_changes_nothing(
    message: EventBatch, received_ms: int, *, possible: bool, newest: Newest | None, said: st.DataObject
) -> None:
    def otherwise(event: Event) -> Event:
        if (event.clock or message.clock) is Clock.SYNCED:
            return event
        return structs.replace(
            event,
            at=said.draw(st.integers(0, AT_MS_MAX)),
            clock=said.draw(st.sampled_from([Clock.UNSET, Clock.HOLDOVER])),
        )

    other = structs.replace(message, events=[otherwise(event) for event in message.events])
    arguments: dict[str, Any] = {"possible": possible, "newest": newest}
    assert stamp(message, received_ms, **arguments) == stamp(other, received_ms, **arguments)
