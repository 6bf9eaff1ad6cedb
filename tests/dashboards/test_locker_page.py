import pytest
from playwright.async_api import Page, expect

from tests.dashboards.conftest import Open
from tests.dashboards.fake_hub import FakeHub, event, fleet

pytestmark = pytest.mark.services

LOCKER = "hamburg-01"


async def test_doors_are_drawn_where_they_are(window: Open) -> None:
    hub = fleet(3)
    hub.details[LOCKER]["doors"][0].update(row=4, column=4)
    hub.details[LOCKER]["doors"][15].update(row=1, column=1)
    async with hub.serve():
        page = await (await window(hub)).go(f"/lockers/{LOCKER}")
        first = await page.locator("[data-door='16']").bounding_box()
        last = await page.locator("[data-door='1']").bounding_box()
        assert first is not None
        assert last is not None
        assert first["x"] < last["x"]
        assert first["y"] < last["y"]


async def test_doors_without_a_layout_are_still_all_there(window: Open) -> None:
    hub = fleet(3)
    for door in hub.details[LOCKER]["doors"]:
        door.update(row=1, column=1)
    async with hub.serve():
        page = await (await window(hub)).go(f"/lockers/{LOCKER}")
        await expect(page.get_by_text("layout of this cabinet is not entered")).to_be_visible()
        await page.locator("[data-door='16']").click()
        await expect(page.get_by_role("heading", name="Door 16")).to_be_visible()


async def test_a_diff_updates_a_door(window: Open) -> None:
    async with fleet(3).serve() as hub:
        page = await (await window(hub)).go(f"/lockers/{LOCKER}")
        await expect(page.get_by_role("button", name="Door 5, closed")).to_be_visible()
        await hub.change_door(LOCKER, 5, state="open", occupied=True)
        await expect(page.get_by_role("button", name="Door 5, open, item present")).to_be_visible()
        await hub.change_door(LOCKER, 5, state="unknown", last_known="open")
        await expect(page.get_by_role("button", name="Door 5, unknown, last seen open")).to_be_visible()


async def test_arrow_keys_walk_the_doors(window: Open) -> None:
    async with fleet(3).serve() as hub:
        page = await (await window(hub)).go(f"/lockers/{LOCKER}")
        await page.locator("[data-door='1']").focus()
        for key, door in {"ArrowRight": 2, "ArrowDown": 6, "ArrowLeft": 5, "ArrowUp": 1, "End": 16}.items():
            await page.keyboard.press(key)
            await expect(page.locator(f"[data-door='{door}']")).to_be_focused()
        assert await page.locator("[data-door][tabindex='0']").count() == 1


async def test_opening_a_door_asks_first_and_then_shows_every_stage(window: Open) -> None:
    async with fleet(3).serve() as hub:
        page = await (await window(hub)).go(f"/lockers/{LOCKER}")
        await page.locator("[data-door='3']").click()
        await page.get_by_role("button", name="Open door 3…").click()
        dialog = page.get_by_role("dialog", name="Open door 3")
        await expect(dialog).to_contain_text(f"Hamburg, main station {LOCKER}")
        await expect(dialog.get_by_role("button", name="Open door 3")).not_to_be_focused()
        await expect(dialog.get_by_label("Reason")).to_be_focused()
        await page.keyboard.type("hand-over")
        await page.keyboard.press("Enter")
        assert hub.posted == []
        await dialog.get_by_role("button", name="Open door 3").click()
        await expect(dialog.get_by_role("status")).to_have_text("Door 3 is unlocked. Waiting for it to open.")
        (posted,) = hub.posted
        assert posted[:2] == (LOCKER, {"kind": "open", "door": 3, "reason": "hand-over"})
        assert len(posted[2]) == 36
        rows = dialog.locator(".wf-row")
        labels = ["Accepted", "Published", "Received", "Started", "Lock pulsed", "Replied", "Door seen open"]
        await expect(rows.locator(".wf-label")).to_have_text(labels)
        await expect(rows.locator(".wf-ms")).to_have_text(
            ["0.0 ms", "0.3 ms", "0.9 ms", "1.1 ms", "1.6 ms", "2.2 ms", "waiting"]
        )
        await expect(dialog).to_contain_text("Lock pulsed after 1.6 ms, within the budget of 200 ms.")
        await see_open(hub)
        await expect(dialog.get_by_role("status")).to_have_text("Door 3 opened.")
        await expect(rows.last).to_contain_text("240 ms")
        await page.keyboard.press("Escape")
        await expect(dialog).to_be_hidden()
        await expect(page.get_by_role("button", name="Open door 3…")).to_be_focused()
        await expect(page.locator(".command-entry")).to_contain_text("hand-over")


async def test_a_door_is_not_opened_without_a_reason(window: Open) -> None:
    async with fleet(3).serve() as hub:
        page = await (await window(hub)).go(f"/lockers/{LOCKER}?door=3")
        # A door that is chosen already leads to the question at once.
        await page.locator("[data-door='3']").click()
        dialog = page.get_by_role("dialog", name="Open door 3")
        for too_short in ("", "  x  "):
            await dialog.get_by_label("Reason").fill(too_short)
            await dialog.get_by_role("button", name="Open door 3").click()
            await expect(dialog.get_by_role("alert")).to_have_text("Say why, in 3 letters or more.")
            await expect(dialog.get_by_label("Reason")).to_be_focused()
        assert hub.posted == []


