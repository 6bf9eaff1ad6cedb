"""All metrics of one hub, in one registry."""

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, Info
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from hub.core.accounting import MessageAccounting
from hub.metrics.accounts import AccountsCollector
from hub.metrics.alarms import AlarmMetrics
from hub.metrics.batches import BatchMetrics
from hub.metrics.commands import CommandMetrics
from hub.metrics.fleet import FleetMetrics
from hub.metrics.influx import InfluxMetrics
from hub.metrics.intake import IntakeMetrics
from hub.metrics.live import LiveMetrics
from hub.metrics.notifications import NotificationMetrics
from hub.metrics.upkeep import UpkeepMetrics

_LAG_BUCKETS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
_HTTP_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics(
    IntakeMetrics,
    BatchMetrics,
    CommandMetrics,
    FleetMetrics,
    LiveMetrics,
    UpkeepMetrics,
    InfluxMetrics,
    NotificationMetrics,
    AlarmMetrics,
):
    """The metrics of one hub, in a registry of its own, so that two hubs in one process do not mix."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        ProcessCollector(registry=r)
        PlatformCollector(registry=r)
        Info("lockerhub_build", "The version that runs.", registry=r).info({"version": version})

        self.http_seconds = Histogram(
            "lockerhub_http_request_seconds", "HTTP requests by route, method and status.",
            ["route", "method", "status"], buckets=_HTTP_BUCKETS, registry=r,
        )  # fmt: skip
        self.loop_lag = Histogram(
            "lockerhub_event_loop_lag_seconds", "How late the event loop wakes a sleeper.",
            buckets=_LAG_BUCKETS, registry=r,
        )  # fmt: skip
        self.task_restarts = Counter(
            "lockerhub_task_restarts_total", "Times a task of the hub failed and was started again.",
            ["task"], registry=r,
        )  # fmt: skip
        self._of_intake(r)
        self._of_batches(r)
        self._of_commands(r)
        self._of_links(r)
        self._of_live(r)
        self._of_upkeep(r)
        self._of_people(r)
        self._of_influx(r)
        self._of_history(r)
        self._of_retention(r)
        self._of_notifications(r)
        self._of_alarms(r)

    def count_accounts(self, accounts: MessageAccounting, in_flight: Callable[[], tuple[int, int]]) -> None:
        """Export the books: all figures of one scrape are of one moment, so that they balance.

        Args:
            accounts: the tallies that intake and batches keep.
            in_flight: returns (events, samples) that were received and are neither committed nor settled.
        """
        self.registry.register(AccountsCollector(accounts, in_flight))

    def samples(self, metric: Collector) -> dict[tuple[str, ...], float]:
        """Return the values of a counter or gauge by the values of its labels."""
        return {
            tuple(sample.labels.values()): sample.value
            for family in metric.collect()
            for sample in family.samples
            if not sample.name.endswith("_created")
        }

    def render(self) -> tuple[bytes, str]:
        """Return the exposition and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST
