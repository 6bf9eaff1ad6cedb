"""The ledger's rows in `agent.db`, and the chain over them. Everything here runs within the caller's transaction.

Numbers are dense. `ledger.chain` is the chain after the newest event, `ledger.base_chain` the one before the oldest
event that is still here, so that a chain can be told for every number from `oldest - 1` on. An erased event keeps
its number and the chain that was made of it.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import msgspec

from wire.messages import CHAIN_START, Event, EventKind

_CHAIN_BYTES: Final = 8
_EARLIER_EPOCHS_MAX: Final = 3
_GAP_KEY: Final = f'"kind":"{EventKind.OUTBOX_GAP.value}"'.encode()

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Event).decode


class Row(NamedTuple):
    """An event as it goes to the disk; `body` is its JSON."""

    boot: str
    clock: str
    at: int
    body: bytes


class Numbered(NamedTuple):
    """An event as it is on the disk."""

    seq: int
    boot: str
    clock: str
    at: int
    body: bytes
    chain: str


class Renumbered(NamedTuple):
    """What a fork made of the ledger."""

    next_seq: int
    chain: str


class Trimmed(NamedTuple):
    """What a trim did: how many unconfirmed events it deleted, what it appended, and what is the oldest now."""

    unconfirmed: int
    appended: list[Numbered]
    oldest: int


def chained(prev: str, row: Row) -> str:
    """Return the chain after `row`, in hex, where `prev` is the one before it.

    Neither a boot id nor a clock's name has a space in it, so that no two rows hash the same bytes.
    """
    text = f"{row.boot} {row.clock} {row.at} ".encode()
    return blake2b(bytes.fromhex(prev) + text + row.body, digest_size=_CHAIN_BYTES).hexdigest()


def append(connection: sqlite3.Connection, rows: Sequence[Row]) -> list[Numbered]:
    """Give rows their numbers and their chain, and write them."""
    first, chain = connection.execute("SELECT next_seq, chain FROM ledger").fetchone()
    numbered = list(_numbered(rows, first, chain))
    if numbered:
        last = numbered[-1]
        connection.execute("UPDATE ledger SET next_seq = ?, chain = ?", (last.seq + 1, last.chain))
        connection.executemany("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?)", numbered)
    return numbered


def select(connection: sqlite3.Connection, first: int, events_max: int) -> tuple[str, list[Numbered]]:
    """Return (the chain before them, events from `first` on); they begin later if those before are deleted."""
    found = connection.execute(
        "SELECT seq, boot, clock, at, body, chain FROM event WHERE seq >= ? ORDER BY seq LIMIT ?",
        (first - 1, events_max + 1),
    )
    rows = [Numbered(*row) for row in found]
    if rows and rows[0].seq < first:
        return rows[0].chain, rows[1:]
    return base_chain(connection), rows[:events_max]


def chain_at(connection: sqlite3.Connection, seq: int) -> str | None:
    """Return the chain after event `seq`; None where nobody can know it any more, or not yet."""
    row = connection.execute("SELECT chain FROM event WHERE seq = ?", (seq,)).fetchone()
    if row is not None:
        return str(row[0])
    return base_chain(connection) if seq == oldest_seq(connection) - 1 else None


def base_chain(connection: sqlite3.Connection) -> str:
    """Return the chain before the oldest event that is still here."""
    return str(connection.execute("SELECT base_chain FROM ledger").fetchone()[0])


def oldest_seq(connection: sqlite3.Connection) -> int:
    """Return the number of the oldest event in the file; the next one's if there is none."""
    row = connection.execute(
        "SELECT coalesce((SELECT min(seq) FROM event), (SELECT next_seq FROM ledger))"
    ).fetchone()
    return int(row[0])


def delete_before(connection: sqlite3.Connection, end: int) -> int:
    """Delete the events before `end`, which is not beyond the next number. Returns how many."""
    kept = chain_at(connection, end - 1)
    if kept is None:
        return 0
    deleted = connection.execute("DELETE FROM event WHERE seq < ?", (end,)).rowcount
    connection.execute("UPDATE ledger SET base_chain = ?", (kept,))
    return deleted


def erase(connection: sqlite3.Connection, actor: str, first: int, end: int) -> dict[int, bytes]:
    """Take an actor out of the events from `first` to before `end`. Returns what these are now, by number.

    What stays is when and where it was, and what the door's sensor said; number and chain stay as they are, so that
    the ledger is the same one to everybody who has compared it.
    """
    found = connection.execute(
        "SELECT seq, body FROM event WHERE seq >= ? AND seq < ? AND instr(body, ?)", (first, end, actor.encode())
    )
    erased = {seq: _without_person(body) for seq, body in found.fetchall()}
    connection.executemany("UPDATE event SET body = ? WHERE seq = ?", [(body, seq) for seq, body in erased.items()])
    return erased


