"""The command journal: at most once, over every restart."""

import sqlite3
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from msgspec import structs

from edge_agent import journal as journals
from edge_agent.clock import BootClock, Stamp
from edge_agent.core.orders import Earlier, fingerprint
from edge_agent.disk import DiskError
from edge_agent.journal import finished, finished_data, never_begun
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


class SetClock(BootClock):
    """A clock that says what it is told."""

    now = Stamp(1000, 2_000_000_000_000, Clock.SYNCED)

    def t(self) -> int:
        return self.now.t

    def stamp(self) -> Stamp:
        return self.now


async def test_a_finished_command_is_remembered_over_restarts(files: "Files") -> None:
    _, _, outbox, journal = files.open()
    assert journal.find(COMMAND.id) is None
    journal.reserve(COMMAND, 5)
    assert journal.find(COMMAND.id) == Earlier(fingerprint(COMMAND), None)
    await journal.start(COMMAND)
    await journal.finish(COMMAND, REPLY, [finished(COMMAND, REPLY, 6)])
    assert journal.find(COMMAND.id) == Earlier(fingerprint(COMMAND), REPLY)
    assert outbox.last_seq == 1
    _, _, again_outbox, again = files.open()
    assert await again.load() == []
    assert again.find(COMMAND.id) == Earlier(fingerprint(COMMAND), REPLY)
    assert again_outbox.last_seq == 1


async def test_a_started_command_is_unknown_after_a_crash_and_stays_so(files: "Files") -> None:
    _, _, _, journal = files.open()
    journal.reserve(COMMAND, 5)
    await journal.start(COMMAND)
    _, _, outbox, again = files.open()
    (owed,) = await again.load()
    assert (owed.id, owed.state, owed.reason) == (COMMAND.id, CommandState.UNKNOWN, "restarted")
    assert again.find(COMMAND.id) == Earlier(fingerprint(COMMAND), owed)
    (event,) = (await outbox.read(1, 10, SetClock(UUID(int=77)).stamp())).events
    assert event.kind == "command.finished"
    assert (event.command, event.actor, event.door) == (COMMAND.id, COMMAND.actor, 3)
    assert event.data is not None
    assert event.data["state"] == "unknown"
    _, _, _, third = files.open()
    assert await third.load() == []
    assert third.find(COMMAND.id) == Earlier(fingerprint(COMMAND), owed)


async def test_a_rejected_command_is_remembered_too(files: "Files") -> None:
    _, _, _, journal = files.open()
    journal.reserve(COMMAND, 5)
    await journal.finish(COMMAND, REPLY, [])
    _, _, _, again = files.open()
    await again.load()
    assert again.find(COMMAND.id) == Earlier(fingerprint(COMMAND), REPLY)


async def test_a_command_that_cannot_be_written_down_must_not_act(files: "Files") -> None:
    disk, _, _, journal = files.open()
    journal.reserve(COMMAND, 5)
    await disk.submit(lambda connection: connection.execute("DROP TABLE command").rowcount)
    with pytest.raises(DiskError):
        await journal.start(COMMAND)


async def test_the_end_and_its_ledger_entry_are_one_transaction(files: "Files") -> None:
    disk, _, outbox, journal = files.open()
    journal.reserve(COMMAND, 5)
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
    journal.reserve(COMMAND, clock.t())
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
    journal.reserve(COMMAND, clock.t())
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
    journal.reserve(COMMAND, clock.t())
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


def other(number: int, **changes: object) -> Command:
    return structs.replace(COMMAND, id=UUID(int=number), **changes)


async def test_beyond_the_limit_the_oldest_whose_time_has_passed_are_forgotten(
    files: "Files", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "ENTRIES_MAX", 3)
    clock = SetClock(UUID(int=77))
    disk, _, _, journal = files.open(clock)
    in_hand, in_time = other(1), other(2, not_after=5000)
    journal.reserve(in_hand, 1)
    journal.reserve(in_time, 1)
    await journal.finish(in_time, REPLY, [])
    for number in range(3, 9):
        journal.reserve(other(number), 1)
        await journal.finish(other(number), REPLY, [])
    assert [n for n in range(1, 9) if journal.find(UUID(int=n))] == [1, 2, 8]
    rows = await disk.read(lambda c: c.execute("SELECT count(*) FROM command").fetchone()[0])
    assert rows == 2
    # A restart keeps the limit too.
    monkeypatch.setattr(journals, "ENTRIES_MAX", 1)
    _, _, _, again = files.open(clock)
    await again.load()
    assert [n for n in range(1, 9) if again.find(UUID(int=n))] == [2]


async def test_a_cancelled_id_is_kept_for_an_hour_even_beyond_the_limit(
    files: "Files", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "ENTRIES_MAX", 1)
    clock = SetClock(UUID(int=77))
    _, _, _, journal = files.open(clock)
    journal.reserve_unknown(UUID(int=1), clock.t())
    await journal.finish_unknown(UUID(int=1), REPLY, never_begun(UUID(int=1), None, 1))
    journal.reserve(other(2), clock.t())
    assert journal.find(UUID(int=1)) == Earlier(None, REPLY)
    clock.now = Stamp(1000 + 3_600_001, clock.now.at, Clock.SYNCED)
    journal.reserve(other(3), clock.t())
    assert journal.find(UUID(int=1)) is None


async def test_a_command_that_was_put_back_is_new_again(files: "Files") -> None:
    disk, _, _, journal = files.open()
    journal.reserve(COMMAND, 5)
    await journal.start(COMMAND)
    journal.release(COMMAND.id, started=True)
    assert journal.find(COMMAND.id) is None
    journal.reserve(COMMAND, 6)
    await journal.start(COMMAND)
    rows = await disk.read(lambda c: c.execute("SELECT t FROM command").fetchall())
    assert rows == [(6,)]
    assert not journal.is_cancelled(UUID(int=12345))
