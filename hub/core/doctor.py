"""What is wrong with a database, by what was found in it: facts in, findings out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from hub.core.broker_terms import faults, miscounts

LATE_PERIODS: Final = 3
"""A task is late after so many of its periods without a success; the same in the alert UpkeepLate."""
COMPRESSION_GRACE_DAYS: Final = 7
SEALED_AGO_MAX: Final = timedelta(days=3)
RETENTION_RUN_MAX: Final = timedelta(days=1)
WAL_KEPT_BYTES_MAX: Final = 2**30
LEFT_OVER_S: Final = 86_400.0
"""A lease that ran out so long ago beside one that is held is taken for that of a former configuration."""
XID_AGE_MAX: Final = 1_000_000_000
"""Half of what PostgreSQL can bear; autovacuum begins at a fifth of this."""
HUB_OWN_CONNECTIONS: Final = 10
"""Beside its pool: two for each task of the upkeep that is running, and the command line."""

# What each has to be, and what happens otherwise.
_SETTINGS: Final = {
    "fsync": ("on", "a power cut can destroy the whole database"),
    "full_page_writes": ("on", "a power cut can tear pages apart"),
    "autovacuum": ("on", "tables grow without end, and at last the server stops"),
    "timescaledb.enable_skipscan": ("off", "queries may leave rows out"),
    "timescaledb.enable_compressed_skipscan": ("off", "queries may leave rows out"),
    "timescaledb.max_tuples_decompressed_per_dml_transaction": ("0", "late events and erasures may fail for ever"),
}


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """The server and the role that we are."""

    version: str
    role: str
    superuser: bool
    timezone: str
    settings: Mapping[str, str | None]
    """None: this server does not have it."""
    data_checksums: bool
    connections: int
    connections_max: int
    """Without those that are reserved."""
    database_bytes: int
    xid_age: int
    wal_kept_bytes: int
    """By replication slots that nobody reads."""
    invalid_indexes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SchemaFacts:
    """What of our schema is there."""

    form: str
    """timescaledb or plain."""
    at: int
    missing: int
    extension: str | None
    extension_offered: str | None
    """The version that the server could give to this database; None if it has none."""
    extension_enough: bool
    """The extension that is there or offered is new enough."""


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    """One of the tables that fill with time."""

    name: str
    bytes: int
    chunks: int
    """Chunks of a hypertable, or partitions; 1 of a table that has neither."""
    upto: datetime | None
    """Where the last partition ends; None for hypertables and plain tables."""
    oldest: datetime | None
    newest: datetime | None
    default_rows: int = 0
    """Rows that are in no month's partition."""
    compressed: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    """Of the compressed chunks."""
    overdue: int = 0
    """Chunks that should be compressed by now."""

    @property
    def ratio(self) -> float | None:
        """How many times smaller the compressed chunks are than they were."""
        return self.bytes_before / self.bytes_after if self.bytes_after else None


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """A row of the table `upkeep`."""

    task: str
    every_s: float
    known_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    succeeded_at: datetime | None
    error: str | None
    did: dict[str, Any] | None

    def late(self, now: datetime) -> bool:
        """Say whether it has not succeeded for too long."""
        return now - (self.succeeded_at or self.known_at) > timedelta(seconds=LATE_PERIODS * self.every_s)


@dataclass(frozen=True, slots=True)
class JobFacts:
    """A job inside TimescaleDB that somebody has added."""

    id: int
    proc: str
    table: str | None


@dataclass(frozen=True, slots=True)
class RetentionFacts:
    """What the retention's tables say."""

    sealed_at: datetime | None
    """When the newest run was sealed; None if there was none."""
    open_since: datetime | None
    """When the run began that has no end yet."""
    holds: int


@dataclass(frozen=True, slots=True)
class HubLeaseFacts:
    """A row of the table `hub_lease`: which of the hubs with the same accounts at one broker is active."""

    name: str
    holder: UUID | None
    """None: it was released, or never taken."""
    node: str | None
    """Where the holder runs, or ran last."""
    since: datetime | None
    renewed_ago_s: float
    """Negative: the database's clock was put back since."""
    expires_in_s: float
    """Negative: it has run out."""
    broker: str | None
    """What the broker said last of its version."""

    @property
    def held(self) -> bool:
        """Whether a hub is active by it."""
        return self.holder is not None and self.expires_in_s > 0


