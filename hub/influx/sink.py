"""The InfluxDB sink: a projection of telemetry and door statistics, read from the database and never from intake.

A cursor for each stream says up to where the server has taken everything; it moves after the server's answer, so
that a kill, an outage or a second hub only repeats lines, and a repeated line changes nothing. What is held in
memory is one batch. Nothing waits for this task.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from hub import clock
from hub.config.certificates import trusting
from hub.config.influx import InfluxSettings
from hub.config.secrets import read_secret
from hub.config.settings import Config
from hub.core.influx import Slice, door_hour_line, reading_line
from hub.errors import ConfigError, StoreUnavailable
from hub.influx.buckets import BucketWatch
from hub.influx.delivery import DeliveryLimits, InfluxDelivery, Writer
from hub.metrics import Metrics
from hub.store.database import Database
from hub.store.influx_feed import InfluxFeed, StreamPosition
from hub.store.task_runs import advisory_lock
from hub.tasks import Make

if TYPE_CHECKING:
    from hub.influx.client import InfluxServer

_log = logging.getLogger(__name__)

_PAGE_ROWS: Final = 500
_AT_ONCE_ROWS: Final = 100
"""Made into lines before the others have their turn: a millisecond or two of the event loop."""
_BATCHES_MAX: Final = 50
"""Of one stream before the others have their turn."""
_AGAIN_S: Final = 10.0

Line = Callable[[dict[str, Any]], bytes | None]


@dataclass(frozen=True)
class Stream:
    """What is sent: its name in the tables, where to, how a row becomes a line, how often it is looked for."""

    name: str
    bucket: str
    retention: timedelta
    line: Line
    poll_s: float


def streams(settings: InfluxSettings) -> list[Stream]:
    """Return the streams in the order of their turns."""

    def reading(row: dict[str, Any]) -> bytes | None:
        return reading_line(row, settings.extra_fields, settings.precision)

    def door_hour(row: dict[str, Any]) -> bytes | None:
        return door_hour_line(row, settings.precision)

    kept = timedelta(days=settings.retention_days)
    statistics_kept = timedelta(days=settings.statistics_retention_days)
    return [
        Stream("reading", settings.bucket, kept, reading, settings.poll_s),
        Stream("reading_late", settings.bucket, kept, reading, settings.late_poll_s),
        Stream("door_hour", settings.statistics_bucket, statistics_kept, door_hour, settings.poll_s),
    ]


def server(settings: InfluxSettings) -> "InfluxServer":
    """Return the client of the configured server. Raises ConfigError for what keeps it from being made."""
    if settings.url is None:
        raise ConfigError("influx.url is not set: the InfluxDB sink is off")
    try:
        # Only here: a hub that is installed without the extra `influx` runs all the same.
        from hub.influx.client import InfluxServer  # noqa: PLC0415
    except ModuleNotFoundError as error:
        missing = (error.name or "influxdb_client").partition(".")[0]
        raise ConfigError(
            f"influx.url is set, and {missing} is not installed: install the extra, lockerhub[influx], "
            "or leave influx.url out"
        ) from None
    token = None if settings.token_file is None else read_secret(settings.token_file, "influx.token_file")
    if token is not None and not token.isascii():
        raise ConfigError(f"influx.token_file: {settings.token_file} has characters that no token has")
    if settings.tls_ca_file is not None:
        trusting(settings.tls_ca_file, "influx")
    return InfluxServer(
        settings.url, token, settings.org,
        timeout_s=settings.timeout_s, ca_file=settings.tls_ca_file, compress=settings.gzip,
    )  # fmt: skip


def influx_tasks(config: Config, store: Database, metrics: Metrics) -> dict[str, Make]:
    """Return the sink's endless tasks by name; none without `influx.url`. Raises ConfigError as `server` does."""
    if config.influx.url is None:
        return {}
    return {"influx": InfluxSink(config.influx, store, server(config.influx), metrics).run}


