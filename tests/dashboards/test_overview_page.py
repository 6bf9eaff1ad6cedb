import re

import pytest
from playwright.async_api import Page, expect

from tests.dashboards.alarms import alarm
from tests.dashboards.axe import axe
from tests.dashboards.conftest import SCHEMES, Open
from tests.dashboards.fake_hub import FakeHub, fleet, summary_of

pytestmark = pytest.mark.services

MARKS = "localStorage.setItem('lockerhub.marks', '1')"


def troubled(lockers: int = 25) -> FakeHub:
    """Return a fleet of which hamburg-01 has a critical alarm, and bremen-06 is under maintenance."""
    hub = fleet(lockers)
    hub.details["hamburg-01"]["alarms"]["critical"] = 1
    hub.details["bremen-06"]["maintenance"] = True
    hub.views["alarms"] = {"alarms": [alarm("one")], "total": 1, "health": None}
    hub.views["summary"] = summary_of(hub.details.values())
    hub.views["summary"]["alarms"]["unacked"] = 1
    return hub


async def test_every_tile_counts_and_leads_to_what_it_counts(window: Open) -> None:
    tiles = [
        ("online", 21, "/lockers?state=online"),
        ("offline", 2, "/lockers?state=offline"),
        ("open", 5, "/lockers?state=open"),
        ("out", 25, "/lockers?service=out"),
        ("maintenance", 1, "/lockers?maintenance=yes"),
        ("never_seen", 2, "/lockers?state=never_seen"),
        ("critical", 1, "/alarms?severity=critical"),
        ("unacked", 1, "/alarms?state=active_unacked,cleared_unacked"),
    ]
    async with troubled().serve() as hub:
        page = await (await window(hub)).go("/")
        for tile, count, address in tiles:
            found = page.locator(f".kpi-{tile}")
            await expect(found.locator(".kpi-count")).to_have_text(str(count))
            await expect(found.locator(".kpi-when")).to_have_text(re.compile(r"as of \d\d:\d\d:\d\d"))
            assert await found.get_attribute("href") == address
            if address.startswith("/lockers"):
                await found.click()
                await expect(page.get_by_text(f"{count} of 25").or_(page.get_by_text("25 of 25"))).to_be_visible()
                await page.go_back()


async def test_tiles_say_that_they_are_old_when_the_hub_is_gone(window: Open) -> None:
    async with troubled().serve() as hub:
        one = await window(hub)
        one.expected.append("WebSocket connection")
        page = await one.go("/")
        await expect(page.locator(".kpi-online .kpi-count")).to_have_text("21")
        await expect(page.locator(".kpi-online")).not_to_contain_text("not now")
        hub.closed_to_viewers = True
        await hub.cut()
        await expect(page.locator(".kpi-online")).to_contain_text("not now")


async def test_the_side_and_the_sites_tell_in_words_what_the_grid_shows(window: Open) -> None:
    async with troubled().serve() as hub:
        page = await (await window(hub)).go("/")
        alarms = page.get_by_role("region", name="Unacknowledged alarms")
        await expect(alarms.get_by_role("listitem")).to_contain_text("Door 3 was opened by force")
        await expect(alarms.get_by_role("listitem")).to_contain_text("critical: ")
        await expect(page.get_by_role("region", name="Not normal")).to_contain_text("Critical alarm")
        berlin = page.get_by_role("row", name=re.compile("^Berlin"))
        await expect(berlin).to_contain_text("1")
        await berlin.get_by_role("link", name="1").first.click()
        await expect(page.locator("[data-locker]")).to_have_attribute("data-locker", "berlin-24")
        await page.goto(f"{hub.base}/")
        await expect(page.get_by_role("row", name=re.compile("^Hamburg"))).to_contain_text("critical")


async def test_a_new_alarm_joins_the_newest_ones_and_is_announced(window: Open) -> None:
    async with troubled().serve() as hub:
        page = await (await window(hub)).go("/")
        await expect(page).to_have_title("(1) Fleet · Lockerhub")
        words = "<b>Köln</b> & co"
        await hub.diff("alarms", {"alarms": [alarm("two", ago_s=1, what=words, severity="high")], "closed": []})
        listed = page.get_by_role("region", name="Unacknowledged alarms").get_by_role("listitem")
        await expect(listed.first).to_contain_text(words)
        await expect(page.locator("[data-announced]")).to_contain_text(f"1 new alarm. high: {words}")
        await expect(page).to_have_title("(2) Fleet · Lockerhub")
        await hub.diff("alarms", {"alarms": [], "closed": [alarm("one")["id"], alarm("two")["id"]], "total": 0})
        await expect(page.get_by_text("Every alarm is acknowledged.")).to_be_visible()
        await expect(page).to_have_title("Fleet · Lockerhub")


