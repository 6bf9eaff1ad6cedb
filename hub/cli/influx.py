"""`hub influx`: how far the InfluxDB sink is, and sending it the past again."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final

import orjson
import typer

from hub import clock
from hub.cli.options import ConfigOption, JsonOption, fail, load, with_store
from hub.config.settings import Config
from hub.influx.buckets import BucketState, look_at_buckets
from hub.influx.rebuild import REBUILT, Rebuild
from hub.influx.sink import server, streams
from hub.metrics import Metrics
from hub.store.database import Database
from hub.store.influx_feed import InfluxFeed, InfluxPast, Rebuilding
from hub.store.task_runs import advisory_lock
from wire import __version__

influx_app = typer.Typer(help="The InfluxDB sink: how far it is, and the past again.", no_args_is_help=True)

_STATEMENT_TIMEOUT_MS: Final = 600_000  # the lockers of a day, out of a large chunk
_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)


@influx_app.command()
def status(*, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show how far each stream is, and how long the buckets keep their points."""
    loaded = load(config)
    server(loaded.influx)  # what is not set or not installed is told before the database is asked

    async def look(store: Database) -> dict[str, Any]:
        cursors = await InfluxFeed(store, loaded.influx.lag_s).cursors()
        rebuilds = await InfluxPast(store).rebuilds()
        async with server(loaded.influx) as client:
            buckets = await look_at_buckets(client, loaded.influx, change=False)
        return {"streams": cursors, "rebuilds": rebuilds, "buckets": buckets}

    found = with_store(loaded, look)
    if as_json:
        typer.echo(orjson.dumps(found).decode())
        return
    for row in found["streams"]:
        typer.echo(f"{row['stream']:<12}  sent up to {_shown(row['upto'])}, {row['behind_s']:.0f} s ago")
    if not found["streams"]:
        typer.echo("nothing was sent yet: no hub with influx.url has run on this database")
    for one in found["rebuilds"]:
        typer.echo(_progress(one))
    buckets: list[BucketState] = found["buckets"]
    for bucket in buckets:
        typer.echo(bucket.sentence())


@influx_app.command()
def rebuild(
    *,
    since: Annotated[
        str | None, typer.Option(help="From when on: 2026-01-31 or 2026-01-31T12:00:00Z.", show_default=False)
    ] = None,
    until: Annotated[str | None, typer.Option(help="Up to when; now by default.", show_default=False)] = None,
    anew: Annotated[bool, typer.Option("--anew", help="Forget a rebuild that was left unfinished.")] = False,
    config: ConfigOption = None,
) -> None:
    """Send telemetry and door statistics of a span of time again; without --since, go on with what was left."""
    loaded = load(config)
    server(loaded.influx)
    begin = None if since is None else _time(since, "--since")
    end = clock.wall() if until is None else min(clock.wall(), _time(until, "--until"))
    if begin is None and (until is not None or anew):
        fail("--until and --anew need --since", status=2)
    if begin is not None and begin >= end:
        fail("--since has to lie before --until, and before now", status=2)

    async def send(store: Database) -> list[Rebuilding]:
        async with advisory_lock(store, "influx_rebuild") as got:
            if not got:
                fail("another rebuild is running on this database; it ends by itself, or with its process")
            past = InfluxPast(store)
            left = [one for one in await past.rebuilds() if one.ended_at is None]
            if begin is not None:
                if left and not anew:
                    fail(
                        f"a rebuild was left unfinished: {_progress(left[0])}. Without --since it goes on, with "
                        "--anew it is forgotten"
                    )
                for stream in REBUILT:
                    await past.begin(stream, begin, end)
                left = await past.rebuilds()
            if not left:
                fail("no rebuild was left unfinished: --since says from when on to send", status=2)
            return [await _send(store, loaded, one) for one in left]

    for done in with_store(loaded, send, statement_timeout_ms=_STATEMENT_TIMEOUT_MS):
        typer.echo(_progress(done))


async def _send(store: Database, config: Config, rebuilding: Rebuilding) -> Rebuilding:
    stream = next(one for one in streams(config.influx) if one.name == rebuilding.stream)
    async with server(config.influx) as client:
        one = Rebuild(InfluxPast(store), stream, client, config.influx, Metrics(__version__))
        return await one.run(rebuilding, lambda now: typer.echo(_progress(now), err=True))


def _progress(one: Rebuilding) -> str:
    span = f"{one.stream} from {_shown(one.since)} to {_shown(one.until)}"
    if one.day >= one.until:
        return f"sent again: {span}, {one.lines} lines"
    return f"sending again: {span}, done up to {_shown(one.day)}, {one.lines} lines"


def _shown(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _time(text: str, option: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        fail(f"{option} {text!r} is not a time: write 2026-01-31 or 2026-01-31T12:00:00Z", status=2)
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return max(at, _EARLIEST)
