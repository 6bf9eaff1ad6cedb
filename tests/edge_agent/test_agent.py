"""One whole agent on a pseudo-terminal and a real Mosquitto, against a hub that is a plain MQTT client."""

import asyncio
import socket
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import aiomqtt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec import structs

from edge_agent.app import Agent, Parts, Summary
from edge_agent.boards.link import SerialLink
from edge_agent.boards.simulated import SimulatedCu16
from edge_agent.boards.terminal import BoardTerminal
from edge_agent.clock import LockerClock
from edge_agent.config import Board, Config, Doors, Hub, Mqtt, Outbox, Telemetry
from edge_agent.core.doors import Note
from edge_agent.disk import open_disk
from edge_agent.journal import Journal
from edge_agent.outbox import Outbox as Ledger
from edge_agent.signature import verifier
from wire.messages import (
    Command,
    CommandState,
    Event,
    EventKind,
    HubState,
    Presence,
    Receipt,
    Reply,
    decode_events,
    decode_presence,
    decode_reply,
    decode_telemetry,
    encode,
    signing_bytes,
)
from wire.topics import HUB_STATE, Channel, parse, subscription, topic_of

if TYPE_CHECKING:
    from tests.edge_agent.conftest import Broker, Until

pytestmark = pytest.mark.services

LOCKER = "berlin-01"


