"""The books of records, of one moment in each scrape."""

from collections.abc import Callable, Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from hub.core.accounting import MessageAccounting


class AccountsCollector(Collector):
    """Reads tallies and what is in flight together, so that received = settled + in flight."""

    def __init__(self, accounts: MessageAccounting, in_flight: Callable[[], tuple[int, int]]) -> None:
        self._accounts = accounts
        self._in_flight = in_flight

    def collect(self) -> Iterable[Metric]:
        """Return the tallies, settled and received, and what is in flight."""
        received = CounterMetricFamily(
            "lockerhub_intake_records_received", "Records received (events, samples).", labels=["record"]
        )
        settled = CounterMetricFamily(
            "lockerhub_intake_records_settled",
            "Records by what became of them. received = the sum of settled + in flight.",
            labels=["record", "outcome"],
        )
        waiting = GaugeMetricFamily(
            "lockerhub_intake_records_in_flight", "Records received and not yet settled.", labels=["record"]
        )
        events_waiting, samples_waiting = self._in_flight()
        books = (
            ("event", self._accounts.events, events_waiting),
            ("sample", self._accounts.samples, samples_waiting),
        )
        for record, tally, count in books:
            received.add_metric([record], tally.received)
            waiting.add_metric([record], count)
            for outcome, total in tally.settled.items():
                settled.add_metric([record, outcome.value], total)
        return received, settled, waiting
