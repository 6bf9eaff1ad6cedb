"""The file of the erasure journal, in the directory outside the database; see hub.core.people.journal."""

import fcntl
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final
from uuid import UUID

from hub.core.people.journal import CONTEXT, ORIGIN, JournalBroken, JournalEntry, digest_of, line_of, read_lines
from hub.errors import PeopleError
from hub.keys import ProofKey

_log = logging.getLogger(__name__)
_FILE: Final = "erasures.jsonl"


class ErasureJournal:
    """Appends entries, each on disk before `append` returns; reads all of them, verified.

    Several processes of one machine may use it at once. Its calls wait for the disk: not for the event loop.
    """

    def __init__(self, directory: Path, key: Callable[[], ProofKey]) -> None:
        self.path = directory / _FILE
        self._key = key

    def read(self) -> list[JournalEntry]:
        """Return all entries; a line that was cut off was never believed. Raises PeopleError journal_broken."""
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._unusable(error) from None
        return self._entries(_whole_lines(text))

    def append(self, make: Callable[[int], JournalEntry]) -> JournalEntry:
        """Write the entry that `make` returns for its number, and return it.

        If there is an entry of the same account already, nothing is written, and that one is returned.
        Raises PeopleError journal_broken, journal_unwritable.
        """
        try:
            with self._alone() as file:
                lines = _whole_lines(file.read())
                entries = self._entries(lines)
                entry = make(len(entries) + 1)
                known = _of_account(entries, entry.account)
                if known is not None:
                    return known
                line = line_of(entry, digest_of(lines[-1]) if lines else ORIGIN, self._sign)
                # What follows the last whole line was cut off by a crash, before anything was done.
                file.seek(sum(len(one) + 1 for one in lines))
                file.truncate()
                file.write(line + b"\n")
                file.flush()
                os.fsync(file.fileno())
                return entry
        except OSError as error:
            raise self._unusable(error) from None

    @contextmanager
    def _alone(self) -> Iterator[BinaryIO]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            _sync_directory(self.path.parent)
            yield file

    def _entries(self, lines: list[bytes]) -> list[JournalEntry]:
        try:
            return read_lines(lines, lambda data, signature: self._key().public.verified(CONTEXT, data, signature))
        except JournalBroken as error:
            raise PeopleError(
                "journal_broken", f"{self.path}: {error}; put back the file as it was, or the key that signed it"
            ) from None

    def _sign(self, data: bytes) -> bytes:
        return self._key().sign(CONTEXT, data)

    def _unusable(self, error: OSError) -> PeopleError:
        return PeopleError(
            "journal_unwritable", f"{self.path} cannot be used, so nothing is erased: {error.strerror or error}"
        )


def _of_account(entries: list[JournalEntry], account: UUID) -> JournalEntry | None:
    return next((one for one in entries if one.account == account), None)


def _whole_lines(text: bytes) -> list[bytes]:
    *lines, rest = text.split(b"\n")
    if rest:
        _log.warning("The journal of erasures ends with a line that was cut off", extra={"bytes": len(rest)})
    return lines


def _sync_directory(directory: Path) -> None:
    folder = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
