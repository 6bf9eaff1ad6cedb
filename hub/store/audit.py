"""The audit in the database: written in the transaction of what it tells of, so that neither is there alone."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson
import psycopg
from psycopg.rows import DictRow

from hub.core.people.chain import SALT_BYTES, AuditRow, Verification, chained, digest_of_subject
from hub.store.database import Database
from hub.store.statements import statement

_PAGE_ROWS: Final = 5000
_FAULTS_MAX: Final = 100


async def audit(
    conn: psycopg.AsyncConnection[DictRow],
    *,
    at: datetime,
    who: str,
    action: str,
    subject: str | None,
    detail: dict[str, Any],
) -> int:
    """Write a row behind the newest one, in the caller's transaction; return its number.

    Args:
        conn: in a transaction. From here to its end nobody else writes to the audit: call it as the last thing.
        at: when.
        who: an operator's name, or `hub`.
        action: what was done, as `account.create`: a-z, `_` and dots.
        subject: `kind:id` of what it was done to, as `account:…`, `hold:…`, `locker:berlin-01`. Of a person only
            the random ids; it is emptied when they are erased.
        detail: more of it, as JSON has it. It cannot be emptied, so it has nothing of a person in it, no id either.
    """
    head = await (await conn.execute(statement("audit_lock"))).fetchone()
    assert head is not None, "it is there since the migration"  # noqa: S101
    salt = None if subject is None else secrets.token_bytes(SALT_BYTES)
    digest = None if subject is None or salt is None else digest_of_subject(salt, subject)
    text = orjson.dumps(detail, option=orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z).decode()
    row = AuditRow(head["id"] + 1, at, who, action, subject, salt, digest, text, b"")
    new_hash = chained(head["hash"], row)
    values = {name: getattr(row, name) for name in AuditRow.__slots__} | {"hash": new_hash}
    await conn.execute(statement("audit_add"), values)
    await conn.execute(statement("audit_advance"), {"id": row.id, "hash": new_hash})
    return row.id


@dataclass(frozen=True, slots=True)
class AuditVerdict:
    """What the walk along the whole chain found. `faults`: sentences, the first hundred."""

    rows: int
    emptied: int
    anchor: int
    head: int
    head_sha256: str
    faults: list[str]


async def verify_audit(store: Database) -> AuditVerdict:
    """Compute every hash again, from the anchor to the head as they are when it begins. Raises StoreUnavailable."""
    (ends,) = await store.fetch("audit_ends")
    walk = Verification(ends["anchor_id"], ends["anchor_hash"])
    faults: list[str] = []
    after, head = ends["anchor_id"], ends["head_id"]
    while rows := await store.fetch("audit_rows", {"after": after, "limit": _PAGE_ROWS}):
        for values in rows:
            after = values["id"]
            if after > head:
                break
            fault = walk.take(AuditRow(**values))
            if fault is not None and len(faults) < _FAULTS_MAX:
                faults.append(fault)
        if after >= head:
            break
    end = walk.end(head, ends["head_hash"])
    if end is not None:
        faults.append(end)
    return AuditVerdict(walk.rows, walk.emptied, ends["anchor_id"], head, ends["head_hash"].hex(), faults)


async def audit_page(
    store: Database,
    *,
    limit: int,
    before: int | None = None,
    who: str | None = None,
    action: str | None = None,
    subject: str | None = None,
) -> list[DictRow]:
    """Return rows, newest first: those before the number `before`, of this operator, action and subject."""
    return await store.fetch(
        "audit_page",
        {"limit": limit, "before": before, "who": who, "action": action, "subject": subject},
    )
