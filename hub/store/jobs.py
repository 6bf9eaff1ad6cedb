"""Jobs in the database: made whole, moved by people and by the one hub that runs them, read by pages."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from hub.core.jobs import ACTIVE, JobState, JobStep, Objection, TargetState, after
from hub.core.targets import Target
from hub.errors import StoreUnavailable
from hub.store.database import Database
from hub.store.statements import statement
from wire.messages import Args

WHY_CHARACTERS_MAX: Final = 200
_PAGE_ROWS: Final = 2000


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job as it stands. `approval_until` is None where no second person is needed."""

    id: UUID
    kind: str
    args: Args | None
    reason: str
    filter: dict[str, Any]
    request_sha256: bytes
    created_at: datetime
    created_by: str
    approval_until: datetime | None
    expires_s: int
    rate_per_minute: int
    canaries: int
    abort_share: float
    abort_min_count: int
    targets: int
    openings: int
    state: JobState
    expires_at: datetime | None = None
    decided_at: datetime | None = None
    decided_by: str | None = None
    why: str | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class TargetRow:
    """A target and the id of its command, which was made with the job."""

    target: Target
    command: UUID
    state: TargetState


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a target."""

    place: int
    state: TargetState
    why: str | None = None


@dataclass(frozen=True, slots=True)
class JobChange:
    """A job after a step, and how many of its targets were cancelled by it."""

    row: JobRow
    cancelled: int


class LeaseLost(StoreUnavailable):
    """Another hub runs the jobs now."""


class JobStore:
    """Every query about jobs. Errors are those of the Store."""

    def __init__(self, store: Database) -> None:
        self._store = store

    async def add(
        self,
        wanted: Callable[[int, int], JobRow],
        *,
        job: UUID,
        created_by: str,
        since: datetime,
        targets: Sequence[tuple[Target, UUID]],
    ) -> JobRow:
        """Store a job with its targets, or return the one that has this id already.

        Args:
            wanted: gets how many jobs are active, and how many doors this operator's jobs were allowed to open
                since `since` without a second person; returns the job, or raises why it is not to be.
            job: its id.
            created_by: the operator.
            since: see `wanted`.
            targets: each with its command's id, in the order of sending.
        """
        async with self._store.transaction() as conn:
            await conn.execute(statement("job_creation_lock"))
            known = await (await conn.execute(statement("job"), {"id": job})).fetchone()
            if known is not None:
                return _job(known)
            limits = await (
                await conn.execute(statement("job_limits"), {"created_by": created_by, "since": since})
            ).fetchone()
            assert limits is not None, "two numbers, always"  # noqa: S101
            row = wanted(limits["active"], int(limits["openings"]))
            await conn.execute(statement("job_add"), _columns(row))
            await conn.execute(
                statement("job_targets_add"),
                {
                    "job": job,
                    "lockers": [target.locker for target, _ in targets],
                    "doors": [target.door for target, _ in targets],
                    "commands": [command for _, command in targets],
                },
            )
            await _note(conn, job, row.created_at, created_by, row.state, None)
        return row

    async def openings_since(self, created_by: str, since: datetime) -> int:
        """Count the doors that an operator's jobs were allowed to open without a second person."""
        rows = await self._store.fetch("job_limits", {"created_by": created_by, "since": since})
        return int(rows[0]["openings"])

    async def step(self, job: UUID, step: JobStep, operator: str, at: datetime) -> JobChange | Objection | None:
        """Take a person's step. Returns None for an unknown job. Once it returns, the runner obeys it."""
        async with self._store.transaction() as conn:
            found = await (await conn.execute(statement("job_locked"), {"id": job})).fetchone()
            if found is None:
                return None
            row = _job(found)
            then = after(step, row.state, by=operator, created_by=row.created_by)
            if isinstance(then, Objection):
                return then
            if step is JobStep.APPROVE and row.approval_until is not None and at >= row.approval_until:
                return Objection.JOB_STATE
            cancelled = await _move(conn, row, then, None, at, operator, step)
            moved = await (await conn.execute(statement("job"), {"id": job})).fetchone()
            assert moved is not None, "it is locked"  # noqa: S101
            return JobChange(_job(moved), cancelled)

    async def job(self, job: UUID) -> JobRow | None:
        """Return one job."""
        rows = await self._store.fetch("job", {"id": job})
        return _job(rows[0]) if rows else None

    async def jobs(self, state: str | None, after: tuple[datetime, UUID] | None, limit: int) -> list[JobRow]:
        """Return a page of jobs, newest first."""
        at, last = after or (None, None)
        rows = await self._store.fetch("jobs", {"state": state, "after_at": at, "after_id": last, "limit": limit})
        return [_job(row) for row in rows]

    async def newest(self, limit: int) -> list[tuple[JobRow, dict[str, int]]]:
        """Return the newest jobs with their targets by state, newest first; every state is there."""
        rows = await self.jobs(None, None, limit)
        found = await self._store.fetch("jobs_counts", {"jobs": [row.id for row in rows]})
        counts = {row.id: {state.value: 0 for state in TargetState} for row in rows}
        for one in found:
            counts[one["job_id"]][one["state"]] = one["count"]
        return [(row, counts[row.id]) for row in rows]

    async def counts(self, job: UUID) -> dict[str, int]:
        """Count a job's targets by state; every state is there."""
        rows = await self._store.fetch("job_counts", {"job": job})
        found = {row["state"]: row["count"] for row in rows}
        return {state.value: found.get(state.value, 0) for state in TargetState}

    async def steps(self, job: UUID, limit: int) -> list[DictRow]:
        """Return who did what, newest first."""
        return await self._store.fetch("job_steps", {"job": job, "limit": limit})

    async def targets(self, job: UUID, state: str | None, after: int, limit: int) -> list[DictRow]:
        """Return a page of a job's targets, with what the door sensor saw."""
        return await self._store.fetch("job_targets", {"job": job, "state": state, "after": after, "limit": limit})

    async def open_jobs(self) -> list[JobRow]:
        """Return the jobs that have not ended, or still have something under way."""
        return [_job(row) for row in await self._store.fetch("jobs_open")]

    async def all_targets(self, job: UUID) -> list[TargetRow]:
        """Return all targets of a job by their place."""
        targets: list[TargetRow] = []
        # In pages: doors are being opened in this very loop while thousands of rows are read.
        while rows := await self._store.fetch(
            "job_targets_plain", {"job": job, "after": len(targets) - 1, "limit": _PAGE_ROWS}
        ):
            targets += [
                TargetRow(Target(row["locker"], row["door"]), row["command"], TargetState(row["state"]))
                for row in rows
            ]
        return targets

    async def openings_sent(self) -> list[float]:
        """Return how many seconds ago jobs sent each opening of the last two minutes, the oldest first."""
        return [float(row["age_s"]) for row in await self._store.fetch("job_openings_sent")]

    async def results(self, commands: Sequence[UUID]) -> dict[UUID, tuple[str, str | None]]:
        """Return (state, detail) of those commands that are stored."""
        rows = await self._store.fetch("job_results", {"commands": list(commands)})
        return {row["id"]: (row["state"], row["detail"]) for row in rows}

    async def take_lease(self, hub: UUID, lease_s: float) -> bool:
        """Become, or stay, the hub that runs the jobs."""
        async with self._store.transaction() as conn:
            taken = await conn.execute(statement("job_lease_take"), {"hub": hub, "lease_s": lease_s})
            return taken.rowcount == 1

    async def release_lease(self, hub: UUID) -> None:
        """Let another hub go on at once."""
        async with self._store.transaction() as conn:
            await conn.execute(statement("job_lease_release"), {"hub": hub})


