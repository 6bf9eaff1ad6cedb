"""One locker's share, against a plain count of tokens in exact numbers."""

from dataclasses import dataclass, field
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from hub.core.fairness import RECORDS_OF, Limit, Shares, records_in

MESSAGES_PER_S, RECORDS_PER_S, BURST_S = 2, 8, 2
PAUSES = st.sampled_from([0, 1, 125, 250, 500, 1000, 10_000])
"""Multiples of what a token takes, so that floats and fractions agree."""


@dataclass
class Model:
    """Two buckets as everyone draws them: tokens that are refilled."""

    messages: Fraction = Fraction(MESSAGES_PER_S * BURST_S)
    records: Fraction = Fraction(RECORDS_PER_S * BURST_S)
    seen_ms: int = 0
    refused: list[Limit] = field(default_factory=list)

    def admit(self, now_ms: int) -> Limit | None:
        passed, self.seen_ms = Fraction(now_ms - self.seen_ms, 1000), now_ms
        self.messages = min(Fraction(MESSAGES_PER_S * BURST_S), self.messages + passed * MESSAGES_PER_S)
        self.records = min(Fraction(RECORDS_PER_S * BURST_S), self.records + passed * RECORDS_PER_S)
        if self.records <= 0:
            return Limit.RECORDS
        if self.messages < 1:
            return Limit.MESSAGES
        self.messages -= 1
        return None


def shares(lockers_max: int = 100) -> Shares:
    return Shares(
        messages_per_s=MESSAGES_PER_S, records_per_s=RECORDS_PER_S, burst_s=BURST_S, lockers_max=lockers_max
    )


@given(st.lists(st.tuples(PAUSES, st.sampled_from(["a", "b"]), st.integers(0, 40)), max_size=60))
def test_each_locker_has_its_own_two_buckets(steps: list[tuple[int, str, int]]) -> None:
    judged, models, now_ms = shares(), {"a": Model(), "b": Model()}, 0
    for pause, locker, records in steps:
        now_ms += pause
        expected = models[locker].admit(now_ms)
        assert judged.admit(locker, float(now_ms)) == expected
        if expected is None:
            judged.charge(locker, records, float(now_ms))
            models[locker].records -= records


@given(st.lists(st.tuples(PAUSES, st.integers(1, 500)), min_size=1, max_size=80))
def test_over_any_time_no_more_is_taken_than_burst_rate_and_one_message(steps: list[tuple[int, int]]) -> None:
    judged, now_ms, taken, largest = shares(), 0, 0, 0
    for pause, records in steps:
        now_ms += pause
        if judged.admit("a", float(now_ms)) is None:
            judged.charge("a", records, float(now_ms))
            taken, largest = taken + records, max(largest, records)
    assert taken <= RECORDS_PER_S * (BURST_S + now_ms / 1000) + largest


def test_a_rate_below_one_message_a_burst_still_lets_one_through() -> None:
    slow = Shares(messages_per_s=0.01, records_per_s=0.01, burst_s=1, lockers_max=1)
    assert slow.admit("a", 0.0) is None
    assert slow.admit("a", 1000.0) is Limit.MESSAGES


def test_people_are_told_of_a_locker_once_a_minute() -> None:
    judged = shares()
    assert not judged.tell("a", 0.0)
    judged.admit("a", 0.0)
    judged.admit("b", 0.0)
    assert judged.tell("a", 0.0)
    assert not judged.tell("a", 59_999.0)
    assert judged.tell("b", 59_999.0)
    assert judged.tell("a", 60_000.0)


def test_a_clock_that_steps_back_gives_nothing() -> None:
    judged = shares()
    for _ in range(MESSAGES_PER_S * BURST_S):
        assert judged.admit("a", 10_000.0) is None
    assert judged.admit("a", 5000.0) is not None


def test_of_too_many_lockers_those_that_used_nothing_are_forgotten() -> None:
    judged = shares(lockers_max=3)
    for locker in "abc":
        judged.admit(locker, 0.0)
    judged.charge("b", 10_000, 0.0)
    # a and c are full again; b is not, and is not let off by being forgotten.
    judged.admit("d", 5000.0)
    assert len(judged) == 2
    assert judged.admit("b", 5000.0) is Limit.RECORDS


def test_if_all_are_in_use_the_first_one_goes() -> None:
    judged = shares(lockers_max=2)
    for locker in "abc":
        judged.admit(locker, 0.0)
    assert len(judged) == 2
    judged.charge("a", 10_000, 0.0)
    assert judged.admit("a", 0.0) is None


def test_a_record_counts_by_its_length_too() -> None:
    assert records_in(1, 200) == 1
    assert records_in(500, 90_000) == 500
    assert records_in(1, 4096) == 16, "a snapshot of the longest data"
    assert records_in(1, 256 * 1024) == 1024, "whatever else is written beside one record"
    assert min(RECORDS_OF.values()) > 1
