"""A person of whom something is stored in every table, and a database that is searched for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from hub.core.people.codes import digest_of
from hub.core.people.passwords import hashed
from hub.core.people.privacy_requests import Check, CheckHow, PrivacyRight
from hub.core.people.transactions import TransactionState
from hub.keys import load_or_make_proof_key
from hub.people.eraser import Eraser
from hub.people.journal import ErasureJournal
from hub.store.audit import audit
from hub.store.database import Database
from hub.store.people import AccountStore, By
from hub.store.privacy_requests import PrivacyRequestStore
from hub.store.statistics import recount
from hub.store.tenants import TenantChange, set_tenant
from hub.store.transactions import NewTransaction, Transactions

NOW = datetime(2026, 11, 21, 8, tzinfo=UTC)
BY = By("anna", NOW)
EMAIL = "Berta.Müller+lockers@example.org"
NAME = "Berta Müller"
BADGE = "BADGE-4711-0815"
PASSWORD = "correct horse battery"
CODE = "7QK4MZ0RPD"
SECRET = bytes(32)


@dataclass(frozen=True)
class Person:
    account: UUID
    actor: UUID
    transaction: UUID
    request: UUID

    @property
    def needles(self) -> list[str]:
        """What must be nowhere once they are erased."""
        return [
            EMAIL, EMAIL.lower(), "berta.m", NAME, BADGE, str(self.actor), self.actor.hex, str(self.account),
            self.account.hex,
        ]  # fmt: skip


def eraser_of(store: Database, directory: Path, **options: object) -> Eraser:
    return Eraser(store, journal_of(directory), recount, delivery_ms=10_000, **options)  # type: ignore[arg-type]


def journal_of(directory: Path) -> ErasureJournal:
    return ErasureJournal(directory, lambda: load_or_make_proof_key(directory / "key.pem"))


async def switch_on(store: Database) -> None:
    await set_tenant(store, TenantChange(badges=True, codes=True, transactions=True), BY)


async def person(store: Database, *, email: str = EMAIL, badge: str = BADGE, code: str = CODE) -> Person:
    """Make a person with something in every table that has people, but events."""
    people, transactions, rights = AccountStore(store), Transactions(store), PrivacyRequestStore(store)
    account = (await people.create(email, NAME, BY))["id"]
    actor = (await people.account(account))["actor"]
    await people.set_credential(account, hashed(PASSWORD, bytes(16)), BY)
    await people.add_badge(account, badge, BY)
    version = await people.publish_notice("How we use your data", NOW, BY)
    await people.accept_notice(account, version, BY)
    ended = await transactions.open(NewTransaction(account, "repair", "berlin-01", 2, None), BY)
    await transactions.end(ended["id"], TransactionState.COMPLETED, BY)
    await transactions.rate(ended["id"], 5, f"{NAME} is happy", BY)
    under_way = await transactions.open(NewTransaction(account, "collect_asset", "berlin-01", 1, None), BY)
    await transactions.add_code(under_way["id"], digest_of(SECRET, "default", code), NOW + timedelta(hours=1), BY)
    request = (await rights.open(account, PrivacyRight.ERASURE, BY, by_agent=False))["id"]
    await rights.check(request, Check.IDENTITY, CheckHow.RECORDED, f"passport of {NAME}", BY)
    found = Person(account, actor, under_way["id"], request)
    async with store.transaction() as conn:
        await audit(conn, at=NOW, who="hub", action="test.seen", subject=f"actor:{actor}", detail={})
        for command, reason, args, by_actor in (
            (uuid4(), f"for {NAME}", None, actor),
            (uuid4(), f"told {email.upper()} so", Jsonb({"who": str(actor)}), None),
        ):
            await conn.execute(
                "INSERT INTO command (id, locker_id, kind, actor_id, reason, args, accepted_at, deadline_ms, state,"
                " detail, late, stages_ms) VALUES (%s, 'berlin-01', 'open', %s, %s, %s, %s, 2000, 'succeeded', %s,"
                " false, '{}')",
                (command, by_actor, reason, args, NOW, f"by {actor}"),
            )
        job = uuid4()
        await conn.execute(
            "INSERT INTO job (id, kind, args, reason, filter, request_sha256, created_at, created_by, expires_s,"
            " rate_per_minute, canaries, abort_share, abort_min_count, targets, openings, state, why)"
            " VALUES (%s, 'configure', %s, %s, %s, '', %s, 'anna', 60, 1, 0, 0.5, 1, 1, 0, 'done', %s)",
            (job, Jsonb({"a": str(actor)}), f"asked by {email}", Jsonb({"q": email}), NOW, f"{actor} is right"),
        )
        await conn.execute(
            "INSERT INTO job_target VALUES (%s, 0, 'berlin-01', 1, %s, 'failed', %s)", (job, uuid4(), f"no {actor}")
        )
        await conn.execute(
            "INSERT INTO job_step (job_id, at, operator, state, detail) VALUES (%s, %s, 'anna', 'done', %s)",
            (job, NOW, f"{email} waits"),
        )
        await conn.execute(
            "INSERT INTO quarantine (received_at, topic, reason, detail, payload, payload_bytes, locker_id)"
            " VALUES (%s, 't', 'unreadable', %s, %s, 9, 'berlin-01')",
            (NOW, f"at {str(actor).upper()}", f'{{"actor":"{actor}","mail":"{email}"}}'.encode()),
        )
    return found


EPOCH = UUID(int=7)


def add_events(
    dsn: str,
    locker: str,
    actors: Sequence[UUID | None],
    *,
    since: datetime = NOW - timedelta(days=300),
    step: timedelta = timedelta(minutes=30),
    first: int = 1,
    transaction: UUID | None = None,
) -> None:
    """Store an event for each actor, `step` apart, with the ledger's cursor behind them."""
    with psycopg.connect(dsn) as conn:
        for place, actor in enumerate(actors):
            at = since + place * step
            conn.execute(
                "INSERT INTO event (occurred_at, received_at, tenant_id, locker_id, epoch, seq, kind, door,"
                " actor_id, transaction_id, clock, stamped_at, data)"
                " VALUES (%s, %s, 'default', %s, %s, %s, %s, 1, %s, %s, 'synced', %s, %s)",
                (
                    at, at, locker, EPOCH, first + place, ("door.opened", "door.closed")[place % 2], actor,
                    transaction if actor is not None else None, at,
                    None if actor is None else Jsonb({"command": {"actor": str(actor)}}),
                ),
            )  # fmt: skip
        conn.execute(
            "INSERT INTO ledger_cursor (locker_id, epoch, next_seq) VALUES (%s, %s, %s)"
            " ON CONFLICT (locker_id, epoch) DO UPDATE SET next_seq = excluded.next_seq",
            (locker, EPOCH, first + len(actors)),
        )


def found_in(dsn: str, needles: Sequence[str], *, without: Sequence[str] = ()) -> dict[str, int]:
    """Search every text, json, uuid and bytea column of every table; return the columns where one of them is."""
    query = (
        "SELECT c.table_name, c.column_name, c.data_type FROM information_schema.columns c"
        " JOIN information_schema.tables t USING (table_schema, table_name)"
        " WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE'"
        " AND (c.data_type IN ('text', 'uuid', 'bytea', 'json', 'jsonb', 'ARRAY', 'character varying'))"
    )
    found = {}
    with psycopg.connect(dsn, autocommit=True) as conn:
        for table, column, kind in conn.execute(query).fetchall():
            if table in without:
                continue
            value = sql.SQL("encode({}, 'escape')" if kind == "bytea" else "{}::text").format(
                sql.Identifier(column)
            )
            hits = conn.execute(
                sql.SQL(
                    "SELECT count(*) FROM {} WHERE EXISTS (SELECT FROM unnest(%s::text[]) n"
                    " WHERE position(lower(n) IN lower({})) > 0)"
                ).format(sql.Identifier(table), value),
                (list(needles),),
            ).fetchone()
            if hits is not None and hits[0]:
                found[f"{table}.{column}"] = hits[0]
    return found
