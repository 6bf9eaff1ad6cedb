from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from playwright.async_api import expect

from tests.dashboards.alarms import alarm
from tests.dashboards.axe import axe
from tests.dashboards.conftest import Open
from tests.dashboards.fake_hub import FakeHub, Json, fleet, problem, stamp, summary

pytestmark = pytest.mark.services


def remembering(lockers: int = 25) -> FakeHub:
    """Return a hub in whose past berlin-08 was offline, and an alarm was open."""
    hub = fleet(lockers)

    def then(request: web.Request, _: object) -> Json:
        past = [{**summary(one), "boards": None, "agent": None} for one in hub.details.values()]
        for one in past:
            if one["id"] == "berlin-08":
                one["state"] = "offline"
        return {"at": request.query["at"], "known_since": stamp(-9e6), "lockers": past}

    hub.answers["GET /api/v1/history/fleet"] = then
    hub.answers["GET /api/v1/alarms"] = {"items": [alarm("old", what="It was hot")], "next_cursor": None}
    return hub


def ago(**span: float) -> str:
    at = datetime.now(UTC) - timedelta(**span)
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")


async def test_the_fleet_is_drawn_as_it_was_and_nothing_is_live(window: Open) -> None:
    async with remembering().serve() as hub:
        at = ago(hours=2)
        page = await (await window(hub)).go(f"/?at={at}")
        await expect(page.get_by_text("Historical", exact=True)).to_be_visible()
        await expect(page.locator(".kpi-offline .kpi-count")).to_have_text("3")
        await expect(page.locator(".kpi-unacked .kpi-count")).to_have_text("1")
        await expect(page.get_by_text("It was hot")).to_be_visible()
        await expect(page).to_have_title("Historical: Fleet · Lockerhub")
        await expect(page.get_by_role("button", name="Pause")).to_have_count(0)
        assert {said["view"] for said in hub.heard if said["type"] == "subscribe"} <= {"summary"}
        asked = [path for _, path, _ in hub.asked]
        assert f"/api/v1/history/fleet?at={at.replace(':', '%3A').replace('Z', '.000Z')}" in asked
        assert len(asked) == 2


async def test_the_moment_goes_along_and_back_to_now_leaves_it(window: Open) -> None:
    async with remembering().serve() as hub:
        at = ago(hours=2)
        page = await (await window(hub)).go(f"/?at={at}")
        await page.locator(".kpi-offline").click()
        await expect(page.locator("[data-locker]")).to_have_count(3)
        assert f"at={at.replace(':', '%3A')}" in page.url
        assert "state=offline" in page.url
        await page.get_by_role("searchbox").fill("berlin-08")
        await expect(page.locator("[data-locker=berlin-08]")).to_contain_text("Offline")
        assert "at=" in page.url
        await page.get_by_role("button", name="Back to now").click()
        await expect(page.get_by_text("No locker matches")).to_be_visible()
        assert "at=" not in page.url
        await expect(page.locator(".connection")).to_have_text("Live")
        await hub.until(lambda hub: {"type": "subscribe", "view": "fleet"} in hub.heard)


async def test_nothing_can_be_done_in_the_past(window: Open) -> None:
    async with remembering().serve() as hub:
        page = await (await window(hub)).go(f"/lockers?at={ago(hours=2)}")
        await page.get_by_label("Choose Berlin, library, berlin-16").check()
        act = page.get_by_role("button", name="Acknowledge alarms")
        await expect(act).to_be_disabled()
        await expect(act).to_have_accessible_description("This is the past. Go back to now to act.")
        await page.keyboard.press("a")
        await expect(page.locator("dialog[open]")).to_have_count(0)
        app = "document.querySelector('lh-shell').app"
        assert await page.evaluate(f"[{app}.can('viewer'), {app}.refusal('operator')]") == [False, "history"]


async def test_one_steps_through_time_by_button_key_slider_and_field(window: Open) -> None:
    async with remembering().serve() as hub:
        page = await (await window(hub)).go("/?at=2026-01-10T12:00:00Z")
        shown = page.locator(".past-what time")
        await page.get_by_title("One hour earlier").click()
        await expect(shown).to_have_attribute("datetime", "2026-01-10T11:00:00.000Z")
        await page.get_by_title("One minute later").click()
        await expect(shown).to_have_attribute("datetime", "2026-01-10T11:01:00.000Z")
        await page.locator("#content").focus()
        await page.keyboard.press("[")
        await expect(shown).to_have_attribute("datetime", "2026-01-10T11:00:00.000Z")
        await page.get_by_label("Moment").focus()
        await page.keyboard.press("ArrowLeft")
        await expect(shown).to_have_attribute("datetime", "2026-01-10T10:59:00.000Z")
        local = await page.evaluate(
            "async () => (await import('/static/app/moment.js')).localText(new Date('2026-01-09T08:30:00Z'))"
        )
        await page.get_by_label("Date and time").fill(local)
        await page.get_by_label("Date and time").blur()
        await expect(shown).to_have_attribute("datetime", "2026-01-09T08:30:00.000Z")
        await page.go_back()
        await expect(shown).to_have_attribute("datetime", "2026-01-10T10:59:00.000Z")


async def test_nothing_is_later_than_now(window: Open) -> None:
    async with remembering().serve() as hub:
        page = await (await window(hub)).go(f"/?at={ago(seconds=30)}")
        await expect(page.get_by_title("One hour later")).to_be_disabled()
        await expect(page.get_by_title("One minute later")).to_be_disabled()
        await expect(page.get_by_title("One hour earlier")).to_be_enabled()


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ("yesterday", "“yesterday” is no time."),
        ("2026-13-45T10:00:00Z", "“2026-13-45T10:00:00Z” is no time."),
        ("<b>x</b>", "“<b>x</b>” is no time."),
        ("2126-01-01T00:00:00Z", "lies in the future."),
    ],
)
async def test_a_moment_that_makes_no_sense_says_so_and_shows_now(window: Open, at: str, said: str) -> None:
    async with remembering().serve() as hub:
        page = await (await window(hub)).go(f"/lockers?state=offline&at={at}")
        await expect(page.get_by_role("alert").first).to_contain_text(said)
        await expect(page.locator("[data-locker]")).to_have_count(2)
        await page.get_by_role("link", name="Leave it out").click()
        await expect(page.get_by_text("is no time")).to_have_count(0)
        assert page.url == f"{hub.base}/lockers?state=offline"


async def test_a_moment_that_the_hub_does_not_know_says_so(window: Open) -> None:
    hub = remembering()
    hub.answers["GET /api/v1/history/fleet"] = lambda *_: problem(
        400, "at_unknown", "No history", "The history begins on 1 March."
    )
    async with hub.serve():
        one = await window(hub)
        one.expected.append("400")
        page = await one.go("/?at=2020-01-01T00:00:00Z")
        await expect(page.get_by_text("The history begins on 1 March.")).to_be_visible()
        await expect(page.get_by_role("button", name="Back to now")).to_be_visible()


async def test_a_page_without_a_past_says_that_it_shows_now(window: Open) -> None:
    async with remembering().serve() as hub:
        page = await (await window(hub)).go(f"/commands?at={ago(hours=1)}")
        await expect(page.get_by_text("This page has no past: it shows now.")).to_be_visible()


@pytest.mark.parametrize("width", [360, 1280])
async def test_it_is_accessible(window: Open, width: int) -> None:
    async with remembering().serve() as hub:
        page = await (await window(hub, width=width)).go(f"/lockers?at={ago(hours=2)}")
        await expect(page.locator("[data-locker]").first).to_be_visible()
        await axe(page)
        assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
