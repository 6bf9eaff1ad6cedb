"""`hub check-config` and `hub doctor`: what is wrong is found before a hub has to run, with the remedy."""

import asyncio
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo
from typer.testing import CliRunner

from hub.cli.main import app
from hub.keys import make_key
from hub.preflight.online import check_online
from hub.store.migrate import migrate
from tests.hub.scene import fresh_database, rows, scene
from tests.services.conftest import Cluster, MosquittoBroker, ended, free_port, listens, program, wait_for

pytestmark = pytest.mark.services

Found = Callable[..., list[str]]

OF_THE_TESTS = ("fsync is off", "full_page_writes is off", "synchronous_commit is off")
"""What is wrong with the tests' own servers, so that they are fast."""


@pytest.fixture
def dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as name:
        yield name


@pytest.fixture
def troubles(monkeypatch: pytest.MonkeyPatch, dsn: str, mosquitto_broker: MosquittoBroker, tmp_path: Path) -> Found:
    """Return what a command finds wrong with a configuration that is right but for what is changed."""
    make_key(tmp_path / "command_key.pem")
    password = tmp_path / "password"
    password.write_text(mosquitto_broker.hub_password)
    password.chmod(0o600)
    right = {
        "DATABASE_DSN": dsn, "MQTT_PORT": mosquitto_broker.port, "MQTT_PASSWORD_FILE": password,
        "HTTP_PORT": free_port(), "COMMANDS_KEY_FILE": tmp_path / "command_key.pem",
        "RETENTION_DIRECTORY": tmp_path / "retention", "RETENTION_KEY_FILE": tmp_path / "retention_key.pem",
        "PEOPLE_CODE_KEY_FILE": tmp_path / "code_key",
    }  # fmt: skip

    def find(*arguments: str, **changed: object) -> list[str]:
        with monkeypatch.context() as patched:
            for name, value in (right | changed).items():
                patched.setenv(f"HUB_{name}", str(value))
            ran = CliRunner().invoke(app, [*(arguments or ("check-config", "--online")), "--json"])
        found = json.loads(ran.stdout)["findings"]
        assert ran.exit_code == int(any(one["trouble"] for one in found)), ran.stdout
        return [one["text"] for one in found if one["trouble"] and not one["text"].startswith(OF_THE_TESTS)]

    return find


@contextmanager
def broker(folder: Path, *lines: str) -> Iterator[int]:
    """Run Mosquitto with these lines of configuration; yields its port."""
    port = free_port()
    (folder / "mosquitto.conf").write_text("\n".join((f"listener {port} 127.0.0.1", *lines, "")))
    (folder / "mosquitto.conf").chmod(0o644)
    command = [program("mosquitto"), "-c", str(folder / "mosquitto.conf")]
    with (
        (folder / "broker.log").open("wb") as log,
        ended(subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)) as process,
    ):
        wait_for(lambda: listens(port), "Mosquitto did not listen", process, folder / "broker.log")
        yield port


def test_what_is_right_is_fine(troubles: Found) -> None:
    assert troubles() == []
    assert troubles("check-config") == []
    assert troubles("doctor") == []


def test_a_database_that_is_away_and_one_without_a_schema(troubles: Found, plain_postgres: Cluster) -> None:
    (away,) = troubles(DATABASE_DSN="postgresql://hub@127.0.0.1:1/x?connect_timeout=2")
    assert away.startswith("database: ")
    assert "port 1 failed" in away
    assert any("`hub migrate` applies them" in one for one in troubles(DATABASE_DSN=plain_postgres.dsn("postgres")))


def test_a_role_that_lacks_rights(troubles: Found, dsn: str) -> None:
    rows(dsn, "CREATE ROLE half LOGIN")
    try:
        rows(dsn, "GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO half")
        (lacking,) = troubles(DATABASE_DSN=make_conninfo(dsn, user="half"))
        assert lacking.startswith("database: the role lacks ")
        assert "CREATE on the schema public" in lacking
        assert "DELETE on the table " in lacking
        assert "ALTER DATABASE … OWNER TO" in lacking
    finally:
        rows(dsn, "DROP OWNED BY half")
        rows(dsn, "DROP ROLE half")


def test_a_broker_that_is_away_or_is_none(troubles: Found, plain_postgres: Cluster) -> None:
    for command in ("check-config", "doctor"):
        arguments = (command, "--online") if command == "check-config" else (command,)
        (away,) = troubles(*arguments, MQTT_PORT=free_port())
        assert away.startswith("mqtt: 127.0.0.1:")
        assert "cannot be reached: " in away
    (none,) = troubles(MQTT_PORT=plain_postgres.port)
    assert none.startswith("mqtt: what answers at 127.0.0.1:")


