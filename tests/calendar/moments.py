"""The moments at which the suite has to be right, and how a command is run at one of them."""

import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

UP_S: Final = 60
"""How long the machine has been up where it has just booted."""
_SOURCE: Final = Path(__file__).with_name("wall.c")
_TESTS: Final = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Moment:
    """What the wall clock says when the tests begin, where; and whether the machine has just booted."""

    begins: str
    """An ISO 8601 time; its offset is the zone's at that time."""
    zone: str
    what: str
    booted: bool = False

    @property
    def name(self) -> str:
        """Return it as one word: what `--only` looks for."""
        return f"{self.begins[:16]}-{self.zone}{'-booted' if self.booted else ''}"


MOMENTS: Final = (
    Moment("2027-02-28T12:10:00+00:00", "UTC", "the last day of February"),
    Moment("2028-02-29T23:30:00-03:30", "America/St_Johns", "29 February; 1 March in UTC", booted=True),
    Moment("2027-03-31T13:20:00+13:45", "Pacific/Chatham", "31 March; 30 March in UTC 24 hours before"),
    Moment("2026-11-30T23:58:30+00:00", "UTC", "30 November, and 1 December soon", booted=True),
    Moment("2026-12-31T23:58:30+13:45", "Pacific/Chatham", "31 December, and another year soon"),
    Moment("2027-03-14T01:58:30-03:30", "America/St_Johns", "the hour that is left out in spring comes soon"),
    Moment(
        "2026-11-01T01:58:30-02:30", "America/St_Johns", "the hour that comes twice in autumn begins again soon"
    ),
    Moment(
        "2027-04-04T03:43:30+13:45", "Pacific/Chatham", "the hour that comes twice, 45 minutes past", booted=True
    ),
)
"""Each date, both changes of summer time, in three zones: whole hours, half an hour, and three quarters of one."""


def absent() -> str | None:
    """Say what is missing for all this; None: nothing."""
    if not Path("/proc/self/ns/time").exists():
        return "a kernel with time namespaces (Linux 5.6)"
    if shutil.which("unshare") is None:
        return "unshare, of util-linux"
    if shutil.which("cc") is None:
        return "a C compiler (Debian: gcc and libc6-dev)"
    return None


def library(directory: Path) -> Path:
    """Compile the wall clock. PostgreSQL, which does not run as root, has to be able to read what comes out."""
    made = directory / "wall.so"
    subprocess.run(["cc", "-O1", "-Wall", "-shared", "-fPIC", "-o", made, _SOURCE, "-ldl"], check=True)
    made.chmod(0o755)
    return made


def environment(moment: Moment, wall: Path) -> dict[str, str]:
    """Return what a process, and all that it starts, has to be started with.

    Where this process itself has such a clock, its own offset is on what it reads, and the new one takes its place.
    """
    true_s = time.time() - int(os.environ.get("WALL_OFFSET_S", "0"))
    offset_s = round(datetime.fromisoformat(moment.begins).timestamp() - true_s)
    return {**os.environ, "TZ": moment.zone, "LD_PRELOAD": str(wall), "WALL_OFFSET_S": str(offset_s)}


def at_boot(command: list[str]) -> list[str]:
    """Return a command that runs another one on a machine that has just booted, by a time namespace.

    Root may make one; anybody else needs user namespaces.
    """
    own_s = _offsets_s()
    boot_s = UP_S - int(time.clock_gettime(time.CLOCK_BOOTTIME)) + own_s.get("boottime", 0)
    monotonic_s = UP_S - int(time.monotonic()) + own_s.get("monotonic", 0)
    who = [] if os.geteuid() == 0 else ["--user", "--map-current-user"]
    return ["unshare", *who, "--time", f"--boottime={boot_s}", f"--monotonic={monotonic_s}", "--fork", *command]


def _offsets_s() -> dict[str, int]:
    """Return what this process's time namespace adds, by clock. A new one's offsets do not count from it."""
    lines = (line.split() for line in Path("/proc/self/timens_offsets").read_text().splitlines())
    return {clock: int(seconds) for clock, seconds, _ in lines}


def reads_a_clock(module: Path) -> bool:
    """Say whether a test module looks at a clock, or may: by itself, or through anything that it runs.

    What a test imports does not tell: a locker's outbox reads a clock of which its tests never hear. So all do,
    but those of the cores and of the wire, where no code may read one (tests/test_layout.py), unless they ask the
    time themselves.
    """
    folders = module.relative_to(_TESTS).parts[:-1]
    pure = folders[:1] == ("wire",) or folders[1:2] == ("core",)
    return not pure or re.search(_CLOCK, module.read_text(), re.MULTILINE) is not None


_CLOCK: Final = r"^(?:from|import) (?:datetime|time|hub\.clock|edge_agent\.clock)\b|pytest\.mark\.services"
