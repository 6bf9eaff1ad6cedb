"""Too much of something: viewers that do not read, a fleet that comes back at once, a locker that does not stop."""

import asyncio
import contextlib
import json
import resource
import socket
import time
from contextlib import AsyncExitStack
from random import Random
from typing import Final
from uuid import UUID

import aiohttp

from bench.processes import HOST
from bench.processes import run as run_program
from bench.rig import LOCKERS_A_CALL, ROOT
from faults.client import Client
from faults.errors import FaultsError
from faults.ghost import Ghost
from faults.row import Run, row
from faults.rows.database import GROWTH_MB_MAX
from faults.tap import boot_ms
from faults.waiting import until
from wire.topics import Channel, topic_of

_UPGRADE: Final = (
    "GET /live HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_FIRST_DIFF_S: Final = 10.0
_STORM_S_MAX: Final = 120.0
_BACKOFF_S: Final = (0.5, 8.0)
_BATCH: Final = 400
_SHOUTED_PER_S: Final = 2000
"""A locker says something every 15 s."""
_UNACKNOWLEDGED_MAX: Final = 500


@row(27, "100 viewers that never read", "B, openings and the other viewers in time")
async def slow_viewers(run: Run) -> None:
    """They subscribe to everything and read nothing; a viewer that reads must not notice, nor may the hub grow."""
    rig = run.rig
    count = 400 if run.full else 100
    memory_mb = rig.hub.process.memory_mb()
    sockets = []
    try:
        for _ in range(count):
            sockets += [await asyncio.to_thread(_deaf_viewer, rig.hub.port)]
        run.injected(count)
        began = run.now()
        async with rig.hub.client.ws_connect("/live", timeout=aiohttp.ClientWSTimeout(ws_close=2)) as viewer:
            await viewer.send_str(json.dumps({"type": "subscribe", "view": "events"}))
            for _ in run.times(quick=4, full=70):
                await run.traffic(2)
                run.notes["diffs"] = run.notes.get("diffs", 0) + await _diffs(viewer)
        figures = run.latency(began)
        run.expect(run.notes["diffs"], "a viewer that reads got nothing")
        run.in_budget(figures)
        grown_mb = rig.hub.process.memory_mb() - memory_mb
        run.notes["grown_mb"] = round(grown_mb)
        run.expect(grown_mb < GROWTH_MB_MAX, f"the hub grew by {grown_mb:.0f} MB")
    finally:
        for viewer_socket in sockets:
            viewer_socket.close()


@row(28, "a whole fleet comes back at once after a restart of the broker", "recovers, N")
async def storm(run: Run) -> None:
    """Hundreds of bots (thousands with --full) and the real agents: kill -9 the broker, and time the return."""
    rig = run.rig
    names = [f"bot-{number:04d}" for number in range(5000 if run.full else 300)]
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    accounts = str(ROOT / "mosquitto" / "accounts")
    passwords = str(rig.broker.directory / "config" / "passwords")
    for first in range(0, len(names), LOCKERS_A_CALL):
        some = names[first : first + LOCKERS_A_CALL]
        await asyncio.to_thread(run_program, [accounts, passwords, str(rig.broker.locker_password_file), *some])
        await asyncio.to_thread(rig.hub.command, "locker", "add", "--doors", "2", *some)
    # A new limit of open files, and the new accounts, from the start.
    await rig.broker.kill()
    await rig.broker.start()
    bots = [_Bot(name, rig.broker.port, rig.broker.locker_password, Random(name)) for name in names]
    tasks = [asyncio.create_task(bot.run(), name=bot.name) for bot in bots]
    try:
        await until(lambda: all(bot.connected for bot in bots), _STORM_S_MAX, "all bots are connected")
        for _ in run.times(quick=1, full=3):
            await rig.online(*rig.names)
            await run.traffic(2)
            began = run.now()
            await rig.broker.kill()
            await until(lambda: not any(bot.connected for bot in bots), 10, "all bots are thrown out")
            await rig.broker.start()
            run.injected()
            await until(lambda: all(bot.connected for bot in bots), _STORM_S_MAX, "all bots are back")
            await rig.online(*rig.names, seconds=_STORM_S_MAX)
            run.notes["recovered_s_max"] = max(round(run.now() - began, 1), run.notes.get("recovered_s_max", 0.0))
            await run.traffic(2)
        run.notes["bots"] = len(bots)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@row(29, "one locker floods, another one comes with a huge backlog", "N I, openings in their budget")
async def flood(run: Run) -> None:
    """Telemetry as fast as it goes from one, a ledger of a month from the other; everybody else must not notice."""
    rig = run.rig
    events = 60_000 if run.full else 6000
    seconds = 60.0 if run.full else 6.0
    async with AsyncExitStack() as stack:
        loud = await Ghost(rig, "ghost-1").open(stack)
        long_away = await Ghost(rig, "ghost-2").open(stack)
        began = run.now()
        shouting = asyncio.create_task(_shout(loud, seconds), name="shouting")
        backlog = asyncio.create_task(_deliver(long_away, events), name="backlog")
        run.injected(2)
        try:
            run.notes["messages_shouted"] = await shouting
            figures = run.latency(began)
            run.notes["backlog_s"] = round(await backlog, 1)
        finally:
            for task in (shouting, backlog):
                task.cancel()
            await asyncio.gather(shouting, backlog, return_exceptions=True)
        run.in_budget(figures)


class _Bot:
    """A locker as the broker sees one: it connects, listens, says that it is online, comes back with jitter."""

    def __init__(self, name: str, port: int, password: str, random: Random) -> None:
        self.name = name
        self.connected = False
        self._port = port
        self._password = password
        self._random = random

    async def run(self) -> None:
        """Stay connected until cancelled."""
        failures = 0
        while True:
            first_s, most_s = _BACKOFF_S
            await asyncio.sleep(self._random.uniform(0, min(most_s, first_s * 2**failures)))
            failures += 1
            with contextlib.suppress(OSError, FaultsError):
                reader, writer = await asyncio.open_connection(HOST, self._port)
                try:
                    connection = Client(reader, writer)
                    if await connection.hello(self.name, self._password, self.name) == 0:
                        await connection.subscribe(topic_of(self.name, Channel.COMMANDS))
                        await connection.publish(
                            topic_of(self.name, Channel.PRESENCE), self._presence(), retain=True
                        )
                        self.connected, failures = True, 0
                        await connection.read()
                finally:
                    self.connected = False
                    writer.close()

    def _presence(self) -> bytes:
        said = {
            "v": 1, "boot": str(UUID(int=1)), "t": boot_ms(), "at": time.time_ns() // 1_000_000,
            "clock": "synced", "session": boot_ms(), "online": True, "agent": "bot", "doors": 2, "boards": 1,
            "boards_online": 1,
        }  # fmt: skip
        return json.dumps(said).encode()


async def _diffs(viewer: aiohttp.ClientWebSocketResponse) -> int:
    """Return 1 once a diff has come, 0 where none comes in time."""
    try:
        async with asyncio.timeout(_FIRST_DIFF_S):
            while True:
                message = await viewer.receive()
                if message.type is not aiohttp.WSMsgType.TEXT:
                    return 0
                if json.loads(message.data)["type"] == "diff":
                    return 1
    except TimeoutError:
        return 0


def _deaf_viewer(port: int) -> socket.socket:
    """Open a websocket that subscribes to three views and never reads."""
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.connect((HOST, port))
    deaf.sendall(_UPGRADE.format(host=HOST, port=port).encode())
    for view in ("fleet", "events", "locker:box-01"):
        text = json.dumps({"type": "subscribe", "view": view}).encode()
        # A text frame of less than 126 bytes, masked with zeros (RFC 6455, 5.2).
        deaf.sendall(bytes((0x81, 0x80 | len(text))) + bytes(4) + text)
    return deaf


async def _shout(ghost: Ghost, seconds: float) -> int:
    """Publish telemetry at `_SHOUTED_PER_S`, or as fast as the broker takes it. Returns how many messages."""
    began = time.monotonic()
    count = 0
    while (passed := time.monotonic() - began) < seconds:
        while count < passed * _SHOUTED_PER_S and ghost.client.unacknowledged < _UNACKNOWLEDGED_MAX:
            samples = [{"t": boot_ms(), "temperature_c": 20.0 + count % 10}]
            await ghost.say(Channel.TELEMETRY, {**ghost.up(), "samples": samples})
            count += 1
        # Whoever measures in this process shall not wait for it.
        await asyncio.sleep(0.005)
    await ghost.client.acknowledged(120.0)
    return count


async def _deliver(ghost: Ghost, events: int) -> float:
    """Send a ledger in batches, the next on a receipt, again without one. Returns the seconds."""
    began = time.monotonic()
    for _ in range(0, events, _BATCH):
        message = ghost.batch([ghost.event("tamper.on", data={"n": number}) for number in range(_BATCH)])
        for _ in range(30):
            await ghost.say(Channel.EVENTS, {**message, **ghost.up()})
            with contextlib.suppress(FaultsError):
                await ghost.receipted(2.0)
                break
        else:
            raise FaultsError(f"{ghost.name} got no receipt for {ghost.next_seq - 1}")
    return time.monotonic() - began
