"""One alarm, the health of all, the rules, and who is told."""

from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import expect

from tests.dashboards.alarms import acked, alarm, alarming, health
from tests.dashboards.axe import axe
from tests.dashboards.conftest import Open
from tests.dashboards.fake_hub import FakeHub, Json, problem, stamp

pytestmark = pytest.mark.services

MARKUP = '<img src=x onerror="document.title=1"><b>note</b>'
HOT = alarm(
    "hot",
    ago_s=900,
    type="temperature.high",
    severity="high",
    door=None,
    value=52.44,
    limit=50,
    unit="°C",
    count=4,
    what="It is too hot in the locker: 52 °C",
    consequence="Batteries age and may catch fire.",
    todo="Stop charging.",
    rule="temperature.high.level",
)
STEPS = [
    {"at": stamp(-900), "who": None, "what": "raised", "note": None},
    {"at": stamp(-600), "who": None, "what": "again", "note": None},
]
RULES: Json = {
    "version": "2026.1",
    "sha256": "35a351d7cfc8" + "0" * 52,
    "items": [
        {
            "id": "temperature.high.level",
            "type": "temperature.high",
            "severity": "high",
            "condition": {"kind": "level", "of": "temperature_c", "above": 45},
            "on_delay_s": 60,
            "off_delay_s": 60,
            "deadband": 3,
            "scope": {"site": MARKUP},
            "enabled": True,
        },
        {
            "id": "door.forced",
            "type": "door.forced",
            "severity": "critical",
            "condition": {"kind": "simple", "on": ["door.forced"], "off": ["door.closed"]},
            "on_delay_s": 0,
            "off_delay_s": 0,
            "deadband": 0,
            "scope": {},
            "enabled": False,
        },
    ],
}
DUTY: Json = {
    "name": "duty",
    "kind": "email",
    "to": ["duty@example.org"],
    "severities": ["critical"],
    "sites": [],
    "queue": 0,
    "last_ok_at": stamp(-60),
    "last_error": None,
    "last_error_at": None,
}
HOOK: Json = {
    "name": "tickets",
    "kind": "webhook",
    "to": "https://tickets.example.org/",
    "severities": [],
    "sites": ["Berlin"],
    "queue": 4,
    "last_ok_at": stamp(-9000),
    "last_error": MARKUP,
    "last_error_at": stamp(-30),
}


def detailed(one: Json, *steps: Json) -> Json:
    return {**one, "steps": [*STEPS, *steps]}


async def test_an_alarm_tells_what_it_means_and_what_was_done_and_follows_the_hub(window: Open) -> None:
    hub = alarming(HOT)
    path = f"/api/v1/alarms/{HOT['id']}"
    hub.answers[f"GET {path}"] = detailed(HOT)
    hub.answers["POST /api/v1/alarms/acknowledge"] = {"done": 1, "skipped": []}
    async with hub.serve():
        page = await (await window(hub)).go(f"/alarms/{HOT['id']}")
        await expect(page.get_by_role("heading", level=1)).to_have_text(HOT["what"])
        for text in (
            "Batteries age",
            "Stop charging.",
            "52.4 °C (limit 50)",
            "4 times",
            "High",
            "Active, unacknowledged",
        ):
            await expect(page.locator("main").get_by_text(text).first).to_be_visible()
        await expect(page.locator(".alarm-steps li")).to_have_count(2)
        await expect(page.get_by_role("link", name="The locker when it began")).to_have_attribute(
            "href", f"/lockers/hamburg-01?at={HOT['began_at'].replace(':', '%3A')}"
        )
        around = await page.get_by_role("link", name="Events around it").get_attribute("href")
        assert around is not None
        assert around.startswith("/events?locker=hamburg-01&since=20")
        await axe(page)
        seen = acked(HOT, ack_note=MARKUP)
        hub.answers[f"GET {path}"] = detailed(seen, {"at": stamp(), "who": "anna", "what": "acked", "note": MARKUP})
        await page.get_by_role("button", name="Acknowledge with a note").click()
        await page.get_by_label("Note").fill(MARKUP)
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("1 acknowledged")).to_be_visible()
        await hub.diff("alarms", {"alarms": [seen], "total": 1})
        await expect(page.locator(".alarm-steps li")).to_have_count(3)
        await expect(page.locator(".alarm-steps li").last).to_contain_text(f"Acknowledged by anna{MARKUP}")
        await expect(page.locator(".alarm-page > header")).to_contain_text("Active, acknowledged")
        assert await page.locator("main img, main b").count() == 0
        # It leaves the live list, and its page goes on showing it.
        closed = {**seen, "state": "normal", "cleared_at": stamp()}
        hub.answers[f"GET {path}"] = detailed(closed)
        await hub.diff("alarms", {"alarms": [], "closed": [HOT["id"]], "total": 0})
        await expect(page.locator(".alarm-page > header")).to_contain_text("Closed")
        await expect(page.get_by_role("button", name="Acknowledge")).to_have_count(0)


