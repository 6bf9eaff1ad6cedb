"""Samples: bounded while nobody listens, slowly afterwards, each handed over once."""

import asyncio
from pathlib import Path

import pytest

from edge_agent import telemetry
from edge_agent.clock import BootClock
from edge_agent.telemetry import Machine, SamplePeriod, SampleRing, sample_forever, send_forever
from wire.messages import Sample, decode_telemetry


def test_the_oldest_are_dropped_and_counted() -> None:
    ring = SampleRing(3)
    for t in range(5):
        ring.add(Sample(t=t))
    assert [sample.t for sample in ring.oldest(10)] == [2, 3, 4]
    assert (ring.produced, ring.dropped, len(ring)) == (5, 2, 3)


def test_what_was_handed_over_is_gone_and_nothing_else() -> None:
    ring = SampleRing(3)
    for t in range(3):
        ring.add(Sample(t=t))
    handed = ring.oldest(2)
    ring.add(Sample(t=3))
    ring.hand_over(handed)
    assert [sample.t for sample in ring.oldest(10)] == [2, 3]
    assert ring.dropped == 1


async def test_samples_are_taken_on_a_period(clock: BootClock) -> None:
    ring = SampleRing(2)

    async def measure() -> dict[str, float]:
        return {"temperature_c": 21.5, "outbox_events": 3}

    task = asyncio.create_task(sample_forever(ring, measure, clock, SamplePeriod(0.001)))
    async with asyncio.timeout(20):
        while ring.produced < 4:
            ring.arrived.clear()
            await ring.arrived.wait()
    task.cancel()
    newest = ring.oldest(2)[-1]
    assert (newest.temperature_c, newest.outbox_events, newest.dropped) == (21.5, 3, ring.dropped - 1)


async def test_what_piled_up_goes_out_slowly_and_in_order(
    clock: BootClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telemetry, "_DRAIN_EVERY_S", 0.001)
    ring = SampleRing(100)
    for t in range(25):
        ring.add(Sample(t=t))
    sent: list[list[int]] = []

    async def publish(payload: bytes) -> None:
        sent.append([sample.t for sample in decode_telemetry(payload).samples])
        if len(sent) == 3:
            ring.add(Sample(t=25))

    task = asyncio.create_task(send_forever(ring, clock, publish, 10))
    async with asyncio.timeout(20):
        while len(ring) or len(sent) < 3:  # noqa: ASYNC110 - two conditions at once
            await asyncio.sleep(0.001)
    task.cancel()
    assert [t for batch in sent for t in batch] == list(range(26))
    assert [len(batch) for batch in sent[:2]] == [10, 10]


async def test_a_sample_that_was_not_taken_stays(clock: BootClock) -> None:
    ring = SampleRing(10)
    ring.add(Sample(t=1))

    async def publish(_: bytes) -> None:
        raise ConnectionError("down")

    with pytest.raises(ConnectionError):
        await send_forever(ring, clock, publish, 10)
    assert len(ring) == 1


async def test_the_machine_is_measured(tmp_path: Path) -> None:
    values = await Machine(tmp_path)()
    assert {"cpu_pct", "memory_pct", "disk_free_mb"} <= values.keys()
    assert 0 <= values["cpu_pct"] <= 100


def test_a_cpu_sensor_is_read_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    class Entry:
        def __init__(self, current: float) -> None:
            self.current = current

    found = {"acpitz": [Entry(20.0)], "cpu_thermal": [Entry(-273.0), Entry(48.5)]}
    monkeypatch.setattr("psutil.sensors_temperatures", lambda: found)
    assert telemetry._cpu_temperature() == 48.5  # noqa: SLF001
    monkeypatch.setattr("psutil.sensors_temperatures", dict)
    assert telemetry._cpu_temperature() is None  # noqa: SLF001


async def test_a_period_that_is_changed_counts_at_once() -> None:
    ring = SampleRing(100)
    period = SamplePeriod(3600)

    async def measure() -> dict[str, float]:
        return {}

    task = asyncio.create_task(sample_forever(ring, measure, BootClock(), period))
    await asyncio.sleep(0)
    period.change(0.001)
    async with asyncio.timeout(20):
        while ring.produced < 3:
            ring.arrived.clear()
            await ring.arrived.wait()
    period.change(3600)
    for _ in range(20):
        await asyncio.sleep(0)
    produced = ring.produced
    await asyncio.sleep(0.02)
    assert ring.produced <= produced + 1
    task.cancel()
