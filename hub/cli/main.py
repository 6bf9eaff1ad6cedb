"""The command line of the hub.

Exit status: 0 done, 1 it went wrong (the reason is on standard error), 2 the command line itself is wrong.
Standard output carries results only; logs go to standard error.
"""

import asyncio
import gc
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import orjson
import typer

from hub import config as settings
from hub import logs
from hub.alarms.rules_file import read_rules
from hub.app import run as run_hub
from hub.cli.alarms import alarm_app
from hub.cli.audit import audit_app
from hub.cli.doctor import doctor
from hub.cli.export import export_app
from hub.cli.holds import hold_app
from hub.cli.influx import influx_app
from hub.cli.jobs import job_app
from hub.cli.ledger import ledger_app
from hub.cli.move import move_to_timescaledb
from hub.cli.options import ConfigOption, JsonOption
from hub.cli.options import fail as _fail
from hub.cli.options import load as _load
from hub.cli.options import with_store as _with_store
from hub.cli.person import person_app
from hub.cli.restore import restore_check
from hub.cli.retention import retention_app
from hub.cli.rights import rights_app
from hub.cli.tenant import tenant_app
from hub.core.fleet import LockerSpec
from hub.errors import ConfigError, HubError
from hub.influx.sink import server as influx_server
from hub.operators import Operators
from hub.reconcile import decode_truth, reconcile_events
from hub.registry import grid
from hub.retention.run import parse_file as parse_policy_file
from hub.signing import load_key, make_key, public_path
from hub.store.ledgers import Ledgers
from hub.store.migrate import check as missing_migrations
from hub.store.migrate import migrate as migrate_database
from hub.store.timescale import Store
from wire import __version__
from wire.topics import is_locker_id

app = typer.Typer(
    name="hub", help="Lockerhub: the hub of a fleet of smart lockers.", no_args_is_help=True, add_completion=False,
    pretty_exceptions_enable=False,
)  # fmt: skip
locker_app = typer.Typer(help="The registry of lockers.", no_args_is_help=True)
key_app = typer.Typer(help="The key that signs commands.", no_args_is_help=True)
app.add_typer(locker_app, name="locker")
app.add_typer(key_app, name="key")
app.add_typer(ledger_app, name="ledger")
app.add_typer(audit_app, name="audit")
app.add_typer(person_app, name="person")
app.add_typer(rights_app, name="rights")
app.add_typer(tenant_app, name="tenant")
app.command("restore-check")(restore_check)
app.add_typer(job_app, name="job")
app.add_typer(export_app, name="export")
app.add_typer(hold_app, name="hold")
app.add_typer(alarm_app, name="alarm")
app.add_typer(retention_app, name="retention")
app.add_typer(influx_app, name="influx")
app.command()(doctor)
app.command("move-to-timescaledb")(move_to_timescaledb)

_T = TypeVar("_T")
_DOORS_SHOWN: Final = 60
_GARBAGE_OBJECTS: Final = 50_000


def main() -> None:
    """Run the command line."""
    try:
        app()
    except HubError as error:
        _fail(str(error))
    except BrokenPipeError:
        # Whoever read our output has enough of it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


@app.command()
def run(config: ConfigOption = None) -> None:
    """Run the hub until SIGTERM or SIGINT, then drain it."""
    loaded = _load(config)
    missing = missing_migrations(loaded.dsn())
    if missing:
        raise ConfigError(f"the database lacks {missing} migrations; `hub migrate` applies them")
    _calm_garbage_collector()
    asyncio.run(_until_signal(lambda stop: run_hub(loaded, stop)))


@app.command()
def demo(
    *,
    lockers: Annotated[int, typer.Option(min=1, max=2000, help="Simulated lockers.")] = 25,
    seconds: Annotated[
        float | None, typer.Option("--for", min=1, help="Stop by itself after so many seconds.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object on standard output.")] = False,
    port: Annotated[int, typer.Option(min=1, max=65535, help="The page's port.")] = 8080,
    seed: Annotated[int, typer.Option(help="The office day's seed.")] = 1,
    speed: Annotated[
        float, typer.Option(min=0.1, max=10_000, help="How fast people arrive; 1 is a real day.")
    ] = 60,
    folder: Annotated[Path, typer.Option("--data", help="Where the demo keeps its data.")] = Path(".demo"),
) -> None:
    """Start a database, a broker, the hub and a simulated fleet; the page is on http://127.0.0.1:8080."""
    try:
        # Only here: a hub that is installed without the extra `embedded` runs all the same.
        from hub.demo import DemoOptions  # noqa: PLC0415
        from hub.demo import demo as run_demo  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{error.name} is not installed: the demo needs the extras, lockerhub[edge,embedded]"
        ) from None
    logs.configure("info", "auto")
    options = DemoOptions(lockers, seconds, port, seed, speed, folder.absolute())
    _calm_garbage_collector()
    account = asyncio.run(_until_signal(lambda stop: run_demo(options, stop)))
    if as_json:
        typer.echo(orjson.dumps(account).decode())
    else:
        typer.echo(orjson.dumps(account, option=orjson.OPT_INDENT_2).decode(), err=True)
    events = account["events"]
    if events["lost"] or events["duplicate"]:
        raise typer.Exit(1)


