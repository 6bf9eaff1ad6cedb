"""Metrics of notifications: messages, retries, queues."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class NotificationMetrics:
    """Messages, retries, queues."""

    def _of_notifications(self, r: CollectorRegistry) -> None:
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
        self.notify_queue_bytes = Gauge(
            "lockerhub_notify_queue_bytes", "Memory of the messages that wait, estimated.", ["channel"], registry=r
        )
        self.notify_defects = Counter(
            "lockerhub_notify_defects_total",
            "Times a defect of the hub's own was met with a message in hand: it is tried again, "
            "seven times.",
            ["channel"], registry=r,
        )  # fmt: skip
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
