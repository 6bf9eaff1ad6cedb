"""Response types of jobs; see docs/api.md."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from hub.core.jobs import JobState, TargetState
from hub.store.jobs import JobRow


@dataclass(frozen=True, slots=True)
class ApprovalView:
    """A second person's word. `by` and `at` are null until it is given, either way."""

    until: datetime
    by: str | None
    at: datetime | None


@dataclass(frozen=True, slots=True)
class JobView:
    """A job in a list. `approval` is null where no second person is needed."""

    id: UUID
    kind: str
    args: dict[str, str | int | bool] | None
    reason: str
    filter: dict[str, Any]
    state: JobState
    why: str | None
    created_at: datetime
    created_by: str
    approval: ApprovalView | None
    expires_at: datetime | None
    ended_at: datetime | None
    rate_per_minute: int
    canaries: int
    abort_share: float
    abort_min_count: int
    targets: int
    openings: int


@dataclass(frozen=True, slots=True)
class JobStepView:
    """Step in the life of a job, and its operator; null stands for the hub."""

    at: datetime
    operator: str | None
    state: JobState
    detail: str | None


@dataclass(frozen=True, slots=True)
class JobDetail(JobView):
    """A job with its targets by state, and its newest 50 steps, newest first."""

    counts: dict[str, int]
    steps: list[JobStepView]


@dataclass(frozen=True, slots=True)
class JobPage:
    """Jobs, newest first, and where to go on."""

    items: list[JobView]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class TargetView:
    """One target. `outcome` is what the door sensor saw."""

    locker: str
    door: int | None
    command: UUID
    state: TargetState
    why: str | None
    sent_at: datetime | None
    settled_at: datetime | None
    outcome: str | None


@dataclass(frozen=True, slots=True)
class TargetPage:
    """Targets in the order of sending, and where to go on."""

    items: list[TargetView]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class PlannedTarget:
    """A target of a dry run; `why_not` says why it would be left out now."""

    locker: str
    door: int | None
    why_not: str | None


@dataclass(frozen=True, slots=True)
class JobPlan:
    """Plan of a job: the answer to a dry run."""

    targets: int
    lockers: int
    openings: int
    canaries: int
    approval_needed: bool
    minutes: float
    why_not: dict[str, int]
    items: list[PlannedTarget]


def job_view(row: JobRow) -> JobView:
    """Show a job in a list."""
    return JobView(**_fields(row))


def job_detail(row: JobRow, counts: dict[str, int], steps: list[dict[str, Any]]) -> JobDetail:
    """Show a job with everything but its targets."""
    return JobDetail(**_fields(row), counts=counts, steps=[JobStepView(**step) for step in steps])


def _fields(row: JobRow) -> dict[str, Any]:
    shown = {name: getattr(row, name) for name in JobView.__slots__ if name != "approval"}
    approval = None
    if row.approval_until is not None:
        approval = ApprovalView(row.approval_until, row.decided_by, row.decided_at)
    return {**shown, "approval": approval}
