"""The agent as a process: frozen, killed at every point of a command's way, and restarted by its hub."""

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest

from edge_agent.failpoint import FORGET_POINTS, POINTS, VARIABLE
from tests.edge_agent.scene import HubStandIn, Machine
from wire.messages import CommandState

if TYPE_CHECKING:
    from tests.edge_agent.conftest import Broker, Until

pytestmark = pytest.mark.services


async def test_a_frozen_agent_opens_no_door_late(
    broker: "Broker", hub: HubStandIn, machine: Machine, until: "Until"
) -> None:
    async with hub.on_duty(broker.port), machine.process() as agent:
        await until(lambda: hub.beacon and "board.online" in hub.kinds())
        agent.send_signal(signal.SIGSTOP)
        # They wait in the socket's buffer, and are read after their time.
        late = [hub.command(door, not_after=hub.command(door).not_after - 4900) for door in (1, 2, 3)]
        for command in late:
            await hub.send(command)
        await until(lambda: hub.command(1).not_after - 5000 > max(command.not_after for command in late) + 500)
        agent.send_signal(signal.SIGCONT)
        await until(lambda: all(hub.replies[command.id] for command in late))
        assert {(hub.replies[c.id][0].state, hub.replies[c.id][0].reason) for c in late} == {
            (CommandState.REJECTED, "expired")
        }
        assert not machine.board.pulses
        # It is none the worse for it.
        good = hub.command(4)
        await hub.send(good)
        await until(lambda: hub.replies[good.id])
        assert machine.board.pulses == {3: 1}


@pytest.mark.parametrize("point", POINTS)
async def test_an_agent_that_dies_at_any_point_acts_once_at_most_and_tells_the_truth(
    broker: "Broker", hub: HubStandIn, machine: Machine, until: "Until", point: str
) -> None:
    async with hub.on_duty(broker.port):
        async with machine.process(**{VARIABLE: point}) as agent:
            await until(lambda: hub.beacon and "board.online" in hub.kinds())
            command = hub.command(2)
            await hub.send(command)
            async with asyncio.timeout(20):
                assert await agent.wait() == 137
        pulsed = point in {"after_pulse", "after_done"}
        # The board may still have the bytes before it.
        await until(lambda: bool(machine.board.pulses) is pulsed)
        assert not hub.replies[command.id]
        hub.beacon = None
        async with machine.process():
            await until(lambda: hub.beacon and hub.kinds().count("agent.started") == 2)
            await until(lambda: hub.kinds().count("board.online") == 2)
            await hub.send(command)
            await until(lambda: hub.replies[command.id])
            reply = hub.replies[command.id][0]
            await until(lambda: "command.finished" in hub.kinds())
    # A process begins again within one boot: what was not begun may begin, in its time.
    expected = {
        "before_started": (CommandState.SUCCEEDED, {1: 1}),
        "after_started": (CommandState.UNKNOWN, {}),
        "after_pulse": (CommandState.UNKNOWN, {1: 1}),
        "after_done": (CommandState.SUCCEEDED, {1: 1}),
    }
    if point == "before_started" and reply.reason == "expired":
        expected[point] = (CommandState.REJECTED, {})
    assert (reply.state, machine.board.pulses) == expected[point]
    (finished,) = [event for event in hub.events.values() if event.kind == "command.finished"]
    assert (finished.data or {})["state"] == reply.state
    assert hub.dense()


@pytest.mark.parametrize("point", FORGET_POINTS)
async def test_an_agent_that_dies_while_it_forgets_forgets_all_the_same(
    broker: "Broker", hub: HubStandIn, machine: Machine, until: "Until", point: str
) -> None:
    async with hub.on_duty(broker.port):
        async with machine.process():
            await until(lambda: hub.beacon and "board.online" in hub.kinds())
            opening = hub.command(2, actor=uuid4())
            await hub.send(opening)
            await until(lambda: "door.opened" in hub.kinds())
        hub.beacon = None
        assert names(machine.directory / "agent", opening.actor)
        async with machine.process(**{VARIABLE: point}) as agent:
            await until(lambda: hub.beacon and hub.kinds().count("agent.started") == 2)
            forget = hub.command(None, kind="forget", args={"actor": str(opening.actor)}, actor=None)
            await hub.send(forget)
            async with asyncio.timeout(20):
                assert await agent.wait() == 137
        assert not hub.replies[forget.id]
        hub.beacon = None
        async with machine.process() as again:
            await until(lambda: hub.beacon and hub.kinds().count("agent.started") == 3)
            await hub.send(hub.command(None, kind="forget", args=forget.args, actor=None, id=forget.id))
            await until(lambda: hub.replies[forget.id])
            assert hub.replies[forget.id][0].state is CommandState.SUCCEEDED
            assert not names(machine.directory / "agent", opening.actor)
            again.send_signal(signal.SIGTERM)
            async with asyncio.timeout(30):
                assert await again.wait() == 0
    assert hub.dense()


def names(directory: Path, actor: UUID | None) -> bool:
    """Say whether an actor is anywhere in a locker's files."""
    return any(str(actor).encode() in path.read_bytes() for path in directory.iterdir())


async def test_a_restart_ends_the_process_for_its_supervisor_and_is_settled_by_the_next(
    broker: "Broker", hub: HubStandIn, machine: Machine, until: "Until"
) -> None:
    async with hub.on_duty(broker.port):
        async with machine.process() as agent:
            await until(lambda: hub.beacon and "board.online" in hub.kinds())
            command = hub.command(None, kind="restart")
            await hub.send(command)
            async with asyncio.timeout(30):
                assert await agent.wait() == 75
        await until(lambda: hub.replies[command.id] and not hub.presences[-1][0].online)
        assert hub.kinds()[-1] == "agent.stopping"
        async with machine.process() as again:
            await until(lambda: len(hub.replies[command.id]) == 2)
            await until(lambda: "command.finished" in hub.kinds())
            again.send_signal(signal.SIGTERM)
            async with asyncio.timeout(30):
                assert await again.wait() == 0
    assert [reply.state for reply in hub.replies[command.id]] == [CommandState.ACCEPTED, CommandState.SUCCEEDED]
    (finished,) = [event for event in hub.events.values() if event.kind == "command.finished"]
    assert (finished.command, (finished.data or {})["state"]) == (command.id, "succeeded")
    assert hub.dense()
