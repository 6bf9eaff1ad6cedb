"""The parts of a locker's page: tabs, the chosen door, sensors, ledger, registry, maintenance, and another time."""

from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.dashboards.axe import axe
from tests.dashboards.conftest import SCHEMES, Open
from tests.dashboards.fake_hub import FakeHub, Json, command, event, fleet, problem, stamp
from tests.dashboards.series import plot

pytestmark = pytest.mark.services

LOCKER = "hamburg-01"
ADDRESS = f"/lockers/{LOCKER}"
API = f"/api/v1/lockers/{LOCKER}"
MARKUP = '<img src=x onerror="alert(1)">'
EPOCH = "6f1c6f2e-30b1-4d4c-9f43-0a1d6b1b7f10"


async def test_the_keyboard_walks_the_tabs_and_each_has_its_address(window: Open) -> None:
    async with fleet(3).serve() as hub:
        page = await (await window(hub)).go(ADDRESS)
        await page.get_by_role("tab", name="Overview").focus()
        for key, tab, part in (
            ("ArrowRight", "Telemetry", "#telemetry"),
            ("End", "Settings", "#settings"),
            ("ArrowRight", "Overview", ""),
            ("ArrowLeft", "Settings", "#settings"),
        ):
            await page.keyboard.press(key)
            await expect(page.get_by_role("tab", name=tab)).to_be_focused()
            await expect(page.get_by_role("tab", name=tab)).to_have_attribute("aria-selected", "true")
            assert page.url == hub.base + ADDRESS + part
        await page.goto(hub.base + ADDRESS + "#ledger")
        await expect(page.get_by_role("tab", name="Ledger")).to_have_attribute("aria-selected", "true")
        await expect(page.get_by_role("heading", name="Ledger", exact=True)).to_be_visible()


async def test_a_chosen_door_is_in_the_address_and_one_that_is_not_there_is_said_so(window: Open) -> None:
    async with fleet(3).serve() as hub:
        page = await (await window(hub)).go(ADDRESS)
        await page.locator("[data-door='5']").click()
        await expect(page).to_have_url(f"{hub.base}{ADDRESS}?door=5")
        panel = page.locator("lh-door-panel")
        await expect(panel).to_contain_text("closed")
        await hub.change_door(LOCKER, 5, state="open", occupied=True)
        await expect(panel.locator("dl")).to_contain_text("open")
        await expect(panel.get_by_role("link", name="History of this door")).to_have_attribute(
            "href", f"/events?locker={LOCKER}&door=5"
        )
        await page.goto(f"{hub.base}{ADDRESS}?door=99")
        await expect(page.get_by_role("alert")).to_have_text(
            "This locker has no door 99. Choose one of those there are."
        )


async def test_a_door_goes_out_of_service_for_a_reason_and_back_without(window: Open) -> None:
    async with fleet(3).serve() as hub:
        hub.answers[f"PUT {API}/doors/5/service"] = {}
        one = await window(hub)
        one.expected.append("409")
        page = await one.go(f"{ADDRESS}?door=5")
        panel = page.locator("lh-door-panel")
        await panel.get_by_role("button", name="Put out of service…").click()
        await expect(panel.get_by_label("Why is it out of service?")).to_be_focused()
        await expect(panel.get_by_role("button", name="Put out of service", exact=True)).to_be_disabled()
        await page.keyboard.type(MARKUP)
        await page.keyboard.press("Enter")
        await hub.until(lambda hub: any(method == "PUT" for method, _, _ in hub.asked))
        assert ("PUT", f"{API}/doors/5/service", {"service": "out", "reason": MARKUP}) in hub.asked
        await hub.change_door(LOCKER, 5, service="out", service_reason=MARKUP)
        await expect(panel).to_contain_text(f"out: {MARKUP}")
        hub.answers[f"PUT {API}/doors/5/service"] = lambda *_: problem(
            409, "door_busy", "The door is busy", "Wait."
        )
        await panel.get_by_role("button", name="Put back into service").click()
        await expect(panel.get_by_role("alert")).to_have_text("The door is busy. Wait.")
        hub.answers[f"PUT {API}/doors/5/service"] = {}
        await panel.get_by_role("button", name="Put back into service").click()
        await expect(panel.get_by_role("alert")).to_have_count(0)
        assert hub.asked[-1][2] == {"service": "in"}


