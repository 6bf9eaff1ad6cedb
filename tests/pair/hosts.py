"""What stands where: hubs and lockers, each with a machine, a process, and somebody who starts it again."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Final

from edge_agent.app import Agent, AgentParts
from edge_agent.clock import BootClock
from edge_agent.config import Config as EdgeConfig
from edge_agent.config import parse
from edge_agent.disk import DiskError
from hub.app import running as hub_running
from hub.config.settings import Config as HubConfig
from hub.config.settings import load, sections
from hub.errors import StoreError
from tests.pair import composition
from tests.pair.board import Board
from tests.pair.checker import Truth
from tests.pair.drive import Drive
from tests.pair.process import Process
from tests.pair.script import DOORS, Setting
from tests.pair.world import Machine, World

_AGAIN_S: Final = 1.0
"""How soon a process that ended by itself is started again."""
_UPTIME_MS: Final = (1_000, 400_000_000)
_REBOOTED_MS: Final = (2_000, 60_000)


class Host(ABC):
    """A machine, and the one process that is kept running on it."""

    def __init__(self, world: World, name: str, *, drift_ppm: int, wall_error_ms: int = 0) -> None:
        self.world = world
        self.name = name
        self.wanted = True
        """Whether whoever supervises the process starts it again."""
        self._drift_ppm = drift_ppm
        self._wall_error_ms = wall_error_ms
        self.machine = self._booted(world.random.randint(*_UPTIME_MS))
        self.process: Process | None = None
        self.processes: list[Process] = []

    @property
    def up(self) -> bool:
        """Whether its process lives."""
        return self.process is not None and self.process.alive

    def start(self) -> None:
        """Start the process, unless it runs or is not wanted."""
        if self.up or not self.wanted:
            return
        self.world.note(self.name, "starts")
        self.process = self._process()
        self.processes.append(self.process)
        self.process.start(self._main, self._ended)

    def kill(self, down_s: float, *, power: bool = False, uptime_ms: int | None = None) -> None:
        """End the process; with the power, the machine too. It is started again after a while.

        `uptime_ms` is what the new boot's clock reads now (None: any).
        """
        if self.up:
            assert self.process is not None
            self.world.note(self.name, "power cut" if power else "killed")
            self.process.kill()
        if power:
            self._power_cut(self.world.random.randint(*_REBOOTED_MS) if uptime_ms is None else uptime_ms)
        self.world.after(down_s, self.start)

    def freeze(self, seconds: float) -> None:
        """Stop the process for a while."""
        process = self.process
        if process is None or not process.alive or process.frozen:
            return
        self.world.note(self.name, "frozen", f"{seconds:.1f} s")
        process.freeze()
        self.world.broker.frozen(process, seconds)
        self.world.after(seconds, self._thaw, process)

    def thaw(self) -> None:
        """Let it go on."""
        if self.process is not None:
            self._thaw(self.process)

    def _thaw(self, process: Process) -> None:
        if process.frozen and process.alive:
            self.world.note(self.name, "thawed")
            process.thaw()

    def _power_cut(self, uptime_ms: int) -> None:
        self.machine = self._booted(uptime_ms)

    def _booted(self, uptime_ms: int) -> Machine:
        return Machine(
            self.world, drift_ppm=self._drift_ppm, uptime_ms=uptime_ms, wall_error_ms=self._wall_error_ms
        )

    @abstractmethod
    def _process(self) -> Process:
        """Return a new process of this machine, not started yet."""

    @abstractmethod
    async def _main(self) -> None:
        """Run what the process is there for."""

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        error = None if task.cancelled() else task.exception()
        self.world.note(self.name, "ends", "" if error is None else repr(error)[:100])
        if error is not None and not isinstance(error, StoreError | DiskError):
            self.world.breach("exception", f"{self.name} ended with {error!r}")
        assert self.process is not None
        self.process.kill()
        self.world.after(_AGAIN_S, self.start)


class HubHost(Host):
    """A hub."""

    def __init__(self, world: World, truth: Truth, name: str, setting: Setting, *, account: str) -> None:
        super().__init__(world, name, drift_ppm=0)
        self._truth = truth
        self._config = _hub_config(setting, account)
        self._stop: asyncio.Event | None = None

    @property
    def build(self) -> Any:  # noqa: ANN401 - hub.app's own
        """The parts of the hub that runs, None until it is up."""
        return composition.builds.get(self.name) if self.up else None

    def ask(self, work: Coroutine[Any, Any, None]) -> None:
        """Let a client's call run in the hub's process."""
        process = self.process
        assert process is not None

        def begin() -> None:
            process.create_task(work, name="call")

        process.hand_in(begin)

    def stop(self) -> None:
        """End it in order (SIGTERM)."""
        if self.up and self._stop is not None:
            self.world.note(self.name, "is told to stop")
            assert self.process is not None
            self.process.hand_in(self._stop.set)

    def _process(self) -> Process:
        for known in (composition.builds, composition.books):
            known.pop(self.name, None)
        process = Process(self.world, self.name, self.machine, executor_ms=(0.1, 1.0))
        process.after_turn = self._check
        return process

    async def _main(self) -> None:
        self._stop = asyncio.Event()
        async with hub_running(self._config):
            await self._stop.wait()

    def _check(self) -> None:
        books = composition.books.get(self.name)
        if books is not None:
            self._truth.balanced(self.name, *books)


class LockerHost(Host):
    """A locker: a computer with a disk, and a board with doors."""

    def __init__(
        self, world: World, truth: Truth, name: str, setting: Setting, *, locker: str, drive: Drive
    ) -> None:
        super().__init__(world, name, drift_ppm=setting.drift_ppm, wall_error_ms=setting.wall_error_ms)
        self.locker = locker
        self.drive = drive
        self.board = Board(world, name, DOORS, jams=setting.jams, on_pulse=self._pulsed)
        self._truth = truth
        self._config = _edge_config(setting, locker)
        composition.drives[name] = drive
        truth.watch(drive, locker)

    def kill(self, down_s: float, *, power: bool = False, uptime_ms: int | None = None) -> None:
        self._truth.crashes_ns[self.locker].append(self.world.now_ns)
        super().kill(down_s, power=power, uptime_ms=uptime_ms)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        # It waits for what it has in hand, but not for ever: what a lock board is slow to answer is unknown then.
        self._truth.crashes_ns[self.locker].append(self.world.now_ns)
        super()._ended(task)

    def jump(self, ms: int) -> None:
        """Set the wall clock wrong, by so much more than it was."""
        self._wall_error_ms += ms
        self.machine.wall_error_ms = self._wall_error_ms

    def _power_cut(self, uptime_ms: int) -> None:
        if not self.drive.synced:
            self.drive.power_cut()
        super()._power_cut(uptime_ms)

    def _process(self) -> Process:
        process = Process(self.world, self.name, self.machine, executor_ms=(0.3, 4.0))
        process.after_work = self.drive.committed
        return process

    async def _main(self) -> None:
        parts = AgentParts(
            clock=BootClock(self.machine.boot, synced=lambda: not self._wall_error_ms),
            disk_thread=_NoThread(),
            verify=composition.verify(),
            make_link=self.board.line,
            measure=_measure,
        )
        await Agent(self._config, parts).run(asyncio.Event())
        # A restart in order, as it was told to: what it had not finished, it has told.

    def _pulsed(self, door: int) -> None:
        self._truth.pulse(self.locker, self.name, door, composition.pulsing.get(self.name))


class _NoThread(Executor):
    """Work for it is run by the process, at an instant of its own."""


async def _measure() -> dict[str, float]:
    return {"temperature_c": 21.5}


def _hub_config(setting: Setting, account: str) -> HubConfig:
    wanted = {
        "database_dsn": "postgresql://model",
        "commands_key_file": "model.pem",
        "mqtt_ingest_username": f"{account}-ingest",
        "mqtt_command_username": f"{account}-command",
        "mqtt_telemetry_username": f"{account}-telemetry",
        "mqtt_keepalive_s": 4,
        "intake_event_queue_rows_max": setting.queue_rows_max,
        "intake_cursors_max": setting.cursors_max,
        "intake_flush_rows_max": 20,
        "service_spread_s": 1.0,
        "service_drain_s": 3.0,
        "service_registry_poll_s": 30.0,
    }
    known = hub_settings()
    return load(None, {f"HUB_{name.upper()}": str(value) for name, value in wanted.items() if name in known})


def hub_settings() -> set[str]:
    """Return every setting's name as it is in the environment, without the prefix and in lower case."""
    return {f"{section}_{key}" for section, keys in sections().items() for key in keys}


def _edge_config(setting: Setting, locker: str) -> EdgeConfig:
    return parse(
        {
            "locker": locker,
            "hub": {"public_key_file": "model.pub.pem"},
            "data_dir": str(Path(__file__).parent),
            "boards": [{"port": "model", "locks": DOORS}],
            "mqtt": {"keepalive_s": 4, "reconnect_cap_s": 3.0},
            "doors": {"poll_ms": 400, "debounce_reads": 1, "open_detect_ms": 300},
            "outbox": {
                "batch_events_max": setting.batch_events_max, "ack_timeout_ms": 700, "keep_acked_events_max": 15,
            },
            "telemetry": {"period_s": 9.0},
        },
        {},
    )  # fmt: skip
