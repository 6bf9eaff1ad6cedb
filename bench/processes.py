"""Child processes of a benchmark: started, watched, ended, and the CPU that they used."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HOST: Final = "127.0.0.1"
START_S_MAX: Final = 60.0
_STOP_S_MAX: Final = 20.0
_LOG_SHOWN_BYTES: Final = 4000
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


class BenchError(Exception):
    """The benchmark cannot go on; the text says why."""


@dataclass(frozen=True)
class Child:
    """A running child process and the file that it logs to."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Return once the condition holds. Raises BenchError when the child ends first, or the time does."""
        deadline = time.monotonic() + START_S_MAX
        while not condition():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise BenchError(f"{self.name} is not ready. It said:\n{self.said()}")
            time.sleep(0.02)

    def said(self) -> str:
        """Return the end of its log."""
        return self.log.read_bytes()[-_LOG_SHOWN_BYTES:].decode(errors="replace")


@contextmanager
def child(
    name: str,
    command: Sequence[str],
    log: Path,
    *,
    environment: Mapping[str, str] | None = None,
    user: int | None = None,
    cwd: Path = Path("/"),
    stop: signal.Signals = signal.SIGTERM,
) -> Iterator[Child]:
    """Run a program for as long as the block runs; `stop` ends it, and SIGKILL if that does not."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd=cwd, user=user,
            env=None if environment is None else {**os.environ, **environment},
        )  # fmt: skip
    try:
        yield Child(name, process, log)
    finally:
        process.send_signal(stop)
        try:
            process.wait(_STOP_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def run(command: Sequence[str], *, environment: Mapping[str, str] | None = None, cwd: Path = Path("/")) -> str:
    """Run a program to its end and return what it printed. Raises BenchError with its words if it failed."""
    done = subprocess.run(
        command, cwd=cwd, check=False, capture_output=True, text=True,
        env=None if environment is None else {**os.environ, **environment},
    )  # fmt: skip
    if done.returncode != 0:
        raise BenchError(f"{' '.join(command[:4])} ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
    return done.stdout


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Say whether somebody listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def cpu_s(pid: int, *, with_children: bool = False) -> float:
    """Return the CPU seconds that a process has used, user and system; with `with_children`, theirs too.

    Source: proc(5), /proc/[pid]/stat: utime, stime, and cutime, cstime of children that were waited for.
    """
    fields = _stat(pid)
    ticks = int(fields[11]) + int(fields[12])
    if with_children:
        ticks += int(fields[13]) + int(fields[14])
        for child_pid in list(family(pid))[1:]:
            with suppress(FileNotFoundError, ProcessLookupError):
                other = _stat(child_pid)
                ticks += int(other[11]) + int(other[12])
    return ticks / _TICKS_PER_S


def family(pid: int) -> Iterator[int]:
    """Yield a process, then its children."""
    yield pid
    for path in Path("/proc").iterdir():
        if path.name.isdigit() and int(path.name) != pid:
            try:
                parent = int(_stat(int(path.name))[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            if parent == pid:
                yield int(path.name)


def _stat(pid: int) -> list[str]:
    """Return the fields after the name, which may have spaces and brackets in it; the first one is the state."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
