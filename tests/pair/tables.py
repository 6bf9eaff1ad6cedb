"""The hub's tables as plain Python, and what each named statement does to them.

Only the SQL itself is modelled; everything of hub/store/ that stands around it runs for real. What a statement does
is said by hub/store/queries/*.sql, from which this is written by hand: nothing compares the two.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from struct import Struct
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg

from hub.store.binary_copy import HEADER, TRAILER

Key = tuple[str, UUID]
Row = dict[str, Any]

_INT2: Final = Struct("!h")
_INT4: Final = Struct("!i")
_INT8: Final = Struct("!q")
_PG_EPOCH_MS: Final = 946_684_800_000


class EventRow(NamedTuple):
    """One row of `event`, as it came by COPY."""

    locker: str
    epoch: UUID
    seq: int
    kind: str
    door: int | None
    actor: UUID | None
    command: UUID | None
    clock: str
    at_ms: int
    occurred_ms: int
    data: bytes | None


class Cursor(NamedTuple):
    """One row of `ledger_cursor`."""

    next_seq: int
    chain: str | None
    quarantined: int
    missing: int


class Gap(NamedTuple):
    """One row of `ledger_gap`."""

    key: Key
    from_seq: int
    to_seq: int
    reason: str


@dataclass(slots=True)
class Tables:
    """One state of the database. Rows are never changed in place, so that a copy is cheap."""

    lockers: tuple[Row, ...] = ()
    poison_every: int = 0
    """Every so many event numbers there is a row that the database does not accept."""
    events: list[EventRow] = field(default_factory=list)
    cursors: dict[Key, Cursor] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    quarantine: list[Row] = field(default_factory=list)
    commands: dict[UUID, Row] = field(default_factory=dict)
    lease: str | None = None

    def copy(self) -> "Tables":
        """Return a state of its own."""
        return replace(
            self,
            events=self.events.copy(),
            cursors=self.cursors.copy(),
            gaps=self.gaps.copy(),
            quarantine=self.quarantine.copy(),
            commands=self.commands.copy(),
        )


@dataclass(slots=True)
class Result:
    """What a statement gave."""

    rows: list[Row] = field(default_factory=list)
    count: int = 0


Act = Callable[[Tables, Row], Result]
reads: dict[str, Act] = {}
writes: dict[str, Act] = {}


def a_read(act: Act) -> Act:
    reads[act.__name__] = act
    return act


def a_write(act: Act) -> Act:
    writes[act.__name__] = act
    return act


# The ledger.


@a_read
def cursors(tables: Tables, _: Row) -> Result:
    return Result([_cursor_row(key, cursor) for key, cursor in tables.cursors.items()])


@a_read
def ledger_epochs(tables: Tables, _: Row) -> Result:
    counts = Counter(locker for locker, _ in tables.cursors)
    return Result([{"locker_id": locker, "epochs": count} for locker, count in counts.items()])


@a_read
def cursors_of(tables: Tables, given: Row) -> Result:
    keys = zip(given["lockers"], given["epochs"], strict=True)
    return Result([_cursor_row(key, tables.cursors[key]) for key in keys if key in tables.cursors])


@a_read
def ledger_totals(tables: Tables, _: Row) -> Result:
    every = tables.cursors.values()
    missing, quarantined = sum(one.missing for one in every), sum(one.quarantined for one in every)
    stored = sum(one.next_seq - 1 for one in every) - missing - quarantined
    return Result([{"stored": stored, "missing": missing, "quarantined": quarantined, "gone": 0}])


@a_write
def statistics_mark(tables: Tables, given: Row) -> Result:
    """Statistics are not modelled."""
    del tables, given
    return Result()


@a_write
def cursor_add(tables: Tables, given: Row) -> Result:
    result = Result()
    for key, _, cursor, _ in _moves(given):
        if key not in tables.cursors:
            tables.cursors[key] = cursor
            result.count += 1
    return result


@a_write
def cursor_advance(tables: Tables, given: Row) -> Result:
    result = Result()
    for key, old_seq, cursor, prev in _moves(given):
        now = tables.cursors.get(key)
        if now is None or now.next_seq != old_seq or (None not in {now.chain, prev} and now.chain != prev):
            continue
        tables.cursors[key] = cursor._replace(
            quarantined=now.quarantined + cursor.quarantined, missing=now.missing + cursor.missing
        )
        result.count += 1
    return result


@a_write
def cursor_refused(tables: Tables, given: Row) -> Result:
    key = (given["locker"], given["epoch"])
    now = tables.cursors[key]
    tables.cursors[key] = now._replace(quarantined=now.quarantined + given["quarantined"])
    return Result(count=1)


@a_write
def gaps_add(tables: Tables, given: Row) -> Result:
    for key, first, last in _ranges(given):
        tables.gaps.append(Gap(key, first, last, "unknown"))
    return Result(count=1)


@a_write
def gaps_tell(tables: Tables, given: Row) -> Result:
    for (key, first, last), reason in zip(_ranges(given), given["reasons"], strict=True):
        gaps: list[Gap] = []
        for gap in tables.gaps:
            if gap.key != key or gap.reason != "unknown" or gap.from_seq > last or gap.to_seq < first:
                gaps.append(gap)
                continue
            parts = (
                (gap.from_seq, first - 1, "unknown"),
                (max(gap.from_seq, first), min(gap.to_seq, last), reason),
                (last + 1, gap.to_seq, "unknown"),
            )
            gaps += [Gap(key, *part) for part in parts if part[0] <= part[1]]
        tables.gaps = gaps
    return Result(count=1)


@a_write
def quarantine_add(tables: Tables, given: Row) -> Result:
    tables.quarantine.append(dict(given))
    return Result(count=1)


def copy_event(tables: Tables, data: bytes) -> None:
    """COPY into `event`. Raises psycopg.DataError for a row that is not acceptable."""
    rows = [_event_row(fields) for fields in _binary_rows(data)]
    if tables.poison_every:
        for row in rows:
            if row.seq % tables.poison_every == 0:
                raise psycopg.DataError(f"row {row.seq} is not acceptable")
    tables.events += rows


def copy_reading(tables: Tables, data: bytes) -> None:
    """COPY into `reading`, which nobody here asks for."""
    del tables
    assert data.startswith(HEADER)
    assert data.endswith(TRAILER)


# The rest: what a hub asks when it starts, and in rounds.


@a_read
def registry_version(tables: Tables, _: Row) -> Result:
    return Result([{"version": len(tables.lockers)}])


@a_read
def registry(tables: Tables, _: Row) -> Result:
    return Result([{"disabled": None, **row} for row in tables.lockers])


def _nothing(tables: Tables, given: Row) -> Result:
    del tables, given
    return Result()


for _name in (
    "events_newest",
    "events_of",
    "make_partitions",
    "commands_of",
    "jobs_open",
    "job_openings_sent",
    "lockers_removed",
    "readings_at",
    "lockers_removed",
):
    reads[_name] = _nothing


@a_write
def job_lease_take(tables: Tables, given: Row) -> Result:
    if tables.lease not in {None, given["hub"]}:
        return Result()
    tables.lease = given["hub"]
    return Result(count=1)


@a_write
def job_lease_hold(tables: Tables, given: Row) -> Result:
    return Result(count=int(tables.lease == given["hub"]))


@a_write
def job_lease_release(tables: Tables, given: Row) -> Result:
    if tables.lease == given["hub"]:
        tables.lease = None
    return Result(count=1)


# Forms.


def _cursor_row(key: Key, cursor: Cursor) -> Row:
    return {"locker_id": key[0], "epoch": key[1], "next_seq": cursor.next_seq, "chain": cursor.chain}


def _moves(given: Row) -> list[tuple[Key, int, Cursor, str | None]]:
    columns = {name: _array(values) for name, values in given.items()}
    return [
        (
            (columns["lockers"][place], UUID(columns["epochs"][place])),
            int(columns["olds"][place]),
            Cursor(
                int(columns["nexts"][place]),
                columns["chains"][place],
                int(columns["quarantined"][place]),
                int(columns["missing"][place]),
            ),
            columns["prevs"][place],
        )
        for place in range(len(columns["lockers"]))
    ]


def _ranges(given: Row) -> list[tuple[Key, int, int]]:
    lockers, epochs, firsts, lasts = (_array(given[name]) for name in ("lockers", "epochs", "froms", "tos"))
    return [
        ((locker, UUID(epoch)), int(first), int(last))
        for locker, epoch, first, last in zip(lockers, epochs, firsts, lasts, strict=True)
    ]


def _array(literal: str | list[Any]) -> list[Any]:
    if isinstance(literal, list):
        return literal
    parts = literal[1:-1].split(",")
    return [None if part == "NULL" else part.strip('"') for part in parts]


def _binary_rows(data: bytes) -> list[list[bytes | None]]:
    assert data.startswith(HEADER)
    at, rows = len(HEADER), []
    while data[at : at + 2] != TRAILER:
        (count,) = _INT2.unpack_from(data, at)
        at += 2
        fields: list[bytes | None] = []
        for _ in range(count):
            (length,) = _INT4.unpack_from(data, at)
            at += 4
            fields.append(None if length < 0 else data[at : at + length])
            at += max(length, 0)
        rows.append(fields)
    assert at + 2 == len(data)
    return rows


def _event_row(fields: list[bytes | None]) -> EventRow:
    occurred, _, _, locker, epoch, seq, kind, door, actor, command_id, _, clock, stamped, data, _ = fields
    return EventRow(
        _text(locker), UUID(bytes=epoch), _int8(seq), _text(kind),
        None if door is None else _INT2.unpack(door)[0],
        None if actor is None else UUID(bytes=actor),
        None if command_id is None else UUID(bytes=command_id),
        _text(clock), _ms(stamped), _ms(occurred),
        None if data is None else data[1:],
    )  # fmt: skip


def _text(value: bytes | None) -> str:
    assert value is not None
    return value.decode()


def _int8(value: bytes | None) -> int:
    assert value is not None
    (number,) = _INT8.unpack(value)
    return int(number)


def _ms(value: bytes | None) -> int:
    return _int8(value) // 1000 + _PG_EPOCH_MS
