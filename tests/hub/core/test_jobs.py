"""Jobs against a plain model: few at once, canaries first, stopped by failures, by people and by time."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hub.core.jobs import (
    ACTED,
    ACTIVE,
    FAILURES,
    Job,
    JobLimits,
    JobState,
    JobStep,
    JobTerms,
    Objection,
    TargetState,
    TargetVerdict,
    after,
    needs_approval,
)

AT = datetime(2026, 11, 20, tzinfo=UTC)
ENDINGS = st.sampled_from([*sorted(ACTED), TargetState.CANCELLED, TargetState.SKIPPED])


class JobMachine(RuleBasedStateMachine):
    """A runner sends and settles, people step in, time passes. The model is a list of states, counted anew."""

    @initialize(
        size=st.integers(1, 12),
        canaries=st.integers(0, 4),
        share=st.sampled_from([0.1, 0.25, 0.5, 1.0]),
        least=st.integers(1, 4),
        flights=st.integers(1, 5),
        waits=st.booleans(),
        ends=st.booleans(),
    )
    def make(
        self, size: int, canaries: int, share: float, least: int, flights: int, *, waits: bool, ends: bool
    ) -> None:
        self.terms = JobTerms(canaries, share, least, flights)
        self.limits = JobLimits(
            AT + timedelta(seconds=10) if waits else None, AT + timedelta(minutes=1) if ends else None
        )
        self.state = JobState.WAITING_APPROVAL if waits else JobState.RUNNING
        self.plain = [TargetState.PENDING] * size
        self.now = AT
        self.job = Job(self.terms, self.state, self.plain)

    def places(self, *states: TargetState) -> list[int]:
        return [place for place, one in enumerate(self.plain) if one in states]

    def failing(self) -> bool:
        failures, acted = len(self.places(*FAILURES)), len(self.places(*ACTED))
        if not failures:
            return False
        if acted <= self.terms.canaries and failures / self.terms.canaries >= self.terms.abort_share:
            return True
        return failures >= self.terms.abort_min_count and failures / acted >= self.terms.abort_share

    def cancel_pending(self) -> int:
        pending = self.places(TargetState.PENDING)
        for place in pending:
            self.plain[place] = TargetState.CANCELLED
        return len(pending)

    @rule(wanted=st.integers(1, 3), data=st.data())
    def send(self, wanted: int, data: st.DataObject) -> None:
        room = self.job.room()
        if self.state is not JobState.RUNNING or self.failing():
            assert room == 0
        sent, acted = len(self.places(TargetState.SENT)), len(self.places(*ACTED))
        chosen = self.job.next(min(room, wanted))
        assert len(chosen) == min(room, wanted)
        assert set(chosen) <= set(self.places(TargetState.PENDING))
        for place in chosen:
            self.job.send(place)
            self.plain[place] = TargetState.SENT
            sent += 1
            assert sent <= self.terms.in_flight_max
            assert acted >= self.terms.canaries or acted + sent <= self.terms.canaries
        refused: bool = data.draw(st.booleans(), "refused for now")
        if chosen and refused:
            place = data.draw(st.sampled_from(chosen))
            self.job.give_back(place)
            self.plain[place] = TargetState.PENDING
            assert self.job.next(1) == [place]

    @precondition(lambda self: self.places(TargetState.SENT))
    @rule(data=st.data(), state=ENDINGS)
    def settle(self, data: st.DataObject, state: TargetState) -> None:
        place = data.draw(st.sampled_from(self.places(TargetState.SENT)))
        self.job.settle(place, state)
        self.plain[place] = state

    @precondition(lambda self: self.places(TargetState.SENT) and self.state not in ACTIVE)
    @rule(data=st.data())
    def refused_in_a_job_that_has_ended(self, data: st.DataObject) -> None:
        place = data.draw(st.sampled_from(self.places(TargetState.SENT)))
        self.job.give_back(place)
        self.plain[place] = TargetState.CANCELLED

    @precondition(lambda self: self.places(TargetState.PENDING))
    @rule(data=st.data())
    def skip(self, data: st.DataObject) -> None:
        place = data.draw(st.sampled_from(self.places(TargetState.PENDING)))
        self.job.skip(place)
        self.plain[place] = TargetState.SKIPPED

    @rule(step=st.sampled_from(JobStep), by=st.sampled_from(["anna", "ben"]))
    def a_person_steps_in(self, step: JobStep, by: str) -> None:
        then = after(step, self.state, by=by, created_by="anna")
        if isinstance(then, Objection):
            return
        self.state = then
        if then in ACTIVE:
            self.job.state = then
        else:
            assert self.job.end(then) == self.cancel_pending()

    @rule(seconds=st.sampled_from([0, 1, 10, 30]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule()
    def judge(self) -> None:
        verdict = self.job.verdict(self.limits, self.now)
        expected = self.expected()
        assert (None if verdict is None else verdict.state) is expected
        if verdict is not None:
            assert verdict.why.endswith(".")
            self.state = verdict.state
            assert self.job.end(verdict.state) == self.cancel_pending()

    def expected(self) -> JobState | None:
        if self.state is JobState.WAITING_APPROVAL:
            late = self.limits.approval_until is not None and self.now >= self.limits.approval_until
            return JobState.EXPIRED if late else None
        if self.state not in ACTIVE:
            return None
        if self.failing():
            return JobState.ABORTED
        if not self.places(TargetState.PENDING):
            return None if self.places(TargetState.SENT) else JobState.DONE
        late = self.limits.expires_at is not None and self.now >= self.limits.expires_at
        return JobState.EXPIRED if late else None

    @rule()
    def the_hub_starts_again(self) -> None:
        self.job = Job(self.terms, self.state, self.plain)

    @invariant()
    def both_say_the_same(self) -> None:
        assert self.job.state is self.state
        for place, one in enumerate(self.plain):
            assert self.job.target(place) is one
        for state in TargetState:
            assert self.job.count(state) == len(self.places(state))
        assert set(self.job.next(100)) == set(self.places(TargetState.PENDING))

    @invariant()
    def something_can_go_on_or_has_ended(self) -> None:
        stuck = self.state is JobState.RUNNING and not self.places(TargetState.SENT) and self.expected() is None
        assert not stuck or self.job.room() > 0


TestJob = JobMachine.TestCase
TestJob.settings = settings(max_examples=200, stateful_step_count=40)


def job(terms: JobTerms, *states: TargetState, state: JobState = JobState.RUNNING) -> Job:
    return Job(terms, state, states)


def test_targets_go_in_their_order() -> None:
    one = job(JobTerms(0, 0.5, 1, 2), *[TargetState.PENDING] * 5)
    assert one.next(one.room()) == [0, 1]
    one.send(0)
    one.send(1)
    assert one.room() == 0
    one.settle(0, TargetState.SUCCEEDED)
    assert one.next(one.room()) == [2]


def test_a_canary_that_fails_stops_the_job_before_anything_else_is_sent() -> None:
    one = job(JobTerms(2, 0.5, 10, 9), *[TargetState.PENDING] * 5)
    assert one.room() == 2
    one.send(0)
    one.send(1)
    one.settle(0, TargetState.SUCCEEDED)
    assert one.room() == 0
    one.settle(1, TargetState.TIMED_OUT)
    assert one.room() == 0
    assert one.verdict(JobLimits(None, None), AT) == TargetVerdict(JobState.ABORTED, "1 of 2 canaries failed.")
    assert one.end(JobState.ABORTED) == 3


def test_a_skipped_canary_proves_nothing() -> None:
    one = job(JobTerms(1, 0.5, 10, 9), *[TargetState.PENDING] * 3)
    one.skip(0)
    assert one.next(one.room()) == [1]
    one.send(1)
    assert one.room() == 0
    one.settle(1, TargetState.SUCCEEDED)
    assert one.next(one.room()) == [2]


def test_a_few_failures_among_many_do_not_stop_it() -> None:
    many = [TargetState.SUCCEEDED] * 30 + [TargetState.FAILED] * 4 + [TargetState.PENDING]
    assert job(JobTerms(2, 0.2, 3, 9), *many).verdict(JobLimits(None, None), AT) is None
    more = [*many, *[TargetState.UNKNOWN] * 4]
    assert job(JobTerms(2, 0.2, 3, 9), *more).verdict(JobLimits(None, None), AT) == TargetVerdict(
        JobState.ABORTED, "8 of 38 settled targets failed."
    )


def test_what_was_left_out_does_not_count_as_settled() -> None:
    states = [TargetState.SKIPPED] * 100 + [TargetState.REJECTED] * 3 + [TargetState.PENDING]
    verdict = job(JobTerms(0, 0.5, 3, 9), *states).verdict(JobLimits(None, None), AT)
    assert verdict is not None
    assert verdict.state is JobState.ABORTED


@pytest.mark.parametrize(("step", "state"), list(product(JobStep, JobState)))
def test_every_step_in_every_state(step: JobStep, state: JobState) -> None:
    allowed = {
        (JobStep.APPROVE, JobState.WAITING_APPROVAL): JobState.RUNNING,
        (JobStep.REJECT, JobState.WAITING_APPROVAL): JobState.REJECTED,
        (JobStep.PAUSE, JobState.RUNNING): JobState.PAUSED,
        (JobStep.RESUME, JobState.PAUSED): JobState.RUNNING,
        (JobStep.CANCEL, JobState.WAITING_APPROVAL): JobState.CANCELLED,
        (JobStep.CANCEL, JobState.RUNNING): JobState.CANCELLED,
        (JobStep.CANCEL, JobState.PAUSED): JobState.CANCELLED,
    }
    assert after(step, state, by="ben", created_by="anna") == allowed.get((step, state), Objection.JOB_STATE)
    mine = after(step, state, by="anna", created_by="anna")
    if (step, state) == (JobStep.APPROVE, JobState.WAITING_APPROVAL):
        assert mine is Objection.SECOND_PERSON_NEEDED
    else:
        assert mine == allowed.get((step, state), Objection.JOB_STATE)


@pytest.mark.parametrize(
    ("openings", "before", "most", "needed"),
    [(5, 0, 5, False), (6, 0, 5, True), (3, 3, 5, True), (0, 99, 5, False), (1, 0, 0, True)],
)
def test_when_a_second_person_is_needed(openings: int, before: int, most: int, needed: bool) -> None:  # noqa: FBT001
    assert needs_approval(openings, before, most) is needed
