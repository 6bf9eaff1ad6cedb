"""A test of more than 20 s fails: a pytest plugin.

Counted is what a test takes for itself: its function and the fixtures that are made for it alone. What it shares
with others (a database server, a browser) is paid for once, by whoever comes first. Tests with the mark `long` may
take longer.

A machine may be slower than the one that the 20 s are meant for, or others may work on it. What the test's thread
waited for a processor is not counted, where the kernel tells; and where a test took longer all the same, a piece of
work whose time is known is done at once, and the limit is longer in proportion.
"""

import contextlib
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import pytest

LIMIT_S: Final = 20.0
_YARDSTICK_STEPS: Final = 1_000_000
_YARDSTICK_S: Final = 0.019
"""What the work takes on one of two idle processors of a virtual machine of 2024, with CPython 3.11."""
_YARDSTICK_LOOKS: Final = 25

_SCHEDSTAT: Final = Path("/proc/self/schedstat")

_spent_s: dict[str, float] = {}
"""What tests that run have taken so far, by node id; what they share is taken off."""
_running: list[str] = []
_sharing: list[str] = []


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "long: runs with --all only, and may take longer than 20 s")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, Any, Any]:
    return (yield from _timed(item.nodeid))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    return (yield from _timed(item.nodeid))


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
    """Take the outermost fixture that is shared off: those that it needs are within it."""
    if fixturedef.scope == "function" or _sharing or not _running:
        return (yield)
    _sharing.append(fixturedef.argname)
    began_s = _now_s()
    try:
        return (yield)
    finally:
        _sharing.clear()
        _spent_s[_running[-1]] -= _now_s() - began_s


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    report: pytest.TestReport = yield
    if call.when == "call" and report.passed and item.get_closest_marker("long") is None:
        spent_s = _spent_s.get(item.nodeid, 0.0)
        if spent_s > LIMIT_S and (fault := too_long(spent_s, slowness())) is not None:
            report.outcome, report.longrepr = "failed", fault
    if call.when == "teardown":
        _spent_s.pop(item.nodeid, None)
    return report


def too_long(spent_s: float, slowness: float) -> str | None:
    """Say what is wrong with a test that took so long on a machine that much slower than the yardstick's."""
    limit_s = LIMIT_S * slowness
    if spent_s <= limit_s:
        return None
    return (
        f"The test took {spent_s:.1f} s; it may take {limit_s:.1f} s ({LIMIT_S:g} s, and this machine is"
        f" {slowness:.1f} times as slow as the yardstick's). Make it shorter, or share what it sets up."
    )


def slowness() -> float:
    """Return how many times as long as on the yardstick's machine its work takes here and now; 1 at least."""
    began_s = time.monotonic()
    for _ in range(_YARDSTICK_LOOKS):
        for _ in range(_YARDSTICK_STEPS):
            pass
    return max(1.0, (time.monotonic() - began_s) / _YARDSTICK_LOOKS / _YARDSTICK_S)


def _timed(test: str) -> Generator[None, Any, Any]:
    _running.append(test)
    _spent_s.setdefault(test, 0.0)
    began_s = _now_s()
    try:
        return (yield)
    finally:
        _spent_s[test] += _now_s() - began_s
        _running.pop()


def _now_s() -> float:
    """Return a clock that stands while the main thread waits for a processor. Source: /proc/pid/schedstat."""
    waited_ns = 0
    with contextlib.suppress(OSError):
        waited_ns = int(_SCHEDSTAT.read_text().split()[1])
    return time.monotonic() - waited_ns / 1e9
