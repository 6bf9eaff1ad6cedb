"""What an answer of InfluxDB means, and how long to wait for the next."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.influx import Slice, WriteResponse, WriteVerdict, door_hour_line, judge, pause_s, reading_line

NOW = datetime(2026, 11, 21, 7, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("answer", "verdict", "left_out"),
    [
        (WriteResponse(204), WriteVerdict.TAKEN, 0),
        (WriteResponse(200), WriteVerdict.TAKEN, 0),
        (WriteResponse(400, '{"code":"invalid","message":"unable to parse \'x\'"}'), WriteVerdict.SPLIT, 0),
        (WriteResponse(422, "partial write: field type conflict: … dropped=3"), WriteVerdict.TAKEN, 3),
        (
            WriteResponse(422, "partial write: points beyond retention policy dropped=12 for"),
            WriteVerdict.TAKEN,
            12,
        ),
        (
            WriteResponse(400, '{"error":"partial write of line protocol","data":[{"line_number":2},{}]}'),
            WriteVerdict.TAKEN,
            2,
        ),
        (
            WriteResponse(400, '{"error":"partial write of line protocol occurred","data":[{"line_nu'),
            WriteVerdict.SPLIT,
            0,
        ),
        (WriteResponse(400, '{"error":"partial write","data":7}'), WriteVerdict.SPLIT, 0),
        (WriteResponse(400, '["partial write"]'), WriteVerdict.SPLIT, 0),
        (WriteResponse(422, "unprocessable"), WriteVerdict.SPLIT, 0),
        (WriteResponse(413), WriteVerdict.HALVE, 0),
        (WriteResponse(0, "refused"), WriteVerdict.LATER, 0),
        (WriteResponse(408), WriteVerdict.LATER, 0),
        (WriteResponse(429), WriteVerdict.LATER, 0),
        (WriteResponse(500), WriteVerdict.LATER, 0),
        (WriteResponse(503), WriteVerdict.LATER, 0),
        (WriteResponse(302), WriteVerdict.REFUSED, 0),
        (WriteResponse(401), WriteVerdict.REFUSED, 0),
        (WriteResponse(403), WriteVerdict.REFUSED, 0),
        (WriteResponse(404), WriteVerdict.REFUSED, 0),
        (WriteResponse(405), WriteVerdict.REFUSED, 0),
    ],
)
def test_what_an_answer_means(answer: WriteResponse, verdict: WriteVerdict, left_out: int) -> None:
    assert judge(answer) == (verdict, left_out)


def test_an_answer_is_told_in_one_short_line() -> None:
    assert WriteResponse(401, "no\n  such   token").sentence() == "401: no such token"
    assert WriteResponse(0, "connection refused").sentence() == "connection refused"
    assert len(WriteResponse(500, "x" * 10_000).sentence()) == 305


@pytest.mark.parametrize(
    ("header", "asked_s"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("Sat, 21 Nov 2026 07:00:09 GMT", 9.0),
        ("Sat, 21 Nov 2026 07:00:09 -0000", 9.0),
        ("Sat, 21 Nov 2026 06:00:00 GMT", 0.5),
        ("soon", 0.5),
        ("", 0.5),
        ("-3", 0.5),
        ("1.5", 0.5),
        ("٧", 0.5),  # noqa: RUF001 - a digit, and not one of HTTP
        ("9" * 400, 60.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 60.0),
        (None, 0.5),
    ],
)
def test_what_the_server_asks_for_is_obeyed_up_to_the_limit(header: str | None, asked_s: float) -> None:
    assert pause_s(1, header, NOW, 1.0, 60.0) == asked_s


@given(st.integers(1, 10_000), st.floats(0, 1), st.floats(0.1, 1000), st.text() | st.none())
def test_a_pause_is_neither_nothing_nor_above_the_limit(
    attempt: int, jitter: float, longest_s: float, header: str | None
) -> None:
    pause = pause_s(attempt, header, NOW, jitter, longest_s)
    assert min(0.25, longest_s / 2) <= pause <= longest_s


def test_pauses_grow_to_the_limit() -> None:
    assert [pause_s(attempt, None, NOW, 1.0, 5.0) for attempt in range(1, 7)] == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
    assert pause_s(3, None, NOW, 0.0, 5.0) == 1.0


def test_a_slice_fits_what_is_there() -> None:
    piece = Slice(8.0, least_s=1.0, most_s=16.0)
    far = NOW + timedelta(days=1)
    assert piece.end(NOW, far) == NOW + timedelta(seconds=8)
    assert piece.end(NOW, NOW + timedelta(seconds=3)) == NOW + timedelta(seconds=3)
    for _ in range(9):
        piece.narrow()
    assert piece.end(NOW, far) == NOW + timedelta(seconds=1)
    for _ in range(9):
        piece.widen()
    assert piece.end(NOW, far) == NOW + timedelta(seconds=16)


def reading(**measured: object) -> dict[str, Any]:
    names = (
        "temperature_c", "humidity_pct", "supply_v", "battery_pct", "rssi_dbm", "cpu_temp_c", "cpu_pct",
        "memory_pct", "disk_free_mb", "outbox_events", "board_errors", "dropped", "extra",
    )  # fmt: skip
    return {"upto": NOW, "locker": "berlin-01", "at": NOW, **dict.fromkeys(names), **measured}


def test_a_reading_has_the_fields_that_were_measured() -> None:
    row = reading(temperature_c=21.5, outbox_events=3, extra={"fan_rpm": 900})
    assert (
        reading_line(row, [], "s")
        == b"lockerhub_reading,locker=berlin-01 temperature_c=21.5,outbox_events=3i 1795244400"
    )
    assert reading_line(reading(), [], "s") is None


def test_further_numbers_are_sent_where_they_are_asked_for_and_always_as_floats() -> None:
    extra = {"a": 1, "b": 2.5, "c": True, "d": "x", "e": 10**400, "f": 4}
    row = reading(extra=extra)
    names = ["a", "b", "c", "d", "e", "z"]
    assert reading_line(row, names, "s") == b"lockerhub_reading,locker=berlin-01 extra_a=1.0,extra_b=2.5 1795244400"
    assert reading_line(reading(extra=None), names, "s") is None
    assert reading_line(reading(extra=[1]), names, "s") is None


def test_a_doors_hour_has_what_was_counted() -> None:
    row = {"upto": NOW, "locker": "berlin-01", "at": NOW, "door": 7, "openings": 2, "forced": 0}
    expected = b"lockerhub_door_hour,door=7,locker=berlin-01 openings=2i,forced=0i 1795244400000"
    assert door_hour_line(row, "ms") == expected
