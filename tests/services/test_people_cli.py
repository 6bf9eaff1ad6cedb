"""An operator's day at the command line: features, people, their rights, and a database that is put back."""

import asyncio
import json
import zipfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from typer.testing import CliRunner

from hub.cli.main import app
from hub.core.people.erasing import Cause
from hub.errors import PeopleError
from hub.store.database import Database
from tests.hub.people.persons import EMAIL, NOW, Person, add_events, eraser_of, found_in, person, switch_on
from tests.hub.scene import fresh_database, register, rows
from tests.services.conftest import Cluster


@pytest.fixture
def dsn(plain_postgres: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with fresh_database(plain_postgres) as dsn:
        asyncio.run(register(dsn, ["berlin-01"]))
        monkeypatch.setenv("HUB_DATABASE_DSN", dsn)
        monkeypatch.setenv("HUB_RETENTION_DIRECTORY", str(tmp_path))
        monkeypatch.setenv("HUB_RETENTION_KEY_FILE", str(tmp_path / "key.pem"))
        yield dsn


def hub(*words: object, status: int = 0) -> Any:  # noqa: ANN401 - JSON, or text
    """Run `hub …`; return what it printed, read where it is JSON."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    if isinstance(result.exception, Exception) and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status, result.output
    return json.loads(result.stdout) if "--json" in words else result.stdout


def on(dsn: str, use: Callable[[Database], Awaitable[Any]]) -> Any:  # noqa: ANN401 - what `use` returns
    async def run() -> Any:  # noqa: ANN401
        async with Database(dsn, connections_max=4, statement_timeout_ms=10_000, connect_timeout_s=5) as store:
            return await use(store)

    return asyncio.run(run())


async def made(store: Database) -> Person:
    await switch_on(store)
    return await person(store)


def test_features_people_and_requests(dsn: str, tmp_path: Path) -> None:
    assert "badges        off" in hub("tenant", "show")
    assert hub("tenant", "set", "--badges", "on", "--region", "eu", "--json")["badges"] is True
    assert "added" in hub("tenant", "add-kind", "charging", "Charge a device")
    assert "is there already" in hub("tenant", "add-kind", "charging", "Charge a device")
    assert len(hub("tenant", "kinds", "--json")) == 11
    account = hub("person", "create", EMAIL, "--name", "Berta", "--by", "anna", "--json")["id"]
    assert hub("person", "find", "--email", EMAIL.upper(), "--json")[0]["id"] == account
    assert EMAIL in hub("person", "show", account)
    assert "deactivated" in hub("person", "deactivate", account)
    assert "active" in hub("person", "reactivate", account)
    assert hub("person", "rectify", account, "--name", "B.", "--json")["name"] == "B."
    hub("person", "rectify", account, status=2)
    assert "restricted" in hub("person", "restrict", account, "--why", "a dispute")
    assert hub("person", "find", "--part", "berta", "--json") == []
    assert "restricted" not in hub("person", "unrestrict", account)

    request = hub("rights", "open", account, "access", "--received", "2026-01-31", "--json")["id"]
    hub("rights", "open", account, "access", "--received", "2999-01-31", status=2)
    assert "OVERDUE" in hub("rights", "list", "--overdue", status=1)
    to = tmp_path / "berta.zip"
    with pytest.raises(PeopleError, match="Not verified yet: identity"):
        hub("person", "export", request, "--to", to)
    # Half a copy is none.
    assert not to.exists()
    assert "identity_checked" in hub("rights", "check", request, "--note", "passport", "--by", "anna")
    assert "1 account" in hub("person", "export", request, "--to", to)
    assert to.stat().st_mode & 0o077 == 0
    assert "manifest.json" in zipfile.ZipFile(to).namelist()
    hub("person", "export", request, "--to", to, status=1)
    assert hub("rights", "show", request, "--json")["state"] == "done"
    other = hub("rights", "open", account, "objection", "--by-agent", "--json")["id"]
    assert "answered by local: no" in hub("rights", "answer", other, "refused", "no")
    right = hub("rights", "open", account, "rectification", "--json")["id"]
    hub("rights", "check", right, "--note", "passport")
    assert "done" in hub("rights", "carry-out", right, "--name", "Berta")

    hub("person", "erase", status=2)
    gone = hub("rights", "open", account, "erasure", "--json")["id"]
    hub("rights", "check", gone, "--note", "passport")
    assert "Nothing is left" in hub("person", "erase", "--request", gone)
    child = hub("person", "create", "child@example.org", "--json")["id"]
    assert hub("person", "erase", "--child", child, "--json")["deleted"]["account"] == 1

    assert "faults" in hub("audit", "verify")
    assert "person.erase" in hub("audit", "list", "--action", "person.erase")
    assert hub("audit", "list", "--who", "anna", "--json")[-1]["action"] == "account.create"
    rows(dsn, "UPDATE audit SET who = 'mallory' WHERE id = 5")
    assert hub("audit", "verify", "--json", status=1)["faults"] == [
        "row 5 is not what was written, or does not follow the row before it"
    ]
    assert hub("restore-check", "--json")["applied"] == []


def copied(dsn: str) -> str:
    """A copy of a database as it is now: what a backup has."""
    name = f"copy_{uuid4().hex}"
    base, _, source = dsn.rpartition("/")
    with psycopg.connect(f"{base}/postgres", autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name} TEMPLATE {source}")
    return f"{base}/{name}"


def dropped(dsn: str) -> None:
    base, _, name = dsn.rpartition("/")
    with psycopg.connect(f"{base}/postgres", autocommit=True) as conn:
        conn.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_database_that_was_put_back_is_brought_to_where_it_was(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    berta = on(dsn, made)
    add_events(dsn, "berlin-01", [berta.actor, None] * 5)
    backup = copied(dsn)
    try:
        on(
            dsn,
            lambda store: eraser_of(store, tmp_path).erase(
                berta.account, cause=Cause.REQUEST, by="anna", now=NOW, request=berta.request
            ),
        )
        # On the database that was not put back there is nothing to do.
        assert hub("restore-check", "--json")["to_do"] == []
        monkeypatch.setenv("HUB_DATABASE_DSN", backup)
        assert rows(backup, "SELECT count(*) FROM access_code") == [(1,)]
        found = hub("restore-check", "--json", status=0)
        assert len(found["applied"]) == 1
        assert found["to_do"] == []
        rows(backup, "DELETE FROM command WHERE kind = 'forget'")
        assert found_in(backup, berta.needles, without=["erasure"]) == {}
        assert rows(backup, "SELECT count(*) FROM access_code") == [(0,)]
        # What is gone is accounted for.
        assert "0 ledgers are not complete" in hub("ledger", "verify")
        # Run again it finds nothing; an operator may do that at any time.
        again = hub("restore-check", "--json")
        assert (again["applied"], again["rows"], again["codes_withdrawn"]) == ([], 0, 0)
        # Half of it came back: an old table was loaded over the new one.
        add_events(backup, "berlin-01", [berta.actor], first=11)
        half = hub("restore-check", "--json")
        assert (len(half["applied"]), half["rows"]) == (1, 1)
        assert "2 erasures of the database" not in hub("restore-check")
    finally:
        dropped(backup)


def test_what_the_journal_cannot_bring_back_is_told_once(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = on(dsn, made)
    backup = copied(dsn)
    try:
        hub("person", "create", "carla@example.org")
        on(dsn, lambda store: eraser_of(store, tmp_path).erase(one.account, cause=Cause.CHILD, by="anna", now=NOW))
        monkeypatch.setenv("HUB_DATABASE_DSN", backup)
        assert "The backup is older than row" in hub("restore-check", status=1)
        assert "to do" not in hub("restore-check")
        # Another database's journal, or an old one.
        (tmp_path / "erasures.jsonl").unlink()
        assert "are not in" in hub("restore-check", status=1)
    finally:
        dropped(backup)


def test_a_journal_that_was_changed_is_not_believed(dsn: str, tmp_path: Path) -> None:
    berta = on(dsn, made)
    on(dsn, lambda store: eraser_of(store, tmp_path).erase(berta.account, cause=Cause.CHILD, by="anna", now=NOW))
    journal = tmp_path / "erasures.jsonl"
    line = journal.read_bytes()
    journal.write_bytes(line + line[:20])
    # A line that was cut off was never believed.
    assert hub("restore-check", "--json")["entries"] == 1
    journal.write_bytes(line.replace(str(berta.account).encode(), str(UUID(int=1)).encode()))
    with pytest.raises(PeopleError, match="line 1 is not signed with this key"):
        hub("restore-check")
    with pytest.raises(PeopleError, match="line 1"):
        hub("person", "erase", "--child", hub("person", "create", "x@example.org", "--json")["id"])
    # And nothing was erased meanwhile.
    assert rows(dsn, "SELECT count(*) FROM account") == [(1,)]
