"""Troubles of the simulated fleet: drawn as the seed says, carried out at boards, sensors and lines, put right."""

import asyncio
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from edge_agent.boards import kerong_cu16 as cu16
from edge_agent.simulator.cu16_board import SimulatedCu16
from edge_agent.simulator.environment import Environment
from edge_agent.simulator.fault_injector import FaultInjector, FaultPlace
from edge_agent.simulator.fault_plan import Fault, FaultPlan, PlannedFault
from edge_agent.simulator.fleet import simulate
from edge_agent.simulator.uplink_relay import UplinkRelay
from tests.edge_agent.simulator.test_fleet import KINDS, Archive, options

if TYPE_CHECKING:
    from pathlib import Path

    from tests.edge_agent.conftest import Broker


def drawn(seed: int, **changes: Any) -> list[PlannedFault]:  # noqa: ANN401
    wanted: dict[str, Any] = {"lockers": 10, "doors": 4, "share": 1.0, "weak": [3]}
    wanted |= changes
    troubles = FaultPlan(Random(seed), wanted.pop("lockers"), wanted.pop("doors"), **wanted)
    return [troubles.next() for _ in range(400)]


def test_all_kinds_come_and_the_same_seed_brings_the_same() -> None:
    cases = drawn(1)
    assert {case.trouble for case in cases} == set(Fault)
    assert {case.locker for case in cases if case.trouble is Fault.OFFLINE} == {3}
    assert {case.door for case in cases} == {1, 2, 3, 4}
    assert cases == drawn(1) != drawn(2)
    assert Fault.OFFLINE not in {case.trouble for case in drawn(1, weak=[])}


def test_none_come_where_none_are_wanted_and_not_too_many_in_a_large_fleet() -> None:
    assert FaultPlan(Random(1), 10, 4, share=0.0, weak=[]).gap_s() == float("inf")
    many = FaultPlan(Random(1), 100_000, 4, share=1.0, weak=[])
    assert sum(many.gap_s() for _ in range(1000)) > 3000


def test_heat_and_a_lost_supply_show_in_the_samples_and_go_again() -> None:
    environment = Environment(Random(1))
    environment.heated, environment.powered = True, False
    bad = [environment.sample() for _ in range(20)][-1]
    assert bad["temperature_c"] > 50
    assert (bad["supply_v"], bad["battery_pct"] < 20) == (0.0, True)
    environment.heated, environment.powered = False, True
    good = [environment.sample() for _ in range(20)][-1]
    assert good["temperature_c"] < 40
    assert (good["supply_v"] > 11, good["battery_pct"] >= 60) == (True, True)


def asked(board: SimulatedCu16, now_ms: int) -> bytes:
    return board.receive(cu16.status_request(0), now_ms)


def test_nothing_moves_at_a_silent_board_until_it_was_read_again() -> None:
    board = SimulatedCu16(0, 4, Random(1))
    board.turn_key(0, 0)
    assert not board.fall_silent(1500)
    for _ in range(10):
        assert asked(board, 1000)
    assert not board.fall_silent(1499)
    assert board.fall_silent(1500)
    assert asked(board, 1600) == b""
    board.turn_key(1, 1600)
    assert not board.push_shut(0, 1600)
    assert not board.set_item(0, present=True, now_ms=1600)
    board.speak_again()
    assert not board.push_shut(0, 1700)
    for _ in range(12):
        assert asked(board, 1700)
    assert board.push_shut(0, 1800)
    assert (board.truth.opened, board.truth.closed) == ({0: 1}, {0: 1})


def test_a_stuck_latch_clicks_and_stays() -> None:
    board = SimulatedCu16(0, 4, Random(1))
    board.stick(2, 5000)
    board.receive(cu16.unlock_request(0, 2), 0)
    assert not board.is_open(2, 4000)
    assert board.pulses == {2: 1}
    board.receive(cu16.unlock_request(0, 2), 5000)
    assert board.is_open(2, 6000)


