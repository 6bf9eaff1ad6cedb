"""Mosquitto as it is shipped, with one account more: the one that injects faults, with the hub's rights."""

import os
import pwd
import shutil
import signal
from pathlib import Path
from typing import Final

from bench.processes import free_port, listens, run
from bench.rig import ROOT
from faults.disks import Disk
from faults.process import Process
from faults.waiting import until

INJECTOR: Final = "fault-injector"
_START_S: Final = 20.0
_PATH: Final = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
_DISK_MB: Final = 48


class Broker:
    """The broker of one rig, on one port for all of its lives."""

    def __init__(self, directory: Path, lockers: list[str]) -> None:
        self.directory = directory
        self.port = free_port()
        self.hub_password_file = directory / "hub_password"
        self.locker_password_file = directory / "locker_password"
        self._lockers = lockers
        self.disk = Disk(directory / "data", _DISK_MB)
        self.process = Process(
            "Mosquitto",
            [shutil.which("mosquitto", path=_PATH) or "mosquitto", "-c", "config/mosquitto.conf"],
            directory / "mosquitto.log",
            cwd=directory,
        )

    async def open(self) -> None:
        """Write the configuration and the accounts, and start it."""
        config = self.directory / "config"
        config.mkdir(parents=True)
        accounts = str(ROOT / "mosquitto" / "accounts")
        passwords = str(config / "passwords")
        run([accounts, passwords, str(self.locker_password_file), *self._lockers])
        # The shipped start script lays out the directory; from then on the same program is started here directly.
        first = Process(
            "Mosquitto", [str(ROOT / "mosquitto" / "start"), str(self.directory), str(self.port)], self.process.log
        )
        first.start()
        await until(lambda: listens(self.port), _START_S, "Mosquitto listens")
        await first.stop()
        run([accounts, passwords, str(self.hub_password_file), INJECTOR])
        with (config / "acl").open("a") as acl:
            acl.write(f"\nuser {INJECTOR}\ntopic readwrite lh/v1/#\n")
        await self.start()

    @property
    def data(self) -> Path:
        """The file that it keeps over a restart."""
        return self.directory / "data" / "mosquitto.db"

    @property
    def password(self) -> str:
        """The password of the hub's accounts and of the injector's."""
        return self.hub_password_file.read_text().strip()

    @property
    def locker_password(self) -> str:
        """The password of every locker's account."""
        return self.locker_password_file.read_text().strip()

    async def start(self) -> None:
        """Start it, and wait until it listens."""
        self.process.start()
        await until(lambda: listens(self.port) or not self.process.alive, _START_S, "Mosquitto listens")

    async def kill(self, *, wipe: bool = False) -> None:
        """Kill -9; with `wipe`, what it kept is gone too."""
        await self.process.kill()
        if wipe:
            self.data.unlink(missing_ok=True)

    def own(self, path: Path) -> None:
        """Give a file to the user that Mosquitto runs as."""
        if os.geteuid() == 0:
            user = pwd.getpwnam("mosquitto")
            os.chown(path, user.pw_uid, user.pw_gid)

    async def close(self) -> None:
        """Stop it."""
        self.process.send(signal.SIGCONT)
        await self.process.stop()
        self.disk.close()
