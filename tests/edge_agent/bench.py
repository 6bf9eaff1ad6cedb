"""A locker's commands at the bench: a real journal, a real bus in memory, and a board made of software."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from msgspec import structs

from edge_agent.beacon import Beacon
from edge_agent.boards import kerong_cu16 as cu16
from edge_agent.boards.link import MemoryLink
from edge_agent.cabinet import Cabinet
from edge_agent.clock import BootClock
from edge_agent.commands import CommandExecutor, Hooks
from edge_agent.config import BeaconSettings, BoardSettings, Config, DoorSettings, HubSettings
from edge_agent.simulator.cu16_board import SimulatedCu16
from wire.messages import Command, Event, Reply, encode

if TYPE_CHECKING:
    from tests.edge_agent.conftest import Files, Until

BOOT = UUID(int=77)


class ShiftedClock(BootClock):
    """The real clock, set forward by `shift` milliseconds."""

    shift = 0

    def t(self) -> int:
        return super().t() + self.shift


class Bench:
    """Commands over a real journal, a real bus in memory, and a board made of software."""

    def __init__(self, files: "Files") -> None:
        self.clock = ShiftedClock(BOOT, synced=lambda: True)
        self.board = SimulatedCu16(0, 16, Random(1))
        self.files = files
        self.replies: list[Reply] = []
        self.written: list[bytes] = []
        self.configured: list[dict[str, float]] = []
        self.restarts = asyncio.Event()
        self.on_write: Callable[[], None] = lambda: None
        self.disk, _, self.outbox, self.journal = files.open(self.clock)
        config = Config(
            locker="berlin-01",
            hub=HubSettings(public_key_file=""),
            boards=(BoardSettings(port="memory"),),
            doors=DoorSettings(poll_ms=10),
        )
        self.cabinet = Cabinet(
            config,
            self.clock,
            lambda name, _: MemoryLink(name, self.respond),
            self.outbox.post,
            lambda: None,
        )
        self.commands = CommandExecutor(
            "berlin-01",
            self.clock,
            self.cabinet,
            self.journal,
            lambda c: c.sig == b"good",
            self.reply,
            Beacon(BeaconSettings(led=str(files.directory / "led"), seconds=0.1)),
            Hooks(self.configured.append, self.restarts.set),
        )
        self.cabinet.start()

    def respond(self, data: bytes) -> bytes:
        self.written.append(data)
        self.on_write()
        return self.board.receive(data, BootClock(BOOT).t())

    async def reply(self, reply: Reply) -> None:
        self.replies.append(reply)

    def command(self, budget_ms: int = 5000, **changes: object) -> Command:
        command = Command(
            v=1,
            id=uuid4(),
            locker="berlin-01",
            kind="open",
            boot=BOOT,
            not_after=self.clock.t() + budget_ms,
            door=3,
            sig=b"good",
        )
        return structs.replace(command, **changes)

    def unlocks(self) -> int:
        return sum(chunk[2] == cu16.UNLOCK for chunk in self.written)

    async def events(self) -> list[Event]:
        await self.disk.settled(20)
        return (await self.outbox.read(1, 500, self.clock.stamp())).events

    async def kinds(self) -> list[tuple[str, str | None]]:
        return self.about_commands(await self.events())

    async def kinds_on_disk(self) -> list[tuple[str, str | None]]:
        portion = await self.files.open(self.clock)[2].read(1, 500, self.clock.stamp())
        return self.about_commands(portion.events)

    @staticmethod
    def about_commands(events: list[Event]) -> list[tuple[str, str | None]]:
        return [
            (event.kind, (event.data or {}).get("state"))
            for event in events
            if event.kind in {"door.unlocked", "command.finished"}
        ]


async def receive(bench: Bench, until: "Until", command: Command) -> Reply:
    """The next reply, after this command came."""
    replies = len(bench.replies)
    bench.commands.receive(encode(command), retained=False)
    await until(lambda: len(bench.replies) > replies)
    return bench.replies[-1]


def cancel(bench: Bench, target: UUID, *, actor: UUID | None = None) -> Command:
    return bench.command(kind="cancel", door=None, args={"command": str(target)}, actor=actor)


@contextmanager
def held(bench: Bench) -> Iterator[Callable[[], None]]:
    """Hold the file's write lock, so that nothing is written before `release` is called."""
    other = sqlite3.connect(bench.files.directory / "agent.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield other.rollback
    other.close()
