"""A simulated fleet: real agents, boards and people made of software, and an account of what truly happened."""

import asyncio
import logging
import resource
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final
from uuid import uuid4

from edge_agent.app import Agent, AgentParts, AgentSummary, disk_thread
from edge_agent.boards.link import BoardLink, MemoryLink, SerialLink
from edge_agent.clock import BootClock
from edge_agent.config import (
    BeaconSettings,
    BoardSettings,
    Config,
    DoorSettings,
    HubSettings,
    MqttSettings,
    OutboxSettings,
    TelemetrySettings,
)
from edge_agent.signature import KeyFileError, Verify, verifier
from edge_agent.simulator.board_terminal import BoardTerminal
from edge_agent.simulator.cu16_board import Levels, SimulatedCu16
from edge_agent.simulator.environment import Environment
from edge_agent.simulator.fault_injector import FaultInjector, FaultPlace
from edge_agent.simulator.fault_plan import FaultPlan
from edge_agent.simulator.hub_client import hub_client
from edge_agent.simulator.uplink_relay import UplinkRelay
from edge_agent.simulator.users import PEOPLE_MAX, SimulatedUsers, UserTally
from edge_agent.simulator.workload import Workload

log = logging.getLogger(__name__)

TERMINALS_MAX: Final = 200
"""Lockers beyond it get boards in memory, unless a line is asked for."""
_LOCKS_PER_BOARD: Final = 16
_JAM_SHARE: Final = 0.005
_FORGET_SHARE: Final = 0.004
_FORGET_SHARE_TROUBLED: Final = 0.02
_KEY_LOOKS: Final = 100
_KEY_LOOK_AGAIN_S: Final = 0.2
_READY_WAIT_S: Final = 30.0
_ANSWERS_S: Final = 5.0
_LOOK_AGAIN_S: Final = 0.05
_LAST_LOOKS_MAX: Final = 300
_SPREAD_PER_LOCKER_S: Final = 0.004
_WEAK_EVERY: Final = 5
_WEAK_MAX: Final = 40
_WEAK_RECONNECT_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Options:
    """Options of `edge-agent simulate`."""

    lockers: int
    prefix: str
    doors: int
    broker_host: str
    broker_port: int
    hub_url: str | None
    token_file: Path | None
    hub_key: Path
    password_file: Path | None
    data: Path
    seed: int
    speed: float
    seconds: float | None
    link: str | None
    poll_ms: int
    telemetry_period_s: float
    drain_s: float
    troubles: float = 0.0
    """0 to 1: how much goes wrong beyond what people do anyway."""


class OptionsError(ValueError):
    """The fleet cannot be simulated as asked; the text says why."""


async def simulate(options: Options, stop: asyncio.Event) -> dict[str, Any]:
    """Run the fleet until `stop`, or for `options.seconds`, and return its account (docs: `--json`).

    Raises:
        OptionsError: the key file or the password file cannot be used.
    """
    _allow_many_files()
    verify = await _hub_key(options.hub_key)
    passwords = _password_files(options)
    token = None if options.token_file is None else _text_of(options.token_file).strip()
    began = time.monotonic()
    async with AsyncExitStack() as stack:
        thread = stack.enter_context(disk_thread())
        lines = await _weak_lines(options, stack)
        lockers = [
            _Locker(options, number, verify, thread, passwords, stack, lines.get(number))
            for number in range(options.lockers)
        ]
        desk = None
        if options.hub_url is not None:
            client = hub_client(options.hub_url, token, connections_max=PEOPLE_MAX)
            desk = await stack.enter_async_context(client)
        office = Workload(
            Random(options.seed),  # noqa: S311 - a simulation that can be repeated
            options.lockers,
            options.doors,
            speed=options.speed,
            keys_only=desk is None,
            step_s=max(0.5, 6 * options.poll_ms / 1000),
            forget_share=_FORGET_SHARE + _FORGET_SHARE_TROUBLED * options.troubles,
        )
        for locker, occupied in zip(lockers, office.occupied, strict=True):
            locker.put_in(occupied)
        people = SimulatedUsers(
            office, [locker.name for locker in lockers], [locker.boards for locker in lockers], desk, _now_ms
        )
        troubles = FaultPlan(
            Random(f"{options.seed} troubles"),  # noqa: S311 - a simulation that can be repeated
            options.lockers, options.doors, share=options.troubles, weak=sorted(lines),
        )  # fmt: skip
        mischief = FaultInjector(troubles, [locker.place() for locker in lockers], people, _now_ms)
        agents_stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            runs = []
            for locker in lockers:
                runs.append(group.create_task(locker.agent.run(agents_stop), name=locker.name))
                await asyncio.sleep(_SPREAD_PER_LOCKER_S)
            await _all_ready(lockers, stop)
            coming = group.create_task(people.come(), name="people")
            happening = group.create_task(mischief.happen(), name="troubles")
            await _until(stop, options.seconds)
            coming.cancel()
            happening.cancel()
            await mischief.end()
            await people.go_home(_ANSWERS_S)
            for locker in lockers:
                locker.freeze()
            unread = await _all_known(lockers)
            agents_stop.set()
        seconds = time.monotonic() - began
        summaries = [run.result() for run in runs]
        account = _account(lockers, summaries, people.tally, seconds)
        return account | {"troubles": dict(mischief.tally), "unread": unread}


