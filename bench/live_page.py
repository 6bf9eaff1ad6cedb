"""The operator page in a real Chromium, while every locker's doors move: from the event to the painted cell.

Where `localStorage["lockerhub.marks"]` is "1" the page sets marks in the browser's own time line: `lh-paint` with
the ids of the lockers that were drawn, and `lh-first-view` once all are. They count from the page's `timeOrigin`, a
wall clock; the events are stamped by the wall clock of the same machine as they are sent.
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from bisect import bisect_left
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from playwright.async_api import Browser, Page, async_playwright

from bench.figures import percentile
from bench.http_connection import HttpConnection
from bench.processes import BenchError
from bench.rig import ROOT, Rig, rig

UPDATES_PER_S: Final = 500.0
_FIRST_VIEWS: Final = 5
_FIRST_VIEW_S_MAX: Final = 30.0
_WARM_UP_S: Final = 3.0
_LAST_PAINT_S: Final = 3.0
_LOAD_READY_S_MAX: Final = 120.0
_LOAD_END_S_MAX: Final = 20.0
_PAGE_ROWS: Final = 1000
_LINE_BYTES_MAX: Final = 64 * 1024 * 1024
_OK: Final = 200
_FLAGS: Final = (
    "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--disable-component-update", "--disable-default-apps", "--disable-sync", "--disable-extensions",
    "--no-first-run", "--mute-audio",
    # Without a screen each window draws its address bar's list as a page of 145 modules, beside ours.
    "--disable-features=WebUIOmniboxPopup,WebUIOmniboxFullPopup,WebUIOmniboxAimPopup,PreloadTopChromeWebUI",
)  # fmt: skip
_SWITCH_ON: Final = 'localStorage.setItem("lockerhub.marks", "1")'
_MARKS: Final = """() => ({
  origin: performance.timeOrigin,
  first: performance.getEntriesByName("lh-first-view").map((one) => one.startTime),
  paints: performance.getEntriesByName("lh-paint").map((one) => [one.startTime, one.detail.ids]),
})"""


@dataclass(frozen=True)
class Paints:
    """When lockers were painted, in Unix milliseconds, by id; each list is in order."""

    of_locker: dict[str, list[float]]

    @classmethod
    def read(cls, origin_ms: float, marks: Iterable[tuple[float, Sequence[str]]]) -> "Paints":
        """Take the marks of one page."""
        found: dict[str, list[float]] = {}
        for at_ms, ids in marks:
            for one in ids:
                found.setdefault(one, []).append(origin_ms + at_ms)
        return cls(found)

    def delays_ms(self, sent: Iterable[tuple[str, float]]) -> tuple[list[float], int]:
        """Return how long each event took to the first paint of its locker from then on, and how many had none."""
        delays, missing = [], 0
        for locker, at_ms in sent:
            times = self.of_locker.get(locker, [])
            place = bisect_left(times, at_ms)
            if place == len(times):
                missing += 1
            else:
                delays.append(times[place] - at_ms)
        return delays, missing


async def measure(
    base_url: str, rig: Rig, seconds: float, *, rate_per_s: float = UPDATES_PER_S
) -> dict[str, float]:
    """Open the overview of a hub that runs in `rig`, let its lockers' doors move, and return the figures.

    Raises:
        BenchError: there is no Chromium, the page does not show itself, or the load ended by itself.
    """
    names = await asyncio.to_thread(_lockers, rig)
    async with _load(rig, names, rate_per_s) as load, _chromium() as browser:
        await asyncio.sleep(_WARM_UP_S)
        first_views = [await _first_view_ms(browser, base_url) for _ in range(_FIRST_VIEWS)]
        page = await _opened(browser, base_url)
        devtools = await page.context.new_cdp_session(page)
        await devtools.send("Performance.enable")
        await asyncio.sleep(_WARM_UP_S)
        before = await _metrics(devtools)
        began_ms, ended_ms = await _wall_ms(page), 0.0
        await asyncio.sleep(seconds)
        ended_ms = await _wall_ms(page)
        after = await _metrics(devtools)
        # What was sent last is still on its way; doors go on, so that the browser is as busy as before.
        await asyncio.sleep(_LAST_PAINT_S)
        marks = await page.evaluate(_MARKS)
        sent = [(names[place], float(at_ms)) for place, at_ms in await load.end() if began_ms <= at_ms < ended_ms]
    delays, missing = Paints.read(marks["origin"], marks["paints"]).delays_ms(sent)
    if not delays:
        raise BenchError(f"{len(sent)} events were sent, and the page painted none of them")
    return {
        "paint_p50_ms": round(percentile(delays, 50), 1),
        "paint_p99_ms": round(percentile(delays, 99), 1),
        "paint_max_ms": round(max(delays), 1),
        "painted": len(delays),
        "unpainted": missing,
        "updates_per_s": round(len(sent) * 1000 / (ended_ms - began_ms), 1),
        "main_thread_busy_ratio": round(
            (after["TaskDuration"] - before["TaskDuration"]) / (after["Timestamp"] - before["Timestamp"]), 3
        ),
        "first_view_ms": round(percentile(first_views, 50), 1),
        "first_view_max_ms": round(max(first_views), 1),
        "lockers_shown": len(names),
    }


@dataclass(frozen=True)
class _Load:
    process: asyncio.subprocess.Process

    async def end(self) -> list[tuple[int, int]]:
        """Stop it, and return what it sent."""
        assert self.process.stdout is not None, "it is a pipe"
        if self.process.returncode is not None:
            raise BenchError(f"the lockers' process ended by itself with status {self.process.returncode}")
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(_LOAD_END_S_MAX):
            line = await self.process.stdout.readline()
            await self.process.wait()
        sent: list[tuple[int, int]] = json.loads(line)["sent"]
        return sent


@asynccontextmanager
async def _load(rig: Rig, names: list[str], rate_per_s: float) -> AsyncIterator[_Load]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.live_load", str(rig.mqtt_port), str(rig.locker_password_file),
        str(rate_per_s), stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, limit=_LINE_BYTES_MAX,
    )  # fmt: skip
    assert process.stdin is not None, "it is a pipe"
    assert process.stdout is not None, "it is a pipe"
    try:
        process.stdin.write("\n".join(names).encode())
        process.stdin.close()
        async with asyncio.timeout(_LOAD_READY_S_MAX):
            if await process.stdout.readline() != b"ready\n":
                raise BenchError("the lockers' process ended before it was ready")
        yield _Load(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@asynccontextmanager
async def _chromium() -> AsyncIterator[Browser]:
    program = os.environ.get("PLAYWRIGHT_CHROMIUM") or shutil.which("chromium")
    if program is None:
        raise BenchError("there is no chromium; install it, or set PLAYWRIGHT_CHROMIUM")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=list(_FLAGS))
        yield browser
        await browser.close()


async def _opened(browser: Browser, base_url: str) -> Page:
    """Open the overview in a browser that remembers nothing, and wait for the first whole view."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800})
    await context.add_init_script(_SWITCH_ON)
    page = await context.new_page()
    await page.goto(base_url, wait_until="commit")
    try:
        async with asyncio.timeout(_FIRST_VIEW_S_MAX):
            while not (await page.evaluate(_MARKS))["first"]:  # noqa: ASYNC110 - the browser's event, not ours
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise BenchError(f"{base_url} showed no whole view within {_FIRST_VIEW_S_MAX:g} s") from None
    return page


