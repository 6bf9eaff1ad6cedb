"""Faults of the locker: its agent frozen, killed at each step, its disk full, its clock set, its disk copied."""

import asyncio
import contextlib
import json
import shutil
from typing import Final

from edge_agent.failpoint import POINTS, VARIABLE
from faults.errors import FaultsError
from faults.history import SETTLED
from faults.lockers import Locker
from faults.rig import Rig
from faults.row import Run, row
from faults.rows.hub import CRASHED
from faults.waiting import until
from faults.wall import HOUR_S, YEAR_1970_S, YEAR_2039_S, WallClock
from faults.workload import Answer

_FROZEN_S: Final = (5.0, 2.2, 2.8)
_ANSWER_S: Final = 15.0
_REST_S: Final = 40.0
_LAST_WORD_S: Final = 5.0
_OK: Final = 200


@row(12, "the locker's disk is full, then read-only", "X L, every drop told")
async def fill_locker(run: Run) -> None:
    """Doors move while nothing can be written; then the agent starts on a disk that takes nothing."""
    rig = run.rig
    for number in run.times(quick=1, full=8):
        name = rig.names[number % len(rig.names)]
        locker = rig.lockers[name]
        run.need(locker.disk.real, "a disk of its own for a locker needs root")
        edges, told = await _at_rest(rig, locker)
        locker.disk.fill()
        run.injected()
        rig.boards.tell("busy")
        rig.workload.start()
        await until(lambda: _edges(rig, name) >= edges + 3, 40, f"doors of {name} move")  # noqa: B023 - awaited here
        locker.disk.empty()
        edges_then, told_then = await _at_rest(rig, locker)
        missing = edges_then - edges - (told_then - told)
        run.expect(not missing, f"{missing} movements of {name} are neither told nor counted as given up")
        rig.boards.tell("busy")
        rig.workload.start()
        await _read_only(run, locker)
        await rig.online(name)


@row(14, "agent dies at each step of a command", "X U")
async def die_in_command(run: Run) -> None:
    """Before and after it is written down, after the pulse, after its end: never a second pulse or a wrong word."""
    rig = run.rig
    for number in run.times(quick=len(POINTS), full=40):
        name, point = rig.names[number % len(rig.names)], POINTS[number % len(POINTS)]
        locker = rig.lockers[name]
        await locker.stopped()
        locker.start(**{VARIABLE: point})
        answer = await _until_it_dies(rig, locker)
        run.expect(locker.process.status == CRASHED, f"the agent ended with {locker.process.status} at {point}")
        run.injected()
        if not locker.process.alive:
            locker.start()
        await rig.online(name)
        if answer is not None and "id" in answer.body:
            state = await _settled(rig, str(answer.body["id"]))
            run.notes[point] = sorted({*run.notes.get(point, []), state})


@row(18, "agent frozen, with an opening in its socket", "L")
async def freeze_agent(run: Run) -> None:
    """SIGSTOP, openings, SIGCONT after their deadline: what is read then is too late, and the agent must see it."""
    rig = run.rig
    expired = 0
    for number in run.times(quick=2, full=20):
        name = rig.names[number % len(rig.names)]
        locker = rig.lockers[name]
        await run.traffic(2)
        locker.process.freeze()
        run.injected()
        asked = []
        # Until the broker notices (keepalive), openings are sent into the frozen agent's socket.
        for _ in range(3):
            place = rig.workload.free_door(name)
            if place is not None:
                asked.append(asyncio.create_task(rig.workload.open(*place, patience_s=0), name="late caller"))
                await asyncio.sleep(0.05)
        await asyncio.sleep(_FROZEN_S[number % len(_FROZEN_S)])
        locker.process.thaw()
        answers = await asyncio.gather(*asked)
        opened = [answer for answer in answers if answer.state == "succeeded"]
        run.expect(not opened, "an opening succeeded although its agent was frozen past the deadline")
        await rig.online(name)
        for answer in answers:
            if "id" in answer.body:
                expired += await _settled(rig, str(answer.body["id"])) == "rejected"
    run.notes["expired_at_the_locker"] = expired
    run.expect(expired, "no opening met its deadline at the locker: the row has proved nothing")


@row(20, "the locker's wall clock jumps", "L X N")
async def jump_locker_clock(run: Run) -> None:
    """An hour forth and back, 1970, beyond 2038, while it runs: deadlines and ledger do not look at it."""
    rig = run.rig
    offsets = (HOUR_S, -HOUR_S, YEAR_1970_S, YEAR_2039_S, 0)
    for number in run.times(quick=1, full=4):
        name = rig.names[number % len(rig.names)]
        locker = rig.lockers[name]
        wall = WallClock(locker.directory / "wall")
        run.need(wall.there, "libfaketime is not installed")
        await locker.stopped()
        locker.start(**wall.environment)
        await rig.online(name)
        for offset_s in offsets:
            wall.set(offset_s)
            run.injected()
            await run.opens(name)
        await locker.stopped()
        locker.start()
        await rig.online(name)
    stamps = [entry.content.at for entry in await asyncio.to_thread(rig.lockers[rig.names[0]].entries)]
    run.expect(
        max(stamps) - min(stamps) > YEAR_2039_S * 1000,
        "the agent's stamps did not follow: its clock was not set at all",
    )


