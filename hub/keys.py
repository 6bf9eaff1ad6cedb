"""The hub's keys: Ed25519 (RFC 8032), each in a PEM file that only its owner can read.

One signs commands, one what is said to have been deleted.
"""

import logging
import os
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import structs

from hub.errors import ConfigError
from wire.messages import Command, signing_bytes

_log = logging.getLogger(__name__)

_COMMAND_SETTING: Final = "commands.key_file"
_RETENTION_SETTING: Final = "retention.key_file"


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


class PublicKey:
    """Says whether the owner of a key has signed something."""

    def __init__(self, public: Ed25519PublicKey) -> None:
        self._public = public

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the 32 bytes of the key, in hex: names it where a signature stands."""
        return sha256(
            self._public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        ).hexdigest()

    def pem(self) -> str:
        """Return it as text, as it stands in `….pub.pem`."""
        return self._public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ).decode()

    def verified(self, context: str, data: bytes, signature: bytes) -> bool:
        """Say whether `signature` is this key's over `data` in this context; see `ProofKey.sign`."""
        try:
            self._public.verify(signature, _in_context(context, data))
        except InvalidSignature:
            return False
        return True


class ProofKey:
    """Signs what is said to have been deleted: proofs of retention, the journal of erasures."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = PublicKey(private.public_key())

    def sign(self, context: str, data: bytes) -> bytes:
        """Return the signature (64 bytes) over a line that is `context`, and `data` behind it.

        The context says what kind of document it is, so that none can be passed off as one of another kind.
        """
        return self._private.sign(_in_context(context, data))


def load_key(path: Path) -> CommandKey:
    """Read the key. Raises ConfigError if it is missing, readable by others, or not an Ed25519 key."""
    try:
        return CommandKey(_read_private(path, _COMMAND_SETTING))
    except FileNotFoundError:
        raise ConfigError(f"{_COMMAND_SETTING}: {path} does not exist; `hub key make {path}` makes it") from None


def load_or_make_proof_key(path: Path) -> ProofKey:
    """Read the key that signs proofs; make it where there is none, and say so in the log.

    Data that has lived its time goes on time, whether or not somebody has thought of a key before.
    Raises ConfigError if it is readable by others, not an Ed25519 key, or cannot be made.
    """
    try:
        return ProofKey(_read_private(path, _RETENTION_SETTING))
    except FileNotFoundError:
        make_key(path)
        _log.warning("Made the key that signs proofs; keep a copy of its public half", extra={"file": str(path)})
        return ProofKey(_read_private(path, _RETENTION_SETTING))


def check_proof_key(path: Path) -> None:
    """Raise ConfigError if the key that signs proofs is there and cannot be used."""
    if path.exists():
        _read_private(path, _RETENTION_SETTING)


def load_public_key(path: Path) -> PublicKey:
    """Read a public half (`….pub.pem`). Raises ConfigError if it is missing or not an Ed25519 key."""
    try:
        return parse_public_key(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot read the public key {path}: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None


def parse_public_key(pem: bytes) -> PublicKey:
    """Read a public key's text. Raises ValueError if it is not a PEM public key of Ed25519."""
    try:
        public = serialization.load_pem_public_key(pem)
    except ValueError:
        raise ValueError("this is not a PEM public key") from None
    if not isinstance(public, Ed25519PublicKey):
        raise ValueError("this is not an Ed25519 key; `hub key make` makes one")  # noqa: TRY004 - of the text
    return PublicKey(public)


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


def _read_private(path: Path, setting: str) -> Ed25519PrivateKey:
    try:
        mode = path.stat().st_mode
        text = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigError(f"{setting}: cannot read {path}: {error.strerror}") from None
    if mode & 0o077:
        raise ConfigError(f"{setting}: {path} can be read by others; `chmod 600 {path}`")
    try:
        private = serialization.load_pem_private_key(text, password=None)
    except ValueError as error:
        raise ConfigError(f"{setting}: {path} is not a PEM private key: {error}") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise ConfigError(f"{setting}: {path} is not an Ed25519 key; `hub key make` makes one")
    return private


def _in_context(context: str, data: bytes) -> bytes:
    return context.encode() + b"\n" + data
