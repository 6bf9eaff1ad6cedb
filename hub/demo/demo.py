"""`hub demo`: a database, a broker, the hub and a simulated fleet, on one command and without any preparation.

The fleet is the real edge agent in a process of its own: it talks to the hub over MQTT and HTTP only, and counts
at its simulated boards what really happened.
"""

import asyncio
import logging
import shutil
import signal
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from hub import clock
from hub.app import page_url, running
from hub.config.settings import (
    CommandSettings,
    Config,
    DatabaseSettings,
    HttpSettings,
    LogSettings,
    MqttSettings,
    RetentionSettings,
    ServiceSettings,
)
from hub.demo.embedded.broker import EmbeddedBroker
from hub.demo.embedded.postgres import EmbeddedPostgres
from hub.demo.lockers import DOORS, demo_locker
from hub.demo.reconcile import FleetTruth, decode_truth, percentile, reconcile_events
from hub.errors import EmbeddedError
from hub.keys import make_key, public_path
from hub.masking import Secret
from hub.store.database import Database
from hub.store.ledgers import Ledgers
from hub.store.migrate import migrate

_log = logging.getLogger(__name__)

_FLEET_STOP_S: Final = 30.0
_LINE_BYTES_MAX: Final = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """Options of `hub demo`."""

    lockers: int
    seconds: float | None
    port: int
    seed: int
    speed: float
    folder: Path
    troubles: float


async def demo(options: DemoOptions, stop: asyncio.Event) -> dict[str, Any]:
    """Run the demo until `stop` is set or its time is over. Returns the account of the run."""
    options.folder.mkdir(parents=True, exist_ok=True)
    key_file = options.folder / "command_key.pem"
    if not key_file.exists():
        make_key(key_file)
    async with AsyncExitStack() as stack:
        postgres = await stack.enter_async_context(EmbeddedPostgres(options.folder / "postgres"))
        await asyncio.to_thread(migrate, postgres.dsn)
        broker = await stack.enter_async_context(EmbeddedBroker())
        config = Config(
            mqtt=MqttSettings(host=broker.host, port=broker.port, version="3.1.1"),
            database=DatabaseSettings(dsn=Secret(postgres.dsn)),
            http=HttpSettings(port=options.port),
            commands=CommandSettings(
                key_file=str(key_file), per_locker_per_minute=600, openings_fleet_per_minute=6000
            ),
            retention=RetentionSettings(
                directory=str(options.folder / "retention"), key_file=str(options.folder / "retention_key.pem")
            ),
            service=ServiceSettings(spread_s=0.5),
            log=LogSettings(),
        )
        await _register(config, options.lockers)
        started_at = clock.wall()
        async with running(config):
            _log.info("The page is on %s", page_url(config))
            said = await _run_fleet(options, config, key_file, stop)
        # The hub has drained: what it will ever store of this run is stored.
        async with Database(
            postgres.dsn, connections_max=4, statement_timeout_ms=60_000, connect_timeout_s=5
        ) as store:
            return await _account(store, said, config, started_at)


async def _register(config: Config, lockers: int) -> None:
    async with Database(config.dsn(), connections_max=4, statement_timeout_ms=60_000, connect_timeout_s=5) as store:
        known = {spec.id for spec in await store.registry()}
        for number in range(1, lockers + 1):
            spec = demo_locker(number)
            if spec.id not in known:
                await store.add_locker(spec)


async def _run_fleet(options: DemoOptions, config: Config, key_file: Path, stop: asyncio.Event) -> FleetTruth:
    """Run the fleet's process until its time is over or `stop` is set, and return its last word."""
    command = shutil.which("edge-agent", path=str(Path(sys.executable).parent)) or shutil.which("edge-agent")
    if command is None:
        raise EmbeddedError(
            "edge-agent is not installed beside the hub: install the extra, lockerhub[hub,edge,embedded]"
        )
    arguments = [
        "simulate", "--lockers", str(options.lockers), "--prefix", "locker", "--doors", str(DOORS),
        "--broker", f"{config.mqtt.host}:{config.mqtt.port}", "--hub-url", page_url(config),
        "--hub-key", str(public_path(key_file)), "--data", str(options.folder / "fleet"),
        "--seed", str(options.seed), "--speed", str(options.speed), "--troubles", str(options.troubles), "--json",
    ]  # fmt: skip
    if options.seconds is not None:
        arguments += ["--for", str(options.seconds)]
    process = await asyncio.create_subprocess_exec(
        command, *arguments, stdout=asyncio.subprocess.PIPE, limit=_LINE_BYTES_MAX, start_new_session=True
    )
    assert process.stdout is not None, "it is a pipe"  # noqa: S101
    last = asyncio.create_task(_last_line(process.stdout), name="demo.fleet.output")
    stopped = asyncio.create_task(stop.wait(), name="demo.stop")
    try:
        await asyncio.wait({last, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not last.done():
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(_FLEET_STOP_S):
            line = await last
            status = await process.wait()
    except TimeoutError:
        raise EmbeddedError(f"the simulated fleet did not stop within {_FLEET_STOP_S:g} s") from None
    finally:
        stopped.cancel()
        last.cancel()
        if process.returncode is None:
            process.kill()
            await process.wait()
    try:
        return decode_truth(line)
    except msgspec.DecodeError as error:
        raise EmbeddedError(
            f"the simulated fleet ended with status {status} and without its account: {error}"
        ) from None


async def _last_line(stream: asyncio.StreamReader) -> bytes:
    last = b""
    async for line in stream:
        if line.strip():
            last = line
    return last


async def _account(store: Database, said: FleetTruth, config: Config, started_at: datetime) -> dict[str, Any]:
    events = await reconcile_events(Ledgers(store), said)
    return {
        "lockers": said.lockers,
        "seconds": round(said.seconds, 1),
        "events": {
            "produced": events.produced,
            "stored": events.stored,
            "lost": events.lost,
            "duplicate": events.duplicate,
            "by_snapshot": events.by_snapshot,
        },
        "telemetry": {
            "produced": said.telemetry.produced,
            "stored": await store.readings_since(list(said.truth), started_at),
        },
        "commands": {
            "sent": said.commands.sent,
            "succeeded": said.commands.succeeded,
            "pulse_p50_ms": percentile(said.commands.pulse_ms, 0.50),
            "pulse_p99_ms": percentile(said.commands.pulse_ms, 0.99),
            "opened_p50_ms": percentile(said.commands.opened_ms, 0.50),
        },
        "page": page_url(config),
    }
