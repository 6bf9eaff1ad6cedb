"""Counting repetitions against adding them up plainly."""

from collections.abc import Sequence
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from hub.core.alarms.repetitions import Repetitions

COUNT = 3
WITHIN_S = 10.0
TIMES = st.integers(0, 60).map(float)
DOORS = st.sampled_from([None, "a", "b", "c", "d"])


def plain(seen: Sequence[tuple[float, str | None]]) -> int:
    """How many of what was seen lie within the time of the last one; of a door, only its last one counts."""
    at_s = seen[-1][0]
    last = {door or place: when for place, (when, door) in enumerate(seen)}
    return sum(abs(when - at_s) <= WITHIN_S for when in last.values())


def told(seen: Sequence[tuple[float, str | None]]) -> list[int]:
    counted = Repetitions()
    return [counted.add(when, within_s=WITHIN_S, count=COUNT, of=door) for when, door in seen]


@given(st.lists(st.tuples(TIMES, DOORS), min_size=1))
def test_in_their_order_they_are_counted_exactly(seen: list[tuple[float, str | None]]) -> None:
    seen.sort(key=lambda one: one[0])
    for place, number in enumerate(told(seen), 1):
        true = plain(seen[:place])
        assert (number >= COUNT) == (true >= COUNT)


@given(st.lists(st.tuples(TIMES, DOORS), min_size=1))
def test_in_whatever_order_there_are_never_more_than_there_were(seen: list[tuple[float, str | None]]) -> None:
    for place, number in enumerate(told(seen), 1):
        assert number <= COUNT
        assert number < COUNT or plain(seen[:place]) >= COUNT


@given(
    st.lists(st.integers(0, 9).map(float), min_size=1, max_size=30),
    st.lists(st.integers(50, 59).map(float), min_size=1, max_size=30),
    st.randoms(use_true_random=False),
)
def test_what_is_old_and_what_is_new_do_not_hide_each_other(
    old: list[float], new: list[float], order: Random
) -> None:
    both = [(when, None) for when in old + new]
    order.shuffle(both)
    for place, number in enumerate(told(both), 1):
        assert number == min(COUNT, plain(both[:place])) or place < COUNT
