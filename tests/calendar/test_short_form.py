"""Two of the moments with a few quick tests; `scripts/test --calendar` has all of both."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.calendar.__main__ import LEFT_OUT, selected
from tests.calendar.moments import MOMENTS, UP_S, Moment, absent, at_boot, environment, library

ROOT = Path(__file__).parents[2]
QUICK = (
    "tests/hub/test_clock.py", "tests/hub/core/test_clocks.py", "tests/hub/core/test_statistics.py",
    "tests/hub/core/retention/test_periods.py", "tests/edge_agent/test_clock.py",
)  # fmt: skip
WITH_SERVICES = (
    "tests/services/test_series.py::test_rows_that_came_before_their_partition_are_moved_into_it",
    "tests/services/test_hub_fairness.py::test_a_backlog_does_not_hold_up_what_happens_now",
)
NOVEMBER = next(moment for moment in MOMENTS if moment.begins.startswith("2026-11-30"))
FEBRUARY = next(moment for moment in MOMENTS if moment.begins.startswith("2028-02-29"))
CLOCKS = """
import datetime, time
now = datetime.datetime.now().astimezone()
print(now.isoformat(), time.time(), time.clock_gettime(time.CLOCK_BOOTTIME), time.monotonic())
"""


@pytest.fixture(scope="module")
def wall() -> Iterator[Path]:
    if lack := absent():
        assert os.environ.get("CI") != "true", f"CI=true, and the calendar needs {lack}"
        pytest.skip(f"the calendar needs {lack}")
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield library(Path(name))


def run(moment: Moment, wall: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(
        at_boot(command) if moment.booted else command,
        cwd=ROOT, env=environment(moment, wall), check=False, capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.name)
def test_the_clocks_are_what_the_moment_says(wall: Path, moment: Moment) -> None:
    at, unix_s, boot_s, monotonic_s = run(moment, wall, "-c", CLOCKS).stdout.split()
    assert at[:11] == moment.begins[:11]
    assert at[-6:] == moment.begins[-6:], "the zone is another one at that time"
    assert abs(float(unix_s) - datetime.fromisoformat(moment.begins).timestamp()) < 60
    if moment.booted:
        assert UP_S <= float(boot_s) < 2 * UP_S
        assert UP_S <= float(monotonic_s) < 2 * UP_S


def test_a_moment_within_another_one_is_itself(wall: Path) -> None:
    """The whole suite may run on a machine whose clocks were set like this: then these tests are within it."""
    inner = "tests/calendar/test_short_form.py::test_the_clocks_are_what_the_moment_says"
    done = run(NOVEMBER, wall, "-m", "pytest", "--quiet", "-p", "no:cacheprovider", inner)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_every_test_is_chosen_but_those_of_code_without_a_clock() -> None:
    everything = {str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("test_*.py")}
    reasons = tuple(name for name in LEFT_OUT if "::" not in name)
    others = {name for name in everything - set(selected()) if not name.startswith(reasons)}
    assert others
    assert all(name.startswith(("tests/wire/", "tests/hub/core/", "tests/edge_agent/core/")) for name in others)
    assert "tests/hub/core/test_statistics.py" not in others, "its code has no clock, but it has times of its own"


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_is_left_out_exists(name: str) -> None:
    path, _, test = name.partition("::")
    assert (ROOT / path).exists()
    assert not test or f"def {test}(" in (ROOT / path).read_text()


@pytest.mark.services
@pytest.mark.parametrize(
    ("moment", "tests"), [(FEBRUARY, QUICK), (NOVEMBER, WITH_SERVICES)], ids=["quick", "services"]
)
def test_a_few_tests_are_right_on_that_day(wall: Path, moment: Moment, tests: tuple[str, ...]) -> None:
    done = run(moment, wall, "-m", "pytest", "--quiet", "-p", "no:cacheprovider", "-k", "not timescaledb", *tests)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
