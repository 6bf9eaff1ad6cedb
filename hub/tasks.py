"""The tasks of a hub: named, watched, and ended together."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

_log = logging.getLogger(__name__)


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
        error = task.exception()
        if error is None and endless:
            error = RuntimeError(f"the task {task.get_name()} ended, which it never should")
        if error is not None:
            _log.error("A task failed", exc_info=error, extra={"task": task.get_name()})
            failed.append(error)
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
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
