"""The order in which people look for names: Locker 2 before Locker 10, whatever the case of letters.

The operator page has the same order in `natural.js`.
"""

import re
from typing import Final

Key = tuple[tuple[tuple[int, int], ...], str]

_PARTS: Final = re.compile(r"[0-9]+|[^0-9]", re.DOTALL)
_DIGIT: Final = ord("0")


def natural_key(text: str) -> Key:
    """Return what sorts a text: a run of digits is its number; texts that are the same by that, as written."""
    parts = (
        (_DIGIT, int(part)) if part[0].isascii() and part[0].isdigit() else (ord(part), 0)
        for part in _PARTS.findall(text.lower())
    )
    return tuple(parts), text
