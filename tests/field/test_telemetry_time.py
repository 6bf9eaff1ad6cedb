"""Faults of sensors and clocks that other hubs were reported for, tried on this one (docs/field-cases.md)."""

from uuid import UUID

import pytest

from hub.core.clocks import Clocks
from hub.core.samples import RecentSamples, sampled_at, sent_at
from hub.core.stamps import stamp
from hub.core.timing import TimeSource
from wire.errors import WireError
from wire.messages import Clock, Event, EventBatch, Sample, TelemetryBatch, decode_telemetry
from wire.salvage import salvage_samples

BOOT, EARLIER = UUID(int=1), UUID(int=2)
NOW = 1_790_000_000_000
HOUR_MS = 3_600_000


def said(*samples: bytes) -> bytes:
    up = b'{"v":1,"boot":"%s","t":90000,"at":%d,"clock":"synced","samples":[' % (str(BOOT).encode(), NOW)
    return up + b",".join(samples) + b"]}"


@pytest.mark.parametrize("value", [b"-127", b"-127.0", b"nan", b"-nan", b"NaN", b"Infinity", b"inf"])
def test_a_sensor_that_does_not_answer_costs_its_neighbours_nothing(value: bytes) -> None:
    bad = b'{"t":2,"temperature_c":' + value + b"}"
    text = said(b'{"t":1,"temperature_c":17.1,"humidity_pct":70}', bad, b'{"t":3,"supply_v":12.1}')
    with pytest.raises(WireError):
        decode_telemetry(text)
    message, spoiled = salvage_samples(text)
    assert [sample.t for sample in message.samples] == [1, 3]
    assert [one.raw for one in spoiled.values()] == [bad]


def test_the_value_of_a_sensor_that_has_just_got_its_power_is_a_temperature_like_others() -> None:
    """85 °C can be true: who reads the sensor knows whether it had converted, and the hub does not guess."""
    message = decode_telemetry(said(b'{"t":1,"temperature_c":85.0}'))
    assert message.samples[0].temperature_c == 85.0


def test_two_samples_of_the_same_moment_are_two_samples() -> None:
    one, other = ((BOOT.int, 5, hash(text)) for text in ("what the first one says", "what the second one says"))
    assert RecentSamples(1).take("a", [one, other, one]) == ([True, True, False], True)


@pytest.mark.parametrize("at", [0, 946_684_800_000, NOW // 1000, NOW - 456 * 24 * HOUR_MS, NOW + HOUR_MS])
@pytest.mark.parametrize("known", [None, (BOOT, 95_000)])
def test_a_wall_clock_that_is_wrong_moves_no_sample(at: int, known: tuple[UUID, int] | None) -> None:
    """1970, 2000, seconds in place of milliseconds, fifteen months behind, an hour ahead: and it says `synced`."""
    message = TelemetryBatch(v=1, boot=BOOT, t=90_000, at=at, clock=Clock.SYNCED, samples=[Sample(t=80_000)])
    sent = sent_at(message, NOW, known)
    expected = (NOW, TimeSource.RECEIPT) if known is None else (NOW - 5000, TimeSource.BOOT)
    assert sent == expected
    assert sampled_at(message, message.samples[0], sent) == (expected[0] - 10_000, expected[1])


def test_events_of_before_the_clock_was_set_are_not_of_1970() -> None:
    """A locker that boots without a network opens a door, is switched off, and tells of it after the next boot."""
    events = [
        Event(t=30_000, at=30_000, kind="door.opened", boot=EARLIER, clock=Clock.UNSET),
        Event(t=40_000, at=40_000, kind="door.closed", boot=EARLIER, clock=Clock.UNSET),
        Event(t=1000, at=NOW - 4000, kind="agent.started"),
    ]
    batch = EventBatch(
        v=1, boot=BOOT, t=5000, at=NOW, clock=Clock.SYNCED, epoch=UUID(int=9), first=1, events=events
    )
    assert stamp(batch, NOW).occurred == [NOW - 14_000, NOW - 4000, NOW - 4000]


def test_a_boot_clock_that_leaps_makes_no_deadline_late() -> None:
    clocks = Clocks()
    assert clocks.observe("a", BOOT, 90_000, 90_000.0)
    assert not clocks.observe("a", BOOT, 90_000 + 8 * HOUR_MS, 90_100.0)
    assert clocks.at("a", 90_200.0) == (BOOT, 90_199)
