"""What the tests of the InfluxDB sink share: VictoriaMetrics, a running sink, and what there is to send."""

import asyncio
import json
import subprocess
import tempfile
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from hub.config.influx import InfluxSettings
from hub.influx.sink import InfluxSink, server
from hub.metrics import Metrics
from hub.store.database import Database
from hub.store.influx_feed import InfluxFeed
from tests.hub.fake_influx import FakeInflux
from tests.hub.scene import eventually, rows
from tests.services.conftest import ended, free_port, listens, program, wait_for

_LAIN = ("10m", "30m", "1h", "2h", "4h", "8h", "16h", "1d", "2d", "3d", "5d", "7d", "14d", "31d")
_DONE = ("openings", "closings", "left_open", "forced", "put_in", "collected", "collect_timed", "collect_seconds")
COUNTS = (*_DONE, *(f"collected_{name}" for name in _LAIN))
DOOR_HOUR = f"""
    INSERT INTO door_hour (hour, locker_id, door, updated_at, {", ".join(COUNTS)})
    SELECT date_trunc('hour', now(), 'UTC') - interval '1 hour', 'locker-1', d, clock_timestamp(),
           {", ".join(str(10 + place) for place in range(len(COUNTS)))}
    FROM generate_series(1, 3) d"""
"""Three doors' hour, with 10, 11, 12 … for its counts."""

Points = dict[tuple[str, int], float]
"""(locker, milliseconds): value."""


class Victoria:
    """A running VictoriaMetrics."""

    def __init__(self, port: int) -> None:
        self.port = port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, **query: str) -> str:
        with urllib.request.urlopen(f"{self.url}{path}?{urllib.parse.urlencode(query)}", timeout=10) as answer:
            return str(answer.read().decode())

    def points(self, name: str = "lockerhub_reading_outbox_events") -> Points:
        """Return every sample of a name. One that is there twice fails the test."""
        # Without it, what came last is not found for seconds.
        self.get("/internal/force_flush")
        found: Points = {}
        for text in self.get("/api/v1/export", **{"match[]": name}).splitlines():
            series = json.loads(text)
            for at, value in zip(series["timestamps"], series["values"], strict=True):
                key = (series["metric"]["locker"] + series["metric"].get("door", ""), at)
                assert key not in found, f"{key} is there twice"
                found[key] = value
        return found

    def invalid(self) -> float:
        lines = self.get("/metrics").splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith("vm_rows_invalid_total"))


@contextmanager
def victoria(port: int | None = None, *, overwrites: bool = False) -> Iterator[Victoria]:
    """Run VictoriaMetrics, empty, for as long as the block lasts.

    It shows every repetition of a point, unless it `overwrites`, as InfluxDB does.
    """
    name, port = program("victoria-metrics"), port or free_port()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        start = [name, f"-httpListenAddr=127.0.0.1:{port}", f"-storageDataPath={folder}/data", "-retentionPeriod=2"]
        start += ["-dedup.minScrapeInterval=1ms"] if overwrites else []
        start += ["-search.latencyOffset=0s", "-memory.allowedPercent=10", "-loggerLevel=ERROR"]
        with log.open("wb") as said, ended(subprocess.Popen(start, stdout=said, stderr=said)) as process:
            wait_for(lambda: listens(port), "VictoriaMetrics did not listen", process, log)
            yield Victoria(port)


def settings(url: str, **changed: object) -> InfluxSettings:
    quick = {"lag_s": 0.05, "poll_s": 0.05, "late_poll_s": 0.05, "retry_s_max": 0.05, "refused_s": 0.05}
    return InfluxSettings(url=url, **{**quick, **changed})  # type: ignore[arg-type]  # as a file would have them


@asynccontextmanager
async def sink(dsn: str, url: str, metrics: Metrics | None = None, **changed: object) -> AsyncIterator[Database]:
    """Run a sink whose cursors have begun."""
    chosen = settings(url, **changed)
    async with Database(dsn, connections_max=4, statement_timeout_ms=5000, connect_timeout_s=5) as store:
        one = InfluxSink(chosen, store, server(chosen), metrics or Metrics("0"))
        task = asyncio.create_task(one.run(), name="influx")
        try:
            await eventually(lambda: _begun(store), "the cursors")
            yield store
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def _begun(store: Database) -> bool:
    return len(await InfluxFeed(store, 0.05).cursors()) == 3


def measure(dsn: str, count: int, *, lockers: int = 5, first: int = 0, age: str = "1 minute") -> None:
    """Store samples in one transaction: `count` a locker, a second apart, numbered by `outbox_events`."""
    rows(
        dsn,
        """INSERT INTO reading (sampled_at, received_at, locker_id, temperature_c, outbox_events, extra)
           SELECT date_trunc('second', now()) - %s::interval - make_interval(secs => i), now(),
                  'locker-' || l, 21.5, i, CASE WHEN i %% 2 = 0 THEN '{"fan_rpm": 900}'::jsonb END
           FROM generate_series(%s::int, %s::int) i, generate_series(1, %s::int) l""",
        age, first, first + count - 1, lockers,
    )  # fmt: skip


def stored(dsn: str) -> Points:
    query = "SELECT locker_id, (extract(epoch FROM sampled_at) * 1000)::bigint, outbox_events FROM reading"
    return {(locker, at): value for locker, at, value in rows(dsn, query)}


async def same(vm: Victoria, dsn: str) -> bool:
    # Counted first: a point that is there twice is found by `points`.
    wanted = await asyncio.to_thread(stored, dsn)
    return await asyncio.to_thread(vm.points) == wanted


async def has(stored: dict[str, str], count: int) -> bool:
    return len(stored) >= count


async def sent(fake: FakeInflux, requests: int) -> bool:
    return len(fake.bodies) >= requests
