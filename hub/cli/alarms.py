"""`hub alarm`: what is open, what raises it, and that somebody has seen it."""

from functools import partial
from typing import Annotated, Any, Final
from uuid import UUID

import orjson
import typer

from hub import clock
from hub.alarms.rules_file import read_rules
from hub.cli.options import ByOption, ConfigOption, JsonOption, load, with_store
from hub.core.alarms.alarm import NOTE_CHARACTERS_MAX, Alarm, Severity, acknowledged
from hub.schemas.alarms import alarm_view, rule_view
from hub.store.alarms import Acted, AlarmFilter, AlarmStore
from hub.store.database import Database

alarm_app = typer.Typer(help="Alarms: what people have to be told of.", no_args_is_help=True)

_SHOWN_MAX: Final = 10_000


@alarm_app.command("list")
def alarm_list(
    *,
    closed: Annotated[
        bool, typer.Option("--closed", help="Those that are over, instead of the open ones.")
    ] = False,
    severity: Annotated[Severity | None, typer.Option(help="Only of this severity.", show_default=False)] = None,
    locker: Annotated[str | None, typer.Option(help="Only of this locker.", show_default=False)] = None,
    every: Annotated[bool, typer.Option("--all", help="Also those that are suppressed.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=_SHOWN_MAX, help="The newest so many.")] = 100,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List alarms, newest raised first."""
    wanted = AlarmFilter(
        closed=closed, at=None if closed else clock.wall(), locker=locker,
        severities=None if severity is None else (severity.value,), suppressed=None if every else "none",
    )  # fmt: skip
    found = with_store(load(config), lambda store: AlarmStore(store).page(wanted, limit))
    if as_json:
        typer.echo(orjson.dumps([alarm_view(one) for one in found], option=orjson.OPT_UTC_Z).decode())
        return
    for one in found:
        began = f"{one.raised_at:%Y-%m-%d %H:%M:%S}"
        typer.echo(f"{one.id}  {began}  {one.severity:<8}  {one.state:<15}  {one.where}: {one.what}")


@alarm_app.command("ack")
def alarm_ack(
    ids: Annotated[list[UUID], typer.Argument(help="Which alarms.")],
    *,
    by: ByOption,
    note: Annotated[str | None, typer.Option(help="For those who come later.", show_default=False)] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say that somebody has seen alarms; exit status 1 if it applied to none. A running hub follows in seconds."""
    at = clock.wall()
    short = None if note is None else note[:NOTE_CHARACTERS_MAX]

    async def act(store: Database) -> Acted:
        seen = partial(acknowledged, by=by, note=short, now=at)
        return await AlarmStore(store).act(ids, seen, what="acked", by=by, at=at, note=short, detail={})

    acted = with_store(load(config), act)
    if as_json:
        typer.echo(orjson.dumps(_shown(acted)).decode())
    else:
        for alarm in acted.done:
            typer.echo(f"{alarm.id}  {alarm.state}  {alarm.where}: {alarm.what}")
        for alarm_id, why in acted.skipped:
            typer.echo(f"{alarm_id}  left as it is: {why}")
    if not acted.done:
        raise typer.Exit(1)


@alarm_app.command("rules")
def alarm_rules(*, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show what raises and clears alarms."""
    rules = read_rules(load(config).alarms.rules_file)
    if as_json:
        items = [rule_view(rule) for rule in rules.every]
        typer.echo(orjson.dumps({"version": rules.version, "sha256": rules.sha256, "items": items}).decode())
        return
    typer.echo(f"version {rules.version}, sha256 {rules.sha256}")
    for rule in rules.every:
        view = rule_view(rule)
        scope = ", ".join(f"{name} {value}" for name, value in view.scope.items()) or "everywhere"
        off = "" if rule.enabled else "  OFF"
        typer.echo(f"{rule.id:<28}  {rule.severity:<8}  {rule.condition.slot:<22}  {scope}{off}")


def _shown(acted: Acted) -> dict[str, Any]:
    done: list[Alarm] = acted.done
    return {
        "done": [one.id for one in done],
        "skipped": [{"id": alarm_id, "why": why.value} for alarm_id, why in acted.skipped],
    }
