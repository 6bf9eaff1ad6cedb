"""The tasks of a hub: named, watched, and ended together."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

from hub.errors import StepDown

_log = logging.getLogger(__name__)

_CANCEL_AGAIN_S: Final = 3.0


@asynccontextmanager
async def tasks_beside(
    coroutines: dict[str, Coroutine[Any, Any, None]], *, endless: bool
) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Run named tasks beside the block; the end of the block cancels them.

    One that fails ends the block with its error, and so does one that returns where they are `endless`: a hub
    without one of its parts must not look alive.
    """
    failed: list[BaseException] = []
    owner = asyncio.current_task()
    assert owner is not None, "runs inside a task"  # noqa: S101

    def watch(task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        error = _error_of(task, endless=endless)
        if error is not None:
            failed.append(error)
            if len(failed) == 1:  # a second cancellation would cut short what the block does at its end
                owner.cancel()

    tasks = [asyncio.create_task(coroutine, name=name) for name, coroutine in coroutines.items()]
    for task in tasks:
        task.add_done_callback(watch)
    try:
        yield tasks
    except asyncio.CancelledError:
        if failed:
            owner.uncancel()
            raise failed[0] from None
        raise
    finally:
        for task in tasks:
            task.remove_done_callback(watch)
        await end(tasks)


def _error_of(task: asyncio.Task[None], *, endless: bool) -> BaseException | None:
    """Return why the end of a task ends the block, and log it; None if it does not."""
    error = task.exception()
    if error is None and endless:
        error = RuntimeError(f"the task {task.get_name()} ended, which it never should")
    if error is not None and not isinstance(error, StepDown):
        _log.error("A task failed", exc_info=error, extra={"task": task.get_name()})
    return error


async def end(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks until they have ended.

    Once is not enough: before Python 3.12 `asyncio.wait_for`, which libraries use, forgets a cancellation that
    comes at the very moment of its result (CPython issue 86296), and a task that goes round would go on for ever.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        done, left = await asyncio.wait(left, timeout=_CANCEL_AGAIN_S)
        for task in done:
            if not task.cancelled():
                # Read, so that nobody complains that it was not.
                task.exception()
