"""The policy: how long each category of data lives, with exceptions for single tenants, each with its reason."""

import difflib
import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final

from hub.core.retention.periods import Period, cut_off, parse_period

AT_ONCE: Final = "at once"
ALWAYS: Final = "always"
REASON_CHARACTERS_MAX: Final = 200
VERSION_CHARACTERS_MAX: Final = 40


class Category(StrEnum):
    """What has a rule of its own."""

    EVENT = "event"
    ACCOUNT = "account"
    CODE = "code"
    READING = "reading"
    READING_ROLLUP = "reading_rollup"
    COMMAND = "command"
    ALARM = "alarm"
    JOB = "job"
    AUDIT = "audit"
    QUARANTINE = "quarantine"
    RIGHTS = "rights"
    PROOF = "proof"


BY_TENANT: Final = (
    Category.EVENT, Category.ACCOUNT, Category.READING, Category.READING_ROLLUP, Category.COMMAND, Category.ALARM,
    Category.RIGHTS,
)  # fmt: skip
"""Whose rows are one tenant's. A job may reach lockers of several, and the audit is one chain."""

_FIXED: Final = {Category.CODE: AT_ONCE, Category.PROOF: ALWAYS}
"""What is not for anybody to choose: the privacy notice says it, or nothing could be proved any more."""


class PolicyError(ValueError):
    """The policy cannot be read; the text says what is wrong, where, and what would be right."""


@dataclass(frozen=True, slots=True)
class Exempt:
    """Another period for one tenant's data of a category, and why."""

    tenant: str
    category: Category
    period: Period
    reason: str


