"""Paces and the ceiling against plain counting."""

from hypothesis import given
from hypothesis import strategies as st

from hub.core.pace import Ceiling, Pace

STEPS_MS = st.lists(st.sampled_from([0.0, 1.0, 99.0, 1000.0, 5000.0, 59_999.0, 60_000.0]), max_size=60)


@given(st.integers(1, 6000), STEPS_MS)
def test_a_pace_is_even_and_catches_up_for_a_second_only(per_minute: int, steps: list[float]) -> None:
    pace, now_ms, sent = Pace(per_minute), 0.0, 0
    for step in steps:
        now_ms += step
        due = pace.due(now_ms)
        assert 0 <= due <= per_minute / 60 + 1 + 1e-6
        pace.spend(due, now_ms)
        sent += due
        assert sent <= now_ms * per_minute / 60_000 + 1 + 1e-6
        assert pace.due(now_ms) == 0 or due == 0


def test_the_first_goes_at_once_and_the_next_when_its_time_has_come() -> None:
    pace = Pace(60)
    assert pace.due(5.0) == 1
    pace.spend(1, 5.0)
    assert [pace.due(ms) for ms in (5.0, 1004.0, 1005.0, 90_000.0)] == [0, 0, 1, 2]


@given(st.integers(1, 5), STEPS_MS)
def test_a_ceiling_holds_in_every_minute(per_minute: int, steps: list[float]) -> None:
    ceiling, now_ms = Ceiling(per_minute), 0.0
    sent: list[float] = []
    for step in steps:
        now_ms += step
        within = sum(one > now_ms - 60_000 for one in sent)
        assert ceiling.free(now_ms) == per_minute - within
        if ceiling.free(now_ms):
            ceiling.add(now_ms)
            sent.append(now_ms)


def test_a_ceiling_that_was_lowered_lets_nothing_through_for_a_while() -> None:
    ceiling = Ceiling(1)
    ceiling.add(0.0)
    ceiling.add(0.0)
    assert ceiling.free(1.0) == 0
