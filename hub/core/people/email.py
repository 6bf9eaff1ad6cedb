"""E-mail addresses: how they are written and when two of them are one. No error repeats the address."""

import unicodedata
from typing import Final

CHARACTERS_MAX: Final = 254


def written(email: str) -> str:
    """Return the address as it is kept: without spaces around it, in NFC. Raises ValueError with what is wrong."""
    text = unicodedata.normalize("NFC", email.strip())
    local, at, domain = text.rpartition("@")
    if not at or not local or "@" in local:
        raise ValueError("An e-mail address has one @, with a name before it and a domain behind it.")
    if len(text) > CHARACTERS_MAX:
        raise ValueError(f"An e-mail address has at most {CHARACTERS_MAX} characters; this one has {len(text)}.")
    if any(one.isspace() or not one.isprintable() for one in text):
        raise ValueError("An e-mail address has no spaces and no control characters in it.")
    if not all(domain.split(".")):
        raise ValueError("The domain of an e-mail address has no empty part: no dot at its ends, no two in a row.")
    return text


def key(email: str) -> str:
    """Return what is the same for two ways to write one address: its lower case, in NFC."""
    return unicodedata.normalize("NFC", email.strip().lower())
