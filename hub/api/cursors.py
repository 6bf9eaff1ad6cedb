"""Where a page ended, as an opaque text for the next request."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TypeVar

import msgspec

from hub.api.problems import Problem

_C = TypeVar("_C")


def write_cursor(value: object) -> str:
    """Return the cursor of a value that msgspec can encode."""
    return urlsafe_b64encode(msgspec.json.encode(value)).decode().rstrip("=")


def read_cursor(text: str | None, kind: type[_C]) -> _C | None:
    """Return the value of a cursor. Raises Problem bad_request for one that this hub did not write."""
    if text is None:
        return None
    try:
        return msgspec.json.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=kind)
    except (ValueError, msgspec.DecodeError):
        raise Problem("bad_request", "The cursor is not one of this hub; take `next` of the page before.") from None
