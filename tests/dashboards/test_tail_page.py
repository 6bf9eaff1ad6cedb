"""The messages of one locker as they pass: asked for only while somebody looks, filtered, held, copied, cleared."""

import json

import pytest
from playwright.async_api import Page, expect

from tests.dashboards.axe import axe
from tests.dashboards.conftest import Open
from tests.dashboards.fake_hub import FakeHub, Json, fleet, stamp

pytestmark = pytest.mark.services

LOCKER = "hamburg-01"
VIEW = f"tail:{LOCKER}"
ADDRESS = f"/lockers/{LOCKER}"
MARKUP = "<img src=x onerror=alert(1)>"


async def test_messages_are_asked_for_only_while_their_tab_is_open(window: Open) -> None:
    async with fleet(3).serve() as hub:
        page = await (await window(hub)).go(ADDRESS)
        await expect(page.locator("[data-door='1']")).to_be_visible()
        assert VIEW not in [said.get("view") for said in hub.heard]
        await page.get_by_role("tab", name="Messages").click()
        await hub.until(lambda hub: {"type": "subscribe", "view": VIEW} in hub.heard)
        await expect(page.get_by_text("No messages yet")).to_be_visible()
        await page.get_by_role("tab", name="Overview").click()
        await expect(page.locator("[data-door='1']")).to_be_visible()
        # It lingers for a while, and is let go where there are more views than the page keeps.
        await page.goto(hub.base + ADDRESS + "#messages")
        await expect(page.get_by_role("tab", name="Messages")).to_have_attribute("aria-selected", "true")


async def test_a_message_tells_its_way_its_channel_and_what_became_of_it(window: Open) -> None:
    hub = fleet(3)
    hub.views[VIEW] = {"messages": [message(1), message(2, direction="out", channel="command", verdict="sent")]}
    async with hub.serve():
        page = await (await window(hub)).go(f"{ADDRESS}#messages")
        entries = page.locator(".tail-entry")
        await expect(entries).to_have_count(2)
        await hub.diff(VIEW, {"messages": [message(3, payload=MARKUP, verdict="quarantined:not_json", cut=True)]})
        await expect(entries.first).to_contain_text("quarantined: not json")
        await expect(entries.first).to_contain_text("from the locker")
        await expect(entries.last.locator(".tail-bytes")).to_have_text("101 B")
        await entries.last.locator("summary").click()
        await expect(entries.last.locator("pre")).to_have_text('{\n  "seq": 1\n}')
        await entries.first.locator("summary").focus()
        await page.keyboard.press("Enter")
        await expect(entries.first.locator("pre")).to_have_text(MARKUP)
        await expect(entries.first).to_contain_text("Only the first")
        await axe(page, scope="main")


async def test_messages_are_narrowed_by_text_way_and_channel(window: Open) -> None:
    hub = fleet(3)
    hub.views[VIEW] = {
        "messages": [
            message(1, payload='{"kind": "door.opened"}'),
            message(2, channel="telemetry"),
            message(3, direction="out", channel="command", verdict="sent"),
        ]
    }
    async with hub.serve():
        page = await (await window(hub)).go(f"{ADDRESS}#messages")
        entries = page.locator(".tail-entry")
        await expect(entries).to_have_count(3)
        await page.get_by_label("Direction").select_option("To the locker")
        await expect(entries.locator(".tail-channel")).to_have_text(["command"])
        await page.get_by_label("Channel").select_option("telemetry")
        await expect(page.get_by_text("No message matches")).to_be_visible()
        await page.get_by_label("Direction").select_option("Both ways")
        await expect(entries.locator(".tail-channel")).to_have_text(["telemetry"])
        await page.get_by_label("Channel").select_option("All channels")
        await page.get_by_role("searchbox", name="Search messages").fill("DOOR opened")
        await expect(entries.locator(".tail-channel")).to_have_text(["events"])


async def test_held_messages_stay_and_those_that_wait_are_counted(window: Open) -> None:
    hub = fleet(3)
    hub.views[VIEW] = {"messages": [message(1)]}
    async with hub.serve():
        page = await (await window(hub)).go(f"{ADDRESS}#messages")
        entries = page.locator(".tail-entry")
        await expect(entries).to_have_count(1)
        await page.get_by_role("button", name="Hold").click()
        await hub.diff(VIEW, {"messages": [message(2), message(3)], "skipped": 40})
        await expect(page.get_by_role("button", name="Go on (2 waiting)")).to_be_visible()
        await expect(page.get_by_text("40 messages came too fast to be shown.")).to_be_visible()
        await expect(entries).to_have_count(1)
        await page.get_by_role("button", name="Go on").click()
        await expect(entries).to_have_count(3)
        await page.get_by_role("button", name="Clear").click()
        await expect(entries).to_have_count(0)
        await hub.diff(VIEW, {"messages": [message(4)]})
        await expect(entries).to_have_count(1)


@pytest.mark.parametrize("way", ["clipboard", "without"])
async def test_what_is_shown_is_copied_as_json(window: Open, way: str) -> None:
    hub = fleet(3)
    hub.views[VIEW] = {"messages": [message(1), message(2, channel="state")]}
    async with hub.serve():
        one = await window(hub, own=True)
        await one.page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=hub.base)
        if way == "without":
            await one.page.add_init_script("navigator.clipboard.writeText = () => Promise.reject(new Error('no'))")
        page = await one.go(f"{ADDRESS}#messages")
        await page.get_by_label("Channel").select_option("state")
        await page.get_by_role("button", name="Copy as JSON").click()
        await expect(page.get_by_text("1 message copied.")).to_be_visible()
        assert [found["n"] for found in json.loads(await clipboard(page))] == [2]


async def test_who_may_only_look_does_not_see_messages(window: Open) -> None:
    hub = refusing()
    async with hub.serve():
        page = await (await window(hub)).go(f"{ADDRESS}#messages")
        await expect(page.get_by_role("alert")).to_contain_text("Messages are for operators")


def refusing() -> FakeHub:
    class Refusing(FakeHub):
        def _snapshot(self, view: str) -> Json | None:
            return None if view == VIEW else super()._snapshot(view)

        async def say(self, socket: object, frame: Json) -> None:
            if frame.get("view") == VIEW and frame["type"] == "error":
                frame["code"] = "role_needed"
            await super().say(socket, frame)  # type: ignore[arg-type]

    return Refusing(fleet(3).details)


async def clipboard(page: Page) -> str:
    return str(await page.evaluate("navigator.clipboard.readText()"))


def message(
    n: int, *, direction: str = "in", channel: str = "events", verdict: str = "taken",
    payload: str | None = None, cut: bool = False,
) -> Json:  # fmt: skip
    return {
        "n": n, "at": stamp(), "direction": direction, "channel": channel, "bytes": 100 + n, "retained": False,
        "topic": f"lockerhub/v1/default/{LOCKER}/{channel}", "verdict": verdict, "cut": cut,
        "payload": f'{{"seq": {n}}}' if payload is None else payload,
    }  # fmt: skip
