import pytest
from aiohttp import web
from playwright.async_api import expect

from tests.dashboards.conftest import Open
from tests.dashboards.fake_hub import FakeHub, Json, command, fleet, problem, stamp

pytestmark = pytest.mark.services

MARKUP = '<img src=x onerror="document.title=1">'


def with_commands(hub: FakeHub, *commands: Json) -> FakeHub:
    """Give a hub these commands, in its live view and one by one."""
    hub.views["commands"] = {"commands": list(commands)}
    for one in commands:
        hub.details[one["locker"]]["commands"].insert(0, one)
    return hub


def ordered(locker: str, number: int, ago_s: float, **more: object) -> Json:
    return {
        **command(locker, "open", number, reason="hand-over"),
        "accepted_at": stamp(-ago_s),
        "by": "anna",
        **more,
    }


async def test_commands_are_listed_live_with_who_why_and_what_came_of_it(window: Open) -> None:
    first = ordered("hamburg-01", 3, 60, outcome="opened")
    failed = ordered("hamburg-01", 4, 30, state="failed", detail="board silent", reason=MARKUP)
    async with with_commands(fleet(3), first, failed).serve() as hub:
        page = await (await window(hub)).go("/commands")
        rows = page.locator(".command-row")
        await expect(rows).to_have_count(2)
        await expect(rows.first).to_contain_text("Failed: board silent")
        await expect(rows.first).to_contain_text(MARKUP)
        await expect(rows.nth(1)).to_contain_text("hand-over, anna")
        await expect(rows.nth(1)).to_contain_text("Opened")
        await expect(rows.nth(1).locator(".stage-line")).to_be_visible()
        newest = ordered("hamburg-01", 5, 0, state="sent", stages_ms={})
        await hub.diff("commands", {"commands": [newest, {**first, "outcome": "closed"}]})
        await expect(rows).to_have_count(3)
        await expect(rows.first).to_contain_text("Sent, not answered yet")
        await expect(rows.nth(2)).to_contain_text("Opened, closed again")


async def test_nothing_ordered_yet_says_so(window: Open) -> None:
    async with fleet(3).serve() as hub:
        page = await (await window(hub)).go("/commands")
        await expect(page.get_by_text("Nothing was ordered yet")).to_be_visible()


async def test_a_filter_asks_the_database_page_by_page(window: Open) -> None:
    every = [ordered("hamburg-01", n, n * 60) for n in range(1, 5)]

    def answer(request: web.Request, _: Json | None) -> Json:
        start = int(request.query.get("cursor", "0"))
        assert request.query["state"] == "succeeded"
        return {
            "items": every[start : start + 2],
            "next_cursor": str(start + 2) if start + 2 < len(every) else None,
        }

    async with with_commands(fleet(3)).serve() as hub:
        hub.answers["GET /api/v1/commands"] = answer
        page = await (await window(hub)).go("/commands")
        await page.get_by_label("State").select_option("succeeded")
        await expect(page.locator(".command-row")).to_have_count(2)
        assert page.url == f"{hub.base}/commands?state=succeeded"
        await page.get_by_role("button", name="Older").click()
        await expect(page.locator(".command-row")).to_have_count(4)
        await expect(page.get_by_role("button", name="Older")).to_be_hidden()
        file = await page.get_by_role("link", name="CSV file").get_attribute("href")
        assert file == "/api/v1/export/commands?state=succeeded"


async def test_a_filter_that_is_nonsense_says_so(window: Open) -> None:
    async with fleet(3).serve() as hub:
        page = await (await window(hub)).go("/commands?state=flying&class=first")
        await expect(page.get_by_text("“flying” is no state of a command.")).to_be_visible()
        await expect(page.get_by_text("“first” is no class of commands.")).to_be_visible()
        await page.get_by_role("link", name="Show all commands").click()
        await expect(page.get_by_text("Nothing was ordered yet")).to_be_visible()


