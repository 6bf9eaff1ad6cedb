"""A freeze is seen by whoever looks first, and requests are doubted for a moment after it."""

from hub.core.freshness import LoopFreshness


def test_requests_are_new_while_the_clock_goes_evenly() -> None:
    fresh = LoopFreshness(stall_ms_max=1000, hold_ms=250)
    assert [fresh.look(at) for at in (50_000.0, 50_050.0, 51_050.0)] == [None, None, None]


def test_after_a_freeze_requests_may_be_as_old_as_it_was_long() -> None:
    fresh = LoopFreshness(stall_ms_max=1000, hold_ms=250)
    fresh.look(0.0)
    assert fresh.look(10_000.0) == 10_000.0
    assert fresh.look(10_050.0) == 10_000.0
    assert fresh.look(10_249.9) == 10_000.0
    assert fresh.look(10_250.0) is None
    assert fresh.look(12_000.0) == 1750.0


def test_a_clock_that_goes_back_is_no_freeze() -> None:
    fresh = LoopFreshness(stall_ms_max=1000, hold_ms=250)
    fresh.look(10_000.0)
    assert fresh.look(0.0) is None
    assert fresh.look(900.0) is None