@row(31, "a locker's disk is copied into another locker", "N D, both histories whole")
async def clone_locker(run: Run) -> None:
    """Two agents with one name and one ledger throw each other off the broker; their histories must part."""
    rig = run.rig
    for number in run.times(quick=1, full=3):
        name = rig.names[number % len(rig.names)]
        locker = rig.lockers[name]
        await _confirmed(locker)
        await locker.stopped()
        await asyncio.to_thread(locker.entries)
        clone = await rig.clone_of(locker, f"{name}-clone-{number}")
        await asyncio.to_thread(shutil.copytree, locker.disk.path, clone.disk.path, dirs_exist_ok=True)
        epochs = {entry.epoch for entry in locker.entries()}
        try:
            for agent in (locker, clone):
                agent.start()
            run.injected()

            def parted(pair: tuple[Locker, Locker] = (locker, clone), known: int = len(epochs)) -> bool:
                found = {entry.epoch for agent in pair for entry in agent.entries()}
                return len(found) > known

            took = await until(parted, 40, f"one of the two lockers called {name} has begun an epoch of its own")
            run.notes["parted_s"] = round(took, 1)
            # Each tells the rest of its history while the other one is away.
            await locker.stopped()
            await _confirmed(clone)
            await clone.stopped()
            locker.start()
            await _confirmed(locker)
        finally:
            await clone.stopped()
        await rig.online(name)


async def _confirmed(locker: Locker) -> None:
    await until(lambda: locker.unconfirmed() == 0, _REST_S, f"{locker.ledger} has its last receipt")


async def _read_only(run: Run, locker: Locker) -> None:
    await locker.stopped()
    await asyncio.to_thread(locker.entries)
    locker.disk.mount_again("ro")
    try:
        locker.start()
        run.injected()
        # It may wait for the disk or end, and be started again by whoever watches it.
        with contextlib.suppress(FaultsError):
            await locker.process.ended(3)
        run.notes["read_only"] = "waits" if locker.process.alive else f"ends with {locker.process.status}"
        await locker.process.kill()
    finally:
        locker.disk.mount_again("rw")
    locker.start()


async def _until_it_dies(rig: Rig, locker: Locker) -> Answer | None:
    """Ask for doors until the agent is dead; returns the answer of the last one asked for here."""
    asked: asyncio.Task[Answer] | None = None

    async def dead() -> bool:
        nonlocal asked
        place = rig.workload.free_door(locker.name)
        if (asked is None or asked.done()) and place and await rig.state_of(locker.name) == "online":
            asked = asyncio.create_task(rig.workload.open(*place, patience_s=0), name="caller of a dying agent")
        return not locker.process.alive

    with contextlib.suppress(FaultsError):
        await until(dead, _REST_S, f"{locker.process.name} is dead")
    return None if asked is None else await asked


async def _settled(rig: Rig, command: str) -> str:
    """Return the last state of a command, once it has one."""
    state = ""

    async def ended() -> bool:
        nonlocal state
        status, body = await rig.hub.ask("GET", f"/api/v1/commands/{command}")
        state = str(body.get("state")) if status == _OK else f"status {status}"
        return state in SETTLED

    with contextlib.suppress(FaultsError):
        await until(ended, _LAST_WORD_S, f"command {command} has ended")
    return state


def _edges(rig: Rig, name: str) -> int:
    return sum(len(rig.boards.movements(what, [name])) for what in ("opened", "closed"))


async def _at_rest(rig: Rig, locker: Locker) -> tuple[int, int]:
    """Let nobody come until all is told; return how many movements the locker's boards made, and its file has."""
    rig.boards.tell("calm")
    await rig.workload.stop()
    await rig.drained(_REST_S)
    return _edges(rig, locker.name), await _told(locker)


async def _told(locker: Locker) -> int:
    """Return how many movements the locker's file tells of, or counts as given up."""
    entries = await asyncio.to_thread(locker.entries)
    told = sum(entry.content.kind in {"door.opened", "door.closed"} for entry in entries)
    return told + sum(_events(entry.content.data) for entry in entries if entry.content.kind == "outbox.gap")


def _events(data: str) -> int:
    return int(json.loads(data or "{}").get("events", 0))
