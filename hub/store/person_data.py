"""All that is stored of a person, read a page at a time from one snapshot."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID

from psycopg.rows import DictRow

from hub.store.database import Database
from hub.store.people import TENANT, Connection, unknown
from hub.store.statements import statement

_PAGE_ROWS: Final = 1000
_TABLES: Final = {
    "account": statement("export_account"),
    "credential": statement("export_credential"),
    "badges": statement("export_badges"),
    "transactions": statement("export_transactions"),
    "ratings": statement("export_ratings"),
    "codes": statement("export_codes"),
    "acceptances": statement("export_acceptances"),
    "requests": statement("export_requests"),
    "checks": statement("export_checks"),
    "commands": statement("export_commands"),
    "events": statement("export_events"),
    "audit": statement("export_audit"),
}


@asynccontextmanager
async def person_data(store: Database, account: UUID) -> AsyncIterator["PersonData"]:
    """Read for as long as the block lasts. Raises account_unknown (PeopleError), StoreUnavailable."""
    async with store.transaction() as conn:
        await conn.execute(statement("export_begin"))
        values = {"account": account, "tenant": TENANT}
        row = await (await conn.execute(statement("export_who"), values)).fetchone()
        if row is None:
            raise unknown(account)
        yield PersonData(conn, {**values, "actor": row["actor"], "subject": f"account:{account}"})


class PersonData:
    """The tables, each by its name in `_TABLES`."""

    def __init__(self, conn: Connection, values: dict[str, Any]) -> None:
        self._conn = conn
        self._values = values

    async def pages(self, name: str) -> AsyncIterator[list[DictRow]]:
        """Yield the rows of a table in portions."""
        # On the server, so that a person with many events does not fill this process.
        async with self._conn.cursor(name=f"export_{name}") as cursor:
            await cursor.execute(_TABLES[name], self._values)
            while page := await cursor.fetchmany(_PAGE_ROWS):
                yield page
