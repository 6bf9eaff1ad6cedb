"""The locker's ledger on its own disk, until the hub has said that it is committed, and some days longer."""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Sequence
from typing import Final
from uuid import UUID, uuid4

import msgspec
from msgspec import structs

from edge_agent.clock import LockerClock, Stamp
from edge_agent.core.doors import Note
from edge_agent.disk import Disk, LedgerState, oldest_seq
from wire.messages import MESSAGE_BYTES_MAX, Clock, Event

BATCH_BYTES_MAX: Final = MESSAGE_BYTES_MAX * 3 // 4
TAIL_EVENTS_MAX: Final = 256
PRUNE_EVENTS_MAX: Final = 5_000
_DAY_MS: Final = 86_400_000

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Event).decode

Row = tuple[int, str, str, int, bytes]


class Outbox:
    """Events with dense numbers, on disk before anyone hears of them.

    `last_seq` is the newest committed number, `acked_seq` the newest that the hub has committed.
    """

    def __init__(self, disk: Disk, state: LedgerState, clock: LockerClock) -> None:
        self.epoch = state.epoch
        self.acked_seq = state.acked_seq
        self.last_seq = state.next_seq - 1
        self.oldest_seq = state.oldest_seq
        """The oldest event that is still here; the next one's number if there is none."""
        self.appended = asyncio.Event()
        """Set whenever there is something new to send; whoever waits for it clears it."""
        self._disk = disk
        self._clock = clock
        self._session = state.session
        # The newest rows, so that an event that goes out at once is not read back from the disk.
        self._tail: deque[Row] = deque(maxlen=TAIL_EVENTS_MAX)

    @property
    def unacked(self) -> int:
        """How many events the hub has not confirmed."""
        return self.last_seq - self.acked_seq

    def post(self, notes: Sequence[Note]) -> asyncio.Future[int]:
        """Append notes, in order, without waiting; the future is their first number, after the commit.

        A disk that refuses is tried again; the order is kept.
        """
        rows = self.rows(notes)
        return self._disk.submit(
            lambda connection: insert(connection, rows),
            then=lambda first: self.committed(first, rows),
            patient=True,
        )

    def rows(self, notes: Sequence[Note]) -> list[Row]:
        """Return notes as rows that still lack their number; for `insert` within another transaction."""
        stamp = self._clock.stamp()
        return [(0, str(self._clock.boot), stamp.clock.value, at, body) for at, body in _encoded(notes, stamp)]

    def committed(self, first: int, rows: Sequence[Row]) -> None:
        """Note that rows were committed with numbers from `first`."""
        for place, (_, boot, clock, at, body) in enumerate(rows):
            self._tail.append((first + place, boot, clock, at, body))
        self.last_seq = first + len(rows) - 1
        self.appended.set()

    async def read(self, first: int, events_max: int, stamp: Stamp) -> tuple[int, list[Event]]:
        """Return (number of the first, events) from `first` on, as they go into one message stamped `stamp`.

        The number is higher than asked for if the events before it are pruned. No events: there are none.
        """
        if self._tail and self._tail[0][0] <= first:
            start = first - self._tail[0][0]
            rows = [self._tail[i] for i in range(start, min(start + events_max, len(self._tail)))]
        else:
            rows = await self._disk.submit(lambda connection: _select(connection, first, events_max))
        boot, clock = str(self._clock.boot), stamp.clock
        events: list[Event] = []
        size = 0
        for _, row_boot, row_clock, _, body in rows:
            size += len(body) + 100
            if events and size > BATCH_BYTES_MAX:
                break
            event = _decode(body)
            if row_boot != boot or row_clock != clock:
                event = structs.replace(event, boot=UUID(row_boot), clock=Clock(row_clock))
            events.append(event)
        return (rows[0][0] if rows else first), events

    def ack(self, upto: int) -> None:
        """Note that the hub has committed everything up to and with `upto`."""
        if upto <= self.acked_seq:
            return
        self.acked_seq = min(upto, self.last_seq)
        acked = self.acked_seq
        # It may be written late or lost: the hub says it again when it sees the events again.
        self._disk.submit(
            lambda connection: (
                connection.execute("UPDATE ledger SET acked_seq = max(acked_seq, ?)", (acked,)).rowcount
            ),
            patient=True,
        )

    async def next_session(self) -> int:
        """Count one more connection, on disk, and return its number."""

        def count(connection: sqlite3.Connection) -> int:
            row = connection.execute("UPDATE ledger SET session = session + 1 RETURNING session").fetchone()
            return int(row[0])

        self._session = await self._disk.submit(count)
        return self._session

    async def prune(self, keep_days: int, keep_events_max: int) -> int:
        """Delete confirmed events older than `keep_days`, and confirmed ones beyond `keep_events_max`.

        At most `PRUNE_EVENTS_MAX` at a time, so that no command waits behind it. Returns how many.
        """
        before_at = self._clock.stamp().at - keep_days * _DAY_MS
        beyond = self.acked_seq - keep_events_max
        acked = self.acked_seq

        def delete(connection: sqlite3.Connection) -> tuple[int, int]:
            # From the oldest on only: what is left stays dense.
            young = connection.execute(
                "SELECT min(seq) FROM event WHERE at >= ? AND seq > ?", (before_at, beyond)
            ).fetchone()[0]
            oldest = oldest_seq(connection)
            end = min(acked + 1, young if young is not None else acked + 1, oldest + PRUNE_EVENTS_MAX)
            deleted = connection.execute("DELETE FROM event WHERE seq < ?", (end,)).rowcount
            return deleted, oldest_seq(connection)

        deleted, self.oldest_seq = await self._disk.submit(delete)
        return deleted

    async def new_epoch(self) -> None:
        """Begin a new epoch: this file is older than what the hub has seen of it, so its numbers are taken.

        Every event kept here that the hub did not confirm before gets a new number, from 1.
        """
        epoch = uuid4()

        def renumber(connection: sqlite3.Connection) -> tuple[int, int]:
            row = connection.execute("SELECT acked_seq, next_seq FROM ledger").fetchone()
            acked, next_seq = int(row[0]), int(row[1])
            connection.execute("DELETE FROM event WHERE seq <= ?", (acked,))
            # Two steps, as a number may not be there twice even for a moment.
            connection.execute("UPDATE event SET seq = -(seq - ?)", (acked,))
            connection.execute("UPDATE event SET seq = -seq")
            connection.execute(
                "UPDATE ledger SET epoch = ?, next_seq = ?, acked_seq = 0", (str(epoch), next_seq - acked)
            )
            return acked, next_seq

        def then(numbers: tuple[int, int]) -> None:
            acked, next_seq = numbers
            self.epoch = epoch
            self.acked_seq = 0
            self.last_seq = next_seq - acked - 1
            self.oldest_seq = 1
            self._tail.clear()

        await self._disk.submit(renumber, then=then)


def insert(connection: sqlite3.Connection, rows: Sequence[Row]) -> int:
    """Give rows their numbers and write them, within the caller's transaction. Returns the first number."""
    count = len(rows)
    after = connection.execute("UPDATE ledger SET next_seq = next_seq + ? RETURNING next_seq", (count,)).fetchone()
    first = int(after[0]) - count
    connection.executemany(
        "INSERT INTO event VALUES (?, ?, ?, ?, ?)",
        [(first + place, *row[1:]) for place, row in enumerate(rows)],
    )
    return first


def _encoded(notes: Sequence[Note], stamp: Stamp) -> list[tuple[int, bytes]]:
    encoded = []
    for note in notes:
        at = max(0, stamp.at - (stamp.t - note.t))
        event = Event(
            t=note.t,
            at=at,
            kind=note.kind.value,
            door=note.door,
            actor=note.actor,
            command=note.command,
            data=note.data,
        )
        encoded.append((at, _encode(event)))
    return encoded


def _select(connection: sqlite3.Connection, first: int, events_max: int) -> list[Row]:
    return connection.execute(
        "SELECT seq, boot, clock, at, body FROM event WHERE seq >= ? ORDER BY seq LIMIT ?", (first, events_max)
    ).fetchall()
