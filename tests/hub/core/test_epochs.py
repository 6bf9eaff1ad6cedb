"""A locker's share of epochs: a new disk always gets in, and who makes them up fills nothing."""

from hub.core.epochs import EpochQuota

DAY_MS = 86_400_000.0


def test_new_epochs_are_taken_at_once_up_to_a_days_share_and_then_at_its_rate() -> None:
    epochs = EpochQuota(per_day_max=4, per_locker_max=100, lockers_max=10)
    assert [epochs.admit("berlin-01", 0) for _ in range(6)] == [True] * 4 + [False] * 2
    assert epochs.admit("paris-02", 0)
    assert not epochs.admit("berlin-01", DAY_MS / 4 - 1)
    assert epochs.admit("berlin-01", DAY_MS / 4 + 1)
    assert epochs.count("berlin-01") == 5


def test_who_has_very_many_gets_one_a_day() -> None:
    epochs = EpochQuota(per_day_max=50, per_locker_max=100, lockers_max=10)
    epochs.load({"berlin-01": 98})
    now_ms = 0.0
    assert [epochs.admit("berlin-01", now_ms) for _ in range(5)] == [True, True, True, False, False]
    for day in range(1, 10):
        assert epochs.admit("berlin-01", day * (DAY_MS + 1))
        assert not epochs.admit("berlin-01", day * (DAY_MS + 1) + 1000)
    assert epochs.count("berlin-01") == 110


def test_lockers_that_are_remembered_are_bounded() -> None:
    epochs = EpochQuota(per_day_max=1, per_locker_max=100, lockers_max=2)
    assert [epochs.admit(f"l-{number}", 0) for number in (1, 2, 1, 3, 1, 2)] == [
        True,
        True,
        False,
        True,
        False,
        True,
    ]