class _Locker:
    """One simulated locker: its boards, their line, and the agent on it."""

    def __init__(
        self,
        options: Options,
        number: int,
        verify: Verify,
        thread: Executor,
        passwords: dict[str, Path],
        stack: AsyncExitStack,
        line: UplinkRelay | None,
    ) -> None:
        self.name = f"{options.prefix}-{number + 1:0{max(3, len(str(options.lockers)))}}"
        random = Random(f"{options.seed}/{self.name}")  # noqa: S311 - a simulation that can be repeated
        self.boards = [
            SimulatedCu16(
                address,
                min(_LOCKS_PER_BOARD, options.doors - first),
                random,
                jam_share=_JAM_SHARE,
                watched=self._seen_from(first + 1),
            )
            for address, first in enumerate(range(0, options.doors, _LOCKS_PER_BOARD))
        ]
        in_memory = options.link == "memory" or (options.link is None and options.lockers > TERMINALS_MAX)
        port = f"memory:{self.name}"
        if not in_memory:
            terminal = BoardTerminal(self._respond)
            stack.callback(terminal.close)
            port = terminal.port
        self._line = line
        self._environment = Environment(random)
        config = _config(options, self.name, port, self.boards, passwords.get(self.name), line)
        parts = AgentParts(
            clock=BootClock(uuid4()),
            disk_thread=thread,
            verify=verify,
            make_link=self._memory if in_memory else SerialLink,
            measure=_measure(self._environment),
        )
        self.agent = Agent(config, parts)

    def place(self) -> FaultPlace:
        """Return the locker as trouble meets it."""
        return FaultPlace(self.boards, self._environment, self.agent, self._line)

    def _seen_from(self, first_door: int) -> Callable[[int], Levels]:
        def seen(lock: int) -> Levels:
            view = self.agent.view(first_door + lock)
            return view.open, view.occupied

        return seen

    def is_known(self) -> bool:
        """Whether the agent knows every door as it is."""
        return all(board.is_known(lock) for board in self.boards for lock in range(board.locks))

    def put_in(self, doors: set[int]) -> None:
        """Fill the doors that the office's day begins with."""
        for index, board in enumerate(self.boards):
            first = index * _LOCKS_PER_BOARD + 1
            board.fill(door - first for door in doors if first <= door < first + board.locks)

    def freeze(self) -> None:
        """Let nothing move any more."""
        for board in self.boards:
            board.freeze(_now_ms())

    def edges(self, what: str) -> dict[str, int]:
        """Return the physical edges by door number: `opened`, `closed` or `occupancy`."""
        return {
            str(index * _LOCKS_PER_BOARD + lock + 1): count
            for index, board in enumerate(self.boards)
            for lock, count in sorted(getattr(board.truth, what).items())
            if count
        }

    def _respond(self, data: bytes) -> bytes:
        now_ms = _now_ms()
        return b"".join(board.receive(data, now_ms) for board in self.boards)

    def _memory(self, port: str, baud: int) -> BoardLink:  # noqa: ARG002 - memory has no speed
        return MemoryLink(port, self._respond)


async def _weak_lines(options: Options, stack: AsyncExitStack) -> dict[int, UplinkRelay]:
    """Put some lockers behind a line that can be cut; by number."""
    if not options.troubles:
        return {}
    places = range(0, options.lockers, _WEAK_EVERY)[:_WEAK_MAX]
    return {
        place: await stack.enter_async_context(UplinkRelay(options.broker_host, options.broker_port))
        for place in places
    }


