"""The ledgers in the database: events and cursors in one transaction, and the accounts of what is there."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg.rows import DictRow

from hub.core.gaps import DeclaredGap, disjoint
from hub.core.ledger import START, Key, Stand, contradict
from hub.errors import CursorConflict
from hub.failpoints import Point, reached
from hub.store.binary_copy import hours_of
from hub.store.database import Database, copy, copy_apart, quarantine_row
from hub.store.rows import EventUnit, Quarantined
from hub.store.statements import statement
from hub.store.statistics import mark_due

RANGES_SHOWN_MAX: Final = 100
"""How many ranges of one ledger are listed; the others are counted."""
LEDGERS_SHOWN_MAX: Final = 1000
GAPS_TOLD_MAX: Final = 1000
"""Gaps that one transaction cuts by what lockers say of them; the others stay without a reason."""
GAPS_PER_LEDGER_MAX: Final = 10_000
"""The rows of a ledger's gaps above which none is cut into more of them."""

Refused = Callable[[int, str], Quarantined]
"""Makes the quarantine row of the event with this number, which the database refused for this reason."""


@dataclass(slots=True)
class _Span:
    """What one transaction does to one ledger."""

    first_seq: int
    next_seq: int
    prev: str | None
    chain: str | None
    quarantined: int
    missing: int


class Ledgers:
    """Writes events and reads ledgers. Errors are StoreUnavailable, StoreRejected or CursorConflict."""

    def __init__(self, store: Database) -> None:
        self._store = store

    async def write_events(self, units: Sequence[EventUnit]) -> None:
        """Store events and advance their ledgers' cursors, all or nothing.

        Raises:
            CursorConflict: a ledger stands elsewhere, or has another history; the keys are told.
            StoreRejected: a row is not acceptable.
            StoreUnavailable: try again later.
        """
        spans = _spans(units)
        rows = [row for unit in units for row in unit.rows]
        async with self._store.transaction() as conn:
            await _advance(conn, spans)
            await _keep_gaps(conn, units)
            await copy(conn, "copy_event", rows)
            await mark_due(conn, hours_of(rows))
            reached(Point.BEFORE_COMMIT)
        reached(Point.AFTER_COMMIT)

    async def write_apart(self, unit: EventUnit, refused: Refused) -> list[Quarantined]:
        """Store what can be stored of a unit that has events which the database refuses.

        Halves it until each of them stands alone; its number goes into quarantine, and the ledger goes on behind
        it, all in one transaction. Returns the quarantine rows. Raises as `write_events`.
        """
        async with self._store.transaction() as conn:
            # First of all: whoever holds the cursor's row is alone, so a row that is refused is so for itself.
            await _advance(conn, _spans([unit]))
            await _keep_gaps(conn, [unit])
            bad = dict(await copy_apart(conn, "copy_event", unit.rows))
            await mark_due(conn, hours_of(row for place, row in enumerate(unit.rows) if place not in bad))
            numbers = unit.numbers()
            kept = [refused(numbers[place], why) for place, why in bad.items()]
            if kept:
                await _keep(conn, kept)
                await conn.execute(
                    statement("cursor_refused"),
                    {"locker": unit.key[0], "epoch": unit.key[1], "quarantined": len(kept)},
                )
            reached(Point.BEFORE_COMMIT)
        reached(Point.AFTER_COMMIT)
        return kept

    async def stands(self, limit: int) -> list[tuple[Key, Stand]]:
        """Return where ledgers stand, those `limit` that were written last; the newest comes last."""
        rows = await self._store.fetch("cursors", {"limit": limit})
        return [(_key(row), (row["next_seq"], row["chain"])) for row in rows]

    async def epochs(self) -> dict[str, int]:
        """Return how many ledgers each locker has."""
        return {row["locker_id"]: row["epochs"] for row in await self._store.fetch("ledger_epochs")}

    async def stands_of(self, keys: Sequence[Key]) -> dict[Key, Stand]:
        """Return where some ledgers stand; an unknown one is at its beginning."""
        rows = await self._store.fetch(
            "cursors_of", {"lockers": [key[0] for key in keys], "epochs": [key[1] for key in keys]}
        )
        found = {_key(row): (row["next_seq"], row["chain"]) for row in rows}
        return {key: found.get(key, START) for key in keys}

    async def totals(self) -> dict[str, int]:
        """Return the numbers of all ledgers by what became of them: stored, missing, quarantined."""
        (row,) = await self._store.fetch("ledger_totals")
        return {state: int(count) for state, count in row.items()}

    async def counters(self, *, locker: str | None, after: Key | None, limit: int) -> list[DictRow]:
        """Return a page of ledgers with the counters that are kept along with them, by locker and epoch."""
        return await self._store.fetch("ledger_counters", _page(locker, after, limit))

    async def count(self, key: Key) -> DictRow | None:
        """Count one ledger from its rows, gaps and quarantine, as of one moment; see ledger.sql. None: unknown."""
        rows = await self._store.fetch(
            "ledger_count", {"locker": key[0], "epoch": key[1], "ranges_max": RANGES_SHOWN_MAX}
        )
        return rows[0] if rows else None

    async def each(self, *, locker: str | None, page: int = 500) -> AsyncIterator[DictRow]:
        """Go through the counters of all ledgers, or of one locker's, in pages."""
        after: Key | None = None
        while rows := await self.counters(locker=locker, after=after, limit=page):
            for row in rows:
                yield row
            after = (rows[-1]["locker"], rows[-1]["epoch"])

    async def without_cursor(self, *, locker: str | None) -> list[Key]:
        """Return ledgers that have events and no cursor, at most `LEDGERS_SHOWN_MAX`: half of a restore, maybe."""
        rows = await self._store.fetch(
            "ledgers_without_cursor", {"locker": locker, "ledgers_max": LEDGERS_SHOWN_MAX}
        )
        return [_key(row) for row in rows]

    async def door_edges(self, key: Key, first_seq: int, last_seq: int) -> dict[tuple[int, str], int]:
        """Count a ledger range's door and item edges by (door, kind)."""
        rows = await self._store.fetch("door_edges", _range(key, first_seq, last_seq))
        return {(row["door"], row["kind"]): row["count"] for row in rows}

    async def range(self, key: Key, first_seq: int, last_seq: int) -> tuple[int, int]:
        """Return (rows, distinct numbers) of a ledger range."""
        rows = await self._store.fetch("ledger_range", _range(key, first_seq, last_seq))
        return rows[0]["rows"], rows[0]["numbers"]


