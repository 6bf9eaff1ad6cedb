"""Structured logs on standard error: one line of JSON each, or readable on a terminal. No line shows a secret."""

import logging
import sys
import traceback
from types import TracebackType
from typing import Any, Literal

import orjson
import structlog

from hub.masking import scrub


def configure(level: str, form: Literal["auto", "json", "console"]) -> None:
    """Send the standard library's logging through structlog. Fields go in `extra=`."""
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    shared: list[structlog.types.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.types.Processor
    if console:
        # Its own choice would be a traceback with the values of all local variables.
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    else:
        shared.append(structlog.processors.format_exc_info)
        renderer = structlog.processors.JSONRenderer(serializer=_dumps)
    output = logging.StreamHandler(sys.stderr)
    output.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer, _scrubbed],
        )
    )
    sys.excepthook = _show_scrubbed
    root = logging.getLogger()
    root.handlers[:] = [output]
    root.setLevel(level.upper())
    # Each message of these libraries repeats what the hub says itself, or is written for their own developers.
    for name in ("gmqtt", "asyncio", "aiohttp.access"):
        logging.getLogger(name).setLevel(logging.WARNING if level == "debug" else logging.ERROR)
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)


def _scrubbed(_logger: Any, _method: str, line: Any) -> str:  # noqa: ANN401 - structlog's own signature
    return scrub(str(line))


def _show_scrubbed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(scrub("".join(traceback.format_exception(kind, error, trace))))


def _dumps(event: Any, **_: Any) -> str:  # noqa: ANN401 - structlog's own signature
    return orjson.dumps(event, default=str).decode()


def described(error: BaseException) -> dict[str, str]:
    """Return the fields of a log line: `error`, one sentence, and `where`, the lines of code that led there."""
    return {"error": sentence(error), "where": "".join(traceback.format_tb(error.__traceback__))}


def sentence(error: BaseException) -> str:
    """Return the kind of an error and the first line of its text: further ones may have the values of a row."""
    text = scrub(str(error).strip().split("\n", 1)[0])
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