class InfluxSink:
    """Feeds one server from one database, one hub at a time."""

    def __init__(self, settings: InfluxSettings, store: Database, client: "InfluxServer", metrics: Metrics) -> None:
        self._settings = settings
        self._store = store
        self._client = client
        self._metrics = metrics
        self._feed = InfluxFeed(store, settings.lag_s)
        self._streams = streams(settings)
        self._slices = {stream.name: Slice() for stream in self._streams}
        self._upto: dict[str, datetime] = {}

    async def run(self) -> None:
        """Follow the tables until cancelled. What was not taken by then is sent by whoever is next."""
        while True:
            try:
                async with advisory_lock(self._store, "influx") as got:
                    if got:
                        async with self._client as client:
                            await self._follow(client)
                    else:
                        # The other hub's lag counts.
                        self._metrics.influx_lag.clear()
            except StoreUnavailable as error:
                _log.warning("The InfluxDB sink waits for the database", extra={"error": str(error)})
            except Exception:  # noqa: BLE001 - decided: a defect of the sink must not stop the doors
                # Its lag grows, and an alert tells.
                _log.exception("The InfluxDB sink failed; it begins again from its cursors")
            await asyncio.sleep(_AGAIN_S)

    async def _follow(self, client: "InfluxServer") -> None:
        buckets = BucketWatch(client, self._settings)
        deliveries = {
            stream.name: delivery(client, stream, self._settings, self._metrics) for stream in self._streams
        }
        due_ms = dict.fromkeys(deliveries, clock.now_ms())
        while True:
            await buckets.turn(clock.now_ms())
            for stream in self._streams:
                if due_ms[stream.name] <= clock.now_ms():
                    wait_s = await self._catch_up(stream, deliveries[stream.name])
                    due_ms[stream.name] = clock.now_ms() + wait_s * 1000
            await asyncio.sleep(max(0.0, min(due_ms.values()) - clock.now_ms()) / 1000)

    async def _catch_up(self, stream: Stream, delivery: InfluxDelivery) -> float:
        """Send what there is, for one turn; return after how many seconds the next one is due."""
        stand = await self._feed.stand(stream.name)
        self._show(stream, stand.place)
        place = stand.place
        for _ in range(_BATCHES_MAX):
            if place.upto >= stand.horizon:
                return stream.poll_s
            lines, reached = await self._collect(stream, place, stand.horizon)
            if lines and await delivery.deliver(lines) is None:
                # The other streams may have a bucket that is right.
                return self._settings.refused_s
            if not await self._feed.advance(stream.name, place, reached):
                _log.warning(
                    "Another hub feeds InfluxDB too; going on from its place", extra={"stream": stream.name}
                )
                return 0.0
            place = reached
            self._show(stream, place)
        return 0.0

    async def _collect(
        self, stream: Stream, place: StreamPosition, horizon: datetime
    ) -> tuple[list[bytes], StreamPosition]:
        """Read one batch: returns its lines, and the place behind its last row."""
        piece = self._slices[stream.name]
        rows_max, bytes_max = self._settings.batch_rows_max, self._settings.batch_bytes_max
        lines = Lines(stream, self._metrics)
        while lines.rows < rows_max and lines.size < bytes_max and place.upto < horizon:
            limit = min(_PAGE_ROWS, rows_max - lines.rows)
            until = piece.end(place.upto, horizon)
            try:
                rows = await self._feed.page(stream.name, place, until, limit)
            except StoreUnavailable:
                # It may have been too much for one statement.
                piece.narrow()
                raise
            await lines.add(rows)
            if len(rows) < limit:
                place = StreamPosition(until)
                piece.widen()
            else:
                last = rows[-1]
                place = StreamPosition(last["upto"], last["locker"], last["at"], last.get("door", 0))
                piece.narrow()
        return lines.lines, place

    def _show(self, stream: Stream, place: StreamPosition) -> None:
        self._upto[stream.name] = place.upto
        # Computed at each scrape: it has to grow while a batch is not taken.
        self._metrics.influx_lag.labels(stream.name).set_function(
            lambda: max(0.0, (clock.wall() - self._upto[stream.name]).total_seconds())
        )


class Lines:
    """Rows as lines, without those that would be nothing, or too old for the bucket."""

    def __init__(self, stream: Stream, metrics: Metrics) -> None:
        self.lines: list[bytes] = []
        self.rows = 0
        self.size = 0
        self._stream = stream
        self._oldest = clock.wall() - stream.retention
        self._count = metrics.influx_lines

    async def add(self, rows: Sequence[dict[str, Any]]) -> None:
        """Take rows, a few at a time: the loop is the doors' first."""
        for begin in range(0, len(rows), _AT_ONCE_ROWS):
            self._add(rows[begin : begin + _AT_ONCE_ROWS])
            await asyncio.sleep(0)

    def _add(self, rows: Sequence[dict[str, Any]]) -> None:
        expired = empty = 0
        for row in rows:
            if row["at"] < self._oldest:
                expired += 1
            elif (line := self._stream.line(row)) is None:
                empty += 1
            else:
                self.lines.append(line)
                self.size += len(line) + 1
        self.rows += len(rows)
        if expired:
            self._count.labels(self._stream.name, "expired").inc(expired)
        if empty:
            self._count.labels(self._stream.name, "empty").inc(empty)


def delivery(client: Writer, stream: Stream, settings: InfluxSettings, metrics: Metrics) -> InfluxDelivery:
    """Return the delivery of one stream."""
    limits = DeliveryLimits(settings.batch_bytes_max, settings.retry_s_max)
    return InfluxDelivery(client, stream.name, stream.bucket, settings.precision, limits, metrics)
