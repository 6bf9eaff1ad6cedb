"""What a locker measures about itself: taken on a period, kept in a bounded ring while nobody listens."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import psutil

from edge_agent.clock import BootClock
from wire.messages import PROTOCOL, Sample, TelemetryBatch, encode

_DRAIN_EVERY_S: Final = 1.0

Measure = Callable[[], Awaitable[dict[str, Any]]]
"""Returns values by the names of `wire.messages.Sample`."""
"""Returns fields of `Sample` by name; what cannot be measured is left out."""


class SampleRing:
    """The newest samples that were not handed over yet; beyond `samples_max` the oldest are dropped, counted."""

    def __init__(self, samples_max: int) -> None:
        self.produced = 0
        self.dropped = 0
        self.arrived = asyncio.Event()
        self._samples: deque[Sample] = deque()
        self._samples_max = samples_max

    def __len__(self) -> int:
        """Return how many samples wait."""
        return len(self._samples)

    def add(self, sample: Sample) -> None:
        """Keep a sample."""
        self.produced += 1
        self._samples.append(sample)
        if len(self._samples) > self._samples_max:
            self._samples.popleft()
            self.dropped += 1
        self.arrived.set()

    def oldest(self, samples_max: int) -> list[Sample]:
        """Return the oldest samples; they stay until `hand_over`."""
        return [self._samples[i] for i in range(min(samples_max, len(self._samples)))]

    def hand_over(self, samples: list[Sample]) -> None:
        """Forget samples that the broker has taken; some of them may have been dropped meanwhile."""
        taken = {id(sample) for sample in samples}
        while self._samples and id(self._samples[0]) in taken:
            self._samples.popleft()


class SamplePeriod:
    """How often a sample is taken, in seconds; it may be changed at any time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._changed = asyncio.Event()

    def change(self, seconds: float) -> None:
        """Begin a period of another length now."""
        self.seconds = seconds
        self._changed.set()

    async def passed(self, due: float) -> bool:
        """Wait until the loop's time is `due`. Returns False, at once, when the period is changed meanwhile."""
        try:
            async with asyncio.timeout_at(due):
                await self._changed.wait()
        except TimeoutError:
            return True
        self._changed.clear()
        return False


async def sample_forever(ring: SampleRing, measure: Measure, clock: BootClock, period: SamplePeriod) -> None:
    """Add a sample to the ring every period."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        due = max(due + period.seconds, loop.time())
        while not await period.passed(due):
            due = loop.time() + period.seconds
        ring.add(msgspec.convert({**await measure(), "t": clock.t(), "dropped": ring.dropped}, Sample))


async def send_forever(
    ring: SampleRing, clock: BootClock, publish: Callable[[bytes], Awaitable[None]], samples_per_s: int
) -> None:
    """Send each sample as it comes, and what has piled up at `samples_per_s` at the most."""
    while True:
        if not len(ring):
            ring.arrived.clear()
            await ring.arrived.wait()
        samples = ring.oldest(samples_per_s)
        stamp = clock.stamp()
        message = TelemetryBatch(
            v=PROTOCOL, boot=clock.boot, t=stamp.t, at=stamp.at, clock=stamp.clock, samples=samples
        )
        await publish(encode(message))
        ring.hand_over(samples)
        if len(ring):
            await asyncio.sleep(_DRAIN_EVERY_S)


class Machine:
    """Measures the machine that the agent runs on, in a thread, as some sensors are slow to read."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        psutil.cpu_percent(None)

    async def __call__(self) -> dict[str, float]:
        """Return cpu_pct, memory_pct, disk_free_mb, and cpu_temp_c where there is a sensor."""
        return await asyncio.to_thread(self._measure)

    def _measure(self) -> dict[str, float]:
        values = {
            "cpu_pct": min(100.0, psutil.cpu_percent(None)),
            "memory_pct": psutil.virtual_memory().percent,
            "disk_free_mb": round(psutil.disk_usage(str(self._data_dir)).free / 1e6, 1),
        }
        temperature = _cpu_temperature()
        if temperature is not None:
            values["cpu_temp_c"] = temperature
        return values


def _cpu_temperature() -> float | None:
    sensors = psutil.sensors_temperatures()
    for name in ("cpu_thermal", "coretemp", "k10temp", "soc_thermal"):
        for entry in sensors.get(name, ()):
            if -100 <= entry.current <= 200:  # noqa: PLR2004 - the wire's range
                return float(entry.current)
    return None
