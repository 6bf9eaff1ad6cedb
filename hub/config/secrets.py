"""Files that hold a secret: reading one, and who else can; one rule for all of them.

Nobody but the owner has to read one. What others of the machine can read is wrong; what a group can read is noted,
because that is how orchestrators hand secrets to a process that is not root (`defaultMode: 0440` with `fsGroup`).
The hub's own keys are refused with either: it makes them itself, for itself.
"""

from pathlib import Path

from hub.core.doctor import Finding
from hub.errors import ConfigError
from hub.masking import remember

_OTHERS = 0o007
_GROUP = 0o070


def read_secret(path: str, setting: str) -> str:
    """Return the first line of a secret's file, which no log shows from then on."""
    where = shown_path(path)
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"{setting}: cannot read {where}: {error.strerror}") from None
    except ValueError:
        raise ConfigError(f"{setting}: {where} is not UTF-8 text; its first line should be the secret") from None
    if not text:
        raise ConfigError(f"{setting}: {where} is empty; its first line should be the secret")
    secret = text.splitlines()[0]
    remember(secret)
    return secret


def shown_path(path: str) -> str:
    """Return a path as errors show it: not at all if it looks as if the secret itself stood in its place."""
    plausible = "://" not in path and "@" not in path and ("/" in path or Path(path).suffix)
    return path if plausible else "the file that it names (the setting takes a path, not the secret itself)"


def check_mode(path: str, setting: str) -> Finding | None:
    """Return what is wrong with the mode of a file; None if nothing is, or if it is not there."""
    try:
        mode = Path(path).stat().st_mode & 0o777
    except OSError:
        return None
    if mode & _OTHERS:
        return Finding(f"{setting}: {path} (mode {mode:04o}) can be read by others: `chmod 600 {path}`")
    if mode & _GROUP:
        return Finding(
            f"{setting}: {path} (mode {mode:04o}) can be read by its group: is it the hub's alone?", trouble=False
        )
    return None
