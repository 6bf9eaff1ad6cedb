"""The rows and their chain: what a file of the first schema becomes, and what a chain depends on."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path

import pytest

from edge_agent import event_rows, schema
from edge_agent.disk import DiskError, open_disk
from edge_agent.event_rows import Row, chained
from wire.messages import CHAIN_START

SCHEMA_1 = """
CREATE TABLE ledger (one INTEGER PRIMARY KEY CHECK (one = 1), epoch TEXT NOT NULL, next_seq INTEGER NOT NULL,
    acked_seq INTEGER NOT NULL, session INTEGER NOT NULL);
CREATE TABLE event (seq INTEGER PRIMARY KEY, boot TEXT NOT NULL, clock TEXT NOT NULL, at INTEGER NOT NULL,
    body BLOB NOT NULL);
CREATE TABLE command (id TEXT PRIMARY KEY, boot TEXT NOT NULL, t INTEGER NOT NULL, at INTEGER NOT NULL,
    body BLOB NOT NULL, reply BLOB) WITHOUT ROWID;
INSERT INTO ledger VALUES (1, '0b1ee3a7-0f5c-4d0e-9f57-6cfb4d0f8a90', 8, 5, 12);
INSERT INTO command VALUES ('9c0c6a54-6f52-4f0f-8ed3-0f1d4b7f6c55', 'b', 1, 2, x'7b7d', NULL);
PRAGMA user_version = 1;
"""
ROWS = [Row("boot", "synced", 1000 + i, b'{"t":%d}' % i) for i in range(4, 8)]


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    opened = sqlite3.connect(":memory:", isolation_level=None)
    schema.bring_forward(opened)
    yield opened
    opened.close()


def old_file(directory: Path) -> Path:
    path = directory / "agent.db"
    old = sqlite3.connect(path)
    old.executescript(SCHEMA_1)
    old.executemany("INSERT INTO event VALUES (?, ?, ?, ?, ?)", [(4 + i, *row) for i, row in enumerate(ROWS)])
    old.commit()
    old.close()
    return path


def test_a_chain_is_made_of_the_one_before_and_of_all_that_is_on_the_disk() -> None:
    row = ROWS[0]
    expected = blake2b(bytes(8) + b'boot synced 1004 {"t":4}', digest_size=8).hexdigest()
    assert chained(CHAIN_START, row) == expected
    others = [
        chained("0" * 15 + "1", row),
        *(chained(CHAIN_START, row._replace(**change)) for change in (
            {"boot": "boos"}, {"clock": "unset"}, {"at": 1}, {"body": b"{}"},
        )),
    ]  # fmt: skip
    assert len({expected, *others}) == 6


def test_a_file_of_schema_1_is_brought_forward(tmp_path: Path, thread: ThreadPoolExecutor) -> None:
    path = old_file(tmp_path)
    _, state = open_disk(tmp_path, thread)
    assert (str(state.epoch), state.next_seq, state.acked_seq, state.session, state.oldest_seq) == (
        "0b1ee3a7-0f5c-4d0e-9f57-6cfb4d0f8a90",
        8,
        5,
        12,
        4,
    )
    now = sqlite3.connect(path)
    chain, chains = CHAIN_START, []
    for row in ROWS:
        chain = chained(chain, row)
        chains.append(chain)
    assert now.execute("SELECT * FROM event ORDER BY seq").fetchall() == [
        (4 + i, *row, chains[i]) for i, row in enumerate(ROWS)
    ]
    assert now.execute("SELECT chain, base_chain FROM ledger").fetchone() == (chain, CHAIN_START)
    assert now.execute("SELECT body, reply FROM command").fetchall() == [(b"{}", None)]
    assert event_rows.append(now, [ROWS[0]])[0] == (8, *ROWS[0], chained(chain, ROWS[0]))
    assert now.execute("SELECT count(*) FROM sqlite_master WHERE name LIKE '%_1'").fetchone() == (0,)
    now.close()
    # A second time there is nothing to do.
    assert open_disk(tmp_path, thread)[1].session == 12


def test_a_file_is_brought_forward_wholly_or_not_at_all(tmp_path: Path, thread: ThreadPoolExecutor) -> None:
    path = old_file(tmp_path)
    old = sqlite3.connect(path)
    # The last step cannot be done: nothing before it may stay.
    old.execute("CREATE TABLE setting (other INTEGER)")
    old.close()
    with pytest.raises(DiskError, match="cannot be used"):
        open_disk(tmp_path, thread)
    after = sqlite3.connect(path)
    assert after.execute("PRAGMA user_version").fetchone() == (1,)
    assert after.execute("SELECT seq, body FROM event").fetchall() == [(4 + i, r.body) for i, r in enumerate(ROWS)]
    after.close()


def test_the_chain_of_a_number_that_nobody_can_know_is_none(connection: sqlite3.Connection) -> None:
    assert event_rows.chain_at(connection, 0) == CHAIN_START
    numbered = event_rows.append(connection, ROWS)
    assert event_rows.delete_before(connection, 3) == 2
    assert [event_rows.chain_at(connection, seq) for seq in range(6)] == [
        None,
        None,
        numbered[1].chain,
        numbered[2].chain,
        numbered[3].chain,
        None,
    ]
    assert event_rows.select(connection, 1, 10) == (numbered[1].chain, numbered[2:])
    assert event_rows.select(connection, 4, 10) == (numbered[2].chain, numbered[3:])
    # Beyond the next number nothing can be deleted, and nothing is.
    assert event_rows.delete_before(connection, 6) == 0
    assert event_rows.delete_before(connection, 5) == 2
    assert event_rows.select(connection, 1, 10) == (numbered[3].chain, [])
    assert event_rows.append(connection, []) == []
    (fifth,) = event_rows.append(connection, ROWS[:1])
    assert (fifth.seq, fifth.chain) == (5, chained(numbered[3].chain, ROWS[0]))


GAP = Row("boot", "synced", 9, b'{"t":9,"at":9,"kind":"outbox.gap"}')


def gap(seq: int, data: str) -> bytes:
    return b'{"t":%d,"at":9,"kind":"outbox.gap","data":%s}' % (seq, data.encode())


def test_what_deleted_gaps_said_is_said_again(connection: sqlite3.Connection) -> None:
    bodies = [
        gap(1, '{"from":3,"to":9,"reason":"outbox_full"}'),
        gap(2, '{"events":5,"from_t":10,"to_t":20,"reason":"disk_full"}'),
        gap(3, '{"epoch":"e","from":1,"to":2,"reason":"outbox_full"}'),
        b'{"t":4,"at":9,"kind":"snapshot","data":{"kind":"outbox.gap","from":1}}',
        gap(5, '{"events":7,"from_t":4,"to_t":15,"reason":"disk_full"}'),
    ]
    event_rows.append(connection, [GAP._replace(body=b'{"t":0,"at":0,"kind":"door.opened"}')] * 10)
    event_rows.delete_before(connection, 11)
    connection.execute("UPDATE ledger SET acked_seq = 10")
    event_rows.append(connection, [GAP._replace(body=body) for body in bodies])
    trimmed = event_rows.give_up_oldest(connection, 5, GAP)
    assert (trimmed.unconfirmed, trimmed.oldest) == (5, 16)
    told = [row.body for row in event_rows.select(connection, 1, 10)[1]]
    assert told == [
        bodies[2],
        gap(9, '{"events":12,"from_t":4,"to_t":20,"reason":"disk_full"}'),
        gap(9, '{"from":3,"to":15,"reason":"outbox_full"}'),
    ]


def test_confirmed_events_go_before_unconfirmed_ones(connection: sqlite3.Connection) -> None:
    plain = GAP._replace(body=b'{"t":0,"at":0,"kind":"door.opened"}')
    event_rows.append(connection, [plain] * 8)
    connection.execute("UPDATE ledger SET acked_seq = 3")
    assert event_rows.give_up_oldest(connection, 2, GAP) == (0, [], 3)
    assert event_rows.give_up_oldest(connection, 2, GAP) == (0, [], 4)
    trimmed = event_rows.give_up_oldest(connection, 2, GAP)
    assert (trimmed.unconfirmed, trimmed.oldest) == (2, 6)
    assert trimmed.appended[0].body == gap(9, '{"from":4,"to":5,"reason":"outbox_full"}')


def test_a_gap_says_of_which_epoch_its_numbers_are_once_that_is_over(connection: sqlite3.Connection) -> None:
    bodies = [
        gap(1, '{"from":3,"to":9,"reason":"outbox_full"}'),
        gap(2, '{"events":5,"from_t":10,"to_t":20,"reason":"disk_full"}'),
    ]
    event_rows.append(connection, [GAP._replace(body=body) for body in bodies])
    (epoch,) = connection.execute("SELECT epoch FROM ledger").fetchone()
    for new in ("second", "third"):
        event_rows.renumber(connection, new, GAP)
    _, rows = event_rows.select(connection, 1, 10)
    assert [row.seq for row in rows] == [1, 2, 3, 4]
    assert rows[2].body == gap(1, f'{{"epoch":"{epoch}","from":3,"to":9,"reason":"outbox_full"}}')
    assert rows[3].body == bodies[1]
