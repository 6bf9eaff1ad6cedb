"""A hub's writing, alone: events through the ledgers, in a process of its own, each commit timed."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Final
from uuid import uuid4

from bench.processes import BenchError
from hub.store.binary_copy import event_rows
from hub.store.database import Database
from hub.store.ledgers import Ledgers
from hub.store.rows import EventUnit
from wire.messages import PROTOCOL, Clock, Event, EventBatch

EVENTS_PER_S: Final = 200
_EVENTS_A_COMMIT: Final = 5
_STOP_S_MAX: Final = 120.0


@dataclass
class Commits:
    """How long each commit took, in milliseconds, once the block of `writing` has ended."""

    took_ms: list[float] = field(default_factory=list)


@contextmanager
def writing(dsn: str, lockers: list[str]) -> Iterator[Commits]:
    """Write for as long as the block runs. A commit that is late delays those behind it, as in the hub.

    Raises:
        BenchError: the writer failed, or did not end.
    """
    here, there = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=_write, args=(dsn, lockers, there), name="writer")
    process.start()
    commits = Commits()
    try:
        _expect(here, "begun")
        yield commits
        here.send("stop")
        commits.took_ms += _expect(here, "stopped")
        process.join(_STOP_S_MAX)
    finally:
        # Ended by itself, or of no use any more.
        process.kill()
        process.join()


def _expect(here: "Connection[object, object]", what: str) -> list[float]:
    try:
        if not here.poll(_STOP_S_MAX):
            raise BenchError(f"the writer has not {what} after {_STOP_S_MAX:g} s")
        said = here.recv()
    except EOFError as error:
        raise BenchError("the writer has ended by itself") from error
    assert isinstance(said, list), said
    return said


def _write(dsn: str, lockers: list[str], there: "Connection[object, object]") -> None:
    asyncio.run(_writes(dsn, lockers, there))


async def _writes(dsn: str, lockers: list[str], there: "Connection[object, object]") -> None:
    took_ms: list[float] = []
    async with Database(dsn, connections_max=4, statement_timeout_ms=60_000, connect_timeout_s=10) as store:
        ledgers = Ledgers(store)
        epoch, numbers = uuid4(), dict.fromkeys(lockers, 1)
        pause_s = _EVENTS_A_COMMIT / EVENTS_PER_S
        due_s = time.monotonic()
        await store.ping()
        while not there.poll():
            locker = lockers[len(took_ms) % len(lockers)]
            at_ms = time.time_ns() // 1_000_000
            batch = EventBatch(
                v=PROTOCOL, boot=epoch, t=1, at=at_ms, clock=Clock.SYNCED, epoch=epoch, first=numbers[locker],
                events=[Event(t=1, at=at_ms, kind="door.opened", door=1)] * _EVENTS_A_COMMIT,
            )  # fmt: skip
            numbers[locker] = end = batch.first + _EVENTS_A_COMMIT
            rows = event_rows(
                batch,
                skip=0,
                tenant="default",
                locker=locker,
                occurred=[at_ms] * _EVENTS_A_COMMIT,
                received_ms=at_ms,
            )
            unit = EventUnit((locker, epoch), batch.first, end, rows, None, at_ms, "bench", b"", len(rows))
            began = time.perf_counter()
            await ledgers.write_events([unit])
            took_ms.append((time.perf_counter() - began) * 1000)
            if len(took_ms) == 1:
                there.send([])
            due_s += pause_s
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
    there.recv()
    there.send(took_ms)
