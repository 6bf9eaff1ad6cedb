"""The hub's clocks."""

import pytest

from hub import clock

HOUR_NS = 3_600_000_000_000


class Clocks:
    """Two clocks of a machine that slept for an hour; before some readings the thread is put aside."""

    def __init__(self, *put_aside_ns: int) -> None:
        self._put_aside_ns = list(put_aside_ns)
        self._now_ns = 0

    def monotonic_ns(self) -> int:
        self._now_ns += self._put_aside_ns.pop(0) if self._put_aside_ns else 100
        return self._now_ns

    def clock_gettime_ns(self, _which: int) -> int:
        return self.monotonic_ns() + HOUR_NS


@pytest.mark.parametrize(
    "put_aside_ns",
    [
        (0, 100, 100),
        (0, 50_000_000, 100),
        (0, 100, 50_000_000),
        (0, 50_000_000, 100, 0, 70_000_000, 100, 0, 100, 100),
        (0, 50_000_000, 100, 0, 2_000_000, 100, 0, 70_000_000, 0, 0, 50_000_000, 0, 0, 30_000_000, 0),
    ],
)
def test_a_thread_that_was_put_aside_is_no_sleep(
    put_aside_ns: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "time", Clocks(*put_aside_ns))
    assert 3_600_000 <= clock.suspended_ms() <= 3_600_002


def test_a_machine_that_is_awake_does_not_sleep() -> None:
    assert abs(clock.suspended_ms() - clock.suspended_ms()) < 5
