"""The pauses between the failures of a task."""

from hypothesis import given
from hypothesis import strategies as st

from hub.core.restarts import Restarts


def test_pauses_double_up_to_the_longest_and_are_short_again_after_a_calm_run() -> None:
    restarts, now = Restarts(pause_ms_min=100, pause_ms_max=1000, calm_ms=60_000), 5000.0
    pauses = []
    for _ in range(6):
        restarts.begin(now)
        pauses.append(restarts.fail(now + 10, 1.0))
        now = restarts.began_ms
    assert pauses == [100, 200, 400, 800, 1000, 1000]
    restarts.begin(now)
    assert restarts.fail(now + 60_000, 1.0) == 100
    assert restarts.in_a_row == 1


def test_it_is_failing_while_it_is_down_and_until_it_has_run_well() -> None:
    restarts = Restarts(pause_ms_min=100, calm_ms=60_000)
    restarts.begin(0)
    assert not restarts.is_failing(1e9)
    assert restarts.fail(1000, 1.0) == 100
    assert restarts.is_failing(1100)
    assert restarts.is_failing(1e9), "it is down until it begins, however late that is"
    restarts.begin(1100)
    assert not restarts.is_failing(1100)
    restarts.fail(1200, 1.0)
    restarts.begin(1400)
    assert (restarts.is_failing(1400 + 59_999), restarts.is_failing(1400 + 60_000)) == (True, False)


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1)), max_size=200))
def test_a_pause_is_never_longer_than_the_longest_nor_shorter_than_half_the_shortest(
    runs: list[tuple[float, float]],
) -> None:
    restarts, now = Restarts(), 0.0
    for ran_ms, jitter in runs:
        restarts.begin(now)
        pause = restarts.fail(now + ran_ms, jitter)
        assert restarts.pause_ms_min / 2 <= pause <= restarts.pause_ms_max
        now = restarts.began_ms
