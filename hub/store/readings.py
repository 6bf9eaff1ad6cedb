"""Telemetry into the database: each sample once, also where nobody can say whether it is there already.

Rows go in by COPY. Those of a doubtful unit (see ReadingUnit) are first compared with what is stored of the same
locker at the same moment: a sample is the same if it says the same in every value.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import psycopg
from psycopg.rows import DictRow

from hub.store.binary_copy import reading_fields, sampled_at
from hub.store.database import Database, copy, copy_apart
from hub.store.rows import ReadingUnit
from hub.store.statements import statement

_RECEIVED_AT = 1
_LOCKER = 2
_EXTRA = 15
_Fields = tuple[bytes | None, ...]


@dataclass(slots=True)
class WrittenApart:
    """What became of a unit's rows: `repeated` were there, of `refused` the database takes none (place, reason)."""

    repeated: int = 0
    refused: list[tuple[int, str]] = field(default_factory=list)


async def write_readings(store: Database, units: Sequence[ReadingUnit]) -> int:
    """Store telemetry, all or nothing. Returns how many rows were there already. Raises as Store.transaction."""
    rows = [row for unit in units if not unit.doubtful for row in unit.rows]
    doubtful = [row for unit in units if unit.doubtful for row in unit.rows]
    async with store.transaction() as conn:
        # The others first: among them may be what a doubtful one repeats.
        await copy(conn, "copy_reading", rows)
        new = await _not_there(conn, doubtful)
        await copy(conn, "copy_reading", [doubtful[place] for place in new])
    return len(doubtful) - len(new)


async def write_readings_apart(store: Database, unit: ReadingUnit) -> WrittenApart:
    """Store what the database takes of a unit, in one transaction. Raises as Store.transaction."""
    async with store.transaction() as conn:
        new = await _not_there(conn, unit.rows) if unit.doubtful else range(len(unit.rows))
        refused = await copy_apart(conn, "copy_reading", [unit.rows[place] for place in new])
    return WrittenApart(len(unit.rows) - len(new), [(new[place], why) for place, why in refused])


async def _not_there(conn: psycopg.AsyncConnection[DictRow], rows: Sequence[bytes]) -> list[int]:
    """Return the places of those rows that are not in the table, of rows that say the same only the first."""
    if not rows:
        return []
    wanted = {(reading_fields(row)[_LOCKER], sampled_at(row)) for row in rows}
    lockers = [(locker or b"").decode() for locker, _ in wanted]
    answer = await conn.execute(statement("readings_at"), {"lockers": lockers, "times": [at for _, at in wanted]})
    known = {_identity(tuple(row.values())) for row in await answer.fetchall()}
    new = []
    for place, row in enumerate(rows):
        identity = _identity(reading_fields(row))
        if identity not in known:
            known.add(identity)
            new.append(place)
    return new


def _identity(fields: _Fields) -> _Fields:
    """Return what makes a reading the one it is: its time and all that it says, `extra` in one fixed form."""
    extra = fields[_EXTRA]
    if extra is None:
        return fields[:_RECEIVED_AT] + fields[_RECEIVED_AT + 1 : _EXTRA]
    # Behind the version byte; PostgreSQL writes numbers and the order of keys in its own way.
    numbers = {name: float(value) for name, value in json.loads(extra[1:]).items()}
    fixed = json.dumps(numbers, sort_keys=True).encode()
    return (*fields[:_RECEIVED_AT], *fields[_RECEIVED_AT + 1 : _EXTRA], fixed)
