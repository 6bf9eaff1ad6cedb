"""The label that is glued to a locker: on the screen, and on paper, where there is nothing else."""

import re

import pytest
from aiohttp import web
from playwright.async_api import expect

from tests.dashboards.axe import axe
from tests.dashboards.conftest import Open
from tests.dashboards.fake_hub import FakeHub, fleet

pytestmark = pytest.mark.services

LOCKER = "hamburg-01"
CODE = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 2 2"><path d="M0 0h1v1H0zM1 1h1v1H1z"/></svg>'
POINTS_PER_MM = 72 / 25.4


@pytest.mark.parametrize(
    ("size", "word", "millimetres"), [("62", "Roll, 62 mm wide", (62, 29)), ("a6", "A6 sheet", (105, 148))]
)
async def test_a_label_is_printed_alone_and_in_its_size(
    window: Open, size: str, word: str, millimetres: tuple[int, int]
) -> None:
    async with labelled().serve() as hub:
        page = await (await window(hub)).go(f"/lockers/{LOCKER}/label")
        await page.get_by_role("button", name=word).click()
        await expect(page).to_have_url(f"{hub.base}/lockers/{LOCKER}/label?size={size}")
        label = page.get_by_role("article", name="Label of Hamburg, main station")
        await expect(label).to_contain_text(LOCKER)
        await expect(label.get_by_role("img")).to_have_js_property("naturalWidth", 150)
        await axe(page)
        await page.emulate_media(media="print")
        await expect(label).to_be_visible()
        for hidden in (page.get_by_role("banner"), page.get_by_role("button", name="Print")):
            await expect(hidden).to_be_hidden()
        box = await label.bounding_box()
        assert box is not None
        assert (box["x"], box["y"]) == (0, 0)
        paper = await page.pdf(prefer_css_page_size=True)
    sizes = re.findall(rb"/MediaBox ?\[0 0 ([\d.]+) ([\d.]+)\]", paper)
    assert [[float(one) for one in found] for found in sizes] == [
        pytest.approx([one * POINTS_PER_MM for one in millimetres], abs=1)
    ]


async def test_a_long_name_does_not_make_the_label_longer(window: Open) -> None:
    hub = labelled()
    hub.details[LOCKER].update(name="<i>A name</i> that is far too long " * 4)
    async with hub.serve():
        page = await (await window(hub)).go(f"/lockers/{LOCKER}/label")
        label = page.locator(".label")
        await expect(label).to_contain_text("<i>A name</i>")
        box = await label.bounding_box()
        assert box is not None
        assert box["height"] == pytest.approx(29 / 25.4 * 96, abs=1)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("/lockers/nobody/label", "There is no such locker"),
        (f"/lockers/{LOCKER}/label?size=a0", "There is no such size"),
    ],
)
async def test_a_label_that_there_is_not_is_said_so(window: Open, address: str, words: str) -> None:
    async with labelled().serve() as hub:
        one = await window(hub)
        one.expected.append("404")
        page = await one.go(address)
        await expect(page.get_by_role("alert")).to_contain_text(words)


async def test_it_fits_a_narrow_page(window: Open) -> None:
    async with labelled().serve() as hub:
        page = await (await window(hub, width=360, scheme="dark")).go(f"/lockers/{LOCKER}/label?size=a6")
        await expect(page.locator(".label")).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        await axe(page)


def labelled() -> FakeHub:
    hub = fleet(3)
    hub.answers[f"GET /api/v1/lockers/{LOCKER}/label.svg"] = lambda *_: web.Response(
        text=CODE, content_type="image/svg+xml"
    )
    return hub
