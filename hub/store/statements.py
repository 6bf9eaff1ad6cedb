"""Load queries/*.sql: blocks of `-- name --`, comments, one statement."""

import re
from functools import cache
from pathlib import Path
from typing import Final, LiteralString

_NAME: Final = re.compile(r"^-- ([a-z_]+) --$", re.MULTILINE)
_FOLDER: Final = Path(__file__).with_name("queries")


@cache
def statements() -> dict[str, LiteralString]:
    """Return the statements by name. A name that stands twice is a programming error (ValueError)."""
    found: dict[str, LiteralString] = {}
    for path in sorted(_FOLDER.glob("*.sql")):
        parts = _NAME.split(path.read_text())[1:]
        for name, body in zip(parts[::2], parts[1::2], strict=True):
            if name in found:
                raise ValueError(f"{path.name}: {name} is there twice")
            found[name] = _sql(body)
    return found


def statement(name: str) -> LiteralString:
    """Return one statement. An unknown name is a programming error (KeyError)."""
    return statements()[name]


def _sql(body: str) -> LiteralString:
    return "\n".join(line for line in body.splitlines() if not line.startswith("--")).strip()
