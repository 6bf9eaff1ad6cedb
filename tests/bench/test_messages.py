"""The load's messages are messages of the wire, whatever number is put into them."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from bench.messages import events_around_first, presence, telemetry_around_count
from wire.messages import decode_events, decode_presence, decode_telemetry

BOOT = UUID(int=1)
EPOCH = UUID(int=2)


@given(st.integers(1, 2**62), st.integers(1, 500), st.integers(1, 16))
def test_events_carry_their_first_number_and_count(first: int, events: int, door: int) -> None:
    head, tail = events_around_first(epoch=EPOCH, boot=BOOT, t=5, at_ms=1_700_000_000_000, events=events, door=door)
    batch = decode_events(head + b"%d" % first + tail)
    assert (batch.epoch, batch.first, len(batch.events)) == (EPOCH, first, events)
    assert batch.events[0].door == door
    assert [event.kind for event in batch.events[:2]] == ["door.opened", "door.closed"][:events]


@given(st.integers(0, 2**31 - 1))
def test_telemetry_carries_its_number(count: int) -> None:
    parts = telemetry_around_count(boot=BOOT, at_ms=1_700_000_000_000)
    message = decode_telemetry((b"%d" % count).join(parts))
    assert [(sample.t, sample.outbox_events) for sample in message.samples] == [(count, count)]


def test_presence_says_online() -> None:
    assert decode_presence(presence(boot=BOOT, t=5, at_ms=1_700_000_000_000)).online
