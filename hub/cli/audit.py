"""`hub audit`: who did what, and whether nobody changed it."""

from typing import Annotated

import orjson
import typer

from hub.cli.options import ConfigOption, JsonOption, load, with_store
from hub.store.audit import audit_page, verify_audit

audit_app = typer.Typer(help="Who did what, and whether nobody changed it.", no_args_is_help=True)


@audit_app.command("verify")
def audit_verify(*, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Compute the chain of all rows again; exit status 1 if one was changed, left out or put between."""
    verdict = with_store(load(config), verify_audit)
    if as_json:
        typer.echo(orjson.dumps(verdict).decode())
    else:
        for fault in verdict.faults:
            typer.echo(fault)
        typer.echo(
            f"{verdict.rows} rows behind {verdict.anchor}, up to {verdict.head}; {verdict.emptied} about people "
            f"who were erased; {len(verdict.faults)} faults; head {verdict.head_sha256}"
        )
    if verdict.faults:
        raise typer.Exit(1)


@audit_app.command("list")
def audit_list(
    *,
    who: Annotated[str | None, typer.Option(help="Only by this operator.", show_default=False)] = None,
    action: Annotated[str | None, typer.Option(help="Only this action.", show_default=False)] = None,
    subject: Annotated[str | None, typer.Option(help="Only about this: `kind:id`.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The newest so many.")] = 50,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what was done, newest first."""
    rows = with_store(
        load(config), lambda store: audit_page(store, limit=limit, who=who, action=action, subject=subject)
    )
    if as_json:
        typer.echo(orjson.dumps(rows).decode())
        return
    for row in rows:
        detail = orjson.dumps(row["detail"]).decode()
        typer.echo(
            f"{row['id']:>8}  {row['at']:%Y-%m-%d %H:%M:%S}  {row['who']:<16}  {row['action']:<24}  "
            f"{row['subject'] or '-'}  {detail}"
        )
