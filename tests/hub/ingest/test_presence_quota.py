"""A locker's share of presence: what it said last counts, and is never lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.fairness import Shares
from hub.ingest.presence_quota import PresenceMessage, PresenceShares
from hub.metrics import Metrics


def shares(metrics: Metrics | None = None) -> PresenceShares:
    return PresenceShares(
        Shares(messages_per_s=1, records_per_s=1, burst_s=3, lockers_max=10), metrics or Metrics("0")
    )


def word(number: int, locker: str = "berlin-01", size: int = 1) -> PresenceMessage:
    return PresenceMessage("topic", locker, b"x" * size, retained=False, received_ms=number)


def test_above_the_share_the_newest_word_waits_and_those_between_are_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    metrics = Metrics("0")
    presence = shares(metrics)
    assert [presence.admit(word(number), 0) for number in range(100)] == [True] * 3 + [False] * 97
    assert metrics.samples(metrics.limited) == {("presence", "messages"): 97}
    assert presence.admit(word(0, "paris-02"), 0)
    assert presence.due(500) == []
    assert presence.due(1000) == [word(99)]
    assert presence.due(5000) == []
    assert len([record for record in caplog.records if "more often than its share" in record.message]) == 1


def test_a_word_that_is_taken_makes_an_older_one_void() -> None:
    presence = shares()
    for number in range(4):
        presence.admit(word(number), 0)
    assert presence.admit(word(4), 2000)
    assert presence.due(9000) == []


def test_a_very_long_one_does_not_wait() -> None:
    presence = shares()
    for number in range(4):
        presence.admit(word(number, size=200_000), 0)
    assert presence.due(9000) == []


@given(st.lists(st.tuples(st.integers(0, 3000), st.booleans()), max_size=40))
def test_whatever_comes_the_last_word_is_the_last_that_is_taken(steps: list[tuple[int, bool]]) -> None:
    presence, taken, now_ms = shares(), [-1], 0
    for number, (pause_ms, looks) in enumerate(steps):
        now_ms += pause_ms
        if looks:
            taken += [one.received_ms for one in presence.due(now_ms)]
        if presence.admit(word(number), now_ms):
            taken.append(number)
    taken += [one.received_ms for one in presence.due(now_ms + 10_000)]
    assert taken == sorted(taken)
    assert taken[-1] == len(steps) - 1
