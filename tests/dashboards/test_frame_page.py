"""The frame around every page: navigation, badge, menus, palette, keys."""

import re

import pytest
from playwright.async_api import expect

from tests.dashboards.alarms import alarm
from tests.dashboards.axe import axe
from tests.dashboards.conftest import Open
from tests.dashboards.fake_hub import FakeHub, fleet, summary, summary_of

pytestmark = pytest.mark.services


def alarmed() -> FakeHub:
    """Return a fleet with one critical alarm that nobody has seen."""
    hub = fleet(25)
    hub.views["alarms"] = {"alarms": [alarm("one")], "total": 1, "health": None}
    hub.views["summary"] = summary_of(hub.details.values())
    hub.views["summary"]["alarms"].update(unacked=7, critical=1, high=2)
    return hub


async def test_the_pages_are_behind_a_button_on_a_phone(window: Open) -> None:
    async with alarmed().serve() as hub:
        page = await (await window(hub, width=360)).go("/")
        pages = page.get_by_role("navigation", name="Pages")
        await expect(pages).to_be_hidden()
        await page.get_by_role("button", name="Pages").click()
        await expect(pages.get_by_role("link")).to_have_count(8)
        await axe(page)
        await page.keyboard.press("Escape")
        await expect(pages).to_be_hidden()
        await page.get_by_role("button", name="Pages").click()
        await pages.get_by_role("link", name="Lockers").click()
        await expect(page.locator("[data-locker]").first).to_be_visible()
        await expect(pages).to_be_hidden()


@pytest.mark.parametrize("width", [360, 1280])
async def test_the_badge_counts_what_nobody_acknowledged_and_names_the_worst(window: Open, width: int) -> None:
    async with alarmed().serve() as hub:
        page = await (await window(hub, width=width)).go("/lockers")
        badge = page.locator(".alarm-badge:visible")
        await expect(badge).to_contain_text("7")
        await expect(badge).to_have_attribute("data-severity", "critical")
        await expect(badge).to_have_attribute("title", "7 unacknowledged, worst critical")
        calm = summary_of(hub.details.values())
        await hub.diff("summary", calm)
        await expect(page.locator(".alarm-badge")).to_have_count(0)


async def test_who_is_signed_in_and_their_choices_are_behind_a_button(window: Open) -> None:
    hub = alarmed()
    hub.role = "operator"
    hub.answers["GET /api/v1/history/fleet"] = {"at": "", "known_since": None, "lockers": []}
    hub.answers["GET /api/v1/alarms"] = {"items": [], "next_cursor": None}
    async with hub.serve():
        page = await (await window(hub)).go("/")
        await page.get_by_role("button", name="Signed in: operator").click()
        you = page.get_by_role("group", name="You and this page")
        await expect(you).to_contain_text("operator")
        sound = you.get_by_label("Sound for new serious alarms")
        await expect(sound).not_to_be_checked()
        await sound.check()
        await axe(page)
        await page.reload()
        await page.get_by_role("button", name="Signed in: operator").click()
        await expect(sound).to_be_checked()
        await page.get_by_role("button", name="Look at the past").click()
        await expect(page.get_by_text("Historical", exact=True)).to_be_visible()


async def test_the_palette_finds_pages_acts_and_lockers_by_keyboard(window: Open) -> None:
    async with alarmed().serve() as hub:
        page = await (await window(hub)).go("/lockers")
        await expect(page.locator("[data-locker]").first).to_be_visible()
        await page.keyboard.press("Control+k")
        field = page.get_by_role("combobox", name="Page, locker or act")
        await expect(field).to_be_focused()
        await axe(page)
        await page.keyboard.type("koeln-10")
        option = page.locator(".palette [aria-selected=true]")
        await expect(option).to_contain_text("Köln, campus gate")
        await expect(field).to_have_attribute("aria-activedescendant", await option.get_attribute("id") or "")
        await page.keyboard.press("Enter")
        await expect(page).to_have_url(f"{hub.base}/lockers/koeln-10")
        await page.keyboard.press("Control+k")
        await page.keyboard.type("alarm")
        await page.keyboard.press("ArrowDown")
        await expect(option).to_contain_text("Alarm health")
        await page.keyboard.press("ArrowUp")
        await page.keyboard.press("ArrowUp")
        await expect(page.get_by_role("option").last).to_have_attribute("aria-selected", "true")
        await page.keyboard.press("Escape")
        await expect(field).to_be_hidden()
        await page.keyboard.press("Control+k")
        await page.keyboard.type("pause the page")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("button", name="Resume").first).to_be_visible()


