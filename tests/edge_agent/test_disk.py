"""The file: what waits together is committed together, and what happens when the disk refuses."""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge_agent import disk as disks
from edge_agent.disk import Cargo, DiskError, Lost, open_disk

if TYPE_CHECKING:
    from tests.edge_agent.conftest import Files, Until


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


class Refusing:
    """A disk that refuses everything until it is told otherwise, and keeps what it took."""

    def __init__(self, files: "Files", monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(disks, "_RETRY_S", 0.01)
        self.disk = files.open()[0]
        self.disk.tell_lost = self.tell_lost
        self.full = True
        self.taken: list[object] = []
        self.told: list[Lost] = []

    def post(self, name: str, t: int, *, events: int = 1, spare: bool = False) -> asyncio.Future[int]:
        cargo = Cargo(events, t, t + events, spare)
        return self.disk.submit(self.work, then=lambda _: self.taken.append(name), patient=True, cargo=cargo)

    def work(self, connection: sqlite3.Connection) -> int:
        return refuse(connection) if self.full else count(connection)

    def tell_lost(self, lost: Lost) -> tuple[disks.Work[int], Callable[[int], None]]:
        return self.work, lambda _: self.taken.append(lost)


@pytest.fixture
def refusing(files: "Files", monkeypatch: pytest.MonkeyPatch) -> Refusing:
    return Refusing(files, monkeypatch)


async def test_what_cannot_wait_any_longer_is_given_up_spare_first_and_told_first(
    refusing: Refusing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disks, "EVENTS_WAITING_MAX", 6)
    refusing.post("a", 10, events=2)
    refusing.post("b", 20, events=2, spare=True)
    refusing.post("c", 30)
    late = refusing.post("d", 40, events=2, spare=True)
    refusing.post("e", 50, events=3)
    with pytest.raises(DiskError, match="given up"):
        await late
    assert refusing.disk.given_up == 4
    # No spare one is left: now the oldest goes.
    refusing.post("f", 60, events=2)
    assert refusing.disk.given_up == 6
    # One that is spare itself does not push a door's event out.
    with pytest.raises(DiskError, match="given up"):
        await refusing.post("g", 70, spare=True)
    refusing.full = False
    await refusing.disk.settled(20)
    assert refusing.taken == [Lost(7, 10, 71), "c", "e", "f"]
    assert refusing.disk.refusals > 0


async def test_what_was_given_up_is_told_once(refusing: Refusing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disks, "EVENTS_WAITING_MAX", 1)
    refusing.post("a", 10)
    refusing.post("b", 20, events=2)
    refused = refusing.disk.refusals
    async with asyncio.timeout(20):
        # It is refused as well, again and again, and is kept.
        while refusing.disk.refusals < refused + 3:  # noqa: ASYNC110 - a counter
            await asyncio.sleep(0.005)
    refusing.full = False
    await refusing.disk.settled(20)
    await refusing.post("c", 30)
    assert refusing.taken == [Lost(2, 20, 22), "a", "c"]


async def test_a_work_without_cargo_is_never_given_up(
    refusing: Refusing, monkeypatch: pytest.MonkeyPatch, until: "Until"
) -> None:
    monkeypatch.setattr(disks, "EVENTS_WAITING_MAX", 1)
    refusing.disk.submit(refusing.work, then=lambda _: refusing.taken.append("kept"), patient=True)
    await until(lambda: refusing.disk.refusals)
    for t in range(5):
        refusing.post(str(t), t)
    refusing.full = False
    await refusing.disk.settled(20)
    assert refusing.taken == [Lost(4, 0, 4), "kept", "4"]


async def test_while_the_disk_refuses_hurried_works_do_not_wait_for_the_patient(
    refusing: Refusing, monkeypatch: pytest.MonkeyPatch, until: "Until"
) -> None:
    monkeypatch.setattr(disks, "_RETRY_S", 3600)
    done = refusing.post("a", 1)
    await until(lambda: refusing.disk.refusals)
    with pytest.raises(DiskError, match="disk is full"):
        await refusing.disk.submit(refusing.work)
    # What waits patiently is not tried with each new event.
    refusing.post("b", 2)
    assert refusing.disk.refusals == 2
    # A disk that takes a hurried one takes the others too, at once.
    assert await refusing.disk.submit(count) == 1
    refusing.full = False
    refusing.disk.submit(count)
    await done
    await refusing.disk.settled(20)
    assert refusing.taken == ["a", "b"]


async def test_a_disk_that_refuses_can_still_be_read(refusing: Refusing, until: "Until") -> None:
    refusing.post("a", 1)
    await until(lambda: refusing.disk.refusals)
    assert await refusing.disk.read(lambda c: c.execute("SELECT next_seq FROM ledger").fetchone()) == (1,)
    with pytest.raises(DiskError, match="no such table"):
        await refusing.disk.read(lambda c: c.execute("SELECT 1 FROM nowhere").fetchone())
    refusing.full = False


async def test_too_many_hurried_works_fail_at_once(files: "Files", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disks, "HURRIED_WAITING_MAX", 3)
    disk = files.open()[0]
    works = [disk.submit(count) for _ in range(5)]
    # The first is on its way; three wait.
    assert await asyncio.gather(*works, return_exceptions=True) == [1, 2, 3, 4, works[4].exception()]
    with pytest.raises(DiskError, match="3 works wait"):
        await works[4]
    assert await disk.submit(count) == 5


async def test_many_works_are_taken_some_at_a_time(files: "Files", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disks, "_WORKS_TOGETHER_MAX", 7)
    disk = files.open()[0]
    assert await asyncio.gather(*(disk.submit(count) for _ in range(30))) == list(range(1, 31))


async def test_a_closed_disk_tries_nothing_more(refusing: Refusing, until: "Until") -> None:
    refusing.post("a", 1)
    await until(lambda: refusing.disk.refusals)
    await refusing.disk.close(0.01)
    refused = refusing.disk.refusals
    for patient in (True, False):
        with pytest.raises(DiskError, match="closed"):
            await refusing.disk.submit(refusing.work, patient=patient)
    assert (refusing.disk.refusals, refusing.taken) == (refused, [])


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
