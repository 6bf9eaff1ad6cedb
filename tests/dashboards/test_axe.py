"""Every address of the page is free of what axe-core finds, in light and dark; and axe finds what is there."""

import re

import pytest
from playwright.async_api import expect

from hub.api.page import VIEWS
from tests.dashboards.axe import violations
from tests.dashboards.conftest import SCHEMES, Open
from tests.dashboards.fake_hub import fleet
from tests.dashboards.test_health_page import health

pytestmark = pytest.mark.services

LOCKER = "hamburg-01"


@pytest.mark.parametrize("address", [*VIEWS, "/lockers/nobody"])
async def test_no_address_breaks_a_rule(window: Open, address: str) -> None:
    hub = fleet(3)
    hub.views["health"] = health()
    async with hub.serve():
        one = await window(hub)
        # The made-up hub knows no alarm, job or series of these names.
        one.expected.append("404")
        page = await one.go(re.sub(r"\{\w+\}", LOCKER, address))
        await expect(page.locator("main h1, main [role=alert]").first).to_be_visible()
        await page.wait_for_load_state("networkidle")
        for scheme in SCHEMES:
            await one.show(scheme=scheme)
            assert not await violations(page), scheme


async def test_axe_finds_what_is_wrong(window: Open) -> None:
    async with fleet(3).serve() as hub:
        page = await (await window(hub)).go("/lockers")
        await expect(page.locator("[data-locker]").first).to_be_visible()
        await page.evaluate(
            """() => {
              const main = document.querySelector("main");
              main.append(document.createElement("input"));
              const faint = document.createElement("p");
              faint.textContent = "Hardly to be read";
              faint.style.color = "#ccc";
              main.append(faint);
            }"""
        )
        assert {one["rule"] for one in await violations(page, scope="main")} >= {"color-contrast", "label"}
