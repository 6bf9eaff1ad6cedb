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

from hub import logs
from hub.cli.alarms import alarm_app
from hub.cli.audit import audit_app
from hub.cli.check_config import check_config
from hub.cli.doctor import doctor
from hub.cli.export import export_app
from hub.cli.holds import hold_app
from hub.cli.influx import influx_app
from hub.cli.jobs import job_app
from hub.cli.ledger import ledger_app
from hub.cli.lockers import locker_app
from hub.cli.move import move_to_timescaledb
from hub.cli.notify import notify_app
from hub.cli.options import ConfigOption, JsonOption
from hub.cli.options import fail as _fail
from hub.cli.options import load as _load
from hub.cli.options import with_store as _with_store
from hub.cli.person import person_app
from hub.cli.privacy_requests import rights_app
from hub.cli.restore import restore_check
from hub.cli.retention import retention_app
from hub.cli.tenant import tenant_app
from hub.demo.reconcile import decode_truth, reconcile_events
from hub.errors import ConfigError, HubError
from hub.keys import load_key, make_key, public_path
from hub.lifecycle.handover import find_predecessor, inherited_listeners
from hub.store.ledgers import Ledgers
from hub.store.migrate import check as missing_migrations
from hub.store.migrate import migrate as migrate_database
from wire import __version__

app = typer.Typer(
    name="hub", help="Lockerhub: the hub of a fleet of smart lockers.", no_args_is_help=True, add_completion=False,
    pretty_exceptions_enable=False,
)  # fmt: skip
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
app.add_typer(notify_app, name="notify")
app.command()(doctor)
app.command("check-config")(check_config)
app.command("move-to-timescaledb")(move_to_timescaledb)

_T = TypeVar("_T")
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
def run(
    *,
    takeover: Annotated[
        bool, typer.Option("--takeover", help="Take the place of the hub that runs, at service.handover_socket.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Run the hub until SIGTERM or SIGINT, then drain it."""
    # Only here: all other commands are there sooner without the whole of the hub.
    from hub.app import run as run_hub  # noqa: PLC0415

    loaded = _load(config)
    missing = missing_migrations(loaded.dsn())
    if missing:
        raise ConfigError(f"the database lacks {missing} migrations; `hub migrate` applies them")
    predecessor = None
    if takeover:
        if loaded.service.handover_socket is None:
            raise ConfigError("--takeover needs service.handover_socket: where the running hub hands over")
        predecessor = find_predecessor(loaded.service.handover_socket)
    given = inherited_listeners(os.environ)
    _calm_garbage_collector()
    asyncio.run(_until_signal(lambda stop: run_hub(loaded, stop, predecessor, given)))


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
    troubles: Annotated[
        float, typer.Option(min=0, max=1, help="How much goes wrong: forced doors, silent boards, lost power …")
    ] = 0.3,
) -> None:
    """Start a database, a broker, the hub and a simulated fleet; the page is on http://127.0.0.1:8080."""
    try:
        # Only here: a hub that is installed without the extra `embedded` runs all the same.
        from hub.demo.demo import DemoOptions  # noqa: PLC0415
        from hub.demo.demo import demo as run_demo  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{error.name} is not installed: the demo needs the extras, lockerhub[hub,edge,embedded]"
        ) from None
    logs.configure("info", "auto")
    options = DemoOptions(lockers, seconds, port, seed, speed, folder.absolute(), troubles)
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
