# ruff: noqa: ANN401 - callbacks and their arguments are passed through, as in asyncio
"""A process: an asyncio event loop in the world's time, which can be frozen and killed at any point.

Each process has a loop of its own, so that whatever asyncio asks of "the running loop" is that process's own.
Callbacks run one after the other in the world's one thread; between two of them anything may happen.
"""

import asyncio
import contextlib
from asyncio.events import _get_running_loop, _set_running_loop
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any, Final, TypeVar

from tests.pair.world import Machine, World

_CALLBACKS_A_TURN_MAX: Final = 20_000
_TASKS_KEPT: Final = 256
_CANCELLATIONS_MAX: Final = 100
_T = TypeVar("_T")

current: "Process | None" = None
"""The process whose code runs now, its executors included; None while it is the world's own turn."""


def running() -> "Process":
    """Return the process whose code runs now."""
    assert current is not None, "asked for from outside of every process"
    return current


class Process(asyncio.BaseEventLoop):
    """One process on a machine.

    Points that it passes, for traps: `callback` (before each), `executor.before` and `executor.after` (around a
    work that it has handed to a thread).
    """

    def __init__(self, world: World, name: str, machine: Machine, *, executor_ms: tuple[float, float]) -> None:
        self.world = world
        self.name = name
        self.machine = machine
        self.alive = True
        self.frozen = False
        self.after_turn: Callable[[], None] | None = None
        self.after_work: Callable[[], None] | None = None
        self.on_death: list[Callable[[], None]] = []
        self.main: asyncio.Task[Any] | None = None
        self.executor_ms = executor_ms
        self._ready: deque[asyncio.Handle] = deque()
        self._held: list[Callable[[], None]] = []
        self._turn_due = False
        self._tasks: list[asyncio.Task[Any]] = []
        self._tasks_made = 0

    # What is done to it.

    def start(
        self, main: Callable[[], Coroutine[Any, Any, Any]], ended: Callable[[asyncio.Task[Any]], None]
    ) -> None:
        """Run `main`; `ended` hears of its end, unless the process was killed."""

        def begin() -> None:
            self.main = self.create_task(main(), name="main")
            self.main.add_done_callback(ended)

        self.call_soon(begin)

    def freeze(self) -> None:
        """Stop it in the middle of whatever it does (SIGSTOP)."""
        self.frozen = True

    def thaw(self) -> None:
        """Let it go on (SIGCONT)."""
        if not self.frozen or not self.alive:
            return
        self.frozen = False
        held, self._held = self._held, []
        for act in held:
            act()
        self._schedule_turn()

    def kill(self) -> None:
        """End it here and now (SIGKILL); nothing of it runs any more."""
        if not self.alive:
            return
        self.alive = False
        self._held.clear()
        for act in self.on_death:
            act()

    def hand_in(self, callback: Callable[..., None], *args: Any) -> None:
        """Give it something from outside (a message, an answer); it takes it when it runs."""
        if self.alive:
            self._ready.append(asyncio.Handle(callback, args, self))
            self._schedule_turn()

    def when_awake(self, act: Callable[[], None]) -> None:
        """Do something on its behalf now, or when it is thawed, or never if it is dead."""
        if not self.alive:
            return
        if self.frozen:
            self._held.append(act)
        else:
            act()

    def bury(self) -> None:
        """Let what is left of a dead process's coroutines end, after the world has ended: nobody hears of it."""
        self.alive = False
        with _inside(self):
            for _ in range(_CANCELLATIONS_MAX):
                while self._ready:
                    handle = self._ready.popleft()
                    if not handle._cancelled:  # noqa: SLF001 - as asyncio's own loops do
                        handle._run()  # noqa: SLF001 - the same
                left = [task for task in self._tasks if not task.done()]
                if not left:
                    break
                for task in left:
                    task.cancel()
        self._tasks.clear()

    # The loop, as asyncio sees it.

    def time(self) -> float:
        return self.machine.boot_ns() / 1e9

    def call_soon(  # type: ignore[override] # typeshed ties args to the callback, which asyncio does not
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        if not self._turn_due:
            self._schedule_turn()
        return handle

    def call_soon_threadsafe(  # type: ignore[override] # typeshed ties args to the callback, which asyncio does not
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def call_later(  # type: ignore[override] # typeshed ties args to the callback, which asyncio does not
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override] # typeshed ties args to the callback, which asyncio does not
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self.world.at(self.machine.true_ns(when), self._timer_due, handle)
        return handle

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, _T] | Coroutine[Any, Any, _T],
        *,
        name: object = None,
        context: Context | None = None,
    ) -> "asyncio.Task[_T]":
        self._tasks_made += 1
        task: asyncio.Task[_T] = _Task(
            self._tasks_made, coro, loop=self, name=None if name is None else str(name), context=context
        )
        self._tasks.append(task)
        if len(self._tasks) > _TASKS_KEPT:
            self._tasks = [one for one in self._tasks if not one.done()]
        return task

    def run_in_executor(self, executor: Any, func: Callable[..., _T], *args: Any) -> "asyncio.Future[_T]":  # type: ignore[override]
        """Run a thread's work at one instant of its own, a while from now; its answer comes later still."""
        del executor
        answer: asyncio.Future[_T] = self.create_future()
        low, high = self.executor_ms
        world = self.world

        def work() -> None:
            world.passes(self.name, "executor.before")
            self.when_awake(finish)

        def finish() -> None:
            result: Any = None
            failed: BaseException | None = None
            with _inside(self, loop=False):
                try:
                    result = func(*args)
                except Exception as error:  # noqa: BLE001 - a thread hands on whatever it is
                    failed = error
            if self.after_work is not None:
                self.after_work()
            world.passes(self.name, "executor.after")
            world.at(world.now_ns + world.latency(low, high), self.hand_in, _answer, answer, result, failed)

        world.at(world.now_ns + world.latency(low, high), self.when_awake, work)
        return answer

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return not self.alive

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if self.alive and "never retrieved" not in context["message"]:
            self.world.breach("exception", f"{self.name}: {context['message']}: {context.get('exception')!r}")

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """A cancelled timer stays where it is until its time comes."""

    def _timer_due(self, handle: asyncio.TimerHandle) -> None:
        if self.alive and not handle._cancelled:  # noqa: SLF001 - as asyncio's own loops do
            self._ready.append(handle)
            self._schedule_turn()

    def _halted(self) -> bool:
        return self.frozen or not self.alive

    def _schedule_turn(self) -> None:
        if not self._turn_due and not self.frozen and self._ready:
            self._turn_due = True
            self.world.at(self.world.now_ns, self._turn)

    def _turn(self) -> None:
        passes = self.world.passes
        trapped = (self.name, "callback") in self.world.traps
        ready = self._ready
        left = _CALLBACKS_A_TURN_MAX
        global current  # noqa: PLW0603 - see _inside; here without its cost, which every turn would pay
        current = self
        _set_running_loop(self)
        try:
            while ready and self.alive and not self.frozen:
                if trapped:
                    passes(self.name, "callback")
                    if self._halted():
                        break
                handle = ready.popleft()
                if not handle._cancelled:  # noqa: SLF001 - as asyncio's own loops do
                    handle._run()  # noqa: SLF001 - the same
                left -= 1
                if not left:
                    self.world.breach("exception", f"{self.name} does not come to rest")
                    self.kill()
        finally:
            current = None
            _set_running_loop(None)
        self._turn_due = False
        # Anything may have happened to it meanwhile.
        if self.alive:
            if self.after_turn is not None:
                self.after_turn()
            self._schedule_turn()


class _Task(asyncio.Task[_T]):
    """A task whose place in a set does not depend on its address, so that one seed is one history."""

    def __init__(self, number: int, coro: Any, **options: Any) -> None:
        self._number = number
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other


@contextlib.contextmanager
def _inside(process: Process, *, loop: bool = True) -> Generator[None, None, None]:
    global current  # noqa: PLW0603 - one thread, one process at a time
    before, outer = current, _get_running_loop()
    current = process
    _set_running_loop(process if loop else None)
    try:
        yield
    finally:
        current = before
        _set_running_loop(outer)


def _answer(future: "asyncio.Future[Any]", result: object, failed: BaseException | None) -> None:
    if future.done():
        return
    if failed is not None:
        future.set_exception(failed)
    else:
        future.set_result(result)
