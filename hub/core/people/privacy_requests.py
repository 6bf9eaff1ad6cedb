"""A person's request: received, then their identity checked, then answered, once.

    received ──checks──▶ identity_checked ──▶ done | partly | refused
       └──────────────────▶ refused

Where an agent asks for somebody, three checks are needed: the person's identity, that the person permitted it in
writing, and the agent's own identity.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from hub.core.retention.periods import Period, PeriodUnit, lives_until

ANSWER_WITHIN: Final = Period(1, PeriodUnit.MONTH)
"""From when a request was received (GDPR, article 12)."""
SOON: Final = timedelta(days=7)


class PrivacyRight(StrEnum):
    """What is asked for."""

    ACCESS = "access"
    RECTIFICATION = "rectification"
    ERASURE = "erasure"
    RESTRICTION = "restriction"
    OBJECTION = "objection"
    PORTABILITY = "portability"
    WITHDRAWAL = "withdrawal"


class RequestState(StrEnum):
    """Where a request is."""

    RECEIVED = "received"
    IDENTITY_CHECKED = "identity_checked"
    DONE = "done"
    PARTLY = "partly"
    REFUSED = "refused"

    @property
    def answered(self) -> bool:
        """Whether it has its answer."""
        return self in {RequestState.DONE, RequestState.PARTLY, RequestState.REFUSED}


class Check(StrEnum):
    """What has to be known before anything is given, changed or deleted."""

    IDENTITY = "identity"
    AGENT_PERMISSION = "agent_permission"
    AGENT_IDENTITY = "agent_identity"


class CheckHow(StrEnum):
    """How it is known: the person signed in, or somebody looked and wrote down at what."""

    SIGN_IN = "sign_in"
    RECORDED = "recorded"


def needed(*, by_agent: bool) -> frozenset[Check]:
    """Return the checks that a request needs."""
    return frozenset(Check) if by_agent else frozenset({Check.IDENTITY})


def missing(checks: Collection[Check], *, by_agent: bool) -> list[Check]:
    """Return the checks that a request still needs, in order."""
    return [check for check in Check if check in needed(by_agent=by_agent) and check not in checks]


def why_no_check(state: RequestState, check: Check, how: CheckHow, *, by_agent: bool) -> str | None:
    """Return why this check cannot be noted, None if it can. A check may be noted again, until the answer."""
    if state.answered:
        return f"The request has its answer ({state}); nothing is checked for it any more."
    if check not in needed(by_agent=by_agent):
        return "Nobody acts for the person here, so there is no agent to check."
    if how is CheckHow.SIGN_IN and check is not Check.IDENTITY:
        return "A sign-in shows who the person is; an agent's permission and identity are looked at, and recorded."
    return None


def after_check(checks: Collection[Check], *, by_agent: bool) -> RequestState:
    """Return the state of a request that is not answered and has these checks."""
    return RequestState.RECEIVED if missing(checks, by_agent=by_agent) else RequestState.IDENTITY_CHECKED


def why_no_answer(state: RequestState, answer: RequestState) -> str | None:
    """Return why a request cannot be answered so, None if it can."""
    if not answer.answered:
        return f"{answer} is no answer: done, partly or refused is."
    if state.answered:
        return f"The request has its answer already: {state}."
    if state is RequestState.RECEIVED and answer is not RequestState.REFUSED:
        return "Who asks is not verified yet; until then a request can only be refused."
    return None


def deadline(received_at: datetime) -> datetime:
    """Return when the answer is due: a calendar month later."""
    return lives_until(received_at, ANSWER_WITHIN)
