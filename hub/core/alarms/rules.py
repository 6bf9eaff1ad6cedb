"""Rules as data: what raises and clears each type of alarm, where, and after what delay. Read from TOML.

Of the rules with one type and one sort of condition (its slot), the most specific one counts at a place: a door's,
a locker's, a site's, a tenant's, everybody's. If that one is not enabled, there is none there. Rules of one
type with different slots stand side by side: the alarm is active as long as one of them holds.
"""

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from hub.core.alarms.alarm import Severity, Spot
from hub.core.alarms.texts import TYPES
from wire.messages import Kind, Sample

CLOCK_UNSET: Final = "hub.clock_unset"
CLOCK_SET: Final = "hub.clock_set"
LEDGER_GAP: Final = "hub.ledger_gap"
LEDGER_FORK: Final = "hub.ledger_fork"
LEDGER_EPOCHS: Final = "hub.ledger_epochs"
BOARDS_MISSING: Final = "hub.boards_missing"
BOARDS_COMPLETE: Final = "hub.boards_complete"
HUB_KINDS: Final = frozenset(
    {CLOCK_UNSET, CLOCK_SET, LEDGER_GAP, LEDGER_FORK, LEDGER_EPOCHS, BOARDS_MISSING, BOARDS_COMPLETE}
)
"""What the hub sees of itself, beside the events of lockers."""

EVENT_AGE: Final = "event_age_s"
UNITS: Final = {
    EVENT_AGE: "s", "temperature_c": "°C", "cpu_temp_c": "°C", "humidity_pct": "%", "battery_pct": "%",
    "cpu_pct": "%", "memory_pct": "%", "supply_v": "V", "rssi_dbm": "dBm", "disk_free_mb": "MB",
    "outbox_events": "events", "board_errors": "errors", "dropped": "samples",
}  # fmt: skip
"""What levels are of: telemetry, and how old events are when they come; with their units."""

RULES_MAX: Final = 2000
_Seconds = Annotated[float, Meta(ge=0, le=86_400)]
_Span = Annotated[float, Meta(gt=0, le=86_400)]
_Kinds = Annotated[list[Kind], Meta(max_length=20)]


class RulesError(ValueError):
    """The rules cannot be read; the text says what is wrong, where, and what would be right."""


class _Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", kw_only=True):
    @property
    def slot(self) -> str:
        """Return which sort of condition it is: of each sort, a place has one rule."""
        return str(type(self).__struct_config__.tag)


class Simple(_Condition, frozen=True, forbid_unknown_fields=True, tag="simple", kw_only=True):
    """An event of `on` raises it; one of `off` clears it, or that none of `on` has come for `quiet_s`."""

    on: _Kinds
    off: _Kinds = []
    quiet_s: _Seconds | None = None
    while_closed_s: _Seconds | None = None
    """It counts only where the door was closed for so long."""


class Duration(_Condition, frozen=True, forbid_unknown_fields=True, tag="duration", kw_only=True):
    """For `for_s` after an event of `on` none of `off` has come."""

    on: _Kinds
    off: _Kinds
    for_s: _Span


class Repeating(_Condition, frozen=True, forbid_unknown_fields=True, tag="repeating", kw_only=True):
    """So many events of `on` within a time; cleared by `off`, or by `quiet_s` (else `within_s`) without any."""

    on: _Kinds
    off: _Kinds = []
    count: Annotated[int, Meta(ge=2, le=1000)]
    within_s: _Span
    quiet_s: _Span | None = None
    each: Literal["event", "door"] = "event"
    """What is counted: events, or different doors."""
    per: Literal["spot", "site"] = "spot"
    """Where: at the door or locker, or at all of its site."""

    @property
    def slot(self) -> str:
        """Return it: one for single places, one for sites."""
        return "repeating" if self.per == "spot" else "repeating:site"


class Level(_Condition, frozen=True, forbid_unknown_fields=True, tag="level", kw_only=True):
    """A measure above or below a limit. It clears where it is back by the rule's `deadband`."""

    of: str
    above: float | None = None
    below: float | None = None
    quiet_s: _Span | None = None
    """It clears as well where nothing beyond the limit was measured for so long."""

    @property
    def slot(self) -> str:
        """Return it: one for each measure."""
        return f"level:{self.of}"

    @property
    def limit(self) -> float:
        """Return the one of both that there is."""
        return self.above if self.above is not None else self.below or 0.0

    def exceeded(self, value: float) -> bool:
        """Say whether the value is beyond the limit."""
        return value > self.limit if self.above is not None else value < self.limit

    def normal(self, value: float, deadband: float) -> bool:
        """Say whether the value is back, by the deadband at least."""
        if self.above is not None:
            return value <= self.limit - deadband
        return value >= self.limit + deadband


