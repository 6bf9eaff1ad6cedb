"""Jobs: one order for many doors or lockers, with a second person where many doors would open."""

import asyncio
import hashlib
from collections import Counter
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid5

import msgspec
from aiohttp import web

from hub import clock
from hub.api.auth import operator_of
from hub.api.cursors import Cursor, Time
from hub.api.job_requests import JobBody, JobsParameters, TargetsParameters
from hub.api.problems import Problem
from hub.api.routes import Route, answer, id_of_key, read_body, read_query
from hub.config.settings import JobSettings
from hub.core.fleet import Fleet
from hub.core.jobs import JobState, JobStep, Objection, TargetState, needs_approval
from hub.core.targets import Target, canaries_of, choose, why_not
from hub.jobs.runner import JobRunner
from hub.metrics import Metrics
from hub.operators import Operators, is_person
from hub.schemas.jobs import (
    JobDetail,
    JobPage,
    JobPlan,
    PlannedTarget,
    TargetPage,
    TargetView,
    job_detail,
    job_view,
)
from hub.store.database import Database
from hub.store.jobs import JobRow, JobStore
from wire.messages import CommandKind

_CURSOR: Final = Cursor("jobs", tuple[Time, UUID])
_TARGETS: Final = Cursor("targets", int)
_KEYS: Final = UUID("0c1f7a52-5a0e-5a53-8c5e-3a0e8f3e6d21")
"""The namespace of ids made from an Idempotency-Key: the same operator's same key is the same job."""
_CANARY_SHARE: Final = 0.05
_WINDOW: Final = timedelta(hours=1)
"""Openings that needed no second person count together for so long."""
_STEPS_SHOWN: Final = 50
_PORTION: Final = 2000
_ANSWERED: Final = ("job_unknown", "database_unavailable")
_MOVES: Final = {
    JobStep.APPROVE: "Let a job of another operator begin",
    JobStep.REJECT: "Refuse a job that waits for approval",
    JobStep.PAUSE: "Send nothing more for now",
    JobStep.RESUME: "Go on",
    JobStep.CANCEL: "End a job; what was sent goes on",
}


