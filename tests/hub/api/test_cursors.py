"""Cursors: what one list wrote it reads again; everything else is a 400 with a sentence."""

from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta, timezone
from typing import Final
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.api.cursors import Cursor, Time
from hub.api.problems import Problem

LIST: Final = Cursor("alarms", tuple[Time, UUID])
NUMBERS: Final = Cursor("audit", int)
TEXTS: Final = Cursor("lockers", str)
SOME: Final = UUID(int=7)


def cursor_of(*value: object) -> str:
    return urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")


def test_a_cursor_comes_back_as_it_was_written() -> None:
    at = datetime(2026, 10, 25, 2, 30, tzinfo=timezone(timedelta(hours=2)))
    assert LIST.read(LIST.write((at, SOME))) == (at, SOME)
    assert NUMBERS.read(NUMBERS.write(-(2**63))) == -(2**63)
    assert TEXTS.read(None) is None


@pytest.mark.parametrize("text", ["", "=", "a", "\x00", "AAAA", "é", "W10", "A" * 5000])
def test_a_cursor_of_nobody_is_refused(text: str) -> None:
    with pytest.raises(Problem, match="not one of this hub"):
        LIST.read(text)


@pytest.mark.parametrize(
    "at",
    [
        "2026-11-20T00:00:00", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
        "1969-12-31T23:59:59Z", "2200-01-01T00:00:00Z", "yesterday", 0.5, None, 10**18,
    ],
)  # fmt: skip
def test_a_time_that_nothing_has_is_refused(at: object) -> None:
    with pytest.raises(Problem, match="not one of this hub"):
        LIST.read(cursor_of("alarms", [at, str(SOME)]))


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 1.5, "1", True, None, [1]])
def test_a_number_that_the_database_has_no_room_for_is_refused(value: object) -> None:
    text = f'["audit",{value if type(value) is int else orjson.dumps(value).decode()}]'
    with pytest.raises(Problem, match="not one of this hub"):
        NUMBERS.read(urlsafe_b64encode(text.encode()).decode().rstrip("="))


def test_another_lists_cursor_is_refused_by_name() -> None:
    other = Cursor("jobs", tuple[Time, UUID]).write((datetime.now(UTC), SOME))
    with pytest.raises(Problem, match="'jobs', and this list is 'alarms'"):
        LIST.read(other)


def test_a_text_that_the_database_cannot_keep_is_refused() -> None:
    with pytest.raises(Problem, match="not one of this hub"):
        TEXTS.read(cursor_of("lockers", "a\0b"))


@given(st.integers(0, 200), st.text("AZaz09-_!\n ", min_size=1, max_size=2))
def test_a_cursor_that_was_tampered_with_is_never_read_as_something_else(place: int, put: str) -> None:
    written = LIST.write((datetime(2026, 11, 20, tzinfo=UTC), SOME))
    text = written[: place % len(written)] + put + written[place % len(written) :]
    try:
        read = LIST.read(text)
    except Problem:
        return
    assert read is not None
    assert LIST.read(LIST.write(read)) == read
