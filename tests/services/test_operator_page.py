"""The operator page over a real hub, broker, database and browser: what an operator does in a shift."""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import UUID

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

from tests.dashboards.conftest import FLAGS
from tests.hub.boxes import Box, fleet
from tests.hub.scene import LOCKERS, Scene, agent, boot_ms, fresh_database, obedient, online, scene
from tests.services.conftest import Cluster, MosquittoBroker, free_port, missing
from wire.messages import Command, Event

pytestmark = pytest.mark.services

BERLIN, PARIS = LOCKERS[:2]
EXPECT_MS: Final = 20_000


class Witness:
    """A page, what it complained about, and whom else it asked."""

    def __init__(self, page: Page, base: str) -> None:
        self.page = page
        self.base = base
        self.complaints: list[str] = []
        self.outside: list[str] = []
        page.set_default_timeout(EXPECT_MS)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._note)
        page.on("request", lambda asked: self._ask(asked.url))
        page.on("websocket", lambda asked: self._ask(asked.url))

    async def go(self, path: str) -> Page:
        await self.page.goto(self.base + path)
        return self.page

    def _note(self, message: ConsoleMessage) -> None:
        self.complaints.append(message.text)

    def _ask(self, url: str) -> None:
        if not url.startswith((self.base, self.base.replace("http", "ws"), "data:", "blob:")):
            self.outside.append(url)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    chromium = os.environ.get("PLAYWRIGHT_CHROMIUM") or shutil.which("chromium") or missing("chromium")
    expect.set_options(timeout=EXPECT_MS)
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield running
        await running.close()


@asynccontextmanager
async def looking(browser: Browser, port: int, *, silent: bool = True) -> AsyncIterator[Witness]:
    """Open a page on a hub; at the end it must have complained of nothing (`silent`) and asked nobody else."""
    context = await browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    witness = Witness(await context.new_page(), f"http://127.0.0.1:{port}")
    yield witness
    assert witness.outside == []
    if silent:
        assert witness.complaints == []
    await context.close()


@pytest.fixture
async def hub(mosquitto_broker: MosquittoBroker, timescaledb: Cluster, tmp_path: Path) -> AsyncIterator[Scene]:
    with fresh_database(timescaledb) as dsn:
        async with scene(mosquitto_broker, dsn, tmp_path) as running:
            yield running


