"""Runs of retention and their proofs, in the table `retention_run`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from hub.core.retention.proof import Proof
from hub.store.audit import audit
from hub.store.database import Database
from hub.store.series import Connection
from hub.store.statements import statement

_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run that has begun and is not sealed: it is under way, or was ended in the middle."""

    number: int
    began_at: datetime
    began: dict[str, Any]


class ProofStore:
    """Reads and writes runs. Errors are StoreUnavailable."""

    def __init__(self, store: Database) -> None:
        self._store = store

    async def begin(self, began_at: datetime, began: dict[str, Any]) -> int:
        """Open a run; return its number. StoreRejected if there is an open one."""
        rows = await self._store.fetch("retention_run_add", {"began_at": began_at, "began": Jsonb(began)})
        return int(rows[0]["number"])

    async def open_run(self) -> OpenRun | None:
        """Return the run that is not sealed, if there is one."""
        rows = await self._store.fetch("retention_run_open")
        return OpenRun(**rows[0]) if rows else None

    async def steps(self, number: int) -> list[DictRow]:
        """Return what a run has done."""
        return await self._store.fetch("retention_steps", {"number": number})

    async def seal(
        self, proof: Proof, sealed_at: datetime, *, by: str, before_commit: Callable[[], Awaitable[None]]
    ) -> None:
        """Write the proof into its run and into the audit, having called `before_commit`."""
        async with self._store.transaction() as conn:
            await conn.execute(statement("retention_run_seal"), _values(proof, sealed_at))
            await before_commit()
            await _note(conn, proof, sealed_at, by, "retention.sealed")

    async def restore(self, proof: Proof, began_at: datetime, sealed_at: datetime, *, at: datetime) -> None:
        """Put a proof back into the table from its file."""
        async with self._store.transaction() as conn:
            values = {**_values(proof, sealed_at), "began_at": began_at}
            await conn.execute(statement("retention_run_restore"), values)
            await _note(conn, proof, at, "hub", "retention.restored")

    async def note_files(self, count: int, by: str, at: datetime) -> None:
        """Write into the audit that missing files were written again."""
        async with self._store.transaction() as conn:
            await audit(
                conn, at=at, who=by, action="retention.files_restored", subject=None, detail={"files": count}
            )

    async def newest(self) -> DictRow | None:
        """Return the newest sealed run."""
        rows = await self.page(below=None, limit=1)
        return rows[0] if rows else None

    async def page(self, *, below: int | None, limit: int) -> list[DictRow]:
        """Return sealed runs, newest first."""
        return await self._proofs(newest=True, below=below, limit=limit)

    async def one(self, number: int) -> DictRow | None:
        """Return one sealed run."""
        rows = await self._proofs(number=number, limit=1)
        return rows[0] if rows else None

    async def all(self) -> list[DictRow]:
        """Return all sealed runs in order."""
        found: list[DictRow] = []
        while rows := await self._proofs(after=found[-1]["number"] if found else 0, limit=_PAGE):
            found += rows
        return found

    async def _proofs(
        self,
        *,
        limit: int,
        number: int | None = None,
        after: int | None = None,
        below: int | None = None,
        newest: bool = False,
    ) -> list[DictRow]:
        values = {"number": number, "after": after, "below": below, "newest": newest, "limit": limit}
        return await self._store.fetch("retention_proofs", values)


def _values(proof: Proof, sealed_at: datetime) -> dict[str, Any]:
    return {"number": proof.number, "sealed_at": sealed_at, "proof": proof.data, "sha256": proof.sha256}


async def _note(conn: Connection, proof: Proof, at: datetime, who: str, action: str) -> None:
    detail = {"number": proof.number, "sha256": proof.sha256}
    await audit(conn, at=at, who=who, action=action, subject=None, detail=detail)
