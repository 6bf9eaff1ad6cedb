"""The command line, as a person at a shell meets it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edge_agent.cli import main

CONFIG = """
locker = "berlin-01"
data_dir = "{directory}/data"
[hub]
public_key_file = "{directory}/key.pem"
[[boards]]
port = "/dev/ttyUSB0"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "edge.toml"
    path.write_text(CONFIG.format(directory=tmp_path))
    key = Ed25519PrivateKey.generate().public_key()
    (tmp_path / "key.pem").write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return path


def test_a_good_configuration_is_fine(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-config", "--config", str(config)]) == 0
    assert capsys.readouterr().out == "berlin-01: 16 doors on 1 boards, broker 127.0.0.1:1883; fine\n"


def test_a_bad_configuration_is_explained(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(config.read_text() + 'prot = "x"\n')
    assert main(["check-config", "--config", str(config)]) == 2
    assert "did you mean 'port'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("host = 'mqtt://berlin-01:S3cret-canary@broker'", "[mqtt] host must be a name or an address"),
        ("password_file = 'S3cret-canary'", "[mqtt] password_file: the file that it names cannot be read"),
        ("password_file = '{directory}/open'", "can be read by others; `chmod 600"),
        ("tls_ca = '{directory}/open'", "has no certificate in PEM"),
    ],
)
def test_what_the_link_needs_is_looked_at_and_no_secret_shown(
    settings: str, words: str, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "open").write_text("S3cret-canary")
    (tmp_path / "open").chmod(0o644)
    config.write_text(config.read_text() + "[mqtt]\n" + settings.format(directory=tmp_path) + "\n")
    assert main(["check-config", "--config", str(config)]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert "S3cret" not in said


@pytest.mark.parametrize("command", ["check-config", "run"])
def test_a_missing_key_is_explained(command: str, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (config.parent / "key.pem").unlink()
    assert main([command, "--config", str(config)]) == 2
    assert "key.pem cannot be read" in capsys.readouterr().err


def test_a_key_of_another_kind_is_explained(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = X25519PrivateKey.generate().public_key()
    pem = other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for content, sentence in ((pem, "Ed25519 public key is needed"), (b"key", "not a public key in PEM")):
        (config.parent / "key.pem").write_bytes(content)
        assert main(["check-config", "--config", str(config)]) == 2
        assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--lockers", "0"],
        ["--broker", "localhost"],
        ["--broker", "localhost:99999"],
        ["--for", "-1"],
        ["--speed", "nan"],
        ["--prefix", "Locker"],
        ["--poll-ms", "soon"],
    ],
)
def test_a_wrong_argument_is_explained(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["simulate", "--hub-key", "k", "--data", "d", *arguments])
    assert arguments[1] in capsys.readouterr().err


def test_a_locker_loads_no_http_client() -> None:
    code = "import sys, edge_agent.cli; print([m for m in sys.modules if m in ('aiohttp', 'hypothesis')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_fleet_without_a_broker_stops_in_time_and_tells_the_truth(config: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "edge_agent", "simulate", "--lockers", "2", "--broker", "127.0.0.1:1"),
            *("--hub-key", str(config.parent / "key.pem"), "--data", str(tmp_path / "fleet"), "--doors", "20"),
            *("--for", "0.5", "--speed", "3000", "--drain-s", "0.2", "--json"),
        ],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    account = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == 1
    assert account["drained"] is False
    assert sorted(account["truth"]) == ["locker-001", "locker-002"]
    assert all(locker["last_seq"] >= 3 for locker in account["truth"].values())
    assert all(set(json.loads(line)) >= {"at", "level", "event"} for line in done.stderr.splitlines())
