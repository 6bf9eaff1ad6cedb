"""A database that answers, with errors: each SQLSTATE that an operator can bring about, over a hub under load."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

import psycopg

from faults.database import ROLE, Database
from faults.rig import Rig
from faults.row import Run, row
from faults.waiting import until

_Admin = psycopg.AsyncConnection[tuple[Any, ...]]
Refusal = Callable[[Database], AbstractAsyncContextManager[None]]

_ADMINISTRATOR: Final = "administrator"
_ELSEWHERE: Final = "postgres"
_AWAY: Final = f"{ROLE}_away"
_WAIT_S_MAX: Final = 30.0
_OPENINGS: Final = 20
_OPENINGS_QUICK: Final = 4
_TABLES: Final = "event, ledger_cursor"


@row(35, "the database answers with errors", "N D A, openings in their budget")
async def refuse_everything(run: Run) -> None:
    """Let it be read-only, renamed, full of connections, slow, locked, without rights, failing for one locker."""
    database = run.rig.database
    async with _without_superuser(database):
        for _ in run.times(quick=1, full=4):
            for words, refusal in REFUSALS.items():
                await run.traffic(2)
                before = _log_count(run.rig, words)
                async with refusal(database):
                    await _await_log_line(run.rig, words, before)
                    run.injected()
                    await _openings_succeed(run)
                await run.rig.hub.ready()


async def _await_log_line(rig: Rig, words: str, before: int) -> None:
    # By its own words: a session that was ended on the way is an error too, and not the one that is meant.
    await until(lambda: _log_count(rig, words) > before, _WAIT_S_MAX, f"the hub is told: {words}")


async def _openings_succeed(run: Run) -> None:
    """Wait for callers who came from now on, however long the machine takes; each must have had the door."""
    began, workload = run.now(), run.rig.workload
    count = _OPENINGS if run.full else _OPENINGS_QUICK
    await until(
        lambda: len(workload.since(began)) >= count,
        _WAIT_S_MAX,
        f"{count} callers served without the database",
    )
    run.in_budget(run.latency(began))
    failed = [answer.state for answer in workload.since(began) if answer.state != "succeeded"]
    run.expect(not failed, f"openings failed while the database refused: {failed[:5]}")


@asynccontextmanager
async def _without_superuser(database: Database) -> AsyncIterator[None]:
    """Make the hub's role an ordinary one that owns its tables: a superuser is refused nothing."""
    async with await _connect(database, ROLE, user=ROLE) as hub_role:
        await hub_role.execute(f"CREATE ROLE {_ADMINISTRATOR} SUPERUSER LOGIN".encode())
    try:
        await _execute(database, f"ALTER ROLE {ROLE} NOSUPERUSER")
        yield
    finally:
        await _execute(database, f"ALTER ROLE {ROLE} SUPERUSER")
        async with await _connect(database, ROLE, user=ROLE) as hub_role:
            await hub_role.execute(f"DROP ROLE {_ADMINISTRATOR}".encode())


@asynccontextmanager
async def _read_only(database: Database) -> AsyncIterator[None]:
    """25006. A session keeps what it was made with: all are ended here, and renewed by the hub afterwards."""
    try:
        await _execute(database, f"ALTER DATABASE {ROLE} SET default_transaction_read_only = on")
        await _end_sessions(database)
        yield
    finally:
        await _execute(database, f"ALTER DATABASE {ROLE} RESET default_transaction_read_only")


@asynccontextmanager
async def _renamed(database: Database) -> AsyncIterator[None]:
    """55000 while it takes nobody, then 3D000."""
    try:
        await _execute(database, f"ALTER DATABASE {ROLE} ALLOW_CONNECTIONS false")
        await until(lambda: _renames(database), _WAIT_S_MAX, "the database is renamed")
        yield
    finally:
        if await _scalar(database, f"SELECT count(*) FROM pg_database WHERE datname = '{_AWAY}'"):
            await _execute(database, f"ALTER DATABASE {_AWAY} RENAME TO {ROLE}")
        await _execute(database, f"ALTER DATABASE {ROLE} ALLOW_CONNECTIONS true")


