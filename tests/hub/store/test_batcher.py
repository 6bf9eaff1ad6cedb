"""The queue before a table, with a writer that the test holds in its hand: nothing is lost, the books balance."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.errors import CursorConflict, StoreRejected, StoreUnavailable
from hub.metrics import Metrics
from hub.store.batcher import Batcher

AN_HOUR_MS = 3_600_000.0
WAIT_S = 10.0


@dataclass(frozen=True)
class Item:
    name: str
    count: int = 1


class Table:
    """A table whose behaviour the test sets; it writes down what it was told."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.away = 0
        self.poison: set[str] = set()
        self.stands_elsewhere: set[str] = set()
        self.attempts: list[list[str]] = []
        self.rows: list[str] = []
        self.refused: list[str] = []
        self.duplicates: list[str] = []
        self.handed_back: list[str] = []
        self.fails: dict[str, Exception] = {}
        """What `write` raises where these items are in the batch."""
        self.fails_behind: set[str] = set()
        """Items behind whose commit something fails."""
        self.refused_whole: set[str] = set()
        self.settled = 0
        self.batcher: Batcher[Item]
        self.put = 0
        self.told = asyncio.Condition()

    async def write(self, batch: Sequence[Item]) -> None:
        self.attempts.append([item.name for item in batch])
        self.balance()
        await self._notify()
        await self.open.wait()
        self.balance()
        if self.away:
            self.away -= 1
            raise StoreUnavailable("away")
        if any(item.name in self.stands_elsewhere for item in batch):
            raise CursorConflict({("berlin-01", UUID(int=1))})
        if any(item.name in self.poison for item in batch):
            raise StoreRejected("poison")
        for item in batch:
            if item.name in self.fails:
                raise self.fails[item.name]

    async def committed(self, batch: Sequence[Item]) -> None:
        self.rows += [item.name for item in batch]
        self.settled += sum(item.count for item in batch)
        if any(item.name in self.fails_behind for item in batch):
            raise LookupError("behind the commit")
        await self._notify()

    async def rejected(self, unit: Item, error: StoreRejected) -> None:
        assert str(error) == "poison"
        if self.away:
            self.away -= 1
            raise StoreUnavailable("away")
        if unit.name in self.stands_elsewhere:
            raise CursorConflict({("berlin-01", UUID(int=1))})
        if unit.name in self.refused_whole:
            raise StoreRejected("integer out of range")
        self.refused.append(unit.name)
        self.settled += unit.count
        await self._notify()

    async def conflict(self, batch: Sequence[Item], error: CursorConflict) -> Sequence[Item]:
        assert error.keys
        gone = [item for item in batch if item.name in self.stands_elsewhere]
        self.duplicates += [item.name for item in gone]
        self.settled += sum(item.count for item in gone)
        return [item for item in batch if item not in gone]

    def kept_back(self, unit: Item) -> None:
        self.handed_back.append(unit.name)
        self.settled += unit.count

    def balance(self) -> None:
        """Received = settled + in flight, at the moments at which someone else could look."""
        assert self.put == self.settled + self.batcher.in_flight

    def take(self, name: str, count: int = 1) -> bool:
        taken = self.batcher.put(Item(name, count))
        self.put += count if taken else 0
        self.balance()
        return taken

    async def until(self, count: int) -> None:
        async with asyncio.timeout(WAIT_S), self.told:
            await self.told.wait_for(lambda: self.settled >= count)
        await asyncio.sleep(0)
        self.balance()

    async def until_attempt(self, number: int) -> None:
        async with asyncio.timeout(WAIT_S), self.told:
            await self.told.wait_for(lambda: len(self.attempts) >= number)

    async def _notify(self) -> None:
        async with self.told:
            self.told.notify_all()


@asynccontextmanager
async def running(
    *, queue: int = 100, flush: int = 10, age_ms: float = 0.1, start: bool = True
) -> AsyncIterator[Table]:
    table = Table()
    table.batcher = Batcher(
        "event", table, Metrics("0"), queue_rows_max=queue, flush_rows_max=flush, flush_age_ms_max=age_ms,
        retry_s_max=0.001,
    )  # fmt: skip
    task = asyncio.create_task(table.batcher.run(), name="write.event") if start else None
    try:
        yield table
    finally:
        table.batcher.close()
        if task is not None:
            async with asyncio.timeout(WAIT_S):
                await task


