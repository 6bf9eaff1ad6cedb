"""A real hub in this process, between a real broker and a real database, and lockers made of nothing but MQTT."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

import aiohttp
import aiomqtt
import psycopg
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from psycopg.rows import TupleRow

from hub.app import Hub, running
from hub.config.settings import Config, load
from hub.core.fleet import LockerSpec
from hub.ingest.registry_sync import grid
from hub.keys import make_key, public_path
from hub.store.database import Database
from hub.store.migrate import migrate
from hub.tasks import end
from tests.services.conftest import Cluster, MosquittoBroker, free_port
from wire.messages import (
    DURABLE_KINDS,
    Clock,
    Command,
    CommandState,
    Event,
    EventBatch,
    Presence,
    Receipt,
    Reply,
    Sample,
    Stages,
    TelemetryBatch,
    decode_command,
    decode_receipt,
    encode,
    signing_bytes,
)
from wire.topics import HUB_STATE, Channel, topic_of

WAIT_S = 15.0
PATIENT_MS = 10_000
"""The deadline of an opening where a test is not about it: a busy machine is no reason for a command to be late."""
LOCKERS = ("berlin-01", "paris-02")
DOORS = 4
_T = TypeVar("_T")
_Answer = Callable[[Command], Awaitable[None]]


async def eventually(look: Callable[[], Awaitable[_T]], what: str) -> _T:
    """Look until there is something to see; return it."""
    deadline = time.monotonic() + WAIT_S
    while not (seen := await look()):
        assert time.monotonic() < deadline, f"{what} did not come true within {WAIT_S} s"
        await asyncio.sleep(0.01)
    return seen


_templates: dict[int, str] = {}


@contextmanager
def fresh_database(cluster: Cluster) -> Iterator[str]:
    """A migrated database of this test alone, copied from one that was migrated once."""
    with psycopg.connect(cluster.dsn("postgres"), autocommit=True) as connection:
        if cluster.port not in _templates:
            connection.execute("CREATE DATABASE migrated TEMPLATE template0")
            migrate(cluster.dsn("migrated"))
            # TimescaleDB's own workers look into every database that lets them; a template has to be alone.
            connection.execute("ALTER DATABASE migrated ALLOW_CONNECTIONS false")
            connection.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = 'migrated'"
            )
            _templates[cluster.port] = "migrated"
        name = f"test_{uuid4().hex}"
        connection.execute(f"CREATE DATABASE {name} TEMPLATE migrated")
        yield cluster.dsn(name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def rows(dsn: str, query: str, *values: object) -> list[TupleRow]:
    """Run one statement and return its rows."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(query, values)
        return cursor.fetchall() if cursor.description else []


@dataclass
class Scene:
    """A running hub and the way to ask it things."""

    hub: Hub
    config: Config
    broker: MosquittoBroker
    dsn: str
    key_file: Path
    http: aiohttp.ClientSession

    async def get(self, path: str, **options: Any) -> tuple[int, Any]:  # noqa: ANN401 - aiohttp's own, and JSON
        async with self.http.get(path, **options) as response:
            return response.status, await response.json(content_type=None)

    async def post(self, path: str, **options: Any) -> tuple[int, Any]:  # noqa: ANN401 - aiohttp's own, and JSON
        async with self.http.post(path, **options) as response:
            return response.status, await response.json(content_type=None)

    async def metrics(self) -> dict[str, float]:
        """Return all samples of one scrape by name and labels."""
        async with self.http.get("/metrics") as response:
            lines = (await response.text()).splitlines()
        return {
            name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")
        }

    async def locker(self, locker: str) -> dict[str, Any]:
        status, body = await self.get(f"/api/v1/lockers/{locker}")
        assert status == 200
        assert isinstance(body, dict)
        return body

    async def quarantined(self, topic: str) -> list[TupleRow]:
        """Return (reason, detail, payload, payload_bytes) of a topic."""
        query = "SELECT reason, detail, payload, payload_bytes FROM quarantine WHERE topic = %s ORDER BY id"
        return await asyncio.to_thread(rows, self.dsn, query, topic)

    async def events(self, locker: str) -> list[TupleRow]:
        """Return (seq, kind, door) of a locker's stored events."""
        query = "SELECT seq, kind, door FROM event WHERE locker_id = %s ORDER BY epoch, seq"
        return await asyncio.to_thread(rows, self.dsn, query, locker)

    async def balanced(self, record: str = "event") -> dict[str, float]:
        """Assert that the books of one scrape balance; return them."""
        found = await self.metrics()
        received = found[f'lockerhub_intake_records_received_total{{record="{record}"}}']
        waiting = found[f'lockerhub_intake_records_in_flight{{record="{record}"}}']
        prefix = "lockerhub_intake_records_settled_total{outcome="
        settled = {
            name.split('"')[1]: value
            for name, value in found.items()
            if name.startswith(prefix) and f'record="{record}"' in name
        }
        assert received == sum(settled.values()) + waiting
        return {"received": received, "in_flight": waiting, **settled}