@dataclass(frozen=True, slots=True)
class StandbyFacts:
    """A hub that waits for a lease; the database cannot say for which one."""

    address: str | None
    """None: a socket of this machine, or the session of another role."""
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Facts:
    """All that was found."""

    at: datetime
    """By the database's clock."""
    server: ServerFacts
    schema: SchemaFacts
    series: tuple[SeriesFacts, ...] = ()
    tables: Mapping[str, int] = field(default_factory=dict)
    """Bytes of the other tables."""
    upkeep: tuple[TaskFacts, ...] = ()
    jobs: tuple[JobFacts, ...] = ()
    retention: RetentionFacts | None = None
    """None: this database has no such tables."""
    leases: tuple[HubLeaseFacts, ...] = ()
    standbys: tuple[StandbyFacts, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence: what, and what to do."""

    text: str
    trouble: bool = True
    """False: worth knowing, and no reason to do anything at once."""


def judge(
    facts: Facts,
    *,
    pool_connections_max: int,
    clock_ahead_s: float,
    mqtt_version: str = "auto",
    hub_expected: bool = True,
) -> list[Finding]:
    """Return what is wrong, the worst kinds first.

    Args:
        facts: what the database has.
        pool_connections_max: of the hub that this configuration makes.
        clock_ahead_s: how far the hub's clock is ahead of the database's.
        mqtt_version: the setting mqtt.version.
        hub_expected: a hub should be active; False before one starts.
    """
    found = [*_schema(facts.schema), *_server(facts.server, pool_connections_max), *_clocks(clock_ahead_s)]
    for series in facts.series:
        found += _series(series, facts.at)
    if not facts.schema.missing:
        found += _upkeep(facts.upkeep, facts.at)
    found += _brokers(facts.leases, mqtt_version)
    if hub_expected:
        found += _leases(facts.leases)
    for job in facts.jobs:
        found.append(_job(job))
    if facts.retention is not None:
        found += _retention(facts.retention, facts.at)
    return sorted(found, key=lambda one: not one.trouble)


def size(count: float) -> str:
    """Return a number of bytes as people read it."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1024:  # noqa: PLR2004 - the next unit
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} TB"


def _schema(schema: SchemaFacts) -> Iterator[Finding]:
    if schema.missing:
        yield Finding(f"the schema lacks {schema.missing} migrations: `hub migrate` applies them")
    if schema.form == "timescaledb" and not schema.extension_enough:
        yield Finding(
            f"TimescaleDB {schema.extension} has bugs that lose or keep rows wrongly: update it to 2.28.3 or newer "
            "(ALTER EXTENSION timescaledb UPDATE)"
        )
    if schema.form == "plain" and schema.extension_offered and schema.extension_enough:
        yield Finding(
            f"the server has TimescaleDB {schema.extension_offered}, and the tables are native partitions: "
            "`hub move-to-timescaledb` moves them (docs/storage.md)",
            trouble=False,
        )


def _server(server: ServerFacts, pool_connections_max: int) -> Iterator[Finding]:
    for name, (right, otherwise) in _SETTINGS.items():
        value = server.settings.get(name)
        if value is not None and value != right:
            remedy = "`hub migrate` sets it" if "." in name else f"set {name} = {right}"
            yield Finding(f"{name} is {value}, so that {otherwise}: {remedy}")
    commit = server.settings.get("synchronous_commit")
    if commit == "off":
        yield Finding(
            "synchronous_commit is off: a crash of the server loses events that lockers were told are safe: "
            "set synchronous_commit = on"
        )
    needed = pool_connections_max + HUB_OWN_CONNECTIONS
    if needed > server.connections_max:
        yield Finding(
            f"one hub may need {needed} connections (database.connections_max and {HUB_OWN_CONNECTIONS} more), and "
            f"the server gives {server.connections_max}: raise max_connections, or lower database.connections_max"
        )
    if server.xid_age > XID_AGE_MAX:
        yield Finding(
            f"the oldest row's transaction is {server.xid_age} transactions old; near 2,000,000,000 the server "
            "stops: find what holds autovacuum up (a long transaction, a replication slot), then VACUUM (FREEZE)"
        )
    if server.wal_kept_bytes > WAL_KEPT_BYTES_MAX:
        yield Finding(
            f"replication slots that nobody reads keep {size(server.wal_kept_bytes)} of WAL and fill the disk: "
            "drop them (pg_drop_replication_slot), or start their reader"
        )
    for name in server.invalid_indexes:
        yield Finding(f"the index {name} is not valid and only costs time: REINDEX INDEX CONCURRENTLY {name}")
    if not server.data_checksums:
        yield Finding(
            "the data has no checksums, so that a bad disk is noticed late: pg_checksums --enable, with the server "
            "stopped",
            trouble=False,
        )
    if server.superuser:
        yield Finding(
            f"the role {server.role} is a superuser, which a hub never needs: give it the database alone",
            trouble=False,
        )


def _clocks(clock_ahead_s: float) -> Iterator[Finding]:
    if abs(clock_ahead_s) > 5:  # noqa: PLR2004 - far more than the way to the database takes
        side = "ahead of" if clock_ahead_s > 0 else "behind"
        yield Finding(
            f"this machine's clock is {abs(clock_ahead_s):.0f} s {side} the database's: let both follow NTP"
        )


