"""Small disks of our own (tmpfs), so that one can be full or read-only without the machine being so. Needs root."""

import os
import subprocess
from pathlib import Path
from typing import Final

from faults.errors import FaultsError

_CHUNK: Final = bytes(64 * 1024)
_BALLAST: Final = "ballast"


class Disk:
    """A directory on a tmpfs of so many MB; without root it is a plain directory, and `real` is False."""

    def __init__(self, path: Path, megabytes: int) -> None:
        self.path = path
        self.real = False
        path.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "tmpfs", str(path)]
            self.real = subprocess.run(mount, check=False, capture_output=True).returncode == 0

    def fill(self) -> None:
        """Leave no byte free."""
        with (self.path / _BALLAST).open("ab", buffering=0) as file:
            for size in (len(_CHUNK), 4096, 1):
                try:
                    while True:
                        file.write(_CHUNK[:size])
                except OSError:
                    continue

    def empty(self) -> None:
        """Give the space back."""
        (self.path / _BALLAST).unlink(missing_ok=True)

    def mount_again(self, how: str) -> None:
        """Make it `ro` or `rw`. Raises FaultsError while somebody writes."""
        done = subprocess.run(
            ["mount", "-o", f"remount,{how}", str(self.path)], check=False, capture_output=True, text=True
        )
        if done.returncode != 0:
            raise FaultsError(f"{self.path} cannot be made {how}: {done.stderr.strip()}")

    def close(self) -> None:
        """Take it away."""
        if self.real:
            subprocess.run(["umount", "-l", str(self.path)], check=False)
