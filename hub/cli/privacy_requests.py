"""`hub rights`: what people asked for about their data."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final
from uuid import UUID

import orjson
import typer

from hub import clock
from hub.cli.options import ByOption, ConfigOption, JsonOption, fail, load, with_store
from hub.core.people.privacy_requests import Check, CheckHow, PrivacyRight, RequestState
from hub.operators import LOCAL
from hub.people.privacy_requests import PersonDetails, PrivacyRequests
from hub.people.service import erasing
from hub.store.database import Database
from hub.store.people import By
from hub.store.privacy_requests import PrivacyRequestStore, RequestsQuery

rights_app = typer.Typer(help="What people asked for about their data.", no_args_is_help=True)

_SHOWN_MAX: Final = 10_000


@rights_app.command("open")
def rights_open(
    account: UUID,
    kind: PrivacyRight,
    *,
    by_agent: Annotated[bool, typer.Option("--by-agent", help="Somebody asks for the person.")] = False,
    received: Annotated[
        datetime | None, typer.Option(help="When it was received, in UTC; now by default.", show_default=False)
    ] = None,
    by: ByOption = LOCAL,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Note that a person asks for something; the answer is due within a month."""
    now = clock.wall()
    received_at = None if received is None else received.replace(tzinfo=received.tzinfo or UTC)
    if received_at is not None and received_at > now:
        fail("--received lies in the future", status=2)
    row = with_store(
        load(config),
        lambda store: PrivacyRequestStore(store).open(
            account, kind, By(by, now), by_agent=by_agent, received_at=received_at
        ),
    )
    _print(row, as_json=as_json)


@rights_app.command("list")
def rights_list(
    *,
    state: Annotated[RequestState | None, typer.Option(help="Only in this state.", show_default=False)] = None,
    account: Annotated[UUID | None, typer.Option(help="Only of this person.", show_default=False)] = None,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only those whose month is over.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=_SHOWN_MAX, help="The newest so many.")] = 100,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List requests, newest first; exit status 1 if one without an answer is overdue."""
    now = clock.wall()
    query = RequestsQuery(limit, now, account, state, overdue)
    rows = with_store(load(config), lambda store: PrivacyRequestStore(store).page(query))
    late = [row for row in rows if row["answered_at"] is None and row["deadline_at"] <= now]
    if as_json:
        typer.echo(orjson.dumps(rows).decode())
    else:
        for row in rows:
            mark = "  OVERDUE" if row in late else ""
            typer.echo(
                f"{row['id']}  {row['kind']:<13}  {row['state']:<16}  due {row['deadline_at']:%Y-%m-%d}{mark}  "
                f"{row['account'] or 'erased'}"
            )
    if late:
        raise typer.Exit(1)


@rights_app.command("show")
def rights_show(request: UUID, *, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show a request, and what was verified for it."""
    _print(with_store(load(config), lambda store: PrivacyRequestStore(store).request(request)), as_json=as_json)


@rights_app.command("check")
def rights_check(
    request: UUID,
    *,
    note: Annotated[str, typer.Option(help="What was looked at.", min=1)],
    what: Annotated[Check, typer.Option(help="What was verified.")] = Check.IDENTITY,
    by: ByOption = LOCAL,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Note that somebody verified who asks. An agent needs three: both identities, and the written permission."""
    row = with_store(
        load(config),
        lambda store: PrivacyRequestStore(store).check(
            request, what, CheckHow.RECORDED, note, By(by, clock.wall())
        ),
    )  # fmt: skip
    _print(row, as_json=as_json)


@rights_app.command("carry-out")
def rights_carry_out(
    request: UUID,
    *,
    email: Annotated[str | None, typer.Option(help="Rectification: the right e-mail.", show_default=False)] = None,
    name: Annotated[str | None, typer.Option(help="Rectification: the right name.", show_default=False)] = None,
    why: Annotated[str | None, typer.Option(help="Restriction, objection: why.", show_default=False)] = None,
    by: ByOption = LOCAL,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Do what is asked for, and answer. A copy of the data is given by `hub person export`."""
    loaded = load(config)

    async def do(store: Database) -> dict[str, Any]:
        desk = PrivacyRequests(store, erasing(loaded, store).eraser)
        await desk.carry_out(request, PersonDetails(email, name, why), By(by, clock.wall()))
        return await desk.requests.request(request)

    _print(with_store(loaded, do), as_json=as_json)


@rights_app.command("answer")
def rights_answer(
    request: UUID,
    state: RequestState,
    answer: Annotated[str, typer.Argument(help="What the person is told.")],
    *,
    by: ByOption = LOCAL,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Answer by hand: done, partly or refused."""
    row = with_store(
        load(config), lambda store: PrivacyRequestStore(store).answer(request, state, answer, By(by, clock.wall()))
    )
    _print(row, as_json=as_json)


def _print(row: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(orjson.dumps(row).decode())
        return
    agent = "  by an agent" if row["by_agent"] else ""
    typer.echo(f"{row['id']}  {row['kind']}  {row['state']}  due {row['deadline_at']:%Y-%m-%d %H:%M} UTC{agent}")
    for check in row["checks"]:
        typer.echo(f"  {check['what']} verified by {check['checked_by']}, {check['how']}: {check['note'] or '-'}")
    if row["answer"] is not None:
        typer.echo(f"  answered by {row['answered_by']}: {row['answer']}")
