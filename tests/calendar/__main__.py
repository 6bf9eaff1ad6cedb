"""The tests that read a clock, at each of the moments: `python -m tests.calendar`, or `scripts/test --calendar`."""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.calendar.moments import MOMENTS, Moment, absent, at_boot, environment, library, reads_a_clock

ROOT: Final = Path(__file__).parents[2]
_GO: Final = "Prometheus and VictoriaMetrics read the clock past every C library"
LEFT_OUT: Final = {
    "tests/bench": "measures, and judges no date",
    "tests/calendar": "is this here",
    "tests/faults": "sets clocks of its own",
    "tests/pair": "runs in virtual time",
    "tests/services/test_monitoring.py": _GO,
    "tests/services/test_hub_influx.py::test_everything_that_is_stored_is_there_once": _GO,
    "tests/services/test_hub_influx.py::test_what_doors_did_comes_again_when_it_was_counted_again": _GO,
    "tests/services/test_hub_influx.py::test_a_dead_influxdb_costs_the_hub_nothing_and_misses_nothing": _GO,
    "tests/services/test_hub_influx_cli.py::test_the_past_is_sent_again_from_where_it_was_left": _GO,
}
_NOTHING_RAN: Final = 5


def main() -> int:
    """Run the tests at each moment. Returns 1 if any failed, 2 where the machine lacks something."""
    wanted = _arguments()
    if lack := absent():
        sys.stderr.write(f"The calendar needs {lack}.\n")
        return 2
    moments = [moment for moment in MOMENTS if wanted.only in moment.name]
    if not moments:
        sys.stderr.write(f"No moment has {wanted.only!r} in its name: {', '.join(one.name for one in MOMENTS)}\n")
        return 2
    paths = wanted.paths or selected()
    failed = []
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        wall = library(Path(name))
        for moment in moments:
            sys.stdout.write(f"\n== {moment.name}: {moment.what}\n")
            sys.stdout.flush()
            began_s = time.monotonic()
            if _run(moment, wall, paths, wanted.workers):
                failed.append(moment.name)
            sys.stdout.write(f"== {moment.name} took {time.monotonic() - began_s:.0f} s\n")
    if failed:
        sys.stdout.write(
            f"\nFailed at: {', '.join(failed)}\nAgain: scripts/test --calendar --only NAME tests/FILE\n"
        )
    return 1 if failed else 0


def selected() -> list[str]:
    """Return the test modules that read a clock."""
    modules = (path for path in sorted((ROOT / "tests").rglob("test_*.py")) if reads_a_clock(path))
    named = (str(path.relative_to(ROOT)) for path in modules)
    return [name for name in named if not any(name == one or name.startswith(f"{one}/") for one in LEFT_OUT)]


def _run(moment: Moment, wall: Path, paths: list[str], workers: int) -> int:
    command = [sys.executable, "-m", "pytest", "--quiet", "-p", "no:cacheprovider", *paths]
    command += [f"--deselect={name}" for name in LEFT_OUT if "::" in name]
    if workers > 1:
        command += ["--numprocesses", str(workers), "--dist", "loadfile"]
    if not moment.booted:
        # What is different between the databases is no matter of the date: it is looked at three times.
        command += ["-k", "not timescaledb"]
    if moment.booted:
        command = at_boot(command)
    done = subprocess.run(command, cwd=ROOT, env=environment(moment, wall), check=False).returncode
    return 0 if done == _NOTHING_RAN else done


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/test --calendar")
    parser.add_argument("--only", default="", help="only moments that have this in their name")
    parser.add_argument("--workers", type=int, default=(os.cpu_count() or 1) + 1)
    parser.add_argument("paths", nargs="*", help="test modules, instead of all that read a clock")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
