"""A network cable that can be pulled: a network namespace with one process at its end. Needs root and `ip`."""

import contextlib
import os
import shutil
import subprocess
from typing import Final

from faults.errors import FaultsError

_PATH: Final = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


class Cable:
    """`near` is this machine's address on the cable; `prefix` runs a command at the far end."""

    def __init__(self) -> None:
        self._ip = shutil.which("ip", path=_PATH)
        number = os.getpid() % 60_000
        self._name = f"lhf{number}"
        self._net = f"10.{200 + number // 16384}.{number // 64 % 256}"
        self._base = number % 64 * 4
        self._laid = False

    @property
    def near(self) -> str:
        """The address at this end."""
        return f"{self._net}.{self._base + 1}"

    @property
    def prefix(self) -> list[str]:
        """What to put before a command that shall run at the far end."""
        return [self._ip or "ip", "netns", "exec", self._name]

    def lay(self) -> bool:
        """Lay it; returns whether this machine can."""
        if self._ip is None or os.geteuid() != 0:
            return False
        far = f"{self._net}.{self._base + 2}/30"
        try:
            self._run("netns", "add", self._name)
            self._laid = True
            self._run("link", "add", self._name, "type", "veth", "peer", "name", "far", "netns", self._name)
            self._run("addr", "add", f"{self.near}/30", "dev", self._name)
            self._run("link", "set", self._name, "up")
            self._run("-n", self._name, "addr", "add", far, "dev", "far")
            self._run("-n", self._name, "link", "set", "far", "up")
            self._run("-n", self._name, "link", "set", "lo", "up")
        except FaultsError:
            self.take_away()
            return False
        return True

    def pull(self) -> None:
        """Pull the plug at this end."""
        self._run("link", "set", self._name, "down")

    def plug(self) -> None:
        """Put the plug back."""
        self._run("link", "set", self._name, "up")

    def take_away(self) -> None:
        """Take it away."""
        if self._laid:
            with contextlib.suppress(FaultsError):
                self._run("netns", "del", self._name)
            with contextlib.suppress(FaultsError):
                self._run("link", "del", self._name)
            self._laid = False

    def _run(self, *words: str) -> None:
        done = subprocess.run([self._ip or "ip", *words], check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise FaultsError(f"ip {' '.join(words)}: {done.stderr.strip()}")
