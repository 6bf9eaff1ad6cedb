"""Everything that a benchmark measures, of this run alone: Mosquitto as it is shipped, PostgreSQL, the hub.

All data is in one temporary directory (TMPDIR says where). PostgreSQL keeps its defaults, fsync among them.
"""

import json
import os
import platform
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.http_connection import HttpConnection
from bench.processes import HOST, BenchError, Child, child, cpu_s, family, free_port, listens, run
from hub.keys import public_path

ROOT: Final = Path(__file__).resolve().parent.parent
LOCKERS_A_CALL: Final = 500
_ROLE: Final = "lockerhub"
_FSYNCS: Final = 200
_SETTLED: Final = re.compile(
    rb'^lockerhub_intake_records_settled_total\{outcome="(\w+)",record="(\w+)"\} ([0-9.e+]+)$', re.MULTILINE
)


@dataclass(frozen=True)
class Cpu:
    """CPU seconds used so far, and when that was."""

    at_s: float
    hub_s: float
    broker_s: float
    database_s: float
    load_s: float

    def since(self, before: "Cpu") -> "Cpu":
        """Return what was used between two moments; `at_s` is then the time between them."""
        return Cpu(
            self.at_s - before.at_s,
            self.hub_s - before.hub_s,
            self.broker_s - before.broker_s,
            self.database_s - before.database_s,
            self.load_s - before.load_s,
        )


