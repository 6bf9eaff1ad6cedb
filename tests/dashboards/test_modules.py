"""The page's pure modules, called in the browser that they run in."""

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import Page

from hub.core.commands import CommandStatus
from hub.core.delimited import cell
from hub.core.natural import natural_key
from tests.dashboards.conftest import Open
from tests.dashboards.fake_hub import OPERATOR, command, event, fleet
from wire.messages import EventKind

pytestmark = pytest.mark.services

IMPORT: Final = re.compile(r"""^(?:import|export)\b[^;]*?["'](\.[^"']+)["'];""", re.MULTILINE)
FORMULAS: Final = (
    "=1+1",
    "+1",
    "-1",
    "@x",
    " =1",
    "\u00a0@x",
    "\ufeff=1",
    "\uff1d1",
    "'=1",
    "\tx",
    "\r=1",
    "\n",
    "\x00=1",
)


async def test_every_kind_of_event_has_its_sentence(window: Open) -> None:
    events = [event("a", 1, kind, 3) for kind in EventKind]
    said = await call(window, "format", "({ sentence }, events) => events.map((one) => sentence(one).text)", events)
    assert len(set(said)) == len(said)
    for kind, sentence in zip(EventKind, said, strict=True):
        assert sentence
        assert kind not in sentence


async def test_a_finished_command_says_which(window: Open) -> None:
    data: dict[str, Any] = {"command": {"kind": "open", "door": 3}, "state": "rejected", "reason": "expired"}
    finished = event("a", 1, "command.finished", 3, **data)
    said = await call(window, "format", "({ sentence }, event) => sentence(event).text", finished)
    assert said == "Command open door 3: rejected, expired"


async def test_every_outcome_of_a_command_has_its_words(window: Open) -> None:
    commands = [
        {**command("a", "open", 3), "state": state.value, "outcome": outcome}
        for state in CommandStatus
        for outcome in (None, "opened", "closed", "open_not_detected")
    ]
    said = await call(
        window,
        "format",
        "({ outcome, outcomeBrief }, all) => all.map((one) => [outcome(one), outcomeBrief(one)])",
        commands,
    )
    assert all(text and "undefined" not in text for texts in said for text in texts)


async def test_ages_and_durations_are_short(window: Open) -> None:
    seconds = [0, 1.9, 2, 99, 100, 5399, 5400, 129_599, 129_600]
    spans = await call(window, "format", "({ span }, all) => all.map((s) => span(s * 1000))", seconds)
    assert spans == ["now", "now", "2 s", "99 s", "2 min", "90 min", "2 h", "36 h", "2 d"]
    millis = await call(window, "format", "({ millis }, all) => all.map(millis)", [0, 0.94, 9.96, 240, 1240])
    assert millis == ["0.0 ms", "0.9 ms", "10 ms", "240 ms", "1.24 s"]


async def test_the_store_takes_frames_in_order_only(window: Open) -> None:
    lockers = [{**one, "doors": None} for one in fleet(2).details.values()]
    steps = """({ Store }, lockers) => {
      const store = new Store();
      const frame = (type, seq, data) => store.apply({ type, view: "fleet", seq, data });
      const said = [frame("snapshot", 1, { lockers })];
      store.open("fleet");
      said.push(frame("diff", 1, { lockers: [] }), frame("snapshot", 4, { lockers }));
      said.push(frame("diff", 4, { removed: [lockers[0].id] }), frame("diff", 5, { removed: [lockers[0].id] }));
      store.publish();
      said.push(store.lockers.size, frame("diff", 7, { lockers: [] }), frame("diff", 8, { lockers: [] }));
      store.publish();
      said.push(store.lockers.size, frame("snapshot", 8, { lockers }), store.waiting);
      store.publish();
      said.push(store.lockers.size, store.waiting, store.publish());
      return said;
    }"""
    assert await call(window, "store", steps, lockers) == [
        *["ignored", "ignored", "applied", "ignored", "applied"],
        *[1, "gap", "ignored", 1, "applied", 1, 2, 0, False],
    ]


