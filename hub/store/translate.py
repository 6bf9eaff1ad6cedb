"""What psycopg raises, as the hub's own errors.

The default is an outage: whatever is not known to be the fault of the rows themselves raises StoreUnavailable, so
that the rows are kept and tried again. Only what no repetition can mend raises StoreRejected.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg

from hub.errors import StoreError, StoreRejected, StoreUnavailable
from hub.masking import scrub

REJECTIONS: Final = (psycopg.DataError, psycopg.IntegrityError, psycopg.NotSupportedError)
"""What the database says of rows that it will never accept."""

_HINTS: Final = {
    "25006": "the database is read-only; it may be a standby",
    "25P03": "a transaction of the hub stood still for too long",
    "3D000": "there is no such database",
    "3F000": "there is no such schema",
    "42501": "the database refuses the hub's role, which has to own the tables (see docs/operations.md)",
    "42703": "a column is missing; `hub migrate` brings the schema forward",
    "42883": "a function is missing; `hub migrate` brings the schema forward",
    "42P01": "a table is missing; `hub migrate` brings the schema forward",
    "53100": "the disk of the database is full",
    "53200": "the database has no memory left",
    "53300": "the database has no connection left",
    "XX001": "the database finds its files damaged",
    "XX002": "the database finds an index damaged",
}
"""What to look at, by SQLSTATE, before the database's own words."""
_PASSING: Final = ("08", "40", "53", "55", "57", "58")
"""Classes of SQLSTATE that speak of the server's or the connection's state, and never of what was to be written."""
_STALE_PLAN: Final = "RevalidateCachedQuery"
"""Where PostgreSQL says that a prepared statement no longer fits its table. Its SQLSTATE is that of rows."""


def translate_error(error: psycopg.Error) -> StoreError:
    """Return StoreRejected for rows that will never be accepted, StoreUnavailable for everything else."""
    if isinstance(error, REJECTIONS) and error.diag.source_function != _STALE_PLAN:
        return StoreRejected(first_line(error))
    state = error.sqlstate
    text = first_line(error)
    if state in _HINTS:
        text = f"{_HINTS[state]}: {text}"
    elif state is not None and not state.startswith(_PASSING):
        text = f"{text} (SQLSTATE {state})"
    return StoreUnavailable(text, about_rows=may_be_about_rows(state))


def may_be_about_rows(state: str | None) -> bool:
    """Say whether an outage with this SQLSTATE may be one of certain rows only: a trigger, a damaged index."""
    return state is not None and state != "25006" and not state.startswith(_PASSING)


def is_of_the_session(error: psycopg.Error) -> bool:
    """Say whether a new connection may fare better: settings, plans and rights are taken over as it is made.

    A connection that was made while the database was read-only by a setting stays so for as long as it lives.
    """
    if isinstance(error, REJECTIONS):
        return error.diag.source_function == _STALE_PLAN
    return error.sqlstate is not None and not error.sqlstate.startswith(_PASSING)


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turn what psycopg raises in the block into StoreUnavailable or StoreRejected."""
    try:
        yield
    except psycopg.Error as error:
        raise translate_error(error) from error


def first_line(error: Exception) -> str:
    """Return what the database said, without the values that it said it of."""
    # psycopg puts the row's values into further lines; they belong neither into logs nor into answers.
    return scrub(str(error).strip().split("\n", 1)[0]) or type(error).__name__
