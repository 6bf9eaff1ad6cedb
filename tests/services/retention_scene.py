"""What tests of retention share: rows of any age, and what is left of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from hub.config.settings import RetentionSettings
from hub.core.retention.verdict import ProofVerdict
from hub.core.verify import LedgerView, judge
from hub.retention.run import RetentionRun
from hub.retention.verification import verify
from hub.store.database import Database
from hub.store.ledgers import Ledgers
from tests.hub.scene import fresh_database, rows
from tests.services.conftest import Cluster

NOW = datetime(2033, 6, 16, 12, tzinfo=UTC)
CUT = datetime(2026, 6, 16, 12, tzinfo=UTC)
"""Seven years before: in the middle of a chunk of seven days, and of a month."""
TICK = timedelta(seconds=1)
OLD = CUT - timedelta(days=70)
EPOCH = UUID(int=7)
BERLIN, PARIS = "berlin-01", "paris-02"


@contextmanager
def two_lockers(cluster: Cluster) -> Iterator[str]:
    """A new database with a locker of each of two tenants, and partitions of the times that the tests are about."""
    with fresh_database(cluster) as name:
        rows(name, "SELECT make_partitions('event', '2026-03-01', 1), make_partitions('reading', '2026-03-01', 1)")
        rows(name, "INSERT INTO tenant (id, name) VALUES ('acme', 'Acme')")
        rows(name, "INSERT INTO locker (id, tenant_id, name) VALUES (%s, 'default', 'b'), (%s, 'acme', 'p')",
             BERLIN, PARIS)  # fmt: skip
        yield name


def build(store: Database, folder: Path, policy: str | None = None) -> RetentionRun:
    path = None
    if policy is not None:
        path = folder / "policy.toml"
        default = (Path(__file__).parents[2] / "hub/retention/policy.toml").read_text()
        path.write_text(default.replace("2026.1", "2026.1-test") + policy)
    config = RetentionSettings(
        directory=str(folder / "retention"), key_file=str(folder / "key.pem"),
        policy_file=None if path is None else str(path),
    )  # fmt: skip
    return RetentionRun(store, config, {"id": "hub", "version": "0"})


def events(
    dsn: str,
    *times: datetime,
    locker: str = BERLIN,
    tenant: str = "default",
    first: int = 1,
    actor: UUID | None = None,
) -> None:
    """Put events with consecutive numbers into a ledger, as they would lie there."""
    for seq, at in enumerate(times, first):
        event(dsn, seq, at, locker=locker, tenant=tenant, actor=actor)
    rows(dsn, "INSERT INTO ledger_cursor (locker_id, epoch, next_seq) VALUES (%s, %s, %s)"
         " ON CONFLICT (locker_id, epoch) DO UPDATE SET next_seq = excluded.next_seq",
         locker, EPOCH, first + len(times))  # fmt: skip


def event(
    dsn: str, seq: int, at: datetime, *, received: datetime | None = None, locker: str = BERLIN,
    tenant: str = "default", actor: UUID | None = None,
) -> None:  # fmt: skip
    rows(dsn, "INSERT INTO event (occurred_at, received_at, tenant_id, locker_id, epoch, seq, kind, actor_id,"
         " clock, stamped_at) VALUES (%s, %s, %s, %s, %s, %s, 'door.opened', %s, 'synced', %s)",
         at, received or at, tenant, locker, EPOCH, seq, actor, at)  # fmt: skip


def quarantined(dsn: str, seq: int | None, at: datetime) -> None:
    rows(dsn, "INSERT INTO quarantine (received_at, topic, reason, detail, payload, payload_bytes, locker_id,"
         " epoch, seq) VALUES (%s, 't', 'schema', 'why', 'text', 4, %s, %s, %s)",
         at, BERLIN, EPOCH, seq)  # fmt: skip


def left(dsn: str, locker: str = BERLIN) -> list[int]:
    return [seq for (seq,) in rows(dsn, "SELECT seq FROM event WHERE locker_id = %s ORDER BY seq", locker)]


def compress(dsn: str) -> int:
    """Compress every chunk, on TimescaleDB."""
    if rows(dsn, "SELECT to_regclass('timescaledb_information.chunks') IS NULL") == [(True,)]:
        return 0
    return len(rows(dsn, "SELECT compress_chunk(c, true) FROM show_chunks('event') c"))


async def ledger(store: Database, locker: str = BERLIN) -> LedgerView:
    counted = await Ledgers(store).count((locker, EPOCH))
    assert counted is not None
    return judge(counted)


async def verdict(store: Database, retention: RetentionRun) -> ProofVerdict:
    return await verify(store, retention, [(await retention.key()).public])


async def clean(store: Database, retention: RetentionRun) -> None:
    assert (await verdict(store, retention)).findings == []
