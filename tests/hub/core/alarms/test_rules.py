"""Rules: what a file may say, what is wrong with it in a sentence, and which rule counts where."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.alarms.alarm import Severity, Spot
from hub.core.alarms.rules import AlarmRules, Level, RulesError, parse_rules
from hub.core.alarms.texts import TEXTS, TYPES

DEFAULT = (Path(__file__).parents[4] / "hub" / "core" / "alarms" / "rules.toml").read_bytes()
SIMPLE = '{ kind = "simple", on = ["tamper.on"], off = ["tamper.off"] }'
LEVEL = '{ kind = "level", of = "temperature_c", above = 50 }'


def rule(condition: str = SIMPLE, *, name: str = "r", kind: str = "tamper", **more: str) -> str:
    lines = {"id": f'"{name}"', "type": f'"{kind}"', "severity": '"high"', "condition": condition, **more}
    return "[[rule]]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items())


def parse(*rules: str) -> AlarmRules:
    return parse_rules(('version = "1"\n' + "".join(rules)).encode())


def test_the_default_has_a_rule_of_every_type_and_every_type_has_its_texts() -> None:
    rules = parse_rules(DEFAULT)
    assert {one.type for one in rules.every} == TYPES == set(TEXTS)
    assert len(rules.sha256) == 64
    assert all(text.what and text.consequence and text.todo for text in TEXTS.values())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"\xff", "not UTF-8"),
        (b"version = ", "not TOML"),
        (b"version = '1'\nrules = []", r"at the top: unknown key 'rules'; did you mean rule\?"),
        (b"version = '1'\nrule = 3", r"Expected `array`"),
        (b"version = '1'\nrule = [3]", r"Expected `object`"),
        (b"rule = []", "missing required field `version`"),
        (rule(seveity='"high"'), r"rule 1: unknown key 'seveity'; did you mean severity\?"),
        (rule(severity='"urgent"'), r"\$\.rule\[0\]\.severity`, which is rule 1"),
        (rule("{ kind = 'sometimes' }"), r"\$\.rule\[0\]\.condition"),
        (rule("{ kind = 'simple', on = ['tamper.on'], of = ['x.y'] }"), "unknown field `of`"),
        (rule("{ kind = 'simple', on = ['Tamper'] }"), "matching regex"),
        (rule(on_delay_s="-1"), r"`float` >= 0"),
        (rule(on_delay_s="nan"), r"`float` >= 0"),
        (rule(id='"R 2"'), "matching regex"),
        (rule() + rule(), "rule r is there twice"),
        (rule(kind="tampr"), r"there is no type 'tampr'; did you mean tamper\?"),
        (rule(kind="zzz"), r"no type 'zzz'; known are access.lockout, "),
        (rule(scope="{ door = 3 }"), "scope.door needs scope.locker"),
        (rule(scope="{ locker = 'a', site = 'b' }"), "the locker alone says where it is"),
        (rule() + rule(name="s"), "rule s and rule r have one type, sort of condition and scope"),
        (rule(deadband="1"), "deadband is for conditions of the kind level"),
        (rule("{ kind = 'no_data', of = 'site' }"), "no_data of a site raises site.offline, not tamper"),
        (rule(kind="locker.offline"), "locker.offline is raised by a condition of the kind no_data"),
        (rule("{ kind = 'simple', on = [] }"), "condition.on is empty"),
        (rule("{ kind = 'simple', on = ['a.b'], off = ['a.b'] }"), "a.b is in condition.on and in condition.off"),
        (rule("{ kind = 'simple', on = ['hub.clock_unsett'], quiet_s = 1 }"), r"did you mean hub.clock_unset\?"),
        (rule("{ kind = 'simple', on = ['tamper.on'] }"), "would never clear"),
        (
            rule("{ kind = 'repeating', on = ['a.b'], count = 2, within_s = 9, per = 'site' }"),
            'per = "site" is for mass_opening',
        ),
        (rule("{ kind = 'repeating', on = ['a.b'], count = 1, within_s = 9 }"), "`int` >= 2"),
        (rule(LEVEL.replace("temperature_c", "temp_c")), r"no measure 'temp_c'; did you mean \w+\?"),
        (rule("{ kind = 'level', of = 'battery_pct' }"), "a level has one of above and below"),
        (
            rule("{ kind = 'level', of = 'battery_pct', above = 1, below = 0 }"),
            "a level has one of above and below",
        ),
        (rule("{ kind = 'level', of = 'battery_pct', above = nan }"), "not a number of any sense"),
        (rule("{ kind = 'level', of = 'battery_pct', below = -inf }"), "not a number of any sense"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(text: str | bytes, sentence: str) -> None:
    data = text if isinstance(text, bytes) else b"version = '1'\n" + text.encode()
    with pytest.raises(RulesError, match=sentence):
        parse_rules(data)


@given(st.binary(max_size=200))
def test_nothing_else_comes_of_any_bytes(data: bytes) -> None:
    with pytest.raises(RulesError, match=r"."):
        parse_rules(data)


def test_the_most_specific_rule_counts() -> None:
    rules = parse(
        rule(name="all"),
        rule(name="tenant", scope="{ tenant = 'acme' }"),
        rule(name="site", scope="{ site = 'Berlin' }"),
        rule(name="locker", scope="{ locker = 'b-1' }", enabled="false"),
        rule(name="door", scope="{ locker = 'b-1', door = 3 }"),
    )

    def at(tenant: str, site: str, locker: str, door: int | None = None) -> str | None:
        found = rules.at("tamper", "simple", Spot(tenant, None, locker, door), site)
        return None if found is None else found.id

    assert at("default", "Paris", "p-1") == "all"
    assert at("acme", "Paris", "p-1") == "tenant"
    assert at("acme", "Berlin", "b-2") == "site"
    assert at("acme", "Berlin", "b-1") is None, "the locker's own rule is off"
    assert at("acme", "Berlin", "b-1", 3) == "door"
    assert rules.at("tamper", "level:temperature_c", Spot("default"), None) is None


def test_rules_of_other_slots_stand_beside_each_other() -> None:
    rules = parse(rule(), rule(LEVEL, name="l", deadband="2"), rule(LEVEL, name="m", scope="{ site = 'x' }"))
    assert rules.raising == {"tamper.on": (("tamper", "simple"),)}
    assert rules.clearing == {"tamper.off": (("tamper", "simple"),)}
    assert rules.measured == {"temperature_c": (("tamper", "level:temperature_c"),)}
    assert rules.by_id["l"].severity is Severity.HIGH


@pytest.mark.parametrize(
    ("level", "value", "beyond", "back"),
    [
        (Level(of="temperature_c", above=50), 50, False, False),
        (Level(of="temperature_c", above=50), 50.1, True, False),
        (Level(of="temperature_c", above=50), 47, False, True),
        (Level(of="temperature_c", above=50), 47.1, False, False),
        (Level(of="battery_pct", below=20), 20, False, False),
        (Level(of="battery_pct", below=20), 19.9, True, False),
        (Level(of="battery_pct", below=20), 23, False, True),
        (Level(of="battery_pct", below=20), 22.9, False, False),
        (Level(of="battery_pct", below=0), -0.1, True, False),
    ],
)
def test_a_level_and_its_deadband_at_their_boundaries(
    level: Level, value: float, *, beyond: bool, back: bool
) -> None:
    assert (level.exceeded(value), level.normal(value, 3)) == (beyond, back)
