"""`hub move-to-timescaledb`: from native partitions to hypertables, in place."""

import orjson
import typer

from hub.cli.options import ConfigOption, JsonOption, load
from hub.store.move import move


def move_to_timescaledb(*, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Move the tables of a stopped hub to TimescaleDB; see docs/storage.md.

    It needs as much room on the disk again as these tables have, until it is through. Ended at any point, it goes
    on when it is called again.
    """
    moved = move(load(config).dsn(), lambda text: typer.echo(text, err=True))
    if as_json:
        typer.echo(orjson.dumps(moved).decode())
        return
    rows = ", ".join(f"{count} rows of {name}" for name, count in moved.rows.items())
    typer.echo(f"moved: {rows}; the first upkeep of the hub compresses what is old")
