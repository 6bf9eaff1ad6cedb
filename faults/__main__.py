"""`scripts/faults`: inject faults into real processes, and count what was lost, doubled, invented, late.

Progress goes to standard error; a table, or with --json one object as the last line, to standard output. The exit
status is 0 only if every row that this machine can run is ok.
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import faults.rows  # noqa: F401 - it enters the rows
from bench.rig import ROOT
from faults.row import ROWS
from faults.runner import run_rows
from faults.table import table

LANES: Final[tuple[tuple[int, ...], ...]] = (
    (1, 2, 3, 19, 21, 33, 34, 4, 5, 11, 6, 7, 9, 10, 35, 27, 32),
    (8, 14, 18, 20, 12, 15, 16, 17, 22, 23, 24, 26, 30, 28, 29, 31),
)
"""Rows that share a rig, in their order; each lane is a process of its own."""
_NO_ANSWER: Final = {"injections": 0, "events": 0, "commands": 0}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run rows; 0 if all are ok, 1 if not."""
    parsed = _parser().parse_args(arguments)
    unknown = sorted(set(parsed.row or ()) - set(ROWS))
    if unknown:
        print(f"faults: no row {', '.join(map(str, unknown))}; there are {_list(sorted(ROWS))}", file=sys.stderr)
        return 2
    began = time.monotonic()
    if parsed.lane:
        rows = asyncio.run(_stoppable(parsed))
        Path(parsed.lane).write_text(json.dumps(rows))
    else:
        rows = _in_lanes(parsed)
    report = {
        "rows": rows,
        "ok": bool(rows) and all(row["ok"] for row in rows),
        "mode": "full" if parsed.full else "quick",
        "seed": parsed.seed,
        "seconds": round(time.monotonic() - began, 1),
    }
    if not parsed.lane:
        print(json.dumps(report) if parsed.json else table(report), flush=True)
    return 0 if report["ok"] else 1


async def _stoppable(parsed: argparse.Namespace) -> list[dict[str, Any]]:
    # SIGTERM unwinds as Ctrl-C does: everything that was started is ended, every disk is unmounted.
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await run_rows(parsed.row, full=parsed.full, seed=parsed.seed, budgets_judged=not parsed.shared_machine)


def _in_lanes(parsed: argparse.Namespace) -> list[dict[str, Any]]:
    # SIGTERM ends this process as Ctrl-C does, and with it the lanes.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    wanted = set(parsed.row or ROWS)
    lanes = [lane for lane in ([number for number in lane if number in wanted] for lane in LANES) if lane]
    with tempfile.TemporaryDirectory(prefix="lockerhub-faults-") as directory:
        running = []
        for place, lane in enumerate(lanes):
            answer = Path(directory) / f"{place}.json"
            command = [sys.executable, "-m", "faults", "--lane", str(answer), "--seed", str(parsed.seed)]
            command += ["--full"] if parsed.full else []
            command += ["--shared-machine"] if parsed.shared_machine else []
            command += [word for number in lane for word in ("--row", str(number))]
            running.append((lane, answer, subprocess.Popen(command, cwd=ROOT)))
        try:
            for _, _, process in running:
                process.wait()
        finally:
            for _, _, process in running:
                process.terminate()
            for _, _, process in running:
                process.wait()
        rows: list[dict[str, Any]] = []
        for lane, answer, process in running:
            if answer.exists():
                rows += json.loads(answer.read_text())
            else:
                rows += [_unanswered(number, process.returncode) for number in lane]
    return sorted(rows, key=lambda row: int(row["id"]))


def _unanswered(number: int, status: int) -> dict[str, Any]:
    counts = dict.fromkeys(("lost", "duplicate", "phantom", "late", "double"), 0)
    wrong = [f"its lane ended with status {status} before an answer"]
    return {
        "id": number, "fault": ROWS[number].fault, "must": ROWS[number].must,
        **_NO_ANSWER, **counts, "ok": False, "wrong": wrong,
    }  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/faults", description=(__doc__ or "").partition("\n")[0])
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--quick", action="store_true", help="every row, few injections, 5 minutes (the default)")
    how.add_argument("--full", action="store_true", help="many injections, an hour")
    parser.add_argument("--row", type=int, action="append", metavar="N", help="only this row; may be repeated")
    parser.add_argument("--seed", type=int, default=1, help="decides on moments, doors and noise (default: 1)")
    parser.add_argument(
        "--shared-machine", action="store_true", help="others work here too: note what openings took, judge it not"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object, last on standard output")
    parser.add_argument("--lane", help=argparse.SUPPRESS)
    return parser


def _list(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


if __name__ == "__main__":
    missing = [name for name in ("mosquitto",) if not shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")]
    if missing:
        print(f"faults: {missing[0]} is not installed; scripts/test says how to get it", file=sys.stderr)
        sys.exit(2)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
