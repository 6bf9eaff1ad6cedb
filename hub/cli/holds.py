"""`hub hold`: data that is kept on order, beyond its time and against an erasure."""

from datetime import UTC, datetime
from typing import Annotated, Final
from uuid import UUID, uuid4

import orjson
import typer

from hub import clock
from hub.cli.options import ConfigOption, JsonOption, fail, load, with_store
from hub.core.retention.holds import HoldOrder, refuse_reason
from hub.operators import LOCAL
from hub.store.database import Database
from hub.store.holds import Hold, Holds, Release

hold_app = typer.Typer(help="Legal holds: data that is kept on order.", no_args_is_help=True)

_SHOWN_MAX: Final = 1000
WhyOption = Annotated[str, typer.Option("--why", help="The reason, in a line.")]


@hold_app.command("add")
def hold_add(
    *,
    why: WhyOption,
    locker: Annotated[str | None, typer.Option(help="What is of this locker.", show_default=False)] = None,
    account: Annotated[UUID | None, typer.Option(help="What is of this person.", show_default=False)] = None,
    transaction: Annotated[
        UUID | None, typer.Option(help="What is of this transaction.", show_default=False)
    ] = None,
    since: Annotated[datetime | None, typer.Option(help="From this time on, in UTC.", show_default=False)] = None,
    before: Annotated[datetime | None, typer.Option(help="Before this time, in UTC.", show_default=False)] = None,
    until: Annotated[
        datetime | None, typer.Option(help="When it ends by itself, in UTC.", show_default=False)
    ] = None,
    tenant: Annotated[str, typer.Option(help="Whose data.")] = "default",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Keep what matches everything that is named. Prints the hold's id."""
    order = HoldOrder(why, locker, account, transaction, _utc(since), _utc(before), _utc(until), tenant)
    hold = uuid4()
    refusal = with_store(
        load(config), lambda store: Holds(store).place(hold, order, by=LOCAL, now=clock.wall())
    )  # fmt: skip
    if refusal is not None:
        fail(refusal)
    typer.echo(orjson.dumps({"id": hold}).decode() if as_json else str(hold))


@hold_app.command("list")
def hold_list(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Those that have ended, too.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the holds, newest first."""

    async def read(store: Database) -> list[Hold]:
        return await Holds(store).page(active=not everything, after=None, limit=_SHOWN_MAX)

    found = with_store(load(config), read)
    if as_json:
        typer.echo(orjson.dumps(found).decode())
        return
    for hold in found:
        names = [
            ("locker", hold.locker), ("account", hold.account), ("transaction", hold.transaction),
            ("since", hold.since), ("before", hold.before),
        ]  # fmt: skip
        said = ", ".join(f"{name} {value}" for name, value in names if value is not None)
        end = "ended" if not hold.active else "until released" if hold.until is None else f"until {hold.until}"
        typer.echo(f"{hold.id}  {hold.placed_at:%Y-%m-%d}  {hold.placed_by}  {end}  {said}: {hold.why}")


@hold_app.command("release")
def hold_release(hold: UUID, *, why: WhyOption, config: ConfigOption = None) -> None:
    """End a hold; what it kept beyond its time goes with the next run of retention."""
    if (wrong := refuse_reason(why)) is not None:
        fail(wrong)
    done = with_store(load(config), lambda store: Holds(store).release(hold, why, by=LOCAL, now=clock.wall()))
    if done is Release.UNKNOWN:
        fail(f"there is no hold {hold}; `hub hold list` lists them")
    if done is Release.ENDED:
        fail(f"hold {hold} has ended already")
    typer.echo(f"released {hold}")


def _utc(at: datetime | None) -> datetime | None:
    return None if at is None else at.replace(tzinfo=UTC)
