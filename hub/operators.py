"""Who may do what with the hub: a token for each of them, so that a second person can be told from the first."""

import difflib
import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Self

from hub.config.secrets import shown_path
from hub.errors import ConfigError
from hub.masking import remember

LOCAL: Final = "local"
"""Everybody, where there is no token: whoever is on this machine."""
ONLY: Final = "operator"
"""The one whose token stands alone in the file."""
MACHINE_PREFIX: Final = "machine."
"""Begins the names of those that are no people, Prometheus for one: they approve nothing."""
TOKEN_CHARACTERS_MIN: Final = 12

_NAME: Final = re.compile(r"[a-z0-9._-]{1,32}")
_SETTING: Final = "http.token_file"


class Role(StrEnum):
    """What somebody may do; each may do what those before it may."""

    VIEWER = "viewer"
    """Look."""
    OPERATOR = "operator"
    """Act: open doors, acknowledge alarms, run jobs."""
    ADMIN = "admin"
    """Change the registry, and whatever is about people, holds and retention."""

    def covers(self, needed: "Role") -> bool:
        """Say whether whoever has this role may do what needs the other."""
        return _RANKS[self] >= _RANKS[needed]


_RANKS: Final = {role: rank for rank, role in enumerate(Role)}


@dataclass(frozen=True, slots=True)
class _Operator:
    role: Role
    digest: str


def is_person(name: str) -> bool:
    """Say whether an operator's name is a person's."""
    return not name.startswith(MACHINE_PREFIX)


class Operators:
    """The operators' names, roles and the digests of their tokens; the tokens themselves are not kept."""

    def __init__(self, operators: Mapping[str, _Operator]) -> None:
        self._operators = dict(operators)

    @classmethod
    def read(cls, path: str | None) -> Self:
        """Read a file of lines `name:role:token` or `name:token` (an admin), or of one line that is a token.

        None: this machine may do everything, without one.

        Raises:
            ConfigError: what is wrong, on which line, and what would be right. It never shows a token.
        """
        if path is None:
            return cls({})
        try:
            text = Path(path).read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{_SETTING}: cannot read {shown_path(path)}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigError(f"{_SETTING}: {path} is not UTF-8 text") from None
        lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        if not lines:
            raise ConfigError(f"{_SETTING}: {path} is empty; a line is `name:role:token`")
        operators: dict[str, _Operator] = {}
        for number, line in lines:
            where = f"{_SETTING}: {path}, line {number}"
            name, role, token = _parts(line, where, alone=len(lines) == 1)
            if name in operators:
                raise ConfigError(f"{where}: there is an operator {name} already; each name stands once")
            remember(token)
            digest = _digest(token)
            if any(one.digest == digest for one in operators.values()):
                raise ConfigError(f"{where}: {name} has the token of another operator; each needs one of their own")
            operators[name] = _Operator(role, digest)
        return cls(operators)

    @property
    def needed(self) -> bool:
        """Whether a token is needed at all."""
        return bool(self._operators)

    @property
    def several(self) -> bool:
        """Whether there is a second person to ask who may act."""
        return sum(is_person(name) and one.role.covers(Role.OPERATOR) for name, one in self._operators.items()) > 1

    def role_of(self, name: str) -> Role:
        """Return what an operator may do, by the name that `who` told; whoever is `local` may everything."""
        return self._operators[name].role if self._operators else Role.ADMIN

    def who(self, token: str) -> str | None:
        """Return whose token it is. Every token is compared, each in constant time."""
        given = _digest(token)
        found = None
        for name, one in self._operators.items():
            if secrets.compare_digest(given, one.digest):
                found = name
        return found


def _parts(line: str, where: str, *, alone: bool) -> tuple[str, Role, str]:
    name, colon, rest = line.partition(":")
    if not colon:
        if not alone:
            raise ConfigError(f"{where}: a line is `name:role:token`; only a token that stands alone needs no name")
        name, rest = ONLY, line
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{where}: what stands before the colon is a name, 1 to 32 of a-z, 0-9, `.`, `_` and `-`")
    role, token = _role_and_token(rest.strip(), f"{where}: {name}")
    if len(token) < TOKEN_CHARACTERS_MIN:
        raise ConfigError(
            f"{where}: the token of {name} has {len(token)} characters, and {TOKEN_CHARACTERS_MIN} are the least; "
            "`openssl rand -hex 24` makes a good one"
        )
    return name, role, token


def _role_and_token(text: str, where: str) -> tuple[Role, str]:
    word, colon, token = text.partition(":")
    if not colon:
        return Role.ADMIN, text
    word = word.strip()
    if word in set(Role):
        return Role(word), token.strip()
    near = difflib.get_close_matches(word.casefold(), [role.value for role in Role], n=1, cutoff=0.7)
    if near:
        # Taken for a part of the token it would make an admin of whoever was meant to look only.
        raise ConfigError(f"{where} has the role {word!r}; did you mean {near[0]}? Roles are {', '.join(Role)}")
    return Role.ADMIN, text


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