def _config(
    options: Options,
    name: str,
    port: str,
    boards: list[SimulatedCu16],
    password_file: Path | None,
    line: UplinkRelay | None,
) -> Config:
    return Config(
        locker=name,
        data_dir=str(options.data / name),
        hub=HubSettings(public_key_file=str(options.hub_key)),
        boards=tuple(
            BoardSettings(
                port=port,
                address=board.address,
                locks=board.locks,
                first_door=index * _LOCKS_PER_BOARD + 1,
                # Boards of a fleet share one process: what looks like silence may be the neighbours' work.
                answer_timeout_ms=max(100, min(options.poll_ms * 2, 1000)),
            )
            for index, board in enumerate(boards)
        ),
        mqtt=MqttSettings(
            host=options.broker_host if line is None else "127.0.0.1",
            port=options.broker_port if line is None else line.port,
            # What was cut is back soon: nobody watches a demo for a minute to see it.
            reconnect_cap_s=60.0 if line is None else _WEAK_RECONNECT_S,
            password_file=None if password_file is None else str(password_file),
        ),
        doors=DoorSettings(poll_ms=options.poll_ms),
        telemetry=TelemetrySettings(period_s=options.telemetry_period_s),
        outbox=OutboxSettings(drain_s=options.drain_s),
        beacon=BeaconSettings(led=str(_led(options.data / name))),
    )


def _led(locker_dir: Path) -> Path:
    """Return a directory that behaves enough like Linux' LED class to be blinked."""
    led = locker_dir / "led"
    led.mkdir(parents=True, exist_ok=True)
    (led / "trigger").write_text("[none] timer\n")
    return led


def _measure(environment: Environment) -> Callable[[], Awaitable[dict[str, float]]]:
    async def measure() -> dict[str, float]:
        return environment.sample()

    return measure


async def _hub_key(path: Path) -> Verify:
    # The hub makes its key at its first start, which may be happening right now.
    for _ in range(_KEY_LOOKS):
        try:
            return verifier(path)
        except KeyFileError:
            await asyncio.sleep(_KEY_LOOK_AGAIN_S)
    try:
        return verifier(path)
    except KeyFileError as error:
        raise OptionsError(str(error)) from None


def _password_files(options: Options) -> dict[str, Path]:
    if options.password_file is None:
        return {}
    files: dict[str, Path] = {}
    for number, line in enumerate(_text_of(options.password_file).splitlines(), start=1):
        if not line.strip():
            continue
        name, colon, password = line.partition(":")
        if not colon:
            raise OptionsError(f"{options.password_file}, line {number}: not of the form id:password")
        directory = options.data / name
        directory.mkdir(parents=True, exist_ok=True)
        file = directory / "password"
        file.touch(mode=0o600)
        file.write_text(password, encoding="utf-8")
        files[name] = file
    return files


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise OptionsError(f"{path} cannot be read: {error.strerror}") from None


async def _all_ready(lockers: list[_Locker], stop: asyncio.Event) -> None:
    async def boards() -> None:
        for locker in lockers:
            await locker.agent.ready.wait()

    ready = asyncio.create_task(boards(), name="boards ready")
    stopped = asyncio.create_task(stop.wait(), name="stop")
    await asyncio.wait({ready, stopped}, timeout=_READY_WAIT_S, return_when=asyncio.FIRST_COMPLETED)
    ready.cancel()
    stopped.cancel()


async def _all_known(lockers: list[_Locker]) -> list[str]:
    """Wait until every agent has read what moved last, on a machine of any speed. Returns those that have not."""
    unread = lockers
    for _ in range(_LAST_LOOKS_MAX):
        unread = [locker for locker in unread if not locker.is_known()]
        if not unread:
            return []
        await asyncio.sleep(_LOOK_AGAIN_S)
    names = [locker.name for locker in unread]
    log.warning("stopped before all doors were read", extra={"lockers": names})
    return names


async def _until(stop: asyncio.Event, seconds: float | None) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return


def _account(
    lockers: list[_Locker], summaries: list[AgentSummary], tally: UserTally, seconds: float
) -> dict[str, Any]:
    return {
        "lockers": len(lockers),
        "seconds": round(seconds, 1),
        "truth": {
            locker.name: {
                "epoch": str(summary.epoch),
                "first_seq": summary.first_seq,
                "last_seq": summary.last_seq,
                "opened": locker.edges("opened"),
                "closed": locker.edges("closed"),
                "occupancy": locker.edges("occupancy"),
                "by_snapshot": sum(board.truth.by_snapshot for board in locker.boards),
            }
            for locker, summary in zip(lockers, summaries, strict=True)
        },
        "telemetry": {
            "produced": sum(summary.samples_produced for summary in summaries),
            "dropped": sum(summary.samples_dropped for summary in summaries),
        },
        "commands": {
            "sent": tally.sent,
            "succeeded": tally.states["succeeded"],
            "failed": tally.states["failed"],
            "rejected": tally.states["rejected"],
            "timed_out": tally.states["timed_out"],
            "unknown": tally.states["unknown"],
            "refused": dict(tally.refused),
            "pulse_ms": [round(value, 3) for value in tally.pulse_ms],
            "opened_ms": [round(value, 3) for value in tally.opened_ms],
        },
        "drained": all(summary.drained for summary in summaries),
    }


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def _allow_many_files() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
