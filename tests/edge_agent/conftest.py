"""What the agent's tests share: its clock, its disk, and waiting for a condition instead of for time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import pytest

from edge_agent.app import disk_thread
from edge_agent.clock import LockerClock
from edge_agent.disk import Disk, LedgerState, open_disk
from edge_agent.journal import Journal
from edge_agent.outbox import Outbox

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
def clock() -> LockerClock:
    return LockerClock(UUID(int=77), synced=lambda: True)


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with disk_thread() as executor:
        yield executor


class Files:
    """Opens the same `agent.db` again and again, as restarts do."""

    def __init__(self, directory: Path, thread: ThreadPoolExecutor, clock: LockerClock) -> None:
        self.directory = directory
        self._thread = thread
        self._clock = clock
        self._open: list[Disk] = []

    def open(self, clock: LockerClock | None = None) -> tuple[Disk, LedgerState, Outbox, Journal]:
        disk, state = open_disk(self.directory, self._thread)
        self._open.append(disk)
        outbox = Outbox(disk, state, clock or self._clock)
        return disk, state, outbox, Journal(disk, outbox, clock or self._clock)

    async def close(self) -> None:
        for disk in self._open:
            await disk.close(5.0)
        self._open.clear()


@pytest.fixture
async def files(tmp_path: Path, thread: ThreadPoolExecutor, clock: LockerClock) -> AsyncIterator[Files]:
    opened = Files(tmp_path / "agent", thread, clock)
    yield opened
    await opened.close()
