"""Somebody is to be forgotten: what is confirmed of them goes from the disk, and the ledger stays the same."""

import asyncio
import random
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from msgspec import structs

from edge_agent import disk
from edge_agent import journal as journals
from edge_agent.commands import IN_HAND_MAX
from edge_agent.core.doors import Note
from edge_agent.disk import DiskError
from edge_agent.journal import Journal, finished
from edge_agent.outbox import ForkReason, Outbox
from tests.edge_agent.bench import Bench, cancel, held, receive
from wire.messages import Clock, Command, CommandState, Event, EventKind, Reply, encode

if TYPE_CHECKING:
    from tests.edge_agent.conftest import Files, Until

ANNA, BEN = UUID(int=0xA << 124), UUID(int=0xB << 124)


def forget(bench: Bench, actor: UUID = ANNA, **changes: Any) -> Command:  # noqa: ANN401 - a command's fields
    return structs.replace(bench.command(kind="forget", door=None, args={"actor": str(actor)}), **changes)


def on_disk(directory: Path) -> bytes:
    """All bytes of the agent's files."""
    return b"".join(path.read_bytes() for path in directory.iterdir())


def named(directory: Path, actor: UUID = ANNA) -> bool:
    return str(actor).encode() in on_disk(directory)


async def chains(outbox: Outbox) -> list[str | None]:
    return [await outbox.chain_at(seq) for seq in range(outbox.last_seq + 1)]


async def openings(bench: Bench, until: "Until") -> list[Command]:
    """Let Anna and Ben open doors, and the hub confirm it."""
    ordered = [bench.command(door=door, actor=actor, reason="hand-over") for door, actor in ((3, ANNA), (4, BEN))]
    for command in ordered:
        await opening(bench, until, command)
    occupied = Note(bench.clock.t(), EventKind.OCCUPANCY_CHANGED, 3, ordered[0].id, ANNA, {"occupied": True})
    await bench.outbox.post([occupied])
    bench.outbox.ack(bench.outbox.last_seq)
    await bench.disk.settled(20)
    return ordered


async def opening(bench: Bench, until: "Until", command: Command) -> None:
    """Let somebody open a door, to the last event that it makes."""
    await receive(bench, until, command)
    async with asyncio.timeout(20):
        while not await saw(bench, command):  # noqa: ASYNC110 - it has to be on the disk
            await asyncio.sleep(0.005)


async def obeyed(bench: Bench, until: "Until", command: Command) -> Reply:
    """The reply to an order to forget, of a locker whose hub confirms all that it hears."""
    replies = len(bench.replies)
    bench.commands.receive(encode(command), retained=False)

    def replied() -> bool:
        bench.outbox.ack(bench.outbox.last_seq)
        return len(bench.replies) > replies

    await until(replied)
    return bench.replies[-1]


async def saw(bench: Bench, command: Command) -> bool:
    return (EventKind.DOOR_OPENED, command.id) in [(event.kind, event.command) for event in await bench.events()]


async def test_what_is_confirmed_of_somebody_goes_and_nothing_else(bench: Bench, until: "Until") -> None:
    annas, bens = await openings(bench, until)
    before, chain = await bench.events(), await chains(bench.outbox)
    assert named(bench.files.directory)
    reply = await obeyed(bench, until, forget(bench))
    assert (reply.state, reply.reason) == (CommandState.SUCCEEDED, None)
    assert not named(bench.files.directory)
    assert named(bench.files.directory, BEN)
    after = await bench.events()
    told = after.pop()
    assert len(after) == len(before)
    for was, now in zip(before, after, strict=True):
        if was.actor != ANNA:
            assert now == was
            continue
        data = {"occupied": True, "erased": True} if was.kind == EventKind.OCCUPANCY_CHANGED else {"erased": True}
        assert now == Event(t=was.t, at=was.at, kind=was.kind, door=was.door, data=data)
    # The order to forget names nobody either.
    assert (told.kind, told.actor) == (EventKind.COMMAND_FINISHED, None)
    assert (told.data or {})["command"]["args"] == {"left_out": True}
    # From memory or from the disk, to a hub that asks again: numbers and chain are as they were.
    portion = await bench.files.open(bench.clock)[2].read(1, 500, bench.clock.stamp())
    assert portion.events == [*after, told]
    assert (await chains(bench.outbox))[: len(chain)] == chain
    # Neither acts again.
    assert bench.unlocks() == 2
    for command in (annas, bens):
        assert (await receive(bench, until, command)).state is CommandState.SUCCEEDED
    assert bench.unlocks() == 2
    assert [bench.journal.find(one.id).order is None for one in (annas, bens)] == [True, False]  # type: ignore[union-attr]


