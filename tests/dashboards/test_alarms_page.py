import json
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import Page, expect

from tests.dashboards.alarms import FORCED, JAM, LEFT, acked, alarm, alarming, many, outage, row, takes
from tests.dashboards.axe import axe
from tests.dashboards.conftest import SCHEMES, Open
from tests.dashboards.fake_hub import Json, problem, stamp

pytestmark = pytest.mark.services

MARKUP = '<img src=x onerror="document.title=1"><b>Door</b>'


async def test_the_most_urgent_stands_first_and_all_four_looks_have_words(window: Open) -> None:
    cleared = {**LEFT, "id": LEFT["id"][:-1] + "f", "state": "cleared_unacked", "severity": "critical"}
    seen = acked(JAM)
    hub = alarming(cleared, seen, LEFT, FORCED)
    async with hub.serve():
        page = await (await window(hub)).go("/alarms")
        await expect(page.locator("[data-alarm]")).to_have_count(4)
        order = await page.locator("[data-alarm]").evaluate_all("(all) => all.map((one) => one.dataset.state)")
        assert order == ["active_unacked", "active_unacked", "active_acked", "cleared_unacked"]
        await expect(page.locator("[data-alarm]").first).to_contain_text("Critical")
        await expect(row(page, cleared)).to_contain_text("Cleared, unacknowledged")
        await axe(page)


async def test_an_outage_is_one_row_that_opens_to_its_lockers(window: Open) -> None:
    hub = alarming(*outage("Leipzig", 7), JAM)
    async with hub.serve():
        page = await (await window(hub)).go("/alarms")
        await expect(page.locator("[data-alarm]")).to_have_count(2)
        parent = page.locator("[data-alarm]").first
        await expect(parent).to_contain_text("7 lockers of the site cannot be reached")
        await parent.get_by_role("button", name="7 alarms of this outage").click()
        await expect(page.locator("[data-level='1']")).to_have_count(7)
        await expect(page.locator("[data-level='1']").first).to_contain_text("leipzig-0")
        await page.keyboard.press("ArrowLeft")
        # One of its lockers is looked for: the outage shows it without being opened.
        await page.get_by_role("searchbox").fill("leipzig-04")
        await expect(page.locator("[data-level='1']")).to_have_count(1)
        await expect(page.locator("[data-alarm]").first).to_contain_text("7 lockers of the site")


async def test_a_flood_says_so_and_offers_to_group(window: Open) -> None:
    hub = alarming(*many(60), flood=True, flood_since=stamp(-900), rate_10min=34)
    bodies = takes(hub, "acknowledge")
    async with hub.serve():
        page = await (await window(hub)).go("/alarms")
        await expect(page.get_by_role("alert")).to_contain_text("34 alarms in ten minutes")
        await page.get_by_role("link", name="Group by type").click()
        await expect(page.locator("[data-group]")).to_have_count(5)
        await expect(page.locator("[data-group='door.forced']")).to_contain_text("12")
        await axe(page)
        await page.locator("[data-group='door.forced']").get_by_role("button", name="Door forced").click()
        await expect(page.locator("[data-alarm]").first).to_contain_text("opened by force")
        await page.get_by_label("Mark all of Door forced").check()
        await expect(page.get_by_text("12 alarms marked")).to_be_visible()
        await page.keyboard.press("a")
        await expect(page.get_by_text("12 acknowledged")).to_be_visible()
        assert len(bodies[0]["ids"]) == 12


async def test_filters_live_in_the_address_and_the_way_back_works(window: Open) -> None:
    hub = alarming(FORCED, JAM, LEFT)
    async with hub.serve():
        page = await (await window(hub)).go("/alarms")
        await page.get_by_role("link", name="Critical").click()
        await expect(page.locator("[data-alarm]")).to_have_count(1)
        assert page.url == f"{hub.base}/alarms?severity=critical"
        await page.get_by_role("link", name="Critical").click()
        await page.get_by_role("link", name="Door jammed").click()
        await expect(row(page, JAM)).to_be_visible()
        await expect(page.locator("[data-alarm]")).to_have_count(1)
        await page.get_by_role("link", name="Door left open").click()
        await expect(page.locator("[data-alarm]")).to_have_count(2)
        assert page.url == f"{hub.base}/alarms?type=door.jammed%2Cdoor.left_open"
        await page.reload()
        await expect(page.locator("[data-alarm]")).to_have_count(2)
        await page.go_back()
        await expect(page.locator("[data-alarm]")).to_have_count(1)
        await page.goto(f"{hub.base}/alarms?locker=berlin-08")
        await expect(page.locator("[data-alarm]")).to_have_count(1)
        await page.get_by_role("link", name="Locker berlin-08").click()
        await expect(page.locator("[data-alarm]")).to_have_count(3)
        await page.get_by_role("combobox", name="Site").select_option("Berlin")
        await expect(page.locator("[data-alarm]")).to_have_count(1)
        await page.get_by_role("searchbox").fill("zzz")
        await expect(page.get_by_text("No alarm matches")).to_be_visible()
        await page.get_by_role("link", name="Clear the filter").click()
        await expect(page.locator("[data-alarm]")).to_have_count(3)


