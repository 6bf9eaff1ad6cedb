"""The two queues before a table, what is new and the backlog: each has its part of a batch, and keeps its order."""

import asyncio
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from hub.metrics import Metrics
from hub.store.batcher import Batcher
from tests.hub.store.test_batcher import Item, Table, running


@dataclass(frozen=True)
class Step:
    """One unit put: whose, how many records, whether it is old; and how many batches are written afterwards."""

    key: str
    count: int
    old: bool
    batches: int


STEPS = st.builds(Step, st.sampled_from("abc"), st.integers(1, 4), st.booleans(), st.integers(0, 2))


@given(st.lists(STEPS, max_size=40), st.integers(1, 8))
def test_each_key_is_written_in_order_whatever_lane_its_units_would_choose(steps: list[Step], flush: int) -> None:
    table = Table()
    table.batcher = Batcher(
        "event", table, Metrics("0"), queue_rows_max=60, flush_rows_max=flush, flush_age_ms_max=0,
        backlog_rows_max=20,
    )  # fmt: skip
    batcher, written, put = table.batcher, [], []

    def write() -> None:
        batch = batcher._take()  # noqa: SLF001 - what a writer would be given
        written.extend(batch)
        batcher._writing_rows = 0  # noqa: SLF001 - as after its commit
        # Each queue may exceed its part by a unit, so as not to be stuck behind it.
        assert sum(item.count for item in batch) <= flush + 4 + 4

    for number, step in enumerate(steps):
        item = Item(f"{step.key}{number}", step.count)
        room = batcher.room(item.count, key=step.key, old=step.old) is not None
        assert batcher.put(item, key=step.key, old=step.old) == room
        if room:
            put.append(item)
        assert batcher.in_flight <= 60
        for _ in range(step.batches):
            write()
        assert batcher.in_flight == sum(item.count for item in put) - sum(item.count for item in written)
    while batcher.in_flight:
        write()
    for key in "abc":
        ours = [item.name for item in put if item.name[0] == key]
        assert [item.name for item in written if item.name[0] == key] == ours
    assert not batcher._lanes  # noqa: SLF001 - nothing is remembered of what waits no more


async def test_what_is_new_overtakes_what_is_old_and_leaves_it_a_fifth() -> None:
    table = Table()
    table.batcher = Batcher(
        "event", table, Metrics("0"), queue_rows_max=100, flush_rows_max=10, flush_age_ms_max=0, backlog_rows_max=40
    )
    for number in range(20):
        assert table.batcher.put(Item(f"o{number}"), key=f"old{number}", old=True)
    for number in range(20):
        assert table.batcher.put(Item(f"n{number}"), key=f"new{number}")
    table.put = 40
    task = asyncio.create_task(table.batcher.run(), name="write.event")
    await table.until(40)
    kinds = ["".join(name[0] for name in attempt) for attempt in table.attempts]
    assert kinds == ["n" * 8 + "oo", "n" * 8 + "oo", "n" * 4 + "o" * 6, "o" * 10]
    table.batcher.close()
    await task


async def test_a_full_backlog_refuses_what_is_old_and_not_what_is_new() -> None:
    table = Table()
    table.batcher = Batcher(
        "event", table, Metrics("0"), queue_rows_max=10, flush_rows_max=10, flush_age_ms_max=0, backlog_rows_max=4
    )
    batcher = table.batcher
    assert all(batcher.put(Item("o"), key="a", old=True) for _ in range(4))
    assert not batcher.put(Item("o"), key="b", old=True)
    # The same ledger's new events have to wait behind its old ones; others' do not.
    assert batcher.room(1, key="a") is None
    assert all(batcher.put(Item("n"), key="c") for _ in range(6))
    assert not batcher.put(Item("n"), key="c")
    # And a ledger whose new events wait stays there with what is old.
    assert batcher.in_flight == 10


async def test_a_table_without_a_backlog_has_one_queue() -> None:
    async with running(queue=2, start=False) as table:
        assert table.batcher.put(Item("a"), key="a", old=True)
        assert table.batcher.put(Item("b"), key="b", old=True)
        assert not table.batcher.put(Item("c"), key="c", old=True)


async def test_a_unit_of_no_records_goes_behind_what_is_before_it() -> None:
    async with running(flush=1) as table:
        table.open.clear()
        table.take("a")
        await table.until_attempt(1)
        assert table.batcher.writing_for_s > 0
        assert table.take("nothing", 0)
        table.open.set()
        await table.until_attempt(2)
        assert table.attempts == [["a"], ["nothing"]]
    assert table.batcher.writing_for_s == 0