async def test_what_is_not_confirmed_goes_to_the_hub_as_it_is_before_it_is_forgotten(
    bench: Bench, until: "Until"
) -> None:
    """The hub may have had it for long, and erased it: a receipt can be lost, and nobody would ask again."""
    await opening(bench, until, bench.command(actor=ANNA))
    before = await bench.events()
    command = forget(bench)
    replies = len(bench.replies)
    bench.commands.receive(encode(command), retained=False)
    bench.outbox.ack(bench.outbox.last_seq - 1)
    await bench.disk.settled(20)
    assert (await bench.events(), len(bench.replies)) == (before, replies)
    await bench.outbox.fork(ForkReason.HUB_ASKED)
    bench.outbox.ack(1)
    bench.outbox.ack(bench.outbox.last_seq)
    await until(lambda: len(bench.replies) > replies)
    assert bench.replies[-1].state is CommandState.SUCCEEDED
    assert not named(bench.files.directory)


async def test_a_hub_that_confirms_nothing_is_asked_to_come_again(
    bench: Bench, until: "Until", monkeypatch: pytest.MonkeyPatch
) -> None:
    await opening(bench, until, bench.command(actor=ANNA))
    monkeypatch.setattr(journals, "_CONFIRMED_S", 0.01)
    command = forget(bench)
    replies = len(bench.replies)
    bench.commands.receive(encode(command), retained=False)
    await bench.commands.drain(20)
    assert (len(bench.replies), bench.journal.find(command.id)) == (replies, None)
    assert (await obeyed(bench, until, command)).state is CommandState.SUCCEEDED
    assert not named(bench.files.directory)


async def test_the_order_is_remembered_over_a_restart_without_whom_it_named(bench: Bench, until: "Until") -> None:
    command = forget(bench)
    reply = await obeyed(bench, until, command)
    again = bench.files.open(bench.clock)[3]
    assert await again.load() == []
    known = again.find(command.id)
    assert known is not None
    assert known.reply is not None
    assert (known.order, known.reply.state) == (None, reply.state)
    assert structs.replace(await receive(bench, until, command), stages=None) == structs.replace(reply, stages=None)
    assert not named(bench.files.directory)


async def test_a_disk_that_refuses_is_no_end(bench: Bench, until: "Until") -> None:
    await openings(bench, until)
    command = forget(bench)

    async def refuse(refusing: int) -> None:
        await bench.disk.read(lambda c: c.execute(f"PRAGMA query_only = {refusing}").fetchall())

    replies = len(bench.replies)
    await refuse(1)
    bench.commands.receive(encode(command), retained=False)
    await bench.commands.drain(20)
    assert (len(bench.replies), bench.journal.find(command.id)) == (replies, None)
    await refuse(0)
    assert (await obeyed(bench, until, command)).state is CommandState.SUCCEEDED
    assert not named(bench.files.directory)


async def test_a_log_that_somebody_reads_is_not_called_empty(bench: Bench, until: "Until") -> None:
    await openings(bench, until)
    reader = sqlite3.connect(bench.files.directory / "agent.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM event").fetchone()
    with pytest.raises(DiskError, match="not emptied"):
        await bench.journal.forget(ANNA)
    reader.close()
    await bench.journal.forget(ANNA)
    assert not named(bench.files.directory)


@pytest.mark.parametrize("chunk_bytes", [1 << 20, 64])
async def test_a_copy_that_was_left_behind_is_found_and_the_file_written_anew(
    bench: Bench, until: "Until", monkeypatch: pytest.MonkeyPatch, chunk_bytes: int
) -> None:
    monkeypatch.setattr(disk, "_CHUNK_BYTES", chunk_bytes)
    await openings(bench, until)
    # As where pages were merged: what is deleted stays where it was.
    await bench.disk.read(lambda connection: connection.execute("PRAGMA secure_delete = OFF").fetchall())
    await bench.outbox.prune(0, 0)
    await bench.disk.read(lambda connection: connection.execute("PRAGMA secure_delete = ON").fetchall())
    assert await bench.events() == []
    assert named(bench.files.directory)
    await bench.journal.forget(ANNA)
    assert not named(bench.files.directory)
    assert (await receive(bench, until, bench.command(door=7))).state is CommandState.SUCCEEDED


