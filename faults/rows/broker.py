"""Faults of the broker: killed, what it kept damaged, its disk full."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from random import Random

from bench.processes import listens
from faults.errors import FaultsError
from faults.rig import Rig
from faults.row import Run, row
from faults.waiting import until

_SAVE_S = 10.0


@row(4, "kill -9 of Mosquitto, what it kept wiped", "N D")
async def kill_broker(run: Run) -> None:
    """Kill it; every second time all that it had kept is gone too."""
    broker = run.rig.broker
    for number in run.times(quick=2, full=20):
        await run.traffic(4)
        await broker.kill(wipe=number % 2 == 0)
        run.injected()
        await broker.start()
        await run.rig.online(*run.rig.names)


@row(5, "what Mosquitto kept is damaged or cut short", "N D, starts or is replaced")
async def damage_broker(run: Run) -> None:
    """Damage its file while it is down. Where it does not start with that, somebody takes the file away."""
    rig, broker = run.rig, run.rig.broker
    ways: tuple[Callable[[Path, Random], None], ...] = (_cut_short, _overwrite)
    for number in run.times(quick=2, full=20):
        await run.traffic(3)
        await _saved(rig)
        await broker.kill()
        ways[number % len(ways)](broker.data, run.random)
        run.injected()
        broker.process.start()
        await until(
            lambda: listens(broker.port) or not broker.process.alive, _SAVE_S, "Mosquitto starts or gives up"
        )
        # It may listen, and end when it reads on.
        await asyncio.sleep(0.3)
        if not broker.process.alive:
            run.notes["replaced"] = run.notes.get("replaced", 0) + 1
            broker.data.unlink(missing_ok=True)
            await broker.start()
        await rig.online(*rig.names)


@row(11, "Mosquitto's disk is full", "N D")
async def fill_broker(run: Run) -> None:
    """It cannot save what it acknowledges, and is killed then: the lockers have it all still."""
    rig, broker = run.rig, run.rig.broker
    run.need(broker.disk.real, "a disk of its own for Mosquitto needs root")
    for _ in run.times(quick=1, full=10):
        await run.traffic(2)
        broker.disk.fill()
        run.injected()
        broker.process.send(signal.SIGUSR1)
        await run.traffic(3)
        await broker.kill()
        await broker.start()
        await run.traffic(2)
        broker.disk.empty()
        if not broker.process.alive:
            await broker.start()
        await rig.online(*rig.names)


async def _saved(rig: Rig) -> None:
    """Let Mosquitto write its file (SIGUSR1, mosquitto(8))."""
    before = _changed(rig.broker.data)
    rig.broker.process.send(signal.SIGUSR1)
    await until(lambda: _changed(rig.broker.data) != before, _SAVE_S, "Mosquitto has written its file")
    if not rig.broker.process.alive:
        raise FaultsError("Mosquitto ended while it wrote its file")


def _changed(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def _cut_short(path: Path, random: Random) -> None:
    with path.open("r+b") as file:
        file.truncate(random.randint(1, max(1, path.stat().st_size - 1)))


def _overwrite(path: Path, random: Random) -> None:
    with path.open("r+b") as file:
        file.seek(random.randint(0, max(0, path.stat().st_size - 64)))
        file.write(random.randbytes(64))
