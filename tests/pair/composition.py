"""Puts the real hub and the real agent into a world: what they take from their machine comes from there.

Only what touches the machine is replaced: clocks, chance, threads, the MQTT clients, psycopg's pool, SQLite's file,
the serial port, the HTTP server. Everything else, both composition roots included, is the code that ships.
"""

import asyncio
import logging
import os
import random
import sqlite3
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from datetime import datetime, tzinfo
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any, Final
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import edge_agent.app
import edge_agent.boards.bus
import edge_agent.clock
import edge_agent.disk
import edge_agent.mqtt
import hub.app
import hub.clock
import hub.metrics
import hub.mqtt.connections
import hub.scheduler.scheduler
import hub.store.database
import hub.tasks
from edge_agent import signature
from edge_agent.cabinet import Cabinet
from hub.alarms.alarm_writer import AlarmWriter
from hub.alarms.engine import AlarmEngine
from hub.core.accounting import MessageAccounting
from hub.keys import CommandKey
from hub.notify.notifier import Notifier
from hub.people.watch import PeopleWatch
from hub.retention.service import RetentionService
from tests.pair import links
from tests.pair.database import Pool
from tests.pair.drive import Drive
from tests.pair.process import running
from tests.pair.world import World

PRIVATE: Final = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
FORGER: Final = CommandKey(Ed25519PrivateKey.from_private_bytes(bytes(32)))
"""Somebody who is not the hub."""
_HOUSEKEEPING_S: Final = 7.0

Books = tuple[MessageAccounting, Callable[[], tuple[int, int]]]
drives: dict[str, Drive] = {}
"""Each process's disk, by its name."""
books: dict[str, Books] = {}
"""Each hub process's books, by its name."""
builds: dict[str, Any] = {}
"""Each hub process's parts, by its name: for API calls."""
pulsing: dict[str, UUID | None] = {}
"""By process: the command that the lock is being pulsed for."""


@cache
def verify() -> signature.Verify:
    """Return the agents' real check of the hub's signature."""
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(CommandKey(PRIVATE).public_pem())
        file.flush()
        return signature.verifier(Path(file.name))


@contextmanager
def simulated(world: World) -> Iterator[None]:
    """Let everything that is built in this block live in the world."""
    chance = random.getstate()
    silenced = logging.root.manager.disable
    random.seed(world.random.getrandbits(64))
    logging.disable(logging.CRITICAL)
    for known in (drives, books, builds, pulsing):
        known.clear()
    try:
        with ExitStack() as stack:
            for place, name, value in _replacements(world):
                stack.enter_context(replaced(place, name, value))
            yield
    finally:
        random.setstate(chance)
        logging.disable(silenced)


@contextmanager
def replaced(place: object, name: str, value: object) -> Iterator[None]:
    """Let a name of a module or class stand for something else. A name that is not there is an error."""
    before = place.__dict__[name] if isinstance(place, type) else getattr(place, name)
    setattr(place, name, value)
    try:
        yield
    finally:
        setattr(place, name, before)


Replacement = Callable[[], AbstractContextManager[None]]


def _breach(world: World, error: BaseException) -> dict[str, str]:
    """A task that is started again is one that has failed."""
    world.breach("exception", f"a task of {running().name} failed with {error!r}")
    return {}