async def _first_view_ms(browser: Browser, base_url: str) -> float:
    page = await _opened(browser, base_url)
    first: float = (await page.evaluate(_MARKS))["first"][0]
    await page.context.close()
    return first


async def _metrics(devtools: Any) -> dict[str, float]:  # noqa: ANN401 - Playwright's own type has no name here
    found = await devtools.send("Performance.getMetrics")
    return {one["name"]: one["value"] for one in found["metrics"]}


async def _wall_ms(page: Page) -> float:
    now: float = await page.evaluate("() => performance.timeOrigin + performance.now()")
    return now


def _lockers(rig: Rig) -> list[str]:
    """Return all lockers that the hub knows."""
    connection = HttpConnection(rig.http_port)
    try:
        names: list[str] = []
        after = ""
        while True:
            status, body = connection.get(f"/api/v1/lockers?limit={_PAGE_ROWS}{after}")
            if status != _OK:
                raise BenchError(f"the hub does not list its lockers: {status}")
            page = json.loads(body)
            names += [one["id"] for one in page["items"]]
            if page["next_cursor"] is None:
                return names
            after = f"&cursor={page['next_cursor']}"
    finally:
        connection.close()


def main() -> None:
    """Measure the page alone, on a rig of its own, and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m bench.live_page", description=__doc__)
    parser.add_argument("--lockers", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=20.0)
    given = parser.parse_args()
    names = [f"bench-{number:04d}" for number in range(1, given.lockers + 1)]
    with rig(names) as running, running.hub({}):
        address = f"http://127.0.0.1:{running.http_port}/"
        print(json.dumps(asyncio.run(measure(address, running, given.seconds))))


if __name__ == "__main__":
    main()
