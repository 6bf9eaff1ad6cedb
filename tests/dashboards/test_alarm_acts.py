"""What operators do about alarms, and what comes of it."""

import pytest
from playwright.async_api import expect

from tests.dashboards.alarms import FORCED, JAM, LEFT, acked, alarming, many, row, shelved, takes
from tests.dashboards.axe import axe
from tests.dashboards.conftest import Open
from tests.dashboards.fake_hub import problem

pytestmark = pytest.mark.services


async def test_a_forced_door_appears_is_acknowledged_clears_and_leaves(window: Open) -> None:
    hub = alarming()
    bodies = takes(hub, "acknowledge")
    async with hub.serve():
        page = await (await window(hub)).go("/alarms")
        await expect(page.get_by_text("No open alarm", exact=True)).to_be_visible()
        await hub.diff("alarms", {"alarms": [FORCED], "closed": [], "total": 1})
        mine = row(page, FORCED)
        await expect(mine).to_contain_text("Door 3 was opened by force")
        await expect(mine).to_contain_text("Critical")
        await expect(mine).to_contain_text("Active, unacknowledged")
        await mine.get_by_role("button", name="Acknowledge").click()
        await expect(page.get_by_text("1 acknowledged")).to_be_visible()
        assert bodies == [{"ids": [FORCED["id"]]}]
        # Only the hub's own word changes the row.
        await expect(mine).to_contain_text("Asking the hub…")
        await expect(mine).to_have_attribute("aria-busy", "true")
        seen = acked(FORCED)
        await hub.diff("alarms", {"alarms": [seen], "closed": [], "total": 1})
        await expect(mine).to_contain_text("Active, acknowledged")
        await expect(mine).to_contain_text("anna")
        await page.mouse.move(5, 5)
        await hub.diff("alarms", {"alarms": [], "closed": [FORCED["id"]], "total": 0})
        await expect(page.get_by_text("No open alarm", exact=True)).to_be_visible()


async def test_acknowledging_is_undone_by_one_press(window: Open) -> None:
    hub = alarming(FORCED)
    takes(hub, "acknowledge")
    undone = takes(hub, "unacknowledge")
    async with hub.serve():
        one = await window(hub, own=True)
        await one.page.clock.install()
        page = await one.go("/alarms")
        await row(page, FORCED).get_by_role("button", name="Acknowledge").click()
        await hub.diff("alarms", {"alarms": [acked(FORCED)], "total": 1})
        await page.get_by_role("button", name="Undo").click()
        await expect(page.get_by_text("1 no longer acknowledged")).to_be_visible()
        assert undone == [{"ids": [FORCED["id"]]}]
        await hub.diff("alarms", {"alarms": [FORCED], "total": 1})
        await row(page, FORCED).get_by_role("button", name="Acknowledge").click()
        await expect(page.get_by_role("button", name="Undo")).to_be_visible()
        await page.clock.fast_forward(11_000)
        await expect(page.get_by_role("button", name="Undo")).to_have_count(0)


async def test_a_refused_act_says_why_and_leaves_the_row(window: Open) -> None:
    hub = alarming(FORCED)
    hub.answers["POST /api/v1/alarms/acknowledge"] = lambda *_: problem(
        503, "alarms_closed", "The alarms are closed", "The hub starts anew. Try again in a second."
    )
    async with hub.serve():
        one = await window(hub)
        one.expected.append("503")
        page = await one.go("/alarms")
        await row(page, FORCED).get_by_role("button", name="Acknowledge").click()
        told = page.locator(".act-results")
        await expect(told).to_contain_text("The alarms are closed")
        await expect(told).to_contain_text("Try again in a second")
        await expect(told).to_have_attribute("aria-live", "polite")
        await expect(row(page, FORCED)).to_contain_text("Active, unacknowledged")


async def test_shelving_asks_why_and_for_how_long_and_ends(window: Open) -> None:
    hub = alarming(FORCED, JAM)
    bodies = takes(hub, "shelve")
    takes(hub, "unshelve")
    async with hub.serve():
        page = await (await window(hub)).go("/alarms")
        await row(page, FORCED).get_by_role("button", name="Shelve").click()
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_contain_text("Door 3 was opened by force")
        await expect(dialog.get_by_label("Why")).to_be_focused()
        await axe(page)
        await dialog.get_by_role("button", name="Shelve", exact=True).click()
        await expect(dialog.get_by_role("alert")).to_contain_text("Say why")
        await dialog.get_by_label("Why").fill("technician is on the way")
        await dialog.get_by_label("Other").check()
        await dialog.get_by_label("Minutes").fill("1441")
        await dialog.get_by_role("button", name="Shelve", exact=True).click()
        await expect(dialog.get_by_role("alert")).to_contain_text("from 1 to 1440 minutes")
        await dialog.get_by_label("Minutes").fill("90")
        await dialog.get_by_role("button", name="Shelve", exact=True).click()
        await expect(page.get_by_text("1 shelved")).to_be_visible()
        assert bodies == [{"ids": [FORCED["id"]], "minutes": 90, "why": "technician is on the way"}]
        await page.mouse.move(5, 5)
        await hub.diff("alarms", {"alarms": [shelved(FORCED)], "total": 2})
        await expect(row(page, FORCED)).to_have_count(0)
        await expect(page.get_by_text("1 alarm, 1 suppressed")).to_be_visible()
        await page.get_by_label("Suppressed").check()
        await expect(row(page, FORCED)).to_contain_text("Shelved until")
        await expect(row(page, FORCED).get_by_role("button", name="Unshelve")).to_be_visible()
        await page.get_by_label("Suppressed").uncheck()
        # Its time is over, and it stands in the list again.
        await hub.diff("alarms", {"alarms": [FORCED], "total": 2})
        await expect(row(page, FORCED)).to_contain_text("Active, unacknowledged")


