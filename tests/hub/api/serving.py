"""The HTTP application of a hub whose database and broker are away, served on a free port."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import aiohttp
from aiohttp.test_utils import TestServer

from hub.alarms.engine import AlarmEngine
from hub.api.alarms import alarm_routes
from hub.api.auth import Auth
from hub.api.commands import CommandRoutes
from hub.api.exports import past_routes
from hub.api.health import health_routes
from hub.api.jobs import JobRoutes
from hub.api.ledger import LedgerRoutes
from hub.api.lockers import LockerRoutes
from hub.api.notifications import NotificationRoutes
from hub.api.openapi import document
from hub.api.page import PageRoutes, folder
from hub.api.people import people_routes
from hub.api.registry import RegistryRoutes
from hub.api.retention import retention_routes
from hub.api.routes import Route
from hub.api.server import application
from hub.api.service import ServiceRoutes
from hub.api.socket import LiveSocket
from hub.commands.service import CommandService
from hub.config.notify import NotifySettings
from hub.config.settings import Config, ExportSettings, HttpSettings, LiveSettings, RetentionSettings
from hub.core.accounting import MessageAccounting
from hub.core.clocks import Clocks
from hub.core.fleet import DoorSpec, Fleet, LockerSpec
from hub.health.monitor import HealthMonitor, HealthParts
from hub.ingest.registry_sync import RegistrySync, grid
from hub.jobs.runner import JobRunner
from hub.keys import make_key
from hub.live import Broadcaster
from hub.live.queries import LiveQueries
from hub.metrics import Metrics
from hub.mqtt.quarantine import Quarantine, QuarantineSink
from hub.mqtt.tap import MessageTap
from hub.notify.notifier import Notifier
from hub.people.service import PeopleService
from hub.retention.build import build_service
from hub.store.batcher import Batcher
from hub.store.database import Database
from hub.store.ledgers import Ledgers
from hub.store.rows import Quarantined
from hub.tasks import Supervisor

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"
DOORS: tuple[DoorSpec, ...] = grid(3)


@dataclass
class Served:
    """The application, its parts that tests reach into, and a client."""

    fleet: Fleet
    live: Broadcaster
    tail: MessageTap
    health: HealthMonitor
    socket: LiveSocket
    metrics: Metrics
    http: aiohttp.ClientSession
    host: str
    port: int
    routes: list[Route]

    async def raw(self, request: bytes) -> bytes:
        """Send bytes as they are and return all that comes back until the server closes."""
        reader, writer = await asyncio.open_connection(self.host, self.port)
        writer.write(request)
        await writer.drain()
        try:
            async with asyncio.timeout(10):
                return await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()


@asynccontextmanager
async def served(
    tmp_path: Path,
    *,
    http: HttpSettings = HttpSettings(),  # noqa: B008 - frozen
    live: LiveSettings = LiveSettings(),  # noqa: B008 - frozen
    lockers: Iterable[LockerSpec] = (),
    exports: ExportSettings = ExportSettings(),  # noqa: B008 - frozen
    notify: NotifySettings = NotifySettings(),  # noqa: B008 - frozen
    dsn: str = NOWHERE,
    patience_s: int = 1,
) -> AsyncIterator[Served]:
    """Put the application together as the hub does, without anything behind it but a database, if there is one.

    `patience_s`: how long its requests wait for that.
    """
    metrics = Metrics("0.0.0")
    kept = RetentionSettings(directory=str(tmp_path / "retention"), key_file=str(tmp_path / "retention_key.pem"))
    config = Config(http=http, live=live, exports=exports, retention=kept, notify=notify)
    fleet = Fleet(silent_after_ms=1e9)
    fleet.load(lockers)
    viewers = Broadcaster(live, config.commands, fleet, metrics)
    tail = MessageTap(metrics)
    store = Database(dsn, connections_max=4, statement_timeout_ms=1000 * patience_s, connect_timeout_s=patience_s)
    limits = {"queue_rows_max": 10, "flush_rows_max": 10, "flush_age_ms_max": 10}
    quarantined: Batcher[Quarantined] = Batcher("quarantine", QuarantineSink(store, metrics), metrics, **limits)
    command_service = CommandService(
        config, make_key(tmp_path / "key.pem"), store, fleet, Clocks(), viewers,
        Quarantine(quarantined, metrics, payload_bytes_max=100, per_topic_per_minute=100), tail, metrics,
    )  # fmt: skip
    LiveQueries(viewers, tail, config, store)
    health = HealthMonitor(
        HealthParts(
            "0.0.0", "hub", {"database": store.ping}, viewers, MessageAccounting(), lambda: (0, 0), store, metrics
        )
    )
    viewers.offer(health.kind())
    auth = Auth(http)
    socket = LiveSocket(viewers, auth, live, "0.0.0", "hub", metrics)
    jobs = JobRunner(
        config.jobs, uuid4(), store, fleet, command_service.instant, command_service.durable, metrics, lambda: False
    )
    looked_up = LockerRoutes(fleet, store, command_service.store, viewers, config.commands)
    page = PageRoutes(folder())
    routes = [
        *auth.routes(),
        *looked_up.routes(),
        *RegistryRoutes(fleet, store, RegistrySync(store, fleet, 60.0), looked_up, http).routes(),
        *CommandRoutes(command_service, config.commands, 1.0).routes(),
        *JobRoutes(config.jobs, auth.operators, fleet, store, jobs, metrics).routes(),
        *alarm_routes(AlarmEngine(config.alarms, uuid4(), store, fleet, metrics), fleet),
        *LedgerRoutes(fleet, Ledgers(store)).routes(),
        *past_routes(fleet, store, config, metrics),
        *people_routes(PeopleService(config, store, metrics), config.people, store),
        *NotificationRoutes(Notifier(config, store, metrics)).routes(),
        *retention_routes(build_service(config, store, "hub", metrics), store),
        *socket.routes(),
        *health_routes(health),
        *page.routes(),
    ]
    routes += ServiceRoutes(metrics, {"database": store.ping}, lambda: document(routes, "0.0.0"), "0.0.0").routes()
    async with (
        Supervisor(metrics).running({**viewers.tasks(), "live.pings": socket.run}, endless=True),
        store,
        TestServer(application(routes, auth, metrics, http, page.lost()), host="127.0.0.1") as server,
        aiohttp.ClientSession(str(server.make_url(""))) as client,
    ):
        assert server.port is not None
        yield Served(fleet, viewers, tail, health, socket, metrics, client, server.host, server.port, routes)


def locker(name: str, site: str = "Testville", doors: tuple[DoorSpec, ...] = DOORS) -> LockerSpec:
    return LockerSpec(name, "default", name.title(), site, doors)