async def test_an_alarm_is_marked_on_its_door_and_told_in_its_name(window: Open) -> None:
    hub = fleet(3)
    hub.views[f"alarms:{LOCKER}"] = {"alarms": [alarm("a", 7), alarm("b", 5, suppressed="shelved")], "total": 2}
    async with hub.serve():
        page = await (await window(hub)).go(f"{ADDRESS}?door=7")
        await expect(page.get_by_role("button", name="Door 7, closed, critical alarm")).to_be_visible()
        await expect(page.get_by_role("button", name="Door 5, closed", exact=True)).to_be_visible()
        link = page.locator("lh-door-panel").get_by_role("link", name=MARKUP)
        await expect(link).to_have_attribute("href", "/alarms/a")
        await axe(page)


async def test_who_may_only_look_sees_the_buttons_and_why_they_are_off(window: Open) -> None:
    hub = fleet(3)
    hub.role = "viewer"
    hub.details[LOCKER]["commands"] = [{**command(LOCKER, "open", 3), "state": "queued"}]
    async with hub.serve():
        page = await (await window(hub)).go(f"{ADDRESS}?door=5")
        for name in ("Open door 5…", "Put out of service…"):
            button = page.get_by_role("button", name=name)
            await expect(button).to_be_disabled()
            await expect(button).to_have_accessible_description("This takes the role operator; yours is viewer.")
        await expect(page.get_by_role("button", name="Locate")).to_be_disabled()
        await page.locator("[data-door='5']").click()
        await expect(page.get_by_role("dialog")).to_be_hidden()
        await page.locator(".command-entry summary").click()
        await expect(page.get_by_role("button", name="Cancel", exact=True)).to_be_disabled()
        await page.goto(f"{hub.base}{ADDRESS}#settings")
        await expect(page.get_by_label("Serial number")).to_be_disabled()
        await expect(page.get_by_role("button", name="Save")).to_have_accessible_description(
            "This takes the role admin; yours is viewer."
        )


async def test_a_command_is_cancelled_and_one_that_failed_is_asked_for_again(window: Open) -> None:
    hub = fleet(3)
    waiting = {**command(LOCKER, "open", 3), "state": "sent", "stages_ms": {}}
    failed = {**command(LOCKER, "open", 5, reason="hand-over"), "state": "failed", "accepted_at": stamp(-60)}
    hub.details[LOCKER]["commands"] = [waiting, failed]
    hub.answers[f"POST /api/v1/commands/{waiting['id']}/cancel"] = {**waiting, "cancel_requested": True}
    async with hub.serve():
        page = await (await window(hub)).go(ADDRESS)
        entries = page.locator(".command-entry")
        await entries.first.locator("summary").click()
        await entries.first.get_by_role("button", name="Cancel").click()
        await expect(entries.first.get_by_role("status")).to_have_text("The locker is asked not to begin it.")
        await entries.last.locator("summary").click()
        await entries.last.get_by_role("button", name="Try again…").click()
        dialog = page.get_by_role("dialog", name="Open door 5")
        await expect(dialog.get_by_label("Reason")).to_have_value("hand-over")
        assert hub.posted == []


async def test_sensors_tell_the_newest_reading_and_what_is_not_normal(window: Open) -> None:
    hub = fleet(3)
    hub.answers[f"GET {API}/telemetry/plot"] = plot
    async with hub.serve():
        page = await (await window(hub)).go(ADDRESS)
        sensors = page.locator(".sensor")
        await expect(sensors.locator("a")).to_have_text(["Temperature", "Battery", "Board errors"])
        await expect(sensors.first).to_contain_text("61.5 °C")
        await expect(sensors.first).to_contain_text("not normal: normal -10 to 50 °C")
        await expect(sensors.nth(1)).to_have_attribute("data-normal", "yes")
        # The line breaks where nothing was measured.
        assert str(await sensors.first.locator(".spark-line").get_attribute("d")).count("M") == 2
        await sensors.nth(1).get_by_role("link").click()
        await expect(page.get_by_role("tab", name="Telemetry")).to_have_attribute("aria-selected", "true")
        await expect(page.locator("[data-measure='battery_pct']")).to_be_in_viewport()


async def test_a_hub_without_readings_says_so_and_one_that_refuses_too(window: Open) -> None:
    async with fleet(3).serve() as hub:
        one = await window(hub)
        one.expected.append("503")
        page = await one.go(ADDRESS)
        await expect(page.get_by_text("Nothing was measured in the last 24 hours.")).to_be_visible()
        hub.answers[f"GET {API}/telemetry/plot"] = lambda *_: problem(
            503, "database_unavailable", "The database is away", "It comes back."
        )
        await page.reload()
        await expect(page.locator("lh-sensors").get_by_role("alert")).to_contain_text("It comes back.")


