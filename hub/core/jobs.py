"""The life of a job: one order for many targets, sent a few at a time, and stopped by its own failures.

    waiting_approval ──a second person──▶ running ⇄ paused ──all settled──▶ done
       └──▶ rejected | expired | cancelled    └──▶ aborted (failures) | cancelled (a person) | expired (too late)

    target: pending ──▶ sent ──▶ succeeded | rejected | failed | unknown | timed_out
               └──▶ skipped | cancelled

A job that has ended sends nothing more; what it sent before goes on, and is still written down. The first
`canaries` targets that are really sent are the canaries: until all of them are settled, and well, nothing else is
sent. One that is skipped proves nothing, so the next target takes its place.
"""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import Final


class JobState(StrEnum):
    """Where a job is."""

    WAITING_APPROVAL = "waiting_approval"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    ABORTED = "aborted"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"


class TargetState(StrEnum):
    """Where one target of a job is."""

    PENDING = "pending"
    SENT = "sent"
    SKIPPED = "skipped"
    SUCCEEDED = "succeeded"
    REJECTED = "rejected"
    FAILED = "failed"
    UNKNOWN = "unknown"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"


class JobStep(StrEnum):
    """What a person can do about a job."""

    APPROVE = "approve"
    REJECT = "reject"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"


class Objection(StrEnum):
    """Why a step is not taken. The values are codes of the API."""

    JOB_STATE = "job_state"
    SECOND_PERSON_NEEDED = "second_person_needed"


ACTIVE: Final = frozenset({JobState.WAITING_APPROVAL, JobState.RUNNING, JobState.PAUSED})
"""States in which a job has not ended."""
FAILURES: Final = frozenset(
    {TargetState.REJECTED, TargetState.FAILED, TargetState.UNKNOWN, TargetState.TIMED_OUT}
)  # fmt: skip
ACTED: Final = FAILURES | {TargetState.SUCCEEDED}
"""States of a target that was sent and is settled: those that failures are counted among."""

_STEPS: Final = {
    JobStep.APPROVE: (frozenset({JobState.WAITING_APPROVAL}), JobState.RUNNING),
    JobStep.REJECT: (frozenset({JobState.WAITING_APPROVAL}), JobState.REJECTED),
    JobStep.PAUSE: (frozenset({JobState.RUNNING}), JobState.PAUSED),
    JobStep.RESUME: (frozenset({JobState.PAUSED}), JobState.RUNNING),
    JobStep.CANCEL: (ACTIVE, JobState.CANCELLED),
}


@dataclass(frozen=True, slots=True)
class JobTerms:
    """How a job goes about it.

    `abort_share` is above 0 and at most 1. After the canaries, a job is aborted once it has `abort_min_count`
    failures and they are `abort_share` of what is settled; among the canaries the share alone counts.
    """

    canaries: int
    abort_share: float
    abort_min_count: int
    in_flight_max: int


@dataclass(frozen=True, slots=True)
class JobLimits:
    """Until when: an approval may come, and a job that runs may send. None: there is no such end."""

    approval_until: datetime | None
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class TargetVerdict:
    """A job's end, and the sentence that says why."""

    state: JobState
    why: str


class Job:
    """One job and the states of its targets, which are named by their place, from 0."""

    def __init__(self, terms: JobTerms, state: JobState, targets: Iterable[TargetState]) -> None:
        self._terms = terms
        self.state = state
        self._targets = list(targets)
        self._pending = deque(place for place, one in enumerate(self._targets) if one is TargetState.PENDING)
        self._counts = Counter(self._targets)

    def count(self, *states: TargetState) -> int:
        """Count the targets that are in one of these states."""
        return sum(self._counts[state] for state in states)

    def target(self, place: int) -> TargetState:
        """Return a target's state."""
        return self._targets[place]

    def room(self) -> int:
        """Return how many more targets may be sent now, by the canaries and by what is in flight."""
        if self.state is not JobState.RUNNING or self._failing() is not None:
            return 0
        sent, acted = self._counts[TargetState.SENT], self.count(*ACTED)
        room = self._terms.in_flight_max - sent
        if acted < self._terms.canaries:
            room = min(room, self._terms.canaries - acted - sent)
        return min(max(room, 0), len(self._pending))

    def next(self, targets: int) -> list[int]:
        """Return the places of the next pending targets, `targets` at the most."""
        return list(islice(self._pending, targets))

    def send(self, place: int) -> None:
        """Note that a pending target is being sent."""
        self._pending.remove(place)
        self._move(place, TargetState.SENT)

    def skip(self, place: int) -> None:
        """Note that a pending target is left out."""
        self._pending.remove(place)
        self._move(place, TargetState.SKIPPED)

    def give_back(self, place: int) -> None:
        """Note that a target was not sent after all; it comes next. In a job that has ended it is cancelled."""
        if self.state in ACTIVE:
            self._pending.appendleft(place)
            self._move(place, TargetState.PENDING)
        else:
            self._move(place, TargetState.CANCELLED)

    def settle(self, place: int, state: TargetState) -> None:
        """Note how a target that was sent has ended."""
        self._move(place, state)

    def verdict(self, limits: JobLimits, now: datetime) -> TargetVerdict | None:
        """Return the end that has come for the job, if one has."""
        if self.state is JobState.WAITING_APPROVAL:
            if limits.approval_until is not None and now >= limits.approval_until:
                return TargetVerdict(JobState.EXPIRED, "Nobody approved it in time.")
            return None
        if self.state not in ACTIVE:
            return None
        failing = self._failing()
        if failing is not None:
            return TargetVerdict(JobState.ABORTED, failing)
        if not self._pending:
            return (
                None if self._counts[TargetState.SENT] else TargetVerdict(JobState.DONE, "Every target is settled.")
            )
        if limits.expires_at is not None and now >= limits.expires_at:
            return TargetVerdict(
                JobState.EXPIRED, f"Its time was over with {len(self._pending)} targets still to send."
            )
        return None

    def end(self, state: JobState) -> int:
        """Enter a state in which nothing more is sent. Returns how many pending targets are cancelled by it."""
        self.state = state
        cancelled = list(self._pending)
        self._pending.clear()
        for place in cancelled:
            self._move(place, TargetState.CANCELLED)
        return len(cancelled)

    def _failing(self) -> str | None:
        terms, acted, failures = self._terms, self.count(*ACTED), self.count(*FAILURES)
        if failures and acted <= terms.canaries and failures >= terms.abort_share * terms.canaries:
            return f"{failures} of {terms.canaries} canaries failed."
        if failures >= max(1, terms.abort_min_count) and failures >= terms.abort_share * acted:
            return f"{failures} of {acted} settled targets failed."
        return None

    def _move(self, place: int, state: TargetState) -> None:
        self._counts[self._targets[place]] -= 1
        self._counts[state] += 1
        self._targets[place] = state


def after(step: JobStep, state: JobState, *, by: str, created_by: str) -> JobState | Objection:
    """Return the state that a person's step leads to, or why it is not taken."""
    allowed, then = _STEPS[step]
    if state not in allowed:
        return Objection.JOB_STATE
    if step is JobStep.APPROVE and by == created_by:
        return Objection.SECOND_PERSON_NEEDED
    return then


def needs_approval(openings: int, openings_before: int, without_approval_max: int) -> bool:
    """Say whether a job needs a second person.

    `openings_before` is what the same operator's jobs were allowed to open without one lately, so that nobody gets
    round the limit with many small jobs.
    """
    return openings > 0 and openings + openings_before > without_approval_max
