import pytest
from aiohttp import web
from playwright.async_api import expect

from tests.dashboards.conftest import Open
from tests.dashboards.fake_hub import Json, event, fleet, problem, stamp

pytestmark = pytest.mark.services

MARKUP = "<b>x</b>"


async def test_what_happens_now_comes_live(window: Open) -> None:
    async with fleet(3).serve() as hub:
        page = await (await window(hub)).go("/events")
        await expect(page.get_by_text("Nothing has happened yet")).to_be_visible()
        await hub.tell(event("hamburg-01", 1, "door.forced", 3))
        await expect(page.locator(".entry")).to_contain_text("Door 3 opened without a command")


async def test_the_past_is_asked_and_stands_in_the_address(window: Open) -> None:
    every = [event("hamburg-01", n, "door.opened", 3, ago_s=60 * n) for n in range(1, 4)]

    def answer(request: web.Request, _: Json | None) -> Json:
        assert (request.query["locker"], request.query["kind"]) == ("hamburg-01", "door.opened")
        start = int(request.query.get("cursor", "0"))
        return {"items": every[start : start + 2], "next_cursor": "2" if start == 0 else None}

    async with fleet(3).serve() as hub:
        hub.answers["GET /api/v1/events"] = answer
        page = await (await window(hub)).go("/events")
        await page.get_by_text("Look into the past").click()
        form = page.get_by_role("search", name="Past events")
        await form.get_by_label("Locker").fill("hamburg-01")
        await form.get_by_label("Kind").fill("door.opened")
        await page.keyboard.press("Enter")
        await expect(page.locator(".entry")).to_have_count(2)
        assert page.url == f"{hub.base}/events?locker=hamburg-01&kind=door.opened"
        await page.get_by_role("button", name="Older").click()
        await expect(page.locator(".entry")).to_have_count(3)
        file = await page.get_by_role("link", name="CSV file").get_attribute("href")
        assert file == "/api/v1/export/events?locker=hamburg-01&kind=door.opened"
        await page.get_by_role("link", name="Back to what happens now").click()
        await expect(page.get_by_text("Nothing has happened yet")).to_be_visible()


async def test_a_question_that_is_nonsense_is_answered_with_why(window: Open) -> None:
    async with fleet(3).serve() as hub:
        one = await window(hub)
        one.expected.append("400")
        hub.answers["GET /api/v1/events"] = lambda *_: problem(
            400, "bad_request", "Bad request", "since: not a time."
        )
        page = await one.go("/events?since=yesterday")
        await expect(page.get_by_role("alert")).to_contain_text("since: not a time.")


async def test_nothing_found_says_so(window: Open) -> None:
    async with fleet(3).serve() as hub:
        hub.answers["GET /api/v1/events"] = {"items": [], "next_cursor": None}
        page = await (await window(hub)).go("/events?locker=hamburg-01")
        await expect(page.get_by_text("Nothing of that kind happened")).to_be_visible()


async def test_the_audit_tells_who_did_what(window: Open) -> None:
    row = {
        "id": 7,
        "at": stamp(-30),
        "who": "anna",
        "action": "hold.add",
        "subject": "hold:3",
        "detail": {"why": MARKUP},
    }

    def answer(request: web.Request, _: Json | None) -> Json:
        return {"items": [row] if request.query.get("who") in (None, "anna") else [], "next_cursor": None}

    async with fleet(3).serve() as hub:
        hub.answers["GET /api/v1/audit"] = answer
        page = await (await window(hub)).go("/audit")
        await expect(page.locator(".audit-rows li")).to_contain_text("hold.add")
        await expect(page.locator(".audit-rows li")).to_contain_text(MARKUP)
        await page.get_by_label("Who").fill("ben")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("Nothing of that kind is in the audit")).to_be_visible()


async def test_who_may_not_read_the_audit_is_told(window: Open) -> None:
    async with fleet(3).serve() as hub:
        one = await window(hub)
        one.expected.append("403")
        hub.answers["GET /api/v1/audit"] = lambda *_: problem(
            403, "role_needed", "Not with this role", "admin is needed."
        )
        page = await one.go("/audit")
        await expect(page.get_by_role("alert")).to_contain_text("admin is needed.")
