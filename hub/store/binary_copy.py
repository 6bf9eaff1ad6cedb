"""Rows of `event` and `reading` in PostgreSQL's binary COPY format.

https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format": per row a 16-bit field count, then each
field as a 32-bit length (-1 for null) and its binary value. timestamptz is microseconds since 2000-01-01 UTC,
jsonb is a version byte 1 and the text. Rows are made when a message is taken, so that a flush only joins them.
"""

from collections.abc import Container, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from struct import Struct
from typing import Final
from uuid import UUID

from hub.core.timing import TimeSource
from wire.messages import Event, EventBatch, Sample, data_bytes

HEADER: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER: Final = b"\xff\xff"

_PG_EPOCH_MS: Final = 946_684_800_000
_PG_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_NULL: Final = b"\xff\xff\xff\xff"
_LENGTH: Final = Struct("!i")
_INT2: Final = Struct("!ih")
_INT4: Final = Struct("!ii")
_INT8: Final = Struct("!iq")
_FLOAT4: Final = Struct("!if")
_EVENT_HEAD: Final = Struct("!hiqiq")  # field count, occurred_at, received_at
_OCCURRED_AT: Final = 6  # behind the field count and the length
_occurred_us = Struct("!q").unpack_from
_HOUR_US: Final = 3_600_000_000
_EVENT_FIELDS: Final = 15
_READING_FIELDS: Final = 17
_UUID_LENGTH: Final = _LENGTH.pack(16)
_SOURCES: Final = {source: _LENGTH.pack(len(source)) + source.value.encode() for source in TimeSource}
_BY_BOOT: Final = _SOURCES[TimeSource.BOOT]
_VALUES_AT: Final = 26  # behind the two times of a row of `reading`


def event_rows(
    batch: EventBatch,
    *,
    skip: int,
    tenant: str,
    locker: str,
    occurred: list[int],
    received_ms: int,
    sources: Sequence[TimeSource] | None = None,
    leave_out: Container[int] = (),
) -> list[bytes]:
    """Return the rows of a batch's events from number `skip` on.

    Args:
        batch: the message.
        skip: how many of its first events were stored before.
        tenant: the locker's tenant.
        locker: the locker's id.
        occurred: when each event of the whole batch occurred, in Unix milliseconds.
        received_ms: when the message came, in Unix milliseconds.
        sources: how that was got of each event; None for all by BOOT.
        leave_out: places in the batch that get no row.
    """
    received_us = (received_ms - _PG_EPOCH_MS) * 1000
    owner = _text(tenant) + _text(locker) + _UUID_LENGTH + batch.epoch.bytes
    usual_clock = _text(batch.clock.value)
    rows = []
    for place in range(skip, len(batch.events)):
        if place in leave_out:
            continue
        event = batch.events[place]
        rows.append(
            b"".join(
                (
                    _EVENT_HEAD.pack(_EVENT_FIELDS, 8, (occurred[place] - _PG_EPOCH_MS) * 1000, 8, received_us),
                    owner,
                    _INT8.pack(8, batch.first + place),
                    _text(event.kind),
                    _NULL if event.door is None else _INT2.pack(2, event.door),
                    _uuid(event.actor),
                    _uuid(event.command),
                    _uuid(event.transaction),
                    usual_clock if event.clock is None else _text(event.clock.value),
                    _INT8.pack(8, (event.at - _PG_EPOCH_MS) * 1000),
                    _data(event),
                    _BY_BOOT if sources is None else _SOURCES[sources[place]],
                )
            )
        )
    return rows


def hours_of(rows: Iterable[bytes]) -> list[datetime]:
    """Return the hours in which the events of some rows of `event` occurred: their beginnings in UTC, each once."""
    hours = {_occurred_us(row, _OCCURRED_AT)[0] // _HOUR_US for row in rows}
    return [datetime.fromtimestamp(_PG_EPOCH_MS // 1000 + hour * 3600, UTC) for hour in sorted(hours)]


def reading_row(
    sample: Sample, *, locker: str, sampled_ms: int, received_ms: int, source: TimeSource = TimeSource.BOOT
) -> bytes:
    """Return the row of one sample. Times are Unix milliseconds; `source` is how the first one was got."""
    return b"".join(
        (
            _EVENT_HEAD.pack(
                _READING_FIELDS,
                8, (sampled_ms - _PG_EPOCH_MS) * 1000,
                8, (received_ms - _PG_EPOCH_MS) * 1000,
            ),
            _text(locker),
            _float(sample.temperature_c),
            _float(sample.humidity_pct),
            _float(sample.supply_v),
            _float(sample.battery_pct),
            _float(sample.rssi_dbm),
            _float(sample.cpu_temp_c),
            _float(sample.cpu_pct),
            _float(sample.memory_pct),
            _float(sample.disk_free_mb),
            _int(sample.outbox_events),
            _int(sample.board_errors),
            _int(sample.dropped),
            _NULL if sample.extra is None else _jsonb(data_bytes(sample.extra)),
            _SOURCES[source],
        )
    )  # fmt: skip


def reading_values(row: bytes, source: TimeSource) -> bytes:
    """Return of a row of `reading` its locker and what it says, without its times and how they were got."""
    return row[_VALUES_AT : -4 - len(source)]


def sampled_at(row: bytes) -> datetime:
    """Return when the sample of a row of `reading` was taken."""
    return _PG_EPOCH + timedelta(microseconds=_occurred_us(row, _OCCURRED_AT)[0])


def reading_fields(row: bytes) -> tuple[bytes | None, ...]:
    """Return the fields of a row of `reading`, each in its binary form."""
    fields: list[bytes | None] = []
    at = 2
    while at < len(row):
        (length,) = _LENGTH.unpack_from(row, at)
        at += 4
        fields.append(None if length < 0 else row[at : at + length])
        at += max(length, 0)
    return tuple(fields)


def _data(event: Event) -> bytes:
    return _NULL if event.data is None else _jsonb(data_bytes(event.data))


# Kinds, lockers and tenants come again and again.
@lru_cache(maxsize=16_384)
def _text(value: str) -> bytes:
    encoded = value.encode()
    return _LENGTH.pack(len(encoded)) + encoded


def _uuid(value: UUID | None) -> bytes:
    return _NULL if value is None else _UUID_LENGTH + value.bytes


def _float(value: float | None) -> bytes:
    return _NULL if value is None else _FLOAT4.pack(4, value)


def _int(value: int | None) -> bytes:
    return _NULL if value is None else _INT4.pack(4, value)


def _jsonb(encoded: bytes) -> bytes:
    return _LENGTH.pack(len(encoded) + 1) + b"\x01" + encoded
