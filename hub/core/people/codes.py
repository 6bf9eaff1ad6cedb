"""Access codes: what people type or show to open a door. Only what a secret key makes of one is ever stored."""

import hashlib
import hmac
from typing import Final

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: nothing in it looks like something else."""
CHARACTERS: Final = 10
"""50 bits: whoever may guess twenty times a minute finds one of a million codes in a hundred years."""
RANDOM_BYTES: Final = CHARACTERS

_PURPOSE: Final = b"lockerhub access code 1"
_SAME: Final = str.maketrans("OIL", "011")


def code_of(random: bytes) -> str:
    """Return the code that `RANDOM_BYTES` random bytes stand for."""
    return "".join(ALPHABET[byte % len(ALPHABET)] for byte in random)


def plain(code: str) -> str:
    """Return a code as it was issued, however it was typed: any case, spaces, hyphens, O for 0, I or L for 1."""
    return "".join(code.upper().translate(_SAME).replace("-", "").split())


def digest_of(secret: bytes, tenant: str, code: str) -> bytes:
    """Return what is stored of a code: HMAC-SHA256 with a key of this one purpose, made from the secret."""
    key = hmac.digest(secret, _PURPOSE, hashlib.sha256)
    return hmac.digest(key, f"{tenant}\n{plain(code)}".encode(), hashlib.sha256)