class JobRoutes:
    """The routes of jobs."""

    def __init__(
        self,
        config: JobSettings,
        operators: Operators,
        fleet: Fleet,
        store: Database,
        runner: JobRunner,
        metrics: Metrics,
    ) -> None:
        self._config = config
        self._operators = operators
        self._fleet = fleet
        self._jobs = JobStore(store)
        self._runner = runner
        self._metrics = metrics

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route(
                "POST", "/api/v1/jobs", "Order something of many targets; or see what that would be (`dry_run`)",
                self._create,
                body=JobBody,
                headers={"Idempotency-Key": "The same operator's same key with the same body is the same job."},
                answers={200: JobPlan, 201: JobDetail},
                codes=(
                    "not_json", "too_large", "bad_job", "locker_unknown", "no_targets", "too_many_targets",
                    "no_second_person", "too_many_jobs", "idempotency_key_reused", "database_unavailable",
                ),
            ),
            Route(
                "GET", "/api/v1/jobs", "List jobs, newest first", self._list,
                query=JobsParameters, answers={200: JobPage}, codes=("database_unavailable",),
            ),
            Route(
                "GET", "/api/v1/jobs/{job}", "One job with its targets by state", self._show,
                answers={200: JobDetail}, codes=_ANSWERED,
            ),
            Route(
                "GET", "/api/v1/jobs/{job}/targets", "A job's targets in the order of sending", self._targets,
                query=TargetsParameters, answers={200: TargetPage}, codes=_ANSWERED,
            ),
            *(self._move_route(step, summary) for step, summary in _MOVES.items()),
        ]  # fmt: skip

    def _move_route(self, step: JobStep, summary: str) -> Route:
        async def serve(request: web.Request) -> web.Response:
            return await self._move(request, step)

        codes = (*_ANSWERED, "job_state", *(("second_person_needed",) if step is JobStep.APPROVE else ()))
        return Route(
            "POST", f"/api/v1/jobs/{{job}}/{step.value}", summary, serve, answers={200: JobDetail}, codes=codes
        )

    async def _create(self, request: web.Request) -> web.Response:
        body = await read_body(request, JobBody, "bad_job")
        body.check()
        operator = operator_of(request)
        job = id_of_key(request, _KEYS, operator)
        targets = self._choose(body)
        now = clock.wall()
        if body.dry_run:
            before = await self._jobs.openings_since(operator, now - _WINDOW)
            return answer(self._plan(body, targets, before))
        digest = _digest(body)

        def wanted(active: int, openings_before: int) -> JobRow:
            return self._row(job, body, digest, operator, targets, active, openings_before, now)

        row = await self._jobs.add(
            wanted,
            job=job,
            created_by=operator,
            since=now - _WINDOW,
            targets=await _with_commands(job, targets),
        )
        if row.request_sha256 != digest:
            raise Problem(
                "idempotency_key_reused",
                "This Idempotency-Key came with another body before; a new job needs a new key.",
            )
        self._runner.wake()
        return answer(await self._detail(row), 201)

    def _choose(self, body: JobBody) -> list[Target]:
        for one in body.filter.lockers or ():
            if one not in self._fleet.lockers:
                raise Problem("locker_unknown", f"There is no locker {one[:40]!r} in the registry.")
        targets = choose(self._fleet.lockers.values(), body.filter.selection())
        if not targets:
            raise Problem("no_targets", "No locker, or none of their doors, fits the filter.")
        if len(targets) > self._config.targets_max:
            raise Problem(
                "too_many_targets",
                f"The filter takes {len(targets)} targets; {self._config.targets_max} are the most of one job.",
            )
        return targets

    def _plan(self, body: JobBody, targets: list[Target], openings_before: int) -> JobPlan:
        items = []
        for one in targets:
            why = why_not(self._fleet.lockers, body.kind, one)
            items.append(PlannedTarget(one.locker, one.door, None if why is None else why.value))
        openings = _openings(body, targets)
        rate = min(body.rate_per_minute, self._config.openings_per_minute_max) if openings else body.rate_per_minute
        return JobPlan(
            targets=len(targets),
            lockers=len({one.locker for one in targets}),
            openings=openings,
            canaries=self._canaries(body, targets),
            approval_needed=needs_approval(openings, openings_before, self._config.openings_without_approval_max),
            minutes=round(len(targets) / rate, 1),
            why_not=dict(Counter(one.why_not for one in items if one.why_not is not None)),
            items=items,
        )

    def _canaries(self, body: JobBody, targets: list[Target]) -> int:
        canary = body.canary
        return canaries_of(
            len(targets),
            count=None if canary is None else canary.count,
            share=_CANARY_SHARE if canary is None or canary.share is None else canary.share,
            canaries_max=self._config.canaries_max,
        )

    def _row(
        self,
        job: UUID,
        body: JobBody,
        digest: bytes,
        operator: str,
        targets: list[Target],
        active: int,
        openings_before: int,
        now: datetime,
    ) -> JobRow:
        config = self._config
        if active >= config.active_max:
            raise Problem(
                "too_many_jobs",
                f"{active} jobs have not ended, and {config.active_max} are the most; end one first.",
            )
        openings = _openings(body, targets)
        waits = needs_approval(openings, openings_before, config.openings_without_approval_max)
        if waits and not self._operators.several:
            raise Problem(
                "no_second_person",
                f"This would make {openings + openings_before} doors in an hour, and more than "
                f"{config.openings_without_approval_max} need a second person, of whom there is none: give "
                "http.token_file a line `name:token` for each operator, or raise "
                "jobs.openings_without_approval_max.",
            )
        return JobRow(
            id=job,
            kind=body.kind,
            args=body.args,
            reason=body.reason,
            filter=msgspec.to_builtins(body.filter),
            request_sha256=digest,
            created_at=now,
            created_by=operator,
            approval_until=now + timedelta(seconds=config.approval_s) if waits else None,
            expires_s=body.expires_s,
            rate_per_minute=body.rate_per_minute,
            canaries=self._canaries(body, targets),
            abort_share=body.abort_share,
            abort_min_count=body.abort_min_count,
            targets=len(targets),
            openings=openings,
            state=JobState.WAITING_APPROVAL if waits else JobState.RUNNING,
            expires_at=None if waits else now + timedelta(seconds=body.expires_s),
        )

    async def _list(self, request: web.Request) -> web.Response:
        wanted = read_query(request, JobsParameters)
        after = _CURSOR.read(wanted.cursor)
        rows = await self._jobs.jobs(wanted.state, after, wanted.limit + 1)
        page, more = rows[: wanted.limit], len(rows) > wanted.limit
        following = _CURSOR.write((page[-1].created_at, page[-1].id)) if more else None
        return answer(JobPage([job_view(row) for row in page], following))

    async def _show(self, request: web.Request) -> web.Response:
        row = await self._jobs.job(_job_of(request))
        if row is None:
            raise _unknown(request)
        return answer(await self._detail(row))

    async def _targets(self, request: web.Request) -> web.Response:
        wanted = read_query(request, TargetsParameters)
        after = _TARGETS.read(wanted.cursor)
        job = _job_of(request)
        if await self._jobs.job(job) is None:
            raise _unknown(request)
        rows: list[dict[str, Any]] = await self._jobs.targets(
            job, wanted.state, -1 if after is None else after, wanted.limit + 1
        )
        page, more = rows[: wanted.limit], len(rows) > wanted.limit
        following = _TARGETS.write(page[-1]["place"]) if more else None
        views = [TargetView(**{name: row[name] for name in TargetView.__slots__}) for row in page]
        return answer(TargetPage(views, following))

    async def _move(self, request: web.Request, step: JobStep) -> web.Response:
        job = _job_of(request)
        operator = operator_of(request)
        if step is JobStep.APPROVE and not is_person(operator):
            raise Problem("second_person_needed", f"{operator} is a machine; a person has to approve this.")
        moved = await self._jobs.step(job, step, operator, clock.wall())
        if moved is None:
            raise _unknown(request)
        if moved is Objection.SECOND_PERSON_NEEDED:
            raise Problem(
                moved.value,
                f"{operator} made this job; another operator has to approve it, who knows what it is for.",
            )
        if isinstance(moved, Objection):
            row = await self._jobs.job(job)
            state = "gone" if row is None else row.state.value
            if step is JobStep.APPROVE and state == JobState.WAITING_APPROVAL:
                state = JobState.EXPIRED.value  # the runner has not written it down yet
            raise Problem(moved.value, f"The job is {state}; `{step.value}` is not for jobs in that state.")
        self._metrics.job_targets.labels(moved.row.kind, TargetState.CANCELLED.value).inc(moved.cancelled)
        self._runner.wake()
        return answer(await self._detail(moved.row))

    async def _detail(self, row: JobRow) -> JobDetail:
        counts = await self._jobs.counts(row.id)
        return job_detail(row, counts, await self._jobs.steps(row.id, _STEPS_SHOWN))


async def _with_commands(job: UUID, targets: list[Target]) -> list[tuple[Target, UUID]]:
    """Give each target its command's id, in portions: doors are being opened in this very loop."""
    named: list[tuple[Target, UUID]] = []
    for start in range(0, len(targets), _PORTION):
        named += [(one, uuid5(job, f"{one.locker}\n{one.door}")) for one in targets[start : start + _PORTION]]
        await asyncio.sleep(0)
    return named


def _openings(body: JobBody, targets: list[Target]) -> int:
    return len(targets) if body.kind == CommandKind.OPEN.value else 0


def _digest(body: JobBody) -> bytes:
    return hashlib.sha256(msgspec.json.encode(body, order="deterministic")).digest()


def _job_of(request: web.Request) -> UUID:
    try:
        return UUID(request.match_info["job"])
    except ValueError:
        raise _unknown(request) from None


def _unknown(request: web.Request) -> Problem:
    return Problem("job_unknown", f"There is no job {request.match_info['job'][:40]!r}.")
