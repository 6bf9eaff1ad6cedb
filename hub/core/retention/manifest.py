"""What a proof says: a run's rules, what it did, and what was left; counts and random ids, nothing of a person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from hub.core.retention.plan import RetentionAction
from hub.core.retention.policy import Category, CutOffs, Policy
from hub.core.retention.proof import FORMAT


class CategoryOutcome(StrEnum):
    """How a run ended."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    """A category failed; the others went through. `failed` says which, and why."""
    INTERRUPTED = "interrupted"
    """It was ended in the middle. The proof was made by the next run, of what it had done."""


@dataclass(frozen=True, slots=True)
class LeftRows:
    """How a run found and left things, beside what it did."""

    oldest: Mapping[str, datetime | None]
    """Of each table."""
    holds: Mapping[str, Mapping[str, int]]
    """Rows that each hold keeps beyond their time, by table."""
    audit: Mapping[str, Any]
    """Where the audit begins."""
    ledgers: Mapping[str, int]
    """All numbers of all ledgers by what became of them."""
    rows: Mapping[tuple[str, str], int]
    """Rows below the cut-off that are left in a table's chunk, of chunks that were gone through by rows."""
    failed: Sequence[tuple[Category, str]] = ()


def opening(
    hub: Mapping[str, str], policy: Policy, now: datetime, by: str, repairs: Sequence[str]
) -> dict[str, Any]:
    """Return what a run says of itself as it begins."""
    return {
        "hub": dict(hub),
        "by": by,
        "now": instant(now),
        "policy": {"version": policy.version, "sha256": policy.digest},
        "cut_offs": [one for category in policy.periods for one in _cut_offs(policy, category, now)],
        "repairs": list(repairs),
    }


def done(steps: Sequence[Mapping[str, Any]], rows: Mapping[tuple[str, str], int]) -> list[dict[str, Any]]:
    """Return what a run did, from its steps: counts before and after are of rows whose time was over."""
    found = []
    for step in steps:
        after = 0 if step["act"] == RetentionAction.CHUNK else rows.get((step["series"], step["chunk"]), 0)
        found.append(
            {
                "category": step["category"],
                "table": step["series"],
                "chunk": step["chunk"],
                "from": None if step["lower"] is None else instant(step["lower"]),
                "to": None if step["upper"] is None else instant(step["upper"]),
                "by": step["act"],
                "before": step["removed"] + after,
                "removed": step["removed"],
                "after": after,
            }
        )
    return found


def manifest(
    number: int,
    previous: str,
    began: Mapping[str, Any],
    times: tuple[datetime, datetime],
    outcome: CategoryOutcome,
    steps: Sequence[Mapping[str, Any]],
    left: LeftRows,
) -> dict[str, Any]:
    """Return the manifest of a run that began and ended at `times`."""
    return {
        "format": FORMAT,
        "number": number,
        "previous": previous,
        **began,
        "began_at": instant(times[0]),
        "ended_at": instant(times[1]),
        "outcome": outcome.value,
        "done": done(steps, left.rows),
        "failed": [{"category": category.value, "why": why} for category, why in left.failed],
        "oldest": {table: None if at is None else instant(at) for table, at in left.oldest.items()},
        "holds": {hold: dict(tables) for hold, tables in left.holds.items()},
        "audit": dict(left.audit),
        "ledgers": dict(left.ledgers),
    }


def cut_offs_of(said: Mapping[str, Any], category: Category) -> CutOffs | None:
    """Return the cut-offs that a manifest names of a category; None if it has none."""
    own = [one for one in said["cut_offs"] if one["category"] == category]
    default = next((one for one in own if one["tenant"] is None), None)
    if default is None:
        return None
    tenants = {one["tenant"]: moment(one["before"]) for one in own if one["tenant"] is not None}
    return CutOffs(moment(default["before"]), tenants)


def instant(at: datetime) -> str:
    """Return a time as manifests have it: UTC, microseconds, `Z`."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def moment(text: str) -> datetime:
    """Return the time that a manifest has."""
    return datetime.fromisoformat(text)


def _cut_offs(policy: Policy, category: Category, now: datetime) -> list[dict[str, Any]]:
    found = policy.cut_offs(category, now)
    rule = {"category": category.value, "tenant": None, "period": str(policy.periods[category]), "reason": None}
    exceptions = [
        {
            "category": category.value, "tenant": one.tenant, "period": str(one.period), "reason": one.reason,
            "before": instant(found.of(one.tenant)),
        }
        for one in policy.exceptions
        if one.category is category
    ]  # fmt: skip
    return [{**rule, "before": instant(found.default)}, *exceptions]
