"""Faults of the database: killed, stopped, frozen, its disk full, its tables locked, put back from a backup."""

import asyncio
import contextlib
import os
import shutil
import signal
from typing import Final

import psycopg

from faults.errors import FaultsError
from faults.rig import Rig
from faults.row import Run, row
from faults.waiting import until

GROWTH_MB_MAX: Final = 200.0
OUTAGES_S: Final = (90, 90, 600)
OUTAGE_QUICK_S: Final = 5


@row(6, "kill -9 of a PostgreSQL backend, and of all of it", "N A")
async def kill_database(run: Run) -> None:
    """Kill a backend (PostgreSQL then throws out everybody and recovers), then the postmaster."""
    database = run.rig.database
    for number in run.times(quick=2, full=20):
        await run.traffic(4)
        if number % 2 == 0:
            await until(lambda: bool(database.backends()), 10, "PostgreSQL serves somebody")
            os.kill(run.random.choice(database.backends()), signal.SIGKILL)
            run.injected()
            continue
        await database.kill()
        run.injected()
        await database.start()


@row(7, "PostgreSQL is away", "N B, openings in their budget")
async def stop_database(run: Run) -> None:
    """Shut it down as a crash does, and stay without it. Lockers keep what the hub cannot write."""
    rig = run.rig
    for number in run.times(quick=1, full=len(OUTAGES_S)):
        await run.traffic(2)
        await rig.database.stop(signal.SIGQUIT)
        run.injected()
        away_s = OUTAGES_S[number] if run.full else OUTAGE_QUICK_S
        await _openings_go_on(run, away_s)
        await rig.database.start()
        ready_s = round(await rig.hub.ready(), 2)
        run.notes["away_longest_s"] = max(away_s, run.notes.get("away_longest_s", 0))
        run.notes["ready_again_s"] = max(ready_s, run.notes.get("ready_again_s", 0))


@row(8, "PostgreSQL frozen", "N B, openings in their budget")
async def freeze_database(run: Run) -> None:
    """SIGSTOP all of it: connections stay and nothing answers. Openings must not notice."""
    rig = run.rig
    for _ in run.times(quick=1, full=5):
        await run.traffic(2)
        rig.database.freeze()
        run.injected()
        await _openings_go_on(run, 20 if run.full else 6)
        rig.database.thaw()
        await run.traffic(2)


@row(9, "PostgreSQL's disk is full", "N A")
async def fill_database(run: Run) -> None:
    """No byte is free: nothing may be receipted, and all of it is there once there is room again."""
    rig, database = run.rig, run.rig.database
    run.need(database.disk.real, "a disk of its own for PostgreSQL needs root")
    for _ in run.times(quick=1, full=6):
        await run.traffic(2)
        failures = await rig.hub.metric("lockerhub_batch_failures_total")
        database.disk.fill()
        run.injected()

        async def refused(before: float = failures) -> bool:
            return await rig.hub.metric("lockerhub_batch_failures_total") > before

        # What is left inside of files that exist already may last for a while.
        with contextlib.suppress(FaultsError):
            await until(refused, 15, "a batch is refused")
        run.notes["refused"] = await refused() or run.notes.get("refused", False)
        await run.traffic(2)
        database.disk.empty()
        if not database.process.alive:
            run.notes["crashed"] = run.notes.get("crashed", 0) + 1
            await database.start()
    run.expect(run.notes["refused"], "PostgreSQL never refused anything: its disk was not full")


@row(10, "an administrator holds locks; a deadlock", "N D")
async def lock_tables(run: Run) -> None:
    """Lock the hub's tables for longer than its statements may take; then lock them in the opposite order."""
    rig = run.rig
    for number in run.times(quick=2, full=10):
        await run.traffic(2)
        if number % 2:
            await _deadlock(run)
        else:
            with rig.database.connect() as admin, admin.transaction():
                await asyncio.to_thread(admin.execute, "LOCK TABLE event, ledger_cursor IN ACCESS EXCLUSIVE MODE")
                run.injected()
                await _openings_go_on(run, 5)
        await run.traffic(2)


@row(32, "the database is put back from a backup", "N D")
async def restore_backup(run: Run) -> None:
    """Yesterday's files in place of today's: lockers still have what was confirmed since, and send it again."""
    rig, database = run.rig, run.rig.database
    for number in run.times(quick=2, full=8):
        backup = rig.directory / "postgres" / "backup"
        await run.traffic(3)
        await database.stop()
        await asyncio.to_thread(database.backup, backup)
        await database.start()
        await run.traffic(8)
        stored = await database.count("event")
        # With the hub running on, and with a hub that starts on what is there.
        if number % 2 == 0:
            await rig.hub.process.stop()
        await database.stop()
        await asyncio.to_thread(database.restore, backup)
        run.injected()
        # What was committed is not any more; from here on receipts are counted anew.
        rig.tap.receipts.clear()
        await asyncio.to_thread(shutil.rmtree, backup)
        await database.start()
        if number % 2 == 0:
            await rig.hub.start()
        run.notes["events_taken_back"] = (
            run.notes.get("events_taken_back", 0) + stored - await database.count("event")
        )
        await rig.hub.ready()
        await run.traffic(4)
    # Who has nothing to say is asked for nothing: every locker says something.
    await _everybody_speaks(rig)


async def _openings_go_on(run: Run, seconds: float) -> None:
    """Let some time pass, in which openings must succeed within their budget and the hub must not grow."""
    rig = run.rig
    memory_mb = rig.hub.process.memory_mb()
    began = run.now()
    await asyncio.sleep(seconds)
    ended = run.now()
    figures = run.latency(began, until_s=ended)
    answers = [answer for answer in rig.workload.since(began) if answer.began_s < ended]
    run.in_budget(figures)
    failed = [answer.state for answer in answers if answer.state != "succeeded"]
    run.expect(not failed, f"openings failed without the database: {failed[:5]}")
    grown_mb = rig.hub.process.memory_mb() - memory_mb
    run.expect(grown_mb < GROWTH_MB_MAX, f"the hub grew by {grown_mb:.0f} MB")


async def _deadlock(run: Run) -> None:
    """Wait for what the hub holds while it waits for what we hold: PostgreSQL throws one of us out."""
    database = run.rig.database

    def cross() -> bool:
        with database.connect() as admin:
            admin.execute("SET statement_timeout = '8s'")
            try:
                with admin.transaction():
                    # The hub advances a cursor, then waits for this to write its rows.
                    admin.execute("LOCK TABLE event IN SHARE MODE")
                    for _ in range(80):
                        waiting = admin.execute(
                            "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'event'::regclass"
                        ).fetchone()
                        if waiting is not None and waiting[0]:
                            break
                        admin.execute("SELECT pg_sleep(0.05)")
                    else:
                        return False
                    admin.execute("LOCK TABLE ledger_cursor IN ACCESS EXCLUSIVE MODE")
            except (psycopg.errors.DeadlockDetected, psycopg.errors.QueryCanceled):
                return True
        return True

    run.expect(await asyncio.to_thread(cross), "the hub never waited for the lock")
    run.injected()


async def _everybody_speaks(rig: Rig) -> None:
    for name in rig.names:
        place = rig.workload.free_door(name)
        if place is not None:
            await rig.workload.open(*place)