async def test_nonsense_in_the_address_says_so(window: Open) -> None:
    hub = alarming(FORCED, JAM)
    async with hub.serve():
        page = await (await window(hub)).go("/alarms?severity=purple,high&state=x&since=yesterday&group=colour")
        told = page.get_by_role("alert")
        for part in ("no severity “purple”", "no state “x”", "“since” is no time", "“group” cannot be “colour”"):
            await expect(told).to_contain_text(part)
        await expect(page.locator("[data-alarm]")).to_have_count(1)
        await told.get_by_role("link", name="Leave it out").click()
        await expect(page.get_by_role("alert")).to_have_count(0)
        assert page.url == f"{hub.base}/alarms?severity=high"


async def test_rows_hold_still_while_pointed_at_and_new_ones_are_announced(window: Open) -> None:
    hub = alarming(JAM, LEFT)
    async with hub.serve():
        one = await window(hub, own=True)
        await one.page.clock.install()
        page = await one.go("/alarms")
        await row(page, LEFT).hover()
        await hub.diff("alarms", {"alarms": [FORCED], "total": 3})
        await page.clock.fast_forward(3_000)
        await expect(page.get_by_role("button", name="1 new alarm: show")).to_be_visible()
        assert await row(page, JAM).get_attribute("data-index") == "0"
        await page.get_by_role("button", name="1 new alarm: show").click()
        await expect(row(page, FORCED)).to_have_attribute("data-index", "0")


async def test_what_is_closed_comes_page_by_page(window: Open) -> None:
    hub = alarming(FORCED)
    closed = [
        acked({**alarm(f"c{n}", ago_s=9000 + n), "state": "cleared_unacked", "cleared_at": stamp(-60)})
        for n in range(3)
    ]

    def answer(request: web.Request, _: Json | None) -> Json:
        assert request.query["open"] == "false"
        start = int(request.query.get("cursor", "0"))
        return {"items": closed[start : start + 2], "next_cursor": "2" if start == 0 else None}

    hub.answers["GET /api/v1/alarms"] = answer
    async with hub.serve():
        page = await (await window(hub)).go("/alarms")
        await page.get_by_role("link", name="History").click()
        await expect(page.locator("[data-alarm]")).to_have_count(2)
        await expect(page.locator("[data-alarm]").first).to_contain_text("Closed")
        await page.get_by_role("button", name="Older").click()
        await expect(page.locator("[data-alarm]")).to_have_count(3)
        await axe(page)
        await page.get_by_label("Since").fill("2026-01-02")
        await expect(page.locator("[data-alarm]")).to_have_count(2)
        assert any("since=2026-01-0" in path for _, path, _ in hub.asked)


async def test_history_that_cannot_be_had_says_why_and_can_be_asked_again(window: Open) -> None:
    hub = alarming(FORCED)
    hub.answers["GET /api/v1/alarms"] = lambda *_: problem(503, "no_database", "No database", "It is away.")
    async with hub.serve():
        one = await window(hub)
        one.expected.append("503")
        page = await one.go("/alarms?open=false")
        await expect(page.get_by_role("alert")).to_contain_text("It is away.")
        hub.answers["GET /api/v1/alarms"] = {"items": [], "next_cursor": None}
        await page.get_by_role("button", name="Try again").click()
        await expect(page.get_by_text("No alarm was closed yet")).to_be_visible()


async def test_the_past_shows_what_was_open_then_and_nothing_can_be_done(window: Open) -> None:
    hub = alarming(FORCED)
    hub.answers["GET /api/v1/alarms"] = {"items": [JAM], "next_cursor": None}
    async with hub.serve():
        page = await (await window(hub)).go("/alarms?at=2026-01-01T10:00:00Z")
        await expect(row(page, JAM)).to_be_visible()
        await expect(row(page, FORCED)).to_have_count(0)
        button = row(page, JAM).get_by_role("button", name="Acknowledge")
        await expect(button).to_be_disabled()
        await expect(button).to_have_attribute("title", "This is the past. Go back to now to act.")


