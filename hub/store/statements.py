"""Load queries.sql: blocks of `-- name --`, comments, one statement."""

import re
from functools import cache
from pathlib import Path
from typing import Final, LiteralString

_NAME: Final = re.compile(r"^-- ([a-z_]+) --$", re.MULTILINE)


@cache
def statements() -> dict[str, LiteralString]:
    """Return the statements by name."""
    parts = _NAME.split(Path(__file__).with_name("queries.sql").read_text())[1:]
    return {name: _sql(body) for name, body in zip(parts[::2], parts[1::2], strict=True)}


def statement(name: str) -> LiteralString:
    """Return one statement. An unknown name is a programming error (KeyError)."""
    return statements()[name]


def _sql(body: str) -> LiteralString:
    return "\n".join(line for line in body.splitlines() if not line.startswith("--")).strip()
