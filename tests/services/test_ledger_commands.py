"""`hub ledger` on a real database: what it prints, and how it ends."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import orjson
import pytest

from tests.hub.scene import fresh_database, rows
from tests.services.conftest import Cluster

pytestmark = pytest.mark.services

EPOCH = UUID(int=7)


@pytest.fixture
def dsn(plain_postgres: Cluster) -> Iterator[str]:
    """Two ledgers: one of 13 numbers, of which the locker lost six; and one of a single event."""
    with fresh_database(plain_postgres) as name:
        for locker, numbers in (("berlin-01", [1, 2, 3, 10, 11, 12, 13]), ("paris-02", [1])):
            rows(
                name,
                "INSERT INTO event (occurred_at, received_at, tenant_id, locker_id, epoch, seq, kind, clock,"
                " stamped_at) SELECT now(), now(), 'default', %s, %s, n, 'door.opened', 'synced', now()"
                " FROM unnest(%s::bigint[]) n",
                locker, EPOCH, numbers,
            )  # fmt: skip
        rows(name, "INSERT INTO ledger_gap VALUES ('berlin-01', %s, 4, 9, now(), 'outbox_full')", EPOCH)
        rows(
            name,
            "INSERT INTO ledger_cursor (locker_id, epoch, next_seq, missing, chain)"
            " VALUES ('berlin-01', %s, 14, 6, NULL), ('paris-02', %s, 2, 0, '00000000000000ff')",
            EPOCH, EPOCH,
        )  # fmt: skip
        yield name


def hub(dsn: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run `hub ledger …`."""
    line = [str(Path(sys.executable).with_name("hub")), "ledger", *arguments]
    return subprocess.run(
        line, env={**os.environ, "HUB_DATABASE_DSN": dsn}, capture_output=True, check=False, timeout=60
    )


def test_counters_are_shown(dsn: str) -> None:
    shown = orjson.loads(hub(dsn, "show", "--json").stdout)
    assert [(one["locker"], one["last"], one["stored"], one["missing"], one["chain"]) for one in shown] == [
        ("berlin-01", 13, 7, 6, None),
        ("paris-02", 1, 1, 0, "00000000000000ff"),
    ]
    lines = hub(dsn, "show").stdout.decode().splitlines()
    assert [(line.split()[0], line.split()[-1]) for line in lines] == [
        ("berlin-01", "-"),
        ("paris-02", "00000000000000ff"),
    ]
    assert len(hub(dsn, "show", "--locker", "paris-02").stdout.splitlines()) == 1
    assert orjson.loads(hub(dsn, "show", "--locker", "nobody", "--json").stdout) == []


def test_what_is_explained_is_fine(dsn: str) -> None:
    done = hub(dsn, "verify")
    sentence = (
        "2 ledgers, 14 numbers: 8 stored, 0 quarantined, 6 declared missing, 0 gone by a rule, 0 unexplained, "
        "0 doubled; "
    )
    assert (done.returncode, done.stdout.decode()) == (0, sentence + "0 ledgers are not complete\n")


def test_what_is_lost_is_named(dsn: str) -> None:
    rows(dsn, "DELETE FROM event WHERE seq = 2")
    done = hub(dsn, "verify")
    lines = done.stdout.decode().splitlines()
    assert (done.returncode, lines[1]) == (1, "  missing 2 to 2")
    assert lines[0].endswith("1 numbers are neither stored nor explained; 6 are stored, 7 were")
    assert lines[2].endswith("1 unexplained, 0 doubled; 1 ledgers are not complete")
    done = hub(dsn, "verify", "--json")
    report = orjson.loads(done.stdout)
    assert (done.returncode, report["ledgers"], report["incomplete"]) == (1, 2, 1)
    assert report["listed"][0]["missing_list"] == [{"from_seq": 2, "to_seq": 2}]
    assert hub(dsn, "verify", "--locker", "paris-02").returncode == 0


def test_a_locker_that_has_no_ledger_is_no_success(dsn: str) -> None:
    done = hub(dsn, "verify", "--locker", "berlin-02")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"there is no ledger of 'berlin-02'" in done.stderr


def test_half_of_a_restore_is_noticed(dsn: str) -> None:
    rows(dsn, "DELETE FROM ledger_cursor WHERE locker_id = 'paris-02'")
    for options in ([], ["--locker", "paris-02"]):
        done = hub(dsn, "verify", *options)
        assert (done.returncode, b"has events and no cursor" in done.stdout) == (1, True)
    assert orjson.loads(hub(dsn, "verify", "--json").stdout)["without_cursor"] == [["paris-02", str(EPOCH)]]