def _spans(units: Sequence[EventUnit]) -> dict[Key, _Span]:
    """Return what is done to each ledger by units that are in order; raise CursorConflict if they are not."""
    spans: dict[Key, _Span] = {}
    broken: set[Key] = set()
    for unit in units:
        missing = 0 if unit.gap is None else unit.gap[1] - unit.gap[0] + 1
        span = spans.get(unit.key)
        if span is None:
            spans[unit.key] = _Span(
                unit.first_seq, unit.next_seq, unit.prev, unit.chain, len(unit.spoiled), missing
            )
            continue
        if span.next_seq != unit.first_seq or contradict(span.chain, unit.prev):
            broken.add(unit.key)
        span.next_seq, span.chain = unit.next_seq, unit.chain
        span.quarantined += len(unit.spoiled)
        span.missing += missing
    if broken:
        raise CursorConflict(broken)
    return spans


async def _advance(conn: psycopg.AsyncConnection[DictRow], spans: dict[Key, _Span]) -> None:
    new = {key: span for key, span in spans.items() if span.first_seq == 1}
    old = {key: span for key, span in spans.items() if span.first_seq != 1} if new else spans
    advanced = 0
    if new:
        # A ledger that begins usually has no row yet, unless a first commit's answer was lost.
        added = await conn.execute(statement("cursor_add"), _columns(new))
        advanced += added.rowcount
    if old:
        updated = await conn.execute(statement("cursor_advance"), _columns(old))
        advanced += updated.rowcount
    if advanced != len(spans):
        await conn.rollback()
        raise CursorConflict(set(spans))


