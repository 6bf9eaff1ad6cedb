"""The hub's signature under a command: Ed25519 (RFC 8032) over `wire.messages.signing_bytes`."""

from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from wire.messages import Command, signing_bytes

Verify = Callable[[Command], bool]


class KeyFileError(ValueError):
    """The hub's public key cannot be used; the text says why."""


def verifier(public_key_file: Path) -> Verify:
    """Return a function that says whether a command carries the signature of this key's owner.

    Raises:
        KeyFileError: the file cannot be read, or is not the PEM of an Ed25519 public key.
    """
    try:
        key = load_pem_public_key(public_key_file.read_bytes())
    except OSError as error:
        raise KeyFileError(f"{public_key_file} cannot be read: {error.strerror}") from None
    except ValueError:
        raise KeyFileError(f"{public_key_file} is not a public key in PEM") from None
    if not isinstance(key, Ed25519PublicKey):
        raise KeyFileError(f"{public_key_file} holds a key of another kind; an Ed25519 public key is needed")

    def verify(command: Command) -> bool:
        try:
            key.verify(command.sig, signing_bytes(command))
        except InvalidSignature:
            return False
        return True

    return verify