def _replacements(world: World) -> list[tuple[object, str, object]]:
    return [
        (hub.clock, "time", _Like(time, clock_gettime_ns=_boot_ns, monotonic_ns=_monotonic_ns, time_ns=_wall_ns)),
        (hub.clock, "datetime", _Datetime),
        (hub.store.database, "AsyncConnectionPool", Pool),
        (hub.metrics.Metrics, "count_accounts", _count_accounts),
        (hub.mqtt.connections, "MqttConnection", links.HubLink),
        (hub.app, "load_key", lambda _: CommandKey(PRIVATE)),
        (hub.app, "start", _no_http),
        (hub.app, "listening", lambda *_: nullcontext([])),
        # Hubs that share their accounts throw each other out there, as before there was a lease.
        (hub.app, "HubLease", _AlwaysHeld),
        # What goes by the calendar is not modelled.
        (hub.tasks, "described", partial(_breach, world)),
        (hub.scheduler.scheduler.Scheduler, "_follow", _never),
        *((place, "run", _never) for place in (RetentionService, PeopleWatch)),
        # Alarms are raised for real, and stay in memory: their table is not modelled.
        (AlarmEngine, "load", _load_places),
        (AlarmWriter, "run", _at_once),
        (AlarmWriter, "follow", _never),
        # Nobody is told of them there.
        (Notifier, "load", _at_once),
        (hub.app._Build, "application", _remember),  # noqa: SLF001 - the composition root's own parts are run as they are
        (edge_agent.clock, "time", _Like(time, clock_gettime_ns=_boot_ns, time_ns=_wall_ns)),
        (edge_agent.disk, "sqlite3", _Like(sqlite3, connect=_open_file)),
        (edge_agent.disk, "_chunk", _chunk),
        (edge_agent.mqtt, "connect", links.connect),
        (edge_agent.boards.bus, "Random", lambda: random.Random(random.getrandbits(32))),
        (edge_agent.app, "_HOUSEKEEPING_S", _HOUSEKEEPING_S),
        (Cabinet, "unlock", _unlock_watched(Cabinet.unlock)),
        (uuid, "os", _Like(os, urandom=world.random.randbytes)),
    ]  # fmt: skip


class _Like:
    """A module with some of its functions replaced."""

    def __init__(self, module: ModuleType, **functions: Callable[..., Any]) -> None:
        self._module = module
        self.__dict__.update(functions)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the module has
        return getattr(self._module, name)


def _boot_ns(clock: int) -> int:
    del clock
    return running().machine.boot_ns()


def _monotonic_ns() -> int:
    return running().machine.boot_ns()


class _Datetime:
    """What hub/clock.py uses of datetime."""

    fromtimestamp = datetime.fromtimestamp

    @staticmethod
    def now(zone: tzinfo) -> datetime:
        return datetime.fromtimestamp(running().machine.wall_ms() / 1000, zone)


def _wall_ns() -> int:
    return running().machine.wall_ms() * 1_000_000


def _open_file(path: Path, **options: object) -> Any:  # noqa: ANN401 - SQLite's connection
    del path, options
    return drives[running().name].open()


def _chunk(path: Path, start: int) -> bytes:
    del path
    image = drives[running().name].image() or b""
    return image[start : start + (1 << 20)]


def _count_accounts(metrics: object, accounts: MessageAccounting, in_flight: Callable[[], tuple[int, int]]) -> None:
    del metrics
    books[running().name] = (accounts, in_flight)


def _remember(build: Any) -> None:  # noqa: ANN401 - hub.app's own
    builds[running().name] = build


class _AlwaysHeld:
    """A lease that every hub has."""

    lost = False
    broker = None

    def __init__(self, *_: object) -> None:
        """Anybody's."""

    async def acquire(self, _: asyncio.Event) -> bool:
        return True

    async def keep(self) -> None:
        await asyncio.Event().wait()

    def know_broker(self, _: str) -> None:
        """Nobody says it there."""

    async def confirm(self, _: object) -> None:
        """It is."""

    async def check_standby(self) -> None:
        """There are none."""

    async def release(self) -> None:
        """Nobody waits for it."""

    async def close(self) -> None:
        """There is nothing to close."""


async def _load_places(alarms: AlarmEngine) -> None:
    alarms.follow_registry()


async def _at_once(_: object) -> None:
    """Write nothing, and have all written."""


async def _never(*_: object) -> None:
    await asyncio.Event().wait()


async def _no_http(*_: object) -> "_NoRunner":
    return _NoRunner()


class _NoRunner:
    async def cleanup(self) -> None:
        """There is nothing to clean up."""


def _unlock_watched(unlock: Callable[..., Any]) -> Callable[..., Any]:
    async def watched(
        cabinet: Cabinet, door: int, gate: Callable[[], bool], command: UUID | None, actor: UUID | None
    ) -> bool:
        process = running()

        def asked() -> bool:
            pulsing[process.name] = command
            return gate()

        return bool(await unlock(cabinet, door, asked, command, actor))

    return watched
