"""What a DSN has to be, said without showing any of it; and one connection for a program that starts.

libpq repeats the part of a DSN that it does not understand, and that is often a piece of the password: one with an
`@`, `/` or `:` that is not percent-encoded ends up in the host, the port or the database's name.
"""

import difflib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from hub.errors import ConfigError, MigrationError, StoreError, StoreRejected
from hub.masking import remember
from hub.store.translate import first_line, translate_error

_RIGHT: Final = (
    "write postgresql://user:password@host:5432/database, "
    "with @ : / ? # % of the password as %40 %3A %2F %3F %23 %25, "
    "or host=… port=… user=… password='…' dbname=…"
)
_PORT_MAX: Final = 65_535
_HOST: Final = re.compile(r"[A-Za-z0-9._-]{0,253}|[0-9A-Fa-f:.]{2,45}(%[A-Za-z0-9._-]+)?|[/@].*")
_KEYWORD: Final = re.compile(r'invalid (?:connection option|URI query parameter):? "([a-z_]{1,40})"')
_KEYWORDS: Final = (
    "host", "hostaddr", "port", "dbname", "user", "password", "passfile", "connect_timeout", "options", "sslmode",
    "sslrootcert", "sslcert", "sslkey", "sslpassword", "application_name", "target_session_attrs",
    "channel_binding",
)  # fmt: skip


def check_dsn(dsn: str) -> None:
    """Raise ConfigError if libpq could not read the DSN, or would read a piece of a password as something else."""
    try:
        parts = {key: str(value) for key, value in conninfo_to_dict(dsn).items()}
    except psycopg.Error as error:
        raise ConfigError(f"database.dsn is not a connection string{_hint(str(error))}: {_RIGHT}") from None
    if "password" in parts:
        remember(parts["password"])
    remember(dsn)
    for wrong, there in (
        ("host", not all(map(_HOST.fullmatch, parts.get("host", "").split(",")))),
        ("port", not all(map(_is_port, parts.get("port", "").split(",")))),
        ("database's name", bool(re.search(r"@|://", parts.get("dbname", "")))),
        ("user", "://" in parts.get("user", "")),
    ):
        if there:
            raise ConfigError(f"what database.dsn has in the place of the {wrong} cannot be one: {_RIGHT}")


@contextmanager
def connected(dsn: str, application_name: str, options: str | None = None) -> Iterator[psycopg.Connection]:
    """Open one connection in autocommit for the block.

    Raises:
        ConfigError: the DSN is none.
        MigrationError: tables are missing.
        StoreUnavailable: the database cannot be reached, or does not do what is asked: the role lacks a right.
        StoreRejected: the database will never accept this.
    """
    check_dsn(dsn)
    try:
        with psycopg.connect(dsn, autocommit=True, application_name=application_name, options=options) as conn:
            yield conn
    except psycopg.Error as error:
        raise _of_a_start(error) from error


def _of_a_start(error: psycopg.Error) -> StoreError:
    """Return what an error is to a program that starts: a missing table will not come by itself."""
    match error:
        case (
            psycopg.errors.UndefinedTable() | psycopg.errors.UndefinedColumn() | psycopg.errors.UndefinedFunction()
        ):
            return MigrationError(
                f"the schema is not what this version needs: {first_line(error)}; `hub migrate` brings it forward"
            )
        case psycopg.errors.InsufficientPrivilege():
            return translate_error(error)
        case psycopg.ProgrammingError():
            return StoreRejected(first_line(error))
    return translate_error(error)


def _is_port(text: str) -> bool:
    return not text or (text.isascii() and text.isdecimal() and 0 < int(text) <= _PORT_MAX)


def _hint(said: str) -> str:
    # Only a keyword that is nearly a known one is shown: anything else may be a piece of a password.
    found = _KEYWORD.search(said)
    near = difflib.get_close_matches(found[1], _KEYWORDS, n=1, cutoff=0.75) if found else []
    return f" ({found[1]}: did you mean {near[0]}?)" if found and near else ""
