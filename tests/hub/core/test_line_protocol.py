"""Line protocol, held against a parser that was written from the public reference, and not from the writer."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.line_protocol import Value, line, timestamp

Parsed = tuple[str, dict[str, str], dict[str, Any], int]


def parse(text: str) -> Parsed:
    """Read one line as InfluxDB 2's reference of the line protocol has it.

    docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol: the first unescaped space ends measurement and
    tags, the second one outside of a string ends the fields. A backslash escapes comma and space in a measurement;
    comma, equals sign and space in keys and tag values; double quote and backslash in a string. Before any other
    character it stands for itself.
    """
    reader = Reader(text)
    measurement = reader.name(", ", ", ")
    tags = {}
    while reader.take(","):
        key = reader.name("=", ",= ")
        assert reader.take("=")
        tags[key] = reader.name(", ", ",= ")
    assert reader.take(" ")
    fields: dict[str, Any] = {}
    while True:
        key = reader.name("=", ",= ")
        assert reader.take("=")
        fields[key] = reader.value()
        if not reader.take(","):
            break
    assert reader.take(" ")
    return measurement, tags, fields, int(reader.rest())


class Reader:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def take(self, char: str) -> bool:
        found = self.text[self.at : self.at + 1] == char
        self.at += found
        return found

    def name(self, ends: str, escapable: str) -> str:
        read = ""
        while self.text[self.at] not in ends:
            if self.text[self.at] == "\\" and self.text[self.at + 1] in escapable:
                self.at += 1
            read += self.text[self.at]
            self.at += 1
        assert read
        return read

    def value(self) -> Any:  # noqa: ANN401 - whatever a field holds
        if self.take('"'):
            read = ""
            while not self.take('"'):
                if self.text[self.at] == "\\" and self.text[self.at + 1] in '"\\':
                    self.at += 1
                read += self.text[self.at]
                self.at += 1
            return read
        word = ""
        while self.text[self.at] not in ", ":
            word += self.text[self.at]
            self.at += 1
        if word in {"true", "false"}:
            return word == "true"
        return int(word[:-1]) if word.endswith("i") else float(word)

    def rest(self) -> str:
        return self.text[self.at :]


NAMES = st.text(min_size=1, max_size=8) | st.text(alphabet='a,= \\"#\n\r\t', min_size=1, max_size=8)
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | NAMES


def in_a_name(text: str) -> str:
    """What is left of a text in a name: what servers do not agree on is a question mark."""
    return "".join("?" if lost(char) or char == "\\" else sound(char) for char in text)


def in_a_string(text: str) -> str:
    seen = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return "".join(seen.get(char) or ("\ufffd" if lost(char) else sound(char)) for char in text)


def lost(char: str) -> bool:
    return char < " " or "\x7f" <= char <= "\x9f" or char in "\u2028\u2029"


def sound(char: str) -> str:
    return "?" if "\ud800" <= char <= "\udfff" else char


def kept(value: Value) -> bool:
    if isinstance(value, float):
        return value - value == 0
    return value is not None and (isinstance(value, str) or -(2**63) <= value < 2**63)


@given(NAMES, st.dictionaries(NAMES, NAMES | st.just("")), st.dictionaries(NAMES, VALUES), st.integers())
def test_whatever_goes_in_comes_out_at_its_place(
    measurement: str, tags: dict[str, str], fields: dict[str, Value], at: int
) -> None:
    # Names that are one after what is lost would be one for the server as well.
    tags = {in_a_name(key): value for key, value in tags.items()}
    fields = {in_a_name(key): value for key, value in fields.items()}
    written = line(measurement, tags, fields, at)
    expected = {
        key: in_a_string(value) if isinstance(value, str) else value for key, value in fields.items() if kept(value)
    }
    if not expected:
        assert written is None
        return
    assert written is not None
    text = written.decode()
    assert len(text.splitlines()) == 1
    name, read_tags, read_fields, read_at = parse(text)
    assert name == ("?" + in_a_name(measurement)[1:] if measurement[0] == "#" else in_a_name(measurement))
    assert read_tags == {key: in_a_name(value) for key, value in tags.items() if value}
    assert read_fields == expected
    assert {key: type(value) for key, value in read_fields.items()} == {k: type(v) for k, v in expected.items()}
    assert read_at == at


@pytest.mark.parametrize(
    ("measurement", "tags", "fields", "expected"),
    [
        ("m", {}, {"a": 1.5}, b"m a=1.5 7"),
        ("m", {"b": "2", "a": "1"}, {"a": 1}, b"m,a=1,b=2 a=1i 7"),
        ("a b,c=d", {"k 1,=": "v 1,="}, {"f 1,=": True}, rb"a\ b\,c=d,k\ 1\,\==v\ 1\,\= f\ 1\,\==true 7"),
        ("m", {"a": "x\\"}, {"f": 'q"\\'}, rb'm,a=x? f="q\"\\" 7'),
        ("m", {"a": "x\nm2 f=1 1"}, {"f": '"\nm2 f=1 1'}, rb'm,a=x?m2\ f\=1\ 1 f="\"\nm2 f=1 1" 7'),
        ("m", {"a": ""}, {"f": False}, b"m f=false 7"),
        ("#m", {}, {"f": 1}, b"?m f=1i 7"),
        ("m", {}, {"a": float("nan"), "b": float("inf"), "c": 2**63, "d": None, "e": 0}, b"m e=0i 7"),
        ("m", {}, {"e": -(2**63)}, b"m e=-9223372036854775808i 7"),
        ("m", {}, {"a": None}, None),
        ("m", {}, {"a": "", "b": 1e300, "c": 1e-7}, b'm a="",b=1e+300,c=1e-07 7'),
    ],
)  # fmt: skip
def test_how_it_is_written(
    measurement: str, tags: dict[str, str], fields: dict[str, Value], expected: bytes | None
) -> None:
    assert line(measurement, tags, fields, 7) == expected


@pytest.mark.parametrize(("measurement", "key"), [("", "a"), ("m", "")])
def test_a_point_without_a_name_is_an_error(measurement: str, key: str) -> None:
    with pytest.raises(ValueError, match="is empty"):
        line(measurement, {}, {key: 1.0}, 1)


def test_precisions() -> None:
    at = datetime(2026, 1, 31, 12, 0, 0, 123_456, tzinfo=UTC)
    assert [timestamp(at, unit) for unit in ("s", "ms", "us", "ns")] == [
        1769860800, 1769860800123, 1769860800123456, 1769860800123456000,
    ]  # fmt: skip
    assert timestamp(datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), "s") == -1


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_timestamp_is_exact(at: datetime) -> None:
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=timestamp(at, "us")) == at
    assert timestamp(at, "ns") == timestamp(at, "us") * 1000
