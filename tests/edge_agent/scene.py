"""A locker and its hub in the tests of whole agents: a board on a terminal, and a plain MQTT client that signs."""

import asyncio
import os
import socket
import sys
import time
from asyncio import subprocess
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from uuid import UUID, uuid4

import aiomqtt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec import structs

from edge_agent.app import Agent, AgentParts, AgentSummary
from edge_agent.boards.link import SerialLink
from edge_agent.clock import BootClock
from edge_agent.config import (
    BoardSettings,
    Config,
    DoorSettings,
    HubSettings,
    MqttSettings,
    OutboxSettings,
    TelemetrySettings,
)
from edge_agent.signature import verifier
from edge_agent.simulator.board_terminal import BoardTerminal
from edge_agent.simulator.cu16_board import SimulatedCu16
from wire.messages import (
    Command,
    Event,
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

    def command(self, door: int | None, **changes: object) -> Command:
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


class Machine:
    """A locker: its board on a terminal, its disk, and agents that start and stop on it."""

    def __init__(self, directory: Path, port: int, thread: ThreadPoolExecutor) -> None:
        self.board = SimulatedCu16(0, 4, Random(1))
        self.directory = directory
        self.snapshot_s = 21_600.0
        self._port = port
        self._thread = thread
        self._terminal = BoardTerminal(lambda data: self.board.receive(data, self.now_ms()))

    @staticmethod
    def now_ms() -> int:
        return time.monotonic_ns() // 1_000_000

    def close(self) -> None:
        self._terminal.close()

    @asynccontextmanager
    async def agent(self, boot: int = 1) -> AsyncIterator[Callable[[], AgentSummary]]:
        config = Config(
            locker=LOCKER,
            data_dir=str(self.directory / "agent"),
            hub=HubSettings(public_key_file=str(self.directory / "key.pem")),
            boards=(BoardSettings(port=self._terminal.port, locks=4, answer_timeout_ms=500),),
            mqtt=MqttSettings(host="127.0.0.1", port=self._port, keepalive_s=5, reconnect_cap_s=0.5),
            doors=DoorSettings(poll_ms=20, open_detect_ms=600),
            telemetry=TelemetrySettings(period_s=0.2),
            outbox=OutboxSettings(ack_timeout_ms=200, drain_s=1.0, snapshot_s=self.snapshot_s),
        )
        parts = AgentParts(
            clock=BootClock(UUID(int=boot)),
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

    @asynccontextmanager
    async def process(self, **environment: str) -> AsyncIterator[subprocess.Process]:
        """Run `edge-agent run` as a process of its own, on this board."""
        config = self.directory / "edge.toml"
        config.write_text(
            f"""
            locker = "{LOCKER}"
            data_dir = "{self.directory / "agent"}"
            [hub]
            public_key_file = "{self.directory / "key.pem"}"
            [[boards]]
            port = "{self._terminal.port}"
            locks = 4
            answer_timeout_ms = 500
            [mqtt]
            port = {self._port}
            reconnect_cap_s = 0.5
            [doors]
            poll_ms = 20
            open_detect_ms = 600
            [outbox]
            ack_timeout_ms = 200
            drain_s = 1.0
            """
        )
        running = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edge_agent", "run", "--config", str(config)), env={**os.environ, **environment}
        )
        try:
            yield running
        finally:
            if running.returncode is None:
                running.kill()
            await running.wait()

    async def _measure(self) -> dict[str, float]:
        return {"temperature_c": 20.0}
