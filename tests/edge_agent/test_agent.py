"""One whole agent on a pseudo-terminal and a real Mosquitto, against a hub that is a plain MQTT client."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from msgspec import structs

from edge_agent.clock import BootClock
from edge_agent.core.doors import Note
from edge_agent.disk import open_disk
from edge_agent.journal import Journal
from edge_agent.outbox import Outbox
from edge_agent.simulator.cu16_board import SimulatedCu16
from tests.edge_agent.scene import HubStandIn, Machine
from wire.messages import (
    CommandState,
    EventKind,
)

if TYPE_CHECKING:
    from tests.edge_agent.conftest import Broker, Until

pytestmark = pytest.mark.services

YEARS_MS = 9 * 366 * 86_400_000
"""A boot clock far ahead of the machine's, and still one that a locker may have."""


async def test_a_door_opens_on_command_and_the_whole_story_is_told(
    broker: "Broker", hub: HubStandIn, machine: Machine, until: "Until"
) -> None:
    async with hub.on_duty(broker.port):
        async with machine.agent() as summary:
            await until(lambda: hub.beacon and "board.online" in hub.kinds())
            command = hub.command(3)
            await hub.send(command)
            await until(lambda: "door.opened" in hub.kinds())
            assert machine.board.set_item(2, present=True, now_ms=machine.now_ms())
            await until(lambda: "occupancy.changed" in hub.kinds())
            await until(lambda: machine.board.push_shut(2, machine.now_ms()))
            await until(lambda: "door.closed" in hub.kinds() and hub.samples)
        await until(lambda: not hub.presences[-1][0].online)
    (reply,) = hub.replies[command.id]
    assert reply.state is CommandState.SUCCEEDED
    assert reply.stages is not None
    assert 0 < (reply.stages.started_us or 0) < (reply.stages.pulsed_us or 0) < (reply.stages.replied_us or 0)
    about = [event for event in hub.events.values() if event.command is not None]
    assert [event.kind for event in about] == [
        "door.unlocked",
        "command.finished",
        "door.opened",
        "occupancy.changed",
        "door.closed",
    ]
    assert {(event.command, event.actor, event.door) for event in about} == {(command.id, command.actor, 3)}
    assert hub.kinds()[0] == "agent.started"
    assert hub.kinds()[-1] == "agent.stopping"
    assert "door.forced" not in hub.kinds()
    assert hub.dense()
    assert (summary().last_seq, summary().drained) == (len(hub.events), True)
    assert hub.presences[-1][0].reason == "stopping"
    assert machine.board.truth.opened == {2: 1}


async def test_what_must_not_open_a_door_does_not(
    broker: "Broker", hub: HubStandIn, machine: Machine, until: "Until"
) -> None:
    async with hub.on_duty(broker.port), machine.agent():
        await until(lambda: hub.beacon and "board.online" in hub.kinds())
        good = hub.command(1)
        refused = {
            "wrong_locker": hub.command(1, locker="berlin-02"),
            "bad_signature": structs.replace(hub.command(1), door=2),
            "wrong_boot": hub.command(1, boot=uuid4()),
            "expired": hub.command(1, not_after=0),
            "unknown_kind": hub.command(1, kind="explode"),
            "unknown_door": hub.command(5),
            "version": hub.command(1, v=2),
        }
        for command in refused.values():
            await hub.send(command)
        await until(lambda: all(hub.replies[command.id] for command in refused.values()))
        for reason, command in refused.items():
            (reply,) = hub.replies[command.id]
            assert (reply.state, reply.reason) == (CommandState.REJECTED, reason)
        assert not machine.board.pulses
        # What could not even be read is told with the telemetry.
        await until(lambda: hub.troubles == {"commands_malformed": 1})
        await hub.send(good)
        await until(lambda: machine.board.pulses)
    finished = [event for event in hub.events.values() if event.kind == "command.finished"]
    known = {event.command for event in finished}
    assert known == {
        good.id,
        *(refused[reason].id for reason in ("wrong_boot", "expired", "unknown_kind", "unknown_door")),
    }


