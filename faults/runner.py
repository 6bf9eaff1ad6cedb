"""Runs rows on one rig, one after the other, and judges each by what the checker finds anew."""

import os
import shutil
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

from bench.processes import BenchError
from faults.checker import Findings, check
from faults.errors import FaultsError, SkipRow
from faults.history import History
from faults.rig import Rig, rig
from faults.row import ROWS, Row, Run

COUNTS: Final = ("lost", "duplicate", "phantom", "late", "double")
_SHOWN: Final = 5
_QUICK_LOCKERS: Final = 4
_FULL_LOCKERS: Final = 6
_QUICK_OPENINGS_PER_S: Final = 5.0
_FULL_OPENINGS_PER_S: Final = 8.0


@dataclass(slots=True)
class _Before:
    """What was known before a row began."""

    history: History = field(default_factory=History)
    findings: Findings = field(default_factory=Findings)


async def run_rows(
    numbers: list[int], *, full: bool, seed: int, budgets_judged: bool = True
) -> list[dict[str, Any]]:
    """Run rows in this order; a row whose rig is beyond repair costs the next one a new rig.

    Returns each row's result, as `--json` tells it.
    """
    results: list[dict[str, Any]] = []
    waiting = list(numbers)
    while waiting:
        try:
            async with rig(
                f"{seed}/{len(results)}",
                lockers=_FULL_LOCKERS if full else _QUICK_LOCKERS,
                openings_per_s=_FULL_OPENINGS_PER_S if full else _QUICK_OPENINGS_PER_S,
            ) as running:
                before = _Before()
                while waiting:
                    row = ROWS[waiting.pop(0)]
                    run = Run(running, full, Random(f"{seed}/row {row.id}"), budgets_judged)
                    result, usable = await _run_row(run, row, before)
                    results.append(result)
                    _say(result)
                    if not usable:
                        break
        except (FaultsError, BenchError, OSError) as error:
            # No rig, no row: the next one would meet the same.
            if not waiting:
                raise
            result = judge(ROWS[waiting.pop(0)], 0, [f"the rig did not start: {error}"], {}, Findings())
            results.append(result)
            _say(result)
    return results


async def _run_row(run: Run, row: Row, before: _Before) -> tuple[dict[str, Any], bool]:
    running = run.rig
    began = time.monotonic()
    usable = True
    running.boards.tell("busy")
    running.workload.start()
    try:
        await run.traffic(2)
        await row.act(run)
    except SkipRow as skipped:
        run.notes["skipped"] = str(skipped)
    except Exception as error:  # noqa: BLE001 - whatever a row meets is its result
        run.wrong.append(f"{type(error).__name__}: {error}")
        if not isinstance(error, FaultsError):
            traceback.print_exc(file=sys.stderr)
    findings = Findings()
    try:
        await running.heal()
        await running.workload.stop()
        running.boards.tell("calm")
        run.notes["drained_s"] = round(await running.drained(row.drain_s), 2)
    except (FaultsError, BenchError, OSError) as error:
        usable = False
        run.wrong.append(str(error))
        await running.workload.stop()
    history = before.history
    try:
        history = await running.history()
        everything = check(history)
        findings = everything.since(before.findings)
        before.findings = everything
    except Exception as error:  # noqa: BLE001 - without a comparison the row is not ok
        usable = False
        run.wrong.append(f"no comparison: {type(error).__name__}: {error}")
    result = judge(row, run.injections, run.wrong, run.notes, findings)
    result["events"] = len(history.stored) - len(before.history.stored)
    result["commands"] = len(_ids(history)) - len(_ids(before.history))
    result["seconds"] = round(time.monotonic() - began, 1)
    before.history = history
    if not result["ok"]:
        _keep_evidence(running, row.id)
    return result, usable


def judge(row: Row, injections: int, wrong: list[str], notes: dict[str, Any], findings: Findings) -> dict[str, Any]:
    """Return a row's result: ok if something was injected, and nothing is wrong that the row does not allow."""
    counts = {name: len(getattr(findings, name)) for name in COUNTS}
    wrong = list(wrong)
    for name, allowed in (("quarantined", row.quarantines), ("declared", row.declares)):
        if not allowed:
            sentences = sorted(getattr(findings, name))[:_SHOWN]
            wrong += [f"{name}, which is no part of this row: {sentence}" for sentence in sentences]
    skipped = notes.get("skipped")
    if not injections and skipped is None:
        wrong.append("nothing was injected")
    must_run = skipped is not None and _must_run(skipped)
    shown = {name: sorted(getattr(findings, name))[:_SHOWN] for name in COUNTS if counts[name]}
    told = {name: len(getattr(findings, name)) for name in ("declared", "quarantined") if getattr(findings, name)}
    return {
        "id": row.id,
        "fault": row.fault,
        "must": row.must,
        "injections": injections,
        "events": 0,
        "commands": 0,
        **counts,
        "ok": not (wrong or any(counts.values()) or must_run),
        **notes,
        **told,
        **({"wrong": wrong} if wrong else {}),
        **({"findings": shown} if shown else {}),
    }


def _ids(history: History) -> set[str]:
    return {command.id for command in history.commands}


def _must_run(why: str) -> bool:
    """Say whether a row may not be skipped: root is there, nothing is missing, and it is CI."""
    return os.environ.get("CI") == "true" and os.geteuid() == 0 and "not installed" not in why


def _say(result: dict[str, Any]) -> None:
    figures = " ".join(f"{name} {result[name]}" for name in ("injections", "events", "commands", *COUNTS))
    verdict = "skipped" if "skipped" in result else "ok" if result["ok"] else "NOT OK"
    print(
        f"row {result['id']:>2}: {verdict}: {figures} [{result.get('seconds', 0):g} s]", file=sys.stderr, flush=True
    )
    for sentence in result.get("wrong", []):
        print(f"        {sentence}", file=sys.stderr, flush=True)
    for name, sentences in result.get("findings", {}).items():
        for sentence in sentences:
            print(f"        {name}: {sentence}", file=sys.stderr, flush=True)


def _keep_evidence(running: Rig, number: int) -> None:
    """Copy logs, the lockers' files and the boards' record to FAULTS_LOGS: the rig's directory is gone soon."""
    keep = os.environ.get("FAULTS_LOGS")
    if keep is None:
        return
    target = Path(keep) / f"row-{number}"
    for pattern in ("*.log", "*/*.log", "*/data/agent.db*", "boards/*"):
        for path in running.directory.glob(pattern):
            copy = target / path.relative_to(running.directory)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
