"""Put a made-up history into a database, by the hub's own rows and COPY, several processes at once.

Rows go in by day and, within a day, by time, as they would have come: whoever loads locker by locker makes the heap
tidier than any hub finds it. The ledgers' cursors are written at the end, so that `hub ledger verify` holds.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import merge
from multiprocessing import get_context
from typing import Any, Final
from uuid import UUID

import psycopg

from bench.history_fleet import READINGS_DAYS, Life, Plan, Visit, reading_lockers, readings
from hub.store.binary_copy import HEADER, TRAILER, event_rows, reading_row
from hub.store.statements import statement
from wire.messages import EventKind

_DAYS_A_COPY: Final = 7
_COMMAND_COLUMNS: Final = (
    "id, locker_id, kind, door, actor_id, reason, accepted_at, deadline_ms, state, outcome, late, stages_ms"
)


@dataclass(frozen=True)
class Loaded:
    """What was put in."""

    events: int
    commands: int
    readings: int


@dataclass(frozen=True)
class _Share:
    dsn: str
    plan: Plan
    places: range
    """Of the lockers, in the plan's list."""


def load(dsn: str, plan: Plan, *, processes: int | None = None) -> Loaded:
    """Fill `event`, `command`, `reading` and `ledger_cursor`, and make the regular's account.

    Args:
        dsn: of a migrated database without events, in which the plan's lockers are registered.
        plan: the history.
        processes: at a time; by default one a CPU.
    """
    count = processes or os.cpu_count() or 1
    shares = [_Share(dsn, plan, range(first, len(plan.lockers), count)) for first in range(count)]
    # Spawned: a fork would take this process's connections along.
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        done = list(pool.map(_load_share, shares))
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "INSERT INTO account (id, tenant_id, actor_id, email, name, created_at)"
            " VALUES (%(id)s, 'default', %(actor)s, 'regular@example.com', 'A regular', %(at)s)",
            {"id": account_of(plan), "actor": plan.regular, "at": _at(plan.day_ms(0))},
        )
        connection.execute("ANALYZE")
    return Loaded(*(sum(column) for column in zip(*done, strict=True)))


def account_of(plan: Plan) -> UUID:
    """Return the id of the regular's account."""
    return UUID(int=plan.regular.int ^ 1)


def _load_share(share: _Share) -> tuple[int, int, int]:
    """Load some lockers; return how many events, commands and readings."""
    plan = share.plan
    lives = [Life(plan, place) for place in share.places]
    commands = 0
    # An answer to COMMIT may come before the disk has it: who loads again after a crash loses nothing.
    with psycopg.connect(share.dsn, options="-c synchronous_commit=off -c timezone=UTC") as connection:
        for first in range(0, plan.days, _DAYS_A_COPY):
            rows: list[bytes] = []
            opens: list[tuple[Any, ...]] = []
            for day in range(first, min(first + _DAYS_A_COPY, plan.days)):
                for life, visit in _by_time(lives, day):
                    rows += event_rows(
                        visit.batch, skip=0, tenant="default", locker=life.locker, occurred=visit.occurred,
                        received_ms=visit.received_ms,
                    )  # fmt: skip
                    if visit.batch.events[1].kind == EventKind.COMMAND_FINISHED:
                        opens.append(_command(life.locker, visit))
            _copy(connection, "copy_event", rows)
            with connection.cursor().copy(f"COPY command ({_COMMAND_COLUMNS}) FROM STDIN") as copy:
                for row in opens:
                    copy.write_row(row)
            commands += len(opens)
            connection.commit()
        sampled = _load_readings(connection, share)
        connection.cursor().executemany(
            "INSERT INTO ledger_cursor (locker_id, epoch, next_seq) VALUES (%s, %s, %s)",
            [(life.locker, life.epoch, life.next_seq) for life in lives],
        )
    return sum(life.next_seq - 1 for life in lives), commands, sampled


def _by_time(lives: list[Life], day: int) -> Iterator[tuple[Life, Visit]]:
    days = [[(visit.received_ms, place, visit) for visit in life.day(day)] for place, life in enumerate(lives)]
    for _, place, visit in merge(*days, key=lambda one: one[0]):
        yield lives[place], visit


def _load_readings(connection: "psycopg.Connection[Any]", share: _Share) -> int:
    plan, sampled = share.plan, 0
    mine = [one for one in reading_lockers(plan) if plan.lockers.index(one) in share.places]
    for day in range(max(0, plan.days - READINGS_DAYS), plan.days):
        rows = [
            reading_row(sample, locker=locker, sampled_ms=at_ms, received_ms=at_ms + 200)
            for locker in mine
            for at_ms, sample in readings(plan, locker, day)
        ]
        _copy(connection, "copy_reading", rows)
        connection.commit()
        sampled += len(rows)
    return sampled


def _copy(connection: "psycopg.Connection[Any]", name: str, rows: list[bytes]) -> None:
    with connection.cursor().copy(statement(name)) as copy:
        copy.write(b"".join((HEADER, *rows, TRAILER)))


def _command(locker: str, visit: Visit) -> tuple[Any, ...]:
    event = visit.batch.events[0]
    accepted = _at(visit.occurred[0] - 3)
    return (
        event.command, locker, "open", event.door, event.actor, "pick-up", accepted, 2000, "succeeded", "opened",
        False, '{"published":0.4,"replied":3.1}',
    )  # fmt: skip


def _at(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)
