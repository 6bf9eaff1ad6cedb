"""Passwords: scrypt (RFC 7914), with the parameters beside the hash, so that they can grow."""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

SALT_BYTES: Final = 16
CHARACTERS_MIN: Final = 10
CHARACTERS_MAX: Final = 200
_N, _R, _P = 2**15, 8, 1
_HASH_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Hashed:
    """What is stored of a password."""

    salt: bytes
    hash: bytes
    scrypt_n: int = _N
    scrypt_r: int = _R
    scrypt_p: int = _P


def hashed(password: str, salt: bytes) -> Hashed:
    """Hash a password. It takes 32 MiB and some 80 ms: not for the event loop."""
    return Hashed(salt, _scrypt(password, salt, _N, _R, _P))


def matches(password: str, stored: Hashed) -> bool:
    """Say whether it is the password that was hashed, in the same time whether or not. As slow as `hashed`."""
    given = _scrypt(password, stored.salt, stored.scrypt_n, stored.scrypt_r, stored.scrypt_p)
    return hmac.compare_digest(given, stored.hash)


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    # scrypt itself needs 128 * n * r bytes; OpenSSL wants some more allowed.
    return hashlib.scrypt(
        password.encode(), salt=salt, n=n, r=r, p=p, maxmem=256 * n * r, dklen=_HASH_BYTES
    )  # fmt: skip