async def test_an_alarm_that_is_not_there_says_so_and_shows_the_way_out(window: Open) -> None:
    async with alarming().serve() as hub:
        one = await window(hub)
        one.expected.append("404")
        page = await one.go("/alarms/00000000-0000-4000-8000-00000000dead")
        await expect(page.get_by_text("There is no such alarm")).to_be_visible()
        await axe(page)
        await page.get_by_role("link", name="Go to the open alarms").click()
        await expect(page.get_by_text("No open alarm", exact=True)).to_be_visible()


async def test_a_hub_that_cannot_answer_is_asked_again(window: Open) -> None:
    hub = alarming()
    hub.answers[f"GET /api/v1/alarms/{HOT['id']}"] = lambda *_: problem(503, "away", "No database", "It is away.")
    async with hub.serve():
        one = await window(hub)
        one.expected.append("503")
        page = await one.go(f"/alarms/{HOT['id']}")
        await expect(page.get_by_role("alert")).to_contain_text("It is away.")
        hub.answers[f"GET /api/v1/alarms/{HOT['id']}"] = detailed(HOT)
        await page.get_by_role("button", name="Try again").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text(HOT["what"])


async def test_health_tells_rate_floods_sources_and_shares(window: Open) -> None:
    numbers = health(
        rate_10min=12,
        peak_10min=14,
        flood=True,
        flood_since=stamp(-300),
        standing=1,
        stale=[HOT["id"]],
        chattering=["00000000-0000-4000-8000-000000000001"],
        top=[{"type": "temperature.high", "locker": MARKUP, "door": None, "count": 31}],
        suppressed={"shelved": 1, "maintenance": 2, "out_of_service": 3, "folded": 44},
    )
    history = [{"at": stamp(-600 * (144 - n)), "raised": 14 if n == 80 else n % 2} for n in range(144)]
    hub = alarming(HOT, **numbers)
    hub.answers["GET /api/v1/alarms/health"] = {**numbers, "history": history}
    async with hub.serve():
        page = await (await window(hub)).go("/alarms/health")
        rate = page.locator(".alarm-figure").first
        await expect(rate).to_contain_text("12")
        await expect(rate).to_contain_text("the target is 1")
        await expect(page.locator(".alarm-figure").nth(2)).to_contain_text("Yes")
        await expect(page.get_by_role("img")).to_have_accessible_name(
            "86 alarms in 24 hours, at most 14 in ten minutes; above the target in 1 of 144 times of ten minutes."
        )
        assert await page.locator(".rate-chart rect").count() == 73
        await expect(page.get_by_role("link", name=f"Too hot, {MARKUP}")).to_be_visible()
        await expect(page.get_by_role("link", name=HOT["what"])).to_be_visible()
        await expect(page.get_by_text("7 % of 5 %")).to_be_visible()
        await expect(page.get_by_text("44", exact=True)).to_be_visible()
        await axe(page)
        await hub.diff("alarms", {"alarms": [], "total": 1, "health": {**numbers, "rate_10min": 3, "flood": False}})
        await expect(rate).to_contain_text("3")
        await expect(page.locator(".alarm-figure").nth(2)).to_contain_text("No")


