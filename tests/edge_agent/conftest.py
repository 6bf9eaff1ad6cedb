"""What the agent's tests share: its clock, its disk, and waiting for a condition instead of for time."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn
from uuid import UUID

import pytest

from edge_agent.app import disk_thread
from edge_agent.clock import BootClock
from edge_agent.disk import Disk, LedgerState, open_disk
from edge_agent.journal import Journal
from edge_agent.outbox import Outbox
from tests.edge_agent.bench import Bench
from tests.edge_agent.scene import HubStandIn, Machine

WAIT_S_MAX = 20.0
Until = Callable[[Callable[[], object]], Awaitable[None]]


@pytest.fixture
def until() -> Until:
    async def wait(condition: Callable[[], object]) -> None:
        async with asyncio.timeout(WAIT_S_MAX):
            while not condition():  # noqa: ASYNC110 - conditions of many sources
                await asyncio.sleep(0.005)

    return wait


@pytest.fixture
def clock() -> BootClock:
    return BootClock(UUID(int=77), synced=lambda: True)


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with disk_thread() as executor:
        yield executor


class Files:
    """Opens the same `agent.db` again and again, as restarts do."""

    def __init__(self, directory: Path, thread: ThreadPoolExecutor, clock: BootClock) -> None:
        self.directory = directory
        self._thread = thread
        self._clock = clock
        self._open: list[Disk] = []

    def open(self, clock: BootClock | None = None) -> tuple[Disk, LedgerState, Outbox, Journal]:
        disk, state = open_disk(self.directory, self._thread)
        self._open.append(disk)
        outbox = Outbox(disk, state, clock or self._clock)
        return disk, state, outbox, Journal(disk, outbox, clock or self._clock)

    async def close(self) -> None:
        for disk in self._open:
            await disk.close(5.0)
        self._open.clear()


@pytest.fixture
async def files(tmp_path: Path, thread: ThreadPoolExecutor, clock: BootClock) -> AsyncIterator[Files]:
    opened = Files(tmp_path / "agent", thread, clock)
    yield opened
    await opened.close()


@pytest.fixture
async def bench(files: Files, until: Until) -> AsyncIterator[Bench]:
    made = Bench(files)
    await until(lambda: made.cabinet.boards_online)
    yield made
    await made.commands.drain(20)
    made.cabinet.stop()


def missing(what: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI=true, and {what} is not installed")
    pytest.skip(f"{what} is not installed; scripts/test says how to get it")


class Broker:
    """A Mosquitto of this test alone; it can be killed and started again on its port."""

    def __init__(self, directory: Path) -> None:
        path = shutil.which("mosquitto", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
        self._program = path or missing("mosquitto")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._config = directory / "mosquitto.conf"
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\nlog_type none\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen([self._program, "-c", str(self._config)])
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.01)
        pytest.fail("Mosquitto did not start within 20 s")

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    started = Broker(tmp_path)
    started.start()
    yield started
    started.kill()


@pytest.fixture
def hub(tmp_path: Path) -> HubStandIn:
    return HubStandIn(tmp_path / "key.pem")


@pytest.fixture
async def machine(tmp_path: Path, broker: Broker, thread: ThreadPoolExecutor) -> AsyncIterator[Machine]:
    locker = Machine(tmp_path, broker.port, thread)
    yield locker
    locker.close()