class JobLedger:
    """What the runner writes. Every transaction begins by showing the lease, and raises LeaseLost without it."""

    def __init__(self, store: Database, hub: UUID, lease_s: float) -> None:
        self._store = store
        self._lease = {"hub": hub, "lease_s": lease_s}

    async def send(self, job: UUID, sent: Sequence[int], skipped: Sequence[Result], at: datetime) -> bool:
        """Write down what is about to be sent and what is left out. False, and nothing, if the job does not run."""
        async with self._store.transaction() as conn:
            await self._hold(conn)
            found = await (await conn.execute(statement("job_runs"), {"id": job})).fetchone()
            if found is None or not found["runs"]:
                return False
            if skipped:
                await conn.execute(statement("job_settle"), _results(job, skipped, at))
            if sent:
                moved = await conn.execute(statement("job_send"), {"job": job, "places": list(sent)})
                if moved.rowcount != len(sent):
                    await conn.rollback()
                    raise LeaseLost("targets of a job were not where this hub left them")
        return True

    async def send_again(self, job: UUID, place: int) -> bool:
        """Write down that a target's command goes out once more, under its id. False if the job does not run."""
        async with self._store.transaction() as conn:
            await self._hold(conn)
            found = await (await conn.execute(statement("job_runs"), {"id": job})).fetchone()
            if found is None or not found["runs"]:
                return False
            moved = await conn.execute(statement("job_send_again"), {"job": job, "place": place})
            return moved.rowcount == 1

    async def settle(self, job: UUID, results: Sequence[Result], given_back: Sequence[int], at: datetime) -> None:
        """Write down how targets ended, and which were not sent after all."""
        async with self._store.transaction() as conn:
            await self._hold(conn)
            if results:
                await conn.execute(statement("job_settle"), _results(job, results, at))
            if given_back:
                await conn.execute(statement("job_give_back"), {"job": job, "places": list(given_back)})

    async def end(self, job: UUID, before: JobState, then: JobState, why: str, at: datetime) -> bool:
        """End a job. False, and nothing, if a person was faster."""
        async with self._store.transaction() as conn:
            await self._hold(conn)
            found = await (await conn.execute(statement("job_locked"), {"id": job})).fetchone()
            if found is None or found["state"] != before:
                return False
            await _move(conn, _job(found), then, why, at, None, None)
        return True

    async def _hold(self, conn: psycopg.AsyncConnection[DictRow]) -> None:
        held = await conn.execute(statement("job_lease_hold"), self._lease)
        if held.rowcount != 1:
            raise LeaseLost("another hub runs the jobs now")