class HubStandIn:
    """Signs commands, keeps what arrives, and receipts it when it is told to."""

    def __init__(self, key_file: Path) -> None:
        self.receipts = True
        self.events: dict[int, Event] = {}
        self.deliveries = 0
        self.epochs: set[UUID] = set()
        self.presences: list[tuple[Presence, bool]] = []
        self.replies: dict[UUID, list[Reply]] = defaultdict(list)
        self.samples = 0
        self.troubles: dict[str, float] = {}
        self.beacon: tuple[UUID, int, float] | None = None
        self._key = Ed25519PrivateKey.generate()
        self._client: aiomqtt.Client | None = None
        key_file.write_bytes(self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

    @asynccontextmanager
    async def on_duty(self, port: int) -> AsyncIterator[None]:
        nodelay = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
        async with aiomqtt.Client("127.0.0.1", port, identifier="hub", socket_options=nodelay) as client:
            self._client = client
            for channel in (Channel.EVENTS, Channel.PRESENCE, Channel.REPLIES, Channel.TELEMETRY):
                await client.subscribe(subscription(channel), 1)
            state = HubState(v=1, id=uuid4(), online=True, version="test")
            await client.publish(HUB_STATE, encode(state), 1, retain=True)
            listening = asyncio.create_task(self._listen(client))
            yield
            self._client = None
            listening.cancel()
            await asyncio.wait([listening])

    async def _listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            _, channel = parse(message.topic.value)
            await self._take(client, channel, bytes(message.payload), retained=message.retain)
            if self._client is None:
                # The client may swallow the cancellation (asyncio.wait_for before Python 3.12).
                return

    async def _take(self, client: aiomqtt.Client, channel: Channel, payload: bytes, *, retained: bool) -> None:
        match channel:
            case Channel.EVENTS:
                batch = decode_events(payload)
                self.deliveries += 1
                self.epochs.add(batch.epoch)
                for place, event in enumerate(batch.events):
                    known = self.events.setdefault(batch.first + place, event)
                    assert known.kind == event.kind
                if self.receipts:
                    upto = batch.first + len(batch.events) - 1
                    receipt = Receipt(v=1, epoch=batch.epoch, upto=upto)
                    await client.publish(topic_of(LOCKER, Channel.RECEIPTS), encode(receipt), 1)
            case Channel.PRESENCE:
                presence = decode_presence(payload)
                self.presences.append((presence, retained))
                if not retained:
                    self.beacon = (presence.boot, presence.t, time.monotonic())
            case Channel.REPLIES:
                reply = decode_reply(payload)
                self.replies[reply.id].append(reply)
            case _:
                samples = decode_telemetry(payload).samples
                self.samples += len(samples)
                self.troubles = samples[-1].extra or {}

    def command(self, door: int, **changes: object) -> Command:
        assert self.beacon is not None
        boot, t, heard = self.beacon
        not_after = t + int((time.monotonic() - heard) * 1000) + 5000
        command = Command(
            v=1, id=uuid4(), locker=LOCKER, kind="open", boot=boot, not_after=not_after, door=door, actor=uuid4()
        )
        return self.signed(structs.replace(command, **changes))

    def signed(self, command: Command) -> Command:
        return structs.replace(command, sig=self._key.sign(signing_bytes(command)))

    async def send(self, command: Command, *, retain: bool = False) -> None:
        assert self._client is not None
        await self._client.publish(topic_of(LOCKER, Channel.COMMANDS), encode(command), 1, retain=retain)

    def kinds(self) -> list[str]:
        return [self.events[seq].kind for seq in sorted(self.events)]

    def dense(self) -> bool:
        return sorted(self.events) == list(range(1, len(self.events) + 1))


@pytest.fixture
def hub(tmp_path: Path) -> HubStandIn:
    return HubStandIn(tmp_path / "key.pem")


class Machine:
    """A locker: its board on a terminal, its disk, and agents that start and stop on it."""

    def __init__(self, directory: Path, port: int, thread: ThreadPoolExecutor) -> None:
        self.board = SimulatedCu16(0, 4, Random(1))
        self.directory = directory
        self._port = port
        self._thread = thread
        self._terminal = BoardTerminal(lambda data: self.board.receive(data, self.now_ms()))

    @staticmethod
    def now_ms() -> int:
        return time.monotonic_ns() // 1_000_000

    def close(self) -> None:
        self._terminal.close()

    @asynccontextmanager
    async def agent(self, boot: int = 1) -> AsyncIterator[Callable[[], Summary]]:
        config = Config(
            locker=LOCKER,
            data_dir=str(self.directory / "agent"),
            hub=Hub(public_key_file=str(self.directory / "key.pem")),
            boards=(Board(port=self._terminal.port, locks=4, answer_timeout_ms=500),),
            mqtt=Mqtt(host="127.0.0.1", port=self._port, keepalive_s=5, reconnect_cap_s=0.5),
            doors=Doors(poll_ms=20, open_detect_ms=600),
            telemetry=Telemetry(period_s=0.2),
            outbox=Outbox(ack_timeout_ms=200, drain_s=1.0),
        )
        parts = Parts(
            clock=LockerClock(UUID(int=boot)),
            disk_thread=self._thread,
            verify=verifier(self.directory / "key.pem"),
            make_link=SerialLink,
            measure=self._measure,
        )
        stop = asyncio.Event()
        run = asyncio.create_task(Agent(config, parts).run(stop))
        try:
            yield run.result
        finally:
            stop.set()
            async with asyncio.timeout(30):
                await run

    async def _measure(self) -> dict[str, float]:
        return {"temperature_c": 20.0}


@pytest.fixture
async def machine(tmp_path: Path, broker: "Broker", thread: ThreadPoolExecutor) -> AsyncIterator[Machine]:
    locker = Machine(tmp_path, broker.port, thread)
    yield locker
    locker.close()


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
            await hub.send(hub.signed(structs.replace(command, boot=UUID(int=2), not_after=2**50)))
            await until(lambda: len(hub.replies[command.id]) > answers)
    assert {reply.state for reply in hub.replies[command.id]} == {CommandState.SUCCEEDED}
    assert machine.board.pulses == {1: 1}


async def test_a_retained_command_is_refused(
    broker: "Broker", hub: HubStandIn, machine: Machine, until: "Until"
) -> None:
    async with hub.on_duty(broker.port):
        hub.beacon = (UUID(int=1), 2**50, time.monotonic())
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
    clock = LockerClock(UUID(int=1))
    disk, state = open_disk(machine.directory / "agent", thread)
    ledger = Ledger(disk, state, clock)
    journal = Journal(disk, ledger, clock)
    hub.beacon = (UUID(int=1), 2**50, time.monotonic())
    command = hub.command(2)
    await ledger.post([Note(1, EventKind.AGENT_STARTED)])
    journal.reserve(command.id, 1)
    await journal.start(command)
    await disk.close(5.0)
    async with hub.on_duty(broker.port), machine.agent():
        await until(lambda: hub.replies[command.id])
        await until(lambda: "command.finished" in hub.kinds() and "board.online" in hub.kinds())
        await hub.send(command)
        await until(lambda: len(hub.replies[command.id]) == 2)
    assert {reply.state for reply in hub.replies[command.id]} == {CommandState.UNKNOWN}
    assert not machine.board.pulses
