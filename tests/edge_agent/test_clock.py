"""The locker's clocks."""

from pathlib import Path
from uuid import UUID

import pytest

from edge_agent import clock as clocks
from edge_agent.clock import BootClock
from wire.messages import Clock


def test_the_boot_is_the_kernels_and_stays() -> None:
    assert BootClock().boot.int != 0
    assert BootClock(UUID(int=3)).boot == UUID(int=3)


def test_without_a_kernels_boot_id_each_process_has_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(clocks, "_BOOT_ID", tmp_path / "missing")
    assert clocks.boot_id() != clocks.boot_id()


def test_the_boot_clock_goes_on() -> None:
    clock = BootClock(UUID(int=1))
    first_us, first = clock.us(), clock.t()
    assert first_us // 1000 <= first <= clock.stamp().t
    assert first_us <= clock.us()


@pytest.mark.parametrize(("synced", "quality"), [(True, Clock.SYNCED), (False, Clock.HOLDOVER)])
def test_a_wall_clock_is_as_good_as_what_disciplines_it(*, synced: bool, quality: Clock) -> None:
    assert BootClock(UUID(int=1), synced=lambda: synced).stamp().clock is quality


def test_discipline_is_asked_for_now_and_then_only() -> None:
    asked: list[None] = []

    def synced() -> bool:
        asked.append(None)
        return True

    clock = BootClock(UUID(int=1), synced=synced)
    for _ in range(100):
        clock.stamp()
    assert len(asked) == 1


def test_a_clock_before_2024_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 86_400_000_000_000)
    stamp = BootClock(UUID(int=1), synced=lambda: True).stamp()
    assert (stamp.clock, stamp.at) == (Clock.UNSET, 86_400_000)


def test_the_kernel_can_be_asked() -> None:
    assert clocks.kernel_clock_synced() in {True, False}


def test_without_adjtimex_nothing_is_synced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks, "_libc", None)
    assert clocks.kernel_clock_synced() is False
