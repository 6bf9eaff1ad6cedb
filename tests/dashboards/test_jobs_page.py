import pytest
from aiohttp import web
from playwright.async_api import expect

from tests.dashboards.conftest import Open
from tests.dashboards.fake_hub import FakeHub, Json, fleet, problem, stamp

pytestmark = pytest.mark.services

ID = "5c7e3b6e-9d2f-4a60-8d2d-1f1d4a0a9c11"


def job(**more: object) -> Json:
    made: Json = {
        "id": ID,
        "kind": "open",
        "args": None,
        "reason": "cleaning on Monday",
        "filter": {"site": "Hamburg", "lockers": None, "q": None, "doors": {"size": "M"}},
        "state": "running",
        "why": None,
        "created_at": stamp(-120),
        "created_by": "anna",
        "approval": None,
        "expires_at": stamp(3600),
        "ended_at": None,
        "rate_per_minute": 20,
        "canaries": 2,
        "abort_share": 0.2,
        "abort_min_count": 3,
        "targets": 40,
        "openings": 40,
        "counts": {"pending": 28, "sent": 2, "succeeded": 8, "failed": 1, "skipped": 1},
        "steps": [{"at": stamp(-120), "operator": "anna", "state": "running", "detail": None}],
    }
    return {**made, **more}


def target(number: int, state: str, **more: object) -> Json:
    return {
        "locker": "hamburg-01",
        "door": number,
        "command": "0b6f3a52-0000-4000-8000-000000000000",
        "state": state,
        "why": None,
        "sent_at": stamp(-20) if state != "pending" else None,
        "settled_at": stamp(-10) if state in {"succeeded", "failed"} else None,
        "outcome": "opened" if state == "succeeded" else None,
        **more,
    }


def with_job(one: Json) -> FakeHub:
    hub = fleet(9)
    hub.views["jobs"] = {"jobs": [one]}
    hub.answers[f"GET /api/v1/jobs/{ID}"] = lambda *_: one
    targets = [
        target(1, "succeeded"),
        target(2, "failed"),
        target(3, "skipped", why="door_busy"),
        target(4, "pending"),
    ]

    def answer(request: web.Request, _: Json | None) -> Json:
        state = request.query.get("state")
        return {"items": [each for each in targets if state in (None, each["state"])], "next_cursor": None}

    hub.answers[f"GET /api/v1/jobs/{ID}/targets"] = answer
    return hub


async def test_jobs_are_listed_with_how_far_they_are(window: Open) -> None:
    async with with_job(job()).serve() as hub:
        page = await (await window(hub)).go("/jobs")
        row = page.locator(".job-row")
        await expect(row).to_contain_text("Open 40 doors")
        await expect(row).to_contain_text("8 of 40 done, 1 failed, 1 left out")
        await expect(row).to_contain_text("site Hamburg, doors of size M")
        await hub.diff("jobs", {"jobs": [job(state="aborted", why="3 of 9 failed")]})
        await expect(row).to_contain_text("Aborted")
        await expect(page.get_by_role("heading", name="Over")).to_be_visible()


async def test_a_job_shows_its_targets_and_what_happened(window: Open) -> None:
    async with with_job(job()).serve() as hub:
        page = await (await window(hub)).go(f"/jobs/{ID}")
        await expect(page.get_by_role("heading", name="Open 40 doors")).to_be_visible()
        await expect(page.locator(".target-rows li")).to_have_count(4)
        await expect(page.locator(".target-rows")).to_contain_text("door busy")
        await page.get_by_label("State").select_option("failed")
        await expect(page.locator(".target-rows li")).to_have_count(1)
        await expect(page.locator(".job-steps")).to_contain_text("Running by anna")


async def test_a_job_is_paused_resumed_and_a_refusal_is_told(window: Open) -> None:
    running = job()
    hub = with_job(running)

    def pause(*_: object) -> Json:
        running["state"] = "paused"
        return running

    hub.answers[f"POST /api/v1/jobs/{ID}/pause"] = pause
    hub.answers[f"POST /api/v1/jobs/{ID}/resume"] = lambda *_: problem(
        409, "job_state", "The job is in another state", "It was cancelled by ben."
    )
    async with hub.serve():
        one = await window(hub)
        one.expected.append("409")
        page = await one.go(f"/jobs/{ID}")
        await page.locator("main").get_by_role("button", name="Pause").click()
        await expect(page.locator(".job-state")).to_contain_text("Paused")
        await page.locator("main").get_by_role("button", name="Resume").click()
        await expect(page.get_by_role("alert")).to_contain_text("It was cancelled by ben.")