async def test_feeds_and_commands_are_bounded(window: Open) -> None:
    steps = """({ Store, FEED_EVENTS_MAX, COMMANDS_MAX }, [event, command, locker]) => {
      const store = new Store();
      store.open("events");
      store.open("locker:a");
      store.apply({ type: "snapshot", view: "events", seq: 0, data: { events: [] } });
      store.apply({ type: "snapshot", view: "locker:a", seq: 0, data: locker });
      for (let n = 1; n <= 700; n += 1) {
        store.apply({ type: "diff", view: "events", seq: n, data: { events: [{ ...event, seq: n }], skipped: 1 } });
        const accepted_at = new Date(n * 1000).toISOString();
        store.apply({ type: "diff", view: "locker:a", seq: n,
          data: { commands: [{ ...command, id: `${n}`, accepted_at }] } });
      }
      store.publish();
      const feed = store.feed("events");
      const { commands } = store.detail("a");
      return [feed.events.length === FEED_EVENTS_MAX, feed.events[0].seq, feed.skipped,
        commands.length === COMMANDS_MAX, commands[0].id];
    }"""
    data = [event("a", 1, "door.opened", 1), command("a", "open", 1), fleet(1).details["hamburg-01"]]
    assert await call(window, "store", steps, data) == [True, 700, 700, True, "700"]


async def test_an_address_keeps_the_whole_filter(window: Open) -> None:
    steps = """({ addressOf, filterFrom, NO_FILTER }) => {
      const all = { q: "a b&c", state: "open", site: "Köln #1", tag: "x=y", alarms: "high", maintenance: true,
        out: true, sort: "heard", grouped: true };
      const back = (filter) => filterFrom(new URL(addressOf(filter), location.origin).searchParams);
      return [back(all), all, back(NO_FILTER), { ...NO_FILTER }, filterFrom(new URLSearchParams("state=x&sort=y"))];
    }"""
    kept, all_of_it, nothing, no_filter, nonsense = await call(window, "select", steps, None)
    assert kept == all_of_it
    assert nothing == nonsense == no_filter


async def test_arrow_keys_reach_across_holes(window: Open) -> None:
    places = [
        {"row": row, "column": column, "door": {"number": 10 * row + column}} for row in (1, 2) for column in (1, 3)
    ]
    places.append({"row": 5, "column": 2, "door": {"number": 52}})
    steps = """({ neighbour }, places) => [["ArrowRight", 11], ["ArrowDown", 11], ["ArrowDown", 21],
      ["ArrowLeft", 11], ["ArrowUp", 52], ["Enter", 11], ["ArrowUp", 99]]
      .map(([key, from]) => neighbour(places, from, key))"""
    assert await call(window, "geometry", steps, places) == [13, 21, 52, None, 21, None, 11]


async def test_a_csv_of_the_page_is_as_harmless_as_the_hubs(window: Open) -> None:
    texts = [*FORMULAS, "", "plain", "a,b", 'say "x"', "a;b", " led", "trail ", "-1", "\u200b=1", "\t", "'"]
    said = await call(window, "csv", "({ cell }, all) => all.map(cell)", texts)
    assert said == [cell(text) for text in texts]
    assert await call(window, "csv", "({ csvOf }) => csvOf(['a', 'b'], [[1, null], [true, '=x']])", None) == (
        "a,b\r\n1,\r\ntrue,'=x\r\n"
    )


async def test_every_locker_has_its_own_cell_inside_the_grid(window: Open) -> None:
    lockers = [{"id": f"l{n:04}", "site": f"site {n % 37}"} for n in range(1500)]
    steps = """({ layoutOf }, lockers) => [320, 880, 1900].map((width) => layoutOf(lockers, width))
      .map(({ cells, pitch, width, height, index }) => ({ index: index.size, inside: cells.every(({ x, y }) =>
        x >= 0 && y >= 0 && x + pitch <= width && y + pitch <= height), places: new Set(cells.map(({ x, y }) =>
        `${x} ${y}`)).size }))"""
    for found in await call(window, "heat", steps, lockers):
        assert found == {"index": 1500, "inside": True, "places": 1500}