@dataclass(frozen=True, slots=True)
class Policy:
    """A period for each category that has one, and the exceptions."""

    version: str
    periods: Mapping[Category, Period]
    exceptions: tuple[Exempt, ...] = ()

    @property
    def digest(self) -> str:
        """The SHA-256, in hex, of what it says, however it is written."""
        text = json.dumps(self.said(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return sha256(text.encode()).hexdigest()

    def said(self) -> dict[str, Any]:
        """Return all that it says, as JSON has it."""
        return {
            "version": self.version,
            "keep": {category.value: self.written(category) for category in Category},
            "exceptions": [
                {
                    "tenant": one.tenant, "category": one.category.value, "period": str(one.period),
                    "reason": one.reason,
                }
                for one in self.exceptions
            ],
        }  # fmt: skip

    def written(self, category: Category) -> str:
        """Return the rule of a category as it stands in the file."""
        return _FIXED[category] if category in _FIXED else str(self.periods[category])

    def cut_offs(self, category: Category, now: datetime) -> "CutOffs":
        """Return what lies behind its time at `now`. Raises KeyError for a category without a period."""
        return CutOffs(
            cut_off(now, self.periods[category]),
            {one.tenant: cut_off(now, one.period) for one in self.exceptions if one.category is category},
        )


@dataclass(frozen=True, slots=True)
class CutOffs:
    """The times before which a category's rows go: of everybody, and of the tenants that have another one."""

    default: datetime
    tenants: Mapping[str, datetime]

    @property
    def earliest(self) -> datetime:
        """Before it everybody's rows go."""
        return min((self.default, *self.tenants.values()))

    @property
    def latest(self) -> datetime:
        """From it on nobody's rows go."""
        return max((self.default, *self.tenants.values()))

    def of(self, tenant: str | None) -> datetime:
        """Return the one of a tenant; of data whose tenant nobody knows, the default."""
        return self.default if tenant is None else self.tenants.get(tenant, self.default)


def parse_policy(data: bytes, tenants: Iterable[str] | None) -> Policy:
    """Read a policy.

    Args:
        data: the file.
        tenants: those that there are; None if nobody knows, and then every name is taken.

    Raises:
        PolicyError: what is wrong, where, and what would be right.
    """
    tree = _toml(data)
    _known_keys(tree, ("version", "keep", "exception"), "at the top")
    keep = tree.get("keep")
    if not isinstance(keep, dict):
        raise PolicyError('[keep] is missing: it has a line for each category, as event = "7 years"')
    _known_keys(keep, [category.value for category in Category], "in [keep]", "category")
    periods = {}
    for category in Category:
        if category.value not in keep:
            raise PolicyError(f"keep.{category} is missing: every category has its rule, so that none is forgotten")
        period = _rule(category, keep[category.value])
        if period is not None:
            periods[category] = period
    return Policy(
        _version(tree),
        periods,
        _exceptions(tree.get("exception", []), None if tenants is None else frozenset(tenants)),
    )


def _toml(data: bytes) -> dict[str, Any]:
    if data.startswith(b"\xef\xbb\xbf"):
        raise PolicyError(
            "it begins with a byte order mark (BOM), which TOML does not have: save it as plain UTF-8"
        )
    try:
        return tomllib.loads(data.decode())
    except UnicodeDecodeError as error:
        raise PolicyError(f"it is not UTF-8 text: byte {error.start} is none") from None
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(f"it is not TOML: {error}") from None
    except RecursionError:
        raise PolicyError("it is not TOML of any sense: it is nested too deep") from None


def _version(tree: Mapping[str, Any]) -> str:
    version = tree.get("version")
    if version is None:
        raise PolicyError('version is missing: version = "2026.1", another one with every change')
    if not isinstance(version, str) or not 1 <= len(version) <= VERSION_CHARACTERS_MAX or not version.isprintable():
        raise PolicyError(f"version is {version!r}; a text of 1 to {VERSION_CHARACTERS_MAX} characters is right")
    return version


def _rule(category: Category, text: object) -> Period | None:
    """Return the period; None where there is none to choose."""
    where = f"keep.{category}"
    fixed = _FIXED.get(category)
    if fixed is not None:
        if text != fixed:
            raise PolicyError(f'{where} is {text!r}; only "{fixed}" is right, it is not to be chosen')
        return None
    return _period(text, where)


def _period(text: object, where: str) -> Period:
    if not isinstance(text, str):
        raise PolicyError(f'{where} is {text!r}; a number and its unit in quotes is right, as "7 years"')
    try:
        return parse_period(text)
    except ValueError as error:
        raise PolicyError(f"{where}: {error}") from None


def _exceptions(tables: object, tenants: frozenset[str] | None) -> tuple[Exempt, ...]:
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise PolicyError("exceptions are written as [[exception]], with their keys below")
    found: dict[tuple[str, Category], Exempt] = {}
    for number, table in enumerate(tables, 1):
        where = f"exception {number}"
        one = _exception(table, where, tenants)
        if (one.tenant, one.category) in found:
            raise PolicyError(f"{where}: there is one for {one.tenant} and {one.category} already; one is right")
        found[one.tenant, one.category] = one
    return tuple(found.values())


def _exception(table: Mapping[str, Any], where: str, tenants: frozenset[str] | None) -> Exempt:
    keys = ("tenant", "category", "period", "reason")
    _known_keys(table, keys, f"in {where}")
    missing = [key for key in keys if key not in table]
    if missing == ["reason"] or table.get("reason") == "":
        raise PolicyError(f"{where} has no reason: who departs from the rule writes down why")
    if missing:
        raise PolicyError(f"{where} has no {missing[0]}")
    tenant, category, reason = table["tenant"], table["category"], table["reason"]
    if not isinstance(tenant, str) or (tenants is not None and tenant not in tenants):
        raise PolicyError(f"{where}: there is no tenant {tenant!r}{_nearest(str(tenant), tenants or ())}")
    if category not in [known.value for known in Category]:
        raise PolicyError(f"{where}: there is no category {category!r}{_nearest(str(category), list(Category))}")
    if category not in BY_TENANT:
        raise PolicyError(
            f"{where}: {category} has one rule for all tenants; exceptions are for {', '.join(BY_TENANT)}"
        )
    if not isinstance(reason, str) or not reason.strip() or len(reason) > REASON_CHARACTERS_MAX:
        raise PolicyError(f"{where}: the reason is a text of 1 to {REASON_CHARACTERS_MAX} characters")
    return Exempt(tenant, Category(category), _period(table["period"], f"{where}, period"), reason)


def _known_keys(table: Mapping[str, Any], known: Iterable[str], where: str, what: str = "key") -> None:
    known = list(known)
    for key in table:
        if key not in known:
            raise PolicyError(f"{where}: unknown {what} {key!r}{_nearest(key, known)}")


def _nearest(word: str, known: Iterable[str]) -> str:
    known = sorted(known)
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; known are {', '.join(known)}" if known else ""
