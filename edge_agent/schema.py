"""The tables of `agent.db`, made or brought forward in one transaction each."""

import sqlite3
from typing import Final
from uuid import uuid4

from edge_agent.command_rows import CREATE_COMMAND
from edge_agent.event_rows import CREATE_EVENT, Row, chained
from wire.messages import CHAIN_START

SCHEMA: Final = 2

_CREATE_LEDGER: Final = """
CREATE TABLE ledger (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    epoch TEXT NOT NULL,
    next_seq INTEGER NOT NULL,
    acked_seq INTEGER NOT NULL,
    session INTEGER NOT NULL,
    chain TEXT NOT NULL,
    base_chain TEXT NOT NULL
)
"""
_CREATE_SETTING: Final = "CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"


class SchemaError(Exception):
    """The file was written by another version; the text says which."""


def bring_forward(connection: sqlite3.Connection) -> None:
    """Make the tables, or bring those of schema 1 forward. All of it happens, or nothing.

    Raises:
        SchemaError: a newer version wrote the file.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version == SCHEMA:
        return
    if version not in _STEPS:
        raise SchemaError(f"its schema is {version}, this version's {SCHEMA}")
    connection.execute("BEGIN IMMEDIATE")
    try:
        _STEPS[version](connection)
        connection.execute(f"PRAGMA user_version = {SCHEMA}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _make(connection: sqlite3.Connection) -> None:
    for statement in (
        _CREATE_LEDGER,
        CREATE_EVENT.format(table="event"),
        CREATE_COMMAND.format(table="command"),
        _CREATE_SETTING,
    ):
        connection.execute(statement)
    connection.execute("INSERT INTO ledger VALUES (1, ?, 1, 0, 0, ?, ?)", (str(uuid4()), CHAIN_START, CHAIN_START))


def _from_1(connection: sqlite3.Connection) -> None:
    """Give the events their chain. Nobody has been told one yet, so it may begin at the oldest that is here."""
    for table in ("ledger", "event", "command"):
        connection.execute(f"ALTER TABLE {table} RENAME TO {table}_1")
    for statement in (
        _CREATE_LEDGER,
        CREATE_EVENT.format(table="event"),
        CREATE_COMMAND.format(table="command"),
        _CREATE_SETTING,
    ):
        connection.execute(statement)
    chain = CHAIN_START
    for seq, *row in connection.execute("SELECT seq, boot, clock, at, body FROM event_1 ORDER BY seq"):
        chain = chained(chain, Row(*row))
        connection.execute("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?)", (seq, *row, chain))
    connection.execute(
        "INSERT INTO ledger SELECT one, epoch, next_seq, acked_seq, session, ?, ? FROM ledger_1",
        (chain, CHAIN_START),
    )
    connection.execute("INSERT INTO command SELECT id, boot, t, at, body, reply FROM command_1")
    for table in ("ledger", "event", "command"):
        connection.execute(f"DROP TABLE {table}_1")


_STEPS: Final = {0: _make, 1: _from_1}
