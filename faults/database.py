"""PostgreSQL, with TimescaleDB where it is installed; and what is stored in it, read without the hub."""

import asyncio
import contextlib
import json
import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import psycopg

from bench.processes import HOST, free_port, run
from bench.rig import postgres_programs
from faults.disks import Disk
from faults.history import Content, Numbers, Stored
from faults.process import Process
from faults.waiting import until

ROLE: Final = "lockerhub"
_START_S: Final = 60.0
_DISK_MB: Final = 420
_EVENTS: Final = (
    "SELECT locker_id, epoch, seq, kind, (extract(epoch FROM stamped_at) * 1000)::bigint, door, command_id, data"
    " FROM event"
)
_GAPS: Final = "SELECT locker_id, epoch, from_seq, to_seq FROM ledger_gap"
_QUARANTINE: Final = "SELECT locker_id, epoch, seq, seq FROM quarantine WHERE seq IS NOT NULL"


class Database:
    """One PostgreSQL on one port for all of its lives."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.dsn = f"postgresql://{ROLE}@{HOST}:{self.port}/{ROLE}"
        self.programs = postgres_programs()
        self.disk = Disk(directory, _DISK_MB)
        self.data = directory / "data"
        self.log = directory.parent / "postgres.log"
        self._user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        settings = {
            "listen_addresses": HOST,
            "unix_socket_directories": "",
            # The disk is a small one.
            "max_wal_size": "96MB",
            "min_wal_size": "32MB",
        }
        if _has_timescaledb(self.programs):
            settings |= {"shared_preload_libraries": "timescaledb", "timescaledb.telemetry_level": "off"}
        command = [str(self.programs / "postgres"), "-D", str(self.data), "-p", str(self.port)]
        command += [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        self.process = Process("PostgreSQL", command, self.log, user=self._uid)

    async def open(self) -> None:
        """Make a cluster and start it."""
        if self._user is not None:
            os.chown(self.disk.path, self._user.pw_uid, self._user.pw_gid)
        initdb = [str(self.programs / "initdb"), "-D", str(self.data), "-U", ROLE, "--auth=trust"]
        await asyncio.to_thread(
            subprocess.run,
            [*initdb, "--encoding=UTF8", "--locale=C", "--no-sync"],
            user=self._uid,
            cwd="/",
            check=True,
            stdout=subprocess.DEVNULL,
        )
        await self.start()
        await asyncio.to_thread(
            run, [str(self.programs / "createdb"), "-h", HOST, "-p", str(self.port), "-U", ROLE, ROLE]
        )

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        self.process.start()
        await until(self._answers, _START_S, "PostgreSQL answers")

    async def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT is a fast shutdown, SIGQUIT an immediate one, which is a crash."""
        await self.process.stop(number=number)

    async def kill(self) -> None:
        """Kill -9 the postmaster, and wait until its children have noticed."""
        children = self.family()[1:]
        await self.process.kill()
        await until(lambda: not any(_runs(pid) for pid in children), _START_S, "PostgreSQL's children have ended")

    def family(self) -> list[int]:
        """Return the postmaster and its children."""
        pid = self.process.pid
        return [pid, *_children(pid)]

    def backends(self) -> list[int]:
        """Return the processes that serve a connection."""
        return [pid for pid in self.family()[1:] if f"{HOST}(" in _title(pid)]

    def freeze(self) -> None:
        """SIGSTOP all of it: connections stay, and nothing answers."""
        _send(self.family(), signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        _send(self.family(), signal.SIGCONT)

    def backup(self, target: Path) -> None:
        """Copy the files; PostgreSQL must be stopped."""
        _copy(self.data, target)

    def restore(self, source: Path) -> None:
        """Put copied files back in place of the present ones; PostgreSQL must be stopped."""
        shutil.rmtree(self.data)
        _copy(source, self.data)

    def connect(self, **parameters: Any) -> psycopg.Connection[tuple[Any, ...]]:  # noqa: ANN401 - psycopg's own
        """Connect as an administrator would."""
        return psycopg.connect(self.dsn, autocommit=True, connect_timeout=5, **parameters)

    async def stored(self) -> list[Stored]:
        """Return every event that is stored."""
        return [
            Stored(
                locker,
                epoch,
                seq,
                Content(kind, at, door, None if command is None else str(command), normal(data)),
            )
            for locker, epoch, seq, kind, at, door, command, data in await self._all(_EVENTS)
        ]

    async def declared(self) -> list[Numbers]:
        """Return the numbers that are declared as missing."""
        return [Numbers(*row) for row in await self._all(_GAPS)]

    async def quarantined(self) -> list[Numbers]:
        """Return the numbers of the events in quarantine."""
        return [Numbers(*row) for row in await self._all(_QUARANTINE)]

    async def cursors(self) -> dict[tuple[str, UUID], int]:
        """Return the last number that is committed of each ledger."""
        rows = await self._all("SELECT locker_id, epoch, next_seq - 1 FROM ledger_cursor")
        return {(locker, epoch): last for locker, epoch, last in rows}

    async def count(self, table: str) -> int:
        """Return how many rows a table has."""
        return int((await self._all(f"SELECT count(*) FROM {table}"))[0][0])

    async def close(self) -> None:
        """Stop it."""
        with contextlib.suppress(ProcessLookupError):
            self.thaw()
        await self.stop()
        self.disk.close()

    @property
    def _uid(self) -> int | None:
        return None if self._user is None else self._user.pw_uid

    async def _all(self, query: str) -> list[tuple[Any, ...]]:
        def ask() -> list[tuple[Any, ...]]:
            with self.connect() as connection:
                return connection.execute(query.encode()).fetchall()

        return await asyncio.to_thread(ask)

    async def _answers(self) -> bool:
        if not self.process.alive:
            return False
        ready = [str(self.programs / "pg_isready"), "-q", "-h", HOST, "-p", str(self.port)]
        done = await asyncio.to_thread(subprocess.run, ready, check=False)
        return done.returncode == 0


def normal(data: object) -> str:
    """Return an event's data as JSON that is the same for the same data."""
    return "" if data is None else json.dumps(data, sort_keys=True)


def _has_timescaledb(programs: Path) -> bool:
    shared = run([str(programs / "pg_config"), "--sharedir"]).strip()
    return (Path(shared) / "extension" / "timescaledb.control").exists()


def _copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


def _send(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _children(pid: int) -> list[int]:
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if int((path / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                    found.append(int(path.name))
    return sorted(found)


def _title(pid: int) -> str:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
