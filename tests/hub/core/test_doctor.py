"""The doctor's judgement: each thing that is wrong has one sentence, and what is well has none."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hub.core.doctor import Facts, Finding, Job, Retention, Schema, Series, Server, Task, judge, size

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = timedelta(days=1)
WELL = Server(
    version="15.20",
    role="lockerhub",
    superuser=False,
    timezone="UTC",
    settings={
        "fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "autovacuum": "on",
        "timescaledb.enable_skipscan": None,
    },
    data_checksums=True,
    connections=3,
    connections_max=97,
    database_bytes=2**20,
    xid_age=1000,
    wal_kept_bytes=0,
    invalid_indexes=(),
)  # fmt: skip
SCHEMA = Schema(
    form="timescaledb", at=13, missing=0, extension="2.28.3", extension_offered="2.28.3", extension_enough=True
)
EVENT = Series("event", 10, 3, None, NOW - DAY, NOW)
TASK = Task("rollup", 300, NOW - 90 * DAY, NOW, NOW, NOW - timedelta(minutes=4), None, {"hours": 1})
FACTS = Facts(NOW, WELL, SCHEMA, (EVENT,), {"command": 5}, (TASK,), (), Retention(NOW - DAY, None, 0))


def found(facts: Facts, *, pool: int = 8, ahead_s: float = 0) -> list[Finding]:
    return judge(facts, pool_connections_max=pool, clock_ahead_s=ahead_s)


def of(**changed: Any) -> Facts:  # noqa: ANN401 - any fact
    server = {key: value for key, value in changed.items() if key in Server.__dataclass_fields__}
    schema = {key: value for key, value in changed.items() if key in Schema.__dataclass_fields__}
    return replace(FACTS, server=replace(WELL, **server), schema=replace(SCHEMA, **schema))


def test_a_database_that_is_well_has_no_findings() -> None:
    assert found(FACTS) == []
    assert found(replace(FACTS, retention=None)) == []
    assert found(replace(FACTS, retention=Retention(None, None, 3))) == []
    assert found(replace(FACTS, retention=Retention(NOW - 9 * DAY, NOW - timedelta(hours=1), 0))) == []
    assert found(FACTS, ahead_s=-4.9) == []


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (of(missing=2), "lacks 2 migrations: `hub migrate`"),
        (of(extension="2.20.0", extension_enough=False), "TimescaleDB 2.20.0 has bugs"),
        (
            of(settings={"fsync": "off"}),
            "fsync is off, so that a power cut can destroy the whole database: set fsync",
        ),
        (of(settings={"full_page_writes": "off"}), "full_page_writes is off"),
        (of(settings={"autovacuum": "off"}), "autovacuum is off"),
        (
            of(settings={"synchronous_commit": "off"}),
            "synchronous_commit is off: a crash of the server loses events",
        ),
        (of(settings={"timescaledb.enable_skipscan": "on"}), "queries may leave rows out: `hub migrate` sets it"),
        (of(connections_max=17), "may need 18 connections (database.connections_max and 10 more)"),
        (of(xid_age=1_000_000_001), "is 1000000001 transactions old"),
        (of(wal_kept_bytes=2**30 + 1), "keep 1 GB of WAL"),
        (of(invalid_indexes=("event_time",)), "event_time is not valid"),
        (replace(FACTS, series=(replace(EVENT, default_rows=7),)), "7 rows of event are in no month's partition"),
        (replace(FACTS, series=(replace(EVENT, upto=NOW + 30 * DAY),)), "of event ends on 2026-12-21"),
        (replace(FACTS, series=(replace(EVENT, overdue=2),)), "2 chunks of event should be compressed"),
        (
            replace(FACTS, upkeep=(replace(TASK, succeeded_at=NOW - timedelta(seconds=901), error="no room"),)),
            "task rollup has last succeeded 0.3 hours ago; its error: no room",
        ),
        (
            replace(FACTS, upkeep=(replace(TASK, succeeded_at=None, known_at=NOW - DAY),)),
            "task rollup has never succeeded; no error is known: is a hub running?",
        ),
        (replace(FACTS, jobs=(Job(1001, "policy_retention", "event"),)), "job 1001 (policy_retention) on event"),
        (
            replace(FACTS, retention=Retention(NOW - 4 * DAY, None, 0)),
            "retention last ran 4 days ago, and should every day",
        ),
        (
            replace(FACTS, retention=Retention(NOW - 4 * DAY, NOW - 2 * DAY, 0)),
            "a retention run that began 2 days ago has not been sealed",
        ),
    ],
)
def test_each_trouble_is_one_sentence(facts: Facts, words: str) -> None:
    (one,) = found(facts)
    assert one.trouble
    assert words in one.text


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (of(form="plain"), "`hub move-to-timescaledb` moves them"),
        (of(data_checksums=False), "no checksums"),
        (of(superuser=True), "the role lockerhub is a superuser"),
        (replace(FACTS, upkeep=()), "no hub has done any upkeep"),
        (replace(FACTS, upkeep=(replace(TASK, error="busy"),)), "failed and is tried again; its error: busy"),
        (replace(FACTS, jobs=(Job(1000, "policy_compression", "event"),)), "SELECT delete_job(1000)"),
        (replace(FACTS, jobs=(Job(1000, "my_own", None),)), "job 1000 (my_own) to TimescaleDB: see that it"),
    ],
)
def test_what_is_worth_knowing_is_no_trouble(facts: Facts, words: str) -> None:
    (one,) = found(facts)
    assert not one.trouble
    assert words in one.text


def test_a_plain_database_whose_server_has_nothing_better_is_well() -> None:
    assert found(of(form="plain", extension=None, extension_offered=None, extension_enough=False)) == []
    assert found(of(form="plain", extension=None, extension_offered="2.11.0", extension_enough=False)) == []
    assert found(replace(FACTS, series=(replace(EVENT, upto=NOW + 90 * DAY),))) == []


@pytest.mark.parametrize(("ahead_s", "words"), [(6.0, "6 s ahead of the database's"), (-6.0, "6 s behind")])
def test_clocks_that_differ(ahead_s: float, words: str) -> None:
    (one,) = found(FACTS, ahead_s=ahead_s)
    assert words in one.text


def test_upkeep_of_a_schema_that_is_not_there_yet_is_not_missed() -> None:
    assert [one.text for one in found(replace(of(missing=9), upkeep=()))] == [
        "the schema lacks 9 migrations: `hub migrate` applies them"
    ]


def test_trouble_comes_first() -> None:
    facts = replace(of(superuser=True, settings={"fsync": "off"}), jobs=(Job(1000, "policy_retention", None),))
    assert [one.trouble for one in found(facts)] == [True, True, False]


def test_a_ratio_needs_compressed_chunks() -> None:
    assert EVENT.ratio is None
    assert replace(EVENT, compressed=1, bytes_before=100, bytes_after=8).ratio == 12.5


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1 kB"), (3 * 2**20, "3 MB"), (5 * 2**30, "5 GB"), (2**41, "2.0 TB")],
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text
