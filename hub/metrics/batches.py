"""The queues before tables, and the batches that leave them."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

FLUSH_BUCKETS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5, 10)
"""In seconds, from a millisecond on."""
_ROWS_BUCKETS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)


class BatchMetrics:
    """The queues before tables, and the batches that leave them."""

    def _of_batches(self, r: CollectorRegistry) -> None:
        self.batch_rows = Histogram(
            "lockerhub_batch_rows", "Rows in one committed batch.", ["table"], buckets=_ROWS_BUCKETS, registry=r
        )
        self.batch_seconds = Histogram(
            "lockerhub_batch_flush_seconds", "Time to write and commit one batch.", ["table"],
            buckets=FLUSH_BUCKETS, registry=r,
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