async def test_a_command_that_comes_twice_acts_once_and_is_answered_twice(
    broker: "Broker", hub: HubStandIn, machine: Machine, until: "Until"
) -> None:
    async with hub.on_duty(broker.port):
        async with machine.agent():
            await until(lambda: hub.beacon and "board.online" in hub.kinds())
            command = hub.command(2)
            await asyncio.gather(*(hub.send(command) for _ in range(3)))
            await until(lambda: hub.replies[command.id])
            await hub.send(command)
            await until(lambda: len(hub.replies[command.id]) >= 2)
        # Another boot of the same locker remembers it too.
        answers = len(hub.replies[command.id])
        hub.beacon = None
        async with machine.agent(boot=2):
            await until(lambda: hub.beacon is not None and hub.beacon[0] == UUID(int=2))
            await hub.send(hub.signed(structs.replace(command, boot=UUID(int=2), not_after=10**11)))
            await until(lambda: len(hub.replies[command.id]) > answers)
    assert {reply.state for reply in hub.replies[command.id]} == {CommandState.SUCCEEDED}
    assert machine.board.pulses == {1: 1}


async def test_a_retained_command_is_refused(
    broker: "Broker", hub: HubStandIn, machine: Machine, until: "Until"
) -> None:
    async with hub.on_duty(broker.port):
        hub.beacon = (UUID(int=1), YEARS_MS, time.monotonic())
        command = hub.command(1)
        await hub.send(command, retain=True)
        async with machine.agent():
            await until(lambda: hub.replies[command.id])
    assert hub.replies[command.id][0].reason == "retained"
    assert not machine.board.pulses


async def test_a_latch_that_sticks_is_a_pulse_without_an_opening(
    broker: "Broker", hub: HubStandIn, machine: Machine, until: "Until"
) -> None:
    machine.board = SimulatedCu16(0, 4, Random(1), jam_share=1.0)
    async with hub.on_duty(broker.port), machine.agent():
        await until(lambda: hub.beacon and "board.online" in hub.kinds())
        command = hub.command(4)
        await hub.send(command)
        await until(lambda: "door.open_not_detected" in hub.kinds())
    assert hub.replies[command.id][0].state is CommandState.SUCCEEDED
    (event,) = [event for event in hub.events.values() if event.kind == "door.open_not_detected"]
    assert (event.command, event.door) == (command.id, 4)


async def test_nothing_is_lost_while_the_broker_is_away(
    broker: "Broker", hub: HubStandIn, machine: Machine, until: "Until"
) -> None:
    async with machine.agent() as summary:
        async with hub.on_duty(broker.port):
            await until(lambda: "board.online" in hub.kinds())
        broker.kill()
        for lock in range(4):
            machine.board.turn_key(lock, machine.now_ms())
        await until(lambda: machine.board.truth.opened.total() == 4)
        broker.start()
        async with hub.on_duty(broker.port):
            await until(lambda: hub.kinds().count("door.forced") == 4)
            await until(lambda: hub.presences[-1][0].online and hub.presences[-1][0].session > 1)
            hub.receipts = False
    assert hub.dense()
    assert len(hub.epochs) == 1
    assert hub.kinds().count("door.opened") == 4
    assert summary().drained is False


async def test_what_has_no_receipt_is_sent_again_and_again_by_the_next_run(
    broker: "Broker", hub: HubStandIn, machine: Machine, until: "Until"
) -> None:
    hub.receipts = False
    async with hub.on_duty(broker.port):
        async with machine.agent() as first:
            await until(lambda: hub.deliveries >= 3)
        assert not first().drained
        hub.receipts = True
        async with machine.agent() as second:
            await until(lambda: hub.kinds().count("agent.started") == 2)
    assert hub.dense()
    assert second().epoch == first().epoch
    assert second().first_seq == first().last_seq + 1
    assert second().drained


async def test_a_new_hub_gets_presence_and_a_snapshot_at_once(
    broker: "Broker", hub: HubStandIn, machine: Machine, until: "Until"
) -> None:
    async with machine.agent():
        async with hub.on_duty(broker.port):
            await until(lambda: "board.online" in hub.kinds() and hub.beacon)
        hub.presences.clear()
        snapshots = hub.kinds().count("snapshot")
        async with hub.on_duty(broker.port):
            await until(lambda: any(p.online and not retained for p, retained in hub.presences))
            await until(lambda: hub.kinds().count("snapshot") > snapshots)