async def test_the_ledger_says_what_is_missing_and_where(window: Open) -> None:
    hub = fleet(3)
    hub.answers[f"GET {API}/ledger"] = {"items": [ledger(missing=12), ledger()], "next_cursor": None}
    async with hub.serve():
        page = await (await window(hub)).go(f"{ADDRESS}#ledger")
        await expect(page.get_by_text("1 ledger of 2 cannot account for every event.")).to_be_visible()
        first = page.locator(".ledger").first
        await expect(first).to_contain_text("12 numbers are gone.")
        await expect(first.locator(".gap[data-kind='missing']")).to_have_count(1)
        await expect(first.get_by_role("row").nth(2)).to_contain_text("7,001 to 7,012")
        await expect(first.get_by_role("row").nth(1)).to_contain_text("the locker lost it: outbox full")
        await axe(page)
        hub.answers[f"GET {API}/ledger"] = {"items": [ledger()], "next_cursor": None}
        await page.get_by_role("button", name="Count again").click()
        await expect(page.get_by_text("Every event is accounted for.")).to_be_visible()


async def test_only_what_was_changed_is_sent_to_the_registry(window: Open) -> None:
    async with fleet(3).serve() as hub:
        one = await window(hub)
        one.expected.append("409")
        hub.answers[f"PATCH {API}"] = {}
        page = await one.go(f"{ADDRESS}#settings")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("status").filter(has_text="Nothing has changed.")).to_be_visible()
        await page.get_by_label("Name", exact=True).fill(MARKUP)
        await page.get_by_label("Tags").fill(" pilot , outdoor, pilot,")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_text("Saved.")).to_be_visible()
        assert hub.asked[-1][2] == {"name": MARKUP, "tags": ["pilot", "outdoor"]}
        await hub.change_locker(LOCKER, name=MARKUP, tags=["pilot", "outdoor"])
        await expect(page.get_by_role("heading", level=1)).to_have_text(MARKUP)
        await expect(page.locator(".locker-head .tag").first).to_have_attribute("href", "/lockers?q=pilot")
        hub.answers[f"PATCH {API}"] = lambda *_: problem(409, "serial_taken", "The serial is taken", "By koeln-02.")
        await page.get_by_label("Serial number").fill("LH-00002")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("alert")).to_have_text("The serial is taken. By koeln-02.")
        # What others change arrives, and what is being written here stays.
        await hub.change_locker(LOCKER, address="Am Kai 7")
        await expect(page.get_by_label("Address")).to_have_value("Am Kai 7")
        await expect(page.get_by_label("Serial number")).to_have_value("LH-00002")


async def test_maintenance_begins_and_ends_from_the_lockers_page(window: Open) -> None:
    windows: list[Json] = []

    def begin(_: object, body: Json) -> Json:
        windows.append({**body, "id": "m1", "site": None, "door": None, "by": "anna", "state": "running"})
        return windows[-1]

    def end(*_: object) -> Json:
        windows[0]["state"] = "ended"
        return windows[0]

    hub = fleet(3)
    elsewhere = {"id": "m0", "site": "Köln", "locker": None, "door": None, "why": "not ours", "by": "ben"}
    elsewhere |= {"starts_at": stamp(-60), "ends_at": stamp(60), "state": "running"}
    hub.answers["GET /api/v1/maintenance"] = lambda *_: answer([elsewhere, *windows])
    hub.answers["POST /api/v1/maintenance"] = begin
    hub.answers["POST /api/v1/maintenance/m1/end"] = end
    async with hub.serve():
        page = await (await window(hub)).go(f"{ADDRESS}#settings")
        await expect(page.get_by_text("No maintenance is planned or running.")).to_be_visible()
        await page.get_by_label("Why").fill("new hinge")
        await page.get_by_label("For", exact=True).select_option("4 hours")
        await page.get_by_role("button", name="Begin maintenance").click()
        await expect(page.locator(".windows")).to_contain_text("Running: new hinge")
        assert (windows[0]["locker"], windows[0]["why"]) == (LOCKER, "new hinge")
        await axe(page)
        await page.get_by_role("button", name="End now").click()
        await expect(page.get_by_text("No maintenance is planned or running.")).to_be_visible()


