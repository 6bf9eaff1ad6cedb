"""The command journal: at most once, over every restart."""

import sqlite3
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from edge_agent.clock import LockerClock, Stamp
from edge_agent.core.orders import Repeat
from edge_agent.disk import DiskError
from edge_agent.journal import finished, finished_data
from wire.messages import Clock, Command, CommandState, Reply, Stages, data_bytes

if TYPE_CHECKING:
    from tests.edge_agent.conftest import Files

DAY_MS = 86_400_000
COMMAND = Command(
    v=1,
    id=UUID(int=9),
    locker="berlin-01",
    kind="open",
    boot=UUID(int=77),
    not_after=10,
    door=3,
    actor=UUID(int=4),
    reason="hand-over",
    sig=b"s" * 64,
)
REPLY = Reply(
    v=1,
    boot=UUID(int=77),
    t=1,
    at=1,
    clock=Clock.SYNCED,
    id=COMMAND.id,
    state=CommandState.SUCCEEDED,
    stages=Stages(received_t=1, started_us=2, pulsed_us=3),
)


class SetClock(LockerClock):
    """A clock that says what it is told."""

    now = Stamp(1000, 2_000_000_000_000, Clock.SYNCED)

    def t(self) -> int:
        return self.now.t

    def stamp(self) -> Stamp:
        return self.now


async def test_a_finished_command_is_remembered_over_restarts(files: "Files") -> None:
    _, _, outbox, journal = files.open()
    assert journal.find(COMMAND.id) is None
    journal.reserve(COMMAND.id, 5)
    assert journal.find(COMMAND.id) == Repeat(None)
    await journal.start(COMMAND)
    await journal.finish(COMMAND, REPLY, [finished(COMMAND, REPLY, 6)])
    assert journal.find(COMMAND.id) == Repeat(REPLY)
    assert outbox.last_seq == 1
    _, _, again_outbox, again = files.open()
    assert await again.load() == []
    assert again.find(COMMAND.id) == Repeat(REPLY)
    assert again_outbox.last_seq == 1


async def test_a_started_command_is_unknown_after_a_crash_and_stays_so(files: "Files") -> None:
    _, _, _, journal = files.open()
    journal.reserve(COMMAND.id, 5)
    await journal.start(COMMAND)
    _, _, outbox, again = files.open()
    (owed,) = await again.load()
    assert (owed.id, owed.state, owed.reason) == (COMMAND.id, CommandState.UNKNOWN, "restarted")
    assert again.find(COMMAND.id) == Repeat(owed)
    _, (event,) = await outbox.read(1, 10, SetClock(UUID(int=77)).stamp())
    assert event.kind == "command.finished"
    assert (event.command, event.actor, event.door) == (COMMAND.id, COMMAND.actor, 3)
    assert event.data is not None
    assert event.data["state"] == "unknown"
    _, _, _, third = files.open()
    assert await third.load() == []
    assert third.find(COMMAND.id) == Repeat(owed)


async def test_a_rejected_command_is_remembered_too(files: "Files") -> None:
    _, _, _, journal = files.open()
    journal.reserve(COMMAND.id, 5)
    await journal.finish(COMMAND, REPLY, [])
    _, _, _, again = files.open()
    await again.load()
    assert again.find(COMMAND.id) == Repeat(REPLY)


async def test_a_command_that_cannot_be_written_down_must_not_act(files: "Files") -> None:
    disk, _, _, journal = files.open()
    journal.reserve(COMMAND.id, 5)
    await disk.submit(lambda connection: connection.execute("DROP TABLE command").rowcount)
    with pytest.raises(DiskError):
        await journal.start(COMMAND)


async def test_the_end_and_its_ledger_entry_are_one_transaction(files: "Files") -> None:
    disk, _, outbox, journal = files.open()
    journal.reserve(COMMAND.id, 5)
    await journal.start(COMMAND)
    state: list[tuple[object, object]] = []

    def look(connection: sqlite3.Connection) -> int:
        reply = connection.execute("SELECT reply IS NULL FROM command").fetchone()[0]
        state.append((reply, connection.execute("SELECT count(*) FROM event").fetchone()[0]))
        return 0

    await disk.submit(look)
    await journal.finish(COMMAND, REPLY, [finished(COMMAND, REPLY, 6)])
    await disk.submit(look)
    assert state == [(1, 0), (0, 1)]
    assert outbox.last_seq == 1


async def test_commands_are_forgotten_after_a_day_by_the_boot_clock(files: "Files") -> None:
    clock = SetClock(UUID(int=77))
    _, _, _, journal = files.open(clock)
    journal.reserve(COMMAND.id, clock.t())
    await journal.finish(COMMAND, REPLY, [])
    # The wall clock may jump by years: that makes no command of this boot old.
    clock.now = Stamp(2000, clock.now.at + 900 * DAY_MS, Clock.SYNCED)
    assert await journal.prune() == 0
    clock.now = Stamp(1000 + DAY_MS, clock.now.at, Clock.SYNCED)
    assert await journal.prune() == 0
    clock.now = Stamp(1001 + DAY_MS, clock.now.at, Clock.SYNCED)
    assert await journal.prune() == 1
    assert journal.find(COMMAND.id) is None
    _, _, _, again = files.open(clock)
    await again.load()
    assert again.find(COMMAND.id) is None


async def test_commands_of_an_earlier_boot_are_forgotten_by_the_wall_clock_but_not_in_the_first_minute(
    files: "Files",
) -> None:
    clock = SetClock(UUID(int=77))
    _, _, _, journal = files.open(clock)
    journal.reserve(COMMAND.id, clock.t())
    await journal.finish(COMMAND, REPLY, [])
    later = SetClock(UUID(int=78))
    _, _, _, again = files.open(later)
    await again.load()
    later.now = Stamp(60_000, clock.now.at + 2 * DAY_MS, Clock.SYNCED)
    assert await again.prune() == 0
    later.now = Stamp(60_001, clock.now.at + DAY_MS, Clock.SYNCED)
    assert await again.prune() == 0
    later.now = Stamp(60_001, clock.now.at + DAY_MS + 1, Clock.SYNCED)
    assert await again.prune() == 1


async def test_a_command_in_hand_is_never_forgotten(files: "Files") -> None:
    clock = SetClock(UUID(int=77))
    _, _, _, journal = files.open(clock)
    journal.reserve(COMMAND.id, clock.t())
    clock.now = Stamp(9 * DAY_MS, clock.now.at, Clock.SYNCED)
    assert await journal.prune() == 0


def test_the_ledger_gets_the_whole_command_without_its_signature() -> None:
    assert finished_data(COMMAND, REPLY) == {
        "command": {
            "v": 1,
            "id": str(COMMAND.id),
            "locker": "berlin-01",
            "kind": "open",
            "boot": str(COMMAND.boot),
            "not_after": 10,
            "door": 3,
            "actor": str(COMMAND.actor),
            "reason": "hand-over",
        },
        "state": "succeeded",
        "stages": {"received_t": 1, "started_us": 2, "pulsed_us": 3},
    }


def test_long_arguments_do_not_make_an_entry_too_large() -> None:
    command = Command(
        v=1, id=UUID(int=9), locker="a", kind="open", boot=UUID(int=1), not_after=1, args={"a": "x" * 5000}
    )
    data = finished_data(command, REPLY)
    assert data["command"]["args"] == {"left_out": True}  # type: ignore[index]
    data_bytes(data)
