"""COPY rows, byte by byte, as the PostgreSQL manual lays them out. A real database reads them in tests/services."""

from datetime import UTC, datetime, timedelta
from struct import unpack_from
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from hub.core.timing import TimeSource
from hub.store.binary_copy import HEADER, TRAILER, event_rows, hours_of, reading_fields, reading_row, reading_values
from tests.wire.strategies import batches, samples
from wire.messages import Clock, Event, EventBatch, Sample

PG_EPOCH_MS = 946_684_800_000
EVENT_FIELDS, READING_FIELDS = 15, 17
NOW = 1_790_000_000_000


def fields(row: bytes) -> list[bytes | None]:
    """Take a row apart by the manual's rules."""
    (count,) = unpack_from("!h", row)
    found: list[bytes | None] = []
    at = 2
    for _ in range(count):
        (length,) = unpack_from("!i", row, at)
        at += 4
        found.append(None if length == -1 else row[at : at + length])
        at += max(length, 0)
    assert at == len(row)
    return found


def test_the_frame_of_a_copy() -> None:
    assert HEADER == b"PGCOPY\n\xff\r\n\0" + b"\0\0\0\0" + b"\0\0\0\0"
    assert TRAILER == b"\xff\xff"


def test_an_events_row_field_by_field() -> None:
    event = Event(
        t=1, at=PG_EPOCH_MS + 1, kind="door.opened", boot=UUID(int=8), clock=Clock.UNSET, door=258,
        actor=UUID(int=1), command=UUID(int=2), transaction=UUID(int=3), data={"a": "ä"},
    )  # fmt: skip
    batch = EventBatch(
        v=1, boot=UUID(int=9), t=1, at=1, clock=Clock.SYNCED, epoch=UUID(int=4), first=257, events=[event]
    )
    (row,) = event_rows(
        batch, skip=0, tenant="default", locker="berlin-01", occurred=[PG_EPOCH_MS + 2], received_ms=PG_EPOCH_MS - 1
    )
    assert fields(row) == [
        (2000).to_bytes(8), (-1000).to_bytes(8, signed=True), b"default", b"berlin-01", UUID(int=4).bytes,
        (257).to_bytes(8), b"door.opened", b"\1\2", UUID(int=1).bytes, UUID(int=2).bytes, UUID(int=3).bytes,
        b"unset", (1000).to_bytes(8), b'\1{"a":"\xc3\xa4"}', b"boot",
    ]  # fmt: skip
    (row,) = event_rows(
        batch, skip=0, tenant="default", locker="berlin-01", occurred=[PG_EPOCH_MS], received_ms=PG_EPOCH_MS,
        sources=[TimeSource.ORDER],
    )  # fmt: skip
    assert fields(row)[-1] == b"order"


def test_what_an_event_does_not_have_is_null_and_the_messages_clock_counts() -> None:
    batch = EventBatch(
        v=1, boot=UUID(int=9), t=1, at=1, clock=Clock.HOLDOVER, epoch=UUID(int=4), first=1,
        events=[Event(t=1, at=1, kind="x")],
    )  # fmt: skip
    (row,) = event_rows(batch, skip=0, tenant="t", locker="l", occurred=[NOW], received_ms=NOW)
    assert fields(row)[7:11] == [None, None, None, None]
    assert fields(row)[11] == b"holdover"
    assert fields(row)[13] is None


@given(batches)
def test_skipped_events_have_no_rows_and_the_others_keep_their_numbers(batch: EventBatch) -> None:
    occurred = [NOW + place for place in range(len(batch.events))]
    every = event_rows(batch, skip=0, tenant="t", locker="l", occurred=occurred, received_ms=NOW)
    for skip in range(len(batch.events) + 1):
        rows = event_rows(batch, skip=skip, tenant="t", locker="l", occurred=occurred, received_ms=NOW)
        assert rows == every[skip:]
    for place, row in enumerate(every):
        assert fields(row)[0] == ((NOW + place - PG_EPOCH_MS) * 1000).to_bytes(8, signed=True)
        assert fields(row)[5] == (batch.first + place).to_bytes(8)
        assert len(fields(row)) == EVENT_FIELDS


@given(st.lists(st.integers(-PG_EPOCH_MS, 253_402_300_799_999), max_size=20))
def test_the_hours_of_rows_are_those_of_their_events(times: list[int]) -> None:
    batch = EventBatch(
        v=1, boot=UUID(int=9), t=1, at=1, clock=Clock.SYNCED, epoch=UUID(int=4), first=1,
        events=[Event(t=1, at=1, kind="x")] * len(times),
    )  # fmt: skip
    rows = event_rows(batch, skip=0, tenant="t", locker="l", occurred=times, received_ms=NOW)
    begin = datetime(1970, 1, 1, tzinfo=UTC)
    exact = {begin + timedelta(milliseconds=at) for at in times}
    assert hours_of(rows) == sorted({at.replace(minute=0, second=0, microsecond=0) for at in exact})


@given(samples)
def test_a_readings_row_has_every_column(sample: Sample) -> None:
    found = fields(reading_row(sample, locker="l", sampled_ms=NOW, received_ms=NOW + 1))
    assert len(found) == READING_FIELDS
    values = (
        sample.temperature_c, sample.humidity_pct, sample.supply_v, sample.battery_pct, sample.rssi_dbm,
        sample.cpu_temp_c, sample.cpu_pct, sample.memory_pct, sample.disk_free_mb, sample.outbox_events,
        sample.board_errors, sample.dropped, sample.extra,
    )  # fmt: skip
    assert [value is None for value in values] == [one is None for one in found[3:-1]]


def test_a_readings_row_field_by_field() -> None:
    sample = Sample(t=1, temperature_c=1.5, outbox_events=7, dropped=9, extra={"a": 2.0})
    found = fields(reading_row(sample, locker="l", sampled_ms=PG_EPOCH_MS, received_ms=PG_EPOCH_MS + 1))
    assert found[:4] == [bytes(8), (1000).to_bytes(8), b"l", b"\x3f\xc0\0\0"]
    assert found[12:] == [b"\0\0\0\7", None, b"\0\0\0\x09", b'\1{"a":2.0}', b"boot"]


@given(samples)
def test_what_a_reading_says_does_not_depend_on_its_times(sample: Sample) -> None:
    one = reading_row(sample, locker="l", sampled_ms=NOW, received_ms=NOW, source=TimeSource.RECEIPT)
    other = reading_row(sample, locker="l", sampled_ms=NOW - 9, received_ms=NOW + 9, source=TimeSource.WALL)
    assert one != other
    said = reading_values(one, TimeSource.RECEIPT)
    assert said == reading_values(other, TimeSource.WALL) != b""
    assert tuple(fields(one)) == reading_fields(one)
