import pytest
from playwright.async_api import expect

from tests.dashboards.conftest import Open
from tests.dashboards.fake_hub import fleet

pytestmark = pytest.mark.services


async def test_it_lists_every_locker_and_counts_the_states(window: Open) -> None:
    async with fleet(25).serve() as hub:
        page = await (await window(hub)).go("/lockers")
        for name, number in {
            "All lockers": 25,
            "Online": 21,
            "Offline": 2,
            "Doors open": 5,
            "Never seen": 2,
        }.items():
            await expect(page.get_by_role("link", name=name).locator(".tile-count")).to_have_text(str(number))
        await expect(page.get_by_text("25 lockers")).to_be_visible()
        first = page.locator("[data-locker]").first
        await expect(first).to_contain_text("Offline")
        await expect(first).to_contain_text("berlin-24")


async def test_a_tile_filters_and_the_address_remembers_it(window: Open) -> None:
    async with fleet(25).serve() as hub:
        page = await (await window(hub)).go("/lockers")
        await page.locator(".tile-offline").click()
        await expect(page.locator("[data-locker]")).to_have_count(2)
        assert page.url == f"{hub.base}/lockers?state=offline"
        await page.reload()
        await expect(page.locator("[data-locker]")).to_have_count(2)
        await page.go_back()
        await expect(page.get_by_text("25 lockers")).to_be_visible()


async def test_search_finds_by_id_name_and_site_and_says_when_nothing_matches(window: Open) -> None:
    async with fleet(25).serve() as hub:
        page = await (await window(hub)).go("/lockers")
        await expect(page.locator("[data-locker]").first).to_be_visible()
        await page.keyboard.press("/")
        await expect(page.get_by_role("searchbox")).to_be_focused()
        for typed, found in {"koeln-10": "koeln-10", "KÖLN gate": "koeln-10", "muenchen-04": "muenchen-04"}.items():
            await page.keyboard.press("Control+A")
            await page.keyboard.type(typed)
            await expect(page.locator("[data-locker]")).to_have_count(1)
            await expect(page.locator("[data-locker]")).to_have_attribute("data-locker", found)
        await page.keyboard.type("zzz")
        await expect(page.get_by_text("No locker matches")).to_be_visible()
        await page.get_by_role("link", name="Clear the filter").click()
        await expect(page.get_by_text("25 lockers")).to_be_visible()


async def test_lockers_are_walked_and_opened_by_keyboard(window: Open) -> None:
    async with fleet(25).serve() as hub:
        page = await (await window(hub)).go("/lockers?sort=id")
        await expect(page.locator("[data-locker]").first).to_be_visible()
        await page.keyboard.press("/")
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Berlin, library")
        assert page.url == f"{hub.base}/lockers/berlin-16"


async def test_a_diff_changes_its_row_and_the_counts(window: Open) -> None:
    async with fleet(25).serve() as hub:
        page = await (await window(hub)).go("/lockers")
        row = page.locator("[data-locker=berlin-08]")
        await expect(row).to_contain_text("Online")
        element = await row.element_handle()
        await hub.change_door("berlin-08", 2, state="open")
        await expect(row).to_contain_text("1 open")
        await expect(page.get_by_role("link", name="Doors open").locator(".tile-count")).to_have_text("6")
        assert await row.evaluate("(now, before) => now === before", element)


async def test_rows_hold_still_while_they_are_pointed_at(window: Open) -> None:
    async with fleet(25).serve() as hub:
        one = await window(hub, own=True)
        await one.page.clock.install()
        page = await one.go("/lockers")
        rows = page.locator("[data-locker]")
        await rows.nth(3).hover()
        await hub.change_locker("berlin-08", state="offline")
        row = page.locator("[data-locker=berlin-08]")
        await expect(row).to_contain_text("Offline")
        # Long enough for a list that nobody points at to be sorted anew.
        await page.clock.fast_forward(3_000)
        await hub.change_door("berlin-16", 1, state="open")
        await expect(page.locator("[data-locker=berlin-16]")).to_contain_text("1 open")
        assert await row.get_attribute("data-index") == "7"
        await page.mouse.move(300, 20)
        await expect(row).to_have_attribute("data-index", "0")


