"""What goes by the rules beside the time series: jobs, quarantine, requests, the audit; and what is left of all."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from psycopg.rows import DictRow

from hub.core.retention.plan import Chunk, RetentionAction
from hub.core.retention.policy import Category, CutOffs, Policy
from hub.core.retention.series import SERIES, TimeSeriesKind
from hub.store.database import Database
from hub.store.series import (
    Connection,
    DeletedCount,
    SeriesScope,
    SeriesStore,
    composed,
    cut_off_values,
    record_deleted_numbers,
    write_step,
)
from hub.store.statements import statement

FINDINGS_MAX: Final = 100
"""How many ledgers with something wrong are named."""

_ROWS_MAX: Final = 5000
_JOBS_MAX: Final = 5


@dataclass(frozen=True, slots=True)
class Overdue:
    """Rows below a cut-off: kept by a hold as the run found it, come since it began, or neither."""

    held: int
    late: int
    overdue: int
    oldest: datetime | None


class RetentionStore:
    """Counts and deletes. Errors are StoreUnavailable and StoreError."""

    def __init__(self, store: Database) -> None:
        self._store = store
        self.series = SeriesStore(store)

    async def tenants(self) -> list[str]:
        """Return the tenants that there are."""
        return [row["id"] for row in await self._store.fetch("retention_tenants")]

    async def jobs_due(self, before: datetime, now: datetime) -> DeletedCount:
        """Count jobs that were made before a time and have ended. A hold on one of its lockers keeps a job."""
        (row,) = await self._store.fetch("retention_jobs_due", {"before": before, "now": now})
        return DeletedCount(row["due"], row["held"], row["oldest"])

    async def delete_jobs(self, run: int, before: datetime, now: datetime) -> int:
        """Delete a few of them, with all of their targets and steps; return how many."""

        async def work(conn: Connection) -> int:
            await conn.execute(statement("retention_hold_lock"))
            values = {"before": before, "now": now, "rows_max": _JOBS_MAX}
            removed = (await conn.execute(statement("retention_jobs_delete"), values)).rowcount
            return await _step(conn, run, Category.JOB, "job", RetentionAction.ROWS, removed)

        return await self.series.patiently(work)

    async def quarantine_due(
        self, before: datetime, events: CutOffs, now: datetime
    ) -> dict[RetentionAction, DeletedCount]:
        """Count what is to be deleted, and what is to be emptied because its number is still needed."""
        (row,) = await self._store.fetch(
            "retention_quarantine_due", {**cut_off_values(events), "before": before, "now": now}
        )
        return {
            RetentionAction.ROWS: DeletedCount(row["rows"], row["rows_held"], row["oldest"]),
            RetentionAction.EMPTIED: DeletedCount(row["emptied"], row["emptied_held"], row["oldest"]),
        }

    async def empty_quarantine(self, run: int, before: datetime, now: datetime) -> int:
        """Empty some rows that hold a number; return how many."""

        async def work(conn: Connection) -> int:
            await conn.execute(statement("retention_hold_lock"))
            values = {"before": before, "now": now, "rows_max": _ROWS_MAX}
            removed = (await conn.execute(statement("retention_quarantine_empty"), values)).rowcount
            return await _step(conn, run, Category.QUARANTINE, "quarantine", RetentionAction.EMPTIED, removed)

        return await self.series.patiently(work)

    async def delete_quarantine(self, run: int, before: datetime, events: CutOffs, now: datetime) -> int:
        """Delete some rows; what had numbers in ledgers counts as gone from then on. Return how many."""

        async def work(conn: Connection) -> int:
            await conn.execute(statement("retention_hold_lock"))
            values = {**cut_off_values(events), "before": before, "now": now, "rows_max": _ROWS_MAX}
            found = await (await conn.execute(statement("retention_quarantine_delete"), values)).fetchall()
            numbered = [row for row in found if row["numbers"] is not None]
            if numbered:
                await conn.execute(
                    statement("retention_quarantine_let_go"),
                    {
                        "lockers": [row["locker"] for row in numbered],
                        "epochs": [row["epoch"] for row in numbered],
                        "numbered": [row["numbered"] for row in numbered],
                    },
                )
                await record_deleted_numbers(
                    conn, [(row["locker"], row["epoch"], row["numbers"]) for row in numbered]
                )
            removed = sum(row["deleted"] for row in found)
            return await _step(conn, run, Category.QUARANTINE, "quarantine", RetentionAction.ROWS, removed)

        return await self.series.patiently(work)

    async def alarms_due(self, cut_offs: CutOffs, now: datetime) -> dict[str, DeletedCount]:
        """Count alarms that were closed, and maintenance that was over, long enough ago, by table."""
        values = {**cut_off_values(cut_offs), "now": now}
        (alarms,) = await self._store.fetch("retention_alarms_due", values)
        (windows,) = await self._store.fetch("retention_maintenance_due", values)
        return {
            "alarm": DeletedCount(alarms["due"], alarms["held"], alarms["oldest"]),
            "maintenance": DeletedCount(windows["due"], 0, windows["oldest"]),
        }

    async def delete_alarms(self, run: int, cut_offs: CutOffs, now: datetime) -> int:
        """Delete some of them; return how many."""

        async def work(conn: Connection) -> int:
            await conn.execute(statement("retention_hold_lock"))
            values = {**cut_off_values(cut_offs), "now": now, "rows_max": _ROWS_MAX}
            removed = 0
            for table, name in (
                ("alarm", "retention_alarms_delete"),
                ("maintenance", "retention_maintenance_delete"),
            ):
                gone = (await conn.execute(statement(name), values)).rowcount
                removed += await _step(conn, run, Category.ALARM, table, RetentionAction.ROWS, gone)
            return removed

        return await self.series.patiently(work)

    async def rights_due(self, cut_offs: CutOffs, now: datetime) -> DeletedCount:
        """Count requests of people that were answered long enough ago. A hold on the person keeps them."""
        (row,) = await self._store.fetch("retention_rights_due", {**cut_off_values(cut_offs), "now": now})
        return DeletedCount(row["due"], row["held"], row["oldest"])

    async def delete_rights(self, run: int, cut_offs: CutOffs, now: datetime) -> int:
        """Delete some of them; return how many."""

        async def work(conn: Connection) -> int:
            await conn.execute(statement("retention_hold_lock"))
            values = {**cut_off_values(cut_offs), "now": now, "rows_max": _ROWS_MAX}
            removed = (await conn.execute(statement("retention_rights_delete"), values)).rowcount
            return await _step(conn, run, Category.RIGHTS, "rights_request", RetentionAction.ROWS, removed)

        return await self.series.patiently(work)

    async def audit_due(self, before: datetime) -> DeletedCount:
        """Count rows of the audit from before a time."""
        (row,) = await self._store.fetch("retention_audit_due", {"before": before})
        return DeletedCount(row["due"], 0, row["oldest"])

    async def delete_audit(self, run: int, before: datetime) -> int:
        """Delete some of its oldest rows, and keep the hash of the last one; return how many."""

        async def work(conn: Connection) -> int:
            values = {"before": before, "rows_max": _ROWS_MAX}
            row = await (await conn.execute(statement("retention_audit_delete"), values)).fetchone()
            removed = 0 if row is None else int(row["deleted"])
            return await _step(conn, run, Category.AUDIT, "audit", RetentionAction.ROWS, removed)

        return await self.series.patiently(work)

    async def audit_anchor(self) -> dict[str, Any]:
        """Return where the audit begins: the number and the hash of the newest row that has gone."""
        (row,) = await self._store.fetch("retention_audit_anchor")
        return row

    async def accounts_due(self, cut_offs: CutOffs) -> list[UUID]:
        """Return accounts that were deactivated long enough ago."""
        return [row["id"] for row in await self._store.fetch("retention_accounts_due", cut_off_values(cut_offs))]

    async def note_accounts(self, run: int, erased: int) -> None:
        """Write down how many accounts a run had erased."""
        async with self._store.transaction() as conn:
            await _step(conn, run, Category.ACCOUNT, "account", RetentionAction.ROWS, erased)

    async def note_codes(self, run: int, deleted: int) -> None:
        """Write down how many codes a run had deleted."""
        async with self._store.transaction() as conn:
            await _step(conn, run, Category.CODE, "access_code", RetentionAction.ROWS, deleted)

    async def oldest(self) -> dict[str, datetime | None]:
        """Return the time of the oldest row of every series, by table."""
        found: dict[str, datetime | None] = {}
        async with self._store.transaction() as conn:
            for series in SERIES:
                whole = Chunk(series.table, None, None)
                query = composed(series, whole, statement("retention_oldest"))
                row = await (await conn.execute(query)).fetchone()
                found[series.table] = None if row is None else row["oldest"]
        return found

    async def oldest_free(self, policy: Policy, now: datetime) -> dict[Category, datetime | None]:
        """Return the time of the oldest row of each category that no hold keeps; None where there is none.

        What lies below its cut-off beside the series counts as kept where there is any hold at all.
        """
        reaches = await self.series.reaches(now)
        found: dict[Category, datetime | None] = {}
        oldest = await self.oldest()
        for series in SERIES:
            whole, cut_offs = Chunk(series.table, None, None), policy.cut_offs(series.category, now)
            at = oldest[series.table]
            if at is not None and at < cut_offs.earliest and reaches:
                at = (await self.series.due(SeriesScope(0, series, whole, cut_offs, now, held=True))).oldest
            found[series.category] = _earlier(found.get(series.category), at)
        (row,) = await self._store.fetch("retention_oldest_beside")
        for category in (
            Category.ACCOUNT, Category.JOB, Category.ALARM, Category.AUDIT, Category.QUARANTINE, Category.RIGHTS,
        ):  # fmt: skip
            at = row[category.value]
            held = at is not None and bool(reaches) and at < policy.cut_offs(category, now).earliest
            found[category] = None if held else at
        return found

    async def kept_by(self, hold: UUID, series: TimeSeriesKind, cut_offs: CutOffs) -> int:
        """Count what one hold keeps of a series beyond its time."""
        query = composed(series, Chunk(series.table, None, None), statement("retention_hold_keeps"))
        async with self._store.transaction() as conn:
            row = await (await conn.execute(query, {**cut_off_values(cut_offs), "hold": hold})).fetchone()
        return 0 if row is None else int(row["kept"])

    async def active_holds(self, now: datetime) -> list[UUID]:
        """Return the holds that keep something."""
        return [row["id"] for row in await self._store.fetch("retention_holds", {"now": now})]

    async def overdue(
        self, series: TimeSeriesKind, cut_offs: CutOffs, began_at: datetime, sealed_at: datetime
    ) -> Overdue:
        """Judge what lies below the cut-offs of a run."""
        query = composed(series, Chunk(series.table, None, None), statement("retention_overdue"))
        values = {**cut_off_values(cut_offs), "began_at": began_at, "sealed_at": sealed_at}
        async with self._store.transaction() as conn:
            row = await (await conn.execute(query, values)).fetchone()
        assert row is not None, "it counts"  # noqa: S101
        return Overdue(row["held"], row["late"], row["overdue"], row["oldest"])

    async def chunks_there(self, names: Sequence[str]) -> list[str]:
        """Return which of these tables there are."""
        rows = await self._store.fetch("retention_chunks_there", {"names": list(names)})
        return [row["name"] for row in rows]

    async def ledgers_wrong(self) -> list[DictRow]:
        """Return ledgers whose counter of gone numbers is not what is written down of them."""
        return await self._store.fetch("retention_ledgers_wrong", {"rows_max": FINDINGS_MAX})

    async def resurrected(self) -> list[DictRow]:
        """Return ledgers with numbers that are gone and nevertheless stored."""
        return await self._store.fetch("retention_resurrected", {"rows_max": FINDINGS_MAX})


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((at for at in (one, other) if at is not None), default=None)


async def _step(
    conn: Connection, run: int, category: Category, table: str, act: RetentionAction, removed: int
) -> int:
    await write_step(conn, run, category.value, table, Chunk(table, None, None), act, removed)
    return removed
