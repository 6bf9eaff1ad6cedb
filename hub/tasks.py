"""The tasks of a hub: named, supervised, and ended together."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from hub import clock
from hub.core.restarts import Restarts
from hub.errors import StepDown, StoreUnavailable
from hub.logs import described, sentence
from hub.metrics import Metrics

_log = logging.getLogger(__name__)

_CANCEL_AGAIN_S: Final = 3.0

Make = Callable[[], Coroutine[Any, Any, None]]
"""Makes the coroutine of a task: once when it begins, and once more whenever it is started again."""


@dataclass(slots=True)
class _Watched:
    restarts: Restarts = field(default_factory=Restarts)
    error: str = ""


class Supervisor:
    """Runs the long-lived tasks of a hub, and starts each again that fails.

    A failure is logged with its place, counted (`lockerhub_task_restarts_total`), and shown by `check` while it
    lasts. None ends the hub, but the one that finds another hub in its place (StepDown): the doors go on without
    one part, for as long as its pauses last.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._watched: dict[str, _Watched] = {}

    @asynccontextmanager
    async def running(self, tasks: Mapping[str, Make], *, endless: bool) -> AsyncIterator[list[asyncio.Task[None]]]:
        """Run named tasks beside the block; the end of the block cancels them.

        One that returns has ended, unless they are `endless`: then it has failed. StepDown of one ends the block
        with that error: another hub is to go on.
        """
        owner = asyncio.current_task()
        assert owner is not None, "runs inside a task"  # noqa: S101
        stepped_down: list[BaseException] = []

        def watch(task: asyncio.Task[None]) -> None:
            error = None if task.cancelled() else task.exception()
            if error is not None:
                stepped_down.append(error)
                if len(stepped_down) == 1:  # a second cancellation would cut short what the block does at its end
                    owner.cancel()

        running = [
            asyncio.create_task(self._supervise(name, make, endless=endless), name=name)
            for name, make in tasks.items()
        ]
        for task in running:
            task.add_done_callback(watch)
        try:
            yield running
        except asyncio.CancelledError:
            if stepped_down:
                owner.uncancel()
                raise stepped_down[0] from None
            raise
        finally:
            for task in running:
                task.remove_done_callback(watch)
            await end(running)

    async def check(self) -> None:
        """Raise StoreUnavailable, naming them, if tasks are down or fail again and again."""
        now_ms = clock.now_ms()
        failing = {
            name: one.error for name, one in sorted(self._watched.items()) if one.restarts.is_failing(now_ms)
        }
        if failing:
            raise StoreUnavailable("; ".join(f"the task {name} fails: {error}" for name, error in failing.items()))

    async def _supervise(self, name: str, make: Make, *, endless: bool) -> None:
        watched = self._watched[name] = _Watched()
        count = self._metrics.task_restarts.labels(name).inc
        while True:
            watched.restarts.begin(clock.now_ms())
            try:
                await make()
                if not endless:
                    return
                raise RuntimeError("it ended, which it never should")  # noqa: TRY301 - handled as any failure
            except StepDown:
                raise
            except asyncio.CancelledError as error:
                if _is_cancelled():
                    raise
                # What it waited for was cancelled, and not the task itself.
                failure: BaseException = error
            except Exception as error:  # decided: no defect of one part ends the hub; it is told
                if _is_cancelled():
                    raise
                failure = error
            pause_ms = watched.restarts.fail(clock.now_ms(), random.random())  # noqa: S311 - jitter
            watched.error = sentence(failure)
            count()
            _log.error(
                "The task %s failed; it is started again", name,
                extra={
                    "task": name, "pause_s": round(pause_ms / 1000, 1), "in_a_row": watched.restarts.in_a_row,
                    **described(failure),
                },
            )  # fmt: skip
            await asyncio.sleep(pause_ms / 1000)


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


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
