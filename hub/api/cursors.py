"""Where a page ended, as an opaque text for the next request."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final, Generic, TypeVar

import msgspec

from hub.api.problems import Problem
from hub.api.values import Time, check_values

__all__ = ["Cursor", "Time"]

_C = TypeVar("_C")
_CHARACTERS_MAX: Final = 1000


class Cursor(Generic[_C]):
    """The cursors of one list: what it wrote it reads again, and another list's are refused.

    Args:
        name: the list's; each list has its own.
        kind: the type of what stands in a cursor. Times in it are `Time`.
    """

    def __init__(self, name: str, kind: type[_C]) -> None:
        self.name = name
        self._decoder: msgspec.json.Decoder[tuple[str, _C]] = msgspec.json.Decoder(tuple[str, kind])  # type: ignore[valid-type]

    def write(self, value: _C) -> str:
        """Return the cursor of a value."""
        return urlsafe_b64encode(msgspec.json.encode((self.name, value))).decode().rstrip("=")

    def read(self, text: str | None) -> _C | None:
        """Return the value of a cursor. Raises Problem bad_request for one that this list did not write."""
        if text is None:
            return None
        try:
            name, value = self._decoder.decode(_raw(text))
            check_values(value)
        except (ValueError, msgspec.DecodeError):
            raise Problem("bad_request", _FOREIGN) from None
        if name != self.name:
            raise Problem("bad_request", f"The cursor is one of {name[:40]!r}, and this list is {self.name!r}.")
        return value


_FOREIGN: Final = "The cursor is not one of this hub; take `next_cursor` of the page before."


def _raw(text: str) -> bytes:
    if len(text) > _CHARACTERS_MAX:
        raise ValueError("longer than any")
    raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    # Base64 passes over what is none of its letters; such a text was tampered with.
    if urlsafe_b64encode(raw).decode().rstrip("=") != text.rstrip("="):
        raise ValueError("not as it was written")
    return raw