async def test_a_full_batch_goes_at_once() -> None:
    async with running(flush=3, age_ms=AN_HOUR_MS) as table:
        for name in "abc":
            table.take(name)
        await table.until(3)
        assert table.attempts == [["a", "b", "c"]]


async def test_an_old_batch_goes_although_it_is_small() -> None:
    async with running(flush=1000, age_ms=1) as table:
        table.take("a")
        await table.until(1)
        assert table.attempts == [["a"]]


async def test_a_young_small_batch_waits_for_more() -> None:
    async with running(flush=3, age_ms=AN_HOUR_MS) as table:
        table.take("a")
        table.take("b")
        for _ in range(20):
            await asyncio.sleep(0)
        assert table.attempts == []
        table.take("c")
        await table.until(3)


async def test_what_comes_while_a_batch_is_written_forms_the_next() -> None:
    async with running(flush=10, age_ms=0.1) as table:
        table.open.clear()
        table.take("a")
        await table.until_attempt(1)
        for name in "bcd":
            table.take(name)
        table.open.set()
        await table.until(4)
        assert table.attempts == [["a"], ["b", "c", "d"]]


async def test_no_batch_is_larger_than_the_limit_but_one_unit_that_is() -> None:
    async with running(queue=1000, flush=4, age_ms=AN_HOUR_MS, start=False) as table:
        for name, count in (("a", 2), ("b", 2), ("c", 3), ("d", 9), ("e", 1)):
            assert table.take(name, count)
        table.batcher.close()
        await table.batcher.run()
        assert table.attempts == [["a", "b"], ["c"], ["d"], ["e"]]


async def test_a_full_queue_says_no_and_takes_again_afterwards() -> None:
    async with running(queue=3, flush=3, age_ms=0.1) as table:
        table.open.clear()
        assert table.take("a", 2)
        await table.until_attempt(1)
        assert table.batcher.room(1) is not None
        assert table.batcher.room(2) is None
        assert not table.take("b", 2)
        assert table.take("c")
        assert not table.take("d")
        assert table.batcher.in_flight == 3
        table.open.set()
        await table.until(3)
        assert table.take("e", 2)
        await table.until(5)
        assert table.rows == ["a", "c", "e"]


async def test_a_unit_above_the_limit_goes_in_alone() -> None:
    async with running(queue=3, flush=3, age_ms=0.1) as table:
        table.open.clear()
        assert table.take("large", 10)
        assert not table.take("small")
        table.open.set()
        await table.until(10)
        assert table.take("small")
        assert not table.take("large", 10)
        await table.until(11)


async def test_a_batch_is_tried_again_until_the_database_is_back() -> None:
    async with running() as table:
        table.away = 4
        table.take("a")
        await table.until(1)
        assert table.attempts == [["a"]] * 5
        assert table.rows == ["a"]


async def test_a_unit_that_is_refused_is_found_and_its_neighbours_are_stored() -> None:
    async with running(flush=8, age_ms=AN_HOUR_MS) as table:
        table.poison = {"c", "g"}
        for name in "abcdefgh":
            table.take(name)
        await table.until(8)
        assert table.rows == ["a", "b", "d", "e", "f", "h"]
        assert table.refused == ["c", "g"]


async def test_a_refused_unit_waits_for_a_database_that_is_away() -> None:
    async with running(flush=1) as table:
        table.poison = {"a"}
        table.open.clear()
        table.take("a")
        await table.until_attempt(1)
        table.open.set()
        await table.until(1)
        table.away = 1
        table.poison = {"b"}
        table.take("b")
        await table.until(2)
        assert table.refused == ["a", "b"]


async def test_units_that_stand_elsewhere_are_settled_and_the_rest_is_written() -> None:
    async with running(flush=4, age_ms=AN_HOUR_MS) as table:
        table.stands_elsewhere = {"b", "d"}
        for name in "abcd":
            table.take(name)
        await table.until(4)
        assert table.duplicates == ["b", "d"]
        assert table.rows == ["a", "c"]


