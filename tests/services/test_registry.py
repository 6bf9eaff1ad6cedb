"""Changing the registry over HTTP and on the command line: stored, audited, and followed at once."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from hub.cli.main import app
from hub.core.fleet import LockerSpec
from hub.errors import StoreRejected
from hub.ingest.registry_sync import grid
from hub.store.database import Database
from tests.hub.contract import Contract
from tests.hub.scene import Scene, fresh_database, online, rows, scene
from tests.services.conftest import Cluster, MosquittoBroker

pytestmark = pytest.mark.services

ONE = "/api/v1/lockers/{locker}"
DOOR = "/api/v1/lockers/{locker}/doors/{door}/service"
HOSTILE = """<img src=x onerror=alert(1)> & "quoted" 'single' {{7*7}} ${x} %s ä 日本 👩‍🔧"""


@pytest.fixture
def dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as name:
        yield name


async def sent(hub: Scene, method: str, path: str, body: object, **ids: str) -> tuple[int, Any]:
    contract = await Contract.of(hub.http)
    async with hub.http.request(method, path.format(**ids), json=body) as response:
        told = await response.json(content_type=None)
        contract.check(method, path, response.status, response.content_type, told)
        return response.status, told


async def test_a_change_is_stored_audited_and_followed_at_once(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    # Nobody polls within the test: what is seen was followed because this hub wrote it.
    async with scene(mosquitto_broker, dsn, tmp_path, service_registry_poll_s=3600) as hub:
        wanted = {
            "name": HOSTILE,
            "address": "Straße 1",
            "serial": "CU-1",
            "tags": [" lobby", "24h", "lobby ", " "],
        }
        status, told = await sent(hub, "patch", ONE, wanted, locker="berlin-01")
        assert status == 200
        expected = {**wanted, "tags": ["lobby", "24h"], "site": "Testville"}
        assert {key: told[key] for key in expected} == expected
        for text in ("onerror", "strasse", "cu-1", "24H"):
            async with hub.http.get("/api/v1/lockers", params={"q": text}) as response:
                assert [one["id"] for one in (await response.json())["items"]] == ["berlin-01"]
        assert (await sent(hub, "patch", ONE, {"site": "Bonn", "tags": []}, locker="berlin-01"))[1]["tags"] == []
        # Once more the same: nothing is written.
        assert (await sent(hub, "patch", ONE, {"site": "Bonn "}, locker="berlin-01"))[0] == 200
        audit = rows(dsn, "SELECT who, action, subject, detail FROM audit ORDER BY id")
        assert [one[:3] for one in audit] == [("local", "locker.change", "locker:berlin-01")] * 2
        assert audit[1][3] == {
            "before": {"site": "Testville", "tags": ["lobby", "24h"]},
            "after": {"site": "Bonn", "tags": []},
        }


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "names none of name, site"),
        ({"name": " "}, "name is empty"),
        ({"name": ""}, r"length >= 1.*\$\.name"),
        ({"name": "x" * 121}, r"length <= 120.*\$\.name"),
        ({"site": "a\nb"}, "site has a control character (U+000A)"),
        ({"address": "a\u202eb"}, "address has a change of direction (U+202E)"),
        ({"tags": ["ok", "a\u0000"]}, "U+0000, which the database cannot keep"),
        ({"tags": [str(n) for n in range(21)]}, r"length <= 20"),
        ({"tags": "lobby"}, "Expected `array"),
        ({"serial": None}, "Expected `str"),
        ({"id": "other"}, "unknown field `id`"),
    ],
)
async def test_a_change_that_cannot_be_says_why(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path, body: object, words: str
) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path) as hub:
        status, told = await sent(hub, "patch", ONE, body, locker="berlin-01")
        assert (status, told["code"]) == (400, "bad_request")
        assert re.search(words.replace("(", r"\(").replace(")", r"\)").replace("+", r"\+"), told["detail"]), told
        assert rows(dsn, "SELECT count(*) FROM audit") == [(0,)]


async def test_a_door_goes_out_of_service_and_back(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path, service_registry_poll_s=3600) as hub, online(hub):
        where = {"locker": "berlin-01", "door": "2"}
        body = {"service": "out", "reason": f" {HOSTILE} "}
        status, door = await sent(hub, "put", DOOR, body, **where)
        assert (status, door["service"], door["service_reason"]) == (200, "out", HOSTILE)
        async with hub.http.post(
            "/api/v1/lockers/berlin-01/commands", json={"kind": "open", "door": 2}
        ) as response:
            assert (await response.json(content_type=None))["code"] == "door_out_of_service"
        assert (await sent(hub, "put", DOOR, body, **where))[0] == 200
        status, door = await sent(hub, "put", DOOR, {"service": "in", "reason": "ignored"}, **where)
        assert (status, door["service"], door["service_reason"]) == (200, "in", None)
        audit = rows(dsn, "SELECT action, subject, detail FROM audit ORDER BY id")
        assert audit == [
            ("door.out_of_service", "locker:berlin-01", {"door": 2}),
            ("door.in_service", "locker:berlin-01", {"door": 2}),
        ]
        for number in ("0", "99", "x", "-1", "1e0", "²"):
            told = await sent(hub, "put", DOOR, {"service": "in"}, locker="berlin-01", door=number)
            assert (told[0], told[1]["code"]) == (404, "door_unknown")
        told = await sent(hub, "put", DOOR, {"service": "in"}, locker="nowhere", door="1")
        assert told[1]["code"] == "locker_unknown"
        for body in ({"service": "out"}, {"service": "out", "reason": "  "}, {"service": "no"}, {}):
            assert (await sent(hub, "put", DOOR, body, **where))[0] == 400


async def test_what_leaves_the_registry_meanwhile_is_unknown(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path, service_registry_poll_s=3600) as hub:
        rows(dsn, "DELETE FROM locker WHERE id = 'berlin-01'")
        assert (await sent(hub, "patch", ONE, {"site": "x"}, locker="berlin-01"))[1]["code"] == "locker_unknown"
        told = await sent(hub, "put", DOOR, {"service": "in"}, locker="berlin-01", door="1")
        assert told[1]["code"] == "door_unknown"


async def test_the_database_holds_the_bounds_too(dsn: str) -> None:
    async with Database(dsn, connections_max=4, statement_timeout_ms=5000, connect_timeout_s=5) as store:
        front = grid(1)
        for wrong in (
            LockerSpec("a", "default", "a", "", front, "x" * 201),
            LockerSpec("a", "default", "a", "", front, "a\nb"),
            LockerSpec("a", "default", "a", "", front, "", "x" * 61),
            LockerSpec("a", "default", "a", "", front, "", "", ("",)),
            LockerSpec("a", "default", "a", "", front, "", "", ("x" * 41,)),
            LockerSpec("a", "default", "a", "", front, "", "", tuple(map(str, range(21)))),
        ):
            with pytest.raises(StoreRejected):
                await store.add_locker(wrong)
        right = LockerSpec("a", "default", HOSTILE, "", front, HOSTILE, "7", (HOSTILE[:40], "b,{c}", "NULL"))
        assert await store.add_locker(right)
        assert await store.registry() == [right]
    with psycopg.connect(dsn) as conn, pytest.raises(psycopg.errors.CheckViolation):
        conn.execute("UPDATE locker SET tags = ARRAY[NULL]")


def hub_locker(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["locker", *words])
    return done.exit_code, done.output


def test_the_command_line_changes_the_registry(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_DATABASE_DSN", dsn)
    given = ("--address", " Straße 1 ", "--serial", "CU-1", "--tag", "x", "--tag", "x")
    assert hub_locker("add", "berlin-01", *given) == (0, "added 1\n")
    assert hub_locker("add", "--if-missing", "berlin-01", "berlin-77", "--site", "Elsewhere") == (0, "added 1\n")
    assert hub_locker("add", "--if-missing", "berlin-01", "berlin-77") == (0, "added 0\n")
    assert hub_locker("add", "berlin-01", "berlin-77")[0] == 1
    changes = ("--serial", "CU-2", "--tag", "a", "--tag", "b", "--by", "anna")
    assert hub_locker("set", "berlin-01", *changes) == (0, "changed\n")
    assert hub_locker("service", "berlin-01", "3", "out", "--reason", "bent") == (0, "door 3 is out of service\n")
    shown = hub_locker("show", "berlin-01")[1].splitlines()
    assert shown[1:4] == ["  address: Straße 1", "  serial: CU-2", "  tags: a, b"]
    assert shown[6].endswith("out of service: bent")
    assert hub_locker("service", "berlin-01", "3", "in") == (0, "door 3 is in service\n")
    assert hub_locker("set", "berlin-01", "--no-tags", "--serial", "") == (0, "changed\n")
    assert rows(dsn, "SELECT serial, tags FROM locker WHERE id = 'berlin-01'") == [("", [])]
    assert rows(dsn, "SELECT who FROM audit ORDER BY id") == [("anna",), ("local",), ("local",), ("local",)]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("add", "a", "b", "--serial", "7"), "--serial is for one locker"),
        (("add", "a", "--address", "x" * 201), "the address has 201 characters; 200 are the most"),
        (("set", "berlin-01"), "nothing to change"),
        (("set", "berlin-01", "--name", " "), "cannot be empty"),
        (("set", "berlin-01", "--tag", "x" * 41), "the tag has 41 characters; 40 are the most"),
        (("set", "berlin-01", "--tag", "x", "--no-tags"), "contradict each other"),
        (("set", "berlin-01", "--address", "a\nb"), "the address has a control character (U+000A)"),
        (("set", "nowhere", "--site", "x"), "no locker 'nowhere'"),
        (("service", "berlin-01", "99", "in"), "no door 99"),
        (("service", "berlin-01", "3", "out"), "--reason"),
    ],
)
def test_the_command_line_says_what_it_cannot_do(
    dsn: str, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], told: str
) -> None:
    monkeypatch.setenv("HUB_DATABASE_DSN", dsn)
    code, output = hub_locker(*words)
    assert code in {1, 2}
    assert told in output
