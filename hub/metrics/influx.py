"""The feed to InfluxDB."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class InfluxMetrics:
    """The feed to InfluxDB."""

    def _of_influx(self, r: CollectorRegistry) -> None:
        self.influx_lines = Counter(
            "lockerhub_influx_lines_total",
            "Lines for InfluxDB by result: sent, rejected (the server will never take them), expired (older than "
            "the bucket keeps), empty (rows without a value).",
            ["stream", "result"], registry=r,
        )  # fmt: skip
        self.influx_lag = Gauge(
            "lockerhub_influx_lag_seconds", "How far InfluxDB is behind the tables, on the hub that feeds it.",
            ["stream"], registry=r,
        )  # fmt: skip
        self.influx_last_success = Gauge(
            "lockerhub_influx_last_success_timestamp_seconds", "When InfluxDB last took something.",
            ["stream"], registry=r,
        )  # fmt: skip
        self.influx_retries = Counter(
            "lockerhub_influx_retries_total",
            "Requests to InfluxDB that have to be made again: later (it is away, slow or busy), refused (token, "
            "bucket or address are wrong).",
            ["reason"], registry=r,
        )  # fmt: skip
