"""What people's part of the hub keeps in files: the journal of erasures, the secret of codes."""

import threading
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from hub.core.people.erasing import Cause
from hub.core.people.journal import JournalEntry
from hub.errors import ConfigError, PeopleError
from hub.keys import load_or_make_proof_key
from hub.people.code_key import load_or_make_code_key
from hub.people.journal import ErasureJournal

AT = datetime(2026, 11, 21, 8, tzinfo=UTC)


def journal(folder: Path) -> ErasureJournal:
    return ErasureJournal(folder / "kept", lambda: load_or_make_proof_key(folder / "key.pem"))


def append(one: ErasureJournal, account: int) -> JournalEntry:
    ids = [UUID(int=10 * account + place) for place in range(3)]
    return one.append(
        lambda number: JournalEntry(number, ids[0], "default", ids[1], ids[2], Cause.CHILD, "anna", AT, None, 0, "")
    )


def test_an_entry_is_written_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    one = journal(tmp_path)
    assert one.read() == []
    first = append(one, 1)
    assert append(one, 1) == first
    second = append(journal(tmp_path), 2)
    assert second.number == 2
    assert one.read() == [first, second]
    assert one.path.stat().st_mode & 0o077 == 0


def test_a_line_that_a_crash_cut_off_gives_way_to_the_next_one(tmp_path: Path) -> None:
    one = journal(tmp_path)
    first = append(one, 1)
    with one.path.open("ab") as file:
        file.write(b'{"entry": {"number": 2')
    assert one.read() == [first]
    second = append(one, 2)
    assert one.read() == [first, second]


def test_several_at_once_make_one_chain(tmp_path: Path) -> None:
    append(journal(tmp_path), 100)
    threads = [threading.Thread(target=append, args=(journal(tmp_path), one)) for one in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [entry.number for entry in journal(tmp_path).read()] == list(range(1, 10))


def test_without_a_journal_nothing_begins(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("a file where the directory should be")
    with pytest.raises(PeopleError, match="cannot be used, so nothing is erased"):
        append(journal(tmp_path), 1)


def test_another_key_is_not_the_one_that_signed(tmp_path: Path) -> None:
    append(journal(tmp_path), 1)
    (tmp_path / "key.pem").unlink()
    (tmp_path / "key.pub.pem").unlink()
    with pytest.raises(PeopleError, match="line 1 is not signed with this key"):
        journal(tmp_path).read()


def test_the_secret_of_codes_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "code_key"
    secret = load_or_make_code_key(path)
    assert len(secret) == 32
    assert load_or_make_code_key(path) == secret
    assert path.stat().st_mode & 0o077 == 0
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="can be read by others"):
        load_or_make_code_key(path)
    path.chmod(0o600)
    for wrong in ("", "abc", "00" * 31):
        path.write_text(wrong)
        with pytest.raises(ConfigError, match="is not 64 hex digits"):
            load_or_make_code_key(path)
    with pytest.raises(ConfigError, match="cannot make"):
        load_or_make_code_key(tmp_path / "nowhere" / "code_key")
