"""One half-duplex bus with one owner: it polls its boards in turn, and an unlock goes before the next poll.

Everything happens in callbacks of the event loop, without a task for a poll: at 20 polls a second and board this
is the agent's hot path.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from edge_agent.boards import kerong_cu16 as cu16
from edge_agent.boards.link import BoardLink, BoardLinkError

log = logging.getLogger(__name__)

URGENT_ORDERS_MAX: Final = 64
_SETTLE_S: Final = 0.025
_FAST_POLL_S: Final = 0.025
_SILENT_POLL_S: Final = 1.0
_REOPEN_FIRST_S: Final = 0.25
_REOPEN_CAP_S: Final = 15.0
# A loop that comes this late to a timeout was itself stalled, and gives the board another chance.
_STALL_S: Final = 0.030


@dataclass(frozen=True, slots=True)
class Timing:
    """How a bus is driven, in milliseconds."""

    poll_ms: int
    answer_timeout_ms: int
    fast_for_ms: int
    """How long a board is polled every 25 ms after an unlock."""


@dataclass(slots=True)
class BusCounters:
    """What went wrong on the line, counted since start."""

    timeouts: int = 0
    strays: int = 0
    losses: int = 0


class Listener:
    """What a bus tells: a status (raw bits), a poll without an answer, a line that is gone."""

    def status(self, board: int, hooks: int, items: int) -> None:
        """A board answered."""

    def silent(self, board: int) -> None:
        """A board did not answer one poll."""

    def gone(self, board: int) -> None:
        """The line to the board is gone."""


@dataclass(slots=True)
class _Order:
    board: int
    lock: int
    gate: Callable[[], bool]
    done: asyncio.Future[bool]


@dataclass(slots=True)
class _Board:
    number: int
    request: bytes
    due: float = 0.0
    fast_until: float = 0.0
    silent: bool = False


@dataclass(slots=True)
class _Waiting:
    board: _Board
    needed: bool
    due: float = field(default=0.0)


class Bus:
    """The owner of one line. Start it once on the loop; a line that vanishes is reopened forever."""

    def __init__(self, link: BoardLink, boards: Sequence[int], timing: Timing, listener: Listener) -> None:
        self.counters = BusCounters()
        self.parser = cu16.Parser()
        self._link = link
        self._timing = timing
        self._listener = listener
        self._boards = {number: _Board(number, cu16.status_request(number)) for number in boards}
        self._orders: deque[_Order] = deque()
        self._waiting: _Waiting | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._open = False
        self._stopped = False
        self._reopen_s = _REOPEN_FIRST_S
        self._jitter = Random()  # noqa: S311 - spreads retries, guards nothing

    def start(self) -> None:
        """Open the line, or go on trying, and poll."""
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        # Buses of one process spread over the period, so that a fleet in one process has no heartbeat.
        for board in self._boards.values():
            board.due = now + self._jitter.random() * self._timing.poll_ms / 1000
        self._reopen()

    def stop(self) -> None:
        """Stop polling and close the line; orders that still wait fail."""
        self._stopped = True
        self._cancel_timer()
        self._link.close()
        self._open = False
        self._fail_orders("the agent is stopping")

    async def unlock(self, board: int, lock: int, gate: Callable[[], bool]) -> bool:
        """Pulse a lock before anything else is sent.

        `gate` is asked in the same moment as the frame is written, without an await between: False means that
        it is too late. Returns whether the frame was written.

        Raises:
            LinkError: the line is down, or 64 orders wait already; nothing was written.
        """
        if not self._open:
            raise BoardLinkError(f"{self._link.name} is not open")
        if len(self._orders) >= URGENT_ORDERS_MAX:
            raise BoardLinkError(f"{URGENT_ORDERS_MAX} orders wait for {self._link.name} already")
        order = _Order(board, lock, gate, self._loop.create_future())
        self._orders.append(order)
        if self._waiting is None:
            self._next()
        return await order.done

    def follow(self, timing: Timing) -> None:
        """Go by another timing from the next poll on."""
        self._timing = timing

    def set_silent(self, board: int, *, silent: bool) -> None:
        """Poll a board that is known to be silent only once a second, so that it delays nobody."""
        self._boards[board].silent = silent

    def _next(self) -> None:
        """Send what is most urgent, or sleep until something is due."""
        self._cancel_timer()
        while self._open and self._orders:
            if self._send_order(self._orders.popleft()):
                return
        if self._open:
            self._poll_or_sleep()

    def _poll_or_sleep(self) -> None:
        now = self._loop.time()
        board = min(self._boards.values(), key=_due) if len(self._boards) > 1 else self._first_board()
        if board.due > now:
            self._timer = self._loop.call_at(board.due, self._next)
            return
        period = self._period(board, now)
        board.due = max(board.due + period, now + period / 2)
        if self._write(board.request):
            self._await(board, self._timing.answer_timeout_ms / 1000, needed=True)

    def _send_order(self, order: _Order) -> bool:
        if order.done.done():
            return False
        frame = cu16.unlock_request(order.board, order.lock)
        if not order.gate():
            order.done.set_result(False)
            return False
        try:
            self._link.write(frame)
        except BoardLinkError as error:
            order.done.set_exception(error)
            self._lost(str(error))
            return False
        order.done.set_result(True)
        board = self._boards[order.board]
        board.fast_until = self._loop.time() + self._timing.fast_for_ms / 1000
        # No answer is documented; firmware that gives one may, and the line is left alone until it had time to.
        self._await(board, _SETTLE_S, needed=False)
        board.due = self._loop.time() + _SETTLE_S
        return True

    def _await(self, board: _Board, seconds: float, *, needed: bool) -> None:
        due = self._loop.time() + seconds
        self._waiting = _Waiting(board, needed, due)
        self._timer = self._loop.call_at(due, self._timed_out)

    def _timed_out(self) -> None:
        self._timer = None
        waiting = self._waiting
        if waiting is None:
            return
        now = self._loop.time()
        if waiting.needed and now - waiting.due > _STALL_S:
            self._await(waiting.board, self._timing.answer_timeout_ms / 1000, needed=True)
            return
        self._waiting = None
        self.parser.reset()
        if waiting.needed:
            self.counters.timeouts += 1
            self._listener.silent(waiting.board.number)
        self._next()

    def _bytes(self, data: bytes) -> None:
        for frame in self.parser.feed(data):
            waiting = self._waiting
            if frame.kind != cu16.STATUS_REPLY or waiting is None or frame.board != waiting.board.number:
                self.counters.strays += 1
                continue
            self._waiting = None
            self._cancel_timer()
            self._listener.status(frame.board, frame.hooks, frame.items)
        if self._waiting is None and self._timer is None:
            self._next()

    def _write(self, data: bytes) -> bool:
        try:
            self._link.write(data)
        except BoardLinkError as error:
            self._lost(str(error))
            return False
        return True

    def _lost(self, why: str) -> None:
        if not self._open:
            return
        log.warning("line lost", extra={"line": self._link.name, "why": why})
        self.counters.losses += 1
        self._open = False
        self._waiting = None
        self._cancel_timer()
        self._link.close()
        self._fail_orders(why)
        for number in self._boards:
            self._listener.gone(number)
        self._reopen_later()

    def _reopen(self) -> None:
        self._timer = None
        if self._stopped:
            return
        try:
            self._link.open(self._bytes, self._lost)
        except BoardLinkError as error:
            log.warning("line cannot be opened", extra={"line": self._link.name, "why": str(error)})
            for number in self._boards:
                self._listener.gone(number)
            self._reopen_later()
            return
        self._open = True
        self._reopen_s = _REOPEN_FIRST_S
        self.parser.reset()
        self._next()

    def _reopen_later(self) -> None:
        if self._stopped:
            return
        delay = self._reopen_s * (0.5 + self._jitter.random() / 2)
        self._reopen_s = min(self._reopen_s * 2, _REOPEN_CAP_S)
        self._timer = self._loop.call_later(delay, self._reopen)

    def _fail_orders(self, why: str) -> None:
        while self._orders:
            order = self._orders.popleft()
            if not order.done.done():
                order.done.set_exception(BoardLinkError(why))

    def _period(self, board: _Board, now: float) -> float:
        if now < board.fast_until:
            return min(_FAST_POLL_S, self._timing.poll_ms / 1000)
        if board.silent:
            return max(_SILENT_POLL_S, self._timing.poll_ms / 1000)
        return self._timing.poll_ms / 1000

    def _first_board(self) -> _Board:
        return next(iter(self._boards.values()))

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _due(board: _Board) -> float:
    return board.due
