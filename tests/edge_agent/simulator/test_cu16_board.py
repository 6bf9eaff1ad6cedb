"""The board made of software behaves like the one made of steel, and counts what truly happened."""

from random import Random
from typing import Any

import pytest

from edge_agent.boards import kerong_cu16 as cu16
from edge_agent.simulator.cu16_board import POP_MS, Levels, SimulatedCu16


def board(**options: Any) -> SimulatedCu16:  # noqa: ANN401 - the board's own
    return SimulatedCu16(2, 8, Random(1), **options)


def status(of: SimulatedCu16, now_ms: int) -> tuple[int, int]:
    (frame,) = cu16.Parser().feed(of.receive(cu16.status_request(2), now_ms))
    return frame.hooks, frame.items


def test_a_pulse_pops_the_door_after_a_moment() -> None:
    simulated = board()
    assert status(simulated, 0) == (0xFFFF, 0)
    assert simulated.receive(cu16.unlock_request(2, 3), 1000) == b""
    assert status(simulated, 1000 + POP_MS[0] - 1) == (0xFFFF, 0)
    assert status(simulated, 1000 + POP_MS[1]) == (0xFFF7, 0)
    assert simulated.truth.opened == {3: 1}


def test_the_latch_holds_again_after_the_pulse_only() -> None:
    simulated = board()
    simulated.receive(cu16.unlock_request(2, 3), 0)
    assert simulated.is_open(3, 300)
    assert not simulated.push_shut(3, 549)
    assert simulated.push_shut(3, 550)
    assert not simulated.push_shut(3, 551)
    assert status(simulated, 600) == (0xFFFF, 0)
    assert (simulated.truth.opened, simulated.truth.closed) == ({3: 1}, {3: 1})


def test_an_item_goes_through_an_open_door_only() -> None:
    simulated = board()
    assert not simulated.set_item(1, present=True, now_ms=0)
    simulated.turn_key(1, 0)
    assert simulated.set_item(1, present=True, now_ms=1)
    assert not simulated.set_item(1, present=True, now_ms=2)
    assert status(simulated, 3) == (0xFFFD, 0b10)
    assert simulated.truth.occupancy == {1: 1}
    assert simulated.has_item(1)


def test_a_fill_is_no_edge() -> None:
    simulated = board()
    simulated.fill([0, 7])
    assert status(simulated, 0) == (0xFFFF, 0x81)
    assert not simulated.truth.occupancy


def test_a_jammed_latch_stays() -> None:
    simulated = board(jam_share=1.0)
    simulated.receive(cu16.unlock_request(2, 3), 0)
    assert status(simulated, 1000) == (0xFFFF, 0)
    assert simulated.pulses == {3: 1}
    simulated.turn_key(3, 1000)
    assert simulated.truth.opened == {3: 1}
    simulated.turn_key(3, 1001)
    assert simulated.truth.opened == {3: 1}


def test_several_doors_pop_each_in_its_time() -> None:
    simulated = board()
    for lock in range(4):
        simulated.receive(cu16.unlock_request(2, lock), lock * 10)
    seen = [status(simulated, now_ms)[0] for now_ms in range(300)]
    assert seen[-1] == 0xFFF0
    assert len(set(seen)) == 5


def test_frozen_it_answers_and_nothing_moves() -> None:
    simulated = board()
    simulated.receive(cu16.unlock_request(2, 0), 0)
    simulated.turn_key(5, 0)
    simulated.freeze(10)
    simulated.receive(cu16.unlock_request(2, 1), 20)
    simulated.turn_key(2, 20)
    assert not simulated.push_shut(5, 1000)
    assert not simulated.set_item(5, present=True, now_ms=1000)
    assert status(simulated, 2000) == (0xFFDF, 0)
    assert (simulated.truth.opened, simulated.truth.closed) == ({5: 1}, {})


class Watcher:
    """An agent that knows what it is told to know."""

    def __init__(self) -> None:
        self.known: dict[int, Levels] = {}

    def __call__(self, lock: int) -> Levels:
        return self.known.get(lock, (False, False))


def test_a_door_waits_until_its_agent_knows_of_its_last_movement() -> None:
    watcher = Watcher()
    simulated = board(watched=watcher)
    simulated.turn_key(5, 0)
    assert not simulated.is_known(5)
    assert not simulated.set_item(5, present=True, now_ms=1000)
    assert not simulated.push_shut(5, 1000)
    watcher.known[5] = (True, False)
    assert simulated.set_item(5, present=True, now_ms=1000)
    assert not simulated.push_shut(5, 2000)
    watcher.known[5] = (True, True)
    assert simulated.push_shut(5, 2000)
    simulated.turn_key(5, 3000)
    assert not simulated.is_open(5, 3000)
    assert (simulated.truth.opened, simulated.truth.closed, simulated.truth.occupancy) == ({5: 1}, {5: 1}, {5: 1})


def test_a_pulse_opens_no_door_that_its_agent_does_not_know() -> None:
    watcher = Watcher()
    watcher.known[3] = (None, None)
    simulated = board(watched=watcher)
    simulated.receive(cu16.unlock_request(2, 3), 0)
    assert not simulated.is_open(3, 1000)
    assert simulated.pulses == {3: 1}


def test_what_a_snapshot_tells_is_no_edge() -> None:
    watcher = Watcher()
    simulated = board(watched=watcher)
    simulated.turn_key(5, 0)
    simulated.turn_key(6, 0)
    status(simulated, 10)
    assert (simulated.truth.opened, simulated.truth.by_snapshot) == ({5: 1, 6: 1}, 0)
    watcher.known = {5: (None, None), 6: (True, False)}
    status(simulated, 20)
    status(simulated, 30)
    assert (+simulated.truth.opened, simulated.truth.by_snapshot) == ({6: 1}, 1)


def test_only_its_own_address_is_answered() -> None:
    simulated = board()
    assert simulated.receive(cu16.status_request(1), 0) == b""
    (frame,) = cu16.Parser().feed(simulated.receive(cu16.status_of_all_request(), 0))
    assert (frame.board, frame.kind) == (2, cu16.STATUS_OF_ALL_REPLY)


def test_the_pulse_time_can_be_asked_and_set() -> None:
    simulated = board()
    for request, pulse_ms in ((cu16.pulse_time_request(2), 550), (cu16.pulse_time_request(2, 800), 800)):
        (frame,) = cu16.Parser().feed(simulated.receive(request, 0))
        assert frame.pulse_ms == pulse_ms
    simulated.receive(cu16.unlock_request(2, 0), 0)
    assert not simulated.push_shut(0, 799)
    assert simulated.push_shut(0, 800)


@pytest.mark.parametrize(
    "request_", [cu16.unlock_request(2, 8), cu16.unlock_request(2, 15), b"\x02\x20\x33\x03\x58"]
)
def test_what_it_cannot_do_does_nothing(request_: bytes) -> None:
    simulated = board()
    assert simulated.receive(request_, 0) == b""
    assert status(simulated, 1000) == (0xFFFF, 0)


def test_a_seed_gives_the_same_board_again() -> None:
    def run() -> list[int]:
        simulated = board(jam_share=0.3)
        for lock in range(8):
            simulated.receive(cu16.unlock_request(2, lock), 0)
        return [status(simulated, now_ms)[0] for now_ms in range(0, 300, 10)]

    assert run() == run()
