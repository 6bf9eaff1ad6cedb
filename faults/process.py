"""One process under test: started, killed, frozen, started again, with one log over all its lives."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from faults.errors import FaultsError
from faults.waiting import until

_LOG_SHOWN_BYTES: Final = 3000
_END_S: Final = 25.0


class Process:
    """A program that may be started again and again."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        user: int | None = None,
        cwd: Path = Path("/"),
    ) -> None:
        self.name = name
        self.command = list(command)
        self.environment = dict(environment or {})
        self.log = log
        self.starts = 0
        self._user = user
        self._cwd = cwd
        self._running: subprocess.Popen[bytes] | None = None

    def start(self, **environment: str) -> None:
        """Start it, with more variables for this life alone."""
        if self.alive:
            raise FaultsError(f"{self.name} runs already")
        with self.log.open("ab") as log:
            self._running = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._cwd, user=self._user,
                env={**os.environ, **self.environment, **environment}, start_new_session=True,
            )  # fmt: skip
        self.starts += 1

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._running is not None and self._running.poll() is None

    @property
    def pid(self) -> int:
        """Its process id. Raises FaultsError where it was never started."""
        if self._running is None:
            raise FaultsError(f"{self.name} was never started")
        return self._running.pid

    @property
    def status(self) -> int | None:
        """How it ended: its exit status, or minus the signal; None while it runs."""
        return None if self._running is None else self._running.poll()

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        if self.alive and self._running is not None:
            self._running.send_signal(number)

    async def kill(self) -> None:
        """Kill -9, and wait until it is gone."""
        self.send(signal.SIGKILL)
        await self.ended(_END_S)

    async def stop(self, seconds: float = _END_S, number: signal.Signals = signal.SIGTERM) -> int | None:
        """Ask it to end; kill it when the time is over. Returns its status."""
        self.send(number)
        try:
            await self.ended(seconds)
        except FaultsError:
            await self.kill()
        return self.status

    async def ended(self, seconds: float) -> float:
        """Wait for its end; returns how long that took. Raises FaultsError."""
        return await until(lambda: not self.alive, seconds, f"{self.name} has ended")

    def freeze(self) -> None:
        """SIGSTOP."""
        self.send(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self.send(signal.SIGCONT)

    def said(self) -> str:
        """Return the end of its log."""
        return self.log.read_bytes()[-_LOG_SHOWN_BYTES:].decode(errors="replace") if self.log.exists() else ""

    def memory_mb(self) -> float:
        """Return its resident memory. Source: proc(5), VmRSS, in kB."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        return 0.0
