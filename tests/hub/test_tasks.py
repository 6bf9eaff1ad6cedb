"""Tasks beside a block: what fails is started again and told, and the end of the block ends all."""

import asyncio
import logging

import pytest

from hub.errors import StepDown, StoreUnavailable
from hub.metrics import Metrics
from hub.tasks import Supervisor


async def forever() -> None:
    await asyncio.Event().wait()


async def returns() -> None:
    await asyncio.sleep(0)


class Failing:
    """A task that fails so many times, in its own way, and then runs on."""

    def __init__(self, *failures: BaseException) -> None:
        self.failures = list(failures)
        self.starts = 0
        self.failed = asyncio.Event()
        self.well = asyncio.Event()

    async def run(self) -> None:
        self.starts += 1
        await asyncio.sleep(0)
        if self.failures:
            self.failed.set()
            raise self.failures.pop(0)
        self.well.set()
        await forever()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("0")


def restarts(metrics: Metrics) -> dict[str, float]:
    return {labels[0]: count for labels, count in metrics.samples(metrics.task_restarts).items()}


async def test_the_end_of_the_block_cancels_them(metrics: Metrics) -> None:
    async with Supervisor(metrics).running({"one": forever, "two": forever}, endless=True) as tasks:
        assert [task.get_name() for task in tasks] == ["one", "two"]
    assert all(task.cancelled() for task in tasks)
    assert restarts(metrics) == {}, "they had not begun"


async def test_one_that_fails_is_started_again_counted_and_told(
    metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    supervisor = Supervisor(metrics)
    one = Failing(LookupError("lost\nDETAIL: the values of a row"), MemoryError())
    async with asyncio.timeout(15), supervisor.running({"one": one.run, "two": forever}, endless=True) as tasks:
        await one.well.wait()
        assert restarts(metrics) == {"one": 2, "two": 0}
        with pytest.raises(StoreUnavailable, match=r"^the task one fails: MemoryError$"):
            await supervisor.check()
        assert not any(task.done() for task in tasks)
    told = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.__dict__["error"] for record in told] == ["LookupError: lost", "MemoryError"]
    assert all("test_tasks.py" in record.__dict__["where"] for record in told)


async def test_one_failure_alone_does_not_show_once_it_runs_again(metrics: Metrics) -> None:
    supervisor, one = Supervisor(metrics), Failing(LookupError("lost"))
    async with asyncio.timeout(15), supervisor.running({"one": one.run}, endless=True):
        await one.failed.wait()
        with pytest.raises(StoreUnavailable, match="LookupError: lost"):
            await supervisor.check()
        await one.well.wait()
        await supervisor.check()


async def test_an_endless_one_that_returns_has_failed(metrics: Metrics) -> None:
    again = asyncio.Event()

    async def returns_once() -> None:
        if restarts(metrics)["one"]:
            again.set()
            await forever()

    async with asyncio.timeout(15), Supervisor(metrics).running({"one": returns_once}, endless=True) as (task,):
        await again.wait()
        assert not task.done()


async def test_where_they_may_end_they_end_and_the_block_goes_on(metrics: Metrics) -> None:
    async with asyncio.timeout(5), Supervisor(metrics).running({"one": returns}, endless=False) as tasks:
        await asyncio.wait(tasks)
    assert restarts(metrics) == {"one": 0}


async def test_what_it_waits_for_being_cancelled_does_not_end_it(metrics: Metrics) -> None:
    """A hub that has lost a part without a word looks alive."""
    one = Failing(asyncio.CancelledError())
    async with asyncio.timeout(15), Supervisor(metrics).running({"one": one.run}, endless=True):
        await one.well.wait()
    assert (one.starts, restarts(metrics)) == (2, {"one": 1})


async def test_one_that_loses_its_cancellation_is_cancelled_again(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.tasks._CANCEL_AGAIN_S", 0.01)
    lost = 0

    async def loses() -> None:
        nonlocal lost
        while True:
            try:
                await forever()
            except asyncio.CancelledError:
                if lost == 2:
                    raise
                lost += 1

    async with asyncio.timeout(5), Supervisor(metrics).running({"one": loses}, endless=True):
        await asyncio.sleep(0)
    assert lost == 2


async def test_one_that_fails_while_it_is_cancelled_is_not_started_again(metrics: Metrics) -> None:
    starts = 0

    async def fails_at_the_end() -> None:
        nonlocal starts
        starts += 1
        try:
            await forever()
        finally:
            raise LookupError("at the end")

    async with asyncio.timeout(5), Supervisor(metrics).running({"one": fails_at_the_end}, endless=True):
        await asyncio.sleep(0)
    assert starts == 1


async def test_a_hub_that_is_to_step_down_ends_its_block(metrics: Metrics) -> None:
    one = Failing(StepDown("another hub has the lease"))
    with pytest.raises(StepDown):
        async with asyncio.timeout(5), Supervisor(metrics).running({"one": one.run, "two": forever}, endless=True):
            await forever()
    assert one.starts == 1


async def test_a_cancellation_from_outside_stays_one(metrics: Metrics) -> None:
    async def block() -> None:
        async with Supervisor(metrics).running({"one": forever}, endless=True):
            await forever()

    task = asyncio.create_task(block(), name="block")
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
