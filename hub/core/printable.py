"""Text that people type and others read: anything printable, and nothing that moves other text about."""

import unicodedata
from typing import Final

_CATEGORIES: Final = {
    "Cc": "a control character",
    "Cs": "half of a character",
    "Zl": "a line separator",
    "Zp": "a paragraph separator",
}
_DIRECTIONS: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They turn the order of what stands around them: a name could show as another one."""


def composed(text: str) -> str:
    """Return a text as it is compared and stored: in NFC, so that one name is one however it was typed."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def unprintable(text: str) -> str | None:
    """Return what the first character that cannot be shown is, with its code; None where all can."""
    for char in text:
        what = "a change of direction" if char in _DIRECTIONS else _CATEGORIES.get(unicodedata.category(char))
        if what is not None:
            return f"{what} (U+{ord(char):04X})"
    return None