async def test_all_doors_are_told_anew_from_time_to_time(
    broker: "Broker", hub: HubStandIn, machine: Machine, until: "Until"
) -> None:
    machine.snapshot_s = 1.0
    async with hub.on_duty(broker.port), machine.agent():
        await until(lambda: "board.online" in hub.kinds() and hub.beacon)
        known = hub.kinds().count("snapshot")
        await until(lambda: hub.kinds().count("snapshot") >= known + 2)


async def test_a_board_that_falls_silent_takes_its_doors_from_sight(
    broker: "Broker", hub: HubStandIn, machine: Machine, until: "Until"
) -> None:
    async with hub.on_duty(broker.port), machine.agent():
        await until(lambda: hub.beacon and any(p.boards_online == 1 for p, _ in hub.presences))
        board, machine.board = machine.board, SimulatedCu16(5, 4, Random(1))
        await until(lambda: "board.offline" in hub.kinds())
        await until(lambda: hub.presences[-1][0].boards_online == 0)
        command = hub.command(1)
        await hub.send(command)
        await until(lambda: hub.replies[command.id])
        assert hub.replies[command.id][0].reason == "board_offline"
        machine.board = board
        await until(lambda: hub.kinds().count("board.online") == 2)
        await until(lambda: hub.presences[-1][0].boards_online == 1)
    (offline,) = [event for event in hub.events.values() if event.kind == "board.offline"]
    assert offline.data == {"board": 1, "doors": [1, 2, 3, 4]}


async def test_a_crash_between_started_and_done_is_unknown_and_never_acts_again(
    broker: "Broker", hub: HubStandIn, machine: Machine, thread: ThreadPoolExecutor, until: "Until"
) -> None:
    clock = BootClock(UUID(int=1))
    disk, state = open_disk(machine.directory / "agent", thread)
    ledger = Outbox(disk, state, clock)
    journal = Journal(disk, ledger, clock)
    hub.beacon = (UUID(int=1), YEARS_MS, time.monotonic())
    command = hub.command(2)
    await ledger.post([Note(1, EventKind.AGENT_STARTED)])
    journal.reserve(command, 1)
    await journal.start(command)
    await disk.close(5.0)
    async with hub.on_duty(broker.port), machine.agent():
        await until(lambda: hub.replies[command.id])
        await until(lambda: "command.finished" in hub.kinds() and "board.online" in hub.kinds())
        await hub.send(command)
        await until(lambda: len(hub.replies[command.id]) == 2)
    assert {reply.state for reply in hub.replies[command.id]} == {CommandState.UNKNOWN}
    assert not machine.board.pulses


async def test_what_the_hub_configures_counts_at_once_and_after_a_restart(
    broker: "Broker", hub: HubStandIn, machine: Machine, until: "Until"
) -> None:
    async with hub.on_duty(broker.port):
        async with machine.agent():
            await until(lambda: hub.beacon and "board.online" in hub.kinds())
            machine.board.turn_key(0, machine.now_ms())
            await until(lambda: "door.opened" in hub.kinds())
            assert "door.left_open" not in hub.kinds()
            args: dict[str, str | int | bool] = {"doors.left_open_s": 1, "telemetry.period_s": 3600}
            command = hub.command(None, kind="configure", args=args)
            await hub.send(command)
            # The door was open before: the new limit is its limit too.
            await until(lambda: "door.left_open" in hub.kinds())
            assert hub.replies[command.id][0].state is CommandState.SUCCEEDED
        samples = hub.samples
        async with machine.agent(boot=2):
            await until(lambda: hub.kinds().count("door.left_open") == 2)
    assert hub.samples == samples


async def test_a_restart_ends_the_run_in_order(
    broker: "Broker", hub: HubStandIn, machine: Machine, until: "Until"
) -> None:
    async with hub.on_duty(broker.port):
        async with machine.agent() as summary:
            await until(lambda: hub.beacon and "board.online" in hub.kinds())
            command = hub.command(None, kind="restart")
            await hub.send(command)
            await until(lambda: not hub.presences[-1][0].online)
        assert (summary().restart, summary().drained) == (True, True)
        assert [reply.state for reply in hub.replies[command.id]] == [CommandState.ACCEPTED]
        async with machine.agent() as again:
            await until(lambda: len(hub.replies[command.id]) == 2)
    assert not again().restart
    assert hub.replies[command.id][1].state is CommandState.SUCCEEDED
    assert hub.dense()
