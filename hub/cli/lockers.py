"""`hub locker`: the registry of lockers."""

from pathlib import Path
from typing import Annotated, Final, Literal

import orjson
import typer

from hub import clock
from hub.cli.options import ByOption, ConfigOption, JsonOption, fail, load, with_store
from hub.core.fleet import LockerSpec
from hub.core.printable import composed, unprintable
from hub.ingest.registry_sync import grid
from hub.operators import LOCAL
from hub.store.database import Database
from hub.store.people import By
from hub.store.registry import (
    CHARACTERS_MAX,
    REASON_CHARACTERS_MAX,
    TAG_CHARACTERS_MAX,
    TAGS_MAX,
    LockerChange,
    change_locker,
    disable_locker,
    in_use,
    remove_locker,
    set_service,
)
from wire.topics import is_locker_id

locker_app = typer.Typer(help="The registry of lockers.", no_args_is_help=True)

_DOORS_SHOWN: Final = 60

_Text = Annotated[str | None, typer.Option(show_default=False)]
_Tags = Annotated[list[str] | None, typer.Option("--tag", help="A word to find it by; may be given again.")]


@locker_app.command("add")
def locker_add(  # noqa: PLR0913 - an option each
    ids: Annotated[list[str], typer.Argument(help="One or more ids: 1 to 32 of a-z, 0-9 and -.")],
    *,
    if_missing: Annotated[
        bool, typer.Option("--if-missing", help="Leave those alone that are there, and be content.")
    ] = False,
    name: Annotated[str | None, typer.Option(help="What people call it; the id by default.")] = None,
    site: Annotated[str, typer.Option(help="Where it is.")] = "",
    doors: Annotated[int, typer.Option(min=1, max=999, help="How many doors.")] = 16,
    columns: Annotated[int, typer.Option(min=1, max=99, help="Columns of the front view.")] = 4,
    address: Annotated[str, typer.Option(help="Street and town.")] = "",
    serial: Annotated[str, typer.Option(help="The maker's number of the cabinet.")] = "",
    tags: _Tags = None,
    again: Annotated[
        bool, typer.Option("--again", help="Take the id of a locker that was removed, and its history.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Add lockers to the registry; a running hub follows within seconds."""
    for one in ids:
        if not is_locker_id(one):
            fail(f"{one!r} is not a locker id: 1 to 32 of a-z, 0-9 and -", status=2)
        if one.startswith("hub-"):
            fail(f"{one!r}: ids that begin with hub- are the hub's own accounts at the broker", status=2)
    for option, value in (("--name", name), ("--serial", serial)):
        if value and len(ids) > 1:
            fail(f"{option} is for one locker; leave it out to add several", status=2)
    texts = _checked({"name": name, "site": site, "address": address, "serial": serial}, tags)

    async def add(store: Database) -> tuple[list[str], list[str]]:
        removed = sorted(set(ids) & set(await store.lockers_removed()))
        if removed and not again:
            return removed, []
        front = grid(doors, columns=columns)
        specs = [
            LockerSpec(
                one, "default", texts.name or one, texts.site or "", front, texts.address or "", texts.serial or "",
                tuple(texts.tags or ()),
            )
            for one in ids
        ]  # fmt: skip
        return [], [spec.id for spec in specs if not await store.add_locker(spec, again=again)]

    removed, taken = with_store(load(config), add)
    if removed:
        names = ", ".join(removed)
        fail(f"removed before: {names}; what is stored of that locker is under its id, and --again takes both over")
    if taken and not if_missing:
        fail(f"already in the registry, and left as they are: {', '.join(taken)}")
    typer.echo(f"added {len(ids) - len(taken)}")


@locker_app.command("list")
def locker_list(*, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the registry."""
    lockers = with_store(load(config), lambda store: store.registry())
    if as_json:
        typer.echo(orjson.dumps(lockers).decode())
        return
    for locker in lockers:
        disabled = "" if locker.disabled is None else f"  disabled: {locker.disabled}"
        typer.echo(f"{locker.id:<32}  {len(locker.doors):>3} doors  {locker.site:<20}  {locker.name}{disabled}")


@locker_app.command("show")
def locker_show(locker: str, *, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show one locker."""
    lockers = with_store(load(config), lambda store: store.registry())
    found = next((one for one in lockers if one.id == locker), None)
    if found is None:
        fail(f"there is no locker {locker!r} in the registry; `hub locker list` lists them")
    if as_json:
        typer.echo(orjson.dumps(found).decode())
        return
    typer.echo(f"{found.id}  {found.name}  {found.site}")
    for what, text in (
        ("disabled", found.disabled), ("address", found.address), ("serial", found.serial),
        ("tags", ", ".join(found.tags)),
    ):  # fmt: skip
        if text:
            typer.echo(f"  {what}: {text}")
    for door in found.doors[:_DOORS_SHOWN]:
        service = "" if door.in_service else f"  out of service: {door.service_reason or 'no reason given'}"
        typer.echo(f"  door {door.number:>3}  {door.size:<2}  row {door.row}, column {door.column}{service}")


@locker_app.command("set")
def locker_set(
    locker: Annotated[str, typer.Argument(help="Its id.")],
    *,
    name: _Text = None,
    site: _Text = None,
    address: _Text = None,
    serial: _Text = None,
    tags: _Tags = None,
    no_tags: Annotated[bool, typer.Option("--no-tags", help="Take all its tags away.")] = False,
    by: ByOption = LOCAL,
    config: ConfigOption = None,
) -> None:
    """Change what the registry says of a locker; what is not named stays. An empty text empties it."""
    if tags and no_tags:
        fail("--tag and --no-tags contradict each other", status=2)
    texts = {"name": name, "site": site, "address": address, "serial": serial}
    change = _checked(texts, [] if no_tags else tags or None)
    if change == LockerChange():
        fail("nothing to change is named; `hub locker set --help` lists what can be", status=2)
    if change.name == "":
        fail("a locker's name cannot be empty", status=2)
    if not with_store(load(config), lambda store: change_locker(store, locker, change, By(by, clock.wall()))):
        fail(f"there is no locker {locker!r} in the registry; `hub locker list` lists them")
    typer.echo("changed")


@locker_app.command("disable")
def locker_disable(
    locker: Annotated[str, typer.Argument(help="Its id.")],
    *,
    reason: Annotated[str, typer.Option(help="Why.")] = "",
    by: ByOption = LOCAL,
    config: ConfigOption = None,
) -> None:
    """Take nothing of a locker and send it nothing until it is enabled; what it stores meanwhile comes then."""
    why = _checked_text("reason", reason, REASON_CHARACTERS_MAX)
    if not why:
        fail("a locker is disabled for a reason: --reason", status=2)
    _set_disabled(locker, why, by, config)
    typer.echo(f"{locker} is disabled")


@locker_app.command("enable")
def locker_enable(
    locker: Annotated[str, typer.Argument(help="Its id.")],
    *,
    by: ByOption = LOCAL,
    config: ConfigOption = None,
) -> None:
    """Use a disabled locker again."""
    _set_disabled(locker, None, by, config)
    typer.echo(f"{locker} is enabled")


@locker_app.command("remove")
def locker_remove(
    locker: Annotated[str, typer.Argument(help="Its id.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    by: ByOption = LOCAL,
    config: ConfigOption = None,
) -> None:
    """Take a locker out of the registry for good. Its history stays under its id, as long as the policy says."""
    settings = load(config)
    if not yes and typer.prompt(f"Type {locker} to remove it") != locker:
        fail("that is not its id; nothing was removed")
    removed = with_store(settings, lambda store: remove_locker(store, locker, By(by, clock.wall())))
    if removed is None:
        fail(f"there is no locker {locker!r} in the registry; `hub locker list` lists them")
    if removed.transactions_open:
        fail(in_use(locker, removed.transactions_open))
    typer.echo(f"{locker} is removed; {removed.commands_ended} durable commands ended with that")
    typer.echo("Its account at the broker is left: `mosquitto/accounts --remove PASSWORDS NAME` takes it away.")


def _set_disabled(locker: str, why: str | None, by: str, config: Path | None) -> None:
    if not with_store(load(config), lambda store: disable_locker(store, locker, why, By(by, clock.wall()))):
        fail(f"there is no locker {locker!r} in the registry; `hub locker list` lists them")


@locker_app.command("service")
def locker_service(
    locker: Annotated[str, typer.Argument(help="The locker's id.")],
    door: Annotated[int, typer.Argument(min=1, max=999, help="The door's number.")],
    service: Annotated[Literal["in", "out"], typer.Argument(help="Whether it can be used.")],
    *,
    reason: Annotated[str, typer.Option(help="Why it goes out of service.")] = "",
    by: ByOption = LOCAL,
    config: ConfigOption = None,
) -> None:
    """Take a door out of service, or back into it."""
    why = _checked_text("reason", reason, REASON_CHARACTERS_MAX) if service == "out" else None
    if why == "":
        fail("a door goes out of service for a reason: --reason", status=2)
    if not with_store(load(config), lambda store: set_service(store, locker, door, why, By(by, clock.wall()))):
        fail(f"there is no door {door} of a locker {locker!r} in the registry; `hub locker show` shows its doors")
    typer.echo(f"door {door} is {'in' if service == 'in' else 'out of'} service")


def _checked(texts: dict[str, str | None], tags: list[str] | None) -> LockerChange:
    """Return what was given, trimmed; end with status 2 for what the registry cannot take."""
    clean = {
        name: None if text is None else _checked_text(name, text, CHARACTERS_MAX[name])
        for name, text in texts.items()
    }
    words = None
    if tags is not None:
        words = [
            word for word in dict.fromkeys(_checked_text("tag", tag, TAG_CHARACTERS_MAX) for tag in tags) if word
        ]
        if len(words) > TAGS_MAX:
            fail(f"{len(words)} tags are too many; {TAGS_MAX} are the most", status=2)
    return LockerChange(**clean, tags=words)


def _checked_text(name: str, text: str, characters_max: int) -> str:
    found = unprintable(text)
    if found is not None:
        fail(f"the {name} has {found}; anything that can be printed is fine", status=2)
    clean = composed(text.strip())
    if len(clean) > characters_max:
        fail(f"the {name} has {len(clean)} characters; {characters_max} are the most", status=2)
    return clean
