"""Statistics: what is asked for stands in the address, what is answered stands in bars and in tables."""

from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import expect

from tests.dashboards.axe import axe
from tests.dashboards.conftest import SCHEMES, Open
from tests.dashboards.fake_hub import FakeHub, fleet, problem
from tests.dashboards.series import statistics

pytestmark = pytest.mark.services

ASKED = "GET /api/v1/statistics"
MARKUP = "<b>Köln</b>"
WHOLE_HOURS = """([since, until]) => {
  const whole = (text) => new Date(Math.round(Date.parse(text) / 3_600_000) * 3_600_000).toISOString();
  return { since: [whole(since)], until: [whole(until)] };
}"""
"""Times of the browser's zone, which may be three quarters of an hour off, as whole hours of UTC."""


async def test_what_doors_did_is_told_in_bars_and_in_tables(window: Open) -> None:
    async with counted().serve() as hub:
        page = await (await window(hub)).go("/statistics")
        await expect(page.locator("lh-bars canvas")).to_have_count(6)
        tiles = page.locator(".stat-tiles dd")
        await expect(tiles).to_have_text(["1,240", "62 (5.0 %)", "31", "620", "620", "12 h", "42 h"])
        await page.get_by_text("Openings as a table", exact=True).click()
        rows = page.get_by_role("region", name="Openings as a table").get_by_role("row")
        await expect(rows).to_have_count(1 + 31)
        await expect(rows.nth(1).get_by_role("cell")).to_have_text(["40"])
        await page.get_by_text("Time until collected as a table").click()
        steps = page.get_by_role("region", name="Time until collected as a table").get_by_role("rowheader")
        await expect(steps.first).to_have_text("10 min")
        await expect(steps.last).to_have_text("7 d")
        sizes = page.get_by_role("region", name="How full, by size").get_by_role("row").nth(1)
        await expect(sizes).to_contain_text("31 %")
        await expect(page.get_by_text("38 of 40 (S)")).to_be_visible()
        await axe(page)


async def test_arrow_keys_walk_the_bars(window: Open) -> None:
    async with counted().serve() as hub:
        page = await (await window(hub)).go("/statistics")
        await page.locator("lh-bars .plot-canvas").last.focus()
        for _ in range(9):
            await page.keyboard.press("ArrowRight")
        await expect(page.locator(".plot-value").last).to_have_text("8 to 9: 40")


async def test_a_filter_is_in_the_address_and_in_the_file(window: Open) -> None:
    async with counted().serve() as hub:
        page = await (await window(hub)).go("/statistics")
        await page.get_by_role("button", name="7 days").click()
        await page.locator("select[name=bucket]").select_option("by week")
        await page.get_by_label("Site").fill(MARKUP)
        await page.get_by_role("textbox", name="Locker").fill("koeln-02")
        await page.keyboard.press("Enter")
        await hub.until(lambda hub: last(hub).get("locker") == ["koeln-02"])
        wanted = {"site": [MARKUP], "locker": ["koeln-02"], "bucket": ["week"]}
        assert {name: last(hub)[name] for name in wanted} == wanted
        assert {name: parse_qs(urlsplit(page.url).query)[name] for name in wanted} == wanted
        assert parse_qs(urlsplit(page.url).query)["range"] == ["7d"]
        await page.reload()
        await expect(page.get_by_label("Site")).to_have_value(MARKUP)
        await expect(page.get_by_role("button", name="7 days")).to_have_attribute("aria-pressed", "true")
        file = urlsplit(str(await page.get_by_role("link", name="Save as a file").get_attribute("href")))
        assert file.path == "/api/v1/export/statistics"
        assert parse_qs(file.query)["locker"] == ["koeln-02"]
        assert set(parse_qs(file.query)) == {"locker", "site", "since", "until"}


async def test_any_other_span_can_be_entered_in_whole_hours(window: Open) -> None:
    async with counted().serve() as hub:
        page = await (await window(hub)).go("/statistics")
        await page.get_by_role("button", name="Other…").click()
        await page.get_by_label("From").fill("2026-11-01T10:12")
        await page.get_by_label("To", exact=True).fill("2026-11-03T10:50")
        await page.get_by_role("button", name="Show", exact=True).click()
        wanted = await page.evaluate(WHOLE_HOURS, ["2026-11-01T10:12", "2026-11-03T10:50"])
        await hub.until(lambda hub: {name: last(hub).get(name) for name in wanted} == wanted)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("bucket=year", "“year” is no width of a bar"),
        ("range=ever", "There is no span “ever”."),
        ("range=custom&since=yesterday&until=now", "From and to have to be times."),
        (
            "range=custom&since=2026-11-03T00:00:00Z&until=2026-11-01T00:00:00Z",
            "Its end is not after its beginning.",
        ),
    ],
)
async def test_nonsense_in_the_address_is_said_to_be_nonsense(window: Open, query: str, words: str) -> None:
    async with counted().serve() as hub:
        page = await (await window(hub)).go(f"/statistics?{query}")
        await expect(page.get_by_role("alert")).to_contain_text(words)
        assert not [path for _, path, _ in hub.asked if path.startswith("/api/v1/statistics")]
        await page.get_by_role("button", name="31 days").click()
        await page.locator("select[name=bucket]").select_option("by day")
        await expect(page.locator("lh-bars canvas")).to_have_count(6)


async def test_what_the_hub_refuses_is_told_in_its_words_and_can_be_tried_again(window: Open) -> None:
    hub = counted()
    hub.answers[ASKED] = lambda *_: problem(400, "bad_request", "That is no time zone", "`zone` names Mars/Base.")
    async with hub.serve():
        one = await window(hub)
        one.expected.append("400")
        page = await one.go("/statistics?zone=Mars/Base")
        await expect(page.get_by_role("alert")).to_contain_text("`zone` names Mars/Base.")
        await axe(page)
        hub.answers[ASKED] = statistics
        await page.get_by_label("Time zone").fill("Europe/Berlin")
        await page.keyboard.press("Enter")
        await expect(page.locator("lh-bars canvas")).to_have_count(6)
        assert last(hub)["zone"] == ["Europe/Berlin"]


async def test_nothing_happened_and_hours_that_are_due_are_said(window: Open) -> None:
    hub = counted()
    hub.answers[ASKED] = partial(statistics, openings=0, hours_due=2)
    async with hub.serve():
        page = await (await window(hub)).go("/statistics?site=Bremen")
        await expect(page.get_by_text("Nothing happened in this time")).to_be_visible()
        await expect(page.get_by_text("No door moved in Bremen.")).to_be_visible()
        await expect(page.get_by_text("2 hours wait to be counted again")).to_be_visible()
        await expect(page.locator("lh-bars")).to_have_count(0)


async def test_it_fits_a_narrow_page(window: Open) -> None:
    async with counted().serve() as hub:
        one = await window(hub, width=360, height=780)
        page = await one.go("/statistics?bucket=hour&range=7d")
        await expect(page.locator("lh-bars canvas")).to_have_count(6)
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        for scheme in SCHEMES:
            await one.show(scheme=scheme)
            await axe(page)


def counted() -> FakeHub:
    hub = fleet(3)
    hub.answers[ASKED] = statistics
    return hub


def last(hub: FakeHub) -> dict[str, Any]:
    """What was asked of the statistics last."""
    asked = [path for _, path, _ in hub.asked if path.startswith("/api/v1/statistics")]
    return parse_qs(urlsplit(asked[-1]).query) if asked else {}