async def test_pausing_holds_everything_and_counts_what_waits(window: Open) -> None:
    async with fleet(25).serve() as hub:
        page = await (await window(hub)).go("/lockers")
        row = page.locator("[data-locker=berlin-08]")
        await expect(row).to_contain_text("Online")
        await page.get_by_role("button", name="Pause").click()
        await hub.change_locker("berlin-08", state="offline")
        await hub.change_door("berlin-16", 1, state="open")
        await expect(page.get_by_text("2 changes waiting")).to_be_visible()
        await expect(row).to_contain_text("Online")
        await page.get_by_role("button", name="Resume").first.click()
        await expect(row).to_contain_text("Offline")


async def test_grouping_puts_a_heading_before_each_site(window: Open) -> None:
    async with fleet(25).serve() as hub:
        page = await (await window(hub)).go("/lockers")
        await page.get_by_label("By site").check()
        await expect(page.locator(".row-site").first).to_contain_text("Berlin")
        await expect(page.locator(".row-site").first).to_contain_text("3 lockers, 1 offline")


async def test_markup_in_names_stays_text(window: Open) -> None:
    hub = fleet(3)
    name = "<img src=x onerror=alert(1)><b>Lobby</b> & \u202e co"
    for detail in hub.details.values():
        detail["name"] = detail["site"] = name
    hub.details["hamburg-01"]["doors"][0]["label"] = "<i>1</i>"
    async with hub.serve():
        page = await (await window(hub)).go("/lockers")
        await expect(page.locator(".row-title").first).to_have_text(name)
        assert await page.locator("main img, main b").count() == 0
        await page.goto(f"{hub.base}/lockers/hamburg-01")
        await expect(page.get_by_role("heading", level=1)).to_have_text(name)
        await expect(page.locator(".door-label").first).to_have_text("<i>1</i>")


async def test_five_thousand_lockers_take_sixty_row_elements(window: Open) -> None:
    async with fleet(5000, doors=8).serve() as hub:
        page = await (await window(hub)).go("/lockers?sort=id")
        await expect(page.get_by_text("5,000 lockers")).to_be_visible()
        seen: set[str] = set()
        first = page.locator("[data-locker]").first
        for at in (0.0, 0.37, 0.5, 1.0):
            await page.evaluate("at => scrollTo(0, document.documentElement.scrollHeight * at)", at)
            for before in seen:
                await expect(first).not_to_have_attribute("data-index", before)
            assert 0 < await page.locator(".row").count() <= 60
            seen.add(await first.get_attribute("data-index") or "")
        await expect(page.locator("[aria-posinset='5000']")).to_be_in_viewport()
        assert len(seen) == 4
        await page.get_by_role("searchbox").fill("-4321")
        await expect(page.locator("[data-locker]")).to_have_count(1)


async def test_no_page_is_wider_than_the_screen(window: Open) -> None:
    async with fleet(25).serve() as hub:
        one = await window(hub)
        for path in ("/", "/lockers", "/lockers/hamburg-01", "/events"):
            page = await one.go(path)
            await expect(page.locator(".connection")).to_have_text("Live")
            for width in (1280, 768, 360):
                await one.show(width=width)
                await page.wait_for_function("() => document.documentElement.scrollWidth <= innerWidth")


async def test_the_chosen_theme_is_remembered(window: Open) -> None:
    async with fleet(3).serve() as hub:
        page = await (await window(hub, scheme="dark")).go("/lockers")
        await page.get_by_role("button", name="Use the light theme").click()
        await page.reload()
        await expect(page.get_by_role("button", name="Use the dark theme")).to_be_visible()
        assert await page.evaluate("() => getComputedStyle(document.documentElement).colorScheme") == "light"


async def test_an_empty_fleet_says_so(window: Open) -> None:
    async with fleet(0).serve() as hub:
        page = await (await window(hub)).go("/lockers")
        await expect(page.get_by_text("No lockers yet")).to_be_visible()