class Rig:
    """Broker and database, running; the hub once `hub()` is entered."""

    def __init__(self, directory: Path, broker: Child, mqtt_port: int, database: Child, postgres_port: int) -> None:
        self.directory = directory
        self.mqtt_port = mqtt_port
        self.http_port = free_port()
        self.dsn = f"postgresql://{_ROLE}@{HOST}:{postgres_port}/{_ROLE}"
        self._broker = broker
        self._database = database
        self._hub: Child | None = None
        self.environment = {
            "HUB_MQTT_PORT": str(mqtt_port),
            "HUB_MQTT_PASSWORD_FILE": str(directory / "mosquitto" / "hub_password"),
            "HUB_DATABASE_DSN": self.dsn,
            "HUB_HTTP_PORT": str(self.http_port),
            "HUB_COMMANDS_KEY_FILE": str(self.key_file),
            "HUB_RETENTION_DIRECTORY": str(directory / "retention"),
            "HUB_RETENTION_KEY_FILE": str(directory / "retention_key.pem"),
            "HUB_LOG_LEVEL": "warning",
        }

    @property
    def key_file(self) -> Path:
        """The key that signs commands."""
        return self.directory / "command_key.pem"

    @property
    def public_key_file(self) -> Path:
        """Its public half, for agents."""
        return public_path(self.key_file)

    @property
    def hub_password(self) -> str:
        """The password of the hub's accounts."""
        return (self.directory / "mosquitto" / "hub_password").read_text().strip()

    @property
    def locker_password_file(self) -> Path:
        """The password of every locker's account."""
        return self.directory / "mosquitto" / "locker_password"

    def run_hub_command(self, *arguments: str) -> str:
        """Run `hub …` to its end."""
        return run([sys.executable, "-m", "hub", *arguments], environment=self.environment, cwd=ROOT)

    @contextmanager
    def hub(self, settings: Mapping[str, str]) -> Iterator[Child]:
        """Run the hub, ready, for as long as the block runs."""
        command = [sys.executable, "-m", "hub", "run"]
        environment = {**self.environment, **settings}
        with child("hub", command, self.directory / "hub.log", environment=environment, cwd=ROOT) as hub:
            hub.wait_for(self._is_ready)
            self._hub = hub
            try:
                yield hub
            finally:
                self._hub = None

    def cpu(self) -> Cpu:
        """Return the CPU seconds of every part up to now; the load's are this process's."""
        return Cpu(
            time.monotonic(),
            cpu_s(self._hub.process.pid) if self._hub is not None else 0.0,
            cpu_s(self._broker.process.pid),
            cpu_s(self._database.process.pid, with_children=True),
            time.process_time(),
        )

    @contextmanager
    def frozen_database(self) -> Iterator[None]:
        """Stop every process of the database where it stands for as long as the block runs."""
        stopped: list[int] = []
        try:
            # The first one makes the others, and makes none once it is stopped.
            for pid in family(self._database.process.pid):
                os.kill(pid, signal.SIGSTOP)
                stopped.append(pid)
            yield
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)

    def check_alive(self) -> None:
        """Raise BenchError when a part has ended."""
        for part in (self._broker, self._database, self._hub):
            if part is not None and part.process.poll() is not None:
                raise BenchError(f"{part.name} has ended. It said:\n{part.said()}")

    def broker_dropped(self) -> int:
        """Return how many times the broker said that it drops messages for a slow client."""
        return self._broker.log.read_bytes().count(b"dropp")

    def surroundings(self) -> dict[str, Any]:
        """Return what figures depend on and the benchmark does not decide."""
        return {
            "database": json.loads(self.run_hub_command("migrate", "--json"))["form"],
            "database_version": self._database_version(),
            "broker_version": _first_line(["mosquitto", "-h"]),
            "python": platform.python_version(),
            "cpus": os.cpu_count(),
            "load_average_before": _load_average,
            "fsync_p50_ms": self._fsync_ms(),
        }

    def _database_version(self) -> str:
        return _first_line([str(postgres_programs() / "postgres"), "--version"])

    def _fsync_ms(self) -> float:
        """Return the median time of a 4 KiB write with fdatasync, where the data is."""
        taken = []
        with (self.directory / "fsync").open("wb", buffering=0) as file:
            for _ in range(_FSYNCS):
                file.write(bytes(4096))
                began = time.perf_counter()
                os.fdatasync(file.fileno())
                taken.append(time.perf_counter() - began)
        return round(sorted(taken)[_FSYNCS // 2] * 1000, 3)

    def _is_ready(self) -> bool:
        if not listens(self.http_port):
            return False
        connection = HttpConnection(self.http_port)
        try:
            return connection.get("/readyz")[0] == 200  # noqa: PLR2004 - HTTP's OK
        finally:
            connection.close()


@contextmanager
def rig(lockers: list[str], *, doors: int = 16, plain: bool = False) -> Iterator[Rig]:
    """Start broker and database, and make accounts and registry entries for lockers of so many doors.

    `plain` leaves TimescaleDB out where it is installed.
    """
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lockerhub-bench-")))
        # PostgreSQL and Mosquitto run as users of their own, who must be able to pass.
        directory.chmod(0o711)
        database, postgres_port = stack.enter_context(_database(directory, plain=plain))
        broker, mqtt_port = stack.enter_context(_broker(directory, lockers))
        running = Rig(directory, broker, mqtt_port, database, postgres_port)
        run([str(postgres_programs() / "createdb"), "-h", HOST, "-p", str(postgres_port), "-U", _ROLE, _ROLE])
        running.run_hub_command("migrate")
        running.run_hub_command("key", "make", str(running.key_file))
        for first in range(0, len(lockers), LOCKERS_A_CALL):
            some = lockers[first : first + LOCKERS_A_CALL]
            running.run_hub_command("locker", "add", "--doors", str(doors), *some)
        yield running


def settled(connection: HttpConnection, record: str) -> dict[str, int]:
    """Return the hub's own count of settled records (`event` or `sample`) by outcome."""
    _, text = connection.get("/metrics")
    found = {
        outcome.decode(): int(float(value))
        for outcome, kind, value in _SETTLED.findall(text)
        if kind == record.encode()
    }
    if not found:
        raise BenchError(f"the hub's metrics have no settled {record} records")
    return found


def postgres_programs() -> Path:
    """Return the bin directory of the newest PostgreSQL installed. Raises BenchError."""
    installed = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if installed:
        return max(installed, key=lambda path: int(path.parent.name))
    found = shutil.which("initdb")
    if found is None:
        raise BenchError("PostgreSQL is not installed; scripts/test says how to get it")
    return Path(found).resolve().parent


@contextmanager
def _database(directory: Path, *, plain: bool) -> Iterator[tuple[Child, int]]:
    programs, home, port = postgres_programs(), directory / "postgres", free_port()
    home.mkdir(mode=0o700)
    user = None
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        user = nobody.pw_uid
        os.chown(home, nobody.pw_uid, nobody.pw_gid)
    initdb = [str(programs / "initdb"), "-D", str(home / "data"), "-U", _ROLE, "--auth=trust"]
    subprocess.run(
        [*initdb, "--encoding=UTF8", "--locale=C"], user=user, cwd="/", check=True, stdout=subprocess.DEVNULL
    )
    settings = {"listen_addresses": HOST, "unix_socket_directories": ""}
    if not plain and _has_timescaledb(programs):
        settings |= {"shared_preload_libraries": "timescaledb", "timescaledb.telemetry_level": "off"}
    command = [str(programs / "postgres"), "-D", str(home / "data"), "-p", str(port)]
    command += [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
    with child("PostgreSQL", command, directory / "postgres.log", user=user, stop=signal.SIGINT) as database:
        ready = [str(programs / "pg_isready"), "-q", "-h", HOST, "-p", str(port)]
        database.wait_for(lambda: subprocess.run(ready, check=False).returncode == 0)
        yield database, port


@contextmanager
def _broker(directory: Path, lockers: list[str]) -> Iterator[tuple[Child, int]]:
    home, port = directory / "mosquitto", free_port()
    (home / "config").mkdir(parents=True)
    accounts = str(ROOT / "mosquitto" / "accounts")
    run([accounts, str(home / "config" / "passwords"), str(home / "locker_password"), *lockers])
    command = [str(ROOT / "mosquitto" / "start"), str(home), str(port)]
    with child("Mosquitto", command, directory / "mosquitto.log") as broker:
        broker.wait_for(lambda: listens(port))
        yield broker, port


def _has_timescaledb(programs: Path) -> bool:
    shared = run([str(programs / "pg_config"), "--sharedir"]).strip()
    return (Path(shared) / "extension" / "timescaledb.control").exists()


def _first_line(command: list[str]) -> str:
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
    program = shutil.which(command[0], path=path) or command[0]
    said = subprocess.run([program, *command[1:]], check=False, capture_output=True, text=True)
    return (said.stdout or said.stderr).splitlines()[0].strip()


_load_average = round(os.getloadavg()[0], 2)