async def test_a_grid_on_a_wall_shrinks_until_it_fits(window: Open) -> None:
    lockers = [{"id": f"l{n:04}", "site": f"site {n % 8}"} for n in range(5000)]
    steps = """({ fittingLayout, layoutOf }, lockers) => [fittingLayout(lockers, 1100, 1, 750).height,
      fittingLayout(lockers, 1100, 1, 100).pitch, layoutOf(lockers, 1100, 1).height]"""
    fitting, least, full = await call(window, "heat", steps, lockers)
    assert fitting <= 750 < full
    assert least >= 6


async def test_a_cell_shows_the_worst(window: Open) -> None:
    calm = {**fleet(1).details["hamburg-01"], "doors": None}
    open_door = {**calm, "door_counts": {**calm["door_counts"], "open": 1}}
    offline = {**open_door, "state": "offline"}
    lockers = [
        calm,
        open_door,
        {**open_door, "boards": {"total": 2, "online": 1}},
        offline,
        {**offline, "alarms": {**calm["alarms"], "medium": 1}},
        {**offline, "alarms": {**calm["alarms"], "medium": 1, "high": 1}},
        {**calm, "alarms": {**calm["alarms"], "low": 3, "critical": 1}},
        {**offline, "maintenance": True},
        {**calm, "state": "never_seen"},
    ]
    assert await call(window, "heat", "({ lookOf }, all) => all.map(lookOf)", lockers) == [
        *["normal", "open", "silent", "offline", "offline", "high", "critical", "maintenance", "never_seen"]
    ]


async def test_a_range_reaches_both_ways_and_forgets_what_is_gone(window: Open) -> None:
    steps = """({ Selection }, order) => {
      const chosen = new Selection();
      chosen.reach("c", order);
      chosen.reach("a", order);
      const up = chosen.ids.length;
      chosen.toggle("b");
      chosen.reach("e", order);
      chosen.keep((id) => id !== "d");
      const rest = [...chosen.ids].sort();
      chosen.clear();
      return [up, rest, chosen.size];
    }"""
    assert await call(window, "selection", steps, list("abcde")) == [3, ["a", "b", "c", "e"], 0]


async def test_the_slider_spans_the_last_day_or_a_day_around(window: Open) -> None:
    steps = (
        """({ sliderEnds }, [now, day]) => [now, now - day, now - 5 * day].map((at) => sliderEnds(at, now, day))"""
    )
    now, day = 1_800_000_000_000, 86_400_000
    assert await call(window, "moment", steps, [now, day]) == [
        {"from": now - day, "to": now},
        {"from": now - day, "to": now},
        {"from": now - 5.5 * day, "to": now - 4.5 * day},
    ]


async def test_what_a_browser_remembers_of_views_is_bounded_and_checked(window: Open) -> None:
    steps = """({ saveView, savedViews, deleteView, SAVED_MAX }) => {
      const found = [{ name: "x", address: "//evil" }, 3, { name: "y", address: "/lockers" }];
      localStorage.setItem("lockerhub.views", JSON.stringify(found));
      const checked = savedViews();
      deleteView("y");
      const said = Array.from({ length: SAVED_MAX + 1 }, (_, n) => saveView(`view ${n}`, "/lockers"));
      localStorage.setItem("lockerhub.views", "{");
      return [checked, said.slice(-2), savedViews()];
    }"""
    checked, said, broken = await call(window, "saved", steps, None)
    assert checked == [{"name": "y", "address": "/lockers"}]
    assert said == ["", "30 views are kept already. Delete one first."]
    assert broken == []


def test_all_that_the_first_view_needs_is_preloaded() -> None:
    seen: set[Path] = set()

    def follow(module: Path) -> None:
        if module not in seen:
            seen.add(module)
            for found in IMPORT.findall(module.read_text(encoding="utf-8")):
                follow((module.parent / found).resolve())

    main = OPERATOR / "app" / "main.js"
    follow(main)
    page = (OPERATOR / "index.html").read_text(encoding="utf-8")
    preloaded = re.findall(r'rel="modulepreload" href="/static/([^"]+)"', page)
    assert sorted(preloaded) == sorted(one.relative_to(OPERATOR).as_posix() for one in seen - {main})


async def call(window: Open, module: str, function: str, argument: object) -> Any:  # noqa: ANN401 - JSON comes back
    async with fleet(0).serve() as hub:
        page: Page = await (await window(hub)).go()
        program = f"async (given) => ({function})(await import('/static/app/{module}.js'), JSON.parse(given))"
        return await page.evaluate(program, json.dumps(argument))


