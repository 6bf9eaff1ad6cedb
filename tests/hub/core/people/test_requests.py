"""Requests and transactions against plain models; nothing is given before it is known who asks."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.people.privacy_requests import (
    Check,
    CheckHow,
    RequestState,
    after_check,
    deadline,
    missing,
    needed,
    why_no_answer,
    why_no_check,
)
from hub.core.people.transactions import TransactionState, may_become, why_no_code, why_no_rating

STEP = st.one_of(
    st.tuples(st.just("check"), st.sampled_from(Check), st.sampled_from(CheckHow)),
    st.tuples(st.just("answer"), st.sampled_from(RequestState), st.none()),
)


@given(st.booleans(), st.lists(STEP, max_size=8))
def test_a_request_is_carried_out_only_after_all_checks_and_answered_once(
    by_agent: bool,  # noqa: FBT001 - what hypothesis draws
    steps: list[tuple[str, Check | RequestState, CheckHow | None]],
) -> None:
    state, checks = RequestState.RECEIVED, set[Check]()
    # The plain model: what was verified, and the one answer.
    verified: set[str] = set()
    answer: str | None = None
    wanted = {"identity", "agent_permission", "agent_identity"} if by_agent else {"identity"}
    for _, what, how in steps:
        if isinstance(what, Check):
            assert how is not None
            fits = what.value in wanted and (how is CheckHow.RECORDED or what is Check.IDENTITY)
            refused = why_no_check(state, what, how, by_agent=by_agent)
            assert (refused is None) == (answer is None and fits)
            if refused is None:
                checks.add(what)
                verified.add(what.value)
                state = after_check(checks, by_agent=by_agent)
        else:
            is_answer = what.value in {"done", "partly", "refused"}
            may = is_answer and answer is None and (verified == wanted or what.value == "refused")
            assert (why_no_answer(state, what) is None) == may
            if may:
                state, answer = what, what.value
        assert state.answered == (answer is not None)
        assert (missing(checks, by_agent=by_agent) == []) == (verified == wanted)
        if answer is None:
            assert (state is RequestState.IDENTITY_CHECKED) == (verified == wanted)
    assert {one.value for one in needed(by_agent=by_agent)} == wanted


@given(st.lists(st.sampled_from(TransactionState), max_size=6))
def test_a_transaction_ends_once_and_stays_as_it_ended(wishes: list[TransactionState]) -> None:
    state = TransactionState.OPEN
    end: TransactionState | None = None
    for wish in wishes:
        may = wish is not TransactionState.OPEN and end in {None, wish}
        assert may_become(state, wish) == may
        if may:
            state = end = wish
        assert (why_no_code(state) is None) == (end is None)
        assert (why_no_rating(state) is None) == (end is not None)


@pytest.mark.parametrize(
    ("received", "due"),
    [
        ((2026, 11, 21), (2026, 12, 21)),
        ((2026, 12, 31), (2027, 1, 31)),
        # The month that has no such day is over when the next one begins.
        ((2027, 1, 30), (2027, 3, 1)),
        ((2028, 1, 29), (2028, 2, 29)),
    ],
)
def test_the_answer_is_due_a_calendar_month_later(
    received: tuple[int, int, int], due: tuple[int, int, int]
) -> None:
    assert deadline(datetime(*received, tzinfo=UTC)) == datetime(*due, tzinfo=UTC)
