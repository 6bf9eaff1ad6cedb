"""The file: what waits together is committed together, and what happens when the disk refuses."""

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge_agent import disk as disks
from edge_agent.disk import DiskError, open_disk

if TYPE_CHECKING:
    from tests.edge_agent.conftest import Files


def count(connection: sqlite3.Connection) -> int:
    return int(connection.execute("UPDATE ledger SET session = session + 1 RETURNING session").fetchone()[0])


def refuse(_: sqlite3.Connection) -> int:
    raise sqlite3.OperationalError("database or disk is full")


async def test_works_run_in_order_and_answer_after_the_commit(files: "Files") -> None:
    disk, _, _, _ = files.open()
    order: list[int] = []
    works = [disk.submit(count, then=order.append) for _ in range(20)]
    assert await asyncio.gather(*works) == order == list(range(1, 21))
    assert files.open()[1].session == 20


async def test_what_waits_together_is_one_transaction(files: "Files") -> None:
    disk, _, _, _ = files.open()
    first = disk.submit(count)
    together = [disk.submit(count), disk.submit(refuse), disk.submit(count)]
    assert await first == 1
    results = await asyncio.gather(*together, return_exceptions=True)
    assert all(isinstance(result, DiskError) for result in results)
    assert files.open()[1].session == 1


async def test_a_hurried_work_fails_at_once_and_a_patient_one_is_kept(
    files: "Files", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disks, "_RETRY_S", 0.01)
    disk, _, _, _ = files.open()
    full = True

    def work(connection: sqlite3.Connection) -> int:
        return refuse(connection) if full else count(connection)

    done: list[str] = []
    patient = [disk.submit(work, then=lambda _: done.append("a"), patient=True)]
    patient.append(disk.submit(work, then=lambda _: done.append("b"), patient=True))
    with pytest.raises(DiskError, match="disk is full"):
        await disk.submit(work)
    assert not any(future.done() for future in patient)
    full = False
    assert await asyncio.gather(*patient) == [1, 2]
    assert done == ["a", "b"]


async def test_a_disk_that_refuses_for_too_long_loses_the_oldest_and_says_so(
    files: "Files", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disks, "WORKS_WAITING_MAX", 3)
    monkeypatch.setattr(disks, "_RETRY_S", 0.01)
    disk, _, _, _ = files.open()
    full = True

    def work(connection: sqlite3.Connection) -> int:
        return refuse(connection) if full else count(connection)

    busy = disk.submit(work, patient=True)
    waiting = [disk.submit(work, patient=True) for _ in range(4)]
    with pytest.raises(DiskError, match="3 works wait"):
        await disk.submit(work)
    with pytest.raises(DiskError, match="given up"):
        await waiting[0]
    full = False
    assert await asyncio.gather(busy, *waiting[1:])
    assert disk.dropped == 1


async def test_an_unusable_place_is_told(tmp_path: Path, thread: ThreadPoolExecutor) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match="cannot be opened"):
        open_disk(tmp_path / "file", thread)


async def test_a_file_that_is_no_database_is_told(tmp_path: Path, thread: ThreadPoolExecutor) -> None:
    (tmp_path / "agent.db").write_text("not a database, and long enough to be looked at" * 100)
    with pytest.raises(DiskError, match="cannot be used"):
        open_disk(tmp_path, thread)


async def test_a_file_of_another_version_is_left_alone(tmp_path: Path, thread: ThreadPoolExecutor) -> None:
    connection = sqlite3.connect(tmp_path / "agent.db")
    connection.execute("PRAGMA user_version = 9")
    connection.close()
    with pytest.raises(DiskError, match="another version"):
        open_disk(tmp_path, thread)


async def test_a_commit_survives_a_power_cut(files: "Files") -> None:
    disk, _, _, _ = files.open()
    mode, synchronous = await disk.submit(
        lambda connection: (
            connection.execute("PRAGMA journal_mode").fetchone()[0],
            connection.execute("PRAGMA synchronous").fetchone()[0],
        )
    )
    assert (mode, synchronous) == ("wal", 2)
