"""The settings of `[influx]`, and what makes no sense in them."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from hub.errors import ConfigError

Seconds = Annotated[float, Meta(gt=0, le=86_400)]


class InfluxSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A second home for telemetry and door statistics: InfluxDB 2, or what has its write API. Off without `url`."""

    url: str | None = None
    token_file: str | None = None
    """A file whose one line is the API token; some servers need none."""
    org: str = "lockerhub"
    bucket: str = "lockerhub"
    """Where telemetry goes."""
    statistics_bucket: str = "lockerhub-statistics"
    """Where the doors' counts by the hour go."""
    retention_days: Annotated[int, Meta(ge=1, le=36_500)] = 397
    """How long the bucket should keep telemetry: thirteen months. What is older is not sent."""
    statistics_retention_days: Annotated[int, Meta(ge=1, le=36_500)] = 2557
    """The same of the statistics: seven years."""
    set_retention: bool = False
    """Set these periods in the buckets where they differ, instead of only saying so."""
    precision: Literal["s", "ms", "us", "ns"] = "ms"
    """Of the timestamps. Samples of one locker within one unit would be one point."""
    extra_fields: list[str] = []
    """Which of the further numbers of telemetry (`extra`) are sent too."""
    tls_ca_file: str | None = None
    """The authority to trust for https, instead of the system's."""
    gzip: bool = True
    timeout_s: Seconds = 10.0
    """For one request."""
    poll_s: Seconds = 5.0
    """How often new rows are looked for."""
    late_poll_s: Seconds = 600.0
    """The same for rows that were more than two days old when they came."""
    lag_s: Seconds = 30.0
    """How far the sink stays behind the tables: longer than a transaction that writes may take."""
    batch_rows_max: Annotated[int, Meta(ge=1, le=100_000)] = 5000
    batch_bytes_max: Annotated[int, Meta(ge=1000, le=50_000_000)] = 1_000_000
    """One request, before compression."""
    retry_s_max: Seconds = 60.0
    """The longest pause before the same batch is sent again, even if the server asks for more."""
    refused_s: Seconds = 300.0
    """The pause after an answer that somebody has to do something about: token, bucket, address."""


def check_influx(influx: InfluxSettings, statement_timeout_ms: int) -> None:
    """Raise ConfigError for what makes no sense, without reading any file."""
    if influx.url is None:
        return
    if not influx.url.startswith(("http://", "https://")) or "@" in influx.url:
        raise ConfigError(
            "influx.url must be http://host:port or https://host:port, without a password in it: "
            "the token belongs into influx.token_file"
        )
    if influx.lag_s * 1000 <= statement_timeout_ms:
        raise ConfigError(
            "influx.lag_s must be longer than database.statement_timeout_ms: rows of a write that still goes on "
            "would be passed over"
        )
    if "" in influx.extra_fields:
        raise ConfigError("influx.extra_fields has an empty name")
    if influx.bucket == influx.statistics_bucket and influx.retention_days != influx.statistics_retention_days:
        raise ConfigError(
            "influx.bucket and influx.statistics_bucket are the same, and are to be kept for different times: "
            "name two buckets, or give both one period"
        )
