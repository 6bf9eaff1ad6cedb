"""Rows of the matrix against real processes, with few injections: the guarantees themselves.

Every row runs with `scripts/test --all`, and in `scripts/faults`; else those that break a different part each.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
COUNTS = ("lost", "duplicate", "phantom", "late", "double")
MATRIX = (*range(1, 13), *range(14, 25), *range(26, 36))
CORE = (1, 2, 4, 6, 14, 18, 19, 20, 22, 23, 31)
"""The hub killed, between COMMIT and receipt too; broker and database killed; an agent dead at each step of a
command; agent and hub frozen; a locker's wall clock jumps; repeated, forged and cloned messages."""
SECONDS_MAX = 420

pytestmark = [pytest.mark.services, pytest.mark.timeout(SECONDS_MAX + 30)]


def installed(program: str) -> bool:
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
    return shutil.which(program, path=path) is not None or bool(
        list(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
    )


@pytest.fixture(scope="module")
def report(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The answer of one run of all rows that are to be judged."""
    absent = [program for program in ("mosquitto", "initdb") if not installed(program)]
    if absent:
        assert os.environ.get("CI") != "true", f"CI=true, and {absent[0]} is not installed"
        pytest.skip(f"{absent[0]} is not installed; scripts/test says how to get it")
    wanted = MATRIX if request.config.getoption("--all") else CORE
    done = subprocess.run(
        [
            *(ROOT / "scripts" / "faults", "--quick", "--shared-machine", "--json"),
            *(word for number in wanted for word in ("--row", str(number))),
        ],
        stdout=subprocess.PIPE,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert sorted(row["id"] for row in report["rows"]) == sorted(wanted)
    assert report["ok"] == (done.returncode == 0) == all(row["ok"] for row in report["rows"])
    return report


@pytest.mark.parametrize(
    "number", [pytest.param(one, marks=() if one in CORE else pytest.mark.long) for one in MATRIX]
)
def test_nothing_is_lost_doubled_or_late_whatever_breaks(number: int, report: dict[str, Any]) -> None:
    (row,) = [row for row in report["rows"] if row["id"] == number]
    assert {name: row[name] for name in COUNTS} == dict.fromkeys(COUNTS, 0), row
    assert row["ok"], row
    assert row["injections"] > 0 or "skipped" in row