def give_up_oldest(connection: sqlite3.Connection, events_max: int, gap: Row) -> Trimmed:
    """Delete the oldest events, `events_max` at the most, and say of unconfirmed ones so with an `outbox.gap`.

    `gap` is that event without its data. Confirmed events go first, as what is left stays dense. What deleted gaps
    said is said again: the numbers of those for a full outbox join the new one's, those for a full disk become one,
    and the newest three of earlier epochs are appended as they were.
    """
    oldest, acked = oldest_seq(connection), _acked(connection)
    if oldest <= acked:
        delete_before(connection, min(acked + 1, oldest + events_max))
        return Trimmed(0, [], oldest_seq(connection))
    end = min(oldest + events_max, _next_seq(connection))
    rows = _gaps_before(connection, end)
    said = [_decode(row.body).data or {} for row in rows]
    begun = min([oldest, *(int(data["from"]) for data in said if "from" in data and "epoch" not in data)])
    again = [row for row, data in zip(rows, said, strict=True) if "epoch" in data][-_EARLIER_EPOCHS_MAX:]
    unwritten = [data for data in said if "events" in data]
    if unwritten:
        again.append(_with_data(gap, _all_unwritten(unwritten)))
    told = _with_data(gap, {"from": begun, "to": end - 1, "reason": "outbox_full"})
    deleted = delete_before(connection, end)
    return Trimmed(deleted, append(connection, [*again, told]), end)


def renumber(connection: sqlite3.Connection, epoch: str, first: Row) -> Renumbered:
    """Begin the epoch with the event `first` and all that is not confirmed, in order, numbered from 1.

    An `outbox.gap` that speaks of numbers says of which epoch they are (`epoch`), as that is an earlier one now.
    One pass over a table of its own: no number is ever there twice, and each chain is made once.
    """
    kept = connection.execute(
        "SELECT boot, clock, at, body FROM event WHERE seq > ? ORDER BY seq", (_acked(connection),)
    )

    before = str(connection.execute("SELECT epoch FROM ledger").fetchone()[0])

    def rows() -> Iterator[Row]:
        yield first
        for row in kept:
            yield _with_epoch(Row(*row), before)

    last = Renumbered(1, CHAIN_START)

    def followed() -> Iterator[Numbered]:
        nonlocal last
        for row in _numbered(rows(), 1, CHAIN_START):
            last = Renumbered(row.seq + 1, row.chain)
            yield row

    connection.execute(CREATE_EVENT.format(table="event_of_new_epoch"))
    connection.executemany("INSERT INTO event_of_new_epoch VALUES (?, ?, ?, ?, ?, ?)", followed())
    connection.execute("DROP TABLE event")
    connection.execute("ALTER TABLE event_of_new_epoch RENAME TO event")
    connection.execute(
        "UPDATE ledger SET epoch = ?, next_seq = ?, acked_seq = 0, chain = ?, base_chain = ?",
        (epoch, last.next_seq, last.chain, CHAIN_START),
    )
    return last


CREATE_EVENT: Final = """
CREATE TABLE {table} (
    seq INTEGER PRIMARY KEY,
    boot TEXT NOT NULL,
    clock TEXT NOT NULL,
    at INTEGER NOT NULL,
    body BLOB NOT NULL,
    chain TEXT NOT NULL
)
"""


def _numbered(rows: Iterable[Row], first: int, chain: str) -> Iterator[Numbered]:
    for seq, row in enumerate(rows, start=first):
        chain = chained(chain, row)
        yield Numbered(seq, *row, chain)


def _gaps_before(connection: sqlite3.Connection, end: int) -> list[Row]:
    found = connection.execute(
        "SELECT boot, clock, at, body FROM event WHERE seq < ? AND instr(body, ?) ORDER BY seq", (end, _GAP_KEY)
    )
    rows = [Row(*row) for row in found]
    return [row for row in rows if _decode(row.body).kind == EventKind.OUTBOX_GAP]


def _all_unwritten(said: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "events": sum(int(data["events"]) for data in said),
        "from_t": min(int(data["from_t"]) for data in said),
        "to_t": max(int(data["to_t"]) for data in said),
        "reason": "disk_full",
    }


def _with_epoch(row: Row, epoch: str) -> Row:
    if _GAP_KEY not in row.body:
        return row
    event = _decode(row.body)
    if event.kind != EventKind.OUTBOX_GAP or event.data is None or "from" not in event.data:
        return row
    return _with_data(row, {"epoch": epoch, **event.data})


def _with_data(row: Row, data: dict[str, Any]) -> Row:
    return row._replace(body=_encode(msgspec.structs.replace(_decode(row.body), data=data)))


def _without_person(body: bytes) -> bytes:
    event = _decode(body)
    kept = {name: value for name, value in (event.data or {}).items() if name == "occupied"}
    erased = _encode(Event(t=event.t, at=event.at, kind=event.kind, door=event.door, data={**kept, "erased": True}))
    # As long as before: SQLite then writes over what was there, and moves no rows of which it would leave copies.
    return erased.ljust(len(body))


def _acked(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT acked_seq FROM ledger").fetchone()[0])


def _next_seq(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT next_seq FROM ledger").fetchone()[0])
