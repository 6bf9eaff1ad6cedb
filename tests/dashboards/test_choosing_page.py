"""Choosing many lockers, what is done with them, saved views, and the list as a file."""

import csv
import json

import pytest
from aiohttp import web
from playwright.async_api import Page, expect

from tests.dashboards.axe import axe
from tests.dashboards.conftest import Open
from tests.dashboards.fake_hub import FakeHub, Json, fleet, problem

pytestmark = pytest.mark.services


def alarmed() -> FakeHub:
    """Return a fleet in which three of Berlin's and Hamburg's lockers have an alarm."""
    hub = fleet(25)
    for name in ("berlin-08", "berlin-24", "hamburg-01"):
        hub.details[name]["alarms"]["high"] = 2

    def acknowledge(_: web.Request, body: Json) -> Json:
        locker = body["filter"]["locker"]
        skipped = [{"id": "x", "why": "already_acked"}] if locker == "berlin-24" else []
        return {"done": 2 - len(skipped), "skipped": skipped}

    hub.answers["POST /api/v1/alarms/acknowledge"] = acknowledge
    hub.answers["POST /api/v1/maintenance"] = {"id": "m", "state": "running"}
    return hub


async def ready(page: Page) -> None:
    await expect(page.locator("[data-locker]").first).to_be_visible()


async def test_many_are_acknowledged_after_a_count_a_list_and_a_typed_number(window: Open) -> None:
    async with alarmed().serve() as hub:
        page = await (await window(hub)).go("/lockers?site=Berlin&sort=id")
        await ready(page)
        await page.keyboard.press("j")
        await page.keyboard.press("x")
        await page.keyboard.press("j")
        await page.keyboard.press("j")
        await page.keyboard.press("X")
        await expect(page.get_by_text("3 chosen")).to_be_visible()
        await page.keyboard.press("a")
        dialog = page.get_by_role("dialog", name="Acknowledge the alarms of 2 lockers")
        await expect(dialog.get_by_role("listitem")).to_have_count(2)
        await expect(dialog).to_contain_text("1 skipped: 1 no alarm")
        await expect(dialog.get_by_role("button", name="Leave it")).to_be_focused()
        await axe(page)
        go = dialog.get_by_role("button", name="Acknowledge")
        await expect(go).to_be_disabled()
        await dialog.get_by_label("Note").fill("<b>seen</b>")
        await page.keyboard.press("Enter")
        await dialog.get_by_label("Type 2 to confirm").fill("2")
        await page.keyboard.press("Enter")
        assert hub.asked == []
        await go.click()
        said = page.get_by_role("status").filter(has_text="acknowledged")
        await expect(said).to_have_text("3 alarms acknowledged, 1 skipped: 1 already acked. 1 skipped: 1 no alarm.")
        bodies = sorted((body for _, _, body in hub.asked), key=str)
        assert bodies == [{"filter": {"locker": one}, "note": "<b>seen</b>"} for one in ("berlin-08", "berlin-24")]


async def test_one_is_acknowledged_without_a_question(window: Open) -> None:
    async with alarmed().serve() as hub:
        page = await (await window(hub)).go("/lockers?q=berlin-08")
        await ready(page)
        await page.keyboard.press("j")
        await page.keyboard.press("a")
        await expect(page.get_by_text("2 alarms acknowledged.")).to_be_visible()
        assert [body for _, _, body in hub.asked] == [{"filter": {"locker": "berlin-08"}}]


