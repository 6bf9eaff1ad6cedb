"""One batch in flight: the next on its receipt, again without one, from where the hub says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from edge_agent import sender as senders
from edge_agent.clock import BootClock
from edge_agent.core.doors import Note
from edge_agent.outbox import TAIL_EVENTS_MAX, Outbox
from edge_agent.sender import LedgerSender
from wire.messages import CHAIN_START, Event, EventBatch, EventKind, Receipt, decode_events

if TYPE_CHECKING:
    from tests.edge_agent.conftest import Files


class Line:
    """Takes what the sender publishes."""

    def __init__(self, outbox: Outbox, clock: BootClock, *, ack_timeout_ms: int = 60_000) -> None:
        self.outbox = outbox
        self.sender = LedgerSender(outbox, clock, batch_events_max=10, ack_timeout_ms=ack_timeout_ms)
        self.batches: asyncio.Queue[EventBatch] = asyncio.Queue()

    async def publish(self, payload: bytes) -> None:
        self.batches.put_nowait(decode_events(payload))

    async def next(self) -> tuple[int, int]:
        """Return (first, last) of the next batch."""
        async with asyncio.timeout(20):
            batch = await self.batches.get()
        assert batch.epoch == self.outbox.epoch
        return batch.first, batch.first + len(batch.events) - 1

    def upto(self, seq: int) -> None:
        self.sender.receipt(Receipt(v=1, epoch=self.outbox.epoch, upto=seq))

    def expected(self, seq: int) -> None:
        self.sender.receipt(Receipt(v=1, epoch=self.outbox.epoch, expected=seq))

    def tell(self, **said: Any) -> None:  # noqa: ANN401 - a receipt's fields
        self.sender.receipt(Receipt(v=1, epoch=self.outbox.epoch, **said))

    async def quiet(self) -> None:
        """Nothing else is sent, as far as a few rounds of the loop and the disk can tell."""
        for _ in range(20):
            await self.outbox.next_session()
        assert self.batches.empty()


@asynccontextmanager
async def line(files: "Files", clock: BootClock, events: int = 0, **options: int) -> AsyncIterator[Line]:
    outbox = files.open()[2]
    if events:
        await outbox.post(notes(events))
    sending = Line(outbox, clock, **options)
    task = asyncio.create_task(sending.sender.run(sending.publish))
    try:
        yield sending
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()


def notes(count: int) -> list[Note]:
    return [Note(1, EventKind.DOOR_OPENED, 1) for _ in range(count)]


async def test_the_next_batch_goes_out_on_the_receipt(files: "Files", clock: BootClock) -> None:
    async with line(files, clock, 25) as hub:
        assert await hub.next() == (1, 10)
        await hub.quiet()
        hub.upto(10)
        assert await hub.next() == (11, 20)
        hub.upto(20)
        assert await hub.next() == (21, 25)
        hub.upto(25)
        await hub.quiet()
        assert hub.outbox.unacked == 0
        await hub.outbox.post(notes(1))
        assert await hub.next() == (26, 26)


async def test_a_part_that_was_confirmed_is_not_sent_again(files: "Files", clock: BootClock) -> None:
    async with line(files, clock, 10) as hub:
        await hub.next()
        hub.upto(4)
        assert await hub.next() == (5, 10)


async def test_without_a_receipt_the_batch_is_sent_again(files: "Files", clock: BootClock) -> None:
    async with line(files, clock, 3, ack_timeout_ms=10) as hub:
        assert [await hub.next() for _ in range(3)] == [(1, 3)] * 3
        assert hub.sender.resent >= 2


async def test_the_hub_can_ask_for_events_that_it_had_before(files: "Files", clock: BootClock) -> None:
    async with line(files, clock, 30) as hub:
        for end in (10, 20, 30):
            await hub.next()
            hub.upto(end)
        await hub.outbox.post(notes(1))
        assert await hub.next() == (31, 31)
        hub.expected(5)
        assert await hub.next() == (5, 14)
        hub.upto(14)
        assert await hub.next() == (15, 24)
        assert hub.outbox.acked_seq == 30


async def test_a_stale_receipt_changes_nothing(files: "Files", clock: BootClock) -> None:
    async with line(files, clock, 25) as hub:
        await hub.next()
        hub.upto(10)
        await hub.next()
        hub.upto(10)
        hub.upto(3)
        hub.sender.receipt(Receipt(v=1, epoch=uuid4(), upto=25))
        hub.sender.receipt(Receipt(v=1, epoch=hub.outbox.epoch))
        await hub.quiet()
        assert hub.outbox.acked_seq == 10


async def test_what_was_pruned_is_told_by_the_oldest(files: "Files", clock: BootClock) -> None:
    async with line(files, clock, 20) as hub:
        for end in (10, 20):
            await hub.next()
            hub.upto(end)
        await hub.outbox.prune(365, 5)
        await hub.outbox.post(notes(1))
        await hub.next()
        # From here on as after a restart: what memory has is not what the file has.
        hub.outbox._tail.clear()  # noqa: SLF001
        hub.expected(1)
        async with asyncio.timeout(20):
            batch = await hub.batches.get()
        assert (batch.first, batch.oldest, len(batch.events)) == (16, 16, 6)


async def test_a_hub_that_has_more_than_the_file_begins_a_new_epoch(files: "Files", clock: BootClock) -> None:
    for tell in (Line.upto, Line.expected):
        async with line(files, clock, 5) as hub:
            before = hub.outbox.epoch
            await hub.next()
            waiting = hub.outbox.unacked
            tell(hub, 900)
            async with asyncio.timeout(20):
                batch = await hub.batches.get()
            assert batch.epoch == hub.outbox.epoch != before
            assert (batch.first, hub.outbox.last_seq) == (1, waiting + 1)
            assert batch.events[0].data == {"from_epoch": str(before), "reason": "file_restored"}
        await files.close()


async def test_a_new_hub_need_not_wait_for_the_timeout(files: "Files", clock: BootClock) -> None:
    async with line(files, clock, 3) as hub:
        await hub.next()
        hub.sender.hurry(0.0)
        assert await hub.next() == (1, 3)


async def test_a_new_connection_begins_after_what_is_confirmed(files: "Files", clock: BootClock) -> None:
    async with line(files, clock, 15) as hub:
        await hub.next()
        hub.upto(10)
        await hub.next()
        again = asyncio.create_task(hub.sender.run(hub.publish))
        assert await hub.next() == (11, 15)
        again.cancel()
        await asyncio.wait([again])


async def test_an_event_is_sent_as_it_was_kept(files: "Files", clock: BootClock) -> None:
    async with line(files, clock, 1) as hub:
        async with asyncio.timeout(20):
            batch = await hub.batches.get()
        assert batch.boot == clock.boot
        (event,) = batch.events
        assert event == Event(t=1, at=event.at, kind="door.opened", door=1)


async def next_batch(hub: Line) -> EventBatch:
    async with asyncio.timeout(20):
        return await hub.batches.get()


async def test_a_batch_says_the_chain_before_and_after_it(files: "Files", clock: BootClock) -> None:
    async with line(files, clock, 25) as hub:
        chain = CHAIN_START
        for end in (10, 20, 25):
            batch = await next_batch(hub)
            assert batch.prev == chain
            assert batch.chain == await hub.outbox.chain_at(end)
            chain = batch.chain or ""
            hub.tell(upto=end, chain=chain)
        await hub.quiet()
        assert (hub.outbox.unacked, hub.outbox.forks) == (0, 0)


@pytest.mark.parametrize("what", ["upto", "expected"])
async def test_another_history_confirms_nothing_and_forks(files: "Files", clock: BootClock, what: str) -> None:
    async with line(files, clock, 5) as hub:
        before = (await next_batch(hub)).epoch
        hub.tell(**{what: 4}, chain="f" * 16)
        # A fork that is due hears nothing more of the old epoch.
        hub.upto(5)
        batch = await next_batch(hub)
        assert (batch.first, batch.prev, len(batch.events)) == (1, CHAIN_START, 6)
        assert batch.events[0].data == {"from_epoch": str(before), "reason": "cloned"}
        hub.sender.receipt(Receipt(v=1, epoch=before, upto=5))
        hub.sender.receipt(Receipt(v=1, epoch=before, fork=True))
        await hub.quiet()
        assert (hub.outbox.acked_seq, hub.outbox.forks) == (0, 1)
        hub.tell(upto=6, chain=batch.chain)
        assert hub.outbox.unacked == 0


async def test_a_hub_that_asks_for_a_fork_gets_one_even_when_nothing_waits(
    files: "Files", clock: BootClock
) -> None:
    async with line(files, clock, 5) as hub:
        before = (await next_batch(hub)).epoch
        hub.upto(5)
        await hub.quiet()
        hub.tell(fork=True)
        batch = await next_batch(hub)
        assert [event.data for event in batch.events] == [{"from_epoch": str(before), "reason": "hub_asked"}]


async def test_the_chain_of_an_old_number_is_looked_up_on_the_disk(files: "Files", clock: BootClock) -> None:
    async with line(files, clock, TAIL_EVENTS_MAX + 30) as hub:
        await next_batch(hub)
        hub.tell(upto=3, chain=await hub.outbox.chain_at(3))
        assert await hub.next() == (4, 13)
        assert (hub.outbox.acked_seq, hub.outbox.forks) == (3, 0)
        hub.tell(upto=5, chain="f" * 16)
        batch = await next_batch(hub)
        assert (batch.first, hub.outbox.forks) == (1, 1)
        assert hub.outbox.unacked == TAIL_EVENTS_MAX + 30 - 3 + 1


async def test_a_number_whose_chain_is_gone_is_believed_and_harms_nothing(files: "Files", clock: BootClock) -> None:
    async with line(files, clock, 30) as hub:
        for end in (10, 20, 30):
            await hub.next()
            hub.upto(end)
        await hub.outbox.prune(365, 5)
        assert hub.outbox.oldest_seq == 26
        edge = await hub.outbox.chain_at(25)
        for receipt in ({"expected": 3, "chain": "f" * 16}, {"expected": 26, "chain": edge}):
            hub.tell(**receipt)
            batch = await next_batch(hub)
            # The declared gap: nothing before the oldest can ever come.
            assert (batch.first, batch.oldest, batch.prev, len(batch.events)) == (26, 26, edge, 5)
        assert hub.outbox.forks == 0
        # Right before the oldest the chain is kept, and is compared.
        hub.tell(expected=26, chain="f" * 16)
        assert (await next_batch(hub)).epoch == hub.outbox.epoch
        assert hub.outbox.forks == 1


async def test_a_hub_of_yesterday_gets_what_it_had_confirmed_from_the_disk(
    files: "Files", clock: BootClock
) -> None:
    async with line(files, clock, 600) as hub:
        told: dict[int, Event] = {}
        for end in range(10, 601, 10):
            batch = await next_batch(hub)
            told |= {batch.first + place: event for place, event in enumerate(batch.events)}
            hub.tell(upto=end, chain=batch.chain)
        hub.outbox.post(notes(1))
        assert await hub.next() == (601, 601)
        # The database is back at 250; all it has is that chain.
        hub.tell(expected=251, chain=await hub.outbox.chain_at(250))
        again: dict[int, Event] = {}
        for end in range(260, 601, 10):
            batch = await next_batch(hub)
            assert batch.oldest is None
            again |= {batch.first + place: event for place, event in enumerate(batch.events)}
            hub.tell(upto=end, chain=batch.chain)
        assert again == {seq: event for seq, event in told.items() if seq > 250}
        assert await hub.next() == (601, 601)
        assert (hub.outbox.acked_seq, hub.outbox.forks) == (600, 0)


async def test_forks_do_not_follow_each_other_at_once(
    files: "Files", clock: BootClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with line(files, clock, 3, ack_timeout_ms=10) as hub:
        await next_batch(hub)
        hub.tell(fork=True)
        await until_forked(hub, 1)
        for _ in range(5):
            hub.tell(fork=True)
            await hub.next()
        assert (hub.outbox.forks, hub.sender.forks_put_off) == (1, 5)
        monkeypatch.setattr(senders, "FORK_PAUSE_S", 0.0)
        hub.sender._fork_not_before = 0.0  # noqa: SLF001 - the pause is over
        hub.tell(fork=True)
        await until_forked(hub, 2)
        hub.tell(fork=True)
        await until_forked(hub, 3)
        assert hub.outbox.unacked == 3 + 3


async def until_forked(hub: Line, times: int) -> None:
    async with asyncio.timeout(20):
        while hub.outbox.forks < times or hub.sender._fork_due is not None:  # noqa: SLF001, ASYNC110
            await asyncio.sleep(0.002)


async def test_the_pause_between_forks_grows_until_something_is_confirmed(
    files: "Files", clock: BootClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(senders, "FORK_PAUSE_S", 1000.0)
    async with line(files, clock, 1) as hub:
        pauses = []
        for times in range(1, 5):
            hub.sender._fork_not_before = 0.0  # noqa: SLF001
            if times == 4:
                hub.upto(1)
            hub.tell(fork=True)
            await until_forked(hub, times)
            before = asyncio.get_running_loop().time()
            pauses.append(round((hub.sender._fork_not_before - before) / 1000))  # noqa: SLF001
        assert pauses == [1, 2, 4, 1]


async def test_a_fork_that_the_disk_refuses_is_made_later(files: "Files", clock: BootClock) -> None:
    async with line(files, clock, 3, ack_timeout_ms=10) as hub:
        await next_batch(hub)
        await refuse(hub.outbox, refusing=True)
        hub.tell(fork=True)
        while not hub.sender.forks_put_off:
            await next_batch(hub)
        assert hub.outbox.forks == 0
        await refuse(hub.outbox, refusing=False)
        hub.sender._fork_not_before = 0.0  # noqa: SLF001
        hub.tell(fork=True)
        await until_forked(hub, 1)


async def refuse(outbox: Outbox, *, refusing: bool) -> None:
    await outbox._disk.read(  # noqa: SLF001
        lambda connection: connection.execute(f"PRAGMA query_only = {int(refusing)}").fetchall()
    )


async def test_a_full_disk_does_not_stop_the_sending(files: "Files", clock: BootClock) -> None:
    async with line(files, clock, 20) as hub:
        await next_batch(hub)
        await refuse(hub.outbox, refusing=True)
        hub.outbox.post(notes(1))
        hub.upto(10)
        assert await hub.next() == (11, 20)
        hub.upto(20)
        await refuse(hub.outbox, refusing=False)
        assert await hub.next() == (21, 21)


async def test_an_outbox_at_its_limit_declares_what_it_deleted(files: "Files", clock: BootClock) -> None:
    _, state, _, _ = files.open()
    disk = files.open()[0]
    outbox = Outbox(disk, state, clock, unacked_events_max=50)
    for _ in range(60):
        await outbox.post(notes(1))
    await disk.settled(20)
    # At the 51st event the oldest ten went; their gap, and nine more, made it 51 again.
    assert (outbox.oldest_seq, outbox.deleted_unacked) == (21, 20)
    assert outbox.unacked == 62 - 20
    portion = await outbox.read(1, 100, clock.stamp())
    gaps = [event.data for event in portion.events if event.kind == "outbox.gap"]
    assert (portion.first, portion.is_oldest) == (21, True)
    assert gaps == [
        {"from": 1, "to": 10, "reason": "outbox_full"},
        {"from": 11, "to": 20, "reason": "outbox_full"},
    ]
