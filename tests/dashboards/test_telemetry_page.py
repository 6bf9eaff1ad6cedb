"""Telemetry as plots: spans of time, gaps, what is normal, cursors, themes, and the table beside the picture."""

from datetime import datetime
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from playwright.async_api import Page, expect

from tests.dashboards.axe import axe
from tests.dashboards.conftest import Open
from tests.dashboards.fake_hub import FakeHub, fleet, problem
from tests.dashboards.series import plot

pytestmark = pytest.mark.services

LOCKER = "hamburg-01"
ADDRESS = f"/lockers/{LOCKER}"
PLOT = f"GET /api/v1/lockers/{LOCKER}/telemetry/plot"
LATER = """async () => {
  const element = document.querySelector("lh-telemetry");
  const now = element.app.now();
  for (const minutes of [2, 5]) {
    element.app.now = () => now + minutes * 60_000;
    element.requestUpdate();
    await element.updateComplete;
  }
}"""
COLOURS = """(name) => {
  const canvas = document.querySelector(`[data-measure="${name}"] canvas`);
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
  const count = {};
  for (let at = 0; at < data.length; at += 4) {
    if (data[at + 3] !== 255) continue;
    const colour = `#${[0, 1, 2].map((part) => data[at + part].toString(16).padStart(2, "0")).join("")}`;
    count[colour] = (count[colour] ?? 0) + 1;
  }
  return count;
}"""
TOKEN = "(name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()"


async def test_each_measure_is_drawn_with_what_is_normal_and_has_a_table(window: Open) -> None:
    hub = plotted()
    async with hub.serve():
        page = await (await window(hub)).go(f"{ADDRESS}#telemetry")
        await expect(page.locator("lh-plot canvas")).to_have_count(3)
        await expect(page.locator(".plot figcaption strong")).to_have_text(
            ["Temperature", "Battery", "Board errors"]
        )
        await expect(page.locator("[data-measure='temperature_c']")).to_contain_text("normal -10 to 50 °C")
        await page.get_by_text("Temperature as a table").click()
        rows = page.get_by_role("region", name="Temperature as a table").get_by_role("row")
        await expect(rows).to_have_count(1 + 90)
        await expect(rows.nth(1).get_by_role("cell")).to_have_text(["23.0 °C", "24.0 °C", "25.0 °C"])
        await axe(page, scope="main")


async def test_what_is_normal_comes_from_the_hubs_own_rules(window: Open) -> None:
    hub = plotted()
    condition = {"kind": "level", "of": "temperature_c", "above": 65, "below": None}
    hub.answers["GET /api/v1/alarms/rules"] = {"items": [{"id": "t", "enabled": True, "condition": condition}]}
    async with hub.serve():
        page = await (await window(hub)).go(f"{ADDRESS}#telemetry")
        await expect(page.locator("[data-measure='temperature_c']")).to_contain_text("normal -10 to 65 °C")


async def test_a_change_of_theme_is_a_change_of_ink(window: Open) -> None:
    hub = plotted()
    async with hub.serve():
        page = await (await window(hub)).go(f"{ADDRESS}#telemetry")
        await expect(page.locator("lh-plot canvas")).to_have_count(3)
        inks = []
        for _ in range(2):
            ink, ground = await page.evaluate(TOKEN, "--ink"), await page.evaluate(TOKEN, "--plot-normal")
            colours = await drawn(page, "temperature_c", ink)
            assert colours.get(ink, 0) > 20
            assert colours.get(ground, 0) > 1000
            inks.append(ink)
            await page.evaluate("document.documentElement.dataset.theme = 'dark'")
        assert inks[0] != inks[1]


async def test_a_gap_stays_a_gap(window: Open) -> None:
    steps = """async () => {
      const { columns, rowsOf } = await import("/static/app/series.js");
      const at = (minute) => new Date(minute * 60000).toISOString();
      const plot = (width_s, minutes) => ({ width_s, at: minutes.map(at), samples: [],
        series: { cpu_pct: { min: null, avg: null, max: minutes }, other: { min: [1], avg: [2], max: [3] } } });
      const broken = columns(plot(60, [0, 1, 2, 9, 10]), "cpu_pct");
      return [broken.x.map((x) => x / 60), broken.avg, columns(plot(0, [0, 1, 3, 4]), "cpu_pct").avg.length,
        columns(plot(0, [0, 1, 9, 10]), "cpu_pct").avg, columns(plot(60, []), "cpu_pct").x,
        columns(plot(60, [1]), "none").x, rowsOf(broken, 2)];
    }"""
    async with fleet(1).serve() as hub:
        page = await (await window(hub)).go("/lockers")
        x, values, close, raw, empty, unknown, rows = await page.evaluate(steps)
        assert x == [0, 1, 2, 3, 9, 10]
        assert values == [0, 1, 2, None, 9, 10]
        assert close == 4
        assert raw == [0, 1, None, 9, 10]
        assert empty == unknown == []
        assert rows == [
            {"at": 0, "min": 0, "avg": 1, "max": 2},
            {"at": 540, "min": 9, "avg": 9.5, "max": 10},
        ]


