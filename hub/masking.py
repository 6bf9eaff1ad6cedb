"""Secrets: a type that shows nothing of itself, and the values that are taken out of every text.

`Secret` keeps a value out of representations. `remember` and `scrub` are the last line of defence, for texts that
other software makes (libpq, TLS, HTTP clients): they go through `scrub` on their way into a log or onto a terminal.
"""

import json
import re
from typing import Final
from urllib.parse import quote

MASK: Final = "********"

_CHARACTERS_MIN: Final = 6
"""A shorter value would take harmless words apart, and hides nothing from anybody who can count."""
_SECRETS_MAX: Final = 10_000


class Secret:
    """A text that is shown as asterisks; `reveal` returns it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text
        remember(text)

    def reveal(self) -> str:
        """Return the text itself."""
        return self._text

    def __repr__(self) -> str:
        """Return asterisks."""
        return f"Secret({MASK!r})"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        """Compare the texts."""
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        """Return the hash of the text."""
        return hash(self._text)


class _Scrubber:
    def __init__(self) -> None:
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def add(self, secret: str) -> None:
        if len(secret) < _CHARACTERS_MIN or len(self._forms) >= _SECRETS_MAX:
            return
        # As it stands in a URL, in JSON and in a Python representation.
        escaped = (json.dumps(secret), json.dumps(secret, ensure_ascii=False), repr(secret))
        forms = {secret, quote(secret, safe=""), quote(secret), *(one[1:-1] for one in escaped)}
        if not forms <= self._forms:
            self._forms |= forms
            self._pattern = None

    def scrub(self, text: str) -> str:
        if not self._forms:
            return text
        if self._pattern is None:
            longest_first = sorted(self._forms, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))
        return self._pattern.sub(MASK, text)


# One for the process: a text is scrubbed where it leaves the process, and there nobody knows whose it is.
_scrubber = _Scrubber()


def remember(secret: str) -> None:
    """Take this value out of every text from now on. Very short ones are not: see `_CHARACTERS_MIN`."""
    _scrubber.add(secret)


def scrub(text: str) -> str:
    """Return the text with each remembered secret as asterisks."""
    return _scrubber.scrub(text)