async def test_alarms_that_nobody_has_to_see_are_not_announced(window: Open) -> None:
    async with troubled().serve() as hub:
        page = await (await window(hub)).go("/")
        await expect(page).to_have_title("(1) Fleet · Lockerhub")
        quiet = [
            alarm("low", severity="low"),
            alarm("held", suppressed="maintenance"),
            alarm("seen", state="active_acked"),
        ]
        await hub.diff("alarms", {"alarms": quiet, "closed": []})
        await hub.diff("alarms", {"alarms": [alarm("loud", severity="high", what="Loud")], "closed": []})
        await expect(page.locator("[data-announced]")).to_contain_text("1 new alarm. high: Loud")


async def test_the_grid_is_walked_by_keyboard_and_leads_to_a_locker(window: Open) -> None:
    async with troubled().serve() as hub:
        page = await (await window(hub)).go("/")
        cell = page.locator(".heat-cursor")
        await expect(cell).to_have_accessible_name("Berlin, main station, Berlin, Normal")
        await cell.focus()
        await page.keyboard.press("ArrowRight")
        await page.keyboard.press("ArrowRight")
        await expect(cell).to_have_accessible_name("Berlin, campus gate, Berlin, Offline")
        await expect(page.locator(".heat-tip")).to_contain_text("berlin-24")
        await page.keyboard.press("End")
        await page.keyboard.press("Home")
        await page.keyboard.press("ArrowDown")
        await expect(cell).not_to_have_accessible_name("Berlin, main station, Berlin, Normal")
        await page.keyboard.press("Home")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Berlin, main station")


async def test_a_click_on_a_cell_opens_its_locker(window: Open) -> None:
    async with troubled().serve() as hub:
        page = await (await window(hub)).go("/")
        await expect(page.locator(".heat-cursor")).to_be_attached()
        box = await page.locator(".heat canvas").bounding_box()
        assert box is not None
        await page.mouse.click(box["x"] + 40, box["y"] + 30)
        await expect(page).to_have_url(f"{hub.base}/lockers/berlin-16")


async def test_only_cells_that_changed_are_drawn_again(window: Open) -> None:
    async with troubled().serve() as hub:
        one = await window(hub, own=True)
        await one.page.add_init_script(MARKS)
        page = await one.go("/")
        await page.wait_for_function(MARKED, arg=25)
        assert await page.evaluate("performance.getEntriesByName('lh-first-view').length") == 1
        # A stain on a cell that nothing happens to: it would be gone if all were drawn again.
        await page.evaluate("document.querySelector('.heat canvas').getContext('2d').fillRect(300, 20, 40, 40)")
        before = await cells(page)
        await page.evaluate("performance.clearMarks('lh-paint')")
        await hub.change_locker("berlin-08", state="offline")
        await page.wait_for_function(MARKED, arg=1)
        painted = "performance.getEntriesByName('lh-paint').flatMap((mark) => mark.detail.ids)"
        assert await page.evaluate(painted) == ["berlin-08"]
        after = await cells(page)
        changed = [n for n, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
        assert changed == [0]


async def test_a_locker_that_comes_gets_its_cell(window: Open) -> None:
    async with fleet(3).serve() as hub:
        page = await (await window(hub)).go("/")
        await expect(page.get_by_role("row")).to_have_count(4)
        new = {**hub.details["hamburg-01"], "id": "aachen-01", "site": "Aachen", "name": "Aachen, dome"}
        await hub.diff("fleet", {"lockers": [["aachen-01", new]], "removed": []})
        await expect(page.get_by_role("row", name=re.compile("^Aachen"))).to_be_visible()
        await expect(page.locator(".heat-cursor")).to_have_accessible_name("Aachen, dome, Aachen, Normal")
        await hub.diff("fleet", {"lockers": [], "removed": ["aachen-01"]})
        await expect(page.get_by_role("row", name=re.compile("^Aachen"))).to_have_count(0)


async def test_an_empty_fleet_says_so(window: Open) -> None:
    async with fleet(0).serve() as hub:
        page = await (await window(hub)).go("/")
        await expect(page.get_by_text("No lockers yet")).to_be_visible()


@pytest.mark.parametrize("width", [360, 1280])
async def test_it_is_accessible(window: Open, width: int) -> None:
    async with troubled().serve() as hub:
        one = await window(hub, width=width)
        page = await one.go("/")
        await expect(page.get_by_role("region", name="Sites")).to_be_visible()
        assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        for scheme in SCHEMES:
            await one.show(scheme=scheme)
            await axe(page)


MARKED = """(least) => performance.getEntriesByName('lh-paint')
  .reduce((sum, mark) => sum + mark.detail.ids.length, 0) >= least"""


async def cells(page: Page) -> list[str]:
    """Return what each cell of the grid looks like, as numbers in a text."""
    found: list[str] = await page.evaluate(
        """async () => {
          const { layoutOf } = await import('/static/app/heat.js');
          const { app } = document.querySelector('lh-shell');
          const canvas = document.querySelector('.heat canvas');
          const { cells, pitch } = layoutOf(app.fleet.lockers.values(), canvas.width);
          const copy = new OffscreenCanvas(canvas.width, canvas.height);
          const on = copy.getContext('2d', { willReadFrequently: true });
          on.drawImage(canvas, 0, 0);
          return cells.map(({ x, y }) => on.getImageData(x, y, pitch, pitch).data.join(' '));
        }"""
    )
    return found
