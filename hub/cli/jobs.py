"""`hub job`: what was ordered of many targets, and what became of it."""

from collections.abc import Coroutine
from typing import Annotated, Any, Final
from uuid import UUID

import orjson
import typer

from hub.cli.options import ConfigOption, JsonOption, fail, load, with_store
from hub.core.jobs import JobState, TargetState
from hub.store.database import Database
from hub.store.jobs import JobRow, JobStore

job_app = typer.Typer(help="Jobs: one order for many doors or lockers.", no_args_is_help=True)

_SHOWN_MAX: Final = 1000
_STEPS_SHOWN: Final = 1000
_NOT_WELL: Final = (
    TargetState.REJECTED, TargetState.FAILED, TargetState.UNKNOWN, TargetState.TIMED_OUT, TargetState.SKIPPED,
)  # fmt: skip


@job_app.command("list")
def job_list(
    *,
    state: Annotated[JobState | None, typer.Option(help="Only jobs in this state.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, max=_SHOWN_MAX, help="The newest so many.")] = 50,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List jobs, newest first."""
    jobs = with_store(load(config), lambda store: JobStore(store).jobs(state, None, limit))
    if as_json:
        typer.echo(orjson.dumps([_shown(job) for job in jobs]).decode())
        return
    for job in jobs:
        typer.echo(
            f"{job.id}  {job.created_at:%Y-%m-%d %H:%M}  {job.state:<16}  {job.kind:<9}  {job.targets:>6} targets  "
            f"{job.created_by:<16}  {job.reason}"
        )


@job_app.command("show")
def job_show(job: UUID, *, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show one job: who did what, its targets by state, and those that did not go well."""

    def read(store: Database) -> Coroutine[Any, Any, dict[str, Any] | None]:
        return _read(JobStore(store), job)

    found = with_store(load(config), read)
    if found is None:
        fail(f"there is no job {job}; `hub job list` lists them")
    if as_json:
        typer.echo(orjson.dumps(found).decode())
        return
    typer.echo(f"{found['id']}  {found['kind']}  {found['state']}  {found['why'] or ''}")
    typer.echo(f"  for: {found['reason']}")
    for step in found["steps"]:
        typer.echo(f"  {step['at']:%Y-%m-%d %H:%M:%S}  {step['state']:<16}  {step['operator'] or 'the hub'}")
    typer.echo("  " + ", ".join(f"{count} {name}" for name, count in found["counts"].items() if count))
    for target in found["not_well"]:
        door = "" if target["door"] is None else f" door {target['door']}"
        typer.echo(f"  {target['locker']}{door}: {target['state']}, {target['why'] or 'no reason told'}")


async def _read(jobs: JobStore, job: UUID) -> dict[str, Any] | None:
    row = await jobs.job(job)
    if row is None:
        return None
    not_well: list[dict[str, Any]] = []
    for state in _NOT_WELL:
        not_well += await jobs.targets(job, state, -1, _SHOWN_MAX)
    steps = await jobs.steps(job, _STEPS_SHOWN)
    return {**_shown(row), "counts": await jobs.counts(job), "steps": steps[::-1], "not_well": not_well}


def _shown(row: JobRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in JobRow.__slots__ if name != "request_sha256"}