async def test_the_palette_asks_the_hub_where_the_page_has_no_fleet(window: Open) -> None:
    hub = alarmed()
    hub.answers["GET /api/v1/lockers"] = {"items": [summary(hub.details["koeln-10"])], "next_cursor": None}
    async with hub.serve():
        page = await (await window(hub)).go("/commands")
        await expect(page.locator(".connection")).to_have_text("Live")
        await page.keyboard.press("Control+k")
        await page.keyboard.type("gate")
        await expect(page.get_by_role("option", name=re.compile("koeln-10"))).to_be_visible()
        await hub.until(lambda hub: hub.asked[-1][1] == "/api/v1/lockers?q=gate&limit=8")
        hub.answers["GET /api/v1/lockers"] = {"items": [], "next_cursor": None}
        await page.keyboard.type(" zzz")
        await expect(page.get_by_text("Nothing is called that.")).to_be_visible()


async def test_an_act_that_is_not_allowed_says_why_and_does_nothing(window: Open) -> None:
    hub = alarmed()
    hub.role = "viewer"
    async with hub.serve():
        page = await (await window(hub)).go("/lockers")
        await expect(page.locator("[data-locker]").first).to_be_visible()
        await page.keyboard.press("Control+k")
        await page.keyboard.type("acknowledge")
        option = page.locator(".palette [aria-selected=true]")
        await expect(option).to_contain_text("This takes the role operator; yours is viewer.")
        await page.keyboard.press("Enter")
        await expect(option).to_be_visible()


async def test_keys_go_to_pages_and_are_listed(window: Open) -> None:
    async with alarmed().serve() as hub:
        page = await (await window(hub)).go("/")
        await expect(page.locator(".heat-cursor")).to_be_attached()
        await page.keyboard.press("g")
        await page.keyboard.press("l")
        await expect(page.locator("[data-locker]").first).to_be_visible()
        await page.keyboard.press("?")
        keys = page.get_by_role("dialog", name="Keyboard")
        await expect(keys.get_by_role("heading", name="Lockers")).to_be_visible()
        await expect(keys).to_contain_text("Next locker")
        await axe(page)
        await page.keyboard.press("g")
        await page.keyboard.press("o")
        await expect(keys).to_be_visible()
        await page.keyboard.press("Escape")
        await page.keyboard.press("p")
        await expect(page.get_by_role("button", name="Resume").first).to_be_visible()


async def test_keys_do_nothing_while_somebody_types_or_has_switched_them_off(window: Open) -> None:
    async with alarmed().serve() as hub:
        page = await (await window(hub)).go("/lockers")
        await expect(page.locator("[data-locker]").first).to_be_visible()
        await page.keyboard.press("/")
        await page.keyboard.type("gop?")
        await expect(page.get_by_role("searchbox")).to_have_value("gop?")
        assert page.url.startswith(f"{hub.base}/lockers")
        await page.keyboard.press("Escape")
        await page.locator("#content").focus()
        await page.keyboard.press("?")
        await page.get_by_label("Single keys do something").uncheck()
        await page.keyboard.press("Escape")
        await page.keyboard.press("p")
        await page.keyboard.press("g")
        await page.keyboard.press("o")
        await page.keyboard.press("Control+k")
        await expect(page.get_by_role("combobox", name="Page, locker or act")).to_be_focused()
        await expect(page.get_by_role("button", name="Resume")).to_have_count(0)
        assert page.url.startswith(f"{hub.base}/lockers")


async def test_there_is_no_such_page(window: Open) -> None:
    async with alarmed().serve() as hub:
        page = await (await window(hub)).go("/lockers")
        await page.evaluate("document.querySelector('lh-shell').app.router.go('/nowhere')")
        await expect(page.get_by_text("There is no such page")).to_be_visible()
        await page.get_by_role("link", name="Go to the fleet").click()
        await expect(page.locator(".kpis")).to_be_visible()