def test_a_broker_that_lets_anybody_in(troubles: Found, tmp_path: Path) -> None:
    with broker(tmp_path, "allow_anonymous true") as port:
        for arguments in (("check-config", "--online"), ("doctor",)):
            (found,) = troubles(*arguments, MQTT_PORT=port)
            assert "lets clients in without an account" in found
            assert "allow_anonymous false" in found


def test_accounts_that_are_refused_or_may_too_little(
    troubles: Found, mosquitto_broker: MosquittoBroker, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("not the password")
    wrong.chmod(0o600)
    refused = troubles(MQTT_PASSWORD_FILE=wrong)
    assert [one.split(" refuses ")[1].split(":")[0] for one in refused] == [
        "hub-ingest", "hub-telemetry", "hub-command",
    ]  # fmt: skip
    assert all("not authorised: is the password of mqtt.password_file right" in one for one in refused)
    passwords = tmp_path / "passwords"
    passwords.write_bytes((mosquitto_broker.directory / "config" / "passwords").read_bytes())
    acl = tmp_path / "acl"
    acl.write_text(
        "user hub-ingest\ntopic read lh/v1/#\nuser hub-telemetry\ntopic read lh/v1/+/+/telemetry\n"
        "user hub-command\ntopic read lh/v1/#\ntopic write lh/v1/hub/state\n"
    )
    for file in (passwords, acl, tmp_path):
        file.chmod(0o755)
    lines = ("allow_anonymous false", f"password_file {passwords}", f"acl_file {acl}", "user root")
    with broker(tmp_path, *lines) as port:
        first, second = troubles(MQTT_PORT=port)
        for one, account, channel in ((first, "hub-ingest", "receipts"), (second, "hub-command", "commands")):
            assert f"{account} may not publish to lh/v1/" in one
            assert f"/{channel} (not authorised)" in one
            assert "give it `topic readwrite lh/v1/#`" in one


async def test_a_hub_that_runs_is_not_thrown_out(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path) as hub:
        before = await hub.metrics()
        found = await asyncio.to_thread(check_online, hub.config)
        notes = [one.text for one in found if not one.trouble]
        assert any("are not tried: that would throw it out" in one for one in notes)
        assert any("this configuration is in use" in one for one in notes)
        after = await hub.metrics()
        for link in ("ingest", "telemetry", "command"):
            name = f'lockerhub_mqtt_connects_total{{link="{link}"}}'
            assert after[name] == before[name]


def test_a_port_that_is_taken(troubles: Found, plain_postgres: Cluster) -> None:
    (taken,) = troubles(HTTP_PORT=plain_postgres.port)
    assert taken.startswith(f"http: cannot listen on 127.0.0.1:{plain_postgres.port}: ")


@pytest.mark.parametrize(("mode", "wrong"), [(0o644, True), (0o640, False), (0o600, False), (0o400, False)])
def test_the_mode_of_every_file_with_a_secret(
    troubles: Found, tmp_path: Path, mosquitto_broker: MosquittoBroker, *, mode: int, wrong: bool
) -> None:
    texts = {
        "MQTT_PASSWORD_FILE": mosquitto_broker.hub_password,
        "HTTP_TOKEN_FILE": "a-token-of-some-length", "INFLUX_TOKEN_FILE": "another-token",
        "PEOPLE_CODE_KEY_FILE": "ab" * 32,
    }  # fmt: skip
    files = {}
    for name, text in texts.items():
        files[name] = tmp_path / name.lower()
        files[name].write_text(text)
        files[name].chmod(mode)
    for name, file in files.items():
        more = {"INFLUX_URL": "http://127.0.0.1:1"} if name.startswith("INFLUX") else {}
        said = troubles("check-config", **more, **{name: file})
        key = name.startswith("PEOPLE")
        if wrong or (key and mode == 0o640):
            (one,) = said
            assert "can be read by others" in one
            assert f"`chmod 600 {file}`" in one
        else:
            assert said == []


@pytest.mark.parametrize("running", ["plain_postgres", "timescaledb"])
def test_an_ordinary_role_that_owns_the_database_is_enough(
    troubles: Found, request: pytest.FixtureRequest, running: str
) -> None:
    everywhere = request.getfixturevalue(running).dsn("postgres")
    rows(everywhere, "CREATE ROLE ordinary LOGIN")
    try:
        rows(everywhere, "CREATE DATABASE ordinarys OWNER ordinary TEMPLATE template0")
        dsn = make_conninfo(everywhere, user="ordinary", dbname="ordinarys")
        form = "timescaledb" if running == "timescaledb" else "plain"
        assert migrate(dsn).form == form
        for command in (("check-config", "--online"), ("doctor",)):
            assert troubles(*command, DATABASE_DSN=dsn) == []
    finally:
        rows(everywhere, "DROP DATABASE IF EXISTS ordinarys WITH (FORCE)")
        rows(everywhere, "DROP ROLE ordinary")
