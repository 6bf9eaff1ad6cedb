"""docker-compose.yml, as far as it can be held against its schema, our files and our own command lines."""

import json
import os
import re
import shlex
import subprocess
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from tests.services.conftest import ROOT, MosquittoBroker, ended, free_port, listens, missing, program, wait_for

jsonschema = import_module("jsonschema")  # imported so because it ships no types
SCHEMA = ROOT / "tests/services/vendor/compose-spec/compose-spec.json"
SECRETS = re.compile(r"(PASSWORD|TOKEN|SECRET|KEY|DSN)$")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose["services"]
    return found


def words(command: str | list[str]) -> list[str]:
    return shlex.split(command) if isinstance(command, str) else command


def our_commands(service: dict[str, Any]) -> list[list[str]]:
    """The lines of a service's command that start our own programs."""
    command = words(service.get("command", []))
    if command[:1] != ["sh"]:
        return [command] if command[:1] in (["hub"], ["edge-agent"]) else []
    script = command[-1].replace("$$number", "001").replace("\\\n", " ")
    lines = re.findall(r"(?:^|\|\||exec|then|do)\s*((?:hub|edge-agent)\s[^|;>\n]+)", script, re.MULTILINE)
    return [shlex.split(line) for line in lines]


def test_it_is_valid(compose: dict[str, Any]) -> None:
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft7Validator(schema).validate(compose)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(schema).validate({"services": {"hub": {"imagine": "lockerhub"}}})


def test_what_it_mounts_and_builds_is_there(compose: dict[str, Any], services: dict[str, dict[str, Any]]) -> None:
    mounts = [mount.split(":") for service in services.values() for mount in service.get("volumes", [])]
    assert mounts
    for source, target, *mode in mounts:
        assert target.startswith("/")
        if source.startswith("."):
            assert (ROOT / source).exists(), source
            assert mode == ["ro"], source
        else:
            assert source in compose["volumes"]
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    allowed = (ROOT / ".dockerignore").read_text().splitlines()
    for name in " ".join(copied).split():
        assert (ROOT / name).exists(), name
        assert f"!{name}" in allowed, name


def test_each_dependency_can_become_healthy(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[other], f"{name} waits for {other}"
            else:
                assert services[other]["restart"] == "no", f"{name} waits for the end of {other}"


def test_nothing_is_published_beyond_this_machine(services: dict[str, dict[str, Any]]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_no_secret_stands_in_it(services: dict[str, dict[str, Any]]) -> None:
    for service in services.values():
        assert not [name for name in service.get("environment", {}) if SECRETS.search(name)]


def test_every_image_is_pinned(services: dict[str, dict[str, Any]]) -> None:
    for service in services.values():
        assert "build" in service or re.search(r":v?\d+\.\d+\.\d+", service["image"]), service["image"]


def test_everything_that_should_run_comes_back(services: dict[str, dict[str, Any]]) -> None:
    once = {name for name, service in services.items() if service["restart"] == "no"}
    assert once == {"secrets"}
    assert {service["restart"] for name, service in services.items() if name not in once} == {"unless-stopped"}


def test_its_variables_are_settings_of_the_hub(services: dict[str, dict[str, Any]]) -> None:
    config = import_module("hub.config.settings")
    environment = services["hub"]["environment"]
    ours = {name: value for name, value in environment.items() if name.startswith("HUB_")}
    loaded = config.load(None, ours)
    assert loaded.mqtt.host == "mosquitto"
    assert loaded.http.token_file == "/secrets/hub_token"
    shown = re.findall(r"^export (HUB_\w+)=", (ROOT / "scripts/services").read_text(), re.MULTILINE)
    assert shown
    known = {f"HUB_{section}_{key}".upper() for section, keys in config.sections().items() for key in keys}
    assert {*ours, *shown} <= known


def test_its_command_lines_are_ours(services: dict[str, dict[str, Any]]) -> None:
    hub, agent = import_module("hub.cli.main"), import_module("edge_agent.cli")
    lines = [line for service in services.values() for line in our_commands(service)]
    assert {tuple(line[:2]) for line in lines} == {
        ("hub", "key"), ("hub", "migrate"), ("hub", "locker"), ("hub", "run"), ("edge-agent", "simulate"),
    }  # fmt: skip
    for name, *arguments in lines:
        if name == "hub":
            command: Any = typer.main.get_command(hub.app)
            while hasattr(command, "commands"):
                command = command.commands[arguments.pop(0)]
            command.make_context(name, arguments)
        else:
            assert agent._parser().parse_args(arguments).lockers == 10  # noqa: SLF001 - it is what the program parses with


def test_each_secret_that_is_read_is_made(services: dict[str, dict[str, Any]]) -> None:
    made = set(re.findall(r'"\$secrets/(\w+)"', (ROOT / "mosquitto/first-start").read_text()))
    texts = json.dumps(services) + (ROOT / "dashboards/prometheus/prometheus.yml").read_text()
    read = set(re.findall(r"/secrets/(\w+)", texts))
    assert len(read) >= 6
    assert read <= made


def test_the_first_start_makes_a_configuration_that_mosquitto_runs_and_keeps_its_secrets(tmp_path: Path) -> None:
    mosquitto = program("mosquitto")
    program("mosquitto_passwd")
    if os.geteuid() != 0:
        pytest.skip("only root can give files to the users of the containers")
    if not Path("/etc/debian_version").exists():
        missing("a Debian whose Mosquitto steps down from root")
    config, secrets = tmp_path / "config", tmp_path / "secrets"
    environment = {
        **os.environ, "CONFIG": str(config), "SECRETS": str(secrets), "FLEETS": "berlin porto", "LOCKERS_EACH": "2",
    }  # fmt: skip
    texts = []
    for _ in range(2):
        subprocess.run([ROOT / "mosquitto/first-start"], env=environment, check=True)
        texts.append({path: path.read_text() for path in sorted(tmp_path.rglob("*")) if path.is_file()})
    first, second = texts
    assert first == second
    assert (secrets / "hub_token").stat().st_uid == 10001
    assert all(path.stat().st_mode & 0o077 == 0 for path in secrets.iterdir())
    lines = (secrets / "agents_mqtt").read_text().splitlines()
    assert [line.split(":")[0] for line in lines] == ["berlin-001", "berlin-002", "porto-001", "porto-002"]

    port = free_port()
    plain = config / "listeners" / "plain.conf"
    plain.write_text(plain.read_text().replace("listener 1883", f"listener {port} 127.0.0.1"))
    (tmp_path / "data").mkdir()
    # The numbers are those of the containers' users; here Mosquitto steps down to a user of another number.
    subprocess.run(["chown", "-R", "mosquitto", config, tmp_path / "data", tmp_path], check=True)
    with (tmp_path / "log").open("wb") as log:
        command = [mosquitto, "-c", "config/mosquitto.conf"]
        process = subprocess.Popen(command, cwd=tmp_path, stderr=log, stdout=log)
    with ended(process):
        wait_for(lambda: listens(port), "Mosquitto did not listen", process, tmp_path / "log")
        broker = MosquittoBroker("127.0.0.1", port, tmp_path, process)
        assert broker.accepts("hub-ingest", (secrets / "hub_mqtt").read_text().strip())
        assert broker.accepts(*lines[0].split(":"))
        assert not broker.accepts("berlin-002", lines[0].split(":")[1])
