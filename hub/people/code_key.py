"""The secret that access codes are hashed with: a file that only its owner can read, made on first use."""

import logging
import os
import secrets
from pathlib import Path
from typing import Final

from hub.errors import ConfigError
from hub.masking import remember

_log = logging.getLogger(__name__)
_BYTES: Final = 32
_SETTING: Final = "people.code_key_file"


def load_or_make_code_key(path: Path) -> bytes:
    """Return the secret. Without it the codes that were issued open nothing, and new ones take their place.

    Raises ConfigError if the file is readable by others, is not 64 hex digits, or cannot be made.
    """
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read(path)
    except OSError as error:
        raise ConfigError(f"{_SETTING}: cannot make {path}: {error.strerror}") from None
    secret = secrets.token_bytes(_BYTES)
    with os.fdopen(file, "w") as out:
        out.write(secret.hex() + "\n")
        out.flush()
        os.fsync(out.fileno())
    _log.warning("Made the secret of access codes", extra={"file": str(path)})
    return secret


def read_code_key(path: Path) -> bytes | None:
    """Return the secret, or None if it is not made yet. Raises ConfigError as `load_or_make_code_key`."""
    return _read(path) if path.exists() else None


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"{_SETTING}: {path} can be read by others; `chmod 600 {path}`")
        text = path.read_text().strip()
        remember(text)
        secret = bytes.fromhex(text)
    except OSError as error:
        raise ConfigError(f"{_SETTING}: cannot read {path}: {error.strerror}") from None
    except ValueError:
        secret = b""
    if len(secret) != _BYTES:
        raise ConfigError(f"{_SETTING}: {path} is not {2 * _BYTES} hex digits; remove it, and a new one is made")
    return secret
