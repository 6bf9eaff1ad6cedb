import re

import pytest
from playwright.async_api import expect

from tests.dashboards.alarms import alarm, alarming
from tests.dashboards.axe import axe
from tests.dashboards.conftest import Open
from tests.dashboards.fake_hub import FakeHub, fleet

pytestmark = pytest.mark.services


def alarmed() -> FakeHub:
    """Return a fleet with one alarm that nobody has seen."""
    hub = fleet(25)
    hub.details["hamburg-01"]["alarms"]["critical"] = 1
    hub.views["alarms"] = {"alarms": [alarm("one")], "total": 1, "health": None}
    return hub


async def test_pages_follow_one_another_by_themselves(window: Open) -> None:
    async with alarmed().serve() as hub:
        one = await window(hub, own=True)
        await one.page.clock.install()
        page = await one.go("/wall?rotate=20&pages=overview,alarms,site:Berlin")
        title = page.get_by_role("heading", level=1)
        await expect(title).to_have_text("Fleet")
        await expect(page.locator(".figures .kpi-online")).to_contain_text("21")
        await expect(page.get_by_role("navigation")).to_have_count(0)
        await page.clock.fast_forward(21_000)
        await expect(title).to_have_text("Alarms")
        await expect(page.get_by_text("Door 3 was opened by force")).to_be_visible()
        await page.clock.fast_forward(21_000)
        await expect(title).to_have_text("Berlin")
        await expect(page.locator(".figures .kpi-offline")).to_contain_text("1")
        await expect(page.get_by_text("Berlin, campus gate")).to_be_visible()
        await page.clock.fast_forward(21_000)
        await expect(title).to_have_text("Fleet")


async def test_it_is_held_and_turned_by_hand_and_left(window: Open) -> None:
    async with alarmed().serve() as hub:
        one = await window(hub, own=True)
        await one.page.clock.install()
        page = await one.go("/wall?rotate=5&pages=overview,alarms")
        title = page.get_by_role("heading", level=1)
        await expect(title).to_have_text("Fleet")
        await page.get_by_role("button", name="Hold").focus()
        await page.keyboard.press("Enter")
        await page.clock.fast_forward(60_000)
        await expect(page.get_by_text("1 of 2, held")).to_be_visible()
        await expect(title).to_have_text("Fleet")
        await page.keyboard.press("j")
        await expect(title).to_have_text("Alarms")
        await page.get_by_role("link", name="Leave").focus()
        await page.keyboard.press("Enter")
        await expect(page.locator(".kpis")).to_be_visible()
        assert await page.evaluate("document.documentElement.dataset.theme ?? ''") == ""


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (1920, 1080)])
async def test_nothing_goes_over_the_lower_edge_and_what_is_left_out_is_counted(
    window: Open, width: int, height: int
) -> None:
    what = "40 doors were opened in a short time, and no job asked for it"
    alarms = [alarm(f"alarm {number}", what=what, ago_s=number) for number in range(40)]
    async with alarming(*alarms, lockers=300).serve() as hub:
        one = await window(hub, width=width, height=height)
        for pages in ("overview", "alarms", "site:Hamburg"):
            page = await one.go(f"/wall?pages={pages}")
            more = page.get_by_text(re.compile(r"^and \d+ more$")).first
            await expect(more).to_be_in_viewport(ratio=1)
            await expect(page.locator(".wall-foot")).to_be_in_viewport(ratio=1)
            shown = await page.locator(".wall-list").first.locator("li").count()
            assert shown >= 1
            await expect(more).to_have_text(f"and {40 - shown} more")


async def test_it_is_dark_and_says_when_it_is_not_up_to_date(window: Open) -> None:
    async with alarmed().serve() as hub:
        one = await window(hub)
        one.expected.append("WebSocket connection")
        page = await one.go("/wall")
        await expect(page.get_by_text("Live, as of")).to_be_visible()
        assert await page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
        hub.closed_to_viewers = True
        await hub.cut()
        await expect(page.get_by_role("alert")).to_contain_text("Not up to date. No word from the hub since")
        hub.closed_to_viewers = False
        await expect(page.get_by_text("Live, as of")).to_be_visible(timeout=20_000)
        await expect(page.get_by_role("alert")).to_have_count(0)


async def test_nonsense_in_its_address_is_said(window: Open) -> None:
    async with alarmed().serve() as hub:
        page = await (await window(hub)).go("/wall?rotate=soon&pages=coffee,site:Nowhere")
        await expect(page.get_by_text("“rotate=soon” is no number of seconds from 5 to 3600.")).to_be_visible()
        await expect(page.get_by_text("“coffee” is no page of a wallboard")).to_be_visible()
        await expect(page.get_by_text("There is no such site")).to_be_visible()


@pytest.mark.parametrize("width", [360, 1280])
async def test_it_is_accessible(window: Open, width: int) -> None:
    async with alarmed().serve() as hub:
        page = await (await window(hub, width=width)).go("/wall?pages=site:Hamburg")
        await expect(page.get_by_text("Not normal")).to_be_visible()
        await axe(page)
        assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
