"""The composition root of one agent: it builds, starts and stops everything; nothing else knows everything."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from edge_agent import __version__, settings
from edge_agent.beacon import Beacon
from edge_agent.boards.link import SerialLink
from edge_agent.cabinet import Cabinet, MakeLink
from edge_agent.clock import BootClock
from edge_agent.commands import CommandExecutor, Hooks
from edge_agent.config import Config
from edge_agent.core.doors import DoorStatus, Note
from edge_agent.core.limits import Bounds, LimitMonitor
from edge_agent.disk import Disk, DiskError, open_disk
from edge_agent.journal import Journal
from edge_agent.outbox import Outbox
from edge_agent.signature import Verify, verifier
from edge_agent.telemetry import Machine, Measure, SamplePeriod, SampleRing, sample_forever
from edge_agent.uplink import Uplink
from wire.messages import EventKind

log = logging.getLogger(__name__)

_HOUSEKEEPING_S: Final = 600.0
_COMMANDS_PATIENCE_S: Final = 2.0
_DISK_PATIENCE_S: Final = 5.0
_FAREWELL_PATIENCE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class AgentParts:
    """What an agent stands on; `parts_of_machine` makes those of a real locker."""

    clock: BootClock
    disk_thread: Executor
    verify: Verify
    make_link: MakeLink
    measure: Callable[[], Awaitable[dict[str, float]]]


@dataclass(frozen=True, slots=True)
class AgentSummary:
    """What one run of an agent came to. `first_seq` and `last_seq` are its part of the ledger."""

    epoch: UUID
    first_seq: int
    last_seq: int
    drained: bool
    samples_produced: int
    samples_dropped: int
    restart: bool = False
    """It ended because the hub said so, and is to be started again."""


def disk_thread() -> ThreadPoolExecutor:
    """Return the one thread for disk work; agents of one process share it."""
    return ThreadPoolExecutor(1, thread_name_prefix="disk")


def parts_of_machine(config: Config, thread: Executor) -> AgentParts:
    """Return the parts of a real locker. Raises KeyFileError."""
    data_dir = Path(config.data_dir)
    data_dir.mkdir(parents=True, exist_ok=True)
    return AgentParts(
        clock=BootClock(),
        disk_thread=thread,
        verify=verifier(Path(config.hub.public_key_file)),
        make_link=SerialLink,
        measure=Machine(data_dir),
    )


class Agent:
    """One locker's agent. `ready` is set when its first board has answered, or is known to be silent."""

    def __init__(self, config: Config, parts: AgentParts) -> None:
        self.ready = asyncio.Event()
        self._config = config
        self._parts = parts
        self._outbox: Outbox | None = None
        self._cabinet: Cabinet | None = None

    def view(self, door: int) -> DoorStatus:
        """Return what the agent knows of a door; nothing, unless it runs."""
        return DoorStatus(door, None, None) if self._cabinet is None else self._cabinet.view(door)

    def tell(self, kind: EventKind, door: int | None = None, data: dict[str, Any] | None = None) -> bool:
        """Enter into the ledger what a device beside the boards says: a reader, a tamper contact.

        It is durable and numbered like every other event. Returns False, and enters nothing, unless the agent runs.
        """
        if self._outbox is None:
            return False
        self._outbox.post([Note(self._parts.clock.t(), kind, door, data=data)])
        return True

    async def run(self, stop: asyncio.Event) -> AgentSummary:
        """Work until `stop` is set or the hub orders a restart; then stop in order, drain, and say goodbye.

        Raises:
            DiskError: `agent.db` cannot be used.
        """
        clock = self._parts.clock
        loop = asyncio.get_running_loop()
        thread = self._parts.disk_thread
        disk, state = await loop.run_in_executor(thread, open_disk, Path(self._config.data_dir), thread)
        config = settings.kept_over(self._config, state.settings)
        outbox = Outbox(disk, state, clock, unacked_events_max=config.outbox.unacked_events_max)
        journal = Journal(disk, outbox, clock)
        ring = SampleRing(config.telemetry.ring_samples_max)
        owed = await journal.load()
        uplink: Uplink

        def boards_changed() -> None:
            uplink.boards_changed()
            self.ready.set()

        cabinet = Cabinet(config, clock, self._parts.make_link, outbox.post, boards_changed)
        uplink = Uplink(config, clock, cabinet, outbox, ring)
        beacon = Beacon(config.beacon)
        period = SamplePeriod(config.telemetry.period_s)
        ending = _Ending()

        def configured(changed: dict[str, float]) -> None:
            nonlocal config
            config = settings.over(config, changed)
            log.info("configured", extra={"settings": changed})
            cabinet.follow(config.doors)
            period.change(config.telemetry.period_s)

        commands = CommandExecutor(
            config.locker,
            clock,
            cabinet,
            journal,
            self._parts.verify,
            uplink.send_reply,
            beacon,
            Hooks(configured, ending.restart),
            ahead_ms_max=config.hub.deadline_ms_max,
        )
        uplink.on_command = lambda payload, retained: commands.receive(payload, retained=retained)
        for reply in owed:
            uplink.owe(reply)

        outbox.post([Note(clock.t(), EventKind.AGENT_STARTED, data={"agent": __version__})])
        self._outbox, self._cabinet = outbox, cabinet
        cabinet.start()
        async with asyncio.TaskGroup() as group:
            link = group.create_task(uplink.run(), name=f"{config.locker} uplink")
            others = [
                group.create_task(
                    sample_forever(ring, self._measure(cabinet, outbox, uplink, commands), clock, period),
                    name=f"{config.locker} samples",
                ),
                group.create_task(self._keep_house(outbox, journal), name=f"{config.locker} housekeeping"),
            ]
            others.append(group.create_task(ending.follow(stop), name=f"{config.locker} stop"))
            await ending.began.wait()
            log.info("stopping", extra={"locker": config.locker, "restart": ending.for_restart})
            cabinet.stop()
            await commands.drain(_COMMANDS_PATIENCE_S)
            beacon.off()
            for task in others:
                task.cancel()
            self._outbox = None
            outbox.post([Note(clock.t(), EventKind.AGENT_STOPPING)])
            drained = await self._drain(uplink, disk)
            uplink.close()
            await asyncio.wait([link], timeout=_FAREWELL_PATIENCE_S)
            link.cancel()
        await disk.close(_DISK_PATIENCE_S)
        left = len(ring)
        return AgentSummary(
            outbox.epoch,
            state.next_seq,
            outbox.last_seq,
            drained,
            ring.produced,
            ring.dropped + left,
            ending.for_restart,
        )

    async def _drain(self, uplink: Uplink, disk: Disk) -> bool:
        # First onto the disk, so that what is drained is everything.
        await disk.settled(_DISK_PATIENCE_S)
        return await uplink.drain(self._config.outbox.drain_s)

    def _measure(self, cabinet: Cabinet, outbox: Outbox, uplink: Uplink, commands: CommandExecutor) -> Measure:
        bounds = self._config.limits
        limits = LimitMonitor(Bounds(bounds.temperature_c_max, bounds.battery_pct_min, bounds.supply_v_min))

        async def measure() -> dict[str, Any]:
            values = await self._parts.measure()
            notes = limits.check(values, self._parts.clock.t())
            if notes:
                outbox.post(notes)
            troubles = uplink.troubles() | commands.troubles()
            sample = {**values, "outbox_events": outbox.unacked, "board_errors": cabinet.line_errors}
            return {**sample, "extra": troubles} if troubles else sample

        return measure

    async def _keep_house(self, outbox: Outbox, journal: Journal) -> None:
        while True:
            await asyncio.sleep(_HOUSEKEEPING_S)
            try:
                await outbox.prune(self._config.outbox.keep_acked_days, self._config.outbox.keep_acked_events_max)
                await journal.prune()
            except DiskError as error:
                log.warning("housekeeping put off", extra={"why": str(error)})


class _Ending:
    """That this run is to end, and why."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.for_restart = False

    async def follow(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self.began.set()

    def restart(self) -> None:
        self.for_restart = True
        self.began.set()
