"""A locker's disk: real SQLite, whose file outlives its processes, and what was ever safe on it.

With synchronous=FULL what is committed is on the disk, and a power cut takes only what was not. `synced=False` is a
disk that lies: a power cut takes the last commits as well (for mutations).
"""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from wire.messages import Event

_FORGOTTEN_COMMITS: Final = 3
"""How many commits a disk that lies loses at a power cut."""
_FULL: Final = "database or disk is full"

_read_event = msgspec.json.Decoder(Event).decode
_encode = msgspec.json.Encoder().encode


class Content(NamedTuple):
    """An event as it can be recognised, on whichever side: without its number."""

    kind: str
    door: int | None
    actor: UUID | None
    command: UUID | None
    at_ms: int
    data: bytes | None


class Entry(NamedTuple):
    """An event with its number."""

    epoch: UUID
    seq: int
    content: Content


@dataclass(slots=True, eq=False)
class Drive:
    """One disk. `entries` are the events on it; `look` is called with what a commit has added and taken away."""

    name: str
    synced: bool = True
    full: bool = False
    entries: dict[tuple[UUID, int], Content] = field(default_factory=dict)
    look: Callable[["Drive", list[Entry], list[Entry]], None] | None = None
    _connection: "sqlite3.Connection | None" = None
    _changes: int = -1
    _epoch: UUID | None = None
    _unsynced: list[bytes] = field(default_factory=list)

    def open(self) -> sqlite3.Connection:
        """Return the file as a process opens it."""
        if self._connection is None:
            self._connection = _connect(self)
        return self._connection

    def committed(self) -> None:
        """Look at what is on the disk now. Call it after anything that may have written."""
        connection = self._connection
        if connection is None or connection.total_changes == self._changes or connection.in_transaction:
            return
        self._changes = connection.total_changes
        found = _query(connection, "SELECT epoch, next_seq FROM ledger")
        if not found:
            return
        if not self.synced:
            self._unsynced = [*self._unsynced[-_FORGOTTEN_COMMITS:], connection.serialize()]
        epoch = UUID(found[0][0])
        if epoch == self._epoch:
            last = max((seq for _, seq in self.entries), default=0)
            (oldest,) = _query(connection, "SELECT coalesce(min(seq), 0) FROM event")[0]
        else:
            self._epoch, last, oldest = epoch, 0, 1
        rows = _query(connection, "SELECT seq, body FROM event WHERE seq > ? ORDER BY seq", (last,))
        added = [Entry(epoch, seq, content_of(body)) for seq, body in rows]
        if oldest == 0 and not added:
            oldest = last + 1
        gone = [Entry(e, seq, content) for (e, seq), content in self.entries.items() if e != epoch or seq < oldest]
        for entry in gone:
            del self.entries[entry.epoch, entry.seq]
        for entry in added:
            self.entries[entry.epoch, entry.seq] = entry.content
        if self.look is not None and (added or gone):
            self.look(self, added, gone)

    def newest(self) -> tuple[UUID, int]:
        """Return the epoch, and the number of its newest event."""
        found = (
            [] if self._connection is None else _query(self._connection, "SELECT epoch, next_seq - 1 FROM ledger")
        )
        return (UUID(found[0][0]), int(found[0][1])) if found else (UUID(int=0), 0)

    def names(self, text: str) -> list[int]:
        """Return the numbers of the events with this text in them; 0 stands for a command."""
        if self._connection is None:
            return []
        told = text.encode()
        return [
            number
            for sql in ("SELECT seq FROM event WHERE instr(body, ?)", "SELECT 0 FROM command WHERE instr(body, ?)")
            for (number,) in sqlite3.Connection.execute(self._connection, sql, (told,))
        ]

    def image(self) -> bytes | None:
        """Return a copy of the whole file, None where there is none yet."""
        return None if self._connection is None else self._connection.serialize()

    def put_back(self, image: bytes | None) -> None:
        """Replace the file by a copy."""
        self._connection = None
        self.entries.clear()
        self._changes, self._epoch = -1, None
        self._unsynced.clear()
        if image is not None:
            self._connection = _connect(self)
            self._connection.deserialize(image)

    def power_cut(self) -> None:
        """Lose what is not on the disk."""
        if not self.synced and self._unsynced:
            self.put_back(self._unsynced[0])


class _File(sqlite3.Connection):
    """A connection that a process may close: the file stays."""

    drive: Drive

    def close(self) -> None:
        if self.in_transaction:
            self.rollback()

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:  # noqa: ANN401 - as SQLite's
        if self.drive.full and sql.startswith(("BEGIN IMMEDIATE", "INSERT", "COMMIT")):
            raise sqlite3.OperationalError(_FULL)
        return super().execute(sql, *parameters)


def content_of(body: bytes) -> Content:
    """Return what an event says."""
    event = _read_event(body)
    data = None if event.data is None else _encode(event.data)
    return Content(event.kind, event.door, event.actor, event.command, event.at, data)


def _connect(drive: Drive) -> _File:
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False, factory=_File)
    connection.drive = drive
    return connection


def _query(connection: sqlite3.Connection, sql: str, values: tuple[int, ...] = ()) -> list[tuple[Any, ...]]:
    try:
        return sqlite3.Connection.execute(connection, sql, values).fetchall()
    except sqlite3.OperationalError:
        # Before the tables are made.
        return []