async def test_names_are_in_the_order_of_the_hubs_lists(window: Open) -> None:
    names = [
        "Locker 10",
        "locker 2",
        "Locker 02",
        "Locker 1",
        "Locker",
        "a-1",
        "a1",
        "A1",
        "a10b",
        "a010",
        "",
        "é",
        "z",
    ]
    found = await call(window, "natural", "({ natural }, names) => names.sort(natural)", names)
    assert found == sorted(names, key=natural_key)


async def test_an_hour_that_clocks_show_twice_has_two_names(window: Open) -> None:
    times = ["2026-10-24T23:00:00Z", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"]
    options = {"hour": "2-digit", "minute": "2-digit", "hourCycle": "h23"}
    steps = "({ barLabels }, { times, zone, options }) => barLabels(times, zone, options, 'en-GB')"
    asked = {"times": times, "zone": "Europe/Berlin", "options": options}
    assert await call(window, "statistics", steps, asked) == ["01:00", "02:00 CEST", "02:00 CET", "03:00"]
    asked["zone"] = "Asia/Kolkata"
    assert await call(window, "statistics", steps, asked) == ["04:30", "05:30", "06:30", "07:30"]


async def test_the_statistics_address_keeps_the_whole_question(window: Open) -> None:
    steps = """({ questionFrom, addressQuery, hubQuery, placeOf, lengthWords }) => {
      const all = { site: "Köln #1", locker: "koeln-02", range: "custom", since: "2026-11-01T00:00:00.000Z",
        until: "2026-11-02T00:00:00.000Z", bucket: "week", zone: "Asia/Tokyo" };
      const back = (question) => questionFrom(new URLSearchParams(addressQuery(question, "UTC")), "UTC").question;
      const usual = questionFrom(new URLSearchParams(), "UTC").question;
      const steps = [{ within_s: 600 }, { within_s: 1800 }];
      return [back(all), all, addressQuery(usual, "UTC"), hubQuery(usual, 1).toString(),
        [0, 300, 600, 1200, 99999].map((seconds) => placeOf(steps, seconds)),
        [600, 3600, 5400, 86400, 151200, 604800].map(lengthWords)];
    }"""
    kept, all_of_it, usual, asked, places, words = await call(window, "statistics", steps, None)
    assert kept == all_of_it
    assert usual == ""
    assert "since=1969-12-01T01" in asked
    assert "until=1970-01-01T01" in asked
    assert places == [-0.5, 0, 0.5, 1, 1.5]
    assert words == ["10 min", "1 h", "1.5 h", "1 d", "42 h", "7 d"]


async def test_what_is_normal_is_the_hubs_rule_where_it_has_one(window: Open) -> None:
    rules = [
        {"enabled": True, "condition": {"kind": "level", "of": "temperature_c", "above": 65, "below": None}},
        {"enabled": False, "condition": {"kind": "level", "of": "temperature_c", "above": 1}},
        {"enabled": True, "condition": {"kind": "level", "of": "battery_pct", "below": 30}},
        {"enabled": True, "condition": {"kind": "simple", "on": ["temperature.high"]}},
    ]
    steps = """({ MEASURES, bandOf, isNormal }, rules) => {
      const [temperature, , supply, battery] = MEASURES;
      const band = bandOf(temperature, rules);
      return [band, bandOf(temperature, []), bandOf(battery, rules), bandOf(supply, rules),
        [-11, -10, 65, 65.1, null].map((value) => isNormal(value, band))];
    }"""
    assert await call(window, "series", steps, rules) == [
        {"low": -10, "high": 65},
        {"low": -10, "high": 50},
        {"low": 30, "high": None},
        {"low": None, "high": None},
        [False, True, True, False, True],
    ]


async def test_messages_are_live_only_while_their_part_of_the_page_is_open(window: Open) -> None:
    steps = """({ viewsOf }) => [["", false], ["#messages", false], ["#messages", true]]
      .map(([hash, past]) => viewsOf({ name: "locker", id: "a" }, past, hash).includes("tail:a"))"""
    assert await call(window, "router", steps, None) == [False, True, False]