async def test_many_at_once_skips_what_does_not_apply_and_names_it(window: Open) -> None:
    alarms = [*many(20)]
    hub = alarming(*alarms)
    left = [{"id": one["id"], "why": "already_acked"} for one in alarms if one["state"] == "active_acked"][:2]
    bodies = takes(hub, "acknowledge", left)
    async with hub.serve():
        page = await (await window(hub)).go("/alarms")
        await page.get_by_label("Mark all in the list").check()
        await expect(page.get_by_text("20 alarms marked")).to_be_visible()
        await page.locator(".act-bar").get_by_role("button", name="Acknowledge", exact=True).click()
        await expect(page.get_by_text("18 acknowledged, 2 already acknowledged")).to_be_visible()
        assert sorted(bodies[0]["ids"]) == sorted(one["id"] for one in alarms)
        await page.get_by_text("Which were left out").click()
        await expect(page.locator(".act-results li")).to_have_count(2)
        await expect(page.locator(".act-results li").first).to_contain_text("is jammed (")
        await expect(page.locator(".act-results li").first).to_contain_text("already acknowledged")


async def test_shift_marks_a_range(window: Open) -> None:
    hub = alarming(*many(20))
    async with hub.serve():
        page = await (await window(hub)).go("/alarms")
        boxes = page.locator("[data-alarm] input[type=checkbox]")
        await boxes.nth(1).click()
        await boxes.nth(5).click(modifiers=["Shift"])
        await expect(page.get_by_text("5 alarms marked")).to_be_visible()
        await expect(page.locator("[data-marked=yes]")).to_have_count(5)
        await page.keyboard.press("Escape")
        await expect(page.locator("[data-marked=yes]")).to_have_count(0)


async def test_all_that_match_are_acknowledged_on_the_hub_after_their_number_was_typed(window: Open) -> None:
    hub = alarming(*many(312))
    bodies = takes(hub, "acknowledge")
    async with hub.serve():
        page = await (await window(hub)).go("/alarms?site=Berlin")
        await page.get_by_label("Mark all in the list").check()
        await page.get_by_role("button", name="Mark all 104 matching").click()
        await page.locator(".act-bar").get_by_role("button", name="Acknowledge", exact=True).click()
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_contain_text("and 96 more")
        await dialog.get_by_role("button", name="Acknowledge", exact=True).click()
        await expect(dialog.get_by_role("alert")).to_contain_text("Type 104")
        assert bodies == []
        await dialog.get_by_label("Type 104").fill("104")
        await dialog.get_by_label("Note").fill("power cut")
        await dialog.get_by_role("button", name="Acknowledge", exact=True).click()
        await expect(page.locator(".act-results")).to_contain_text("acknowledged")
        assert bodies == [{"filter": {"site": "Berlin", "suppressed": "none"}, "note": "power cut"}]


async def test_the_keyboard_alone_does_everything(window: Open) -> None:
    hub = alarming(FORCED, LEFT, JAM)
    bodies = takes(hub, "acknowledge")
    shelvings = takes(hub, "shelve")
    hub.answers[f"GET /api/v1/alarms/{LEFT['id']}"] = {**LEFT, "steps": []}
    async with hub.serve():
        page = await (await window(hub)).go("/alarms")
        await expect(page.locator("[data-alarm]")).to_have_count(3)
        await page.keyboard.press("a")
        await expect(page.get_by_text("No alarm is marked")).to_be_visible()
        await page.keyboard.press("j")
        await expect(row(page, FORCED).locator(".alarm-link")).to_be_focused()
        await page.keyboard.press("a")
        await expect(page.get_by_text("1 acknowledged")).to_be_visible()
        await page.keyboard.press("j")
        await page.keyboard.press("x")
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("x")
        await expect(page.get_by_text("2 alarms marked")).to_be_visible()
        await page.keyboard.press("n")
        await page.get_by_label("Note").fill("seen it")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("2 acknowledged")).to_be_visible()
        assert bodies == [{"ids": [FORCED["id"]]}, {"ids": [JAM["id"], LEFT["id"]], "note": "seen it"}]
        await page.keyboard.press("s")
        await page.get_by_label("Why").fill("later")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("1 shelved")).to_be_visible()
        assert shelvings == [{"ids": [LEFT["id"]], "minutes": 60, "why": "later"}]
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Door 2 was left open")
        assert page.url == f"{hub.base}/alarms/{LEFT['id']}"


async def test_a_viewer_sees_why_nothing_can_be_pressed(window: Open) -> None:
    hub = alarming(FORCED)
    hub.role = "viewer"
    async with hub.serve():
        page = await (await window(hub)).go("/alarms")
        button = row(page, FORCED).get_by_role("button", name="Acknowledge")
        await expect(button).to_be_disabled()
        await expect(button).to_have_attribute("aria-describedby", "acts-denied")
        await expect(page.locator("#acts-denied")).to_contain_text("role operator")
        await page.keyboard.press("j")
        await page.keyboard.press("a")
        await expect(page.locator(".act-results")).to_contain_text("role operator")
        assert not [path for method, path, _ in hub.asked if method == "POST"]