async def test_rules_are_told_in_words(window: Open) -> None:
    hub = with_rules()
    async with hub.serve():
        page = await (await window(hub)).go("/alarms/rules?rule=temperature.high.level")
        rules = page.locator(".rule")
        await expect(rules).to_have_count(2)
        await expect(rules.first).to_contain_text("Door forced")
        await expect(rules.first).to_contain_text("Switched off")
        await expect(rules.nth(1)).to_contain_text(
            "Raised when the temperature is above 45 °C for 1 min; cleared when it is at or below 42 °C for 1 min."
        )
        await expect(rules.nth(1)).to_contain_text(f"site {MARKUP}")
        await expect(rules.nth(1)).to_have_attribute("data-asked", "yes")
        await expect(page.get_by_text("Version 2026.1, 2 rules")).to_be_visible()
        await expect(page.get_by_text("35a351d7cfc8")).to_be_visible()
        assert await page.locator("main img, main b").count() == 0
        await axe(page)
        await page.goto(f"{hub.base}/alarms/rules?rule=zzz")
        await expect(page.get_by_role("alert")).to_contain_text("There is no rule “zzz”")


async def test_channels_are_listed_and_tried(window: Open) -> None:
    hub = with_rules(DUTY, HOOK)
    hub.answers["POST /api/v1/notifications/channels/duty/test"] = {
        "ok": True,
        "detail": "duty@example.org took it.",
    }
    hub.answers["POST /api/v1/notifications/channels/tickets/test"] = lambda *_: problem(
        429, "too_often", "Tried too often", "Once in ten seconds."
    )
    async with hub.serve():
        one = await window(hub)
        one.expected.append("429")
        page = await one.go("/alarms/rules")
        tickets = page.locator("[data-channel=tickets]")
        await expect(tickets).to_contain_text("Fails")
        await expect(tickets).to_contain_text(MARKUP)
        await expect(tickets).to_contain_text("4 waiting")
        await axe(page)
        await page.get_by_role("button", name="Send a test to duty").click()
        await expect(page.locator("[data-channel=duty]")).to_contain_text("duty@example.org took it.")
        await page.get_by_role("button", name="Send a test to tickets").click()
        await expect(tickets).to_contain_text("Once in ten seconds.")
        await expect(page.locator("[data-delivery='7']")).to_contain_text("Failed, 3 tries: Answered 503")


async def test_no_channel_and_a_viewer_are_said(window: Open) -> None:
    hub = with_rules()
    async with hub.serve():
        page = await (await window(hub)).go("/alarms/rules")
        await expect(page.get_by_text("Nobody is told")).to_be_visible()
    hub = with_rules(DUTY)
    hub.role = "viewer"
    async with hub.serve():
        page = await (await window(hub)).go("/alarms/rules")
        button = page.get_by_role("button", name="Send a test to duty")
        await expect(button).to_be_disabled()
        await expect(page.locator("#told-denied")).to_contain_text("role operator")


@pytest.mark.parametrize("path", [f"/alarms/{HOT['id']}", "/alarms/health", "/alarms/rules"])
async def test_phones_need_no_sideways_scrolling(window: Open, path: str) -> None:
    hub = with_rules(DUTY, HOOK)
    hub.views["alarms"] = {"alarms": [HOT], "total": 1, "health": health()}
    hub.answers[f"GET /api/v1/alarms/{HOT['id']}"] = detailed({**HOT, "ack_note": "x" * 400})
    hub.answers["GET /api/v1/alarms/health"] = {**health(), "history": [{"at": stamp(), "raised": 1}] * 144}
    async with hub.serve():
        page = await (await window(hub, width=360, height=740, scheme="dark")).go(path)
        await expect(page.locator("main h1")).to_be_visible()
        await expect(page.get_by_text("Loading")).to_have_count(0)
        found: Any = await page.evaluate("document.documentElement.scrollWidth")
        assert found <= 360
        await axe(page)


def with_rules(*channels: Json) -> FakeHub:
    hub = alarming()
    hub.answers["GET /api/v1/alarms/rules"] = RULES
    hub.answers["GET /api/v1/notifications/channels"] = {"items": list(channels)}

    def sent(_: web.Request, __: Json | None) -> Json:
        one = {"id": 7, "at": stamp(), "channel": "duty", "alarm": HOT["id"], "transition": "raised"}
        return {"items": [{**one, "state": "failed", "tries": 3, "error": "Answered 503"}], "next_cursor": None}

    hub.answers["GET /api/v1/notifications"] = sent
    return hub
