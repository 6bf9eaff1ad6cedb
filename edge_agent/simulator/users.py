"""The people of a simulated fleet: they come, ask, wait for the door, put in or take out, and mostly close it."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from uuid import UUID, uuid4

from edge_agent.simulator.cu16_board import SimulatedCu16
from edge_agent.simulator.hub_client import OpenResponse
from edge_agent.simulator.workload import Visit, Workload

log = logging.getLogger(__name__)

PEOPLE_MAX: Final = 512
"""People at doors at a time; one more turns round at the entrance, counted."""
LATENCIES_MAX: Final = 100_000
_RETRY_S: Final = 1.0
_RETRIES_MAX: Final = 30
_RETRIED: Final = frozenset(
    {"door_busy", "locker_offline", "locker_clock_unknown", "unreachable", "locker_unknown"}
)
_WISHES: Final = 3
"""How often somebody asks for a door that stays shut."""
_PUSH_AGAIN_S: Final = 0.3
_PUSHES: Final = 10
_LOOKS: Final = 5
_LOOK_AGAIN_S: Final = 0.1
_LOOKS_UNTIL_SEEN: Final = 50


class DoorOpener(Protocol):
    """Whoever takes wishes to open doors."""

    async def open_door(
        self, locker: str, door: int, *, actor: UUID, reason: str, key: UUID | None = None
    ) -> OpenResponse:
        """See `HubClient.open_door`."""


@dataclass(slots=True)
class UserTally:
    """Tally of users' requests. Latencies are those of the hub's answers, in milliseconds."""

    sent: int = 0
    states: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    turned_round: int = 0
    pulse_ms: list[float] = field(default_factory=list)
    opened_ms: list[float] = field(default_factory=list)

    def count(self, command: dict[str, Any]) -> None:
        """Count a command that the hub took."""
        self.sent += 1
        self.states[str(command.get("state"))] += 1
        stages = command.get("stages_ms") or {}
        if len(self.pulse_ms) < LATENCIES_MAX:
            if "replied" in stages:
                self.pulse_ms.append(stages["replied"])
            if "opened" in stages:
                self.opened_ms.append(stages["opened"])


class SimulatedUsers:
    """Everybody at the lockers. `boards[i]` is the board of `lockers[i]`; `desk` None means keys only."""

    def __init__(
        self,
        office: Workload,
        lockers: Sequence[str],
        boards: Sequence[Sequence[SimulatedCu16]],
        desk: DoorOpener | None,
        now_ms: Callable[[], int],
    ) -> None:
        self.tally = UserTally()
        self._office = office
        self._lockers = lockers
        self._boards = boards
        self._desk = desk
        self._now_ms = now_ms
        self._at_doors: set[tuple[int, int]] = set()
        self._asking: set[asyncio.Task[None]] = set()
        self._going_home = False
        self._visits: set[asyncio.Task[None]] = set()

    async def come(self) -> None:
        """Let people come until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + self._office.gap_s(), loop.time() - 1.0)
            await asyncio.sleep(max(0.0, due - loop.time()))
            if len(self._visits) >= PEOPLE_MAX:
                self.tally.turned_round += 1
                continue
            visit = self._office.visit(self._at_doors)
            if visit is not None:
                self._begin(visit)

    async def go_home(self, patience_s: float) -> None:
        """Let nobody in any more, and everybody leave things as they are.

        Whoever waits for the hub's answer gets it first, `patience_s` at the most.
        """
        self._going_home = True
        for task in self._visits - self._asking:
            task.cancel()
        if self._asking:
            await asyncio.wait(set(self._asking), timeout=patience_s)
        for task in self._visits:
            task.cancel()
        if self._visits:
            await asyncio.wait(set(self._visits))

    def keep_away(self, locker: int, door: int) -> bool:
        """Keep everybody away from a door until `let_through`. Returns False where somebody stands there."""
        if (locker, door) in self._at_doors:
            return False
        self._at_doors.add((locker, door))
        return True

    def let_through(self, locker: int, door: int) -> None:
        """Let people to a door again."""
        self._at_doors.discard((locker, door))

    def _begin(self, visit: Visit) -> None:
        place = (visit.locker, visit.door)
        self._at_doors.add(place)
        task = asyncio.create_task(self._visit(visit), name=f"person at {self._lockers[visit.locker]}/{visit.door}")
        self._visits.add(task)

        def left(done: "asyncio.Task[None]") -> None:
            self._at_doors.discard(place)
            self._visits.discard(done)
            if not done.cancelled() and (error := done.exception()) is not None:
                log.error("a visit broke off", exc_info=error)

        task.add_done_callback(left)

    async def _visit(self, visit: Visit) -> None:
        board, lock = self._board_of(visit)
        for _ in range(_WISHES):
            if visit.by_key or self._desk is None:
                board.turn_key(lock, self._now_ms())
            else:
                await self._ask(visit, self._desk)
            if self._going_home:
                return
            if await self._opens(board, lock):
                break
        if board.is_open(lock, self._now_ms()):
            await asyncio.sleep(visit.item_after_s)
            await self._seen(board, lock)
            board.set_item(lock, present=visit.leaves_item, now_ms=self._now_ms())
            await asyncio.sleep(visit.close_after_s)
            await self._push_shut(board, lock)
        occupied = self._office.occupied[visit.locker]
        (occupied.add if board.has_item(lock) else occupied.discard)(visit.door)
        # The next one steps up when this one has left.
        await asyncio.sleep(visit.item_after_s)

    async def _opens(self, board: SimulatedCu16, lock: int) -> bool:
        for _ in range(_LOOKS):
            if board.is_open(lock, self._now_ms()):
                return True
            await asyncio.sleep(_LOOK_AGAIN_S)
        return False

    async def _seen(self, board: SimulatedCu16, lock: int) -> None:
        # Where the machine is too busy to poll, people are slow as well.
        for _ in range(_LOOKS_UNTIL_SEEN):
            if board.is_known(lock):
                return
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def _push_shut(self, board: SimulatedCu16, lock: int) -> None:
        # A latch that is still pulsed does not hold; a second later it does.
        for _ in range(_PUSHES):
            if board.push_shut(lock, self._now_ms()):
                return
            await asyncio.sleep(_PUSH_AGAIN_S)

    async def _ask(self, visit: Visit, desk: DoorOpener) -> None:
        task = asyncio.current_task()
        if task is None:
            return
        self._asking.add(task)
        key = uuid4()
        try:
            for _ in range(_RETRIES_MAX):
                answer = await desk.open_door(
                    self._lockers[visit.locker],
                    visit.door,
                    actor=visit.actor,
                    reason=visit.errand.value,
                    key=key,
                )
                if answer.command is not None:
                    self.tally.count(answer.command)
                    return
                self.tally.refused[answer.code] += 1
                if answer.code not in _RETRIED or self._going_home:
                    return
                self._asking.discard(task)
                await asyncio.sleep(_RETRY_S)
                self._asking.add(task)
        finally:
            self._asking.discard(task)

    def _board_of(self, visit: Visit) -> tuple[SimulatedCu16, int]:
        boards = self._boards[visit.locker]
        index = visit.door - 1
        for board in boards:
            if index < board.locks:
                return board, index
            index -= board.locks
        raise LookupError(f"{self._lockers[visit.locker]} has no door {visit.door}")