@app.command()
def migrate(*, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Bring the database's schema forward."""
    done = migrate_database(_load(config).dsn())
    if as_json:
        typer.echo(json.dumps({"form": done.form, "applied": done.applied, "at": done.at}))
        return
    for name in done.applied:
        typer.echo(f"applied {name}")
    typer.echo(f"the schema is at {done.at:04d}, on {done.form}")


@app.command("check-config")
def check_config(config: ConfigOption = None) -> None:
    """Check the configuration and the files that it names."""
    loaded = settings.load(config, os.environ)
    loaded.dsn()
    load_key(Path(loaded.commands.key_file))
    if loaded.mqtt.password_file is not None:
        settings.read_secret(loaded.mqtt.password_file, "mqtt.password_file")
    Operators.read(loaded.http.token_file)
    read_rules(loaded.alarms.rules_file)
    parse_policy_file(loaded.retention.policy_file, None)
    if loaded.influx.url is not None:
        influx_server(loaded.influx)
    typer.echo("the configuration is fine")


@app.command()
def reconcile(
    truth: Annotated[Path, typer.Option(help="The last line of `edge-agent simulate --json`, in a file.")],
    config: ConfigOption = None,
) -> None:
    """Hold a simulated fleet's own truth against the database; prints {produced, stored, lost, duplicate}."""
    loaded = _load(config)
    said = decode_truth(truth.read_bytes().strip().splitlines()[-1])
    events = _with_store(loaded, lambda store: reconcile_events(Ledgers(store), said))
    typer.echo(orjson.dumps(events).decode())
    if events.lost or events.duplicate:
        raise typer.Exit(1)


@locker_app.command("add")
def locker_add(
    ids: Annotated[list[str], typer.Argument(help="One or more ids: 1 to 32 of a-z, 0-9 and -.")],
    name: Annotated[str | None, typer.Option(help="What people call it; the id by default.")] = None,
    site: Annotated[str, typer.Option(help="Where it is.")] = "",
    doors: Annotated[int, typer.Option(min=1, max=999, help="How many doors.")] = 16,
    columns: Annotated[int, typer.Option(min=1, max=99, help="Columns of the front view.")] = 4,
    config: ConfigOption = None,
) -> None:
    """Add lockers to the registry; a running hub follows within seconds."""
    for one in ids:
        if not is_locker_id(one):
            _fail(f"{one!r} is not a locker id: 1 to 32 of a-z, 0-9 and -", status=2)
        if one.startswith("hub-"):
            _fail(f"{one!r}: ids that begin with hub- are the hub's own accounts at the broker", status=2)
    if name is not None and len(ids) > 1:
        _fail("--name is for one locker; leave it out to use the ids", status=2)

    async def add(store: Store) -> list[str]:
        front = grid(doors, columns=columns)
        return [
            one for one in ids if not await store.add_locker(LockerSpec(one, "default", name or one, site, front))
        ]

    taken = _with_store(_load(config), add)
    if taken:
        _fail(f"already in the registry, and left as they are: {', '.join(taken)}")
    typer.echo(f"added {len(ids)}")


@locker_app.command("list")
def locker_list(*, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the registry."""
    lockers = _with_store(_load(config), lambda store: store.registry())
    if as_json:
        typer.echo(orjson.dumps(lockers).decode())
        return
    for locker in lockers:
        typer.echo(f"{locker.id:<32}  {len(locker.doors):>3} doors  {locker.site:<20}  {locker.name}")


@locker_app.command("show")
def locker_show(locker: str, *, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show one locker."""
    lockers = _with_store(_load(config), lambda store: store.registry())
    found = next((one for one in lockers if one.id == locker), None)
    if found is None:
        _fail(f"there is no locker {locker!r} in the registry; `hub locker list` lists them")
    if as_json:
        typer.echo(orjson.dumps(found).decode())
        return
    typer.echo(f"{found.id}  {found.name}  {found.site}")
    for door in found.doors[:_DOORS_SHOWN]:
        service = "" if door.in_service else f"  out of service: {door.service_reason or 'no reason given'}"
        typer.echo(f"  door {door.number:>3}  {door.size:<2}  row {door.row}, column {door.column}{service}")


@key_app.command("make")
def key_make(path: Annotated[Path, typer.Argument(help="Where; its public half stands beside it.")]) -> None:
    """Make the key that signs commands."""
    make_key(path)
    typer.echo(f"{path} signs; give {public_path(path)} to the agents")


@key_app.command("show")
def key_show(path: Annotated[Path, typer.Argument(help="The key's file.")]) -> None:
    """Print the public half."""
    typer.echo(load_key(path).public_pem(), nl=False)


def _calm_garbage_collector() -> None:
    """Keep the collector from looking through all that waits in the queues once every 700 new objects.

    What is there now stays for good. Later objects live for milliseconds and have no cycles, so reference counts
    free them; measured, the default thresholds cost the hub a quarter of its time under load.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GARBAGE_OBJECTS, 20, 20)


async def _until_signal(run: Callable[[asyncio.Event], Coroutine[Any, Any, _T]]) -> _T:
    """Run until SIGTERM or SIGINT asks for the end; a second signal does not wait for it."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def ask() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask)
    return await run(stop)