@asynccontextmanager
async def _no_connection_left(database: Database) -> AsyncIterator[None]:
    """53300, as soon as somebody connects."""
    try:
        await _execute(database, f"ALTER DATABASE {ROLE} CONNECTION LIMIT 0")
        await _end_sessions(database)
        yield
    finally:
        await _execute(database, f"ALTER DATABASE {ROLE} CONNECTION LIMIT -1")


@asynccontextmanager
async def _revoked(database: Database) -> AsyncIterator[None]:
    """42501."""
    try:
        await _execute(database, f"REVOKE ALL ON {_TABLES} FROM {ROLE}", ROLE)
        yield
    finally:
        await _execute(database, f"GRANT ALL ON {_TABLES} TO {ROLE}", ROLE)


@asynccontextmanager
async def _locked(database: Database) -> AsyncIterator[None]:
    """55P03: held until the hub's own limit for a lock is over."""
    async with await _connect(database, ROLE) as admin, admin.transaction():
        await admin.execute("LOCK TABLE ledger_cursor IN ACCESS EXCLUSIVE MODE")
        yield


@asynccontextmanager
async def _triggered(database: Database, table: str, each: str, body: str) -> AsyncIterator[None]:
    function = f"CREATE FUNCTION refusal() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {body} RETURN NEW; END$$"
    trigger = f"BEFORE INSERT OR UPDATE ON {table} FOR EACH {each} EXECUTE FUNCTION refusal()"
    await _execute(database, function, ROLE)
    try:
        await _execute(database, f"CREATE TRIGGER refusal {trigger}", ROLE)
        yield
    finally:
        await _execute(database, "DROP FUNCTION refusal CASCADE", ROLE)


def _slow(database: Database) -> AbstractAsyncContextManager[None]:
    """57014: a statement takes longer than the hub allows."""
    return _triggered(database, "ledger_cursor", "STATEMENT", "PERFORM pg_sleep(60);")


def _idle(database: Database) -> AbstractAsyncContextManager[None]:
    """25P03: a transaction that pauses is ended. Sessions keep that limit, so this is the last of a round."""
    limit = "PERFORM set_config('idle_in_transaction_session_timeout', '1ms', false);"
    return _triggered(database, "ledger_cursor", "STATEMENT", limit)


def _one_locker(database: Database) -> AbstractAsyncContextManager[None]:
    """XX000 for the rows of one locker; those of others are taken."""
    body = "IF NEW.locker_id = 'box-01' THEN RAISE 'refused' USING ERRCODE = 'XX000'; END IF;"
    return _triggered(database, "event", "ROW", body)


REFUSALS: Final[dict[str, Refusal]] = {
    "cannot execute UPDATE in a read-only transaction": _read_only,
    f'database \\"{ROLE}\\" does not exist': _renamed,
    "too many connections for database": _no_connection_left,
    "permission denied for table": _revoked,
    "due to lock timeout": _locked,
    "due to statement timeout": _slow,
    "(SQLSTATE XX000)": _one_locker,
    "due to idle-in-transaction timeout": _idle,
}
"""By the words that the hub writes down as it meets them."""


async def _renames(database: Database) -> bool:
    """Rename it, unless somebody is still there."""
    await _end_sessions(database)
    try:
        await _execute(database, f"ALTER DATABASE {ROLE} RENAME TO {_AWAY}")
    except psycopg.errors.ObjectInUse:
        return False
    return True


async def _end_sessions(database: Database) -> None:
    sessions = f"FROM pg_stat_activity WHERE datname = '{ROLE}' AND pid <> pg_backend_pid()"
    await _scalar(database, f"SELECT count(pg_terminate_backend(pid)) {sessions}")


async def _execute(database: Database, command: str, name: str = _ELSEWHERE) -> None:
    """Run one command as the administrator, in another database unless it is named."""
    async with await _connect(database, name) as admin:
        await admin.execute(command.encode())


async def _scalar(database: Database, query: str) -> int:
    async with await _connect(database, _ELSEWHERE) as admin:
        found = await (await admin.execute(query.encode())).fetchone()
    assert found is not None
    return int(found[0])


async def _connect(database: Database, name: str, user: str = _ADMINISTRATOR) -> _Admin:
    return await psycopg.AsyncConnection.connect(
        database.dsn, dbname=name, user=user, autocommit=True, connect_timeout=5
    )


def _log_count(rig: Rig, words: str) -> int:
    return (rig.directory / "hub.log").read_text().count(words)
