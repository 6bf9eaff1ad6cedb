"""A batch to InfluxDB against every answer that a server or a network gives."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.config.influx import InfluxSettings
from hub.core.influx import Bucket, WriteResponse
from hub.errors import ConfigError
from hub.influx.buckets import BucketWatch, look_at_buckets
from hub.influx.delivery import DeliveryLimits, InfluxDelivery
from hub.influx.sink import server
from hub.metrics import Metrics
from tests.hub.fake_influx import FakeInflux, client_of, fake_influx
from tests.services.conftest import free_port

LINES = [f"m,locker=l{number} a={number}i 1".encode() for number in range(20)]
TEXTS = sorted(f"m,locker=l{number} a={number}i" for number in range(20))
DAY_S = 86_400
RETRIES = "lockerhub_influx_retries_total"


class Scene:
    def __init__(self, fake: FakeInflux, delivery: InfluxDelivery, metrics: Metrics) -> None:
        self.fake, self.delivery, self.metrics = fake, delivery, metrics

    def count(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"lockerhub_influx_{name}_total", labels) or 0.0

    def lines(self, result: str) -> float:
        return self.count("lines", stream="reading", result=result)


@asynccontextmanager
async def scene(
    *, bytes_max: int = 1_000_000, retry_s_max: float = 0.01,
    fake: dict[str, Any] | None = None, **client: Any,  # noqa: ANN401 - the settings' own
) -> AsyncIterator[Scene]:  # fmt: skip
    async with fake_influx(**fake or {}) as server, client_of(server, **client) as writer:
        metrics = Metrics("0")
        limits = DeliveryLimits(bytes_max, retry_s_max)
        yield Scene(server, InfluxDelivery(writer, "reading", "lockerhub", "ms", limits, metrics), metrics)


def refusing(*bad: str, status: int = 400) -> Any:  # noqa: ANN401 - a Judge
    def judge(lines: list[str]) -> web.Response | None:
        poison = [line for line in lines if any(f"locker={one} " in line for one in bad)]
        return web.Response(status=status, text=f"unable to parse '{poison[0]}'") if poison else None

    return judge


@pytest.mark.parametrize("gzip", [True, False])
async def test_a_batch_is_taken_with_one_request(*, gzip: bool) -> None:
    async with scene(gzip=gzip, org="acme") as one:
        assert await one.delivery.deliver(LINES) == 20
        assert one.fake.lines == TEXTS
        assert one.fake.queries == [{"org": "acme", "bucket": "lockerhub", "precision": "ms"}]
        assert one.lines("sent") == 20
        assert await one.delivery.deliver([]) == 0
        assert len(one.fake.bodies) == 1


@pytest.mark.parametrize(
    "trouble",
    [
        web.Response(status=503),
        web.Response(status=500, text="boom"),
        web.Response(status=429, headers={"Retry-After": "0"}),
        web.Response(status=429, headers={"Retry-After": "86400"}),
        "cut",
        "taken, and cut",
        "silent",
    ],
    ids=["503", "500", "429 at once", "429 in a day", "cut", "taken and cut", "silent"],
)
async def test_trouble_is_waited_for_and_the_same_batch_sent_again(trouble: web.Response | str) -> None:
    async with scene(timeout_s=0.2) as one:
        one.fake.answers = [trouble]
        assert await one.delivery.deliver(LINES) == 20
        assert one.fake.bodies[0] == one.fake.bodies[1]
        assert one.fake.lines == TEXTS
        assert (one.lines("sent"), one.lines("rejected")) == (20, 0)
        assert one.count("retries", reason="later") == 1


async def test_a_server_that_asks_for_time_gets_it() -> None:
    async with scene(retry_s_max=60.0) as one:
        one.fake.answers = [web.Response(status=429, headers={"Retry-After": "3600"})]
        task = asyncio.create_task(one.delivery.deliver(LINES), name="deliver")
        await one.fake.asked.wait()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(task), 0.8)  # longer than its own first pause
        assert len(one.fake.bodies) == 1
        task.cancel()


async def test_nobody_is_there_and_then_somebody_is(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    port, metrics = free_port(), Metrics("0")
    async with server(InfluxSettings(url=f"http://127.0.0.1:{port}")) as client:
        delivery = InfluxDelivery(client, "reading", "lockerhub", "ms", DeliveryLimits(10_000, 0.01), metrics)
        task = asyncio.create_task(delivery.deliver(LINES), name="deliver")
        async with asyncio.timeout(10):
            while not metrics.registry.get_sample_value(RETRIES, {"reason": "later"}):  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.005)
            async with fake_influx(port=port) as fake:
                assert await task == 20
                assert fake.lines == TEXTS
    told = [record.message for record in caplog.records if record.name.startswith("hub.")]
    assert [text.split(";")[0] for text in told] == [
        "InfluxDB does not take lines now",
        "InfluxDB takes lines again",
    ]


@pytest.mark.parametrize("status", [401, 403, 404, 302])
async def test_a_refusal_is_told_and_left_to_those_who_can_do_something(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with scene() as one:
        one.fake.answers = [web.Response(status=status, text="no", headers={"Location": "http://127.0.0.1:1/"})]
        assert await one.delivery.deliver(LINES) is None
        assert "InfluxDB refuses: look at influx.url, token, org and bucket" in caplog.text
        assert len(one.fake.bodies) == 1
        assert one.count("retries", reason="refused") == 1
        assert one.lines("rejected") == 0
        assert await one.delivery.deliver(LINES) == 20


async def test_the_token_goes_along(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret-7\n")
    async with scene(fake={"token": "secret-7"}, token_file=str(tmp_path / "token")) as one:
        assert await one.delivery.deliver(LINES) == 20


async def test_one_bad_line_is_found_told_and_left_out(caplog: pytest.LogCaptureFixture) -> None:
    async with scene() as one:
        one.fake.judge = refusing("l7")
        assert await one.delivery.deliver(LINES) == 19
        assert one.fake.lines == [text for text in TEXTS if "l7" not in text]
        assert (one.lines("sent"), one.lines("rejected")) == (19, 1)
        (record,) = [record for record in caplog.records if "does not take a line" in record.message]
        assert vars(record)["line"] == "m,locker=l7 a=7i 1"
        assert "unable to parse" in vars(record)["answer"]


async def test_a_bad_line_alone_is_left_out() -> None:
    async with scene() as one:
        one.fake.judge = refusing("l0")
        assert await one.delivery.deliver(LINES[:1]) == 0
        assert one.lines("rejected") == 1


@pytest.mark.parametrize(
    "answer",
    [
        web.Response(status=422, text="partial write: points beyond retention policy dropped=3"),
        web.Response(status=400, text='{"error":"partial write of line protocol occurred","data":[{},{},{}]}'),
    ],
    ids=["InfluxDB 2", "InfluxDB 3"],
)
async def test_what_a_server_took_in_part_is_not_sent_again(answer: web.Response) -> None:
    async with scene() as one:
        one.fake.answers = [answer]
        assert await one.delivery.deliver(LINES) == 17
        assert len(one.fake.bodies) == 1
        assert (one.lines("sent"), one.lines("rejected")) == (17, 3)


async def test_a_server_that_takes_nothing_costs_no_line(caplog: pytest.LogCaptureFixture) -> None:
    async with scene() as one:
        one.fake.judge = lambda _: web.Response(status=400, text="invalid precision")
        assert await one.delivery.deliver(LINES) is None
        assert one.lines("rejected") == 0
        assert "not one of 20 lines is taken: 400: invalid precision" in str([vars(r) for r in caplog.records])
        one.fake.judge = lambda _: None
        assert await one.delivery.deliver(LINES) == 20


async def test_so_many_bad_lines_that_it_is_no_accident_are_left_out_slowly(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lines = [f"m,locker=l{number} a=1i 1".encode() for number in range(200)]
    async with scene() as one:
        one.fake.judge = refusing(*(f"l{number}" for number in range(60, 170)))
        assert await one.delivery.deliver(lines) == 90
        assert (one.lines("sent"), one.lines("rejected")) == (90, 110)
        told = [record for record in caplog.records if "does not take a line" in record.message]
        assert len(told) == 15  # five of each fifty


async def test_a_batch_that_is_too_large_is_halved() -> None:
    async with scene() as one:
        one.fake.judge = lambda lines: web.Response(status=413) if len(lines) > 3 else None
        assert await one.delivery.deliver(LINES) == 20
        assert one.fake.lines == TEXTS
        assert one.lines("rejected") == 0


async def test_no_request_is_above_its_bytes() -> None:
    async with scene(bytes_max=60) as one:
        assert await one.delivery.deliver([*LINES, b"m,locker=" + b"x" * 200 + b" a=1i 1"]) == 21
        sizes = [len("\n".join(lines)) for lines in one.fake.bodies]
        assert sorted(sizes)[-2] <= 60 < sizes[-1]
        assert max(len(lines) for lines in one.fake.bodies) > 1


async def test_of_a_long_answer_only_the_beginning_is_read() -> None:
    async with scene() as one:
        one.fake.answers = [web.Response(status=503, body=b"x" * 5_000_000)]
        assert await one.delivery.deliver(LINES) == 20


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bad=st.sets(st.integers(0, 19), max_size=19), size_max=st.integers(1, 20), troubles=st.integers(0, 3))
async def test_whatever_is_bad_every_other_line_is_taken(bad: set[int], size_max: int, troubles: int) -> None:
    refuse = refusing(*(f"l{number}" for number in bad))

    def judge(lines: list[str]) -> web.Response | None:
        return web.Response(status=413) if len(lines) > size_max else refuse(lines)

    async with scene(retry_s_max=0.001) as one:
        one.fake.judge = judge
        one.fake.answers = [web.Response(status=503) for _ in range(troubles)]
        assert await one.delivery.deliver(LINES) == 20 - len(bad)
        assert one.fake.lines == sorted(f"m,locker=l{number} a={number}i" for number in set(range(20)) - bad)
        assert one.lines("rejected") == len(bad)


BUCKETS = InfluxSettings(url="http://x", retention_days=10, statistics_retention_days=20)


async def test_periods_are_held_against_what_they_should_be() -> None:
    kept = {"lockerhub": 10 * DAY_S, "lockerhub-statistics": 0}
    async with fake_influx(buckets=kept) as fake, client_of(fake) as client:
        assert await client.bucket("lockerhub") == Bucket("id-lockerhub", 10 * DAY_S)
        told = [state.sentence() for state in await look_at_buckets(client, BUCKETS, change=False)]
        assert told == [
            "bucket lockerhub: kept 10 days, as it should be",
            "bucket lockerhub-statistics: kept for ever, and 20 days is right; influx.set_retention = true sets it",
        ]
        assert fake.buckets == {"lockerhub": 10 * DAY_S, "lockerhub-statistics": 0}
        changed = await look_at_buckets(client, BUCKETS, change=True)
        assert all(state.right for state in changed)
        assert fake.buckets == {"lockerhub": 10 * DAY_S, "lockerhub-statistics": 20 * DAY_S}


async def test_a_server_that_does_not_say_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with fake_influx() as fake, client_of(fake) as client:
        watch = BucketWatch(client, BUCKETS)
        for hour in range(30):
            await watch.turn(hour * 3_600_000.0)
        told = [record.getMessage() for record in caplog.records if record.name == "hub.influx.buckets"]
        assert len(told) == 2
        assert "bucket lockerhub: only the server knows how long it is kept (404" in told[0]
        assert {record.levelno for record in caplog.records if record.name == "hub.influx.buckets"} == {
            logging.INFO
        }
        fake.buckets = {}
        answer = await client.bucket("lockerhub")
        assert isinstance(answer, WriteResponse)
        assert answer.sentence() == "404: there is no bucket 'lockerhub' that this token may see"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "the InfluxDB sink is off"),
        ({"url": "http://x", "token_file": "nowhere"}, "influx.token_file: cannot read the file"),
        ({"url": "https://x", "tls_ca_file": "nowhere"}, "influx: tls_ca_file: cannot use nowhere"),
    ],
)
def test_what_is_not_there_is_told(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        server(InfluxSettings(**settings))