async def test_more_than_the_hub_sends_says_how_many_there_are(window: Open) -> None:
    hub = alarming(*many(1000), total=4321)
    bodies = takes(hub, "acknowledge")
    async with hub.serve():
        page = await (await window(hub)).go("/alarms")
        await expect(page.get_by_text("4,321 open alarms in all, the worst 1,000 shown")).to_be_visible()
        await page.keyboard.press("*")
        await expect(page.get_by_text("All 1,000 and what is not shown")).to_be_visible()
        await page.keyboard.press("a")
        await page.get_by_label("Type 1,000").fill("1000")
        await page.get_by_role("dialog").get_by_role("button", name="Acknowledge", exact=True).click()
        await expect(page.locator(".act-results")).to_contain_text("acknowledged")
        assert bodies == [{"filter": {"suppressed": "none"}}]


async def test_five_thousand_alarms_take_sixty_row_elements(window: Open) -> None:
    hub = alarming(*many(5000))
    async with hub.serve():
        page = await (await window(hub)).go("/alarms")
        await expect(page.get_by_text("5,000 alarms", exact=True)).to_be_visible()
        await page.locator(".alarm-link").first.focus()
        await page.keyboard.press("End")
        last = page.locator("[data-index='4999']")
        await expect(last).to_be_visible()
        assert await page.locator(".alarm-rows > li").count() <= 60
        await page.get_by_role("searchbox").fill("leipzig-07 force")
        await expect(page.locator("[data-alarm]").first).to_contain_text("leipzig-07")
        assert await page.locator(".alarm-rows > li").count() <= 60


async def test_markup_stays_text(window: Open) -> None:
    strange = alarm("m", what=MARKUP, where=MARKUP, site=MARKUP, locker=MARKUP)
    seen = acked(alarm("n"), acked_by=MARKUP)
    hub = alarming(strange, seen)
    takes(hub, "acknowledge", [{"id": strange["id"], "why": MARKUP}])
    async with hub.serve():
        page = await (await window(hub)).go("/alarms")
        await expect(row(page, strange).locator(".alarm-link")).to_have_text(MARKUP)
        await expect(row(page, seen)).to_contain_text(MARKUP)
        await row(page, strange).get_by_role("button", name="Acknowledge").click()
        await expect(page.locator(".act-results")).to_contain_text(MARKUP)
        await row(page, strange).get_by_role("button", name="Shelve").click()
        await expect(page.get_by_role("dialog")).to_contain_text(MARKUP)
        assert await page.locator("main img, main b").count() == 0


async def test_a_phone_needs_no_sideways_scrolling(window: Open) -> None:
    long = alarm(
        "l", what="A long text " * 9, where="Somewhere far away " * 6, chattering=True, stale=True, count=999
    )
    hub = alarming(long, *outage("Leipzig", 3), *many(30), flood=True, flood_since=stamp(-60), rate_10min=40)
    async with hub.serve():
        one = await window(hub, width=360, height=740)
        page = await one.go("/alarms")
        await expect(row(page, long)).to_be_visible()
        assert await wide(page) <= 360
        for scheme in SCHEMES:
            await one.show(scheme=scheme)
            await axe(page)
        await row(page, long).get_by_role("checkbox").check()
        await expect(page.get_by_text("1 alarm marked")).to_be_visible()
        assert await wide(page) <= 360
        for heights in await page.locator(".alarm-rows .alarm").evaluate_all(
            "(all) => all.map((one) => [one.scrollHeight, one.clientHeight])"
        ):
            assert heights[0] <= heights[1]


async def test_a_file_of_what_is_listed_can_be_kept(window: Open) -> None:
    hub = alarming(FORCED, alarm("f", severity="low", what="=1+1"))
    async with hub.serve():
        page = await (await window(hub)).go("/alarms?severity=low")
        await expect(page.locator("[data-alarm]")).to_have_count(1)
        async with page.expect_download() as asked:
            await page.get_by_role("button", name="CSV").click()
        path = await (await asked.value).path()
        head, line = path.read_text(encoding="utf-8").splitlines()
        assert head.startswith("id,type,severity,state,site,locker,door,what,")
        assert "'=1+1" in line


async def test_only_the_hub_can_say_that_its_alarms_are_not_to_be_had(window: Open) -> None:
    hub = alarming()
    hub.views["alarms"] = None  # type: ignore[assignment]
    async with hub.serve():
        page = await (await window(hub)).go("/alarms")
        await expect(page.get_by_text("The hub does not show its alarms")).to_be_visible()


async def wide(page: Page) -> int:
    found: Any = await page.evaluate("document.documentElement.scrollWidth")
    return int(json.dumps(found))
