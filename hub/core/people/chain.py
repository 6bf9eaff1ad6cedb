"""The audit's chain: every row's hash covers the hash before it, so no row can be changed, left out or put between.

A row names whom it is about only through a salted digest. When that person is erased the name and the salt are
emptied: the hash still holds, and the digest of a random salt that nobody has tells nothing.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

ORIGIN: Final = bytes(32)
"""Stands before the first row."""
SALT_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class AuditRow:
    """A row as it is stored. `detail` is the JSON text as it was written, byte for byte."""

    id: int
    at: datetime
    who: str
    action: str
    subject: str | None
    salt: bytes | None
    subject_digest: bytes | None
    detail: str
    hash: bytes


def digest_of_subject(salt: bytes, subject: str) -> bytes:
    """Return what a row's hash knows of its subject: SHA-256 over the salt and the UTF-8 text."""
    return hashlib.sha256(salt + subject.encode()).digest()


def chained(previous: bytes, row: AuditRow) -> bytes:
    """Return the hash that the row has to have behind `previous`; its own `hash` is not looked at."""
    digest = None if row.subject_digest is None else row.subject_digest.hex()
    at = row.at.astimezone(UTC).isoformat(timespec="microseconds")
    canonical = json.dumps(
        [row.id, at, row.who, row.action, digest, row.detail], ensure_ascii=False, separators=(",", ":")
    )
    return hashlib.sha256(previous + canonical.encode()).digest()


class Verification:
    """Walks the chain from its anchor to its head, a row at a time in the order of their ids."""

    def __init__(self, anchor_id: int, anchor_hash: bytes) -> None:
        self._id = anchor_id
        self._hash = anchor_hash
        self.rows = 0
        self.emptied = 0
        """Rows whose subject was emptied, for the person was erased."""

    def take(self, row: AuditRow) -> str | None:
        """Return what is wrong with the next row, None if it is right. After a fault the walk goes on behind it."""
        expected_id, previous = self._id + 1, self._hash
        self._id, self._hash = row.id, row.hash
        self.rows += 1
        if row.id != expected_id:
            return f"rows {expected_id} to {row.id - 1} are missing"
        if chained(previous, row) != row.hash:
            return f"row {row.id} is not what was written, or does not follow the row before it"
        if row.subject is None:
            self.emptied += row.subject_digest is not None
        elif row.salt is None or digest_of_subject(row.salt, row.subject) != row.subject_digest:
            return f"the subject of row {row.id} is not the one that was written"
        return None

    def end(self, head_id: int, head_hash: bytes) -> str | None:
        """Return what is wrong with the chain's end, None if it is right."""
        if (head_id, head_hash) == (self._id, self._hash):
            return None
        if head_id > self._id:
            return f"rows {self._id + 1} to {head_id} are missing at the end"
        return f"the chain ends with row {self._id}, and its head says {head_id} with another hash"