async def test_maintenance_is_planned_for_those_that_have_none(window: Open) -> None:
    hub = alarmed()
    hub.details["berlin-16"]["maintenance"] = True
    async with hub.serve():
        page = await (await window(hub)).go("/lockers?site=Berlin")
        await ready(page)
        await page.get_by_label("Choose all 3 listed lockers").check()
        await page.get_by_role("button", name="Maintenance…").click()
        dialog = page.get_by_role("dialog", name="Plan maintenance for 2 lockers")
        await expect(dialog).to_contain_text("1 skipped: 1 already under maintenance")
        await dialog.get_by_label("Why").fill("new hinges")
        await dialog.get_by_label("Type 2 to confirm").fill("2")
        until = dialog.get_by_label("Until")
        kept = await until.input_value()
        await until.fill("2001-01-01T00:00:00")
        await dialog.get_by_role("button", name="Plan it").click()
        await expect(dialog.get_by_role("alert")).to_have_text("It has to end after it begins.")
        await until.fill(kept)
        await dialog.get_by_role("button", name="Plan it").click()
        await expect(page.get_by_text("Maintenance is planned for 2 lockers. 1 skipped")).to_be_visible()
        planned = [body for _, _, body in hub.asked if body]
        assert {body["locker"] for body in planned} == {"berlin-08", "berlin-24"}
        assert {body["why"] for body in planned} == {"new hinges"}
        assert all(body["ends_at"] > body["starts_at"] for body in planned)


async def test_what_the_hub_refuses_is_counted(window: Open) -> None:
    hub = alarmed()
    hub.answers["POST /api/v1/alarms/acknowledge"] = lambda *_: problem(503, "busy", "The hub is busy", "")
    async with hub.serve():
        one = await window(hub)
        one.expected.append("503")
        page = await one.go("/lockers?q=berlin-08")
        await ready(page)
        await page.keyboard.press("j")
        await page.keyboard.press("a")
        await expect(page.get_by_text("1 locker failed: The hub is busy.")).to_be_visible()


async def test_commands_go_on_to_a_job_without_those_that_cannot_hear(window: Open) -> None:
    async with alarmed().serve() as hub:
        page = await (await window(hub)).go("/lockers?site=Berlin&sort=id")
        await ready(page)
        await page.get_by_label("Choose all 3 listed lockers").check()
        await page.get_by_role("button", name="Open doors…").click()
        dialog = page.get_by_role("dialog", name="Open doors of 2 lockers")
        await expect(dialog).to_contain_text("1 skipped: 1 offline")
        await dialog.get_by_role("button", name="Go on to the job").click()
        await expect(page).to_have_url(f"{hub.base}/jobs/new?kind=open&lockers=berlin-08%2Cberlin-16")


async def test_all_that_match_are_chosen_and_handed_over(window: Open) -> None:
    async with fleet(200, doors=4).serve() as hub:
        page = await (await window(hub)).go("/lockers?state=online&sort=id")
        await ready(page)
        first = page.locator("[data-locker]").first
        await first.get_by_role("checkbox").check()
        await page.get_by_role("button", name="Choose all 167 listed").click()
        await expect(page.get_by_text("167 chosen")).to_be_visible()
        await page.get_by_role("button", name="Locate…").click()
        await page.get_by_role("button", name="Go on to the job").click()
        await expect(page).to_have_url(f"{hub.base}/jobs/new?kind=locate&chosen=")
        handed = json.loads(await page.evaluate("sessionStorage.getItem('lockerhub.chosen')"))
        assert len(handed) == len(set(handed)) == 167


async def test_a_viewer_sees_why_nothing_can_be_done(window: Open) -> None:
    hub = alarmed()
    hub.role = "viewer"
    async with hub.serve():
        page = await (await window(hub)).go("/lockers")
        await ready(page)
        await page.keyboard.press("j")
        await page.keyboard.press("x")
        act = page.get_by_role("button", name="Restart…")
        await expect(act).to_be_disabled()
        await expect(act).to_have_accessible_description("This takes the role operator; yours is viewer.")


