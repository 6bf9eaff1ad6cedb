"""Metrics of ingest: MQTT messages, quarantine, receipts, ledgers."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from hub.metrics.batches import FLUSH_BUCKETS


class IntakeMetrics:
    """MQTT messages, quarantine, receipts, ledgers."""

    def _of_intake(self, r: CollectorRegistry) -> None:
        self.messages = Counter(
            "lockerhub_intake_messages_total", "MQTT messages received.", ["channel"], registry=r
        )
        self.quarantined = Counter(
            "lockerhub_intake_quarantined_total", "Records put into quarantine.", ["reason"], registry=r
        )
        self.intake_delay = Histogram(
            "lockerhub_intake_delay_seconds",
            "From a message's receipt to the commit of its rows, sampled once a batch (its oldest row).",
            ["channel"], buckets=FLUSH_BUCKETS, registry=r,
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
