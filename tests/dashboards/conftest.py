"""A browser, and a page that must ask nobody but its hub and must not complain."""

import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import pytest
import pytest_asyncio
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    Page,
    Request,
    WebSocket,
    async_playwright,
    expect,
)
from pytest_asyncio import is_async_test

from tests.dashboards.fake_hub import FakeHub

FEATURES_OFF: Final = (
    "Translate", "OptimizationHints", "MediaRouter", "AutofillServerCommunication",
    # Chromium draws its own address bar's list as a page of 145 modules: for each window, though nobody sees it.
    "WebUIOmniboxPopup", "WebUIOmniboxFullPopup", "WebUIOmniboxAimPopup", "PreloadTopChromeWebUI",
)  # fmt: skip
FLAGS: Final = [
    "--no-sandbox",
    "--disable-gpu",
    # All windows are drawn by one process: each new one would load the page's modules anew, a quarter of all that
    # these tests cost.
    "--renderer-process-limit=1",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--disable-extensions",
    "--no-first-run",
    "--metrics-recording-only",
    "--mute-audio",
    f"--disable-features={','.join(FEATURES_OFF)}",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost",
]


# Several browsers on two cores are slow; a test that fails takes longer, and none fails for it.
expect.set_options(timeout=20_000)


Scheme = Literal["light", "dark"]
SCHEMES: Final[tuple[Scheme, ...]] = ("light", "dark")


@dataclass
class Window:
    """One page, everything that it complained about, and everybody that it asked."""

    page: Page
    hub: FakeHub
    complaints: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    # Parts of complaints that a test provokes: the browser itself reports every answer of 400 and above.
    expected: list[str] = field(default_factory=list)

    async def go(self, path: str = "/") -> Page:
        """Load an address of the page."""
        await self.page.goto(self.hub.base + path)
        return self.page

    async def show(self, *, width: int | None = None, scheme: Scheme | None = None) -> None:
        """Show the same page in another width, or in other colours."""
        if width is not None:
            await self.page.set_viewport_size({"width": width, "height": 800})
        if scheme is not None:
            await self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")

    def check(self) -> None:
        """Fail for anything unexpected."""
        unexpected = [text for text in self.complaints if not any(part in text for part in self.expected)]
        assert unexpected == []
        assert self.outside == []

    def watch(self) -> None:
        """Begin to listen."""
        for event, listener in self._listeners().items():
            self.page.on(event, listener)

    def ignore(self) -> None:
        """Listen no more: the page goes on to another test."""
        for event, listener in self._listeners().items():
            self.page.remove_listener(event, listener)

    def _listeners(self) -> dict[Any, Callable[[Any], None]]:
        return {
            "pageerror": self._fail,
            "console": self._note,
            "request": self._ask,
            "websocket": self._ask,
        }

    def _fail(self, error: Error) -> None:
        self.complaints.append(str(error))

    def _ask(self, asked: Request | WebSocket) -> None:
        own = (self.hub.base, self.hub.base.replace("http", "ws"), "data:", "blob:")
        if not asked.url.startswith(own):
            self.outside.append(asked.url)

    def _note(self, message: ConsoleMessage) -> None:
        # The browser's own advice has the level "verbose", and is not shown to anyone by default.
        # What a page says of a hub that the test has stopped is no complaint.
        if not self.hub.closed and message.type in {"error", "warning", "log", "info", "debug", "trace", "assert"}:
            self.complaints.append(message.text)


Open = Callable[..., Awaitable[Window]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run all tests of the page in one loop, so that they can share a browser, which takes long to start."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Return a running Chromium; each window has a context of its own in it."""
    given = os.environ.get("PLAYWRIGHT_CHROMIUM")
    chromium = given or shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if chromium is None:
        reason = "The operator page is not tested: there is no chromium; install it or set PLAYWRIGHT_CHROMIUM."
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield running
        await running.close()


@dataclass
class Profile:
    """One profile of the browser for all tests, with a page in it that goes from one test to the next.

    The page's seventy modules are fetched and compiled once, and not for each test: a load costs half as much.
    """

    browser: Browser
    shared: BrowserContext
    idle: list[Page] = field(default_factory=list)

    async def take(self, origin: str, *, own: bool) -> Page:
        """Return the page, or one in a profile of the test's own; nothing of another test is stored in it."""
        if own:
            return await (await self.browser.new_context()).new_page()
        page = self.idle.pop() if self.idle else await self.shared.new_page()
        devtools = await self.shared.new_cdp_session(page)
        await devtools.send(
            "Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "local_storage,cookies"}
        )
        await devtools.detach()
        return page

    async def put_back(self, page: Page) -> None:
        """Keep the page, without what a test loaded into it; close one that was a test's own."""
        if page.context is not self.shared:
            await page.context.close()
        elif self.idle:
            await page.close()
        else:
            await page.goto("about:blank")
            self.idle.append(page)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def profile(browser: Browser) -> AsyncIterator[Profile]:
    """Return the profile that all tests of a run share."""
    shared = await browser.new_context()
    yield Profile(browser, shared)
    await shared.close()


@pytest_asyncio.fixture(loop_scope="session")
async def window(profile: Profile) -> AsyncIterator[Open]:
    """Return what opens a window on a hub; each is checked for complaints at the end, and nothing of it is kept.

    A test that changes the browser itself (its clock, its scripts, its permissions) asks for `own=True`.
    """
    opened: list[Window] = []

    async def open_window(
        hub: FakeHub, *, width: int = 1280, height: int = 800, scheme: Scheme = "light", own: bool = False
    ) -> Window:
        one = Window(await profile.take(hub.base, own=own), hub)
        await one.page.set_viewport_size({"width": width, "height": height})
        await one.page.emulate_media(
            media="null", color_scheme=scheme, reduced_motion="reduce", forced_colors="null", contrast="null"
        )
        one.watch()
        opened.append(one)
        return one

    yield open_window
    for one in opened:
        one.ignore()
        await profile.put_back(one.page)
    for one in opened:
        one.check()
