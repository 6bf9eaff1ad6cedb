"""A ledger's account: complete where everything agrees, and a sentence for each thing that does not."""

from uuid import UUID

import pytest

from hub.core.verify import GapView, RangeView, Row, judge

GOOD: Row = {
    "locker": "berlin-01", "epoch": UUID(int=1), "last": 20, "chain": "00000000000000ff", "first_stored": 1,
    "stored": 15, "stored_then": 15, "duplicates": 0, "beyond": 0, "gone": 0, "gone_then": 0, "resurrected": 0,
    "unexplained": 0, "unexplained_ranges": 0, "unexplained_list": [],
    "declared": 3, "declared_then": 3, "declared_ranges": 1, "declared_list": [[4, 6, "outbox_full"]],
    "quarantined": 2, "quarantined_then": 2, "quarantined_list": [9, 11], "given_up": 7, "forks": 1,
}  # fmt: skip


def test_what_is_explained_is_complete() -> None:
    view = judge(GOOD)
    assert (view.complete, view.problems) == (True, [])
    assert (view.first_stored, view.last, view.stored, view.missing, view.missing_list) == (1, 20, 15, 0, [])
    assert (view.declared, view.declared_ranges, view.declared_list) == (3, 1, [GapView(4, 6, "outbox_full")])
    assert (view.quarantined, view.quarantined_list, view.given_up, view.forks) == (2, [9, 11], 7, 1)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (
            {"unexplained": 5, "unexplained_ranges": 1, "unexplained_list": [[12, 16]]},
            "5 numbers are neither stored nor explained",
        ),
        ({"duplicates": 1}, "1 numbers are there twice"),
        ({"beyond": 2}, "2 rows lie beyond the cursor"),
        ({"stored_then": 16}, "15 are stored, 16 were"),
        ({"quarantined": 1}, "1 are in quarantine, 2 were put there"),
        ({"declared_then": 0}, "3 are declared missing, 0 were"),
        ({"gone": 4}, "4 are written down as gone, 0 went"),
        ({"resurrected": 1}, "1 rows are there although their numbers are gone by a rule"),
    ],
)
def test_each_thing_that_does_not_agree_is_told(changed: Row, sentence: str) -> None:
    view = judge({**GOOD, **changed})
    assert (view.complete, view.problems) == (False, [sentence])


def test_what_is_gone_by_a_rule_is_explained() -> None:
    view = judge({**GOOD, "stored": 5, "stored_then": 5, "gone": 10, "gone_then": 10})
    assert (view.complete, view.gone, view.stored) == (True, 10, 5)


def test_what_is_missing_is_listed() -> None:
    changed: Row = {"unexplained": 6, "unexplained_ranges": 2, "unexplained_list": [[12, 16], [18, 18]]}
    view = judge({**GOOD, **changed})
    assert (view.missing, view.missing_ranges) == (6, 2)
    assert view.missing_list == [RangeView(12, 16), RangeView(18, 18)]