async def test_when_all_stand_elsewhere_nothing_more_is_written() -> None:
    async with running(flush=2, age_ms=AN_HOUR_MS) as table:
        table.stands_elsewhere = {"a", "b"}
        table.take("a")
        table.take("b")
        await table.until_attempt(1)
        table.stands_elsewhere = {"a", "b"}
    assert table.attempts == [["a", "b"]]
    table.balance()


async def test_a_refused_unit_whose_cursor_moved_is_settled_once() -> None:
    class Moved(Table):
        async def rejected(self, unit: Item, error: StoreRejected) -> None:
            self.stands_elsewhere.add(unit.name)
            await super().rejected(unit, error)

    table = Moved()
    table.batcher = Batcher(
        "event", table, Metrics("0"), queue_rows_max=9, flush_rows_max=9, flush_age_ms_max=1, retry_s_max=0.001
    )
    table.poison = {"a"}
    table.take("a")
    table.batcher.close()
    async with asyncio.timeout(WAIT_S):
        await table.batcher.run()
    assert (table.duplicates, table.refused, table.rows) == (["a"], [], [])
    table.balance()


async def test_a_refused_unit_that_may_be_written_after_all_is_tried_again() -> None:
    class Wavering(Table):
        refusals = 0

        async def rejected(self, unit: Item, error: StoreRejected) -> None:
            self.refusals += 1
            if self.refusals == 1:
                raise CursorConflict({("berlin-01", UUID(int=1))})
            await super().rejected(unit, error)

    table = Wavering()
    table.batcher = Batcher(
        "event", table, Metrics("0"), queue_rows_max=9, flush_rows_max=9, flush_age_ms_max=1, retry_s_max=0.001
    )
    table.poison = {"a"}
    table.take("a")
    table.batcher.close()
    async with asyncio.timeout(WAIT_S):
        await table.batcher.run()
    assert table.refused == ["a"]
    table.balance()


async def test_closing_takes_no_more_and_writes_what_is_there() -> None:
    async with running(flush=1000, age_ms=AN_HOUR_MS) as table:
        for name in "abc":
            table.take(name)
        table.batcher.close()
        assert table.batcher.room(1) is None
        assert not table.take("d")
    assert table.rows == ["a", "b", "c"]
    assert table.batcher.in_flight == 0


async def test_closing_in_the_middle_of_a_batch_loses_nothing() -> None:
    async with running(flush=2, age_ms=AN_HOUR_MS) as table:
        table.open.clear()
        for name in "abcde":
            table.take(name)
        await table.until_attempt(1)
        table.batcher.close()
        table.open.set()
    assert table.rows == list("abcde")
    assert [len(attempt) for attempt in table.attempts] == [2, 2, 1]


async def test_cancelling_leaves_what_waits_in_flight() -> None:
    async with running(flush=1, age_ms=1, start=False) as table:
        task = asyncio.create_task(table.batcher.run())
        table.open.clear()
        table.take("a")
        table.take("b")
        await table.until_attempt(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert table.rows == []
        assert table.batcher.in_flight == 2


PLANS = st.lists(st.tuples(st.integers(1, 5), st.sampled_from(["", "", "", "poison", "elsewhere"])), max_size=20)


@given(PLANS, st.integers(1, 12), st.integers(0, 3))
def test_every_unit_is_settled_exactly_once_and_in_order(
    plan: list[tuple[int, str]], flush: int, away: int
) -> None:
    async def run() -> None:
        async with running(queue=1000, flush=flush, age_ms=AN_HOUR_MS, start=False) as table:
            table.away = away if plan else 0
            for place, (count, trouble) in enumerate(plan):
                name = f"{place}"
                if trouble == "poison":
                    table.poison.add(name)
                elif trouble == "elsewhere":
                    table.stands_elsewhere.add(name)
                assert table.take(name, count)
            table.batcher.close()
            async with asyncio.timeout(WAIT_S):
                await table.batcher.run()
            table.balance()
            names = [f"{place}" for place in range(len(plan))]
            assert sorted(table.rows + table.refused + table.duplicates, key=int) == names
            assert table.rows == [name for name, (_, trouble) in zip(names, plan, strict=True) if not trouble]
            assert set(table.refused) == table.poison
            assert table.batcher.in_flight == 0

    asyncio.run(run())
