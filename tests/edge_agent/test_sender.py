"""One batch in flight: the next on its receipt, again without one, from where the hub says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

from edge_agent.clock import LockerClock
from edge_agent.core.doors import Note
from edge_agent.outbox import Outbox
from edge_agent.sender import Sender
from wire.messages import Event, EventKind, Events, Receipt, decode_events

if TYPE_CHECKING:
    from tests.edge_agent.conftest import Files


class Line:
    """Takes what the sender publishes."""

    def __init__(self, outbox: Outbox, clock: LockerClock, *, ack_timeout_ms: int = 60_000) -> None:
        self.outbox = outbox
        self.sender = Sender(outbox, clock, batch_events_max=10, ack_timeout_ms=ack_timeout_ms)
        self.batches: asyncio.Queue[Events] = asyncio.Queue()

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

    async def quiet(self) -> None:
        """Nothing else is sent, as far as a few rounds of the loop and the disk can tell."""
        for _ in range(20):
            await self.outbox.next_session()
        assert self.batches.empty()


@asynccontextmanager
async def line(files: "Files", clock: LockerClock, events: int = 0, **options: int) -> AsyncIterator[Line]:
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


async def test_the_next_batch_goes_out_on_the_receipt(files: "Files", clock: LockerClock) -> None:
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


async def test_a_part_that_was_confirmed_is_not_sent_again(files: "Files", clock: LockerClock) -> None:
    async with line(files, clock, 10) as hub:
        await hub.next()
        hub.upto(4)
        assert await hub.next() == (5, 10)


async def test_without_a_receipt_the_batch_is_sent_again(files: "Files", clock: LockerClock) -> None:
    async with line(files, clock, 3, ack_timeout_ms=10) as hub:
        assert [await hub.next() for _ in range(3)] == [(1, 3)] * 3
        assert hub.sender.resent >= 2


async def test_the_hub_can_ask_for_events_that_it_had_before(files: "Files", clock: LockerClock) -> None:
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


async def test_a_stale_receipt_changes_nothing(files: "Files", clock: LockerClock) -> None:
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


async def test_what_was_pruned_is_told_by_the_oldest(files: "Files", clock: LockerClock) -> None:
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


async def test_a_hub_that_has_more_than_the_file_begins_a_new_epoch(files: "Files", clock: LockerClock) -> None:
    for tell in (Line.upto, Line.expected):
        async with line(files, clock, 5) as hub:
            before = hub.outbox.epoch
            first, last = await hub.next()
            tell(hub, 900)
            async with asyncio.timeout(20):
                batch = await hub.batches.get()
            assert batch.epoch == hub.outbox.epoch != before
            assert (batch.first, len(batch.events)) == (1, last - first + 1)
        await files.close()


async def test_a_new_hub_need_not_wait_for_the_timeout(files: "Files", clock: LockerClock) -> None:
    async with line(files, clock, 3) as hub:
        await hub.next()
        hub.sender.hurry(0.0)
        assert await hub.next() == (1, 3)


async def test_a_new_connection_begins_after_what_is_confirmed(files: "Files", clock: LockerClock) -> None:
    async with line(files, clock, 15) as hub:
        await hub.next()
        hub.upto(10)
        await hub.next()
        again = asyncio.create_task(hub.sender.run(hub.publish))
        assert await hub.next() == (11, 15)
        again.cancel()
        await asyncio.wait([again])


async def test_an_event_is_sent_as_it_was_kept(files: "Files", clock: LockerClock) -> None:
    async with line(files, clock, 1) as hub:
        async with asyncio.timeout(20):
            batch = await hub.batches.get()
        assert batch.boot == clock.boot
        (event,) = batch.events
        assert event == Event(t=1, at=event.at, kind="door.opened", door=1)
