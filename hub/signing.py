"""The hub's command key: Ed25519 (RFC 8032), in a PEM file that only its owner can read."""

import os
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import structs

from hub.errors import ConfigError
from wire.messages import Command, signing_bytes


class CommandKey:
    """Signs commands."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private

    def sign(self, command: Command) -> Command:
        """Return the command with its signature."""
        return structs.replace(command, sig=self._private.sign(signing_bytes(command)))

    def public_pem(self) -> str:
        """Return the public half, as agents take it in `[hub] public_key_file`."""
        return (
            self._private.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )


def load_key(path: Path) -> CommandKey:
    """Read the key. Raises ConfigError if it is missing, readable by others, or not an Ed25519 key."""
    try:
        mode = path.stat().st_mode
        text = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"commands.key_file: {path} does not exist; `hub key make {path}` makes it") from None
    except OSError as error:
        raise ConfigError(f"commands.key_file: cannot read {path}: {error.strerror}") from None
    if mode & 0o077:
        raise ConfigError(f"commands.key_file: {path} can be read by others; `chmod 600 {path}`")
    try:
        private = serialization.load_pem_private_key(text, password=None)
    except ValueError as error:
        raise ConfigError(f"commands.key_file: {path} is not a PEM private key: {error}") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise ConfigError(f"commands.key_file: {path} is not an Ed25519 key; `hub key make` makes one")
    return CommandKey(private)


def make_key(path: Path) -> CommandKey:
    """Make a new key and write it to `path` (mode 0600) and its public half to `path` + `.pub.pem`.

    Raises ConfigError if `path` exists: a key in use is never overwritten.
    """
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    key = CommandKey(private)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make {path.parent}: {error.strerror}") from None
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
    except FileExistsError:
        raise ConfigError(f"{path} exists; a key in use is not overwritten") from None
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from None
    public_path(path).write_text(key.public_pem())
    return key


def public_path(path: Path) -> Path:
    """Return where `make_key` puts the public half."""
    return path.with_name(path.name.removesuffix(".pem") + ".pub.pem")