class NoData(_Condition, frozen=True, forbid_unknown_fields=True, tag="no_data", kw_only=True):
    """Nothing is heard of a locker; of several of a site, lost within a time of each other; or of the broker."""

    of: Literal["locker", "site", "broker"]
    lockers_min: Annotated[int, Meta(ge=2, le=10_000)] = 3
    share: Annotated[float, Meta(ge=0, le=1)] = 0.5
    """Of the site's lockers, at least so many."""
    within_s: _Span = 30.0


Condition = Simple | Duration | Repeating | Level | NoData


class RuleScope(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where a rule counts; everywhere, if it names nothing."""

    tenant: Annotated[str, Meta(max_length=32)] | None = None
    site: Annotated[str, Meta(min_length=1, max_length=120)] | None = None
    locker: Annotated[str, Meta(max_length=32)] | None = None
    door: Annotated[int, Meta(ge=1, le=999)] | None = None

    @property
    def rank(self) -> int:
        """Return how specific it is."""
        parts = (self.tenant, self.site, self.locker, self.door)
        return sum((part is not None) << place for place, part in enumerate(parts))

    def fits(self, spot: Spot, site: str | None) -> bool:
        """Say whether it takes a place in. `site` is where the place's locker is."""
        return (
            (self.tenant is None or self.tenant == spot.tenant)
            and (self.site is None or self.site == site)
            and (self.locker is None or self.locker == spot.locker)
            and (self.door is None or self.door == spot.door)
        )


_EVERYWHERE: Final = RuleScope()


class AlarmRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One rule. The delays: how long its condition has to hold before it raises, and be gone before it clears."""

    id: Annotated[str, Meta(pattern=r"^[a-z0-9._-]{1,64}$(?!\n)")]
    type: str
    severity: Severity
    condition: Condition
    on_delay_s: _Seconds = 0.0
    off_delay_s: _Seconds = 0.0
    deadband: Annotated[float, Meta(ge=0, le=1e9)] = 0.0
    scope: RuleScope = _EVERYWHERE
    enabled: bool = True

    @property
    def hold_s(self) -> float:
        """How long its condition has to hold before it is raised."""
        return self.on_delay_s + (self.condition.for_s if isinstance(self.condition, Duration) else 0.0)


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: Annotated[str, Meta(min_length=1, max_length=40)]
    rule: Annotated[list[AlarmRule], Meta(max_length=RULES_MAX)]


class AlarmRules:
    """All rules, ready to be asked."""

    def __init__(self, version: str, digest: str, every: Iterable[AlarmRule]) -> None:
        self.version = version
        self.sha256 = digest
        self.every = tuple(every)
        self._slots: dict[tuple[str, str], list[AlarmRule]] = {}
        for rule in sorted(self.every, key=lambda one: -one.scope.rank):
            self._slots.setdefault((rule.type, rule.condition.slot), []).append(rule)
        self.by_id = {rule.id: rule for rule in self.every}
        self.raising: dict[str, tuple[tuple[str, str], ...]] = {}
        """Type and slot of what an event of a kind may raise."""
        self.clearing: dict[str, tuple[tuple[str, str], ...]] = {}
        self.measured: dict[str, tuple[tuple[str, str], ...]] = {}
        """The same of measures."""
        for rule in self.every:
            self._index(rule)
        timed = [rule for rule in self.every if rule.enabled and _looks_back_s(rule) > 0]
        self.back_s = max((_looks_back_s(rule) for rule in timed), default=0.0)
        """How far back what a delay or a count has begun with may be."""
        self.timed = frozenset(kind for rule in timed for kind in _kinds_of(rule))
        """The kinds of events that delays and counts are of."""

    def at(self, kind: str, slot: str, spot: Spot, site: str | None) -> AlarmRule | None:
        """Return the rule of a type and a sort of condition that counts at a place; None: there is none."""
        for rule in self._slots.get((kind, slot), ()):
            if rule.scope is _EVERYWHERE or rule.scope.fits(spot, site):
                return rule if rule.enabled else None
        return None

    def _index(self, rule: AlarmRule) -> None:
        condition, place = rule.condition, (rule.type, rule.condition.slot)
        if isinstance(condition, Level):
            _add(self.measured, condition.of, place)
        elif not isinstance(condition, NoData):
            for kind in condition.on:
                _add(self.raising, kind, place)
            for kind in condition.off:
                _add(self.clearing, kind, place)


def parse_rules(data: bytes) -> AlarmRules:
    """Read a file of rules. Raises RulesError: what is wrong, where, and what would be right."""
    tree = _toml(data)
    tables = tree.get("rule")
    if isinstance(tables, list):
        for number, table in enumerate(tables, 1):
            if isinstance(table, dict):
                _known_keys(table, [field.name for field in msgspec.structs.fields(AlarmRule)], f"rule {number}")
    _known_keys(tree, ("version", "rule"), "at the top")
    try:
        file = msgspec.convert(tree, _File, strict=True)
    except msgspec.ValidationError as error:
        raise RulesError(_numbered(str(error))) from None
    _check(file.rule)
    return AlarmRules(file.version, sha256(data).hexdigest(), file.rule)


def _looks_back_s(rule: AlarmRule) -> float:
    """Return for how long an event may still make this rule come true."""
    condition = rule.condition
    if isinstance(condition, Level | NoData):
        return 0.0
    return rule.hold_s + (condition.within_s if isinstance(condition, Repeating) else 0.0)


def _kinds_of(rule: AlarmRule) -> list[str]:
    condition = rule.condition
    return [] if isinstance(condition, Level | NoData) else [*condition.on, *condition.off]


def _toml(data: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise RulesError(f"it is not UTF-8 text: byte {error.start} is none") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise RulesError(f"it is not TOML: {error}") from None


def _numbered(text: str) -> str:
    """Return msgspec's sentence with the rule's number as people count."""
    before, mark, rest = text.partition("$.rule[")
    number, closing, path = rest.partition("]")
    if not mark or not number.isdigit() or not closing:
        return text
    return f"{before}$.rule[{number}]{path}, which is rule {int(number) + 1}"


def _check(rules: list[AlarmRule]) -> None:
    taken: dict[tuple[str, str, RuleScope], str] = {}
    ids: set[str] = set()
    levels = {rule.type for rule in rules if isinstance(rule.condition, Level)}
    for rule in rules:
        where = f"rule {rule.id}"
        if rule.id in ids:
            raise RulesError(f"{where} is there twice; each id stands once")
        ids.add(rule.id)
        if rule.type not in TYPES:
            raise RulesError(f"{where}: there is no type {rule.type!r}{_nearest(rule.type, TYPES)}")
        if rule.scope.door is not None and rule.scope.locker is None:
            raise RulesError(f"{where}: scope.door needs scope.locker")
        if rule.scope.locker is not None and rule.scope.site is not None:
            raise RulesError(f"{where}: scope has a locker and a site; the locker alone says where it is")
        place = (rule.type, rule.condition.slot, rule.scope)
        if place in taken:
            raise RulesError(
                f"{where} and rule {taken[place]} have one type, sort of condition and scope; one of them counts"
            )
        taken[place] = rule.id
        _check_condition(rule, where, has_level=rule.type in levels)


def _check_condition(rule: AlarmRule, where: str, *, has_level: bool) -> None:
    condition = rule.condition
    if rule.deadband and not isinstance(condition, Level):
        raise RulesError(f"{where}: deadband is for conditions of the kind level")
    if isinstance(condition, NoData):
        if rule.type != f"{condition.of}.offline":
            raise RulesError(f"{where}: no_data of a {condition.of} raises {condition.of}.offline, not {rule.type}")
        return
    if rule.type in {"locker.offline", "site.offline", "broker.offline"}:
        raise RulesError(f"{where}: {rule.type} is raised by a condition of the kind no_data")
    if isinstance(condition, Level):
        _check_level(condition, where)
        return
    _check_kinds(condition, where)
    if isinstance(condition, Simple) and not condition.off and condition.quiet_s is None and not has_level:
        raise RulesError(f"{where} would never clear: give it condition.off or condition.quiet_s")
    if isinstance(condition, Repeating) and condition.per == "site" and rule.type != "mass_opening":
        raise RulesError(f'{where}: per = "site" is for mass_opening')


def _check_kinds(condition: Simple | Duration | Repeating, where: str) -> None:
    if not condition.on:
        raise RulesError(f"{where}: condition.on is empty; it names the kinds of events that raise the alarm")
    both = sorted(set(condition.on) & set(condition.off))
    if both:
        raise RulesError(f"{where}: {both[0]} is in condition.on and in condition.off")
    for kind in (*condition.on, *condition.off):
        if kind.startswith("hub.") and kind not in HUB_KINDS:
            raise RulesError(f"{where}: there is no {kind!r}{_nearest(kind, HUB_KINDS)}")


def _check_level(condition: Level, where: str) -> None:
    if condition.of not in UNITS:
        raise RulesError(f"{where}: there is no measure {condition.of!r}{_nearest(condition.of, UNITS)}")
    if (condition.above is None) == (condition.below is None):
        raise RulesError(f"{where}: a level has one of above and below")
    if not -1e15 < condition.limit < 1e15:  # noqa: PLR2004 - any number that means something
        raise RulesError(f"{where}: the limit is not a number of any sense")


def _known_keys(table: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    known = list(known)
    for key in table:
        if key not in known:
            raise RulesError(f"{where}: unknown key {key!r}{_nearest(key, known)}")


def _nearest(word: str, known: Iterable[str]) -> str:
    known = sorted(known)
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"


def _add(index: dict[str, tuple[tuple[str, str], ...]], name: str, place: tuple[str, str]) -> None:
    if place not in index.get(name, ()):
        index[name] = (*index.get(name, ()), place)


SAMPLED: Final = tuple(
    field.name for field in msgspec.structs.fields(Sample) if field.name in UNITS
)  # fmt: skip
"""The measures that come with telemetry."""
