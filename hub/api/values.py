"""Values refused in any request, whatever they are for: times that nothing has, texts that nothing stores."""

import re
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, inspect

from hub.core.spans import FIRST, LAST

Time = Annotated[datetime, Meta(tz=True)]
"""A time with its offset (RFC 3339)."""

_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")


def check_values(value: object) -> None:
    """Look through a value that was read. Raises ValueError with a sentence for the first that cannot be."""
    check = _CHECKS.get(type(value))
    if check is not None:
        check(value)
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            try:
                check_values(getattr(value, name))
            except ValueError as error:
                where = "" if " - at " in str(error) else f" - at `$.{name}`"
                raise ValueError(f"{error}{where}") from None
    elif isinstance(value, dict):
        for key, one in value.items():
            check_values(key)
            check_values(one)
    elif isinstance(value, list | tuple):
        for one in value:
            check_values(one)


def check_is_time(kind: type, name: str, text: str) -> None:
    """Raise ValueError for a parameter that is a time and is not written as one.

    A number would be taken for seconds since 1970: nobody who asks since 0.5 means that.
    """
    if name in _times_of(kind) and _DATE.match(text) is None:
        raise ValueError(f"{text[:40]!r} is not a time; 2026-11-20T08:00:00Z is one - at `$.{name}`")


@lru_cache
def _times_of(kind: type) -> frozenset[str]:
    """Return the names of a struct's parameters that are times."""
    found = inspect.type_info(kind)
    assert isinstance(found, inspect.StructType), "parameters are structs"  # noqa: S101
    return frozenset(
        field.encode_name
        for field in found.fields
        if any(
            isinstance(one, inspect.DateTimeType)
            for one in (field.type.types if isinstance(field.type, inspect.UnionType) else (field.type,))
        )
    )


def _check_time(at: datetime) -> None:
    if at.tzinfo is None:
        raise ValueError(f"{at.isoformat()} says no offset; 2026-11-20T08:00:00Z does")
    if not FIRST <= at < LAST:
        raise ValueError(f"{at.isoformat()} is outside of the years {FIRST.year} to {LAST.year - 1}")


def _check_text(text: str) -> None:
    if "\0" in text:
        raise ValueError("a text has the character U+0000, which the database cannot keep")


def _check_number(number: int) -> None:
    if not -(2**63) <= number < 2**63:
        raise ValueError("a whole number has more than 64 bits")


_CHECKS: Final[dict[type, Callable[[Any], None]]] = {datetime: _check_time, str: _check_text, int: _check_number}