async def test_too_many_at_a_time_says_nothing_so_that_it_comes_again(bench: Bench, until: "Until") -> None:
    with held(bench) as release:
        for _ in range(IN_HAND_MAX):
            bench.commands.receive(encode(bench.command(kind="locate", door=None)), retained=False)
        command = forget(bench)
        bench.commands.receive(encode(command), retained=False)
        assert (bench.commands.dropped, bench.journal.find(command.id)) == (1, None)
        release()
    await until(lambda: len(bench.replies) == IN_HAND_MAX)
    assert (await obeyed(bench, until, command)).state is CommandState.SUCCEEDED


async def test_too_late_it_comes_again_and_cancelled_it_does_not(bench: Bench, until: "Until") -> None:
    late = forget(bench, not_after=0)
    assert (await receive(bench, until, late)).reason == "expired"
    assert bench.journal.find(late.id) is None
    command = forget(bench)
    bench.commands.receive(encode(command), retained=False)
    bench.commands.receive(encode(cancel(bench, command.id)), retained=False)
    await until(lambda: bench.replies[-1].id == command.id)
    assert (bench.replies[-1].state, bench.replies[-1].reason) == (CommandState.REJECTED, "cancelled")
    bad = forget(bench, args={"actor": str(ANNA), "also": "x"})
    assert (await receive(bench, until, bad)).reason == "bad_args"
    assert not named(bench.files.directory)


async def test_after_a_fork_there_is_nothing_confirmed_to_take_out(bench: Bench, until: "Until") -> None:
    await openings(bench, until)
    await opening(bench, until, bench.command(door=5, actor=ANNA))
    erasing = bench.outbox.erase(ANNA)
    await bench.outbox.fork(ForkReason.HUB_ASKED)
    await erasing
    assert [event.kind for event in await bench.events() if event.actor == ANNA] == [
        "door.unlocked",
        "command.finished",
        "door.opened",
    ]
    bench.outbox.ack(bench.outbox.last_seq)
    await bench.journal.forget(ANNA)
    assert not named(bench.files.directory)


@pytest.mark.parametrize("seed", range(6))
async def test_no_byte_of_anybody_is_left_whatever_was_written_and_pruned_before(files: "Files", seed: int) -> None:
    """SQLite moves rows between pages, and leaves copies where they were: what is looked at is the file."""
    chance = random.Random(seed)
    _, _, outbox, journal = files.open()
    actors = [UUID(int=chance.getrandbits(128), version=4) for _ in range(12)]
    for actor in actors:
        for _ in range(chance.randrange(40)):
            await write(journal, Some(chance, chance.choice(actors)))
        outbox.ack(outbox.last_seq)
        await outbox.prune(7, chance.choice((10, 200, 10_000)))
        await journal.forget(actor)
        assert not named(files.directory, actor), f"{actor} of seed {seed}"
        actors = [one for one in actors if one != actor] or [BEN]


class Some:
    """A command of somebody, of one size or another."""

    def __init__(self, chance: random.Random, actor: UUID) -> None:
        self.args: dict[str, str | int | bool] = {"x": "y" * chance.choice((0, 20, 200, 1500))}
        self.id = UUID(int=chance.getrandbits(128), version=4)
        self.actor = actor


async def write(journal: Journal, some: Some) -> None:
    command = Command(
        v=1,
        id=some.id,
        locker="berlin-01",
        kind="locate",
        boot=uuid4(),
        not_after=1,
        actor=some.actor,
        args=some.args,
    )
    journal.reserve(command, 1)
    await journal.start(command)
    reply = Reply(
        v=1, boot=command.boot, t=1, at=1, clock=Clock.SYNCED, id=command.id, state=CommandState.SUCCEEDED
    )
    await journal.finish(command, reply, [finished(command, reply, 1)])


async def test_what_is_being_written_down_at_that_moment_is_of_the_ledger_so_far(
    bench: Bench, until: "Until"
) -> None:
    ordered = await openings(bench, until)
    note = Note(bench.clock.t(), EventKind.OCCUPANCY_CHANGED, 3, ordered[0].id, ANNA, {"occupied": False})
    writing = asyncio.ensure_future(bench.outbox.post([note]))
    forgetting = asyncio.create_task(bench.journal.forget(ANNA))
    await writing

    def confirmed() -> bool:
        bench.outbox.ack(bench.outbox.last_seq)
        return forgetting.done()

    await until(confirmed)
    await forgetting
    assert [event for event in await bench.events() if event.actor == ANNA] == []