async def _move(
    conn: psycopg.AsyncConnection[DictRow],
    row: JobRow,
    then: JobState,
    why: str | None,
    at: datetime,
    operator: str | None,
    step: JobStep | None,
) -> int:
    ended = then not in ACTIVE
    await conn.execute(
        statement("job_move"),
        {
            "id": row.id,
            "state": then.value,
            "why": why,
            "at": at,
            "ended": ended,
            "decided": step in {JobStep.APPROVE, JobStep.REJECT},
            "operator": operator,
            "expires_at": at + timedelta(seconds=row.expires_s) if step is JobStep.APPROVE else None,
        },
    )
    await _note(conn, row.id, at, operator, then, why)
    if not ended:
        return 0
    return (await conn.execute(statement("job_pending_cancel"), {"job": row.id, "at": at})).rowcount


async def _note(
    conn: psycopg.AsyncConnection[DictRow],
    job: UUID,
    at: datetime,
    operator: str | None,
    state: JobState,
    detail: str | None,
) -> None:
    await conn.execute(
        statement("job_step_add"),
        {"job": job, "at": at, "operator": operator, "state": state.value, "detail": detail},
    )


def _job(row: DictRow) -> JobRow:
    return JobRow(**{**row, "state": JobState(row["state"])})


def _columns(row: JobRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "kind": row.kind,
        "args": None if row.args is None else Jsonb(row.args),
        "reason": row.reason,
        "filter": Jsonb(row.filter),
        "request_sha256": row.request_sha256,
        "created_at": row.created_at,
        "created_by": row.created_by,
        "approval_until": row.approval_until,
        "expires_s": row.expires_s,
        "expires_at": row.expires_at,
        "rate_per_minute": row.rate_per_minute,
        "canaries": row.canaries,
        "abort_share": row.abort_share,
        "abort_min_count": row.abort_min_count,
        "targets": row.targets,
        "openings": row.openings,
        "state": row.state.value,
    }


def _results(job: UUID, results: Sequence[Result], at: datetime) -> dict[str, Any]:
    return {
        "job": job,
        "at": at,
        "places": [one.place for one in results],
        "states": [one.state.value for one in results],
        "whys": [None if one.why is None else one.why[:WHY_CHARACTERS_MAX] for one in results],
    }
