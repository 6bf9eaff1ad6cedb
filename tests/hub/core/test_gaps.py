"""What a locker says of numbers that it had to delete."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.gaps import KIND, DeclaredGap, declared_gap, disjoint
from wire.messages import Event

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def gap(data: dict[str, Any] | None) -> Event:
    return Event(t=1, at=1, kind=KIND, data=data)


def test_a_range_before_the_event_itself_is_taken() -> None:
    assert declared_gap(gap({"from": 3, "to": 9, "reason": "outbox_full"}), 10) == DeclaredGap(3, 9, "outbox_full")
    assert declared_gap(gap({"from": 3, "to": 3, "reason": "x" * 300, "more": 1}), 4) == DeclaredGap(
        3, 3, "x" * 200
    )


@pytest.mark.parametrize("reason", [None, "", 7, ["x"]])
def test_a_reason_that_is_none_is_unknown(reason: object) -> None:
    assert declared_gap(gap({"from": 1, "to": 1, "reason": reason}), 5) == DeclaredGap(1, 1, "unknown")


@pytest.mark.parametrize(
    "data",
    [
        None, {}, {"events": 4, "reason": "disk_full"}, {"from": 0, "to": 3}, {"from": 4, "to": 3},
        {"from": 1, "to": 10}, {"from": 1, "to": 2**63 - 1}, {"from": True, "to": 3}, {"from": 1, "to": 3.0},
        {"from": "1", "to": 3}, {"from": 1}, {"to": 3},
    ],
)  # fmt: skip
def test_what_is_no_such_range_says_nothing(data: dict[str, Any] | None) -> None:
    assert declared_gap(gap(data), 10) is None


@given(st.dictionaries(st.sampled_from(["from", "to", "reason", "events"]), json_values), st.integers(1, 2**62))
def test_whatever_is_said_the_answer_can_be_stored(data: dict[str, Any], seq: int) -> None:
    told = declared_gap(gap(data), seq)
    if told is not None:
        assert 1 <= told.from_seq <= told.to_seq < seq
        assert 1 <= len(told.reason) <= 200


ranges = st.builds(
    lambda first, length, reason: DeclaredGap(first, first + length, reason),
    st.integers(1, 40), st.integers(0, 20), st.sampled_from(["a", "b", "unknown"]),
)  # fmt: skip


@given(st.lists(ranges, max_size=12))
def test_of_words_that_overlap_the_first_counts_for_each_number(told: list[DeclaredGap]) -> None:
    plain: dict[int, str] = {}
    for one in told:
        for seq in range(one.from_seq, one.to_seq + 1):
            if one.reason != "unknown":
                plain.setdefault(seq, one.reason)
    found = disjoint(told)
    assert {seq: one.reason for one in found for seq in range(one.from_seq, one.to_seq + 1)} == plain
    assert all(before.to_seq < after.from_seq for before, after in pairwise(found))
    assert len(found) <= 2 * len(told)


def test_what_is_said_of_very_long_gaps_is_as_little_work() -> None:
    told = [DeclaredGap(1, 2**60 + place, f"{place}") for place in range(500)]
    assert disjoint(told) == [
        DeclaredGap(1, 2**60, "0"),
        *(DeclaredGap(2**60 + place, 2**60 + place, f"{place}") for place in range(1, 500)),
    ]
