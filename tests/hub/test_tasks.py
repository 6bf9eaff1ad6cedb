"""Tasks beside a block: what fails ends the block, and the end of the block ends them."""

import asyncio

import pytest

from hub.tasks import tasks_beside


async def forever() -> None:
    await asyncio.Event().wait()


async def fails() -> None:
    await asyncio.sleep(0)
    raise LookupError("lost")


async def returns() -> None:
    await asyncio.sleep(0)


async def test_the_end_of_the_block_cancels_them() -> None:
    async with tasks_beside({"one": forever(), "two": forever()}, endless=True) as tasks:
        assert [task.get_name() for task in tasks] == ["one", "two"]
    assert all(task.cancelled() for task in tasks)


@pytest.mark.parametrize("endless", [True, False])
async def test_one_that_fails_ends_the_block_with_its_error(endless: bool) -> None:  # noqa: FBT001
    with pytest.raises(LookupError, match="lost"):
        async with asyncio.timeout(5), tasks_beside({"one": fails(), "two": forever()}, endless=endless):
            await forever()


async def test_one_that_returns_ends_a_block_of_endless_ones() -> None:
    with pytest.raises(RuntimeError, match="the task one ended"):
        async with asyncio.timeout(5), tasks_beside({"one": returns(), "two": forever()}, endless=True):
            await forever()


async def test_where_they_may_end_the_block_goes_on() -> None:
    async with asyncio.timeout(5), tasks_beside({"one": returns()}, endless=False) as tasks:
        await asyncio.wait(tasks)


async def test_one_that_loses_its_cancellation_is_cancelled_again(monkeypatch: pytest.MonkeyPatch) -> None:
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

    async with asyncio.timeout(5), tasks_beside({"one": loses()}, endless=True):
        await asyncio.sleep(0)
    assert lost == 2


async def test_a_cancellation_from_outside_stays_one() -> None:
    async def block() -> None:
        async with tasks_beside({"one": forever()}, endless=True):
            await forever()

    task = asyncio.create_task(block(), name="block")
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
