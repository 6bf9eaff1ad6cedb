"""The journal of erasures: what has to be erased again in a database that comes back from a backup.

One line of JSON an erasure, written before it begins. Each line has the SHA-256 of the line before it, and a
signature over both, so that no line can be changed, left out or made up. It names people by random ids only.
"""

import json
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from typing import Final
from uuid import UUID

import msgspec

from hub.core.people.erasing import Cause

CONTEXT: Final = "lockerhub erasure 1"
"""What signatures are for."""
ORIGIN: Final = "0" * 64
"""Stands for the line before the first one."""

Sign = Callable[[bytes], bytes]
Verify = Callable[[bytes, bytes], bool]


class JournalEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An erasure that was decided. `audit_id` and `audit_sha256` are where the audit stood."""

    number: int
    id: UUID
    tenant: str
    account: UUID
    actor: UUID
    cause: Cause
    by: str
    at: datetime
    request: UUID | None
    audit_id: int
    audit_sha256: str


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    entry: JournalEntry
    previous: str
    signature: str


class JournalBroken(ValueError):  # noqa: N818 - what it is
    """A line is not what was written. The text says which, and what is wrong with it."""


def line_of(entry: JournalEntry, previous: str, sign: Sign) -> bytes:
    """Return the line of an entry behind the line with the digest `previous`, without its end."""
    signature = sign(_signed(entry, previous)).hex()
    return msgspec.json.encode(_Line(entry, previous, signature), order="sorted")


def digest_of(line: bytes) -> str:
    """Return what the next line has of this one."""
    return sha256(line).hexdigest()


def read_lines(lines: list[bytes], verify: Verify) -> list[JournalEntry]:
    """Return the entries of all lines. Raises JournalBroken at the first that is not what was written."""
    entries: list[JournalEntry] = []
    previous = ORIGIN
    for number, line in enumerate(lines, 1):
        try:
            read = msgspec.json.decode(line, type=_Line)
            signature = bytes.fromhex(read.signature)
        except ValueError as error:
            raise JournalBroken(f"line {number} cannot be read: {error}") from None
        if read.previous != previous or read.entry.number != number:
            raise JournalBroken(f"line {number} does not follow the line before it: one was changed or left out")
        if not verify(_signed(read.entry, previous), signature):
            raise JournalBroken(f"line {number} is not signed with this key, or was changed")
        entries.append(read.entry)
        previous = digest_of(line)
    return entries


def _signed(entry: JournalEntry, previous: str) -> bytes:
    text = json.dumps(
        {"entry": msgspec.to_builtins(entry), "previous": previous}, sort_keys=True, separators=(",", ":")
    )
    return text.encode()