def _series(series: SeriesFacts, now: datetime) -> Iterator[Finding]:
    if series.default_rows:
        yield Finding(
            f"{series.default_rows} rows of {series.name} are in no month's partition: the upkeep's task "
            "`partitions` moves them within six hours, or says why not"
        )
    if series.upto is not None and series.upto < now + timedelta(days=31):
        yield Finding(
            f"the last partition of {series.name} ends on {series.upto:%Y-%m-%d}: the upkeep's task `partitions` "
            "makes the coming ones, so it does not run"
        )
    if series.overdue:
        yield Finding(
            f"{series.overdue} chunks of {series.name} should be compressed by now: see the upkeep's task "
            "`compression`; `busy` in what it did are chunks that somebody holds a lock on"
        )


def _upkeep(tasks: tuple[TaskFacts, ...], now: datetime) -> Iterator[Finding]:
    if not tasks:
        yield Finding("no hub has done any upkeep on this database yet: start one (`hub run`)", trouble=False)
    for task in tasks:
        since = f"last succeeded {_ago(now, task.succeeded_at)}" if task.succeeded_at else "never succeeded"
        why = f"its error: {task.error}" if task.error else "no error is known: is a hub running?"
        if task.late(now):
            yield Finding(f"the upkeep's task {task.task} has {since}; {why}")
        elif task.error:
            yield Finding(f"the upkeep's task {task.task} failed and is tried again; {why}", trouble=False)


def _leases(leases: tuple[HubLeaseFacts, ...]) -> Iterator[Finding]:
    for one in leases:
        if one.holder is None:
            if any(other.held for other in leases):
                continue
            last = f"; the last one ({one.node}) has stopped" if one.node else ""
            yield Finding(f"no hub is active by the lease {one.name}{last}: start one (`hub run`)", trouble=False)
        elif not one.held and _left_over(one, leases):
            yield Finding(
                f"the lease {one.name} ran out {_duration(one.expires_in_s)} ago, while another one is held: if "
                "no hub has this configuration any more, delete its row from hub_lease",
                trouble=False,
            )
        elif not one.held:
            yield Finding(
                f"no hub is active: the lease {one.name} of hub {one.holder} ({one.node}) expired "
                f"{_duration(one.expires_in_s)} ago, and no standby took it: that hub died, is frozen or cannot "
                "reach the database: look there, or start one (`hub run`)"
            )
        elif one.renewed_ago_s < 0:
            yield Finding(
                f"the lease {one.name} was renewed {_duration(one.renewed_ago_s)} after the database's present "
                "time, so that its clock was put back: let the database's machine follow NTP",
                trouble=False,
            )


def _brokers(leases: tuple[HubLeaseFacts, ...], mqtt_version: str) -> Iterator[Finding]:
    for version in sorted({one.broker for one in leases if one.broker and not _left_over(one, leases)}):
        # Over MQTT 5 a hub keeps clear of what the broker does wrongly.
        unlimited = mqtt_version == "3.1.1" and miscounts(version)
        for number, fault in enumerate(faults(version)):
            yield Finding(f"the broker: {fault}", trouble=unlimited and number == 0)


def _left_over(one: HubLeaseFacts, leases: tuple[HubLeaseFacts, ...]) -> bool:
    return not one.held and one.expires_in_s < -LEFT_OVER_S and any(other.held for other in leases)


def _job(job: JobFacts) -> Finding:
    where = f" on {job.table}" if job.table else ""
    text = f"somebody has added job {job.id} ({job.proc}){where} to TimescaleDB"
    if job.proc == "policy_retention":
        return Finding(
            f"{text}: it deletes without a proof, and knows no legal hold: SELECT delete_job({job.id}), and leave "
            "deletion to `hub retention`"
        )
    if job.proc in {"policy_compression", "policy_recompression"}:
        return Finding(f"{text}: the hub compresses by itself: SELECT delete_job({job.id})", trouble=False)
    return Finding(f"{text}: see that it changes none of the hub's tables", trouble=False)


def _retention(retention: RetentionFacts, now: datetime) -> Iterator[Finding]:
    if retention.open_since is not None:
        if now - retention.open_since > RETENTION_RUN_MAX:
            yield Finding(
                f"a retention run that began {_ago(now, retention.open_since)} has not been sealed: "
                "`hub retention run` goes on with it and says what is in its way"
            )
    elif retention.sealed_at is not None and now - retention.sealed_at > SEALED_AGO_MAX:
        yield Finding(
            f"retention last ran {_ago(now, retention.sealed_at)}, and should every day: "
            "`hub retention run` says what is in its way"
        )


def _duration(seconds: float) -> str:
    seconds = abs(seconds)
    if seconds < 120:  # noqa: PLR2004 - two minutes
        return f"{seconds:.0f} s"
    hours = seconds / 3600
    return f"{seconds / 60:.0f} minutes" if hours < 2 else f"{hours:.1f} hours"  # noqa: PLR2004 - two hours


def _ago(now: datetime, then: datetime) -> str:
    hours = (now - then).total_seconds() / 3600
    return f"{hours / 24:.0f} days ago" if hours >= 48 else f"{hours:.1f} hours ago"  # noqa: PLR2004 - two days
