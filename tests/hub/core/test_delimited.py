"""CSV: what is read back is what was written, and no cell begins a formula."""

import csv
import io
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.delimited import cell, csv_lines

DANGEROUS = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"
texts = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\x00")),
    st.text(st.sampled_from(DANGEROUS + " '\",;ab\ufeff\u200b\u00a0")),
)


def read(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


def original(text: str) -> str:
    return text.removeprefix("'")


@given(st.lists(st.lists(texts, min_size=2, max_size=4), min_size=1, max_size=4))
def test_texts_come_back(rows: list[list[str]]) -> None:
    assert [[original(text) for text in row] for row in read(csv_lines(rows))] == rows


@given(texts)
def test_no_text_begins_a_formula(text: str) -> None:
    ((found, _),) = read(csv_lines([[text, "end"]]))
    assert not found.startswith(tuple(DANGEROUS))
    assert not found.strip().startswith(tuple(DANGEROUS))


@given(texts)
def test_what_separates_cells_elsewhere_stands_in_quotes(text: str) -> None:
    written = cell(text)
    if any(one in text for one in ',;\t\r\n"'):
        assert written[0] == written[-1] == '"'


@given(st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False)))
def test_numbers_stay_numbers(number: float) -> None:
    assert type(number)(cell(number)) == number
    assert cell(number)[0] in "-0123456789"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ""),
        ("", ""),
        (True, "true"),
        (False, "false"),
        (-3, "-3"),
        ("-3", "'-3"),
        ("=1+1", "'=1+1"),
        (" =1+1", "' =1+1"),
        ("\u200b@x", "'\u200b@x"),
        ("\uff1dA1", "'\uff1dA1"),
        ("'quoted", "''quoted"),
        ('say "a", b', '"say ""a"", b"'),
        ("a;=1", '"a;=1"'),
        (" ", '" "'),
        (datetime(2026, 11, 20, 8, tzinfo=UTC), "2026-11-20T08:00:00Z"),
        (datetime(2026, 11, 20, 8, tzinfo=timezone(timedelta(hours=1))), "2026-11-20T08:00:00+01:00"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ({"a": "=1", "b": [1]}, '"{""a"":""=1"",""b"":[1]}"'),
        ([], "[]"),
    ],
)
def test_cells(value: object, expected: str) -> None:
    assert cell(value) == expected


def test_a_line_ends_as_the_rfc_has_it() -> None:
    assert csv_lines([["a", 1], ["b", None]]) == "a,1\r\nb,\r\n"