async def test_arrow_keys_move_the_cursor_of_all_plots(window: Open) -> None:
    hub = plotted()
    async with hub.serve():
        page = await (await window(hub)).go(f"{ADDRESS}#telemetry")
        await page.locator("[data-measure='temperature_c'] .plot-canvas").focus()
        await page.keyboard.press("End")
        values = page.locator(".plot-value")
        await expect(values.first).to_contain_text("61.5 °C (60.5 °C to 62.5 °C)")
        await expect(values.nth(1)).to_contain_text("97 % (96 % to 97 %)")
        await page.keyboard.press("ArrowLeft")
        await expect(values.first).to_contain_text("61.5 °C")


@pytest.mark.parametrize(
    ("choice", "seconds"), [("1 hour", 3600), ("7 days", 604_800), ("30 days", 2_592_000), ("1 year", 31_536_000)]
)
async def test_a_span_is_in_the_address_and_asks_for_no_more(window: Open, choice: str, seconds: int) -> None:
    hub = plotted()
    async with hub.serve():
        page = await (await window(hub)).go(f"{ADDRESS}#telemetry")
        await expect(page.get_by_role("button", name="24 hours")).to_have_attribute("aria-pressed", "true")
        await page.get_by_role("button", name=choice).click()
        await expect(page.get_by_role("button", name=choice)).to_have_attribute("aria-pressed", "true")
        await hub.until(lambda hub: spans(hub)[-1] == pytest.approx(seconds, abs=1))
        address = page.url
        await page.goto(address)
        await expect(page.get_by_role("button", name=choice)).to_have_attribute("aria-pressed", "true")
        assert all(any(span == pytest.approx(one, abs=1) for one in (86_400, seconds)) for span in spans(hub))


async def test_any_other_span_can_be_entered(window: Open) -> None:
    hub = plotted()
    async with hub.serve():
        page = await (await window(hub)).go(f"{ADDRESS}#telemetry")
        await page.get_by_role("button", name="Other…").click()
        await page.get_by_label("From").fill("2026-11-01T10:00")
        await page.get_by_label("To", exact=True).fill("2026-11-02T10:00")
        await page.get_by_role("button", name="Show", exact=True).click()
        since = await page.evaluate("new Date('2026-11-01T10:00').toISOString()")
        await hub.until(lambda hub: any(f"since={quote(since)}" in path for _, path, _ in hub.asked))
        await page.get_by_label("To", exact=True).fill("2026-10-02T10:00")
        await page.get_by_role("button", name="Show", exact=True).click()
        await expect(page.get_by_role("alert")).to_contain_text("Its end is not after its beginning.")


async def test_what_is_typed_stays_while_the_minutes_go_by(window: Open) -> None:
    hub = plotted()
    async with hub.serve():
        page = await (await window(hub)).go(f"{ADDRESS}#telemetry")
        await page.get_by_role("button", name="Other…").click()
        await page.get_by_label("From").fill("2026-11-01T10:00")
        until = await page.get_by_label("To", exact=True).input_value()
        asked = len(hub.asked)
        await page.evaluate(LATER)
        await expect(page.get_by_label("From")).to_have_value("2026-11-01T10:00")
        await expect(page.get_by_label("To", exact=True)).to_have_value(until)
        assert not [path for _, path, _ in hub.asked[asked:] if "points=500" in path]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("range=banana", "There is no range “banana”."),
        ("range=custom&since=x&until=y", "From and to have to be times."),
        ("range=custom&since=1990-01-01&until=2026-01-01", "It is longer than ten years."),
    ],
)
async def test_a_nonsense_span_is_said_to_be_one(window: Open, query: str, words: str) -> None:
    hub = plotted()
    async with hub.serve():
        page = await (await window(hub)).go(f"{ADDRESS}?{query}#telemetry")
        await expect(page.get_by_role("alert")).to_contain_text(words)
        await page.get_by_role("button", name="24 hours").click()
        await expect(page.locator("lh-plot canvas")).to_have_count(3)


async def test_no_telemetry_and_no_answer_are_two_things(window: Open) -> None:
    hub = fleet(3)
    async with hub.serve():
        one = await window(hub)
        one.expected.append("503")
        page = await one.go(f"{ADDRESS}#telemetry")
        await expect(page.get_by_text("The locker measured nothing in this time")).to_be_visible()
        hub.answers[PLOT] = lambda *_: problem(
            503, "database_unavailable", "The database is away", "It comes back."
        )
        await page.get_by_role("button", name="1 hour").click()
        await expect(page.get_by_role("alert")).to_contain_text("It comes back.")
        hub.answers[PLOT] = plot
        await page.get_by_role("button", name="Try again").click()
        await expect(page.locator("lh-plot canvas")).to_have_count(3)


def plotted() -> FakeHub:
    hub = fleet(3)
    hub.answers[PLOT] = plot
    return hub


def spans(hub: FakeHub) -> list[float]:
    """How many seconds each plot was asked for; the small lines of the overview ask for fewer points."""
    found = []
    for _, path, _ in hub.asked:
        query = parse_qs(urlsplit(path).query)
        if "/telemetry/plot" in path and query["points"] == ["500"]:
            found.append(seconds(query["until"][0]) - seconds(query["since"][0]))
    return found or [0.0]


def seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()


async def drawn(page: Page, measure: str, ink: str) -> dict[str, int]:
    """The colours of a plot, once it is drawn with this ink."""
    await expect(page.locator(f"[data-measure='{measure}'] canvas")).to_be_visible()
    found: dict[str, int] = {}
    for _ in range(50):
        found = await page.evaluate(COLOURS, measure)
        if found.get(ink):
            break
        await page.evaluate("() => new Promise((done) => requestAnimationFrame(done))")
    return found
