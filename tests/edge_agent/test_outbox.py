"""The ledger on disk: dense, durable, kept until confirmed and some days longer, renumbered when rolled back."""

import asyncio
import shutil
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from edge_agent import disk as disks
from edge_agent.clock import BootClock, Stamp
from edge_agent.core.doors import Note
from edge_agent.disk import DiskError
from edge_agent.outbox import SESSIONS_RESERVED, TAIL_EVENTS_MAX, ForkReason, Outbox
from wire.messages import Clock, Event, EventKind

if TYPE_CHECKING:
    from tests.edge_agent.conftest import Files

DAY_MS = 86_400_000


class SetClock(BootClock):
    """A clock that says what it is told."""

    def __init__(self, boot: int = 77, *, t: int = 1000, at: int = 2_000_000_000_000) -> None:
        super().__init__(UUID(int=boot))
        self.now = Stamp(t, at, Clock.SYNCED)

    def t(self) -> int:
        return self.now.t

    def stamp(self) -> Stamp:
        return self.now


async def read(outbox: Outbox, first: int, events_max: int, stamp: Stamp) -> tuple[int, list[Event]]:
    portion = await outbox.read(first, events_max, stamp)
    return portion.first, portion.events


def notes(count: int, *, t: int = 5) -> list[Note]:
    return [Note(t, EventKind.DOOR_OPENED, door) for door in range(1, count + 1)]


async def test_numbers_are_dense_from_one(files: "Files") -> None:
    _, state, outbox, _ = files.open()
    assert state.next_seq == 1
    posts = [outbox.post(notes(2)) for _ in range(5)]
    assert await asyncio.gather(*posts) == [1, 3, 5, 7, 9]
    assert (outbox.last_seq, outbox.unacked, outbox.oldest_seq) == (10, 10, 1)


async def test_what_was_appended_is_there_after_a_crash(files: "Files", clock: BootClock) -> None:
    _, state, outbox, _ = files.open()
    await outbox.post(notes(3))
    # The first file is never closed: what a crash leaves behind.
    _, again, reopened, _ = files.open()
    assert (again.epoch, again.next_seq, reopened.last_seq) == (state.epoch, 4, 3)
    first, events = await read(reopened, 2, 10, clock.stamp())
    assert (first, [event.door for event in events]) == (2, [2, 3])
    assert await reopened.post(notes(1)) == 4


async def test_a_new_file_is_a_new_epoch(files: "Files") -> None:
    _, state, _, _ = files.open()
    await files.close()
    shutil.rmtree(files.directory)
    assert files.open()[1].epoch != state.epoch


async def test_confirmed_events_are_not_waiting_after_a_restart(files: "Files") -> None:
    _, _, outbox, _ = files.open()
    await outbox.post(notes(5))
    outbox.ack(3)
    outbox.ack(2)
    await files.close()
    _, state, again, _ = files.open()
    assert (state.acked_seq, again.unacked) == (3, 2)


