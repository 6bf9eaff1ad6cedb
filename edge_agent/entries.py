"""Ledger entries on their way to the disk, and from it into a message."""

import sqlite3
from collections.abc import Sequence
from typing import Final, NamedTuple
from uuid import UUID

import msgspec
from msgspec import structs

from edge_agent import event_rows
from edge_agent.clock import Stamp
from edge_agent.core.doors import Note
from edge_agent.disk import Cargo
from edge_agent.event_rows import Numbered, Row
from wire.messages import MESSAGE_BYTES_MAX, Clock, Event, EventKind

BATCH_BYTES_MAX: Final = MESSAGE_BYTES_MAX * 3 // 4
_BYTES_BESIDE_BODY: Final = 100

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Event).decode


class Entries:
    """Events, stamped, that are written within one transaction or another."""

    def __init__(self, notes: Sequence[Note], boot: UUID, stamp: Stamp) -> None:
        self.rows = [_row(note, boot, stamp) for note in notes]
        times = [note.t for note in notes] or [stamp.t]
        self.cargo = Cargo(len(notes), min(times), max(times), spare=all(_is_spare(note.kind) for note in notes))
        self.numbered: list[Numbered] = []
        """As the last transaction wrote them."""

    def write(self, connection: sqlite3.Connection) -> int:
        """Append them, within the caller's transaction, and return the first number; 0 if there are none."""
        self.numbered = event_rows.append(connection, self.rows)
        return self.numbered[0].seq if self.numbered else 0


class Portion(NamedTuple):
    """Consecutive events for one message; `first` is the next number where there are none."""

    epoch: UUID
    first: int
    events: list[Event]
    prev: str
    """The chain before the first."""
    chain: str
    """The chain after the last."""
    is_oldest: bool
    """Nothing before the first is here any more."""


def portion(
    epoch: UUID, first: int, rows: Sequence[Numbered], prev: str, said: tuple[UUID, Stamp], *, is_oldest: bool
) -> Portion:
    """Return rows as one message holds them that says the boot and the stamp `said`: `BATCH_BYTES_MAX` at the most.

    `prev` is the chain before them. An event says its own boot and clock where they differ from the message's.
    """
    boot, clock = str(said[0]), said[1].clock
    events: list[Event] = []
    size = 0
    for row in rows:
        size += len(row.body) + _BYTES_BESIDE_BODY
        if events and size > BATCH_BYTES_MAX:
            break
        event = _decode(row.body)
        if row.boot != boot or row.clock != clock:
            event = structs.replace(event, boot=UUID(row.boot), clock=Clock(row.clock))
        events.append(event)
    if not events:
        return Portion(epoch, first, events, prev, prev, is_oldest)
    return Portion(epoch, rows[0].seq, events, prev, rows[len(events) - 1].chain, is_oldest)


def _is_spare(kind: EventKind) -> bool:
    return kind is EventKind.SNAPSHOT or kind.startswith(("agent.", "board."))


def _row(note: Note, boot: UUID, stamp: Stamp) -> Row:
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
    return Row(str(boot), stamp.clock.value, at, _encode(event))