async def test_a_refused_question_can_be_asked_again(window: Open) -> None:
    async with fleet(3).serve() as hub:
        one = await window(hub)
        one.expected.append("503")
        hub.answers["GET /api/v1/commands"] = lambda *_: problem(
            503, "database_unavailable", "The database is away", "Try again."
        )
        page = await one.go("/commands?locker=hamburg-01")
        await expect(page.get_by_role("alert")).to_contain_text("The database is away")
        hub.answers["GET /api/v1/commands"] = {"items": [ordered("hamburg-01", 1, 5)], "next_cursor": None}
        await page.get_by_role("button", name="Try again").click()
        await expect(page.locator(".command-row")).to_have_count(1)


async def test_a_queued_command_is_cancelled_and_a_refusal_is_told(window: Open) -> None:
    waiting = ordered("hamburg-01", 1, 5, kind="restart", door=None, state="queued", stages_ms={}, outcome=None)
    waiting["class"] = "durable"
    hub = with_commands(fleet(3), waiting)
    cancel = f"POST /api/v1/commands/{waiting['id']}/cancel"
    async with hub.serve():
        one = await window(hub)
        one.expected.append("409")
        page = await one.go("/commands")
        hub.answers[cancel] = lambda *_: problem(409, "too_late", "It is too late", "The locker has begun.")
        await page.get_by_role("button", name="Cancel").click()
        await expect(page.get_by_role("alert")).to_contain_text("It is too late. The locker has begun.")
        hub.answers[cancel] = {**waiting, "state": "cancelled"}
        await page.get_by_role("button", name="Cancel").click()
        await expect(page.get_by_role("status").get_by_text("Restart locker was cancelled.")).to_be_attached()
        await hub.diff("commands", {"commands": [{**waiting, "state": "cancelled"}]})
        await expect(page.locator(".command-row")).to_contain_text("Cancelled before it began")
        await expect(page.get_by_role("button", name="Cancel")).to_be_hidden()


async def test_a_retry_asks_like_the_first_time(window: Open) -> None:
    old = ordered("hamburg-01", 2, 90, state="failed", detail="board silent", outcome=None)
    hub = with_commands(fleet(3), old)
    hub.answers["GET /api/v1/lockers/hamburg-01"] = lambda *_: hub.details["hamburg-01"]
    async with hub.serve():
        page = await (await window(hub)).go("/commands")
        await page.get_by_role("button", name="Retry: Open door 2, hamburg-01").click()
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_contain_text("Open door 2")
        await expect(dialog).to_contain_text("Hamburg")
        assert hub.posted == []
        await dialog.get_by_role("textbox").fill("board is back")
        await dialog.get_by_role("button", name="Open door 2").click()
        await hub.until(lambda hub: len(hub.posted) == 1)
        assert hub.posted[0][:2] == ("hamburg-01", {"kind": "open", "door": 2, "reason": "board is back"})


async def test_a_viewer_may_look_and_not_act(window: Open) -> None:
    hub = with_commands(fleet(3), ordered("hamburg-01", 2, 90))
    hub.role = "viewer"
    async with hub.serve():
        page = await (await window(hub)).go("/commands")
        await expect(page.get_by_role("button", name="Retry")).to_be_disabled()


async def test_one_command_is_followed_until_its_end(window: Open) -> None:
    one = ordered("hamburg-01", 3, 2, state="sent", stages_ms={"published": 0.4})
    hub = with_commands(fleet(3), one)
    async with hub.serve():
        page = await (await window(hub)).go(f"/commands/{one['id']}")
        await expect(page.get_by_role("heading", name="Open door 3")).to_be_visible()
        await expect(page.locator(".command-result")).to_contain_text("The locker has not answered yet")
        one.update(
            state="succeeded", outcome="opened", stages_ms={"published": 0.4, "pulsed": 4.0, "opened": 300.0}
        )
        await expect(page.locator(".command-result")).to_contain_text("Door 3 opened.")
        await expect(page.locator(".waterfall")).to_contain_text("Lock pulsed after 4.0 ms, within the budget")
        then = await page.get_by_role("link", name="The locker at that moment").get_attribute("href")
        assert then is not None
        assert then.startswith("/lockers/hamburg-01?at=")


async def test_a_command_that_is_not_there_says_so(window: Open) -> None:
    async with fleet(3).serve() as hub:
        one = await window(hub)
        one.expected.append("404")
        page = await one.go("/commands/0b6f3a52-0000-4000-8000-000000000000")
        await expect(page.get_by_text("There is no such command")).to_be_visible()
