"""The ledger on its way to the hub: one batch in flight, the next on its receipt, again without one."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Final

from edge_agent.clock import LockerClock
from edge_agent.outbox import Outbox
from wire.messages import PROTOCOL, Events, Receipt, encode

log = logging.getLogger(__name__)

_BACKOFF_DOUBLINGS_MAX: Final = 4

Publish = Callable[[bytes], Awaitable[None]]


class Sender:
    """Sends the outbox over one connection after another.

    A batch without a receipt is sent again after `ack_timeout_ms`, doubled each time up to 16 times that.
    """

    def __init__(self, outbox: Outbox, clock: LockerClock, *, batch_events_max: int, ack_timeout_ms: int) -> None:
        self.resent = 0
        """Batches that were sent again because no receipt came in time."""
        self._outbox = outbox
        self._clock = clock
        self._batch_events_max = batch_events_max
        self._ack_timeout_s = ack_timeout_ms / 1000
        self._news = asyncio.Event()
        self._first = 1
        self._next = 1
        self._rolled_back = False

    async def run(self, publish: Publish) -> None:
        """Send until cancelled or until `publish` raises."""
        self._next = self._outbox.acked_seq + 1
        failures = 0
        while True:
            await self._something_to_send()
            await self._send(publish)
            try:
                async with asyncio.timeout(self._ack_timeout_s * 2**failures):
                    await self._news.wait()
            except TimeoutError:
                self.resent += 1
                failures = min(failures + 1, _BACKOFF_DOUBLINGS_MAX)
            else:
                failures = 0
            if self._rolled_back:
                await self._begin_again()

    def receipt(self, receipt: Receipt) -> None:
        """Take the hub's word on the ledger. One of another epoch, or of a batch long past, changes nothing."""
        outbox = self._outbox
        if receipt.epoch != outbox.epoch:
            return
        if receipt.upto is not None:
            if receipt.upto > outbox.last_seq:
                self._lost_tail(receipt.upto)
                return
            outbox.ack(receipt.upto)
            if receipt.upto >= self._first:
                self._next = receipt.upto + 1
                self._news.set()
        elif receipt.expected is not None:
            if receipt.expected > outbox.last_seq + 1:
                self._lost_tail(receipt.expected - 1)
                return
            self._next = receipt.expected
            self._news.set()

    def hurry(self, spread_s: float) -> None:
        """A hub has come on duty: try again within `spread_s`, at random, instead of waiting out a timeout."""
        asyncio.get_running_loop().call_later(random.uniform(0, spread_s), self._news.set)  # noqa: S311

    async def _something_to_send(self) -> None:
        while self._outbox.last_seq < self._next:
            self._outbox.appended.clear()
            await self._outbox.appended.wait()

    async def _send(self, publish: Publish) -> None:
        stamp = self._clock.stamp()
        first, events = await self._outbox.read(self._next, self._batch_events_max, stamp)
        if not events:
            return
        self._first = first
        oldest = self._outbox.oldest_seq
        batch = Events(
            v=PROTOCOL,
            boot=self._clock.boot,
            t=stamp.t,
            at=stamp.at,
            clock=stamp.clock,
            epoch=self._outbox.epoch,
            first=first,
            oldest=oldest if first == oldest else None,
            events=events,
        )
        self._news.clear()
        await publish(encode(batch))

    def _lost_tail(self, upto: int) -> None:
        log.error(
            "the ledger file is older than what the hub has of it; a new epoch begins",
            extra={"hub_has": upto, "file_has": self._outbox.last_seq},
        )
        self._rolled_back = True
        self._news.set()

    async def _begin_again(self) -> None:
        self._rolled_back = False
        await self._outbox.new_epoch()
        self._first = self._next = 1
