"""Alarms, open, raised, suppressed, and what was given up."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class AlarmMetrics:
    """Alarms, open, raised, suppressed, and what was given up."""

    def _of_alarms(self, r: CollectorRegistry) -> None:
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
            "(too many followed), record (the database was away for too long, or refused it), locker_record (the "
            "same, where too much of one locker came and went), listener (one that failed), door (an event of one "
            "that is not in the registry, which counts for its locker), board (too many names of boards).",
            ["what"], registry=r,
        )  # fmt: skip
