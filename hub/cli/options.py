"""What the commands of the command line share: their options, the way to a database, the way out."""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer

from hub import logs
from hub.config import settings
from hub.config.settings import Config
from hub.masking import scrub
from hub.store.database import Database

_T = TypeVar("_T")
_STATEMENT_TIMEOUT_MS = 60_000

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="hub.toml; HUB_* environment variables go over it.", show_default=False),
]
ByOption = Annotated[str, typer.Option("--by", help="Who does it, for the audit.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def load(path: Path | None) -> Config:
    """Read the configuration, and log as it says."""
    loaded = settings.load(path, os.environ)
    logs.configure(loaded.log.level, loaded.log.format)
    return loaded


def with_store(
    config: Config,
    use: Callable[[Database], Coroutine[Any, Any, _T]],
    *,
    statement_timeout_ms: int = _STATEMENT_TIMEOUT_MS,
) -> _T:
    """Open the database, use it, close it."""

    async def call() -> _T:
        async with Database(
            config.dsn(), connections_max=4, statement_timeout_ms=statement_timeout_ms,
            connect_timeout_s=config.database.connect_timeout_s,
        ) as store:  # fmt: skip
            return await use(store)

    return asyncio.run(call())


def fail(text: str, *, status: int = 1) -> NoReturn:
    """End with a sentence on standard error."""
    typer.echo(f"hub: {scrub(text)}", err=True)
    sys.exit(status)