def event_of(kind: str, door: int | None = 3, *, command: UUID | None = None) -> Event:
    """Return what a locker's ledger says of now."""
    return Event(t=boot_ms(), at=time.time_ns() // 1_000_000, kind=kind, door=door, command=command)


async def test_a_door_is_opened_with_a_reason_and_seen_open(hub: Scene, browser: Browser) -> None:
    async with agent(hub.broker) as locker:
        box = Box(locker)

        async def open_and_see(command: Command) -> None:
            await box(command)
            kinds = ("door.unlocked", "door.opened")
            await locker.events(1, [event_of(kind, command=command.id) for kind in kinds])

        async with obedient(hub, locker, open_and_see), looking(browser, hub.config.http.port) as witness:
            await locker.presence()
            page = await witness.go(f"/lockers/{BERLIN}")
            await expect(page.locator(".locker-state")).to_contain_text("Online")
            await page.locator('[data-door="3"]').first.click()
            await page.get_by_role("button", name="Open door 3").first.click()
            dialog = page.get_by_role("dialog")
            await expect(dialog).to_contain_text(BERLIN)
            await dialog.get_by_role("textbox").fill("courier waits")
            await dialog.get_by_role("button", name="Open door 3").click()
            await expect(dialog.locator(".command-result")).to_contain_text("Door 3 opened.")
            await expect(dialog.locator(".waterfall")).to_contain_text("Door seen open")
            await page.keyboard.press("Escape")
            await expect(page.locator('[data-door="3"][data-state="open"]').first).to_be_visible()
            await page.goto(f"{witness.base}/commands")
            row = page.locator(".command-row")
            await expect(row).to_contain_text("courier waits, local")
            await expect(row).to_contain_text("Opened")
        assert box.opened == {3: 1}


async def test_a_forced_door_is_an_alarm_until_it_is_seen_and_shut(hub: Scene, browser: Browser) -> None:
    async with online(hub) as locker, looking(browser, hub.config.http.port) as witness:
        page = await witness.go("/alarms")
        await expect(page.get_by_text("No open alarm").first).to_be_visible()
        await locker.events(1, [event_of("door.forced", 3), event_of("door.opened", 3)])
        row = page.locator("[data-alarm]").filter(has_text="door 3")
        await expect(row).to_contain_text("Critical")
        await expect(row).to_contain_text("Active, unacknowledged")
        await row.get_by_role("button", name="Acknowledge").click()
        await expect(row).to_contain_text("Active, acknowledged")
        await row.get_by_role("button", name="Unacknowledge").click()
        await expect(row).to_contain_text("Active, unacknowledged")
        await locker.events(3, [event_of("door.closed", 3)])
        await expect(row).to_contain_text("Cleared, unacknowledged")
        link = await row.locator(".alarm-link").get_attribute("href")
        await row.get_by_role("button", name="Acknowledge").click()
        await expect(row).to_have_count(0)
        page = await witness.go(str(link))
        for step in ("raised", "acknowledged", "cleared"):
            await expect(page.locator("main").get_by_text(step, exact=False).first).to_be_visible()


async def test_an_alarm_is_shelved_with_a_reason_and_brought_back(hub: Scene, browser: Browser) -> None:
    async with online(hub) as locker, looking(browser, hub.config.http.port) as witness:
        await locker.events(1, [event_of("tamper.on", None)])
        page = await witness.go("/alarms")
        row = page.locator("[data-alarm]")
        await row.get_by_role("button", name="Shelve").click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_role("button", name="Shelve").click()
        await expect(dialog.get_by_role("alert")).to_be_visible()
        await dialog.get_by_label("Why", exact=False).fill("a technician works on it")
        await dialog.get_by_role("button", name="Shelve").click()
        await expect(row).to_have_count(0)
        page = await witness.go("/alarms?suppressed=shown")
        await expect(row).to_contain_text("Shelved", ignore_case=True)
        await row.get_by_role("button", name="Unshelve").click()
        page = await witness.go("/alarms")
        await expect(row).to_contain_text("Active, unacknowledged")


async def test_many_alarms_are_acknowledged_at_once_and_what_did_not_apply_is_counted(
    hub: Scene, browser: Browser
) -> None:
    async with online(hub) as locker, looking(browser, hub.config.http.port) as witness:
        await locker.events(1, [event_of("door.forced", door) for door in (1, 2, 3)])
        page = await witness.go("/alarms")
        rows = page.locator("[data-alarm]")
        await expect(rows).to_have_count(3)
        await rows.first.get_by_role("button", name="Acknowledge").click()
        await expect(rows.filter(has_text="Active, acknowledged")).to_have_count(1)
        for nth in range(3):
            await rows.nth(nth).get_by_role("checkbox").check()
        await page.get_by_role("button", name="Acknowledge", exact=True).click()
        await expect(page.get_by_text("2 acknowledged, 1 already acknowledged", exact=False).first).to_be_visible()
        await expect(rows.filter(has_text="Active, acknowledged")).to_have_count(3)


async def test_a_job_opens_many_doors_after_the_typed_number(hub: Scene, browser: Browser) -> None:
    async with agent(hub.broker) as first, agent(hub.broker, PARIS) as second:
        both = [Box(first), Box(second)]
        async with fleet(hub, both), looking(browser, hub.config.http.port) as witness:
            page = await witness.go(f"/jobs/new?lockers={BERLIN},{PARIS}")
            await page.get_by_label("Reason").fill("inventory")
            await page.get_by_label("Numbers").fill("1")
            await page.get_by_label("A minute").fill("6000")
            await page.get_by_role("button", name="See what that comes to").click()
            await page.get_by_label("type the number of targets").fill("2")
            await page.get_by_role("button", name="Open 2 doors").click()
            await expect(page.locator(".job-state")).to_contain_text("Done")
            await expect(page.locator(".job-progress")).to_contain_text("2 of 2 done")
        assert [box.opened for box in both] == [{1: 1}, {1: 1}]


async def test_a_paused_page_stands_still_and_counts(hub: Scene, browser: Browser) -> None:
    async with online(hub) as locker, looking(browser, hub.config.http.port) as witness:
        page = await witness.go("/events")
        await expect(page.locator(".connection")).to_have_text("Live")
        await page.get_by_role("button", name="Pause").first.click()
        await locker.events(1, [event_of("door.opened", 5)])
        await expect(page.get_by_text("change", exact=False).first).to_contain_text("waiting")
        await expect(page.locator(".entry").filter(has_text="Door 5 opened")).to_have_count(0)
        await page.get_by_role("button", name="Resume").first.click()
        await expect(page.locator(".entry").filter(has_text="Door 5 opened")).to_have_count(1)


async def test_the_past_is_drawn_from_history_and_takes_no_orders(hub: Scene, browser: Browser) -> None:
    async with online(hub) as locker, looking(browser, hub.config.http.port) as witness:
        await locker.events(1, [event_of("door.opened", 3)])
        await locker.receipt()
        moment = datetime.now(UTC)
        # Stamps are whole milliseconds: what follows has to be of a later one.
        await asyncio.sleep(0.003)
        await locker.events(2, [event_of("door.closed", 3)])
        await locker.receipt()
        page = await witness.go(f"/lockers/{BERLIN}")
        await expect(page.locator('[data-door="3"][data-state="closed"]').first).to_be_visible()
        page = await witness.go(f"/lockers/{BERLIN}?at={moment.isoformat().replace('+00:00', 'Z')}")
        await expect(page.get_by_text("Historical", exact=False).first).to_be_visible()
        await expect(page.locator('[data-door="3"][data-state="open"]').first).to_be_visible()
        await page.locator('[data-door="3"]').first.click()
        await expect(page.get_by_role("button", name="Open door 3")).to_be_disabled()
        await page.get_by_role("button", name="Back to now").click()
        await expect(page.locator('[data-door="3"][data-state="closed"]').first).to_be_visible()


async def test_a_hub_that_goes_and_comes_back_is_followed(
    mosquitto_broker: MosquittoBroker, timescaledb: Cluster, tmp_path: Path, browser: Browser
) -> None:
    port = free_port()
    with fresh_database(timescaledb) as dsn:
        async with agent(mosquitto_broker) as locker, looking(browser, port, silent=False) as witness:
            async with scene(mosquitto_broker, dsn, tmp_path, http_port=port, forget=False):
                await locker.presence()
                page = await witness.go(f"/lockers/{BERLIN}")
                await expect(page.locator(".connection")).to_have_text("Live")
                await locker.events(1, [event_of("door.closed")])
                await locker.receipt()
                await expect(page.locator('[data-door="3"][data-state="closed"]').first).to_be_visible()
            await expect(page.get_by_text("The connection is lost.", exact=False).first).to_be_visible()
            # What was seen stays, marked as old.
            await expect(page.locator('[data-door="3"]').first).to_be_visible()
            async with scene(mosquitto_broker, dsn, tmp_path, http_port=port):
                await locker.presence()
                await expect(page.locator(".connection")).to_have_text("Live")
                await locker.events(2, [event_of("door.opened")])
                await expect(page.locator('[data-door="3"][data-state="open"]').first).to_be_visible()
    # The browser itself reports the refused connections, of a hub that is gone or is about to, and nothing else.
    refused = ("WebSocket connection", "ERR_CONNECTION_REFUSED", "503 (Service Unavailable)")
    assert [text for text in witness.complaints if not any(part in text for part in refused)] == []
