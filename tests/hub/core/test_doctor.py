"""The doctor's judgement: each thing that is wrong has one sentence, and what is well has none."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from hub.core.doctor import (
    Facts,
    Finding,
    HubLeaseFacts,
    JobFacts,
    RetentionFacts,
    SchemaFacts,
    SeriesFacts,
    ServerFacts,
    StandbyFacts,
    TaskFacts,
    judge,
    size,
)

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = timedelta(days=1)
WELL = ServerFacts(
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
SCHEMA = SchemaFacts(
    form="timescaledb", at=13, missing=0, extension="2.28.3", extension_offered="2.28.3", extension_enough=True
)
EVENT = SeriesFacts("event", 10, 3, None, NOW - DAY, NOW)
TASK = TaskFacts("rollup", 300, NOW - 90 * DAY, NOW, NOW, NOW - timedelta(minutes=4), None, {"hours": 1})
LEASE = HubLeaseFacts(
    "broker:1883 hub", UUID(int=7), "rack-1, process 9", NOW - DAY, 2.0, 8.0, "mosquitto version 2.0.22"
)
EXPIRED = replace(LEASE, renewed_ago_s=310.0, expires_in_s=-300.0)
FACTS = Facts(NOW, WELL, SCHEMA, (EVENT,), {"command": 5}, (TASK,), (), RetentionFacts(NOW - DAY, None, 0))


def found(facts: Facts, *, pool: int = 8, ahead_s: float = 0, mqtt: str = "auto") -> list[Finding]:
    return judge(facts, pool_connections_max=pool, clock_ahead_s=ahead_s, mqtt_version=mqtt)


def of(**changed: Any) -> Facts:  # noqa: ANN401 - any fact
    server = {key: value for key, value in changed.items() if key in ServerFacts.__dataclass_fields__}
    schema = {key: value for key, value in changed.items() if key in SchemaFacts.__dataclass_fields__}
    return replace(FACTS, server=replace(WELL, **server), schema=replace(SCHEMA, **schema))


def test_a_database_that_is_well_has_no_findings() -> None:
    assert found(FACTS) == []
    assert found(replace(FACTS, retention=None)) == []
    assert found(replace(FACTS, retention=RetentionFacts(None, None, 3))) == []
    assert found(replace(FACTS, retention=RetentionFacts(NOW - 9 * DAY, NOW - timedelta(hours=1), 0))) == []
    assert found(FACTS, ahead_s=-4.9) == []
    assert (
        found(replace(FACTS, leases=(LEASE,), standbys=(StandbyFacts("10.0.0.2", NOW), StandbyFacts(None, None))))
        == []
    )


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
        (
            replace(FACTS, jobs=(JobFacts(1001, "policy_retention", "event"),)),
            "job 1001 (policy_retention) on event",
        ),
        (
            replace(FACTS, retention=RetentionFacts(NOW - 4 * DAY, None, 0)),
            "retention last ran 4 days ago, and should every day",
        ),
        (
            replace(FACTS, retention=RetentionFacts(NOW - 4 * DAY, NOW - 2 * DAY, 0)),
            "a retention run that began 2 days ago has not been sealed",
        ),
        (
            replace(FACTS, leases=(EXPIRED,)),
            "0007 (rack-1, process 9) expired 5 minutes ago, and no standby took it: that hub died, is frozen or",
        ),
        # Beside another one: that of a second configuration, as long as it is fresh.
        (replace(FACTS, leases=(replace(LEASE, name="other"), EXPIRED)), "broker:1883 hub of hub 0"),
        (replace(FACTS, leases=(replace(EXPIRED, expires_in_s=-200_000.0),)), "expired 55.6 hours ago"),
        (replace(FACTS, leases=(replace(EXPIRED, expires_in_s=0.0),)), "expired 0 s ago"),
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
        (replace(FACTS, jobs=(JobFacts(1000, "policy_compression", "event"),)), "SELECT delete_job(1000)"),
        (replace(FACTS, jobs=(JobFacts(1000, "my_own", None),)), "job 1000 (my_own) to TimescaleDB: see that it"),
        (
            replace(FACTS, leases=(replace(LEASE, holder=None, expires_in_s=0.0),)),
            "no hub is active by the lease broker:1883 hub; the last one (rack-1, process 9) has stopped: start",
        ),
        (
            replace(FACTS, leases=(HubLeaseFacts("new", None, None, None, 3.0, 0.0, None),)),
            "by the lease new: start one",
        ),
        (
            replace(FACTS, leases=(replace(LEASE, name="now"), replace(EXPIRED, expires_in_s=-86_401.0))),
            "the lease broker:1883 hub ran out 24.0 hours ago, while another one is held",
        ),
        (
            replace(FACTS, leases=(replace(LEASE, renewed_ago_s=-3600.0, expires_in_s=3610.0),)),
            "renewed 60 minutes after the database's present time, so that its clock was put back",
        ),
        (
            replace(FACTS, leases=(replace(LEASE, broker="mosquitto version 2.0.14"),)),
            "the broker: mosquitto version 2.0.14 does not say that a session was taken over by another client",
        ),
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


def test_a_broker_that_miscounts_is_trouble_only_where_the_hub_cannot_limit_it() -> None:
    facts = replace(FACTS, leases=(replace(LEASE, broker="mosquitto version 2.0.11"), LEASE))
    for mqtt, trouble in (("auto", [False, False]), ("5", [False, False]), ("3.1.1", [True, False])):
        counts, taken_over = found(facts, mqtt=mqtt)
        assert [counts.trouble, taken_over.trouble] == trouble
        assert counts.text == (
            "the broker: mosquitto version 2.0.11 counts messages under way wrongly and drops waiting telemetry "
            "far below its limits; over MQTT 5 the hub takes 20 at a time (Receive Maximum), which avoids it; over "
            "MQTT 3.1.1 it cannot limit the broker: upgrade it to 2.0.22 or newer (2.0.13 and newer count "
            "correctly)"
        )
        assert "upgrade it to 2.0.22 or newer" in taken_over.text


def test_what_is_of_a_former_configuration_is_not_judged() -> None:
    former = replace(EXPIRED, name="former", expires_in_s=-90_000.0, broker="mosquitto version 1.6.12")
    (one,) = found(replace(FACTS, leases=(LEASE, former)), mqtt="3.1.1")
    assert "delete its row from hub_lease" in one.text
    assert found(replace(FACTS, leases=(LEASE, replace(former, holder=None)))) == []


def test_before_a_hub_starts_none_is_missed() -> None:
    for lease in (EXPIRED, replace(LEASE, holder=None)):
        facts = replace(FACTS, leases=(replace(lease, broker="mosquitto version 2.0.14"),))
        (one,) = judge(facts, pool_connections_max=8, clock_ahead_s=0, hub_expected=False)
        assert "mosquitto version 2.0.14" in one.text


def test_brokers_of_one_version_are_named_once() -> None:
    lease = replace(LEASE, broker="mosquitto version 2.0.14")
    (one,) = found(replace(FACTS, leases=(lease, replace(lease, name="other"))))
    assert not one.trouble


def test_upkeep_of_a_schema_that_is_not_there_yet_is_not_missed() -> None:
    assert [one.text for one in found(replace(of(missing=9), upkeep=()))] == [
        "the schema lacks 9 migrations: `hub migrate` applies them"
    ]


def test_trouble_comes_first() -> None:
    facts = replace(of(superuser=True, settings={"fsync": "off"}), jobs=(JobFacts(1000, "policy_retention", None),))
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
