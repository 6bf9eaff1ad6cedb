"""The locker's ledger on its own disk, until the hub has said that it is committed, and some days longer."""

import asyncio
import logging
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, Final
from uuid import UUID, uuid4

from edge_agent import event_rows
from edge_agent.clock import BootClock, Stamp
from edge_agent.core.doors import Note
from edge_agent.disk import Disk, DiskError, LedgerState, Lost
from edge_agent.entries import Entries, Portion, portion
from edge_agent.event_rows import Numbered, Renumbered, Trimmed
from wire.messages import EventKind

log = logging.getLogger(__name__)

TAIL_EVENTS_MAX: Final = 256
PRUNE_EVENTS_MAX: Final = 5_000
UNACKED_EVENTS_MAX: Final = 1_000_000
SESSIONS_RESERVED: Final = 64
_TRIM_SHARE: Final = 100
# More than a trim appends, or the outbox would never become smaller.
_TRIM_EVENTS_MIN: Final = 10
_DAY_MS: Final = 86_400_000


class ForkReason(StrEnum):
    """Why a new epoch began; told in `ledger.forked`."""

    CLONED = "cloned"
    """The hub knows another event under one of our numbers: a copied disk."""
    FILE_RESTORED = "file_restored"
    """The hub knows more events than this file: it was put back."""
    HUB_ASKED = "hub_asked"


