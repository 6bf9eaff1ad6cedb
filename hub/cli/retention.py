"""`hub retention`: what lives how long, what would go, what went, and whether it is as the proofs say."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar
from uuid import uuid4

import orjson
import typer

from hub import clock
from hub.cli.options import ConfigOption, JsonOption, fail, load, with_store
from hub.config.settings import Config
from hub.core.retention.periods import YEARS_MAX
from hub.core.retention.policy import Category
from hub.core.retention.proof import Proof
from hub.errors import HubError
from hub.keys import load_public_key
from hub.operators import LOCAL
from hub.retention.build import build_retention
from hub.retention.run import RetentionRun
from hub.retention.service import TASK
from hub.retention.verification import trusted_keys, verify
from hub.store.database import Database
from hub.store.task_runs import advisory_lock

retention_app = typer.Typer(help="How long data lives: rules, runs and their proofs.", no_args_is_help=True)

_T = TypeVar("_T")
_STATEMENT_TIMEOUT_MS: Final = 3_600_000
_SHOWN_MAX: Final = 1000

KeyOption = Annotated[
    list[Path] | None,
    typer.Option("--key", help="Trust this public key too: of a key that was replaced.", show_default=False),
]


@retention_app.command("plan")
def retention_plan(
    *,
    now: Annotated[
        datetime | None, typer.Option(help="As if it were this time, in UTC.", show_default=False)
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a run would delete, and change nothing."""
    at = clock.wall() if now is None else now.replace(tzinfo=clock.wall().tzinfo)
    if at.year <= YEARS_MAX:
        fail(f"--now is of the year {at.year}, and a period may reach {YEARS_MAX} years back", status=2)
    loaded = load(config)

    async def look(retention: RetentionRun, _: Database) -> dict[str, Any]:
        policy, plan = await retention.policy(), await retention.plan(at)
        return {
            "now": at,
            "policy": policy.said(),
            "cut_offs": {one.value: policy.cut_offs(one, at).default for one in policy.periods},
            "due": [due.said() for due in plan],
        }

    found = _with_retention(loaded, look)
    if as_json:
        typer.echo(orjson.dumps(found).decode())
        return
    for category in Category:
        before = found["cut_offs"].get(category.value)
        line = f"{category:<16}{found['policy']['keep'][category.value]:<10}"
        typer.echo(line if before is None else f"{line}  before {before:%Y-%m-%d %H:%M:%S} UTC")
    for due in found["due"]:
        held = f", {due['held']} held" if due["held"] else ""
        typer.echo(f"  {due['table']:<16}{due['chunk']:<44}{due['due']:>10} by {due['by']}{held}")
    typer.echo(f"{sum(due['due'] - due['held'] for due in found['due'])} rows would go")


@retention_app.command("run")
def retention_run(*, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Delete what has lived its time, and write the proof. The hub does it once a day by itself."""

    async def run(retention: RetentionRun, store: Database) -> dict[str, Any]:
        async with advisory_lock(store, TASK) as got:
            if not got:
                raise HubError("retention is being run already, by a hub or by another command; wait for its end")
            return await retention.run(clock.wall(), LOCAL)

    said = _with_retention(load(config), run)
    if as_json:
        typer.echo(orjson.dumps(said).decode())
        return
    for repair in said["repairs"]:
        typer.echo(repair)
    for one in said["done"]:
        typer.echo(f"  {one['table']:<16}{one['chunk']:<44}{one['removed']:>10} by {one['by']}")
    typer.echo(f"proof {said['number']}: {sum(one['removed'] for one in said['done'])} rows went")


@retention_app.command("verify")
def retention_verify(*, keys: KeyOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Hold all proofs against the database and their files; exit status 1 if something is not as they say."""
    loaded = load(config)
    trusted = [*trusted_keys(loaded.retention), *(load_public_key(path) for path in keys or [])]
    verdict = _with_retention(loaded, lambda retention, store: verify(store, retention, trusted))
    if as_json:
        typer.echo(orjson.dumps(verdict).decode())
    else:
        for note in verdict.notes:
            typer.echo(f"note: {note}")
        for finding in verdict.findings:
            typer.echo(finding)
        typer.echo(f"{verdict.proofs} proofs, {len(verdict.findings)} findings")
    if verdict.findings:
        raise typer.Exit(1)


@retention_app.command("proofs")
def retention_proofs(
    number: Annotated[int | None, typer.Argument(help="Print this one whole.", show_default=False)] = None,
    *,
    limit: Annotated[int, typer.Option(min=1, max=_SHOWN_MAX, help="The newest so many.")] = 30,
    restore_files: Annotated[
        bool, typer.Option("--restore-files", help="Write the files that are missing again, from the database.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the proofs, or print one as it lies in its file."""
    loaded = load(config)

    async def read(retention: RetentionRun, _: Database) -> list[Proof]:
        if restore_files:
            for restored in await retention.restore_files(LOCAL):
                typer.echo(f"wrote {restored}", err=True)
        return await retention.proofs_page(number=number, below=None, limit=limit)

    found = _with_retention(loaded, read)
    if number is not None:
        if not found:
            fail(f"there is no proof {number}; `hub retention proofs` lists them")
        typer.echo(found[0].data.decode(), nl=False)
        return
    if as_json:
        typer.echo(orjson.dumps([proof.manifest for proof in found]).decode())
        return
    for proof in found:
        said = proof.manifest
        removed = sum(one["removed"] for one in said["done"])
        typer.echo(
            f"{proof.number:>6}  {said['ended_at'][:19]}  {said['outcome']:<11}  policy {said['policy']['version']}"
            f"  {removed:>10} rows  {proof.sha256}"
        )


def _with_retention(config: Config, use: Callable[[RetentionRun, Database], Coroutine[Any, Any, _T]]) -> _T:
    # The proofs name a process; of a command this is its only run.
    hub = str(uuid4())

    async def call(store: Database) -> _T:
        retention = await asyncio.to_thread(build_retention, config, store, hub)
        return await use(retention, store)

    return with_store(config, call, statement_timeout_ms=_STATEMENT_TIMEOUT_MS)
