"""The journal's rows in `agent.db`. Everything here runs within the caller's transaction."""

import sqlite3
from typing import Final

# A command that was cancelled before it came has no body: only its id is known. So has one whose person is erased.
CREATE_COMMAND: Final = """
CREATE TABLE {table} (
    id TEXT PRIMARY KEY,
    boot TEXT NOT NULL,
    t INTEGER NOT NULL,
    at INTEGER NOT NULL,
    body BLOB,
    reply BLOB
) WITHOUT ROWID
"""


def erase(connection: sqlite3.Connection, actor: str) -> list[str]:
    """Take an actor out of the commands that are over; return their ids. When they came, and the answer, stays.

    The table is written anew, whether there are any or not: its rows come in no order, and where SQLite moves them
    to make room it leaves copies in the gaps of its pages, which `secure_delete` wipes when the pages are freed.
    """
    theirs = "reply IS NOT NULL AND body IS NOT NULL AND instr(body, ?)"
    found = connection.execute(f"SELECT id FROM command WHERE {theirs}", (actor.encode(),)).fetchall()  # noqa: S608 - no value in it
    connection.execute(CREATE_COMMAND.format(table="command_anew"))
    connection.execute(
        "INSERT INTO command_anew"  # noqa: S608 - no value in it
        f" SELECT id, boot, t, at, CASE WHEN {theirs} THEN NULL ELSE body END, reply FROM command ORDER BY id",
        (actor.encode(),),
    )
    connection.execute("DROP TABLE command")
    connection.execute("ALTER TABLE command_anew RENAME TO command")
    return [key for (key,) in found]


def names(connection: sqlite3.Connection, actor: str) -> bool:
    """Say whether a row names an actor: a command that is under way, or an event that is not confirmed."""
    found = connection.execute(
        "SELECT 1 FROM command WHERE body IS NOT NULL AND instr(body, :actor)"
        " UNION ALL SELECT 1 FROM event WHERE seq > (SELECT acked_seq FROM ledger) AND instr(body, :actor) LIMIT 1",
        {"actor": actor.encode()},
    )
    return found.fetchone() is not None