def test_a_loose_contact_never_lies_twice_in_a_row() -> None:
    board = SimulatedCu16(0, 4, Random(1))
    board.fill([1])
    honest = asked(board, 0)
    board.flicker(1, 5000)
    said = [asked(board, 50 * n) == honest for n in range(40)]
    assert 5 < said.count(False) < 15
    assert all(first or second for first, second in pairwise(said))
    assert asked(board, 5000) == honest
    assert not board.truth.occupancy


async def test_a_relay_passes_on_until_it_is_cut() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)

    async def dial(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writers.append(writer)
        return reader, writer

    writers: list[asyncio.StreamWriter] = []
    async with server, UplinkRelay("127.0.0.1", server.sockets[0].getsockname()[1]) as relay:
        reader, writer = await dial(relay.port)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        relay.cut()
        for line in (reader, (await dial(relay.port))[0]):
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await line.readexactly(1)
        relay.mend()
        reader, writer = await dial(relay.port)
        writer.write(b"again")
        assert await reader.readexactly(5) == b"again"
        for one in writers:
            one.close()


class Recorder:
    """Stands where an agent would, and keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def tell(self, kind: str, door: int | None = None, data: object = None) -> bool:
        del door, data
        self.told.append(kind)
        return True


class Nobody:
    """An empty room."""

    def keep_away(self, locker: int, door: int) -> bool:
        del locker, door
        return True

    def let_through(self, locker: int, door: int) -> None:
        del locker, door


class Script(FaultPlan):
    """Brings these, one after the other, and then none."""

    def __init__(self, cases: list[PlannedFault]) -> None:
        self.cases = cases

    def gap_s(self) -> float:
        return 0.0 if self.cases else float("inf")

    def next(self) -> PlannedFault:
        return self.cases.pop(0)


async def test_the_end_puts_everything_right() -> None:
    board, environment, agent = SimulatedCu16(0, 4, Random(1)), Environment(Random(1)), Recorder()
    async with UplinkRelay("127.0.0.1", 1) as line:
        place = FaultPlace([board], environment, agent, line)  # type: ignore[arg-type]
        kinds = [Fault.BOARD, Fault.POWER, Fault.HEAT, Fault.TAMPER, Fault.OFFLINE, Fault.HEAT]
        mischief = FaultInjector(
            Script([PlannedFault(kind, 0, 1, 600.0) for kind in kinds]), [place], Nobody(), lambda: 10_000
        )
        for _ in range(10):
            assert asked(board, 0)
        happening = asyncio.create_task(mischief.happen())
        while sum(mischief.tally.values()) < 5:  # noqa: ASYNC110 - the loop's next round, and no time
            await asyncio.sleep(0)
        assert (environment.heated, environment.powered, asked(board, 10_000)) == (True, False, b"")
        assert agent.told == ["tamper.on"]
        # The same trouble does not come twice at a time.
        assert mischief.tally["heat"] == 1
        happening.cancel()
        await mischief.end()
        assert (environment.heated, environment.powered, bool(asked(board, 10_000))) == (False, True, True)
        assert agent.told == ["tamper.on", "tamper.off"]


@pytest.mark.services
@pytest.mark.parametrize("seconds", [14.0, pytest.param(60.0, marks=pytest.mark.long)])
async def test_the_ledger_is_the_truth_in_spite_of_all_troubles(
    broker: "Broker", tmp_path: "Path", seconds: float
) -> None:
    archive = Archive()
    async with archive.on_duty(broker.port):
        wish = options(tmp_path, broker.port, lockers=30, seconds=seconds, troubles=1.0, link="memory")
        account = await simulate(wish, asyncio.Event())
    assert account["drained"] is True
    assert sum(account["troubles"].values()) >= 1
    for locker, truth in account["truth"].items():
        run = (truth["first_seq"], truth["last_seq"])
        for what in KINDS:
            assert archive.edges(locker, what, *run) == truth[what]
        assert sorted(archive.events[locker]) == list(range(1, truth["last_seq"] + 1))