async def test_another_time_is_drawn_from_history_and_nothing_can_be_done_in_it(window: Open) -> None:
    hub = fleet(3)
    at = stamp(-3600)[:-5] + "Z"
    then = {**hub.details[LOCKER], "boards": None, "agent": None, "commands": None}
    then["doors"] = [{**one, "state": "open" if one["number"] == 9 else "closed"} for one in then["doors"]]
    hub.answers[f"GET /api/v1/history/lockers/{LOCKER}"] = {
        "at": at, "known_since": stamp(-99_999), "locker": then, "alarms": [alarm("a", 7)],
        "events": [event(LOCKER, 9, "door.opened", 9, ago_s=3700)],
    }  # fmt: skip
    async with hub.serve():
        page = await (await window(hub)).go(f"{ADDRESS}?door=9&at={at}")
        await expect(page.get_by_role("button", name="Door 9, open")).to_be_visible()
        await expect(page.locator("lh-door-panel").get_by_role("button", name="Open door 9…")).to_be_disabled()
        await expect(page.locator(".entry")).to_contain_text("Door 9 opened")
        await expect(page.locator("lh-locker-alarms")).to_contain_text(MARKUP)
        await page.locator("[data-door='9']").click()
        await expect(page.get_by_role("dialog", name="Open door 9")).to_have_count(0)
        await hub.change_door(LOCKER, 9, state="unknown")
        await page.get_by_role("tab", name="Messages").click()
        await expect(page.get_by_text("Messages are of now only")).to_be_visible()
        assert not any(said.get("view") == f"tail:{LOCKER}" for said in hub.heard)
        await page.get_by_role("tab", name="Settings").click()
        await expect(page.get_by_role("button", name="Begin maintenance")).to_be_disabled()
        await axe(page, scope="main")


@pytest.mark.parametrize("doors", [2, 16, 64])
async def test_a_narrow_page_has_no_sideways_scrolling(window: Open, doors: int) -> None:
    hub = fleet(3, doors=doors)
    grid(hub, doors)
    hub.answers[f"GET {API}/telemetry/plot"] = plot
    hub.answers[f"GET {API}/ledger"] = {"items": [ledger(missing=12)], "next_cursor": None}
    async with hub.serve():
        one = await window(hub, width=360, height=780)
        page = await one.go(f"{ADDRESS}?door=2")
        await expect(page.locator("[data-door='2']")).to_be_visible()
        for tab in ("Overview", "Telemetry", "Ledger", "Messages", "Settings"):
            await page.get_by_role("tab", name=tab).click()
            await expect(page.get_by_role("tabpanel")).to_be_visible()
            assert await is_narrow(page), tab
        await page.get_by_role("tab", name="Overview").click()
        for scheme in SCHEMES:
            await one.show(scheme=scheme)
            await axe(page)


async def is_narrow(page: Page) -> bool:
    return bool(await page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def grid(hub: FakeHub, doors: int) -> None:
    """Lay the doors out as in a real cabinet: eight columns of different sizes, or two."""
    columns = 8 if doors > 16 else 2 if doors == 2 else 4
    for place, door in enumerate(hub.details[LOCKER]["doors"]):
        door.update(row=place // columns + 1, column=place % columns + 1, size="SMLX"[place // columns % 4])
        if door["size"] == "X":
            door["size"] = "XL"


def answer(items: list[Json]) -> Json:
    return {"items": items, "next_cursor": None}


def ledger(missing: int = 0) -> dict[str, Any]:
    return {
        "locker": LOCKER, "epoch": EPOCH if missing else EPOCH.replace("6", "7"), "first_stored": 1, "last": 10_240,
        "stored": 10_240 - missing - 5, "missing": missing, "missing_ranges": 1 if missing else 0,
        "missing_list": [{"from_seq": 7001, "to_seq": 7000 + missing}] if missing else [],
        "declared": 5, "declared_ranges": 1,
        "declared_list": [{"from_seq": 11, "to_seq": 15, "reason": "outbox_full"}],
        "quarantined": 0, "quarantined_list": [], "duplicates": 0, "beyond": 0, "gone": 0, "resurrected": 0,
        "given_up": 0, "forks": 0, "chain": "9c", "complete": not missing,
        "problems": [f"{missing} numbers are gone."] if missing else [],
    }  # fmt: skip


def alarm(name: str, door: int, *, suppressed: str | None = None) -> dict[str, Any]:
    return {
        "id": name, "type": "door.forced", "severity": "critical", "tenant": "default", "site": "Hamburg",
        "locker": LOCKER, "door": door, "state": "active_unacked", "began_at": stamp(-90), "raised_at": stamp(-90),
        "cleared_at": None, "last_at": stamp(-90), "count": 1, "value": None, "limit": None, "unit": None,
        "acked_at": None, "acked_by": None, "ack_note": None, "shelved": None, "suppressed": suppressed,
        "parent": None, "children": 0, "chattering": False, "stale": False, "rule": "door.forced",
        "what": MARKUP, "where": "Hamburg", "consequence": "", "todo": "",
    }  # fmt: skip