async def test_the_maker_of_a_job_is_no_second_person(window: Open) -> None:
    waiting = job(
        state="waiting_approval", approval={"until": stamp(600), "by": None, "at": None}, created_by="operator"
    )
    hub = with_job(waiting)
    hub.token = "a-long-token-for-tests"
    hub.answers[f"POST /api/v1/jobs/{ID}/approve"] = {**waiting, "state": "running"}
    async with hub.serve():
        one = await window(hub)
        one.expected.append("401")
        page = await one.go(f"/jobs/{ID}")
        await page.get_by_label("Access token").fill("a-long-token-for-tests")
        await page.keyboard.press("Enter")
        approve = page.get_by_role("button", name="Approve")
        await expect(approve).to_be_disabled()
        waiting["created_by"] = "ben"
        await page.reload()
        await approve.click()
        await expect(page.locator(".job-state")).to_contain_text("Running")


async def test_a_new_job_shows_what_it_comes_to_and_asks_for_the_number(window: Open) -> None:
    plan = {
        "targets": 3,
        "lockers": 2,
        "openings": 3,
        "canaries": 1,
        "approval_needed": True,
        "minutes": 0.2,
        "why_not": {"locker_offline": 1},
        "items": [
            {"locker": "hamburg-01", "door": 1, "why_not": None},
            {"locker": "hamburg-01", "door": 2, "why_not": None},
            {"locker": "hamburg-09", "door": 1, "why_not": "locker_offline"},
        ],
    }
    hub = with_job(job())

    def make(_: web.Request, body: Json | None) -> object:
        assert body is not None
        return plan if body.get("dry_run") else web.json_response(job(), status=201)

    hub.answers["POST /api/v1/jobs"] = make
    async with hub.serve():
        page = await (await window(hub)).go("/jobs/new?lockers=hamburg-01,hamburg-09")
        await page.get_by_label("Reason").fill("inventory")
        await page.get_by_label("Numbers").fill("1, 2")
        await page.get_by_role("button", name="See what that comes to").click()
        await expect(page.get_by_role("heading", name="Open 3 doors at 2 lockers?")).to_be_visible()
        await expect(page.get_by_text("Left out as things are: 1 locker offline.")).to_be_visible()
        await expect(page.locator(".job-plan li")).to_have_count(3)
        go = page.get_by_role("button", name="Open 3 doors")
        await expect(go).to_be_disabled()
        await page.get_by_label("type the number of targets").fill("4")
        await expect(go).to_be_disabled()
        await page.get_by_label("type the number of targets").fill("3")
        # Enter in the field is not the deliberate press.
        await page.keyboard.press("Enter")
        await expect(go).to_be_enabled()
        await go.click()
        await expect(page).to_have_url(f"{hub.base}/jobs/{ID}")
        asked = [body for method, path, body in hub.asked if (method, path) == ("POST", "/api/v1/jobs")]
        expected = {
            "kind": "open",
            "reason": "inventory",
            "filter": {"lockers": ["hamburg-01", "hamburg-09"], "doors": [1, 2]},
            "rate_per_minute": 20,
            "abort_share": 0.2,
        }
        assert asked == [{**expected, "dry_run": True}, expected]


async def test_what_cannot_be_asked_says_why(window: Open) -> None:
    async with with_job(job()).serve() as hub:
        page = await (await window(hub)).go("/jobs/new")
        await page.get_by_label("Reason").fill("inventory")
        await page.get_by_label("Numbers").fill("1, x")
        await page.get_by_role("button", name="See what that comes to").click()
        await expect(page.get_by_role("alert")).to_contain_text("“x” is no door's number")
        await page.get_by_label("What").select_option("configure")
        await page.get_by_role("textbox", name="Settings").fill("nonsense")
        await page.get_by_role("button", name="See what that comes to").click()
        await expect(page.get_by_role("alert")).to_contain_text("“nonsense” is no setting")
        assert not any(method == "POST" for method, _, _ in hub.asked)


async def test_a_viewer_makes_no_jobs(window: Open) -> None:
    hub = with_job(job())
    hub.role = "viewer"
    async with hub.serve():
        page = await (await window(hub)).go("/jobs")
        await expect(page.get_by_role("button", name="New job…")).to_be_disabled()
        await page.goto(f"{hub.base}/jobs/new")
        await expect(page.get_by_text("Only operators may make jobs")).to_be_visible()


async def test_a_job_that_is_not_there_says_so(window: Open) -> None:
    async with fleet(3).serve() as hub:
        one = await window(hub)
        one.expected.append("404")
        page = await one.go("/jobs/nowhere")
        await expect(page.get_by_text("There is no such job")).to_be_visible()
