import pytest
from aiohttp import web
from playwright.async_api import Browser, Page, expect

from tests.dashboards.axe import axe
from tests.dashboards.conftest import Open
from tests.dashboards.fake_hub import FakeHub, Json, fleet, problem, stamp

pytestmark = pytest.mark.services

MARKUP = '<img src=x onerror="document.title=1"><b>move</b>'


def work(name: str, state: str, begins_s: float, ends_s: float, **more: object) -> Json:
    return {
        "id": name,
        "site": "Berlin",
        "locker": None,
        "door": None,
        "starts_at": stamp(begins_s),
        "ends_at": stamp(ends_s),
        "why": "network is moved",
        "by": "anna",
        "state": state,
        **more,
    }


def working(*windows: Json) -> FakeHub:
    """Return a hub with these windows, which makes and ends what it is asked to."""
    hub = fleet(25)
    known = list(windows)

    def make(_: web.Request, body: Json | None) -> Json:
        assert body is not None
        made = {"site": None, "locker": None, "door": None, "id": "new", "by": "ben", "state": "running", **body}
        known.append(made)
        return made

    hub.answers["GET /api/v1/maintenance"] = lambda *_: {"items": known, "next_cursor": None}
    hub.answers["POST /api/v1/maintenance"] = make
    for one in known:

        def end(_: web.Request, __: Json | None, mine: Json = one) -> Json:
            mine["state"] = "ended"
            return mine

        hub.answers[f"POST /api/v1/maintenance/{one['id']}/end"] = end
    return hub


async def test_windows_stand_by_what_they_are_and_one_is_ended(window: Open) -> None:
    running = work("r", "running", -600, 3600, why=MARKUP)
    planned = work("p", "planned", 86400, 90000, site=None, locker="berlin-08", door=3)
    hub = working(work("o", "over", -9000, -5000), planned, running)
    async with hub.serve():
        page = await (await window(hub)).go("/maintenance")
        await expect(page.get_by_role("list", name="Running")).to_contain_text("Site Berlin")
        await expect(page.get_by_role("list", name="Running")).to_contain_text(MARKUP)
        await expect(page.get_by_role("list", name="Running")).to_contain_text("left")
        await expect(page.get_by_role("list", name="Planned")).to_contain_text("Locker berlin-08, door 3")
        await expect(page.get_by_role("list", name="Planned")).to_contain_text("begins in 24 h")
        await expect(page.get_by_role("list", name="Over")).to_contain_text("Over")
        assert await page.locator("main img, main b").count() == 0
        await axe(page)
        await page.get_by_role("button", name="End now: Site Berlin").click()
        await expect(page.get_by_role("list", name="Over")).to_contain_text("Ended early")
        await expect(page.get_by_role("list", name="Running")).to_have_count(0)


async def test_one_is_made_from_now_for_two_hours(window: Open) -> None:
    hub = working()
    async with hub.serve():
        page = await (await window(hub)).go("/maintenance")
        await expect(page.get_by_text("No maintenance is planned")).to_be_visible()
        await page.get_by_label("Site", exact=True).fill("Berlin")
        await page.get_by_role("button", name="2 h").click()
        await page.get_by_label("Why").fill("network is moved")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("list", name="Running")).to_contain_text("Site Berlin")
        asked = next(body for method, _, body in hub.asked if method == "POST")
        assert asked is not None
        assert asked["site"] == "Berlin"
        assert asked["why"] == "network is moved"
        lasts = await page.evaluate(
            "({ starts_at, ends_at }) => Date.parse(ends_at) - Date.parse(starts_at)", asked
        )
        assert lasts == 2 * 3_600_000


async def test_what_is_wrong_is_said_at_its_field(window: Open) -> None:
    hub = working(work("r", "running", -600, 3600))
    async with hub.serve():
        page = await (await window(hub)).go("/maintenance")
        await expect(page.get_by_role("list", name="Running")).to_be_visible()
        make = page.get_by_role("button", name="Make the window")
        await make.click()
        await expect(page.get_by_label("Site", exact=True)).to_be_focused()
        for field, said in {
            "name": "Name the site",
            "from": "when it begins",
            "to": "when it ends",
            "why": "Say why",
        }.items():
            await expect(page.locator(f"#window-{field}-wrong")).to_contain_text(said)
        await axe(page)
        await page.get_by_label("Site", exact=True).fill("Atlantis")
        await expect(page.locator("#window-name-wrong")).to_contain_text("There is no site “Atlantis”")
        await times(page, "2020-01-01T10:00", "2020-01-01T09:00")
        await expect(page.locator("#window-from-wrong")).to_contain_text("in the past")
        await expect(page.locator("#window-to-wrong")).to_contain_text("ends before it begins")
        await times(page, "2020-01-01T10:00", "2020-01-01T11:00")
        await expect(page.locator("#window-to-wrong")).to_contain_text("over already")
        await page.get_by_label("Site", exact=True).fill("Berlin")
        await page.get_by_role("button", name="1 h").click()
        await expect(page.locator("#window-overlap")).to_contain_text("It overlaps “network is moved”, by anna")
        await page.get_by_label("A locker or door").check()
        await page.get_by_label("Locker id").fill("berlin-08")
        await page.get_by_label("Door", exact=False).last.fill("17")
        await expect(page.locator("#window-door-wrong")).to_contain_text("berlin-08 has 16 doors")
        assert not [path for method, path, _ in hub.asked if method == "POST"]