@asynccontextmanager
async def scene(
    broker: MosquittoBroker,
    dsn: str,
    folder: Path,
    *,
    lockers: Iterable[str] = LOCKERS,
    forget: bool = True,
    file: Path | None = None,
    **settings: object,
) -> AsyncIterator[Scene]:
    """Run a hub; afterwards the broker forgets what it keeps for one.

    `file` is a configuration file; `settings` are those of the environment, without their prefix and in lower case.
    """
    key_file = folder / "command_key.pem"
    if not key_file.exists():
        make_key(key_file)
    await register(dsn, lockers)
    wanted = {
        "mqtt_port": broker.port,
        "mqtt_password_file": broker.hub_password_file,
        "database_dsn": dsn,
        "http_port": free_port(),
        "commands_key_file": key_file,
        "people_code_key_file": folder / "code_key",
        "retention_directory": folder / "retention",
        "retention_key_file": folder / "retention_key.pem",
        "service_registry_poll_s": 0.05,
        "commands_open_deadline_ms": PATIENT_MS,
        **settings,
    }
    config = load(file, {f"HUB_{name.upper()}": str(value) for name, value in wanted.items()})
    try:
        async with (
            running(config) as hub,
            aiohttp.ClientSession(f"http://127.0.0.1:{config.http.port}") as http,
        ):
            await eventually(lambda: _up(hub), "the links to the broker")
            yield Scene(hub, config, broker, dsn, key_file, http)
    finally:
        if forget:
            await _forget_retained(broker)


async def register(dsn: str, lockers: Iterable[str], doors: int = DOORS) -> None:
    """Put lockers into the registry."""
    store = Database(dsn, connections_max=4, statement_timeout_ms=10_000, connect_timeout_s=5)
    async with store:
        for one in lockers:
            await store.add_locker(LockerSpec(one, "default", one, "Testville", grid(doors)))


UP_LONGER_MS = 10 * 86_400_000
"""The tests' lockers were switched on ten days before this machine: no clock of theirs is one of the hub's."""


def boot_ms() -> int:
    """Return the boot clock of the tests' lockers."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000 + UP_LONGER_MS


@dataclass
class Agent:
    """A locker on the wire: what it says is up to the test."""

    locker: str
    client: aiomqtt.Client
    boot: UUID = field(default_factory=uuid4)
    epoch: UUID = field(default_factory=uuid4)
    behind_ms: int = 0
    """How much its stamps lie behind its clock: the delay of its messages up, as the hub sees it."""
    receipts: "asyncio.Queue[Receipt]" = field(default_factory=asyncio.Queue)
    commands: "asyncio.Queue[Command]" = field(default_factory=asyncio.Queue)
    hub_states: "asyncio.Queue[bytes]" = field(default_factory=asyncio.Queue)
    unanswered: dict[UUID, None] = field(default_factory=dict)
    """The instant commands that came, in their order, and have no last word yet."""

    def up(self) -> dict[str, Any]:
        return {
            "v": 1, "boot": self.boot, "t": boot_ms() - self.behind_ms, "at": time.time_ns() // 1_000_000,
            "clock": Clock.SYNCED,
        }  # fmt: skip

    async def publish(self, channel: Channel, payload: bytes, *, retain: bool = False) -> None:
        await self.client.publish(topic_of(self.locker, channel), payload, qos=1, retain=retain)

    async def presence(self, *, session: int = 1, online: bool = True, retain: bool = True) -> None:
        message = Presence(
            **self.up(), session=session, online=online, agent="0.1.0", doors=DOORS, boards=1, boards_online=1
        )
        await self.publish(Channel.PRESENCE, encode(message), retain=retain)

    async def events(self, first: int, events: list[Event], oldest: int | None = None) -> None:
        message = EventBatch(**self.up(), epoch=self.epoch, first=first, oldest=oldest, events=events)
        await self.publish(Channel.EVENTS, encode(message))

    async def telemetry(self, samples: list[Sample]) -> None:
        await self.publish(Channel.TELEMETRY, encode(TelemetryBatch(**self.up(), samples=samples)))

    async def reply(
        self, command: UUID, state: CommandState, reason: str | None = None, stages: Stages | None = None
    ) -> None:
        if state is not CommandState.ACCEPTED:
            self.unanswered.pop(command, None)
        message = Reply(**self.up(), id=command, state=state, reason=reason, stages=stages)
        await self.publish(Channel.REPLIES, encode(message))

    async def receipt(self) -> Receipt:
        async with asyncio.timeout(WAIT_S):
            return await self.receipts.get()

    async def command(self) -> Command:
        async with asyncio.timeout(WAIT_S):
            return await self.commands.get()

    async def listen(self) -> None:
        async for message in self.client.messages:
            assert isinstance(message.payload, bytes)
            if message.topic.matches(HUB_STATE):
                self.hub_states.put_nowait(message.payload)
            elif message.topic.matches(topic_of(self.locker, Channel.RECEIPTS)):
                self.receipts.put_nowait(decode_receipt(message.payload))
            else:
                assert not message.retain
                command = decode_command(message.payload)
                if command.kind not in DURABLE_KINDS:
                    self.unanswered[command.id] = None
                self.commands.put_nowait(command)

    async def leave(self) -> None:
        """Answer what is unanswered, so that a stopping hub waits for nothing."""
        for command in list(self.unanswered):
            await self.reply(command, CommandState.FAILED, "the locker leaves")


@asynccontextmanager
async def agent(broker: MosquittoBroker, locker: str = "berlin-01", **changed: Any) -> AsyncIterator[Agent]:  # noqa: ANN401
    """Connect a locker."""
    password = await asyncio.to_thread(broker.locker_password, locker)
    async with aiomqtt.Client(
        broker.host, broker.port, username=locker, password=password, identifier=locker
    ) as client:
        one = Agent(locker, client, **changed)
        for topic in (topic_of(locker, Channel.RECEIPTS), topic_of(locker, Channel.COMMANDS), HUB_STATE):
            await client.subscribe(topic, qos=1)
        task = asyncio.create_task(one.listen(), name=f"agent.{locker}")
        try:
            yield one
        finally:
            await end([task])


@asynccontextmanager
async def online(scene: Scene, locker: str = "berlin-01", **changed: Any) -> AsyncIterator[Agent]:  # noqa: ANN401
    """Connect a locker and wait until the hub shows it online."""
    async with agent(scene.broker, locker, **changed) as one:
        await one.presence()
        await eventually(lambda: _is(scene, locker, "online"), f"{locker} online")
        try:
            yield one
        finally:
            await one.leave()


@asynccontextmanager
async def two_online(broker: MosquittoBroker, dsn: str, folder: Path) -> AsyncIterator[tuple[Scene, Agent, Agent]]:
    """Run a hub with two lockers online, of which one may say what is the other's to say."""
    async with scene(broker, dsn, folder) as hub, online(hub) as locker, online(hub, "paris-02") as other:
        yield hub, locker, other


