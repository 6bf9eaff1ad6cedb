"""Commands and jobs."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

# A boundary stands on each budget: 0.2 s to "pulse sent", 1.5 s to "door seen open".
_COMMAND_BUCKETS: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 5, 10,
)  # fmt: skip


class CommandMetrics:
    """Commands and jobs."""

    def _of_commands(self, r: CollectorRegistry) -> None:
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