async def _keep_gaps(conn: psycopg.AsyncConnection[DictRow], units: Sequence[EventUnit]) -> None:
    """Write down what will never come, what the lockers say of it, and what could not be taken."""
    gaps = [unit for unit in units if unit.gap is not None]
    if gaps:
        await conn.execute(statement("gaps_add"), _gap_columns(gaps))
    # A locker tells of a gap behind the gap, in the same message or in a later one, and never of one that comes
    # later: so all gaps first, and then all that is said.
    told: dict[Key, list[DeclaredGap]] = {}
    for unit in units:
        if unit.told:
            told.setdefault(unit.key, []).extend(unit.told)
        if unit.spoiled:
            await _keep(conn, unit.spoiled)
    if told:
        await conn.execute(statement("gaps_tell"), _told_columns(told))


def _gap_columns(units: Sequence[EventUnit]) -> dict[str, Any]:
    ranges = [unit.gap for unit in units if unit.gap is not None]
    return {
        "lockers": _texts([unit.key[0] for unit in units]),
        "epochs": _texts([unit.key[1].hex for unit in units]),
        "froms": _numbers([first for first, _ in ranges]),
        "tos": _numbers([last for _, last in ranges]),
    }


def _told_columns(told: Mapping[Key, Sequence[DeclaredGap]]) -> dict[str, Any]:
    each = [(key, one) for key, ranges in told.items() for one in disjoint(ranges)]
    return {
        "lockers": _texts([key[0] for key, _ in each]),
        "epochs": _texts([key[1].hex for key, _ in each]),
        "froms": _numbers([one.from_seq for _, one in each]),
        "tos": _numbers([one.to_seq for _, one in each]),
        # A locker's own words: psycopg quotes them.
        "reasons": [one.reason for _, one in each],
        "gaps_max": GAPS_TOLD_MAX,
        "per_ledger_max": GAPS_PER_LEDGER_MAX,
    }


async def _keep(conn: psycopg.AsyncConnection[DictRow], rows: Sequence[Quarantined]) -> None:
    async with conn.cursor() as cursor:
        await cursor.executemany(statement("quarantine_add"), [quarantine_row(row) for row in rows])


def _columns(spans: dict[Key, _Span]) -> dict[str, str]:
    # Written as array literals: psycopg's own lists cost the hub three times as much.
    values = list(spans.values())
    return {
        "lockers": _texts([key[0] for key in spans]),
        "epochs": _texts([key[1].hex for key in spans]),
        "olds": _numbers([span.first_seq for span in values]),
        "nexts": _numbers([span.next_seq for span in values]),
        "prevs": _texts([span.prev for span in values]),
        "chains": _texts([span.chain for span in values]),
        "quarantined": _numbers([span.quarantined for span in values]),
        "missing": _numbers([span.missing for span in values]),
    }


def _texts(values: Sequence[str | None]) -> str:
    # Ids and hex digits: nothing in them needs an escape, but a locker may be called "null".
    return "{" + ",".join(["NULL" if value is None else '"' + value + '"' for value in values]) + "}"


def _numbers(values: Sequence[int]) -> str:
    return "{" + ",".join(map(str, values)) + "}"


def _page(locker: str | None, after: Key | None, limit: int) -> dict[str, Any]:
    after_locker, after_epoch = after or (None, None)
    return {"locker": locker, "after_locker": after_locker, "after_epoch": after_epoch, "limit": limit}


def _range(key: Key, first_seq: int, last_seq: int) -> dict[str, Any]:
    return {"locker": key[0], "epoch": key[1], "first_seq": first_seq, "last_seq": last_seq}


def _key(row: DictRow) -> Key:
    locker: str = row["locker_id"]
    epoch: UUID = row["epoch"]
    return locker, epoch
