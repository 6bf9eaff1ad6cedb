"""The ledger on its way to the hub: one batch in flight, the next on its receipt, again without one."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Final
from uuid import UUID

from edge_agent.clock import BootClock
from edge_agent.disk import DiskError
from edge_agent.outbox import ForkReason, Outbox
from wire.messages import CHAIN_START, PROTOCOL, EventBatch, Receipt, encode

log = logging.getLogger(__name__)

FORK_PAUSE_S: Final = 5.0
"""The shortest time between two forks; doubled with each that no confirmation has followed."""
_FORK_DOUBLINGS_MAX: Final = 9
_BACKOFF_DOUBLINGS_MAX: Final = 4

Publish = Callable[[bytes], Awaitable[None]]


class LedgerSender:
    """Sends the outbox over one connection after another.

    A batch without a receipt is sent again after `ack_timeout_ms`, doubled each time up to 16 times that. A receipt
    of another history than ours confirms nothing: the ledger forks, but not again within `FORK_PAUSE_S`.
    """

    def __init__(self, outbox: Outbox, clock: BootClock, *, batch_events_max: int, ack_timeout_ms: int) -> None:
        self.resent = 0
        """Batches that were sent again because no receipt came in time."""
        self.forks_put_off = 0
        """Reasons to fork that came too soon after a fork."""
        self._outbox = outbox
        self._clock = clock
        self._batch_events_max = batch_events_max
        self._ack_timeout_s = ack_timeout_ms / 1000
        self._news = asyncio.Event()
        self._first = 1
        self._next = 1
        # The chain at the end of the batch in flight, which is what nearly every receipt speaks of.
        self._sent: tuple[UUID, int, str] = (outbox.epoch, 0, CHAIN_START)
        self._doubtful: Receipt | None = None
        self._fork_due: ForkReason | None = None
        self._fork_not_before = 0.0
        self._forks_unconfirmed = 0

    async def run(self, publish: Publish) -> None:
        """Send until cancelled or until `publish` raises."""
        self._next = self._outbox.acked_seq + 1
        failures = 0
        while True:
            await self._something_to_do()
            if self._doubtful is None and self._fork_due is None:
                await self._send(publish)
            try:
                async with asyncio.timeout(self._ack_timeout_s * 2**failures):
                    await self._news.wait()
            except TimeoutError:
                self.resent += 1
                failures = min(failures + 1, _BACKOFF_DOUBLINGS_MAX)
            else:
                failures = 0
            await self._look_closer()
            await self._fork()

    def receipt(self, receipt: Receipt) -> None:
        """Take the hub's word on the ledger. One of another epoch, or of a batch long past, changes nothing."""
        outbox = self._outbox
        if receipt.epoch != outbox.epoch or self._fork_due is not None:
            return
        if receipt.fork:
            self._fork_wanted(ForkReason.HUB_ASKED)
            return
        told = _last_told(receipt)
        if told is None:
            return
        if told > outbox.last_seq:
            log.error("the hub has more than the file", extra={"hub_has": told, "file_has": outbox.last_seq})
            self._fork_wanted(ForkReason.FILE_RESTORED)
            return
        ours = self._sent[2] if (receipt.epoch, told) == self._sent[:2] else outbox.chain_in_memory(told)
        if receipt.chain is None or receipt.chain == ours:
            self._believe(receipt)
        elif ours is None:
            self._doubtful = receipt
            self._wake()
        else:
            self._fork_wanted(ForkReason.CLONED)

    def hurry(self, spread_s: float) -> None:
        """A hub has come on duty: try again within `spread_s`, at random, instead of waiting out a timeout."""
        asyncio.get_running_loop().call_later(random.uniform(0, spread_s), self._news.set)  # noqa: S311

    def _believe(self, receipt: Receipt) -> None:
        if receipt.upto is not None:
            if receipt.upto > self._outbox.acked_seq:
                self._forks_unconfirmed = 0
            self._outbox.ack(receipt.upto)
            if receipt.upto < self._first:
                return
            self._next = receipt.upto + 1
        elif receipt.expected is not None:
            self._next = receipt.expected
        self._wake()

    async def _look_closer(self) -> None:
        """Compare the chain of a receipt with what is on the disk."""
        receipt, self._doubtful = self._doubtful, None
        told = None if receipt is None else _last_told(receipt)
        if receipt is None or told is None or receipt.epoch != self._outbox.epoch:
            return
        ours = await self._outbox.chain_at(told)
        if ours is None or ours == receipt.chain:
            # Where nobody can know any more, nothing is left here that the receipt could confirm wrongly.
            self._believe(receipt)
        else:
            self._fork_wanted(ForkReason.CLONED)

    def _fork_wanted(self, reason: ForkReason) -> None:
        if asyncio.get_running_loop().time() < self._fork_not_before:
            # The batch is sent again after its time-out, and the hub says so again.
            self.forks_put_off += 1
            return
        self._fork_due = reason
        self._wake()

    async def _fork(self) -> None:
        if self._fork_due is None:
            return
        pause_s = FORK_PAUSE_S * 2 ** min(self._forks_unconfirmed, _FORK_DOUBLINGS_MAX)
        self._fork_not_before = asyncio.get_running_loop().time() + pause_s
        try:
            await self._outbox.fork(self._fork_due)
        except DiskError as error:
            log.error("the fork is put off: the disk refuses", extra={"why": str(error)})  # noqa: TRY400
            self.forks_put_off += 1
        else:
            self._forks_unconfirmed += 1
            self._first = self._next = 1
        finally:
            self._fork_due = None

    def _wake(self) -> None:
        self._news.set()
        self._outbox.appended.set()

    async def _something_to_do(self) -> None:
        while self._outbox.last_seq < self._next and self._doubtful is None and self._fork_due is None:
            self._outbox.appended.clear()
            await self._outbox.appended.wait()

    async def _send(self, publish: Publish) -> None:
        stamp = self._clock.stamp()
        portion = await self._outbox.read(self._next, self._batch_events_max, stamp)
        if not portion.events or self._doubtful is not None or self._fork_due is not None:
            return
        self._first = portion.first
        self._sent = (portion.epoch, portion.first + len(portion.events) - 1, portion.chain)
        batch = EventBatch(
            v=PROTOCOL,
            boot=self._clock.boot,
            t=stamp.t,
            at=stamp.at,
            clock=stamp.clock,
            epoch=portion.epoch,
            first=portion.first,
            oldest=portion.first if portion.is_oldest else None,
            prev=portion.prev,
            chain=portion.chain,
            events=portion.events,
        )
        self._news.clear()
        await publish(encode(batch))


def _last_told(receipt: Receipt) -> int | None:
    """Return the last number that the hub says it has."""
    if receipt.upto is not None:
        return receipt.upto
    return None if receipt.expected is None else receipt.expected - 1