@asynccontextmanager
async def obedient(scene: Scene, one: Agent, answer: _Answer | None = None) -> AsyncIterator[list[Command]]:
    """Let the locker judge each command as an agent must, and pulse, or do `answer`. Yields what it was sent."""
    key = load_pem_public_key(public_path(scene.key_file).read_bytes())
    assert isinstance(key, Ed25519PublicKey)
    got: list[Command] = []

    async def obey() -> None:
        while True:
            command = await one.commands.get()
            got.append(command)
            refusal = _refusal(one, key, command)
            if refusal is not None:
                await one.reply(command.id, CommandState.REJECTED, refusal)
            elif answer is not None:
                await answer(command)
            else:
                stages = Stages(received_t=boot_ms(), started_us=100, pulsed_us=200, replied_us=250)
                await one.reply(command.id, CommandState.SUCCEEDED, stages=stages)

    task = asyncio.create_task(obey(), name=f"obey.{one.locker}")
    try:
        yield got
    finally:
        await end([task])


def _refusal(one: Agent, key: Ed25519PublicKey, command: Command) -> str | None:
    try:
        key.verify(command.sig, signing_bytes(command))
    except InvalidSignature:
        return "forged"
    if command.locker != one.locker:
        return "of another locker"
    if command.boot != one.boot:
        return "of another boot"
    return "too late" if boot_ms() > command.not_after else None


async def _up(hub: Hub) -> bool:
    return all(link.connected for link in hub.links)


async def _is(scene: Scene, locker: str, state: str) -> bool:
    return bool((await scene.locker(locker))["state"] == state)


async def _forget_retained(broker: MosquittoBroker) -> None:
    """What the broker keeps is of this hub and its lockers, and not of the next test's."""
    async with aiomqtt.Client(
        broker.host, broker.port, username="hub-ingest", password=broker.hub_password, identifier="hub-ingest"
    ) as client:
        for topic in (*(topic_of(locker, Channel.PRESENCE) for locker in (*LOCKERS, "nowhere-03")), HUB_STATE):
            await client.publish(topic, b"", qos=1, retain=True)
    # And its session: telemetry that nobody has acknowledged.
    async with aiomqtt.Client(
        broker.host,
        broker.port,
        username=broker.telemetry_username,
        password=broker.hub_password,
        identifier=broker.telemetry_username,
        clean_session=True,
    ):
        pass
