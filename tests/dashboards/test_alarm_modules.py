"""What the alarms' pages decide without a document: order, folding, filters, rules in words, windows."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.dashboards.alarms import acked, alarm, many, outage, shelved
from tests.dashboards.conftest import Open
from tests.dashboards.fake_hub import OPERATOR, Json
from tests.dashboards.test_modules import call

pytestmark = pytest.mark.services

ROWS = """({ rows, filterFrom }, [alarms, query, opened]) =>
  rows(new Map(alarms.map((one) => [one.id, one])), filterFrom(new URLSearchParams(query)).filter,
    new Set(opened))"""


async def test_rows_are_those_of_a_plain_model(window: Open) -> None:
    alarms = [*many(120), shelved(alarm("s"))]
    grade = ("critical", "high", "medium", "low")
    state = ("active_unacked", "active_acked", "cleared_unacked")
    ranked = sorted(
        (
            one
            for one in alarms
            if one["site"] == "Berlin" and one["severity"] in {"high", "critical"} and not one["suppressed"]
        ),
        key=lambda one: one["raised_at"],
        reverse=True,
    )
    ranked.sort(key=lambda one: (state.index(one["state"]), grade.index(one["severity"])))
    asked = [alarms, "site=Berlin&severity=high,critical", []]
    assert [row["id"] for row in await call(window, "alarm-select", ROWS, asked)] == [one["id"] for one in ranked]


async def test_an_outage_folds_its_lockers_and_counts_those_that_are_not_there(window: Open) -> None:
    parent, *children = outage("Leipzig", 5)
    folded = await call(window, "alarm-select", ROWS, [[parent, *children], "", []])
    assert [(row["id"], len(row["children"])) for row in folded] == [(parent["id"], 5)]
    opened = await call(window, "alarm-select", ROWS, [[parent, *children[:3]], "", [parent["id"]]])
    assert [row["kind"] for row in opened] == ["alarm"] * 4 + ["more"]
    assert opened[-1]["count"] == 2
    # Without its outage in the list, an alarm stands on its own where suppressed ones are shown.
    alone = await call(window, "alarm-select", ROWS, [children, "suppressed=shown", []])
    assert len(alone) == 5


async def test_what_a_filter_means_survives_its_address(window: Open) -> None:
    said = await call(
        window,
        "alarm-select",
        """({ filterFrom, addressOf, askedOf }, all) => all.map((query) => {
          const { filter, problems } = filterFrom(new URLSearchParams(query));
          const again = filterFrom(new URLSearchParams(addressOf(filter).split("?")[1] ?? "")).filter;
          return { same: JSON.stringify(filter) === JSON.stringify(again), problems, asked: askedOf(filter) };
        })""",
        [
            "severity=low,high&state=active_acked&type=tamper&site=A%26B&locker=x-1&q=a%20b&suppressed=shown&group=site",
            "open=false&since=2026-01-01T00:00:00Z&until=2026-01-02T00:00:00Z",
            "since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z",
            "severity=,,&open=maybe",
        ],
    )
    assert [one["same"] for one in said] == [True] * 4
    assert said[0]["problems"] == said[1]["problems"] == []
    assert said[0]["asked"]["site"] == "A&B"
    assert "suppressed" not in said[0]["asked"]
    assert said[1]["asked"]["open"] == "false"
    assert "not before" in said[2]["problems"][0]
    assert "“open” cannot be “maybe”" in said[3]["problems"][0]


async def test_counts_look_past_their_own_filter(window: Open) -> None:
    alarms = [alarm("1"), alarm("2", severity="low", type="tamper"), acked(alarm("3", severity="low"))]
    counted = await call(
        window,
        "alarm-select",
        """({ count, filterFrom }, [alarms, query]) =>
          count(alarms, filterFrom(new URLSearchParams(query)).filter)""",
        [alarms, "severity=low"],
    )
    assert counted["severity"] == {"critical": 1, "high": 0, "medium": 0, "low": 2}
    assert dict(counted["types"]) == {"tamper": 1, "door.forced": 1}
    assert (counted["all"], counted["unacked"]) == (3, 2)


async def test_results_are_told_with_what_was_left_out(window: Open) -> None:
    tell = """({ resultWords }, all) =>
      all.map(([act, done, reasons]) => resultWords(act, done, reasons.map((why) => ({ why }))))"""
    said = await call(
        window,
        "alarm-words",
        tell,
        [
            ["acknowledge", 18, ["already_acked", "already_acked"]],
            ["shelve", 0, ["not_open"]],
            ["unshelve", 1, ["some_new_reason"]],
            ["unacknowledge", 0, []],
        ],
    )
    assert said == [
        "18 acknowledged, 2 already acknowledged",
        "1 already closed",
        "1 off the shelf, 1 some new reason",
        "0 no longer acknowledged",
    ]


async def test_every_rule_that_comes_with_the_hub_has_its_sentence(window: Open) -> None:
    file = Path(OPERATOR).parents[1] / "hub" / "core" / "alarms" / "rules.toml"
    given: list[Json] = [
        {"on_delay_s": 0, "off_delay_s": 0, "deadband": 0, **rule}
        for rule in tomllib.loads(file.read_text("utf-8"))["rule"]
    ]
    said = await call(window, "rule-words", "({ ruleWords }, all) => all.map(ruleWords)", given)
    for rule, sentence in zip(given, said, strict=True):
        assert sentence.startswith("Raised when ")
        assert sentence.endswith(".")
        for kind in [*rule["condition"].get("on", []), *rule["condition"].get("off", []), "undefined", "NaN"]:
            assert kind not in sentence, sentence


async def test_a_window_is_checked_field_by_field(window: Open) -> None:
    now = 1_767_261_600_000
    check = """({ check, fieldTime }, [changes, windows, now]) => changes.map((change) => {
      const hour = { from: fieldTime(now), to: fieldTime(now + 3600e3) };
      const draft = { where: "site", name: "Berlin", door: "", why: "x", ...hour, ...change };
      for (const name of ["from", "to"]) {
        if (typeof change[name] === "number") draft[name] = fieldTime(now + change[name] * 1000);
      }
      const lockers = new Map([["b-1", { door_counts: { total: 4 } }]]);
      return check(draft, windows, now, { sites: ["Berlin"], lockers });
    })"""
    changes: list[Json] = [
        {},
        {"from": -3600},
        {"to": -60, "from": -3600},
        {"from": 7200},
        {"name": "  "},
        {"where": "locker", "name": "b-1", "door": "5"},
        {"where": "locker", "name": "b-1", "door": "1.5"},
        {"where": "locker", "name": "b-1", "door": "4"},
        {"to": 91 * 86400},
        {"why": " "},
    ]
    found: list[Any] = await call(window, "windows", check, [changes, [], now])
    assert [sorted(one["wrong"]) for one in found] == [
        [],
        ["from"],
        ["from", "to"],
        ["to"],
        ["name"],
        ["door"],
        ["door"],
        [],
        ["to"],
        ["why"],
    ]
    assert found[0]["wanted"]["site"] == "Berlin"
    assert found[7]["wanted"]["door"] == 4
    assert found[1]["wanted"] is None
