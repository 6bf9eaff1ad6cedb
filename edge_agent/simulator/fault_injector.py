"""Carries out the troubles of a simulated fleet at boards, sensors and lines: agents find out by themselves."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from edge_agent.app import Agent
from edge_agent.simulator.cu16_board import SimulatedCu16
from edge_agent.simulator.environment import Environment
from edge_agent.simulator.fault_plan import Fault, FaultPlan, PlannedFault
from edge_agent.simulator.uplink_relay import UplinkRelay
from wire.messages import EventKind

log = logging.getLogger(__name__)

_CASES_MAX: Final = 64
_TRY_AGAIN_S: Final = 0.5
_TRIES: Final = 20
_DENIED_EVERY_S: Final = 1.5
_DENIED_TIMES: Final = 6


@dataclass(frozen=True, slots=True)
class FaultPlace:
    """One locker, as trouble meets it. `line` is None where its uplink cannot be cut."""

    boards: Sequence[SimulatedCu16]
    environment: Environment
    agent: Agent
    line: UplinkRelay | None


class Crowd(Protocol):
    """Whoever stands at doors; see `People`."""

    def keep_away(self, locker: int, door: int) -> bool:
        """Keep everybody away from a door."""

    def let_through(self, locker: int, door: int) -> None:
        """Let people to a door again."""


class FaultInjector:
    """Lets troubles happen until it is told to stop. `tally` counts them."""

    def __init__(
        self, troubles: FaultPlan, places: Sequence[FaultPlace], crowd: Crowd, now_ms: Callable[[], int]
    ) -> None:
        self.tally: Counter[str] = Counter()
        self._crowd = crowd
        self._troubles = troubles
        self._places = places
        self._now_ms = now_ms
        self._cases: set[asyncio.Task[None]] = set()
        self._busy: set[tuple[int, Fault]] = set()

    async def happen(self) -> None:
        """Let one trouble after the other happen until cancelled; no locker has the same twice at a time."""
        while True:
            await asyncio.sleep(min(self._troubles.gap_s(), 86_400))
            case = self._troubles.next()
            key = (case.locker, case.trouble)
            if key in self._busy or len(self._cases) >= _CASES_MAX:
                continue
            self._busy.add(key)
            task = asyncio.create_task(self._carry_out(case), name=f"trouble {case.trouble} {case.locker}")
            self._cases.add(task)
            task.add_done_callback(self._over(key))

    async def end(self) -> None:
        """Break off what is under way and put everything right."""
        for task in self._cases:
            task.cancel()
        if self._cases:
            await asyncio.wait(set(self._cases))

    def _over(self, key: tuple[int, Fault]) -> "Callable[[asyncio.Task[None]], None]":
        def over(done: "asyncio.Task[None]") -> None:
            self._busy.discard(key)
            self._cases.discard(done)
            if not done.cancelled() and (error := done.exception()) is not None:
                log.error("a trouble broke off", exc_info=error)

        return over

    async def _carry_out(self, case: PlannedFault) -> None:
        place = self._places[case.locker]
        board, lock = _lock_of(place.boards, case.door)
        self.tally[case.trouble.value] += 1
        match case.trouble:
            case Fault.FORCED:
                await self._force(board, lock, case)
            case Fault.STUCK:
                board.stick(lock, self._now_ms() + round(case.seconds * 1000))
            case Fault.FLICKER:
                board.flicker(lock, self._now_ms() + round(case.seconds * 1000))
            case Fault.BOARD:
                await self._silence(board, case.seconds)
            case Fault.POWER | Fault.HEAT:
                await self._surround(place.environment, case)
            case Fault.TAMPER:
                place.agent.tell(EventKind.TAMPER_ON)
                try:
                    await asyncio.sleep(case.seconds)
                finally:
                    place.agent.tell(EventKind.TAMPER_OFF)
            case Fault.DENIED:
                for _ in range(_DENIED_TIMES):
                    place.agent.tell(EventKind.ACCESS_DENIED, case.door, {"by": "badge", "why": "unknown"})
                    await asyncio.sleep(_DENIED_EVERY_S)
            case Fault.OFFLINE if place.line is not None:
                place.line.cut()
                try:
                    await asyncio.sleep(case.seconds)
                finally:
                    place.line.mend()

    async def _force(self, board: SimulatedCu16, lock: int, case: PlannedFault) -> None:
        # Nobody else moves this door meanwhile: two movements at once would look like one.
        if not self._crowd.keep_away(case.locker, case.door):
            return
        try:
            await self._settled(board)
            board.turn_key(lock, self._now_ms())
            await asyncio.sleep(case.seconds)
            board.push_shut(lock, self._now_ms())
            await self._settled(board)
        finally:
            self._crowd.let_through(case.locker, case.door)

    async def _settled(self, board: SimulatedCu16) -> None:
        for _ in range(_TRIES):
            if board.is_settled(self._now_ms()):
                return
            await asyncio.sleep(_TRY_AGAIN_S)

    async def _silence(self, board: SimulatedCu16, seconds: float) -> None:
        # Where doors have just moved it waits: what moves unseen would be nobody's event.
        for _ in range(_TRIES):
            if board.fall_silent(self._now_ms()):
                break
            await asyncio.sleep(_TRY_AGAIN_S)
        else:
            return
        try:
            await asyncio.sleep(seconds)
        finally:
            board.speak_again()

    async def _surround(self, environment: Environment, case: PlannedFault) -> None:
        power = case.trouble is Fault.POWER
        if power:
            environment.powered = False
        else:
            environment.heated = True
        try:
            await asyncio.sleep(case.seconds)
        finally:
            if power:
                environment.powered = True
            else:
                environment.heated = False


def _lock_of(boards: Sequence[SimulatedCu16], door: int) -> tuple[SimulatedCu16, int]:
    index = door - 1
    for board in boards:
        if index < board.locks:
            return board, index
        index -= board.locks
    raise LookupError(f"there is no door {door}")
