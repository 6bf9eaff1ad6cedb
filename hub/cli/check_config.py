"""`hub check-config`: whether a hub could run with this configuration, before it has to."""

import os
from typing import Annotated

import orjson
import typer

from hub import clock
from hub.cli.options import ConfigOption, JsonOption
from hub.config import settings
from hub.masking import scrub
from hub.preflight.local import check_setup
from hub.preflight.online import check_online


def check_config(
    *,
    config: ConfigOption = None,
    online: Annotated[
        bool, typer.Option("--online", help="Ask the database, the broker and the port too; changes nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check the configuration and the files that it names. Exit status 1 if something is wrong."""
    loaded = settings.load(config, os.environ)
    found = check_setup(loaded, clock.wall())
    if online:
        found += check_online(loaded)
    wrong = [one for one in found if one.trouble]
    if as_json:
        typer.echo(scrub(orjson.dumps({"findings": found}, option=orjson.OPT_INDENT_2).decode()))
    else:
        for one in found:
            typer.echo(f"{'hub' if one.trouble else 'note'}: {scrub(one.text)}", err=one.trouble)
        if not wrong:
            typer.echo("the configuration is fine")
    if wrong:
        raise typer.Exit(1)
