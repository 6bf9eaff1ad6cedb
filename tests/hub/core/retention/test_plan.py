"""Which chunks are dropped whole, which are gone through by rows, and which are left alone."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.retention.plan import Chunk, Due, RetentionAction, RetentionReach, act_on, may_be_held
from hub.core.retention.policy import Category, CutOffs

CUT = datetime(2019, 6, 16, tzinfo=UTC)
DAY = timedelta(days=1)
ONE = CutOffs(CUT, {})
TWO = CutOffs(CUT, {"acme": CUT + 10 * DAY})


def chunk(since: int | None, before: int | None) -> Chunk:
    """Days from the cut-off."""
    return Chunk("c", None if since is None else CUT + since * DAY, None if before is None else CUT + before * DAY)


@pytest.mark.parametrize(
    ("part", "cut_offs", "held", "act"),
    [
        (chunk(-7, 0), ONE, 0, RetentionAction.CHUNK),
        (chunk(-7, 0), ONE, 1, RetentionAction.ROWS),
        (chunk(-7, 1), ONE, 0, RetentionAction.ROWS),
        (chunk(-1, 6), ONE, 0, RetentionAction.ROWS),
        (chunk(0, 7), ONE, 0, None),
        (chunk(1, 8), ONE, 5, None),
        (chunk(None, None), ONE, 0, RetentionAction.ROWS),
        (chunk(None, -3), ONE, 0, RetentionAction.CHUNK),
        (chunk(-7, 0), TWO, 0, RetentionAction.CHUNK),
        (chunk(0, 7), TWO, 0, RetentionAction.ROWS),
        (chunk(9, 12), TWO, 0, RetentionAction.ROWS),
        (chunk(10, 17), TWO, 0, None),
    ],
)
def test_what_is_done_to_a_chunk(part: Chunk, cut_offs: CutOffs, held: int, act: RetentionAction | None) -> None:
    assert act_on(part, cut_offs, held=held) is act


@given(st.integers(-20, 20), st.integers(1, 10), st.integers(-20, 20), st.lists(st.integers(-20, 20), max_size=3))
def test_a_chunk_that_is_dropped_has_nothing_that_anybody_may_keep(
    since: int, length: int, at: int, tenants: list[int]
) -> None:
    cut_offs = CutOffs(CUT, {str(place): CUT + days * DAY for place, days in enumerate(tenants)})
    part = chunk(since, since + length)
    act = act_on(part, cut_offs, held=0)
    if since <= at < since + length:
        moment = CUT + at * DAY
        due_of_everybody = all(moment < one for one in (cut_offs.default, *cut_offs.tenants.values()))
        due_of_somebody = any(moment < one for one in (cut_offs.default, *cut_offs.tenants.values()))
        assert due_of_everybody or act is not RetentionAction.CHUNK
        assert act is not None or not due_of_somebody


def reach(since: int | None, before: int | None) -> RetentionReach:
    part = chunk(since, before)
    return RetentionReach(part.lower, part.upper)


@pytest.mark.parametrize(
    ("hold", "meets"),
    [
        (reach(None, None), True), (reach(-7, 0), True), (reach(-4, -3), True), (reach(None, -6), True),
        (reach(None, -7), False), (reach(-1, None), True), (reach(0, None), False), (reach(-20, -7), False),
        (reach(5, 9), False),
    ],
)  # fmt: skip
def test_whether_a_hold_meets_a_chunk(hold: RetentionReach, meets: bool) -> None:  # noqa: FBT001 - an expectation
    assert may_be_held(chunk(-7, 0), [hold]) is meets
    assert may_be_held(chunk(-7, 0), [reach(5, 6), hold]) is meets


def test_what_has_no_end_is_met_by_every_hold() -> None:
    assert may_be_held(chunk(None, None), [reach(5, 9)])
    assert not may_be_held(chunk(None, None), [])


def test_what_is_due_is_told_in_json() -> None:
    due = Due(Category.EVENT, "event", "event_2019_06", RetentionAction.ROWS, 9, 2, CUT)
    assert due.said() == {
        "category": "event", "table": "event", "chunk": "event_2019_06", "by": "rows", "due": 9, "held": 2,
        "oldest": "2019-06-16T00:00:00+00:00",
    }  # fmt: skip
    assert Due(Category.CODE, "t", "t", RetentionAction.ROWS, 1, 0, None).said()["oldest"] is None
