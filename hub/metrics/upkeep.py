"""Metrics of periodic tasks and of stored data: statistics, exports, retention, erasure."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class UpkeepMetrics:
    """Periodic tasks, statistics, exports, retention and erasure."""

    def _of_upkeep(self, r: CollectorRegistry) -> None:
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

    def _of_people(self, r: CollectorRegistry) -> None:
        self.rights_requests = Gauge(
            "lockerhub_rights_requests",
            "Requests of people without an answer: open (all of them), due_soon (within a week), overdue.",
            ["state"], registry=r,
        )  # fmt: skip
        self.erasures = Gauge(
            "lockerhub_erasures",
            "Erasures of people that are not over: unfinished (tried again), held (kept in part by holds).",
            ["state"], registry=r,
        )  # fmt: skip

    def _of_history(self, r: CollectorRegistry) -> None:
        self.statistics_due = Gauge(
            "lockerhub_statistics_due_hours", "Hours whose doors wait to be counted again.", registry=r
        )
        self.exports_running = Gauge("lockerhub_exports_running", "Exports that are being written.", registry=r)
        self.exports = Counter(
            "lockerhub_exports_total",
            "Exports by how they ended: done, cut (at rows_max), failed (the database), gone (the client).",
            ["what", "end"], registry=r,
        )  # fmt: skip
        self.export_rows = Counter("lockerhub_export_rows_total", "Rows written to exports.", ["what"], registry=r)

    def _of_retention(self, r: CollectorRegistry) -> None:
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
