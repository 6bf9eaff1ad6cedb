"""What goes: a year by the rules while a hub writes, and a person on request; timed."""

import time
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from bench.figures import percentile
from bench.history_fleet import Plan
from bench.history_load import account_of
from bench.history_writer import writing
from bench.processes import BenchError
from bench.rig import Rig
from hub.config.settings import CommandSettings, RetentionSettings
from hub.core.people.erasing import Cause
from hub.keys import load_or_make_proof_key
from hub.people.eraser import Eraser
from hub.people.journal import ErasureJournal
from hub.retention.run import RetentionRun
from hub.store.database import Database
from hub.store.statistics import recount
from hub.store.task_runs import advisory_lock

_BASELINE_S: Final = 15.0
_HUB: Final = {"id": "bench", "version": "bench"}
_DROPPED: Final = "dropped event"
_ROWS: Final = "deleted rows of "


async def forget_regular(running: Rig, plan: Plan, store: Database) -> dict[str, Any]:
    """Erase the regular as on their request. Raises BenchError if that were not exactly their events."""
    directory, key_file = _retention(running)
    journal = ErasureJournal(directory, lambda: load_or_make_proof_key(key_file))
    eraser = Eraser(store, journal, recount, delivery_ms=CommandSettings().durable_deadline_ms)
    began = time.monotonic()
    erased = await eraser.erase(account_of(plan), cause=Cause.REQUEST, by="bench", now=datetime.now(UTC))
    took_s = time.monotonic() - began
    if erased.deleted.get("event") != plan.regular_events or erased.partly:
        raise BenchError(f"of {plan.regular_events} events of one person the erasure says: {erased}")
    return {"erase_person_s": round(took_s, 2), "erased_rows": sum(erased.deleted.values())}


async def drop_year(running: Rig, plan: Plan, store: Database) -> dict[str, Any]:
    """Run retention with a policy by which one more year is over, while a writer goes on."""
    directory, key_file = _retention(running)
    # Whatever is due anyway goes first.
    await _run(store, RetentionSettings(str(directory), str(key_file), None))
    shorter = _policy(running.directory, plan.years - 1)
    baseline = await _write_while(running, plan, store, None)
    while_dropping = await _write_while(
        running, plan, store, RetentionSettings(str(directory), str(key_file), str(shorter))
    )
    return {
        "writer_baseline_p99_ms": baseline["p99_ms"],
        "writer_baseline_max_ms": baseline["max_ms"],
        "writer_stall_p99_ms": while_dropping.pop("p99_ms"),
        "writer_stall_max_ms": while_dropping.pop("max_ms"),
        **while_dropping,
    }


async def _write_while(
    running: Rig, plan: Plan, store: Database, settings: RetentionSettings | None
) -> dict[str, Any]:
    with writing(running.dsn, plan.lockers) as commits:
        found: dict[str, Any] = {}
        if settings is None:
            time.sleep(_BASELINE_S)  # noqa: ASYNC251 - nothing else is to happen
        else:
            found = await _run(store, settings)
    return {
        **found,
        "p99_ms": round(percentile(commits.took_ms, 99), 1),
        "max_ms": round(max(commits.took_ms), 1),
    }


async def _run(store: Database, settings: RetentionSettings) -> dict[str, Any]:
    """Run retention as the hub's upkeep does; return how long chunks, rows and all of it took."""
    async with advisory_lock(store, "retention") as got:
        if not got:
            raise BenchError("somebody else runs retention")
        began = last = time.monotonic()
        chunks, chunks_s, rows_s = 0, 0.0, 0.0
        async for what in RetentionRun(store, settings, _HUB).steps(datetime.now(UTC)):
            now = time.monotonic()
            if what.startswith("dropped "):
                chunks += 1
                chunks_s += now - last
            elif what.startswith(_ROWS):
                rows_s += now - last
            last = now
    return {
        "drop_year_s": round(chunks_s, 2),
        "dropped_chunks": chunks,
        "drop_rows_s": round(rows_s, 2),
        "retention_run_s": round(time.monotonic() - began, 2),
    }


def _policy(directory: Path, years: int) -> Path:
    """Write the policy that comes with the hub, but for how many years events are kept."""
    text = files("hub.retention").joinpath("policy.toml").read_text()
    wanted = 'event = "7 years"'
    if wanted not in text:
        raise BenchError("the policy that comes with the hub does not keep events for seven years")
    path = directory / "policy.toml"
    path.write_text(text.replace(wanted, f'event = "{years} years"').replace('version = "', 'version = "bench '))
    return path


def _retention(running: Rig) -> tuple[Path, Path]:
    return running.directory / "retention", running.directory / "retention_key.pem"
