import pytest
from playwright.async_api import expect

from tests.dashboards.conftest import Open
from tests.dashboards.fake_hub import fleet

pytestmark = pytest.mark.services


async def test_a_missing_diff_brings_a_snapshot(window: Open) -> None:
    async with fleet(25).serve() as hub:
        page = await (await window(hub)).go("/lockers")
        row = page.locator("[data-locker=berlin-08]")
        await expect(row).to_contain_text("Online")
        # One change is lost on the way; the next one uncovers the gap.
        hub.details["berlin-08"]["state"] = "offline"
        hub.skip("fleet")
        await hub.change_door("berlin-16", 1, state="open")
        await hub.until(lambda hub: {"type": "resync", "view": "fleet"} in hub.heard)
        await expect(row).to_contain_text("Offline")
        await hub.change_door("berlin-16", 2, state="open")
        await expect(page.locator("[data-locker=berlin-16]")).to_contain_text("2 open")
        assert sum(said["type"] == "resync" for said in hub.heard) == 1


async def test_a_lost_connection_is_said_and_mended(window: Open) -> None:
    async with fleet(25).serve() as hub:
        one = await window(hub)
        one.expected.append("WebSocket connection")
        page = await one.go("/lockers")
        row = page.locator("[data-locker=berlin-08]")
        await expect(row).to_contain_text("Online")
        hub.closed_to_viewers = True
        await hub.cut()
        await expect(page.get_by_text("The connection is lost.", exact=False).last).to_be_visible()
        await expect(page.get_by_text("Reconnecting in").first).to_be_visible()
        await expect(row).to_contain_text("Online")
        hub.details["berlin-08"]["state"] = "offline"
        hub.closed_to_viewers = False
        await expect(row).to_contain_text("Offline", timeout=20_000)
        await expect(page.locator(".connection")).to_have_text("Live")
        await expect(page.get_by_role("button", name="Try now")).to_be_hidden()


async def test_silence_is_tested_and_then_called_stale(window: Open) -> None:
    async with fleet(3).serve() as hub:
        one = await window(hub, own=True)
        await one.page.clock.install()
        page = await one.go("/lockers")
        await expect(page.locator(".connection")).to_have_text("Live")
        await expect(page.locator("[data-locker]").first).to_be_visible()
        # A quiet hub that answers is live however long it had nothing to say.
        await page.clock.fast_forward(9_000)
        await hub.until(lambda hub: {"type": "ping"} in hub.heard)
        await page.clock.fast_forward(4_000)
        await expect(page.locator(".connection")).to_have_text("Live")
        hub.mute = True
        hub.heard.clear()
        await page.clock.fast_forward(9_000)
        await hub.until(lambda hub: {"type": "ping"} in hub.heard)
        await page.clock.fast_forward(4_000)
        await expect(page.locator(".connection")).to_contain_text("No data for")
        await expect(page.get_by_text("The hub is silent. What you see is from")).to_be_visible()
        hub.mute = False
        await hub.change_locker("hamburg-01", state="offline")
        await expect(page.locator(".connection")).to_have_text("Live")


async def test_another_locker_is_subscribed_to_when_it_is_looked_at(window: Open) -> None:
    async with fleet(25).serve() as hub:
        page = await (await window(hub)).go("/lockers/hamburg-01")
        await expect(page.locator("[data-door]").first).to_be_visible()
        views = {said["view"] for said in hub.heard if said["type"] == "subscribe"}
        assert views == {"summary", "alarms", "locker:hamburg-01", "events:hamburg-01", "alarms:hamburg-01"}
        await page.get_by_role("link", name="Fleet", exact=True).first.click()
        await expect(page.locator("[data-locker]").first).to_be_visible()
        assert hub.heard[-1] == {"type": "subscribe", "view": "fleet"}


async def test_sign_in_opens_the_page(window: Open) -> None:
    hub = fleet(3)
    hub.token = "correct horse"
    async with hub.serve():
        one = await window(hub)
        one.expected.append("401")
        page = await one.go("/lockers/hamburg-01")
        field = page.get_by_label("Access token")
        await field.fill("wrong")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("alert")).to_contain_text("That is not the token")
        await field.fill("correct horse")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.locator("[data-door]").first).to_be_visible()
        await page.get_by_role("button", name="Signed in: operator · admin").click()
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_label("Access token")).to_be_visible()
        assert hub.heard != []
