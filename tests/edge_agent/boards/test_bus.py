"""The bus over a real pseudo-terminal: it polls, an unlock goes first, silence and loss are told and survived."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from random import Random
from typing import TYPE_CHECKING

import pytest

from edge_agent.boards import bus as buses
from edge_agent.boards import kerong_cu16 as cu16
from edge_agent.boards.bus import Bus, Listener, Timing
from edge_agent.boards.link import BoardLink, BoardLinkError, MemoryLink, SerialLink
from edge_agent.simulator.board_terminal import BoardTerminal
from edge_agent.simulator.cu16_board import SimulatedCu16

if TYPE_CHECKING:
    from tests.edge_agent.conftest import Until

TIMING = Timing(poll_ms=20, answer_timeout_ms=60, fast_for_ms=500)


class Told(Listener):
    """Keeps what a bus tells."""

    def __init__(self) -> None:
        self.answers: Counter[int] = Counter()
        self.silences: Counter[int] = Counter()
        self.losses: Counter[int] = Counter()
        self.hooks: dict[int, int] = {}
        self.seen: set[int] = set()

    def status(self, board: int, hooks: int, items: int) -> None:
        assert 0 <= items <= 0xFFFF
        self.answers[board] += 1
        self.hooks[board] = hooks
        self.seen.add(hooks)

    def silent(self, board: int) -> None:
        self.silences[board] += 1

    def gone(self, board: int) -> None:
        self.losses[board] += 1


class Cable:
    """Boards behind a terminal; what goes over the line is kept, and can be cut or spoilt."""

    def __init__(self, *addresses: int) -> None:
        self.boards = {address: SimulatedCu16(address, 16, Random(address)) for address in addresses}
        self.dead: set[int] = set()
        self.asked: list[bytes] = []
        self.spoil: Callable[[bytes, bytes], bytes] = lambda _, answer: answer

    def respond(self, data: bytes) -> bytes:
        self.asked.append(data)
        now_ms = int(asyncio.get_running_loop().time() * 1000)
        answer = b"".join(
            board.receive(data, now_ms) for address, board in self.boards.items() if address not in self.dead
        )
        return self.spoil(data, answer)

    def count(self, frame: bytes) -> int:
        return b"".join(self.asked).count(frame)


@pytest.fixture
async def cable() -> Cable:
    return Cable(0, 1)


@pytest.fixture
async def terminal(cable: Cable) -> AsyncIterator[BoardTerminal]:
    line = BoardTerminal(cable.respond)
    yield line
    line.close()


@pytest.fixture
async def told() -> Told:
    return Told()


@pytest.fixture
async def bus(terminal: BoardTerminal, told: Told) -> AsyncIterator[Bus]:
    owner = Bus(SerialLink(terminal.port, 19200), (0, 1), TIMING, told)
    owner.start()
    yield owner
    owner.stop()


@pytest.fixture
def quick_reopen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buses, "_REOPEN_FIRST_S", 0.01)


async def test_every_board_is_polled_in_turn(bus: Bus, told: Told, until: "Until") -> None:
    await until(lambda: told.answers[0] >= 5 and told.answers[1] >= 5)
    assert told.hooks == {0: 0xFFFF, 1: 0xFFFF}
    assert not told.silences
    assert bus.counters.timeouts == 0


async def test_an_unlock_pulses_its_lock_once(bus: Bus, told: Told, cable: Cable, until: "Until") -> None:
    await until(lambda: told.answers[1])
    assert await bus.unlock(1, 6, lambda: True) is True
    await until(lambda: told.hooks[1] == 0xFFFF & ~(1 << 6))
    assert cable.boards[1].pulses == {6: 1}
    assert not cable.boards[0].pulses


async def test_an_unlock_that_comes_too_late_is_never_written(
    bus: Bus, told: Told, cable: Cable, until: "Until"
) -> None:
    await until(lambda: told.answers[1])
    assert await bus.unlock(1, 6, lambda: False) is False
    await until(lambda: told.answers[1] >= 4)
    assert cable.count(cu16.unlock_request(1, 6)) == 0


async def test_orders_keep_their_order_and_each_is_written_once(
    bus: Bus, told: Told, cable: Cable, until: "Until"
) -> None:
    await until(lambda: told.answers[1])
    wrote = await asyncio.gather(*(bus.unlock(1, lock, lambda: True) for lock in range(5)))
    assert wrote == [True] * 5
    await until(lambda: sum(cable.boards[1].pulses.values()) == 5)
    unlocks = [chunk for chunk in cable.asked if len(chunk) == 5 and chunk[2] == cu16.UNLOCK]
    assert unlocks == [cu16.unlock_request(1, lock) for lock in range(5)]


async def test_an_unlock_waits_for_one_transaction_of_a_silent_neighbour_at_the_most(
    bus: Bus, told: Told, cable: Cable, until: "Until"
) -> None:
    cable.dead.add(0)
    await until(lambda: told.silences[0] >= 2)
    before = len(cable.asked)
    assert await bus.unlock(1, 2, lambda: True) is True
    await until(lambda: cable.boards[1].pulses[2])
    # A poll may have been on the line already; nothing was sent after it and before the unlock.
    assert cable.asked.index(cu16.unlock_request(1, 2)) - before <= 1


async def test_a_silent_board_is_told_and_the_other_goes_on(
    bus: Bus, told: Told, cable: Cable, until: "Until"
) -> None:
    cable.dead.add(0)
    await until(lambda: told.silences[0] >= 3)
    answers = told.answers[1]
    bus.set_silent(0, silent=True)
    await until(lambda: told.answers[1] >= answers + 10)
    assert told.silences[1] < told.silences[0]
    cable.dead.clear()
    bus.set_silent(0, silent=False)
    answers = told.answers[0]
    await until(lambda: told.answers[0] > answers)


async def test_noise_and_echoes_are_survived(bus: Bus, told: Told, cable: Cable, until: "Until") -> None:
    cable.spoil = lambda asked, answer: asked + b"\xff\x02\x00" + answer
    await until(lambda: told.answers[0] >= 3 and told.answers[1] >= 3)
    assert bus.parser.skipped_bytes > 0
    assert bus.parser.echoes > 0


async def test_a_wrong_sum_is_no_answer(bus: Bus, told: Told, cable: Cable, until: "Until") -> None:
    await until(lambda: told.answers[0])
    cable.spoil = lambda _, answer: answer[:-1] + bytes((answer[-1] ^ 1,)) if answer else b""
    await until(lambda: told.silences[0] >= 2)
    assert bus.parser.checksum_errors >= 2


async def test_an_answer_that_nobody_asked_for_is_counted(
    bus: Bus, told: Told, cable: Cable, until: "Until"
) -> None:
    cable.spoil = lambda _, answer: answer + cu16.status_reply(7, 0, 0)
    await until(lambda: bus.counters.strays >= 2)
    assert 7 not in told.answers


async def test_an_answer_to_an_unlock_is_taken(bus: Bus, told: Told, cable: Cable, until: "Until") -> None:
    await until(lambda: told.answers[1])
    cable.spoil = lambda asked, answer: cu16.status_reply(1, 0xFFF0, 0) if asked[2] == cu16.UNLOCK else answer
    await bus.unlock(1, 3, lambda: True)
    await until(lambda: 0xFFF0 in told.seen)
    assert bus.counters.strays == 0


@pytest.mark.usefixtures("quick_reopen")
async def test_a_port_that_vanishes_is_reopened(cable: Cable, told: Told, until: "Until") -> None:
    lines = [BoardTerminal(cable.respond)]
    link = SerialLink(lines[0].port, 19200)
    bus = Bus(link, (0,), TIMING, told)
    bus.start()
    await until(lambda: told.answers[0])
    lines[0].close()
    await until(lambda: told.losses[0] >= 2)
    with pytest.raises(BoardLinkError, match="not open"):
        await bus.unlock(0, 1, lambda: True)
    lines.append(BoardTerminal(cable.respond))
    link.name = lines[1].port
    answers = told.answers[0]
    await until(lambda: told.answers[0] > answers)
    bus.stop()
    lines[1].close()
    assert bus.counters.losses == 1


async def test_one_port_has_one_owner(terminal: BoardTerminal, bus: Bus, told: Told, until: "Until") -> None:
    await until(lambda: told.answers[0])
    other = SerialLink(terminal.port, 19200)
    with pytest.raises(BoardLinkError, match="cannot be opened"):
        other.open(lambda _: None, lambda _: None)
    assert bus.counters.losses == 0


class Brittle:
    """A line that breaks when it is written to."""

    name = "brittle"

    def __init__(self, link: BoardLink) -> None:
        self._link = link
        self.breaks = False

    def open(self, on_bytes: Callable[[bytes], None], on_lost: Callable[[str], None]) -> None:
        self._link.open(on_bytes, on_lost)

    def write(self, data: bytes) -> None:
        if self.breaks:
            raise BoardLinkError("brittle broke")
        self._link.write(data)

    def close(self) -> None:
        self._link.close()


@pytest.mark.usefixtures("quick_reopen")
async def test_an_order_that_cannot_be_written_fails(cable: Cable, told: Told, until: "Until") -> None:
    link = Brittle(MemoryLink("memory", cable.respond))
    bus = Bus(link, (0,), Timing(poll_ms=60_000, answer_timeout_ms=60, fast_for_ms=500), told)
    bus.start()
    link.breaks = True
    with pytest.raises(BoardLinkError, match="brittle broke"):
        await bus.unlock(0, 1, lambda: True)
    assert told.losses[0] == 1
    link.breaks = False
    await until(lambda: told.losses[0] == 1 and bus._open)  # noqa: SLF001
    assert await bus.unlock(0, 1, lambda: True)
    bus.stop()


async def test_stopping_fails_what_waits(cable: Cable, told: Told) -> None:
    bus = Bus(MemoryLink("memory", cable.respond), (0,), TIMING, told)
    with pytest.raises(BoardLinkError, match="not open"):
        await bus.unlock(0, 0, lambda: True)
    bus.start()
    orders = [asyncio.create_task(bus.unlock(0, lock, lambda: True)) for lock in range(3)]
    while not cable.boards[0].pulses:  # noqa: ASYNC110
        await asyncio.sleep(0)
    bus.stop()
    results = await asyncio.gather(*orders, return_exceptions=True)
    assert results[0] is True
    assert all(isinstance(result, BoardLinkError) for result in results[1:])


async def test_orders_that_wait_are_bounded(cable: Cable, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buses, "URGENT_ORDERS_MAX", 2)
    bus = Bus(MemoryLink("memory", cable.respond), (0,), TIMING, told)
    bus.start()
    orders = [asyncio.create_task(bus.unlock(0, lock, lambda: True)) for lock in range(5)]
    results = await asyncio.gather(*orders, return_exceptions=True)
    assert sum(isinstance(result, BoardLinkError) for result in results) == 2
    bus.stop()
