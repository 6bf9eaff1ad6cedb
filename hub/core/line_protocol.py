r"""InfluxDB's line protocol, one point a line: text that no value can break out of.

    measurement,tag=value,… field=1.5,count=3i,text="…" timestamp

Source: the reference "Line protocol" of InfluxDB 2, docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol.
A backslash goes before comma and space in measurements, before comma, equals sign and space in tag keys, tag values
and field keys, and before double quote and backslash in strings. Servers do not agree on what a backslash before
anything else means in a name, nor on line breaks anywhere, so neither is ever written: in names they become `?`, in
strings line break, carriage return and tab become the two characters `\n`, `\r`, `\t`, and every other control
character U+FFFD.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import isfinite
from typing import Final, Literal, TypeAlias

Value: TypeAlias = float | int | bool | str | None
Precision: TypeAlias = Literal["s", "ms", "us", "ns"]

UNKNOWN: Final = "?"
"""What a character becomes that has no place in a name."""

_CONTROL: Final = (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)
_IN_NAMES: Final = dict.fromkeys((*_CONTROL, ord("\\")), UNKNOWN)
_MEASUREMENT: Final = _IN_NAMES | str.maketrans({",": "\\,", " ": "\\ "})
_KEY: Final = _IN_NAMES | str.maketrans({",": "\\,", "=": "\\=", " ": "\\ "})
_STRING: Final = dict.fromkeys(_CONTROL, "\ufffd") | str.maketrans(
    {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
)
_NAMES_KEPT: Final = 16_384
_INTEGER_MAX: Final = 2**63 - 1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_MICROSECONDS: Final = {"s": 1_000_000, "ms": 1000, "us": 1}


def line(measurement: str, tags: Mapping[str, str], fields: Mapping[str, Value], timestamp: int) -> bytes | None:
    """Return one point without a line break, or None if it has no field left.

    Tags are sorted by their key, so that the same point is always the same text; empty ones are left out. Fields
    that are None, not finite or beyond 64 bits are left out, since a server would refuse the whole line.

    Raises:
        ValueError: a measurement or a key is empty.
    """
    parts = [f"{_key(key)}={text}" for key, value in fields.items() if (text := _field(value)) is not None]
    if not parts:
        return None
    head = _measurement(measurement)
    for key in sorted(tags):
        if tags[key]:
            head += f",{_key(key)}={_key(tags[key])}"
    # A lone surrogate has no UTF-8.
    return f"{head} {','.join(parts)} {timestamp}".encode(errors="replace")


def timestamp(at: datetime, precision: Precision) -> int:
    """Return an aware time since the Unix epoch in units of `precision`, rounded down."""
    microseconds = (at - _EPOCH) // _MICROSECOND
    return microseconds * 1000 if precision == "ns" else microseconds // _MICROSECONDS[precision]


def _field(value: Value) -> str | None:
    if value is None:
        return None
    if isinstance(value, float):
        return repr(value) if isfinite(value) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value}i" if -_INTEGER_MAX - 1 <= value <= _INTEGER_MAX else None
    return f'"{value.translate(_STRING)}"'


# The same few names come in every line.
@lru_cache(_NAMES_KEPT)
def _key(text: str) -> str:
    return _present(text).translate(_KEY)


@lru_cache(_NAMES_KEPT)
def _measurement(text: str) -> str:
    name = _present(text).translate(_MEASUREMENT)
    # A line that begins with this is a comment.
    return UNKNOWN + name[1:] if name[0] == "#" else name


def _present(name: str) -> str:
    if not name:
        raise ValueError("a measurement or a key is empty: a line protocol point has to name both")
    return name
