"""The settings of the InfluxDB sink: every refusal says what was wrong, where, and what would be right."""

import pytest

from hub.config.settings import load
from hub.errors import ConfigError

URL = {"HUB_INFLUX_URL": "https://influx.example.org:8086/api"}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"HUB_INFLUX_URL": "influx.example.org:8086"}, "influx.url must be http://host:port"),
        ({"HUB_INFLUX_URL": "http://user:secret@influx.example.org"}, "the token belongs into influx.token_file"),
        ({"HUB_INFLUX_LAG_S": "10"}, "influx.lag_s must be longer than database.statement_timeout_ms"),
        ({"HUB_DATABASE_STATEMENT_TIMEOUT_MS": "30000"}, "influx.lag_s must be longer"),
        ({"HUB_INFLUX_STATISTICS_BUCKET": "lockerhub"}, "name two buckets, or give both one period"),
        ({"HUB_INFLUX_PRECISION": "minutes"}, "HUB_INFLUX_PRECISION"),
        ({"HUB_INFLUX_BATCH_ROWS_MAX": "0"}, "HUB_INFLUX_BATCH_ROWS_MAX"),
        ({"HUB_INFLUX_BATCH_BYTES_MAX": "10"}, "HUB_INFLUX_BATCH_BYTES_MAX"),
    ],
)
def test_what_makes_no_sense_is_refused(changed: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load(None, {**URL, **changed})


def test_what_makes_sense_is_taken() -> None:
    one_bucket = {"HUB_INFLUX_STATISTICS_BUCKET": "lockerhub", "HUB_INFLUX_STATISTICS_RETENTION_DAYS": "397"}
    config = load(None, {**URL, **one_bucket, "HUB_INFLUX_EXTRA_FIELDS": "fan_rpm, ", "HUB_INFLUX_GZIP": "false"})
    assert config.influx.extra_fields == ["fan_rpm"]
    assert not config.influx.gzip
    # Off, nothing of it is looked at.
    assert load(None, {"HUB_INFLUX_LAG_S": "1"}).influx.url is None
