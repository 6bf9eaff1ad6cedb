"""The composition root: builds the hub, opens it, runs it, stops it. Nothing else knows everything.

What is opened last is closed first: taking stops before writing, and writing before the database is closed.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from socket import socket
from uuid import UUID, uuid4

from aiohttp import web

from hub.alarms.engine import AlarmEngine
from hub.api.alarms import alarm_routes
from hub.api.auth import Auth
from hub.api.barred import refusing_barred
from hub.api.commands import CommandRoutes
from hub.api.exports import past_routes
from hub.api.health import health_routes
from hub.api.jobs import JobRoutes
from hub.api.ledger import LedgerRoutes
from hub.api.lockers import LockerRoutes
from hub.api.notifications import NotificationRoutes, channel_views
from hub.api.openapi import document
from hub.api.page import PageRoutes, folder
from hub.api.people import people_routes
from hub.api.registry import RegistryRoutes
from hub.api.retention import retention_routes
from hub.api.server import application, listening, start, stop_accepting
from hub.api.service import ServiceRoutes
from hub.api.socket import LiveSocket
from hub.api.standby import standby_routes
from hub.commands.instant import InstantCommands
from hub.commands.service import CommandService
from hub.config.fairness import epoch_shares, message_shares, record_shares
from hub.config.settings import Config
from hub.core.accounting import MessageAccounting
from hub.core.clocks import Clocks
from hub.core.fleet import Fleet
from hub.core.ledger import Ledger
from hub.core.samples import RecentSamples
from hub.errors import StepDown
from hub.health.monitor import HealthMonitor, HealthParts
from hub.influx.sink import influx_tasks
from hub.ingest.clock_leaps import ClockLeapReporter
from hub.ingest.epochs import EpochAdmission
from hub.ingest.event_writer import EventWriter
from hub.ingest.events import EventIngest, EventIngestParts
from hub.ingest.forks import ForkRecorder
from hub.ingest.ledger_metrics import watch_ledgers
from hub.ingest.reachability import ReachabilitySweep, fleet_heard
from hub.ingest.receipts import ReceiptPublisher
from hub.ingest.registry_sync import RegistrySync
from hub.ingest.telemetry import TelemetryIngest, TelemetryIngestParts, TelemetryWriter
from hub.jobs.runner import JobRunner
from hub.keys import CommandKey, load_key
from hub.lifecycle.drain import Queue, drained
from hub.lifecycle.handover import Handover, Predecessor
from hub.lifecycle.lease import HubLease
from hub.live import Broadcaster
from hub.live.queries import LiveQueries
from hub.metrics import Metrics
from hub.mqtt.connection import MqttConnection
from hub.mqtt.connections import MessageReceivers, MqttConnections
from hub.mqtt.quarantine import Quarantine, QuarantineSink
from hub.mqtt.retained_cleanup import RetainedCleanup
from hub.mqtt.tap import MessageTap
from hub.notify.notifier import Notifier
from hub.people.service import PeopleService
from hub.retention.build import build_service
from hub.scheduler.scheduler import Scheduler
from hub.scheduler.series import series_tasks
from hub.scheduler.statistics import statistics_tasks
from hub.store.database import Database
from hub.store.ledgers import Ledgers
from hub.store.queues import table_queue
from hub.tasks import Make, Supervisor
from wire import __version__

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Hub:
    """A running hub, for those who start one."""

    accounts: MessageAccounting
    fleet: Fleet
    store: Database
    instant: InstantCommands
    jobs: JobRunner
    metrics: Metrics
    links: tuple[MqttConnection, ...]
    alarms: AlarmEngine


async def run(
    config: Config, stop: asyncio.Event, predecessor: Predecessor | None = None, given: Sequence[socket] = ()
) -> None:
    """Run a hub until `stop` is set, then drain it. Raises ConfigError, StoreError for what cannot start.

    `predecessor` is a hub whose place this one takes; `given` are sockets that listen already.

    While another hub has the lease this one is a standby; after that hub took over it becomes one again.
    """
    while not stop.is_set():
        try:
            async with running(config, stop, predecessor, given):
                await stop.wait()
                _log.info("Stopping: no more is taken, what was taken is written")
        except StepDown as error:
            _log.error("This hub has stepped down, and waits as a standby", extra={"error": str(error)})
        except _StoppedOnStandbyError:
            return
        predecessor = None


@asynccontextmanager
async def running(
    config: Config,
    stop: asyncio.Event | None = None,
    predecessor: Predecessor | None = None,
    given: Sequence[socket] = (),
) -> AsyncIterator[Hub]:
    """Run a hub for as long as the block runs, and drain it afterwards.

    The block begins once the hub has the lease, and ends with StepDown when another hub took it over. `stop` ends
    the waiting for the lease. See `run` for the others.
    """
    stop = stop or asyncio.Event()
    build = _Build(config, load_key(Path(config.commands.key_file)))
    async with AsyncExitStack() as stack:
        if predecessor is not None:
            stack.callback(predecessor.close)
            given = predecessor.listeners
        listeners = stack.enter_context(listening(config.http, given))
        store = await stack.enter_async_context(build.store)
        lease = build.lease
        stack.push_async_callback(lease.close)
        serving = build.application()
        async with AsyncExitStack() as standby:
            if predecessor is None:
                refusing = await start(build.standby_application(), listeners)
                standby.push_async_callback(refusing.cleanup)
            else:
                await build.warm_up()
                predecessor.relieve()
            if not await lease.acquire(stop):
                raise _StoppedOnStandbyError
            # From here on whoever comes waits until the hub serves, some tenths of a second.
        # What is written is written before another hub takes over.
        stack.push_async_callback(lease.release)
        build.links.know_broker(lease.broker)
        await build.load()
        supervisor = build.supervisor
        writers = await stack.enter_async_context(supervisor.running(build.writers(), endless=False))
        await stack.enter_async_context(supervisor.running(build.sources(), endless=True))
        stack.push_async_callback(build.notifier.release)
        # Receipts go out while the queues drain, so the links outlive the queues.
        stack.push_async_callback(drained, writers, build.queues(), config.service.drain_s)
        # A hub that drains serves nobody: whoever comes is refused, and does not wait in the kernel's queue.
        for listener in listeners:
            stack.callback(listener.close)
        if predecessor is not None:
            # Whoever connects now waits a little longer, and is not told that a locker is offline.
            await fleet_heard(build.links, build.fleet)
        runner = await start(serving, listeners)
        stack.push_async_callback(runner.cleanup)
        stack.push_async_callback(build.socket.close)
        # Callers who wait for their command's end are still answered, and new ones told to come again.
        stack.push_async_callback(build.settle)
        handover = Handover(config.service.handover_socket, listeners, stop.set)
        stack.push_async_callback(build.retire, handover, runner)
        stack.enter_context(handover)
        await stack.enter_async_context(supervisor.running({"handover": handover.run}, endless=True))
        _log.info("The hub is up", extra={"page": page_url(config), "hub": build.id, "version": __version__})
        yield Hub(
            build.accounts, build.fleet, store, build.instant, build.jobs, build.metrics, build.links.all,
            build.alarms,
        )  # fmt: skip


def page_url(config: Config) -> str:
    """Return where the page is."""
    return f"http://{config.http.host}:{config.http.port}"


class _StoppedOnStandbyError(Exception):
    """The hub was stopped while it waited for the lease."""


class _Build:
    """Every part of a hub, put together."""

    def __init__(self, config: Config, key: CommandKey) -> None:
        self.config = config
        self.id = str(uuid4())
        self.metrics = metrics = Metrics(__version__)
        self.retiring = False
        self.accounts = MessageAccounting()
        self.clocks = Clocks(ClockLeapReporter(metrics).found)
        self.fleet = Fleet(silent_after_ms=config.intake.silent_after_s * 1000)
        self.ledger = Ledger(config.intake.cursors_max, begins_new=False)
        self.store = Database(
            config.dsn(),
            connections_max=config.database.connections_max,
            statement_timeout_ms=config.database.statement_timeout_ms,
            connect_timeout_s=config.database.connect_timeout_s,
        )
        intake = config.intake
        self.quarantined = table_queue(
            "quarantine", QuarantineSink(self.store, metrics), metrics, intake,
            rows_max=intake.quarantine_queue_rows_max, bytes_max=intake.quarantine_queue_bytes_max,
        )  # fmt: skip
        self.quarantine = Quarantine(
            self.quarantined, metrics,
            payload_bytes_max=intake.quarantine_payload_bytes_max,
            per_topic_per_minute=intake.quarantine_per_locker_per_minute,
        )  # fmt: skip
        self.tap = MessageTap(metrics)
        self.receipts, self.cleanup = (
            ReceiptPublisher(metrics, self.tap),
            RetainedCleanup(lambda: self.links.ingest),
        )
        self.alarms = AlarmEngine(
            config.alarms, UUID(self.id), self.store, self.fleet, metrics,
            listening=lambda: self.links.ingest.connected,
        )  # fmt: skip
        self.forks = ForkRecorder(self.quarantine, self.receipts, metrics, self.alarms.fork)
        self.ledgers = Ledgers(self.store)
        self.epochs = EpochAdmission(
            epoch_shares(intake), self.ledger, self.ledgers, self.quarantine, self.receipts, self.alarms, metrics
        )
        self.registry = RegistrySync(self.store, self.fleet, config.service.registry_poll_s)
        self.events = table_queue(
            "event", EventWriter(
                self.ledgers, self.ledger, self.accounts, self.receipts, self.quarantine, self.forks, metrics
            ), metrics, intake, rows_max=intake.event_queue_rows_max, bytes_max=intake.event_queue_bytes_max,
            backlog_rows_max=intake.backlog_queue_rows_max,
        )  # fmt: skip
        self.readings = table_queue(
            "reading", TelemetryWriter(self.store, self.accounts.samples, self.quarantine, metrics), metrics,
            intake, rows_max=intake.reading_queue_rows_max, bytes_max=intake.reading_queue_bytes_max,
        )  # fmt: skip
        self.live = Broadcaster(config.live, config.commands, self.fleet, metrics)
        self.live_queries = LiveQueries(self.live, self.tap, config, self.store)
        self.live.show_alarms(self.alarms)
        self.command_service = CommandService(
            config, key, self.store, self.fleet, self.clocks, self.live, self.quarantine, self.tap, metrics
        )
        self.instant = self.command_service.instant
        self.intake = EventIngest(
            EventIngestParts(
                accounts=self.accounts, fleet=self.fleet, clocks=self.clocks, ledger=self.ledger,
                epochs=self.epochs, events=self.events, shares=record_shares(intake), quarantine=self.quarantine,
                presence_shares=message_shares(intake, intake.presences_per_s_max), forks=self.forks,
                receipts=self.receipts, instant=self.instant, live=self.live, tap=self.tap, alarms=self.alarms,
                cleanup=self.cleanup, metrics=metrics, backlog_age_ms=intake.backlog_age_s * 1000,
                gaps_per_minute_max=intake.gaps_per_minute_max,
            )
        )  # fmt: skip
        self.telemetry = TelemetryIngest(
            TelemetryIngestParts(
                tally=self.accounts.samples, fleet=self.fleet, clocks=self.clocks, readings=self.readings,
                quarantine=self.quarantine, shares=record_shares(intake), seen=RecentSamples(intake.cursors_max),
                alarms=self.alarms, tap=self.tap, silent_after_ms=intake.silent_after_s * 1000, metrics=metrics,
            )
        )  # fmt: skip
        self.lease = HubLease(config, UUID(self.id), metrics)
        self.links = MqttConnections(
            config, metrics, UUID(self.id),
            MessageReceivers(self.intake.receive, self.telemetry.deliver, self.instant.receive), self.lease,
            lambda: len(self.fleet.lockers),
        )  # fmt: skip
        self.receipts.use(self.links.ingest)
        self.registry.tell(self._registry_changed)
        self.command_service.use(self.links.command)
        self.jobs = JobRunner(
            config.jobs, UUID(self.id), self.store, self.fleet, self.instant, self.command_service.durable, metrics,
            connected=lambda: self.links.connected,
        )  # fmt: skip
        self.alarms.jobs(self.jobs.has_asked)
        self.retention = build_service(config, self.store, self.id, metrics)
        self.people = PeopleService(config, self.store, metrics)
        periodic_tasks = [
            self.retention.task(),
            *series_tasks(self.store),
            *statistics_tasks(self.store, metrics),
            *self.people.periodic_tasks(),
        ]
        self.notifier = Notifier(config, self.store, metrics, UUID(self.id), self.alarms.watch.book.alarms)
        periodic_tasks += self.notifier.periodic_tasks()
        self.alarms.listen(self.notifier.hear)
        self.alarms.listen(lambda _: self.live.wake())
        self.upkeep = Scheduler(self.store, metrics, periodic_tasks)
        self.auth = Auth(config.http)
        self.socket = LiveSocket(self.live, self.auth, config.live, __version__, self.id, metrics)
        metrics.count_accounts(self.accounts, self._in_flight)
        self.supervisor = Supervisor(metrics)
        self.checks = {
            "database": self.store.ping, "broker": self.links.check, "tasks": self.supervisor.check,
        }  # fmt: skip
        self.health = HealthMonitor(
            HealthParts(
                __version__, self.id, self.checks, self.live, self.accounts, self._in_flight, self.store, metrics,
                lambda: channel_views(self.notifier),
            )
        )  # fmt: skip
        self.live.offer(self.health.kind())

    async def load(self) -> None:
        """Take over what the database knows."""
        stands = await self.ledgers.stands(self.config.intake.cursors_max + 1)
        await self.epochs.load()
        self.ledger.load(stands)
        self.alarms.expect(key[0] for key, _ in stands)
        await self.registry.refresh()
        # What waits to be told since the last hub goes before what this one finds now.
        await self.notifier.load()
        await self.alarms.load()
        await self.command_service.load()
        await self.live_queries.load()

    def application(self) -> web.Application:
        """Return the HTTP application."""
        config = self.config
        auth = self.auth
        lockers = LockerRoutes(self.fleet, self.store, self.command_service.store, self.live, config.commands)
        page = PageRoutes(folder())
        routes = [
            *auth.routes(),
            *lockers.routes(),
            *RegistryRoutes(self.fleet, self.store, self.registry, lockers, config.http).routes(),
            *refusing_barred(
                CommandRoutes(self.command_service, config.commands, config.http.wait_s_max).routes(),
                self.people.watch.is_barred,
            ),
            *people_routes(self.people, config.people, self.store),
            *LedgerRoutes(self.fleet, self.ledgers).routes(),
            *past_routes(self.fleet, self.store, config, self.metrics),
            *JobRoutes(config.jobs, auth.operators, self.fleet, self.store, self.jobs, self.metrics).routes(),
            *retention_routes(self.retention, self.store),
            *NotificationRoutes(self.notifier).routes(),
            *alarm_routes(self.alarms, self.fleet),
            *self.socket.routes(),
            *health_routes(self.health),
            *page.routes(),
        ]
        service = ServiceRoutes(
            self.metrics, self.checks, lambda: document(routes, __version__), __version__, lambda: self.retiring
        )
        routes += service.routes()
        return application(routes, auth, self.metrics, config.http, page.lost())

    def standby_application(self) -> web.Application:
        """Return the HTTP application of a hub that waits for the lease."""
        metrics = Metrics(__version__)
        metrics.active.set(0)
        checks = {"database": self.store.ping, "lease": self.lease.check_standby}
        service = ServiceRoutes(metrics, checks, lambda: document([], __version__), __version__)
        routes = [*service.routes(), *standby_routes(self.lease.check_standby)]
        return application(routes, self.auth, metrics, self.config.http)

    def queues(self) -> list[Queue]:
        """Return all that waits to be written."""
        return [
            self.events, self.readings, self.command_service.rows, self.quarantined, self.alarms.records,
            self.notifier.rows,
        ]  # fmt: skip

    def writers(self) -> dict[str, Make]:
        """Return the tasks that write; they end when their queue is closed and empty."""
        return {
            "write.event": self.events.run,
            "write.reading": self.readings.run,
            "write.command": self.command_service.rows.run,
            "write.quarantine": self.quarantined.run,
            "write.notification": self.notifier.rows.run,
            "write.alarm": self.alarms.records.run,
        }

    def sources(self) -> dict[str, Make]:
        """Return the tasks that take things in and go round; they end when they are cancelled."""
        sweep = ReachabilitySweep(self.intake, self.telemetry, self.links, self.fleet, self.live, self.metrics)
        return {
            "lease": self.lease.keep,
            **self.links.tasks(),
            **self.command_service.tasks(),
            **self.alarms.tasks(),
            "jobs": self.jobs.run,
            **self.live.tasks(),
            "live.pings": self.socket.run,
            "fleet.sweep": sweep.run,
            "registry.follow": self.registry.run,
            "loop.lag": self.health.probe,
            **self.upkeep.tasks(),
            "retention": self.retention.run,
            **influx_tasks(self.config, self.store, self.metrics),
            **self.people.tasks(),
            **self.notifier.tasks(),
            "ledger.lookup": self.epochs.run,
            "ledger.watch": partial(watch_ledgers, self.ledgers, self.metrics, self.config.service.ledger_watch_s),
        }

    async def warm_up(self) -> None:
        """Do what makes the start quick, while another hub is still active."""
        await self.store.ping()
        await self.registry.refresh()

    async def retire(self, handover: Handover, runner: web.AppRunner) -> None:
        """Say that this hub is about to stop, and serve on until that has been seen.

        Where the next hub has the same sockets, whoever connects from now on waits for that one.
        """
        self.retiring = True
        if handover.under_way:
            await stop_accepting(runner)
        elif not self.lease.lost:
            await asyncio.sleep(self.config.service.lame_duck_s)

    async def settle(self) -> None:
        """Let commands in flight end, for a while; say goodbye; take no more.

        Where another hub took over, nothing comes any more, and there is nothing to say to anybody.
        """
        self.jobs.rest()
        if self.lease.lost:
            self.links.leave()
            await asyncio.gather(self.command_service.settle(patient=False), self.notifier.rest())
            return
        await asyncio.gather(self.command_service.settle(), self.notifier.rest())
        self.links.publish_offline()

    def _in_flight(self) -> tuple[int, int]:
        return self.events.in_flight, self.readings.in_flight

    def _registry_changed(self, has_new: bool) -> None:  # noqa: FBT001 - the only thing there is to tell
        self.alarms.follow_registry()
        self.live.wake()
        self.cleanup.follow(self.fleet.removed)
        self.command_service.durable.look_soon()
        if has_new:
            # What a new locker said before it was known went into quarantine: let all say it again.
            self.links.request_presence()
