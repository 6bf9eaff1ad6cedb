"""What an installation brings: on a locker the agent's packages, and none of the hub's."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.edge_agent.test_cli import CONFIG

ROOT = Path(__file__).parents[2]
AGENT = {"aiomqtt", "cryptography", "msgspec", "psutil", "pyserial"}
BROUGHT_ALONG = {"cffi", "lockerhub", "paho-mqtt", "pycparser", "typing-extensions"}


@pytest.fixture(scope="module")
def locker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean environment with `lockerhub[edge]` in it."""
    place = tmp_path_factory.mktemp("locker")
    pins = dict.fromkeys(("PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT"), str(ROOT / "constraints.txt"))
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place / "venv"], check=True)
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--python", place / "venv" / "bin" / "python", "install", "--quiet",
         "--no-compile", f"{ROOT}[edge]"],
        env={**os.environ, **pins}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        reason = f"[edge] cannot be installed here: {done.stderr.strip()[-300:]}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return place / "venv" / "bin"


def run(program: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run([program, *arguments], env=environment, capture_output=True, text=True, check=False)


def test_a_locker_gets_the_agents_packages_and_none_of_the_hubs(locker: Path) -> None:
    listed = "import importlib.metadata as m; print(*sorted(one.name for one in m.distributions()), sep='\\n')"
    names = {re.sub(r"[-_.]+", "-", name).lower() for name in run(locker / "python", "-c", listed).stdout.split()}
    assert names >= AGENT | {"lockerhub"}
    assert names - AGENT <= BROUGHT_ALONG


def test_an_agent_runs_there(locker: Path, tmp_path: Path) -> None:
    config = tmp_path / "edge.toml"
    config.write_text(CONFIG.format(directory=tmp_path))
    key = Ed25519PrivateKey.generate().public_key()
    (tmp_path / "key.pem").write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    done = run(locker / "edge-agent", "check-config", "--config", config)
    assert (done.returncode, done.stderr) == (0, ""), done


@pytest.mark.parametrize(
    ("program", "verb", "said"),
    [("hub", "run", "'lockerhub[hub]'"), ("edge-agent", "simulate", "'lockerhub[hub,edge]'")],
)
def test_what_is_not_there_says_what_brings_it(locker: Path, program: str, verb: str, said: str) -> None:
    arguments = ["--hub-key", "key.pem", "--data", "data"] if verb == "simulate" else []
    done = run(locker / program, verb, *arguments)
    assert done.returncode
    assert said in done.stderr
    assert "Traceback" not in done.stderr
