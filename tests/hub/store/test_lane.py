"""Queues are bounded in rows and bytes, and no key takes all of one."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.metrics import Metrics
from hub.store.batcher import Batcher
from hub.store.lane import LaneRoom, WriteLane
from hub.store.rows import unit_bytes
from tests.hub.store.test_batcher import Item, Table


def batcher(
    *, queue_bytes_max: int, key_share: float = 1.0, backlog_rows_max: int = 0
) -> tuple[Batcher[Item], Metrics]:
    table, metrics = Table(), Metrics("0")
    table.batcher = Batcher(
        "event", table, metrics, queue_rows_max=1000, flush_rows_max=10, flush_age_ms_max=1000,
        queue_bytes_max=queue_bytes_max, key_share=key_share, backlog_rows_max=backlog_rows_max,
    )  # fmt: skip
    return table.batcher, metrics


def refused(metrics: Metrics) -> dict[str, float]:
    return {limit: count for (_, limit), count in metrics.samples(metrics.batch_refused).items() if count}


def test_a_queue_is_bounded_in_bytes() -> None:
    queue, metrics = batcher(queue_bytes_max=1_000_000)
    longest = unit_bytes(b"x" * 256 * 1024, 1)
    taken = [queue.put(Item("a"), key=f"locker-{number}", size=longest) for number in range(50_000)]
    assert sum(taken) == 1
    assert queue.waiting_bytes == longest < 1_000_000
    assert refused(metrics) == {"bytes": 49_999}
    assert queue.put(Item("b"), key="other", size=1000)


def test_what_is_being_written_counts() -> None:
    queue, metrics = batcher(queue_bytes_max=100)
    assert queue.put(Item("a"), size=80)
    assert queue._take()  # noqa: SLF001 - what a writer would be given
    assert queue.waiting_bytes == 80
    assert not queue.put(Item("b"), size=30)
    assert queue.put(Item("c"), size=20)
    assert refused(metrics) == {"bytes": 1}


@pytest.mark.parametrize(("size", "each"), [(1, 250), (10_000, 25)])
def test_no_locker_takes_the_queue(size: int, each: int) -> None:
    queue, metrics = batcher(queue_bytes_max=1_000_000, key_share=0.25)
    assert sum(queue.put(Item("a"), key="flood", size=size) for _ in range(5000)) == each
    assert refused(metrics) == {"share": 5000 - each}
    assert sum(queue.put(Item("b"), key="other", size=size) for _ in range(5000)) == each
    # What is larger than a share goes, if it waits there alone.
    assert queue.put(Item("c", 300), key="third", size=size)
    assert not queue.put(Item("d"), key="third", size=size)


def test_the_backlog_has_its_part_of_the_bytes() -> None:
    queue, metrics = batcher(queue_bytes_max=1000, backlog_rows_max=100)
    assert [queue.put(Item("a"), old=True, size=40) for _ in range(4)] == [True, True, False, False]
    assert refused(metrics) == {"backlog_bytes": 2}
    assert queue.put(Item("b"), size=900)


@dataclass(frozen=True)
class Step:
    key: str | None
    count: int
    size: int
    taken: int


@given(st.lists(st.builds(Step, st.sampled_from(["a", "b", None]), st.integers(1, 5), st.integers(0, 50),
                          st.integers(0, 6)), max_size=60))  # fmt: skip
def test_the_books_of_a_lane_balance(steps: list[Step]) -> None:
    lane: WriteLane[Item] = WriteLane(LaneRoom(40, 200, 0.5))
    lanes: dict[object, WriteLane[Item]] = {}
    plain: list[Step] = []
    for step in steps:
        of_key = [one for one in plain if one.key == step.key and step.key is not None]
        allowed = (
            (not plain or sum(one.count for one in plain) + step.count <= 40)
            and (not sum(one.size for one in plain) or sum(one.size for one in plain) + step.size <= 200)
            and (
                not of_key
                or (
                    sum(one.count for one in of_key) + step.count <= 20
                    and sum(one.size for one in of_key) + step.size <= 100
                )
            )
        )
        assert (lane.refuses(step.count, step.size, step.key) is None) == allowed
        if allowed:
            lane.put(Item("x", step.count), step.key, step.size)
            plain.append(step)
            if step.key is not None:
                lanes[step.key] = lane
        if step.taken:
            units, rows, size = lane.take(step.taken, lanes)
            gone, plain = plain[: len(units)], plain[len(units) :]
            assert (rows, size) == (sum(one.count for one in gone), sum(one.size for one in gone))
        assert (lane.rows, lane.bytes) == (sum(one.count for one in plain), sum(one.size for one in plain))
        assert lanes.keys() == {one.key for one in plain if one.key is not None}


def test_memory_is_estimated_by_the_message() -> None:
    assert unit_bytes(b"x" * 256 * 1024, 1) > 2 * 256 * 1024
