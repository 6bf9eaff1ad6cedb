"""Faults of the hub: killed at any moment, frozen, doubled, stopped in order, its clock set."""

import asyncio
from typing import Final

from faults.errors import FaultsError
from faults.row import Run, row
from faults.wall import HOUR_S, YEAR_2039_S, WallClock

CRASHED: Final = 137
STOP_S_MAX: Final = 10.0
_CRASH_S: Final = 30.0


@row(1, "kill -9 of the hub at a random moment", "N D A")
async def kill_hub(run: Run) -> None:
    """Kill it under load, at random moments of its life; a start-up that is not over yet is among them."""
    hub = run.rig.hub
    for number in run.times(quick=4, full=200):
        if number % 4 == 3:  # noqa: PLR2004 - every fourth time it is not ready yet
            await asyncio.sleep(run.random.uniform(0.5, 2.0))
        else:
            await hub.ready()
            await asyncio.sleep(run.random.uniform(0.0, 1.2))
        await hub.kill()
        run.injected()
        if number % 4 == 0:
            await _receipts_are_true(run)
        hub.process.start()
    run.notes["ready_s"] = round(await hub.ready(), 2)


@row(2, "hub dies between COMMIT and receipt", "N D")
async def die_after_commit(run: Run) -> None:
    """What is committed comes again, and is stored once."""
    for _ in run.times(quick=2, full=30):
        await _die_at(run, "after_commit")


@row(3, "hub dies before COMMIT, and right after a receipt", "N D A")
async def die_around_receipt(run: Run) -> None:
    """What is not committed comes again; what is receipted is there."""
    for number in run.times(quick=2, full=30):
        await _die_at(run, ("after_receipt", "before_commit")[number % 2])


@row(19, "hub frozen, then resumed", "L N, no stale opening")
async def freeze_hub(run: Run) -> None:
    """SIGSTOP for longer than any caller waits: what lay in its sockets must open no door afterwards."""
    rig = run.rig
    for _ in run.times(quick=1, full=8):
        await run.traffic(3)
        began = run.now()
        rig.hub.process.freeze()
        run.injected()
        await asyncio.sleep(10 if run.full else 6)
        rig.hub.process.thaw()
        await rig.hub.ready()
        await rig.online(*rig.names)
        await run.traffic(3)
        # Whoever left without an answer walks away: a door that opens now opens for nobody.
        left = {(a.locker, a.door): a.left_t for a in rig.workload.since(began) if a.status == 0}
        stale = [p for p in rig.boards.movements("pulse", rig.names) if p.t > left.get((p.locker, p.door), p.t)]
        run.notes["callers_left"] = run.notes.get("callers_left", 0) + len(left)
        run.expect(not stale, f"{len(stale)} doors opened after their callers had left: {stale[:3]}")


@row(21, "the hub's wall clock jumps", "L N D")
async def jump_hub_clock(run: Run) -> None:
    """An hour forth and back, a day back, beyond 2038."""
    rig = run.rig
    wall = WallClock(rig.directory / "hub-wall")
    run.need(wall.there, "libfaketime is not installed")
    await rig.hub.process.stop()
    await rig.hub.start(**wall.environment)
    for offset_s in (HOUR_S, -HOUR_S, YEAR_2039_S, -24 * HOUR_S, 0)[: 5 if run.full else 3]:
        wall.set(offset_s)
        run.injected()
        for name in rig.names[:2]:
            await run.opens(name)
    await rig.hub.process.stop()


@row(33, "two hubs at once", "N D X")
async def two_hubs(run: Run) -> None:
    """A second hub with the same configuration is a standby. The active one dies, and the standby takes over.

    They change places: who died comes back as the standby of the other.
    """
    rig = run.rig
    first, second = rig.hub, rig.new_hub("hub-2")
    active, standby = first, second
    try:
        for _ in run.times(quick=2, full=10):
            standby.process.start()
            await standby.waiting()
            await run.traffic(2)
            await active.kill()
            run.injected()
            took_s = await standby.ready()
            run.notes["takeover_s_max"] = round(max(took_s, run.notes.get("takeover_s_max", 0.0)), 2)
            active, standby = standby, active
            rig.hub = rig.workload.hub = active
            await rig.online(*rig.names)
            await run.traffic(2)
    finally:
        rig.hub = rig.workload.hub = first
        await second.close()


@row(34, "SIGTERM under load", "N D, ends within 10 s")
async def stop_hub(run: Run) -> None:
    """It writes what it has taken, sends the receipts, and ends with 0."""
    hub = run.rig.hub
    for _ in run.times(quick=2, full=20):
        await run.traffic(4)
        began = run.now()
        status = await hub.process.stop(2 * STOP_S_MAX)
        seconds = run.now() - began
        run.injected()
        run.notes["stopped_s_max"] = round(max(seconds, run.notes.get("stopped_s_max", 0.0)), 2)
        run.expect(status == 0, f"the hub ended with {status}")
        run.expect(seconds < STOP_S_MAX, f"the hub took {seconds:.1f} s to stop")
        await hub.start()


async def _die_at(run: Run, point: str) -> None:
    """Let the hub die at a failpoint, a random time that it is passed."""
    hub = run.rig.hub
    if hub.process.alive:
        await hub.process.stop()
    hub.process.start(LOCKERHUB_CRASH_AT=point, LOCKERHUB_CRASH_AFTER=str(run.random.randint(1, 12)))
    try:
        await hub.process.ended(_CRASH_S)
    except FaultsError:
        raise FaultsError(f"the hub did not pass {point} within {_CRASH_S:g} s") from None
    run.expect(hub.process.status == CRASHED, f"the hub ended with {hub.process.status} at {point}")
    run.injected()
    await _receipts_are_true(run)
    await hub.start()


async def _receipts_are_true(run: Run) -> None:
    """While no hub runs: what lockers were told is committed must be in the database."""
    committed = await run.rig.database.cursors()
    for (name, epoch), upto in run.rig.tap.receipts.items():
        last = committed.get((name, epoch), 0)
        run.expect(upto <= last, f"{name} was told that {upto} of {epoch} is committed; the database has {last}")