async def test_a_paused_page_still_shows_what_came_of_ones_own_command(window: Open) -> None:
    async with fleet(3).serve() as hub:
        page = await (await window(hub)).go(f"/lockers/{LOCKER}")
        await expect(page.locator("[data-door='3']")).to_be_visible()
        await page.get_by_role("button", name="Pause").click()
        await open_door(page, 3)
        await expect(page.get_by_text("Waiting for it to open")).to_be_visible()
        await see_open(hub)
        await expect(page.get_by_role("dialog").get_by_role("status")).to_have_text("Door 3 opened.")


async def test_a_refusal_is_shown_in_the_hubs_words(window: Open) -> None:
    async with fleet(3).serve() as hub:
        one = await window(hub)
        one.expected.append("409")
        page = await one.go(f"/lockers/{LOCKER}")
        words = {"code": "door_busy", "title": "The door is busy", "detail": "Another command is under way."}
        hub.refusal = (409, words)
        await open_door(page, 3)
        alert = page.get_by_role("dialog").get_by_role("alert")
        for part in words.values():
            await expect(alert).to_contain_text(part)
        hub.refusal = None
        await page.get_by_role("button", name="Try again").click()
        await page.get_by_label("Reason").fill("once more")
        await page.get_by_role("dialog").get_by_role("button", name="Open door 3").click()
        await expect(page.get_by_text("Waiting for it to open")).to_be_visible()
        assert hub.posted[0][2] != hub.posted[1][2]


async def test_a_lost_answer_is_asked_for_again_under_the_same_key(window: Open) -> None:
    async with fleet(3).serve() as hub:
        one = await window(hub)
        one.expected.append("net::ERR")
        page = await one.go(f"/lockers/{LOCKER}")
        hub.lose_answers = True
        await open_door(page, 3)
        await expect(page.get_by_text("The hub did not answer")).to_be_visible()
        hub.lose_answers = False
        await page.get_by_role("button", name="Try again").click()
        await expect(page.get_by_text("Waiting for it to open")).to_be_visible()
        assert len({key for _, _, key in hub.posted}) == 1


async def test_locate_is_sent_at_once(window: Open) -> None:
    async with fleet(3).serve() as hub:
        page = await (await window(hub)).go(f"/lockers/{LOCKER}")
        await page.get_by_role("button", name="Locate").click()
        await expect(page.get_by_text("The locker is showing itself.")).to_be_visible()
        assert hub.posted[0][1] == {"kind": "locate"}


async def test_events_are_sentences_and_older_ones_can_be_loaded(window: Open) -> None:
    hub = fleet(3)
    hub.events = [event(LOCKER, 300 - n, "door.opened", 1 + n % 9, ago_s=n) for n in range(160)]
    async with hub.serve():
        page = await (await window(hub)).go(f"/lockers/{LOCKER}")
        await expect(page.locator(".entry")).to_have_count(100)
        await hub.tell(event(LOCKER, 301, "door.forced", 7))
        await expect(page.locator(".entry").first).to_contain_text("Door 7 opened without a command")
        await page.get_by_role("button", name="Older events").click()
        await expect(page.locator(".entry")).not_to_have_count(101)
        await page.get_by_role("button", name="Older events").click()
        await expect(page.locator(".entry")).to_have_count(161)
        await page.get_by_label("Show").select_option("Needs attention")
        await expect(page.locator(".entry")).to_have_count(1)


async def test_the_fleets_events_lead_to_their_lockers(window: Open) -> None:
    hub = fleet(3)
    hub.events = [
        event(LOCKER, 1, "access.denied", reason="wrong <b>code</b>"),
        event("koeln-02", 9, "x.new_kind", 4),
    ]
    async with hub.serve():
        page = await (await window(hub)).go("/events")
        await expect(page.locator(".entry").first).to_contain_text("Access denied: wrong <b>code</b>")
        await expect(page.locator(".entry").last).to_contain_text("x.new_kind (door 4)")
        await page.get_by_role("searchbox").fill("denied")
        await expect(page.locator(".entry")).to_have_count(1)
        await page.get_by_role("link", name=LOCKER).click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Hamburg, main station")


async def test_an_unknown_locker_is_said_to_be_unknown(window: Open) -> None:
    async with fleet(3).serve() as hub:
        page = await (await window(hub)).go("/lockers/nobody")
        await expect(page.get_by_role("alert")).to_contain_text("There is no such locker")
        await page.get_by_role("link", name="Go to the fleet").click()
        await expect(page.locator("[data-locker]").first).to_be_visible()


async def open_door(page: Page, number: int) -> None:
    await page.locator(f"[data-door='{number}']").click()
    await page.get_by_role("button", name=f"Open door {number}…").click()
    await page.get_by_label("Reason").fill("hand-over")
    await page.get_by_role("dialog").get_by_role("button", name=f"Open door {number}").click()


async def see_open(hub: FakeHub) -> None:
    made = hub.details[LOCKER]["commands"][0]
    await hub.change_command(made, outcome="opened", stages_ms={**made["stages_ms"], "opened": 240.0})
