"""`edge-agent run` for each locker, its boards on a terminal, and its own file read by somebody else."""

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from bench.processes import HOST
from bench.rig import ROOT
from faults.database import normal
from faults.disks import Disk
from faults.errors import FaultsError
from faults.history import Content, Entry, Movement
from faults.process import Process
from faults.proxy import Proxy
from faults.waiting import until

KEEPALIVE_S: Final = 3
ACK_TIMEOUT_MS: Final = 1000
_DISK_MB: Final = 24
_BOARDS_S: Final = 20.0


class Boards:
    """The process that plays the boards of all lockers, and its record."""

    def __init__(self, directory: Path, seed: str, doors: int, names: list[str]) -> None:
        self.directory = directory
        directory.mkdir(parents=True)
        self._command = [sys.executable, "-m", "faults.cabinets", str(directory), seed, str(doors), *names]
        self._names = names
        self._running: subprocess.Popen[str] | None = None
        self.ports: dict[str, str] = {}

    def start(self) -> None:
        """Start it, and learn the terminals."""
        with (self.directory / "log").open("ab") as log:
            self._running = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, cwd=ROOT, text=True
            )
        assert self._running.stdout is not None
        self.ports = json.loads(self._running.stdout.readline() or "{}")
        if not self.ports:
            raise FaultsError(f"the boards did not start: {(self.directory / 'log').read_text()[-2000:]}")

    def tell(self, word: str) -> None:
        """Say `busy` or `calm`."""
        assert self._running is not None
        assert self._running.stdin is not None
        self._running.stdin.write(word + "\n")
        self._running.stdin.flush()

    def movements(self, what: str, names: Iterable[str] | None = None) -> list[Movement]:
        """Return the record of one kind of movement."""
        found = []
        for name in self._names if names is None else names:
            path = self.directory / f"{name}.jsonl"
            for line in path.read_text().splitlines():
                record = json.loads(line)
                if record["what"] == what:
                    found.append(Movement(name, record["door"], record["t"], record["within_ms"]))
        return found

    def close(self) -> None:
        """Stop it."""
        if self._running is not None:
            self._running.terminate()
            self._running.wait(_BOARDS_S)


class Locker:
    """One locker: a directory with its configuration and `agent.db`, a proxy to its broker, and its agent."""

    def __init__(
        self,
        name: str,
        directory: Path,
        *,
        port: str,
        doors: int,
        proxy: Proxy,
        password_file: Path,
        public_key_file: Path,
        host: str = HOST,
        ledger: str | None = None,
        settings: str = "",
    ) -> None:
        self.name = name
        self.ledger = ledger or name
        self.proxy = proxy
        self.doors = doors
        self.directory = directory
        self.disk = Disk(directory / "data", _DISK_MB)
        self.config = directory / "edge.toml"
        self.config.write_text(
            _toml(name, self.disk.path, port, doors, (host, proxy.port), password_file, public_key_file) + settings
        )
        self.process = Process(
            f"agent {self.ledger}",
            [sys.executable, "-m", "edge_agent", "run", "--config", str(self.config)],
            directory / "agent.log",
            cwd=ROOT,
        )
        self._entries: dict[tuple[UUID, int], Entry] = {}

    @property
    def file(self) -> Path:
        """Its `agent.db`."""
        return self.disk.path / "agent.db"

    def start(self, **environment: str) -> None:
        """Start the agent."""
        self.process.start(**environment)

    def entries(self) -> list[Entry]:
        """Read its file, and return every event that was ever found there."""
        for row in self._rows("SELECT (SELECT epoch FROM ledger), seq, body FROM event"):
            epoch, seq = UUID(row[0]), int(row[1])
            if (epoch, seq) in self._entries:
                continue
            body = json.loads(row[2])
            content = Content(
                body["kind"], body["at"], body.get("door"), body.get("command"), normal(body.get("data"))
            )
            self._entries[epoch, seq] = Entry(self.ledger, self.name, epoch, seq, content)
        return list(self._entries.values())

    def unconfirmed(self) -> int:
        """Return how many events its file has that the hub has not confirmed; -1 where it cannot be read."""
        rows = self._rows("SELECT next_seq - 1 - acked_seq FROM ledger")
        return int(rows[0][0]) if rows else -1

    async def stopped(self, seconds: float = 25.0) -> int | None:
        """Stop the agent in order."""
        self.process.thaw()
        return await self.process.stop(seconds)

    async def alive(self) -> None:
        """Start it where it is not running."""
        if not self.process.alive:
            self.start()
        await until(lambda: self.process.alive, 1, f"{self.process.name} runs")

    async def close(self) -> None:
        """Stop the agent, and close its proxy and disk."""
        await self.stopped()
        await self.proxy.close()
        self.disk.close()

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        if not self.file.exists():
            return []
        try:
            # Not read-only: the last reader of a file in WAL mode may have to recover it.
            with contextlib.closing(sqlite3.connect(self.file, timeout=5.0)) as connection:
                return connection.execute(query).fetchall()
        except sqlite3.OperationalError:
            if os.access(self.file, os.W_OK):
                return []
            raise


def _toml(
    name: str,
    data: Path,
    port: str,
    doors: int,
    broker: tuple[str, int],
    password_file: Path,
    public_key_file: Path,
) -> str:
    boards = "\n".join(
        f"[[boards]]\nport = '{port}'\naddress = {address}\nlocks = {min(16, doors - first)}\n"
        f"first_door = {first + 1}\nanswer_timeout_ms = 250\n"
        for address, first in enumerate(range(0, doors, 16))
    )
    return (
        f"locker = '{name}'\ndata_dir = '{data}'\n"
        f"[mqtt]\nhost = '{broker[0]}'\nport = {broker[1]}\npassword_file = '{password_file}'\n"
        f"keepalive_s = {KEEPALIVE_S}\nreconnect_cap_s = 1.0\n"
        f"[hub]\npublic_key_file = '{public_key_file}'\n"
        f"[outbox]\nack_timeout_ms = {ACK_TIMEOUT_MS}\ndrain_s = 3.0\n"
        f"[telemetry]\nperiod_s = 1.0\n[doors]\nleft_open_s = 3600\n[log]\nlevel = 'info'\n{boards}\n"
    )
