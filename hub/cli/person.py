"""`hub person`: accounts, and what is done with them."""

from pathlib import Path
from typing import Annotated, Any, Final
from uuid import UUID

import orjson
import typer

from hub import clock
from hub.cli.options import ByOption, ConfigOption, JsonOption, fail, load, with_store
from hub.core.people.erasing import Erased
from hub.operators import LOCAL
from hub.people.export import Exported
from hub.people.privacy_requests import PrivacyRequests
from hub.people.service import erasing
from hub.store.database import Database
from hub.store.people import AccountsQuery, AccountStore, By

person_app = typer.Typer(help="Accounts: the people behind the actors of events.", no_args_is_help=True)

_SHOWN_MAX: Final = 10_000


@person_app.command("create")
def person_create(
    email: str,
    *,
    name: Annotated[str, typer.Option(help="What people call them.")] = "",
    by: ByOption = LOCAL,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make an account."""
    row = with_store(load(config), lambda store: AccountStore(store).create(email, name, By(by, clock.wall())))
    _print(row, as_json=as_json)


@person_app.command("find")
def person_find(
    *,
    email: Annotated[str | None, typer.Option(help="With this e-mail address.", show_default=False)] = None,
    part: Annotated[str | None, typer.Option(help="With this in e-mail or name.", show_default=False)] = None,
    badge: Annotated[str | None, typer.Option(help="With this badge.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, max=_SHOWN_MAX, help="So many.")] = 100,
    by: ByOption = LOCAL,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find accounts. A restricted one is found by its id only: `hub person show`."""

    async def find(store: Database) -> list[dict[str, Any]]:
        people = AccountStore(store)
        await people.look(None, "account.search", By(by, clock.wall()))
        return await people.page(AccountsQuery(limit, email=email, part=part, badge=badge))

    rows = with_store(load(config), find)
    if as_json:
        typer.echo(orjson.dumps(rows).decode())
        return
    for row in rows:
        _print(row, as_json=False)


@person_app.command("show")
def person_show(
    account: UUID, *, by: ByOption = LOCAL, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Show one account."""

    async def show(store: Database) -> dict[str, Any]:
        people = AccountStore(store)
        row = await people.account(account)
        await people.look(account, "account.show", By(by, clock.wall()))
        return row

    _print(with_store(load(config), show), as_json=as_json)


@person_app.command("deactivate")
def person_deactivate(
    account: UUID, *, by: ByOption = LOCAL, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Close an account: the three years begin."""
    who = By(by, clock.wall())
    _print(with_store(load(config), lambda store: AccountStore(store).deactivate(account, who)), as_json=as_json)


@person_app.command("reactivate")
def person_reactivate(
    account: UUID, *, by: ByOption = LOCAL, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Open it again: the clock stops."""
    who = By(by, clock.wall())
    _print(with_store(load(config), lambda store: AccountStore(store).reactivate(account, who)), as_json=as_json)


@person_app.command("rectify")
def person_rectify(
    account: UUID,
    *,
    email: Annotated[str | None, typer.Option(help="The right e-mail address.", show_default=False)] = None,
    name: Annotated[str | None, typer.Option(help="The right name.", show_default=False)] = None,
    by: ByOption = LOCAL,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Correct an e-mail address or a name. What the person asked for is answered by `hub rights carry-out`."""
    if email is None and name is None:
        fail("what is right? Give --email, --name, or both", status=2)
    who = By(by, clock.wall())
    row = with_store(
        load(config), lambda store: AccountStore(store).rectify(account, email=email, name=name, by=who)
    )  # fmt: skip
    _print(row, as_json=as_json)


@person_app.command("restrict")
def person_restrict(
    account: UUID,
    *,
    why: Annotated[str, typer.Option(help="Why, in a line.")],
    by: ByOption = LOCAL,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Keep the data and use it no more."""
    who = By(by, clock.wall())
    _print(with_store(load(config), lambda store: AccountStore(store).restrict(account, why, who)), as_json=as_json)


@person_app.command("unrestrict")
def person_unrestrict(
    account: UUID, *, by: ByOption = LOCAL, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Let the data be used again."""
    who = By(by, clock.wall())
    _print(with_store(load(config), lambda store: AccountStore(store).unrestrict(account, who)), as_json=as_json)


@person_app.command("export")
def person_export(
    request: Annotated[UUID, typer.Argument(help="A verified request for access or portability.")],
    *,
    to: Annotated[Path, typer.Option(help="The archive (ZIP) to write; it is never overwritten.")],
    by: ByOption = LOCAL,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write all that is stored of the person who asked into one archive, and answer the request."""
    loaded = load(config)
    try:
        # Before anything of the person is in it.
        to.touch(mode=0o600, exist_ok=False)
    except FileExistsError:
        fail(f"{to} exists, and is not overwritten")
    except OSError as error:
        fail(f"{to} cannot be written: {error.strerror}")

    async def export(store: Database) -> Exported:
        desk = PrivacyRequests(store, erasing(loaded, store).eraser)
        return await desk.export(request, to, By(by, clock.wall()))

    try:
        exported = with_store(loaded, export)
    except BaseException:
        to.unlink(missing_ok=True)  # half a copy is none
        raise
    if as_json:
        typer.echo(orjson.dumps(exported).decode())
    else:
        typer.echo(f"{to}: {', '.join(f'{rows} {name}' for name, rows in exported.rows.items() if rows)}")


@person_app.command("erase")
def person_erase(
    *,
    request: Annotated[
        UUID | None, typer.Option(help="A verified request for erasure.", show_default=False)
    ] = None,
    child: Annotated[
        UUID | None, typer.Option(help="The account of somebody under sixteen.", show_default=False)
    ] = None,
    by: ByOption = LOCAL,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Erase a person, or as much of them as no legal hold names. It may be cut off, and run again."""
    if (request is None) == (child is None):
        fail("give --request, what the person asked for, or --child, an account; one of them", status=2)
    loaded = load(config)

    async def erase(store: Database) -> Erased:
        desk = PrivacyRequests(store, erasing(loaded, store).eraser)
        who = By(by, clock.wall())
        if child is not None:
            return await desk.erase_child(child, who)
        assert request is not None, "one of the two"  # noqa: S101
        return await desk.erase(request, who)

    erased = with_store(loaded, erase)
    if as_json:
        typer.echo(orjson.dumps(erased).decode())
        return
    for table, count in sorted(erased.deleted.items()):
        typer.echo(f"  {table:<18} {count:>9} gone")
    for table, count in sorted(erased.kept.items()):
        typer.echo(f"  {table:<18} {count:>9} kept")
    typer.echo(f"{erased.lockers} lockers are told to forget. {erased.sentence()}")


def _print(row: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(orjson.dumps(row).decode())
        return
    state = "active" if row["deactivated_at"] is None else f"deactivated {row['deactivated_at']:%Y-%m-%d}"
    if row["restricted_at"] is not None:
        state += f", restricted {row['restricted_at']:%Y-%m-%d}: {row['restricted_why']}"
    typer.echo(f"{row['id']}  actor {row['actor']}  {row['email']}  {row['name']}  {state}")