async def test_what_the_hub_refuses_is_said_and_nothing_typed_is_lost(window: Open) -> None:
    hub = working()
    hub.answers["POST /api/v1/maintenance"] = lambda *_: problem(
        409, "too_many", "Too many windows", "End some first."
    )
    async with hub.serve():
        one = await window(hub)
        one.expected.append("409")
        page = await one.go("/maintenance?locker=berlin-08&door=3")
        await expect(page.get_by_label("Locker id")).to_have_value("berlin-08")
        await page.get_by_role("button", name="1 h").click()
        await page.get_by_label("Why").fill("new lock")
        await page.get_by_role("button", name="Make the window").click()
        await expect(page.get_by_role("alert")).to_contain_text("End some first.")
        await expect(page.get_by_label("Why")).to_have_value("new lock")


async def test_a_viewer_may_look(window: Open) -> None:
    hub = working(work("r", "running", -600, 3600))
    hub.role = "viewer"
    async with hub.serve():
        page = await (await window(hub)).go("/maintenance")
        await expect(page.get_by_role("button", name="End now: Site Berlin")).to_be_disabled()
        await expect(page.get_by_role("button", name="Make the window")).to_be_disabled()


async def test_a_phone_needs_no_sideways_scrolling(window: Open) -> None:
    hub = working(work("r", "running", -600, 3600, why="w" * 200, site="S" * 100), work("p", "planned", 600, 700))
    async with hub.serve():
        page = await (await window(hub, width=360, height=740, scheme="dark")).go("/maintenance")
        await expect(page.get_by_role("list", name="Running")).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360
        await axe(page)


async def times(page: Page, begins: str, ends: str) -> None:
    await page.get_by_label("From", exact=True).fill(begins)
    await page.get_by_label("To", exact=True).fill(ends)


TWICE = """
async () => {
  const { check, fieldTime } = await import('/static/app/windows.js');
  const { momentOfField } = await import('/static/app/moment.js');
  const now = Date.parse('2026-11-01T05:00:30Z');
  const draft = {
    where: 'site', name: 'Berlin', door: '', why: 'works', from: fieldTime(now), to: fieldTime(now + 1.2e6),
  };
  const { wrong, wanted } = check(draft, [], now, { sites: [], lockers: new Map() });
  return [wrong, wanted?.starts_at, wanted?.ends_at, Number.isNaN(momentOfField('soon', 0))];
}
"""
FIELD = """
async ([text, after]) => {
  const { momentOfField } = await import('/static/app/moment.js');
  return new Date(momentOfField(text, Date.parse(after))).toISOString();
}
"""


async def test_in_the_hour_that_comes_twice_maintenance_can_be_planned(browser: Browser) -> None:
    """In St. John's, 1:30 came at 4:00 UTC, and now comes again, at 5:00."""
    async with working().serve() as hub:
        context = await browser.new_context(timezone_id="America/St_Johns")
        page = await context.new_page()
        await page.goto(hub.base)
        planned = await page.evaluate(TWICE)
        assert planned == [{}, "2026-11-01T05:00:00.000Z", "2026-11-01T05:20:00.000Z", True]
        for text, after, moment in (
            ("2026-11-01T01:30", "2026-11-01T03:00Z", "2026-11-01T04:00"),
            ("2026-11-01T01:30", "2026-11-01T04:01Z", "2026-11-01T05:00"),
            ("2026-10-31T01:30", "2026-11-01T03:00Z", "2026-10-31T04:00"),
            ("2026-11-01T03:30", "2026-11-01T09:00Z", "2026-11-01T07:00"),
            ("2027-03-14T02:30", "2027-03-14T09:00Z", "2027-03-14T06:00"),
        ):
            assert await page.evaluate(FIELD, [text, after]) == f"{moment}:00.000Z"
        await context.close()
