"""Response types of alarms; see docs/api.md."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from hub.core.alarms.alarm import Alarm, Severity, Suppression
from hub.core.alarms.health import RATE_TARGET, AlarmFlood
from hub.core.alarms.maintenance import Window
from hub.core.alarms.rules import AlarmRule

SeverityName = Literal["critical", "high", "medium", "low"]
StateName = Literal["active_unacked", "active_acked", "cleared_unacked", "normal"]
SuppressionName = Literal["shelved", "maintenance", "out_of_service", "folded"]

_NAMED_MAX: Final = 100
_STANDING: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class ShelfView:
    """Shelf of an alarm: the operator, the reason, and its end."""

    by: str
    why: str
    at: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmView:
    """An alarm. Its texts are for people: what happened, where, what it leads to, what to do."""

    id: UUID
    type: str
    severity: SeverityName
    tenant: str
    site: str | None
    locker: str | None
    door: int | None
    state: StateName
    began_at: datetime
    raised_at: datetime
    cleared_at: datetime | None
    last_at: datetime
    count: int
    value: float | None
    limit: float | None
    unit: str | None
    acked_at: datetime | None
    acked_by: str | None
    ack_note: str | None
    shelved: ShelfView | None
    suppressed: SuppressionName | None
    parent: UUID | None
    children: int
    chattering: bool
    stale: bool
    rule: str
    what: str
    where: str
    consequence: str
    todo: str


@dataclass(frozen=True, slots=True)
class StepView:
    """A line of an alarm's journal. `who` is null for the hub itself."""

    at: datetime
    who: str | None
    what: str
    note: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmDetail(AlarmView):
    """An alarm with its journal, oldest first."""

    steps: list[StepView]


@dataclass(frozen=True, slots=True)
class AlarmPage:
    """Alarms, newest raised first, and where to go on."""

    items: list[AlarmView]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class SkippedView:
    """An alarm that an act does not apply to."""

    id: UUID
    why: Literal["unknown", "not_open", "already_acked", "not_acked", "not_shelved"]


@dataclass(frozen=True, slots=True)
class ActedView:
    """Result of an act: how many alarms it changed, and which it does not apply to."""

    done: int
    skipped: list[SkippedView]


@dataclass(frozen=True, slots=True)
class TopView:
    """One of the most frequent sources of alarms."""

    type: str
    locker: str | None
    door: int | None
    count: int


@dataclass(frozen=True, slots=True)
class AlarmBucketView:
    """Ten minutes."""

    at: datetime
    raised: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthView:
    """Health of the alarm system. Only those that people are to see count, but for `suppressed`."""

    open: int
    unacked: int
    by_severity: dict[str, int]
    shares: dict[str, float]
    rate_10min: int
    peak_10min: int
    rate_target: int
    flood: bool
    flood_since: datetime | None
    standing: int
    stale: list[UUID]
    chattering: list[UUID]
    top: list[TopView]
    history: list[AlarmBucketView]
    suppressed: dict[str, int]


@dataclass(frozen=True, slots=True)
class RuleView:
    """A rule as it stands in the file."""

    id: str
    type: str
    severity: SeverityName
    condition: dict[str, Any]
    on_delay_s: float
    off_delay_s: float
    deadband: float
    scope: dict[str, Any]
    enabled: bool


@dataclass(frozen=True, slots=True)
class RulesView:
    """All rules, and which file they are."""

    version: str
    sha256: str
    items: list[RuleView]


@dataclass(frozen=True, slots=True)
class WindowView:
    """A time of maintenance."""

    id: UUID
    site: str | None
    locker: str | None
    door: int | None
    starts_at: datetime
    ends_at: datetime
    why: str
    by: str
    state: Literal["planned", "running", "over", "ended"]


@dataclass(frozen=True, slots=True)
class WindowPage:
    """Maintenance, the last to start first, and where to go on."""

    items: list[WindowView]
    next_cursor: str | None


def alarm_view(alarm: Alarm) -> AlarmView:
    """Show an alarm."""
    return AlarmView(**_shown(alarm))


def alarm_detail(alarm: Alarm, steps: Sequence[dict[str, Any]]) -> AlarmDetail:
    """Show an alarm with its journal."""
    return AlarmDetail(**_shown(alarm), steps=[StepView(**step) for step in steps])


def health_view(health: AlarmFlood, alarms: Sequence[Alarm], now: datetime) -> HealthView:
    """Show how the alarms are."""
    seen = [one for one in alarms if one.suppressed is None]
    reasons = [one.suppressed for one in alarms]
    return HealthView(
        open=len(seen),
        unacked=sum(one.unacked for one in seen),
        by_severity={severity.value: sum(one.severity is severity for one in seen) for severity in Severity},
        shares={severity.value: round(share, 4) for severity, share in health.shares(now).items()},
        rate_10min=health.rate(now),
        peak_10min=health.peak(now),
        rate_target=RATE_TARGET,
        flood=health.flood_since is not None,
        flood_since=health.flood_since,
        standing=sum(one.active and now - one.raised_at > _STANDING for one in seen),
        stale=[one.id for one in seen if one.stale][:_NAMED_MAX],
        chattering=[one.id for one in seen if one.chattering][:_NAMED_MAX],
        top=[TopView(*source, count) for source, count in health.top(now)],
        history=[AlarmBucketView(at, raised) for at, raised in health.history(now)],
        suppressed={reason.value: reasons.count(reason) for reason in Suppression},
    )


def window_view(window: Window, now: datetime) -> WindowView:
    """Show a time of maintenance."""
    return WindowView(
        window.id, window.site, window.locker, window.door, window.starts_at, window.ends_at, window.why, window.by,
        window.state(now),
    )  # fmt: skip


def _shown(alarm: Alarm) -> dict[str, Any]:
    shelf = alarm.shelved
    shown = {name: getattr(alarm, name) for name in AlarmView.__slots__}
    shown["severity"], shown["state"] = alarm.severity.value, alarm.state.value
    shown["suppressed"] = None if alarm.suppressed is None else alarm.suppressed.value
    shown["shelved"] = None if shelf is None else ShelfView(shelf.by, shelf.why, shelf.at, shelf.until)
    return shown


def rule_view(rule: AlarmRule) -> RuleView:
    """Show a rule."""
    return RuleView(
        rule.id, rule.type, rule.severity.value, msgspec.to_builtins(rule.condition), rule.on_delay_s,
        rule.off_delay_s, rule.deadband, msgspec.to_builtins(rule.scope), rule.enabled,
    )  # fmt: skip
