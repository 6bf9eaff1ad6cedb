"""Who may operate the hub: a token for each of them, so that a second person can be told from the first."""

import hashlib
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

from hub.errors import ConfigError

LOCAL: Final = "local"
"""Everybody, where there is no token: whoever is on this machine."""
ONLY: Final = "operator"
"""The one whose token stands alone in the file."""
MACHINE_PREFIX: Final = "machine."
"""Begins the names of those that are no people, Prometheus for one: they approve nothing."""
TOKEN_CHARACTERS_MIN: Final = 12

_NAME: Final = re.compile(r"[a-z0-9._-]{1,32}")
_SETTING: Final = "http.token_file"


def is_person(name: str) -> bool:
    """Say whether an operator's name is a person's."""
    return not name.startswith(MACHINE_PREFIX)


class Operators:
    """The operators' names and the digests of their tokens; the tokens themselves are not kept."""

    def __init__(self, digests: Mapping[str, str]) -> None:
        self._digests = dict(digests)

    @classmethod
    def read(cls, path: str | None) -> Self:
        """Read a file of lines `name:token`, or of one line that is a token. None: this machine may, without one.

        Raises:
            ConfigError: what is wrong, on which line, and what would be right. It never shows a token.
        """
        if path is None:
            return cls({})
        try:
            text = Path(path).read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{_SETTING}: cannot read {path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigError(f"{_SETTING}: {path} is not UTF-8 text") from None
        lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        if not lines:
            raise ConfigError(f"{_SETTING}: {path} is empty; a line is `name:token`")
        digests: dict[str, str] = {}
        for number, line in lines:
            where = f"{_SETTING}: {path}, line {number}"
            name, token = _name_and_token(line, where, alone=len(lines) == 1)
            if name in digests:
                raise ConfigError(f"{where}: there is an operator {name} already; each name stands once")
            digest = _digest(token)
            if digest in digests.values():
                raise ConfigError(f"{where}: {name} has the token of another operator; each needs one of their own")
            digests[name] = digest
        return cls(digests)

    @property
    def needed(self) -> bool:
        """Whether a token is needed at all."""
        return bool(self._digests)

    @property
    def several(self) -> bool:
        """Whether there is a second person to ask."""
        return sum(map(is_person, self._digests)) > 1

    def who(self, token: str) -> str | None:
        """Return whose token it is. Every token is compared, each in constant time."""
        given = _digest(token)
        found = None
        for name, digest in self._digests.items():
            if secrets.compare_digest(given, digest):
                found = name
        return found


def _name_and_token(line: str, where: str, *, alone: bool) -> tuple[str, str]:
    name, colon, token = line.partition(":")
    if not colon:
        if not alone:
            raise ConfigError(f"{where}: a line is `name:token`; only a token that stands alone needs no name")
        name, token = ONLY, line
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{where}: what stands before the colon is a name, 1 to 32 of a-z, 0-9, `.`, `_` and `-`")
    token = token.strip()
    if len(token) < TOKEN_CHARACTERS_MIN:
        raise ConfigError(
            f"{where}: the token of {name} has {len(token)} characters, and {TOKEN_CHARACTERS_MIN} are the least; "
            "`openssl rand -hex 24` makes a good one"
        )
    return name, token


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
