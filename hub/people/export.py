"""A copy for the person: one archive with all that is stored of them, in JSON and in CSV."""

import asyncio
import tempfile
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final
from uuid import UUID

import orjson

from hub.core.delimited import BOM, csv_lines
from hub.store.database import Database
from hub.store.person_data import person_data

FORM: Final = "lockerhub person 1"

_COPY_CHARACTERS: Final = 1 << 20
_ABOUT: Final = {
    "account": "Who you are to the service: e-mail address, name, when the account was made, closed or restricted.",
    "credential": "That you have a password, and since when. The password itself is not stored.",
    "badges": "The numbers of your badges.",
    "transactions": "What you used lockers for: when, where, how it ended.",
    "ratings": "What you thought of it.",
    "codes": "Access codes that are valid now: since when, until when. The codes themselves are not stored.",
    "acceptances": "Which versions of the privacy notice you accepted, and what you took back.",
    "requests": "What you asked for about your data, and the answers.",
    "checks": "How it was verified that it was you who asked.",
    "commands": "Orders to lockers that were given in your name.",
    "events": "What lockers recorded of you.",
    "audit": "What operators did about you.",
}


@dataclass
class Exported:
    """What an archive has: rows by table."""

    account: UUID
    at: datetime
    rows: dict[str, int] = field(default_factory=dict)


async def export_person(store: Database, account: UUID, path: Path, at: datetime) -> Exported:
    """Write the archive to `path`. Rows are written as they are read, so that it may be of any size.

    All of it is from one snapshot of the database. Raises account_unknown (PeopleError), StoreUnavailable, and
    OSError for the file.
    """
    exported = Exported(account, at)
    async with person_data(store, account) as data:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in _ABOUT:
                exported.rows[name] = await _write(archive, name, data.pages(name))
            archive.writestr("manifest.json", _manifest(exported))
    return exported


async def _write(archive: zipfile.ZipFile, name: str, pages: AsyncIterator[list[dict[str, Any]]]) -> int:
    """Write one table as `name.json` and `name.csv`; return its rows.

    An archive has one file open at a time: the JSON goes straight in, and the CSV waits in a file without a name.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", newline="") as table:
        with archive.open(f"{name}.json", "w", force_zip64=True) as out:
            rows = _Rows(out, table)
            async for page in pages:
                # Compressing takes its time, and doors are being opened in this very loop.
                await asyncio.to_thread(rows.add, page)
            rows.end()
        table.seek(0)
        with archive.open(f"{name}.csv", "w", force_zip64=True) as out:
            await asyncio.to_thread(_copy, table, out)
    return rows.count


class _Rows:
    """Rows on their way into both forms."""

    def __init__(self, out: IO[bytes], table: IO[str]) -> None:
        self.count = 0
        self._out = out
        self._table = table

    def add(self, page: list[dict[str, Any]]) -> None:
        for row in page:
            if not self.count:
                self._table.write(BOM + csv_lines([list(row)]))
            self._out.write((b",\n" if self.count else b"[\n") + orjson.dumps(row, option=orjson.OPT_UTC_Z))
            self._table.write(csv_lines([list(row.values())]))
            self.count += 1

    def end(self) -> None:
        self._out.write(b"\n]\n" if self.count else b"[]\n")
        self._table.flush()


def _copy(table: IO[str], out: IO[bytes]) -> None:
    while text := table.read(_COPY_CHARACTERS):
        out.write(text.encode())


def _manifest(exported: Exported) -> bytes:
    files = {
        f"{name}.{form}": {"about": about, "rows": exported.rows[name]}
        for name, about in _ABOUT.items()
        for form in ("json", "csv")
    }
    notes = {
        "form": FORM, "account": exported.account, "made_at": exported.at, "files": files,
        "csv": "UTF-8, with a header. What a spreadsheet would take for a formula begins with an apostrophe.",
        "times": "RFC 3339, in UTC",
    }  # fmt: skip
    return orjson.dumps(notes, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z)