async def test_a_batch_is_read_from_memory_as_from_disk(files: "Files", clock: BootClock) -> None:
    _, _, outbox, _ = files.open()
    for _ in range(TAIL_EVENTS_MAX // 100 + 2):
        await outbox.post(notes(100))
    _, _, reopened, _ = files.open()
    for start in (1, 57, outbox.last_seq - TAIL_EVENTS_MAX, outbox.last_seq - 3, outbox.last_seq + 1):
        assert await outbox.read(start, 100, clock.stamp()) == await reopened.read(start, 100, clock.stamp())


async def test_a_batch_stays_below_the_size_of_a_message(files: "Files", clock: BootClock) -> None:
    _, _, outbox, _ = files.open()
    big = [Note(1, EventKind.SNAPSHOT, data={"text": "x" * 4000}) for _ in range(100)]
    await outbox.post(big)
    _, events = await read(outbox, 1, 500, clock.stamp())
    assert 40 < len(events) < 60
    first, rest = await read(outbox, 1 + len(events), 500, clock.stamp())
    assert first == 1 + len(events)
    assert len(rest) == min(len(events), 100 - len(events))


async def test_an_event_says_its_boot_and_clock_where_they_differ(files: "Files") -> None:
    early = SetClock(boot=1, t=50, at=1_999_000_000_000)
    early.now = with_clock(early.now, clock=Clock.HOLDOVER)
    _, _, outbox, _ = files.open(early)
    await outbox.post(notes(1, t=40))
    late = SetClock(boot=2)
    _, _, reopened, _ = files.open(late)
    await reopened.post(notes(1, t=990))
    _, (old, new) = await read(reopened, 1, 10, late.stamp())
    assert (old.boot, old.clock, old.t, old.at) == (UUID(int=1), Clock.HOLDOVER, 40, 1_998_999_999_990)
    assert new == Event(t=990, at=1_999_999_999_990, kind="door.opened", door=1)


def with_clock(stamp: Stamp, *, clock: Clock) -> Stamp:
    return Stamp(stamp.t, stamp.at, clock)


async def test_only_confirmed_events_are_pruned_and_only_old_ones(files: "Files") -> None:
    clock = SetClock()
    _, _, outbox, _ = files.open(clock)
    await outbox.post(notes(4))
    clock.now = Stamp(1000, clock.now.at + 8 * DAY_MS, Clock.SYNCED)
    await outbox.post(notes(4))
    assert await outbox.prune(7, 1000) == 0
    outbox.ack(6)
    assert await outbox.prune(7, 1000) == 4
    assert outbox.oldest_seq == 5
    # Memory still has them, as long as nobody restarts; the disk does not.
    first, events = await read(files.open(clock)[2], 1, 3, clock.stamp())
    assert (first, len(events), outbox.unacked) == (5, 3, 2)
    assert await outbox.prune(7, 1) == 1
    assert await outbox.prune(0, 1000) == 1
    assert (outbox.oldest_seq, outbox.unacked) == (7, 2)
    outbox.ack(8)
    assert await outbox.prune(0, 0) == 2
    assert outbox.oldest_seq == outbox.last_seq + 1 == 9
    assert files.open(clock)[1].oldest_seq == 9


async def test_a_rolled_back_file_goes_on_in_a_new_epoch(files: "Files", clock: BootClock) -> None:
    _, state, outbox, _ = files.open()
    await outbox.post(notes(5))
    outbox.ack(2)
    await outbox.fork(ForkReason.FILE_RESTORED)
    assert outbox.epoch != state.epoch
    assert (outbox.last_seq, outbox.acked_seq, outbox.oldest_seq, outbox.forks) == (4, 0, 1, 1)
    first, events = await read(outbox, 1, 10, clock.stamp())
    assert (first, [event.door for event in events]) == (1, [None, 3, 4, 5])
    assert (events[0].kind, events[0].data) == (
        "ledger.forked",
        {"from_epoch": str(state.epoch), "reason": "file_restored"},
    )
    assert await outbox.post(notes(1)) == 5
    again = files.open()[1]
    assert (again.epoch, again.next_seq, again.acked_seq) == (outbox.epoch, 6, 0)


async def test_sessions_count_up_over_restarts(files: "Files") -> None:
    _, _, outbox, _ = files.open()
    counted = [await outbox.next_session() for _ in range(SESSIONS_RESERVED + 2)]
    assert counted == list(range(1, SESSIONS_RESERVED + 3))
    assert await files.open()[2].next_session() > counted[-1]


async def test_a_full_disk_loses_what_tells_least_first_and_declares_it(
    files: "Files", clock: BootClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disks, "_RETRY_S", 0.01)
    monkeypatch.setattr(disks, "EVENTS_WAITING_MAX", 6)
    disk, _, outbox, _ = files.open()
    await outbox.post(notes(1))
    # As large as it is now, and not a page more: SQLite itself says that it is full.
    await disk.read(lambda c: c.execute("PRAGMA max_page_count = 1").fetchone())
    filler = [Note(t, EventKind.DOOR_CLOSED, 1, data={"x": "x" * 3000}) for t in (10, 11)]
    outbox.post(filler)
    outbox.post([Note(20, EventKind.BOARD_ONLINE), Note(21, EventKind.SNAPSHOT)])
    outbox.post([Note(30, EventKind.BOARD_OFFLINE), Note(31, EventKind.DOOR_FORCED, 1)])
    outbox.post([Note(40, EventKind.AGENT_STARTED)])
    outbox.post([Note(t, EventKind.DOOR_OPENED, 1) for t in (50, 51)])
    async with asyncio.timeout(20):
        while outbox.given_up < 3:  # noqa: ASYNC110 - a counter
            await asyncio.sleep(0.005)
    assert outbox.last_seq == 1
    await disk.read(lambda c: c.execute("PRAGMA max_page_count = 100000").fetchone())
    await disk.settled(20)
    events = (await outbox.read(1, 100, clock.stamp())).events
    assert [event.t for event in events if event.kind != "outbox.gap"] == [5, 10, 11, 30, 31, 50, 51]
    assert (events[1].kind, events[1].data) == (
        "outbox.gap",
        {"events": 3, "from_t": 20, "to_t": 40, "reason": "disk_full"},
    )
    assert outbox.given_up == 3
    assert outbox.disk_refusals > 0


async def test_a_full_disk_keeps_nobody_offline(files: "Files") -> None:
    disk, _, outbox, _ = files.open()
    first = await outbox.next_session()
    await disk.read(lambda c: c.execute("PRAGMA query_only = 1").fetchall())
    for number in range(1, SESSIONS_RESERVED):
        assert await outbox.next_session() == first + number
    with pytest.raises(DiskError):
        await outbox.next_session()


async def test_a_late_confirmation_of_the_old_epoch_does_not_count_in_the_new_one(files: "Files") -> None:
    disk, _, outbox, _ = files.open()
    await outbox.post(notes(5))
    forked = asyncio.ensure_future(outbox.fork(ForkReason.CLONED))
    outbox.ack(4)
    await forked
    await disk.settled(20)
    _, state, again, _ = files.open()
    assert (state.acked_seq, again.unacked, outbox.unacked) == (0, outbox.last_seq, outbox.last_seq)


async def test_two_forks_at_a_time_are_one(files: "Files") -> None:
    _, _, outbox, _ = files.open()
    await outbox.post(notes(2))
    await asyncio.gather(outbox.fork(ForkReason.CLONED), outbox.fork(ForkReason.HUB_ASKED))
    assert (outbox.forks, outbox.last_seq) == (1, 3)


async def test_a_confirmation_written_late_is_not_written_into_the_next_epoch(
    files: "Files", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disks, "_RETRY_S", 3600)
    disk, _, outbox, _ = files.open()
    await outbox.post(notes(5))
    await disk.read(lambda c: c.execute("PRAGMA query_only = 1").fetchall())
    outbox.ack(4)
    async with asyncio.timeout(20):
        while not outbox.disk_refusals:  # noqa: ASYNC110 - a counter
            await asyncio.sleep(0.005)
    await disk.read(lambda c: c.execute("PRAGMA query_only = 0").fetchall())
    # The fork is hurried: it goes before the confirmation that waits.
    await outbox.fork(ForkReason.CLONED)
    await disk.settled(20)
    _, state, again, _ = files.open()
    assert (state.epoch, state.acked_seq, again.unacked) == (outbox.epoch, 0, 6)
    outbox.ack(3)
    await disk.settled(20)
    assert files.open()[1].acked_seq == 3


async def test_after_a_fork_memory_has_nothing_of_the_old_numbers(files: "Files", clock: BootClock) -> None:
    _, _, outbox, _ = files.open()
    await outbox.post(notes(5))
    outbox.ack(2)
    await outbox.fork(ForkReason.CLONED)
    await outbox.post(notes(1))
    reopened = files.open()[2]
    for first in range(1, 6):
        assert await outbox.read(first, 10, clock.stamp()) == await reopened.read(first, 10, clock.stamp())
    assert outbox.chain_in_memory(3) is None


async def test_a_fork_that_goes_beyond_the_limit_deletes_too(files: "Files", clock: BootClock) -> None:
    disk, state, _, _ = files.open()
    outbox = Outbox(disk, state, clock, unacked_events_max=50)
    await outbox.post(notes(50))
    assert outbox.unacked == 50
    await outbox.fork(ForkReason.CLONED)
    await disk.settled(20)
    assert (outbox.oldest_seq, outbox.unacked) == (11, 42)