async def test_it_is_searched_and_filtered_by_everything_that_is_known(window: Open) -> None:
    wanted: dict[str, list[str]] = {
        "q=LH-00010": ["koeln-10"],
        "q=Hafenstraße 10": ["koeln-10"],
        "q=0.1.0 koeln-10": ["koeln-10"],
        "q=pilot&site=Bremen": ["bremen-14"],
        "tag=pilot&site=München": [],
        "alarms=high&sort=id": ["berlin-08", "berlin-24", "hamburg-01"],
        "alarms=critical": [],
        "maintenance=yes": ["essen-07"],
    }
    hub = alarmed()
    hub.details["essen-07"]["maintenance"] = True
    async with hub.serve():
        one = await window(hub)
        for query, found in wanted.items():
            page = await one.go(f"/lockers?{query}")
            await expect(page.get_by_text(f"{len(found)} of 25")).to_be_visible()
            rows = page.locator("[data-locker]")
            await expect(rows).to_have_count(len(found))
            for n, locker in enumerate(found):
                await expect(rows.nth(n)).to_have_attribute("data-locker", locker)


async def test_chips_take_filters_away(window: Open) -> None:
    async with alarmed().serve() as hub:
        page = await (await window(hub)).go("/lockers?site=Berlin&alarms=any")
        await expect(page.get_by_text("2 of 25")).to_be_visible()
        await page.get_by_role("link", name="Leave out Site Berlin").click()
        await expect(page.get_by_text("3 of 25")).to_be_visible()
        assert page.url == f"{hub.base}/lockers?alarms=any"


async def test_a_filter_that_makes_no_sense_says_so(window: Open) -> None:
    async with alarmed().serve() as hub:
        page = await (await window(hub)).go("/lockers?state=asleep&frob=%3Cb%3E&alarms=huge")
        said = page.get_by_role("alert")
        await expect(said).to_contain_text(
            "“asleep” is no state; it can be all, online, offline, open, never_seen."
        )
        await expect(said).to_contain_text("There is no filter “frob”.")
        await expect(page.get_by_text("25 lockers")).to_be_visible()


async def test_views_are_kept_under_a_name_and_deleted(window: Open) -> None:
    async with alarmed().serve() as hub:
        page = await (await window(hub)).go("/lockers?site=Berlin")
        await ready(page)
        await page.get_by_role("button", name="Views").click()
        await page.get_by_role("button", name="Keep").click()
        await expect(page.get_by_text("Give the view a name.")).to_be_visible()
        await page.get_by_label("Name of this view").fill("<i>mine</i>")
        await page.get_by_role("button", name="Keep").click()
        await page.goto(f"{hub.base}/lockers")
        await page.get_by_role("button", name="Views (1)").click()
        await axe(page)
        await page.get_by_role("link", name="<i>mine</i>").click()
        await expect(page.get_by_text("3 of 25")).to_be_visible()
        await page.get_by_role("button", name="Views (1)").click()
        await page.get_by_role("button", name="Delete the view <i>mine</i>").click()
        await expect(page.get_by_role("button", name="Views", exact=True)).to_be_visible()


async def test_the_listed_lockers_are_a_harmless_file(window: Open) -> None:
    hub = alarmed()
    hub.details["berlin-08"]["name"] = '=HYPERLINK("x")'
    async with hub.serve():
        page = await (await window(hub)).go("/lockers?site=Berlin&sort=id")
        await ready(page)
        async with page.expect_download() as started:
            await page.get_by_role("button", name="CSV").click()
        path = await (await started.value).path()
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
        assert [row["id"] for row in rows] == ["berlin-08", "berlin-16", "berlin-24"]
        assert rows[0]["name"] == '\'=HYPERLINK("x")'
        assert rows[0]["alarms_high"] == "2"
        assert rows[2]["state"] == "offline"


@pytest.mark.parametrize("width", [360, 1280])
async def test_it_is_accessible(window: Open, width: int) -> None:
    async with alarmed().serve() as hub:
        page = await (await window(hub, width=width, scheme="dark")).go("/lockers?site=Berlin")
        await ready(page)
        await page.locator("[data-locker] input").first.check()
        await axe(page)
        assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
