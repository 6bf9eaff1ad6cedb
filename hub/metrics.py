"""Every Prometheus metric of the hub: name, labels, help. The only module that imports the client library."""

from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from hub.core.accounting import MessageAccounting

# A boundary stands on each budget: 0.2 s to "pulse sent", 1.5 s to "door seen open".
_COMMAND_BUCKETS: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 5, 10,
)  # fmt: skip
_FLUSH_BUCKETS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5, 10)
_ROWS_BUCKETS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)
_LAG_BUCKETS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
_HTTP_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
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
        self._of_intake()
        self._of_batches()
        self._of_commands()
        self._of_links()
        self._of_live()
        self._of_upkeep()
        self._of_people()
        self._of_influx()
        self._of_history()
        self._of_retention()
        self._of_notifications()
        self._of_alarms()

    def _of_intake(self) -> None:
        r = self.registry
        self.messages = Counter(
            "lockerhub_intake_messages_total", "MQTT messages received.", ["channel"], registry=r
        )
        self.quarantined = Counter(
            "lockerhub_intake_quarantined_total", "Records put into quarantine.", ["reason"], registry=r
        )
        self.intake_delay = Histogram(
            "lockerhub_intake_delay_seconds",
            "From a message's receipt to the commit of its rows, sampled once a batch (its oldest row).",
            ["channel"], buckets=_FLUSH_BUCKETS, registry=r,
        )  # fmt: skip
        self.limited = Counter(
            "lockerhub_intake_limited_total",
            "What is not taken, as its locker sends more than its share: messages by limit, or reasons of gaps.",
            ["channel", "reason"], registry=r,
        )  # fmt: skip
        self.clock_leaps = Counter(
            "lockerhub_clock_leaps_total", "Messages whose boot clock ran ahead of what is possible.", registry=r
        )
        self.quarantine_limited = Counter(
            "lockerhub_quarantine_limited_total", "Messages above their locker's share of quarantine.", registry=r
        )
        self.receipts = Counter(
            "lockerhub_receipts_sent_total",
            "Receipts sent: upto (committed), expected (send again), fork (begin a new epoch).",
            ["kind"], registry=r,
        )  # fmt: skip
        self.ledger_gaps = Counter(
            "lockerhub_ledger_gaps_total", "Batches that were asked for again from another number.", registry=r
        )
        self.ledger_forks = Counter(
            "lockerhub_ledger_forks_total", "Batches of another history than their ledger's.", registry=r
        )
        self.ledger_epochs_refused = Counter(
            "lockerhub_ledger_epochs_refused_total", "Batches of new epochs above their locker's share.", registry=r
        )
        self.ledger_lookups = Counter(
            "lockerhub_ledger_lookups_total", "Ledgers looked up, as their cursors are not in memory.", registry=r
        )
        self.ledger_events = Gauge(
            "lockerhub_ledger_events",
            "Numbers of all ledgers by what became of them: stored, missing (declared), quarantined.",
            ["state"], registry=r,
        )  # fmt: skip

    def _of_batches(self) -> None:
        r = self.registry
        self.batch_rows = Histogram(
            "lockerhub_batch_rows", "Rows in one committed batch.", ["table"], buckets=_ROWS_BUCKETS, registry=r
        )
        self.batch_seconds = Histogram(
            "lockerhub_batch_flush_seconds", "Time to write and commit one batch.", ["table"],
            buckets=_FLUSH_BUCKETS, registry=r,
        )  # fmt: skip
        self.batch_failures = Counter(
            "lockerhub_batch_failures_total", "Batches that failed at first.", ["table"], registry=r
        )
        self.batch_dropped = Counter(
            "lockerhub_batch_dropped_total", "Rows lost, as their queue was full.", ["table"], registry=r
        )
        self.batch_kept_back = Counter(
            "lockerhub_batch_kept_back_total",
            "Messages with which the database failed while it took others: events stay on their lockers, samples "
            "go into quarantine, other rows are gone.",
            ["table"], registry=r,
        )  # fmt: skip
        self.queue_rows = Gauge("lockerhub_batch_queue_rows", "Rows that wait for a commit.", ["table"], registry=r)
        self.queue_rows_max = Gauge(
            "lockerhub_batch_queue_rows_max", "The limit of rows that may wait.", ["table"], registry=r
        )
        self.queue_bytes = Gauge(
            "lockerhub_batch_queue_bytes", "Memory of what waits for a commit, estimated.", ["table"], registry=r
        )
        self.queue_bytes_max = Gauge("lockerhub_batch_queue_bytes_max", "The limit of it.", ["table"], registry=r)
        self.batch_refused = Counter(
            "lockerhub_batch_refused_total",
            "What found no room in a queue, by its limit: rows, bytes, or share (one locker's part of it).",
            ["table", "limit"], registry=r,
        )  # fmt: skip
        self.last_commit = Gauge(
            "lockerhub_batch_last_commit_timestamp_seconds", "When one was last committed.", ["table"], registry=r
        )

    def _of_commands(self) -> None:
        r = self.registry
        self.command_requests = Counter(
            "lockerhub_command_requests_total",
            "Commands asked for, by what became of the request: accepted, repeated, or a refusal's code.",
            ["kind", "result"], registry=r,
        )  # fmt: skip
        self.command_states = Counter(
            "lockerhub_command_states_total", "Commands that reached a state.", ["kind", "state"], registry=r
        )
        self.command_rejections = Counter(
            "lockerhub_command_rejections_total", "Commands that lockers refused, by why.",
            ["kind", "reason"], registry=r,
        )  # fmt: skip
        self.command_openings_limited = Counter(
            "lockerhub_command_openings_limited_total",
            "Openings refused because the fleet had as many as it may in a minute.", registry=r,
        )  # fmt: skip
        self.command_from_ledger = Counter(
            "lockerhub_command_from_ledger_total",
            "What ledgers told first of commands: settled; written (not known to this hub); outcome (of one not in "
            "memory).",
            ["what"], registry=r,
        )  # fmt: skip
        self.command_deliveries = Counter(
            "lockerhub_command_deliveries_total",
            "Durable commands (deliver) and their cancellations (cancel) that went out: sent, or unsent.",
            ["act", "result"], registry=r,
        )  # fmt: skip
        self.commands_durable = Gauge(
            "lockerhub_commands_durable", "Durable commands that have no end yet.", registry=r
        )
        self.command_outcomes = Counter(
            "lockerhub_command_outcomes_total", "What the door sensor saw of commands.",
            ["outcome"], registry=r,
        )  # fmt: skip
        self.command_stage = Histogram(
            "lockerhub_command_stage_seconds",
            "From a command's acceptance to each of its stages, by class of command.",
            ["command_class", "stage"], buckets=_COMMAND_BUCKETS, registry=r,
        )  # fmt: skip
        self.command_budget_missed = Counter(
            "lockerhub_command_budget_missed_total", "Commands that passed a stage after its budget.",
            ["command_class", "stage"], registry=r,
        )  # fmt: skip
        self.commands_in_flight = Gauge(
            "lockerhub_commands_in_flight", "Commands sent and not yet settled.", registry=r
        )

        self.jobs = Gauge("lockerhub_jobs", "Jobs that have not ended, by state.", ["state"], registry=r)
        self.job_targets = Counter(
            "lockerhub_job_targets_total", "Targets of jobs that reached a state.", ["kind", "state"], registry=r
        )

    def _of_links(self) -> None:
        r = self.registry
        self.active = Gauge("lockerhub_active", "1 while this hub holds the lease, 0 on a standby.", registry=r)
        self.mqtt_connected = Gauge("lockerhub_mqtt_connected", "1 while the link is up.", ["link"], registry=r)
        self.mqtt_connects = Counter(
            "lockerhub_mqtt_connects_total", "Connections made to the broker.", ["link"], registry=r
        )
        self.mqtt_refused = Counter(
            "lockerhub_mqtt_publish_refused_total", "What the broker did not take.", ["link", "reason"], registry=r
        )
        self.mqtt_unacknowledged = Gauge(
            "lockerhub_mqtt_unacknowledged", "Messages taken from the broker and not acknowledged yet.",
            ["link"], registry=r,
        )  # fmt: skip
        self.lockers = Gauge(
            "lockerhub_lockers", "Lockers by state: online, offline, never_seen.", ["state"], registry=r
        )
        for state in ("online", "offline", "never_seen"):
            self.lockers.labels(state)
        self.doors = Gauge("lockerhub_doors", "Doors by state: open, closed, unknown.", ["state"], registry=r)

    def _of_live(self) -> None:
        r = self.registry
        self.live_viewers = Gauge("lockerhub_live_viewers", "Websocket viewers connected.", registry=r)
        self.live_frames = Counter("lockerhub_live_frames_total", "Frames handed to viewers.", ["type"], registry=r)
        self.live_resyncs = Counter(
            "lockerhub_live_resyncs_total", "Times a viewer fell behind and got a new snapshot.", registry=r
        )
        self.live_closed = Counter("lockerhub_live_closed_total", "Viewers the hub let go.", ["reason"], registry=r)
        self.live_bytes = Counter(
            "lockerhub_live_bytes_total", "Bytes of frames written to viewers' connections.", registry=r
        )
        self.live_behind = Gauge("lockerhub_live_behind", "Viewers that have to start a view again.", registry=r)
        self.live_messages = Counter(
            "lockerhub_live_messages_total",
            "What viewers said, by what became of it: taken, refused (answered with an error), held (too much at "
            "once, so it had to wait).",
            ["result"], registry=r,
        )  # fmt: skip
        self.live_tail_lockers = Gauge(
            "lockerhub_live_tail_lockers", "Lockers whose messages somebody watches.", registry=r
        )
        self.live_tail_messages = Counter(
            "lockerhub_live_tail_messages_total", "Messages of watched lockers: shown, skipped (too many at once).",
            ["result"], registry=r,
        )  # fmt: skip

    def _of_upkeep(self) -> None:
        r = self.registry
        self.upkeep_period = Gauge(
            "lockerhub_upkeep_period_seconds", "How often a task of the upkeep is to be done.", ["task"], registry=r
        )
        self.upkeep_last_success = Gauge(
            "lockerhub_upkeep_last_success_timestamp_seconds",
            "When a task of the upkeep last succeeded, on any hub; before that, when it was first known.",
            ["task"], registry=r,
        )  # fmt: skip
        self.upkeep_runs = Counter(
            "lockerhub_upkeep_runs_total", "Runs of this hub by result: succeeded, failed.",
            ["task", "result"], registry=r,
        )  # fmt: skip
        self.upkeep_seconds = Gauge(
            "lockerhub_upkeep_seconds", "How long this hub's newest run took.", ["task"], registry=r
        )

    def _of_people(self) -> None:
        self.rights_requests = Gauge(
            "lockerhub_rights_requests",
            "Requests of people without an answer: open (all of them), due_soon (within a week), overdue.",
            ["state"], registry=self.registry,
        )  # fmt: skip
        self.erasures = Gauge(
            "lockerhub_erasures",
            "Erasures of people that are not over: unfinished (tried again), held (kept in part by holds).",
            ["state"], registry=self.registry,
        )  # fmt: skip

    def _of_influx(self) -> None:
        self.influx_lines = Counter(
            "lockerhub_influx_lines_total",
            "Lines for InfluxDB by result: sent, rejected (the server will never take them), expired (older than "
            "the bucket keeps), empty (rows without a value).",
            ["stream", "result"], registry=self.registry,
        )  # fmt: skip
        self.influx_lag = Gauge(
            "lockerhub_influx_lag_seconds", "How far InfluxDB is behind the tables, on the hub that feeds it.",
            ["stream"], registry=self.registry,
        )  # fmt: skip
        self.influx_last_success = Gauge(
            "lockerhub_influx_last_success_timestamp_seconds", "When InfluxDB last took something.",
            ["stream"], registry=self.registry,
        )  # fmt: skip
        self.influx_retries = Counter(
            "lockerhub_influx_retries_total",
            "Requests to InfluxDB that have to be made again: later (it is away, slow or busy), refused (token, "
            "bucket or address are wrong).",
            ["reason"], registry=self.registry,
        )  # fmt: skip

    def _of_history(self) -> None:
        self.statistics_due = Gauge(
            "lockerhub_statistics_due_hours", "Hours whose doors wait to be counted again.", registry=self.registry
        )
        self.exports_running = Gauge(
            "lockerhub_exports_running", "Exports that are being written.", registry=self.registry
        )
        self.exports = Counter(
            "lockerhub_exports_total",
            "Exports by how they ended: done, cut (at rows_max), failed (the database), gone (the client).",
            ["what", "end"], registry=self.registry,
        )  # fmt: skip
        self.export_rows = Counter(
            "lockerhub_export_rows_total", "Rows written to exports.", ["what"], registry=self.registry
        )

    def _of_retention(self) -> None:
        r = self.registry
        self.retention_runs = Counter(
            "lockerhub_retention_runs_total", "Runs of retention on this hub by result: complete, failed.",
            ["result"], registry=r,
        )  # fmt: skip
        self.retention_last_success = Gauge(
            "lockerhub_retention_last_success_timestamp_seconds",
            "When a run of retention last went through, on any hub.", registry=r,
        )  # fmt: skip
        self.retention_removed = Counter(
            "lockerhub_retention_removed_rows_total",
            "Rows that went on this hub, by how: chunk (with all of their chunk), rows, emptied.",
            ["category", "by"], registry=r,
        )  # fmt: skip
        self.retention_chunks = Counter(
            "lockerhub_retention_dropped_chunks_total", "Chunks dropped whole.", ["category"], registry=r
        )
        self.retention_oldest = Gauge(
            "lockerhub_retention_oldest_timestamp_seconds",
            "The time of the oldest row that no hold keeps, by category; now where there is none.",
            ["category"], registry=r,
        )  # fmt: skip
        self.retention_cut_off = Gauge(
            "lockerhub_retention_cut_off_timestamp_seconds",
            "Rows from before this time have lived as long as the policy lets them.", ["category"], registry=r,
        )  # fmt: skip
        self.legal_holds = Gauge("lockerhub_legal_holds", "Legal holds that are active.", registry=r)

    def _of_notifications(self) -> None:
        r = self.registry
        self.notifications = Counter(
            "lockerhub_notifications_total",
            "Notifications by what became of them: sent, failed, dropped (the queue was full), deduplicated (the "
            "same had just been told), digested (told as a part of a digest).",
            ["channel", "result"], registry=r,
        )  # fmt: skip
        self.notify_retries = Counter(
            "lockerhub_notify_retries_total", "Tries that have to be made again.", ["channel"], registry=r
        )
        self.notify_queue = Gauge("lockerhub_notify_queue", "Messages that wait.", ["channel"], registry=r)
        self.notify_failing = Gauge(
            "lockerhub_notify_failing", "1 from a try that failed to the next message that is taken.",
            ["channel"], registry=r,
        )  # fmt: skip
        self.notify_holds = Gauge(
            "lockerhub_notify_holds", "1 where this hub, of all at the database, is the one that sends.",
            ["channel"], registry=r,
        )  # fmt: skip
        self.notify_last_success = Gauge(
            "lockerhub_notify_last_success_timestamp_seconds", "When a receiver last took a message.",
            ["channel"], registry=r,
        )  # fmt: skip

    def _of_alarms(self) -> None:
        r = self.registry
        self.alarms = Gauge(
            "lockerhub_alarms_open", "Alarms that people are to see, by severity and state.",
            ["severity", "state"], registry=r,
        )  # fmt: skip
        self.alarms_suppressed = Gauge(
            "lockerhub_alarms_suppressed",
            "Open alarms that are not announced: shelved, maintenance, out_of_service, folded.",
            ["reason"], registry=r,
        )  # fmt: skip
        self.alarms_raised = Counter(
            "lockerhub_alarms_raised_total", "Alarms raised that people are to see.", ["type"], registry=r
        )
        self.alarm_rate = Gauge("lockerhub_alarm_rate_10min", "Alarms raised in the last ten minutes.", registry=r)
        self.alarm_flood = Gauge(
            "lockerhub_alarm_flood", "1 from more than ten alarms in ten minutes until there are fewer than five.",
            registry=r,
        )  # fmt: skip
        self.alarms_unwritten = Gauge(
            "lockerhub_alarms_unwritten", "Alarms whose newest state waits for the database.", registry=r
        )
        self.alarms_dropped = Counter(
            "lockerhub_alarms_dropped_total",
            "What was given up at a limit: alarm (too many open), locker_alarm (too many of one locker), condition "
            "(too many followed), record (the database was away for too long, or refused it), listener (one that "
            "failed), door (an event of one that is not in the registry, which counts for its locker), board (too "
            "many names of boards).",
            ["what"], registry=r,
        )  # fmt: skip

    def count_accounts(self, accounts: MessageAccounting, in_flight: Callable[[], tuple[int, int]]) -> None:
        """Export the books: all figures of one scrape are of one moment, so that they balance.

        Args:
            accounts: the tallies that intake and batches keep.
            in_flight: returns (events, samples) that were received and are neither committed nor settled.
        """
        self.registry.register(_AccountsCollector(accounts, in_flight))

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


class _AccountsCollector(Collector):
    def __init__(self, accounts: MessageAccounting, in_flight: Callable[[], tuple[int, int]]) -> None:
        self._accounts = accounts
        self._in_flight = in_flight

    def collect(self) -> Iterable[Metric]:
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