class Outbox:
    """Events with dense numbers and a chain over them, on disk before anyone hears of them.

    `last_seq` is the newest committed number, `acked_seq` the newest that the hub has committed. Beyond
    `unacked_events_max` the oldest unconfirmed events are deleted, some at a time, and an `outbox.gap` says so.
    """

    def __init__(
        self, disk: Disk, state: LedgerState, clock: BootClock, *, unacked_events_max: int = UNACKED_EVENTS_MAX
    ) -> None:
        self.epoch = state.epoch
        self.acked_seq = state.acked_seq
        self.last_seq = state.next_seq - 1
        self.oldest_seq = state.oldest_seq
        """The oldest event that is still here; the next one's number if there is none."""
        self.appended = asyncio.Event()
        """Set whenever there is something new to send; whoever waits for it clears it."""
        self.forks = 0
        self.deleted_unacked = 0
        """Events that the hub never confirmed and that are deleted, because the outbox was at its limit."""
        self._disk = disk
        self._clock = clock
        self._session = self._sessions_end = state.session
        self._unacked_events_max = unacked_events_max
        self._trimming = False
        self._ack_waits = False
        self._confirmed = asyncio.Event()
        # The newest rows, so that an event that goes out at once is not read back from the disk.
        self._tail: deque[Numbered] = deque(maxlen=TAIL_EVENTS_MAX)
        disk.tell_lost = self._disk_full_gap

    @property
    def unacked(self) -> int:
        """How many events wait here for the hub to confirm them."""
        return self.last_seq - max(self.acked_seq, self.oldest_seq - 1)

    @property
    def given_up(self) -> int:
        """Events that never came onto a disk that refused for too long."""
        return self._disk.given_up

    @property
    def disk_refusals(self) -> int:
        """Transactions that the disk did not take."""
        return self._disk.refusals

    def post(self, notes: Sequence[Note]) -> asyncio.Future[int]:
        """Append notes, in order, without waiting; the future is their first number, after the commit.

        A disk that refuses is tried again; the order is kept. What cannot wait any longer is given up, and the
        ledger says how much that was (`outbox.gap`).
        """
        entries = self.entries(notes)
        return self._disk.submit(
            entries.write, then=lambda _: self.committed(entries), patient=True, cargo=entries.cargo
        )

    def entries(self, notes: Sequence[Note]) -> Entries:
        """Return notes stamped by the present moment, to be written within another transaction."""
        return Entries(notes, self._clock.boot, self._clock.stamp())

    def committed(self, entries: Entries) -> None:
        """Note that entries were committed."""
        if not entries.numbered:
            return
        self._tail.extend(entries.numbered)
        self.last_seq = entries.numbered[-1].seq
        self.appended.set()
        self._trim_if_full()

    async def read(self, first: int, events_max: int, stamp: Stamp) -> Portion:
        """Return the events from `first` on, as they go into one message stamped `stamp`.

        They begin later if the events before them are deleted. Raises DiskError.
        """
        while True:
            epoch = self.epoch
            found = self._of_tail(first, events_max)
            if found is None:
                found = await self._disk.read(lambda c: event_rows.select(c, first, events_max))
            prev, rows = found
            if epoch == self.epoch:
                # Otherwise a fork came in between: the numbers are others'.
                is_oldest = bool(rows) and (rows[0].seq > first or first <= self.oldest_seq)
                return portion(epoch, first, rows, prev, (self._clock.boot, stamp), is_oldest=is_oldest)

    def chain_in_memory(self, seq: int) -> str | None:
        """Return the chain after event `seq`, if that needs no disk."""
        place = seq - self._tail[0].seq if self._tail else -1
        return self._tail[place].chain if 0 <= place < len(self._tail) else None

    async def chain_at(self, seq: int) -> str | None:
        """Return the chain after event `seq`; None where nobody can know it any more. Raises DiskError."""
        return await self._disk.read(lambda connection: event_rows.chain_at(connection, seq))

    def ack(self, upto: int) -> None:
        """Note that the hub has committed everything up to and with `upto`."""
        if upto <= self.acked_seq:
            return
        self.acked_seq = min(upto, self.last_seq)
        self._confirmed.set()
        self._write_ack()

    async def next_session(self) -> int:
        """Count one more connection and return its number: higher than any before it, also of earlier runs.

        Numbers are reserved on disk some at a time, so that a disk that fills up meanwhile keeps nobody offline.
        Raises DiskError where none is left.
        """
        if self._session >= self._sessions_end:
            self._sessions_end = await self._disk.submit(_reserve_sessions)
            self._session = self._sessions_end - SESSIONS_RESERVED
        self._session += 1
        return self._session

    async def prune(self, keep_days: int, keep_events_max: int) -> int:
        """Delete confirmed events older than `keep_days`, and confirmed ones beyond `keep_events_max`.

        At most `PRUNE_EVENTS_MAX` at a time, so that no command waits behind it. Returns how many.
        """
        before_at = self._clock.stamp().at - keep_days * _DAY_MS
        beyond = self.acked_seq - keep_events_max
        acked, epoch = self.acked_seq, self.epoch

        def delete(connection: sqlite3.Connection) -> tuple[int, int]:
            if not _is_epoch(connection, epoch):
                return 0, event_rows.oldest_seq(connection)
            # From the oldest on only: what is left stays dense.
            young = connection.execute(
                "SELECT min(seq) FROM event WHERE at >= ? AND seq > ?", (before_at, beyond)
            ).fetchone()[0]
            oldest = event_rows.oldest_seq(connection)
            end = min(acked + 1, young if young is not None else acked + 1, oldest + PRUNE_EVENTS_MAX)
            return event_rows.delete_before(connection, end), event_rows.oldest_seq(connection)

        deleted, _ = await self._disk.submit(delete, then=lambda numbers: self._oldest_is(numbers[1]))
        return deleted

    async def all_confirmed(self) -> None:
        """Return once the hub has confirmed all that is here now, under whatever numbers."""
        epoch, upto = self.epoch, self.last_seq
        while self.acked_seq < upto:
            self._confirmed.clear()
            await self._confirmed.wait()
            if self.epoch != epoch:
                epoch, upto = self.epoch, self.last_seq

    async def erase(self, actor: UUID) -> None:
        """Take an actor out of all that is confirmed now. What is not has to go to the hub as it is.

        Some at a time, so that no command waits behind it; done again, it changes nothing. Raises DiskError.
        """
        epoch, first, end = self.epoch, self.oldest_seq, self.acked_seq + 1

        def portion_from(first: int) -> Callable[[sqlite3.Connection], dict[int, bytes]]:
            upto = min(end, first + PRUNE_EVENTS_MAX)

            def work(connection: sqlite3.Connection) -> dict[int, bytes]:
                if not _is_epoch(connection, epoch):
                    # After a fork there is nothing here any more that is confirmed.
                    return {}
                # What is erased is confirmed, also for the next run.
                connection.execute("UPDATE ledger SET acked_seq = max(acked_seq, ?)", (end - 1,))
                return event_rows.erase(connection, str(actor), first, upto)

            return work

        for begin in range(first, end, PRUNE_EVENTS_MAX):
            await self._disk.submit(portion_from(begin), then=self._now_reads)

    async def fork(self, reason: ForkReason) -> None:
        """Begin a new epoch: the numbers of this one are taken by another history.

        Its first event is `ledger.forked`; every event that the hub did not confirm follows with a new number. One
        transaction. Raises DiskError, and then nothing has changed.
        """
        before, epoch = self.epoch, uuid4()
        note = Note(
            self._clock.t(), EventKind.LEDGER_FORKED, data={"from_epoch": str(before), "reason": reason.value}
        )
        (row,) = self.entries([note]).rows

        def renumber(connection: sqlite3.Connection) -> Renumbered | None:
            # Twice at a time would be a fork of the fork.
            return event_rows.renumber(connection, str(epoch), row) if _is_epoch(connection, before) else None

        def then(renumbered: Renumbered | None) -> None:
            if renumbered is None:
                return
            log.error("a new epoch of the ledger begins", extra={"reason": reason.value, "epoch": str(epoch)})
            self.epoch = epoch
            self.acked_seq = 0
            self.last_seq = renumbered.next_seq - 1
            self.oldest_seq = 1
            self.forks += 1
            self._tail.clear()
            self.appended.set()
            self._confirmed.set()
            self._trim_if_full()

        await self._disk.submit(renumber, then=then)

    def _of_tail(self, first: int, events_max: int) -> tuple[str, list[Numbered]] | None:
        place = first - self._tail[0].seq if self._tail else -1
        if not 0 < place <= len(self._tail):
            # The one before the first is needed as well.
            return None
        return (
            self._tail[place - 1].chain,
            [self._tail[i] for i in range(place, min(place + events_max, len(self._tail)))],
        )

    def _write_ack(self) -> None:
        if self._ack_waits:
            return
        self._ack_waits = True
        acked, epoch = self.acked_seq, str(self.epoch)

        def then(_: int) -> None:
            self._ack_waits = False
            if str(self.epoch) == epoch and self.acked_seq > acked:
                self._write_ack()

        # It may be written late or lost: the hub says it again when it sees the events again.
        self._disk.submit(
            lambda connection: (
                connection.execute(
                    "UPDATE ledger SET acked_seq = max(acked_seq, ?) WHERE epoch = ?", (acked, epoch)
                ).rowcount
            ),
            then=then,
            patient=True,
        )

    def _trim_if_full(self) -> None:
        if self.unacked <= self._unacked_events_max or self._trimming:
            return
        self._trimming = True
        events_max = min(PRUNE_EVENTS_MAX, max(_TRIM_EVENTS_MIN, self._unacked_events_max // _TRIM_SHARE))
        entries = self.entries([Note(self._clock.t(), EventKind.OUTBOX_GAP)])
        (row,) = entries.rows

        def then(trimmed: Trimmed) -> None:
            self.deleted_unacked += trimmed.unconfirmed
            self._oldest_is(trimmed.oldest)
            entries.numbered = trimmed.appended
            self._trimming = False
            self.committed(entries)
            # Confirmed events may have gone first: then there is still something to do.
            self._trim_if_full()

        def ended(done: asyncio.Future[Trimmed]) -> None:
            if not done.cancelled() and isinstance(done.exception(), DiskError):
                # The next event that the disk takes is the next occasion.
                self._trimming = False

        trim = self._disk.submit(
            lambda connection: event_rows.give_up_oldest(connection, events_max, row), then=then
        )
        trim.add_done_callback(ended)

    def _disk_full_gap(self, lost: Lost) -> tuple[Callable[[sqlite3.Connection], int], Callable[[Any], None]]:
        data = {"events": lost.events, "from_t": lost.from_t, "to_t": lost.to_t, "reason": "disk_full"}
        entries = self.entries([Note(self._clock.t(), EventKind.OUTBOX_GAP, data=data)])
        return entries.write, lambda _: self.committed(entries)

    def _now_reads(self, bodies: dict[int, bytes]) -> None:
        for place, row in enumerate(self._tail):
            if row.seq in bodies:
                self._tail[place] = row._replace(body=bodies[row.seq])

    def _oldest_is(self, oldest: int) -> None:
        self.oldest_seq = oldest
        while self._tail and self._tail[0].seq < oldest:
            self._tail.popleft()


def _reserve_sessions(connection: sqlite3.Connection) -> int:
    row = connection.execute(
        "UPDATE ledger SET session = session + ? RETURNING session", (SESSIONS_RESERVED,)
    ).fetchone()
    return int(row[0])


def _is_epoch(connection: sqlite3.Connection, epoch: UUID) -> bool:
    row: tuple[str] = connection.execute("SELECT epoch FROM ledger").fetchone()
    return row == (str(epoch),)
