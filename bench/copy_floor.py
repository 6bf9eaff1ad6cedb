"""The floor under ingest, and the check above it: the same rows by COPY alone, and what is in the database."""

import time
from dataclasses import dataclass
from typing import Final, TypeVar
from uuid import UUID, uuid4

import psycopg

from bench.messages import events_around_first
from hub.store.binary_copy import HEADER, TRAILER, event_rows
from hub.store.statements import statement
from wire.messages import decode_events

ROWS_A_COPY: Final = 5000
"""As many as the hub puts into one batch at the most."""
_COPIES: Final = 60
_K = TypeVar("_K")


@dataclass(frozen=True)
class Found:
    """What the database has of what was sent."""

    stored: int
    lost: int
    duplicate: int


def copy_rows_per_s(dsn: str, lockers: list[str], *, rows_in_a_row: int) -> float:
    """Put event rows into `event` by the hub's own COPY, one transaction each, and return rows a second.

    The rows are made before the clock starts; they have epochs of their own.

    Args:
        dsn: of the database.
        lockers: whose rows they are.
        rows_in_a_row: how many of one locker follow each other: 1 as from batches of one, 100 as from those of 100.
            The indexes tell the difference.
    """
    at_ms = time.time_ns() // 1_000_000
    epochs = [uuid4() for _ in lockers]
    rows: list[bytes] = []
    first = 1
    while len(rows) < _COPIES * ROWS_A_COPY:
        for locker, epoch in zip(lockers, epochs, strict=True):
            head, tail = events_around_first(epoch=epoch, boot=epoch, t=1, at_ms=at_ms, events=rows_in_a_row)
            batch = decode_events(head + b"%d" % first + tail)
            occurred = [at_ms] * rows_in_a_row
            rows += event_rows(batch, skip=0, tenant="default", locker=locker, occurred=occurred, received_ms=at_ms)
        first += rows_in_a_row
    batches = [
        b"".join((HEADER, *rows[start : start + ROWS_A_COPY], TRAILER))
        for start in range(0, _COPIES * ROWS_A_COPY, ROWS_A_COPY)
    ]
    with psycopg.connect(dsn) as connection:
        began = time.perf_counter()
        for data in batches:
            with connection.cursor() as cursor, cursor.copy(statement("copy_event")) as copy:
                copy.write(data)
            connection.commit()
        return _COPIES * ROWS_A_COPY / (time.perf_counter() - began)


def find_events(dsn: str, sent: dict[tuple[str, UUID], int]) -> Found:
    """Hold ledgers against the table: `sent` is the last number of each (locker, epoch)."""
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT locker_id, epoch, count(*), count(DISTINCT seq) FROM event"
            " WHERE epoch = ANY (%s) GROUP BY locker_id, epoch",
            (sorted({epoch for _, epoch in sent}),),
        ).fetchall()
    return _found(sent, {(locker, epoch): (count, numbers) for locker, epoch, count, numbers in rows})


def find_readings(dsn: str, sent: dict[str, int]) -> Found:
    """Hold samples against the table: `sent` is the last number of each locker, kept in `outbox_events`."""
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT locker_id, count(*), count(DISTINCT outbox_events) FROM reading"
            " WHERE locker_id = ANY (%s) GROUP BY locker_id",
            (list(sent),),
        ).fetchall()
    return _found(sent, {locker: (count, numbers) for locker, count, numbers in rows})


def find_commands(dsn: str, commands: list[str]) -> Found:
    """Hold commands that succeeded against the ledger: each has exactly one `door.unlocked`."""
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT command_id::text, count(*) FROM event"
            " WHERE kind = 'door.unlocked' AND command_id = ANY (%s::uuid[]) GROUP BY command_id",
            (commands,),
        ).fetchall()
    return _found(dict.fromkeys(commands, 1), {command: (count, 1) for command, count in rows})


def _found(sent: dict[_K, int], there: dict[_K, tuple[int, int]]) -> Found:
    lost = sum(max(0, last - there.get(key, (0, 0))[1]) for key, last in sent.items())
    stored = sum(numbers for _, numbers in there.values())
    return Found(stored, lost, sum(count - numbers for count, numbers in there.values()))
