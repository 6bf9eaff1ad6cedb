"""Every row of the matrix against real processes, with few injections: the guarantees themselves."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COUNTS = ("lost", "duplicate", "phantom", "late", "double")
MATRIX = [*range(1, 13), *range(14, 25), *range(26, 35)]
SECONDS_MAX = 360


def installed(program: str) -> bool:
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
    return shutil.which(program, path=path) is not None or bool(
        list(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
    )


@pytest.mark.services
@pytest.mark.long
@pytest.mark.timeout(SECONDS_MAX + 30)
def test_nothing_is_lost_doubled_or_late_whatever_breaks() -> None:
    absent = [program for program in ("mosquitto", "initdb") if not installed(program)]
    if absent:
        assert os.environ.get("CI") != "true", f"CI=true, and {absent[0]} is not installed"
        pytest.skip(f"{absent[0]} is not installed; scripts/test says how to get it")
    done = subprocess.run(
        [ROOT / "scripts" / "faults", "--quick", "--shared-machine", "--json"],
        stdout=subprocess.PIPE,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    report = json.loads(done.stdout.splitlines()[-1])
    rows = {row["id"]: row for row in report["rows"]}
    assert sorted(rows) == MATRIX
    found = {number: {name: row[name] for name in COUNTS if row[name]} for number, row in rows.items()}
    assert not {number: counts for number, counts in found.items() if counts}
    assert not {number: row.get("wrong") for number, row in rows.items() if not row["ok"]}
    assert all(row["injections"] > 0 for row in rows.values() if "skipped" not in row)
    assert report["ok"]
    assert done.returncode == 0
