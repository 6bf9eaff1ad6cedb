"""`hub tenant`: which features the customer has asked for."""

from typing import Annotated, Literal

import orjson
import typer

from hub import clock
from hub.cli.options import ByOption, ConfigOption, JsonOption, load, with_store
from hub.operators import LOCAL
from hub.store.people import By
from hub.store.tenants import TenantChange, add_transaction_kind, set_tenant, tenant, transaction_kinds

tenant_app = typer.Typer(help="Which features the customer has asked for.", no_args_is_help=True)

_Switch = Annotated[Literal["on", "off"] | None, typer.Option(show_default=False)]


@tenant_app.command("show")
def tenant_show(*, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show the features, and how much is stored of each."""
    _print(with_store(load(config), tenant), as_json=as_json)


@tenant_app.command("set")
def tenant_set(
    *,
    badges: _Switch = None,
    codes: _Switch = None,
    transactions: _Switch = None,
    region: Annotated[str | None, typer.Option(help="Where the data lies.", show_default=False)] = None,
    delete_stored: Annotated[
        bool, typer.Option("--delete-stored", help="Delete what is stored of a feature that goes off.")
    ] = False,
    by: ByOption = LOCAL,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Turn features on or off. Off: nothing of that kind is taken, or stored."""
    change = TenantChange(_on(badges), _on(codes), _on(transactions), region)
    loaded = load(config)
    done = with_store(
        loaded, lambda store: set_tenant(store, change, By(by, clock.wall()), delete_stored=delete_stored)
    )
    _print(done, as_json=as_json)


@tenant_app.command("kinds")
def tenant_kinds(*, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List what lockers are used for."""
    rows = with_store(load(config), transaction_kinds)
    if as_json:
        typer.echo(orjson.dumps(rows).decode())
        return
    for row in rows:
        typer.echo(f"{row['id']:<24}  {row['title']}")


@tenant_app.command("add-kind")
def tenant_add_kind(
    kind: Annotated[str, typer.Argument(help="Its id: a-z and _.")],
    title: Annotated[str, typer.Argument(help="What people call it.")],
    *,
    by: ByOption = LOCAL,
    config: ConfigOption = None,
) -> None:
    """Add a use of lockers."""
    added = with_store(load(config), lambda store: add_transaction_kind(store, kind, title, By(by, clock.wall())))
    typer.echo("added" if added else f"{kind} is there already, and left as it is")


def _on(switch: str | None) -> bool | None:
    return None if switch is None else switch == "on"


def _print(row: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        typer.echo(orjson.dumps(row).decode())
        return
    stored = row["stored"]
    assert isinstance(stored, dict)  # noqa: S101 - as the store returns it
    typer.echo(f"{row['id']}  {row['name']}  region {row['region'] or '-'}")
    for feature, count in stored.items():
        typer.echo(f"  {feature:<13} {'on' if row[feature] else 'off':<4} {count:>8} stored")
