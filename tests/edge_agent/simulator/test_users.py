"""People at simulated boards: they wait for the door, do their errand, and are counted."""

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from edge_agent.boards import kerong_cu16 as cu16
from edge_agent.simulator import users as crowd
from edge_agent.simulator.cu16_board import SimulatedCu16
from edge_agent.simulator.hub_client import OpenResponse
from edge_agent.simulator.users import DoorOpener, SimulatedUsers
from edge_agent.simulator.workload import Errand, Visit, Workload

if TYPE_CHECKING:
    from tests.edge_agent.conftest import Until


class Counter:
    """A desk that opens the door at once, after the refusals that it was given."""

    def __init__(self, board: SimulatedCu16, *refusals: str) -> None:
        self.keys: list[UUID | None] = []
        self.pause = asyncio.Event()
        self.pause.set()
        self._board = board
        self._refusals = list(refusals)

    async def open_door(
        self, locker: str, door: int, *, actor: UUID, reason: str, key: UUID | None = None
    ) -> OpenResponse:
        assert (locker, actor.version) == ("locker-001", 4)
        assert reason in set(Errand)
        self.keys.append(key)
        await self.pause.wait()
        if self._refusals:
            return OpenResponse(409, self._refusals.pop(0), None)
        self._board.receive(cu16.unlock_request(0, door - 1), now_ms())
        stages: dict[str, Any] = {"published": 0.1, "replied": 2.0, "opened": 200.0}
        return OpenResponse(200, "", {"state": "succeeded", "stages_ms": stages})


class Script(Workload):
    """Visits that are written down beforehand."""

    def __init__(self, *visits: Visit) -> None:
        super().__init__(Random(1), 1, 4, speed=60.0)
        self._visits = list(visits)

    def gap_s(self) -> float:
        return 0.001 if self._visits else 3600.0

    def visit(self, busy: set[tuple[int, int]]) -> Visit | None:  # noqa: ARG002
        return self._visits.pop(0)


def now_ms() -> int:
    return int(asyncio.get_running_loop().time() * 1000)


def visit(errand: Errand = Errand.SEND, *, by_key: bool = False, close_after_s: float = 0.05) -> Visit:
    return Visit(0, 3, errand, UUID(int=1, version=4), by_key, 0.01, close_after_s)


@pytest.fixture
def board() -> SimulatedCu16:
    return SimulatedCu16(0, 4, Random(1))


def crowd_of(board: SimulatedCu16, desk: DoorOpener | None, *visits: Visit) -> SimulatedUsers:
    return SimulatedUsers(Script(*visits), ["locker-001"], [[board]], desk, now_ms)


async def run(people: SimulatedUsers, until: "Until", condition: Any) -> None:  # noqa: ANN401
    coming = asyncio.create_task(people.come())
    await until(condition)
    coming.cancel()
    await people.go_home(5.0)


async def test_an_errand_is_done_and_the_door_closed(board: SimulatedCu16, until: "Until") -> None:
    people = crowd_of(board, Counter(board), visit())
    await run(people, until, lambda: board.truth.closed[2])
    assert (board.truth.opened, board.truth.occupancy) == ({2: 1}, {2: 1})
    assert board.has_item(2)
    assert (people.tally.sent, people.tally.states) == (1, {"succeeded": 1})
    assert (people.tally.pulse_ms, people.tally.opened_ms) == ([2.0], [200.0])


async def test_a_busy_door_is_asked_for_again_with_the_same_key(
    board: SimulatedCu16, until: "Until", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crowd, "_RETRY_S", 0.001)
    desk = Counter(board, "door_busy", "locker_offline", "unreachable")
    people = crowd_of(board, desk, visit())
    await run(people, until, lambda: board.truth.opened[2])
    assert people.tally.refused == {"door_busy": 1, "locker_offline": 1, "unreachable": 1}
    assert len(desk.keys) == 4
    assert len(set(desk.keys)) == 1
    assert people.tally.sent == 1


async def test_a_final_refusal_is_taken(board: SimulatedCu16, until: "Until") -> None:
    desk = Counter(board, "door_out_of_service")
    people = crowd_of(board, desk, visit())
    await run(people, until, lambda: people.tally.refused)
    assert (len(desk.keys), people.tally.sent) == (1, 0)
    assert not board.pulses


async def test_a_key_asks_nobody(board: SimulatedCu16, until: "Until") -> None:
    desk = Counter(board)
    people = crowd_of(board, desk, visit(by_key=True))
    await run(people, until, lambda: board.truth.closed[2])
    assert not desk.keys


async def test_without_a_hub_everybody_has_a_key(board: SimulatedCu16, until: "Until") -> None:
    people = crowd_of(board, None, visit(Errand.PICK_UP))
    await run(people, until, lambda: board.truth.closed[2])
    assert not board.truth.occupancy


async def test_a_latch_that_sticks_sends_people_away(until: "Until", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd, "_LOOK_AGAIN_S", 0.001)
    jammed = SimulatedCu16(0, 4, Random(1), jam_share=1.0)
    people = crowd_of(jammed, Counter(jammed), visit())
    await run(people, until, lambda: people.tally.sent and not people._visits)  # noqa: SLF001
    assert not jammed.truth.opened


async def test_going_home_waits_for_answers_and_leaves_doors_as_they_are(
    board: SimulatedCu16, until: "Until"
) -> None:
    desk = Counter(board)
    desk.pause.clear()
    people = crowd_of(board, desk, visit(close_after_s=3600), visit(by_key=True, close_after_s=3600))
    coming = asyncio.create_task(people.come())
    await until(lambda: desk.keys and board.truth.opened[2])
    coming.cancel()
    home = asyncio.create_task(people.go_home(20.0))
    await asyncio.sleep(0)
    assert not home.done()
    desk.pause.set()
    await home
    assert people.tally.sent == 1
    assert not board.truth.closed


async def test_a_full_house_sends_people_round(
    board: SimulatedCu16, until: "Until", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crowd, "PEOPLE_MAX", 1)
    people = crowd_of(board, None, *[visit(close_after_s=3600)] * 3)
    await run(people, until, lambda: people.tally.turned_round)
    assert board.truth.opened == {2: 1}
