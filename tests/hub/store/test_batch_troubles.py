"""A batch with which something fails: kept, sifted, and handed back only where others go through."""

import asyncio
from struct import error as struct_error

import pytest

from hub.errors import StoreUnavailable
from tests.hub.store.test_batcher import AN_HOUR_MS, running

FAULT = StoreUnavailable("internal error (SQLSTATE XX000)", about_rows=True)


@pytest.mark.parametrize("fault", [FAULT, struct_error("a mistake of ours"), MemoryError()])
async def test_a_unit_with_which_the_database_fails_is_handed_back_and_its_neighbours_are_stored(
    fault: Exception,
) -> None:
    async with running(flush=16, age_ms=AN_HOUR_MS) as table:
        table.fails = {"c": fault, "k": fault}
        names = list("abcdefghijklmnop")
        for name in names:
            table.take(name)
        await table.until(len(names))
        assert sorted(table.handed_back) == ["c", "k"]
        assert sorted(table.rows) == sorted(set(names) - {"c", "k"})
        assert table.batcher.in_flight == 0


async def test_a_unit_that_fails_alone_waits_for_others_to_be_compared_with() -> None:
    async with running(flush=10, age_ms=1) as table:
        table.fails = {"a": FAULT}
        table.take("a")
        await table.until_attempt(12)
        assert (table.handed_back, table.batcher.in_flight) == ([], 1)
        table.take("b")
        await table.until(2)
        assert (table.handed_back, table.rows) == (["a"], ["b"])


async def test_where_the_database_fails_with_everything_nothing_is_handed_back() -> None:
    async with running(flush=8, age_ms=AN_HOUR_MS) as table:
        table.fails = dict.fromkeys("abcdefgh", FAULT)
        for name in "abcdefgh":
            table.take(name)
        await table.until_attempt(60)
        assert (table.handed_back, table.rows, table.batcher.in_flight) == ([], [], 8)
        table.fails = {}
        await table.until(8)
        assert (table.handed_back, sorted(table.rows)) == ([], list("abcdefgh"))


async def test_an_outage_that_is_nobodys_fault_is_not_looked_into() -> None:
    async with running(flush=4, age_ms=AN_HOUR_MS) as table:
        table.away = 20
        for name in "abcd":
            table.take(name)
        await table.until(4)
        assert table.attempts == [list("abcd")] * 21


async def test_a_unit_of_which_even_parts_are_refused_is_handed_back() -> None:
    async with running(flush=3, age_ms=AN_HOUR_MS) as table:
        table.poison, table.refused_whole = {"b"}, {"b"}
        for name in "abc":
            table.take(name)
        await table.until(3)
        assert (table.handed_back, table.refused, sorted(table.rows)) == (["b"], [], ["a", "c"])


async def test_what_fails_behind_a_commit_does_not_write_it_again() -> None:
    async with running(flush=2, age_ms=1) as table:
        table.fails_behind = {"a"}
        table.take("a")
        table.take("b")
        await table.until(2)
        table.take("c")
        await table.until(3)
        assert (table.rows, table.attempts) == (["a", "b", "c"], [["a", "b"], ["c"]])


async def test_a_batcher_that_is_started_again_goes_on_with_the_batch_in_hand() -> None:
    async with running(flush=2, age_ms=1, start=False) as table:
        task = asyncio.create_task(table.batcher.run())
        table.open.clear()
        table.take("a")
        table.take("b")
        await table.until_attempt(1)
        task.cancel()
        await asyncio.wait([task])
        table.take("c")
        table.open.set()
        table.batcher.close()
        await table.batcher.run()
        assert (table.rows, table.batcher.in_flight) == (["a", "b", "c"], 0)
