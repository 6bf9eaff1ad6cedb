"""Good messages as plain JSON, and every way found so far in which one can be bad, with the reason it must get."""

import json
from typing import Any

from wire.errors import Reason
from wire.messages import BATCH_EVENTS_MAX, BATCH_SAMPLES_MAX, MESSAGE_BYTES_MAX

BOOT = "00000000-0000-0000-0000-000000000001"
EPOCH = "00000000-0000-0000-0000-000000000002"
_UP = {"v": 1, "boot": BOOT, "t": 1000, "at": 1_790_000_000_000, "clock": "synced"}
EVENT = {"t": 1000, "at": 1_790_000_000_000, "kind": "door.opened", "door": 1}
EVENTS: dict[str, Any] = {**_UP, "epoch": EPOCH, "first": 1, "events": [EVENT]}
TELEMETRY: dict[str, Any] = {**_UP, "samples": [{"t": 1000, "temperature_c": 21.5}]}
PRESENCE: dict[str, Any] = {**_UP, "session": 1, "online": True, "agent": "0.1.0", "doors": 4, "boards": 1}


def payload(message: dict[str, Any], **changed: Any) -> bytes:  # noqa: ANN401 - any JSON
    """Return the message as JSON, some fields changed."""
    return json.dumps({**message, **changed}).encode()


def without(message: dict[str, Any], field: str) -> bytes:
    """Return the message as JSON, one field missing."""
    return json.dumps({name: value for name, value in message.items() if name != field}).encode()


def event(**changed: Any) -> bytes:  # noqa: ANN401 - any JSON
    """Return a batch of one event, some of its fields changed."""
    return payload(EVENTS, events=[{**EVENT, **changed}])


def raw(field: str, text: str) -> bytes:
    """Return a batch with one field's value as written, which need not be JSON."""
    return json.dumps({**EVENTS, field: "@"}).replace('"@"', text).encode()


def raw_data(text: bytes) -> bytes:
    """Return a batch whose only event has this as its data."""
    return event(data="@").replace(b'"@"', text)


_S, _M = Reason.SCHEMA, Reason.MALFORMED

BAD_EVENTS: dict[str, tuple[bytes, Reason]] = {
    "0 bytes": (b"", _M),
    "1 byte": (b"{", _M),
    "one NUL": (b"\x00", _M),
    "white space": (b" \n", _M),
    "a byte more than allowed": (b" " * (MESSAGE_BYTES_MAX + 1), Reason.TOO_LARGE),
    "truncated": (payload(EVENTS)[:-1], _M),
    "something behind": (payload(EVENTS) + b"x", _M),
    "two messages": (payload(EVENTS) * 2, _M),
    "BOM": (b"\xef\xbb\xbf" + payload(EVENTS), _M),
    "UTF-16": (payload(EVENTS).decode().encode("utf-16"), _M),
    "gzip": (b"\x1f\x8b\x08\x00" + payload(EVENTS), _M),
    "CBOR": (b"\xa1\x61\x76\x01", _M),
    "invalid UTF-8": (raw_data(b'{"a": "\xff"}'), _M),
    "overlong UTF-8": (raw_data(b'{"a": "\xc0\x80"}'), _M),
    "a surrogate in UTF-8": (raw_data(b'{"a": "\xed\xa0\x80"}'), _M),
    "a lone high surrogate": (raw_data(b'{"a": "\\ud800 and more"}'), _M),
    "a lone low surrogate": (raw_data(b'{"a": "\\udc00 and more"}'), _M),
    "a bare line feed in a text": (raw_data(b'{"a": "\n"}'), _M),
    "NaN": (raw("t", "NaN"), _M),
    "Infinity": (raw("t", "Infinity"), _M),
    "-Infinity": (raw("at", "-Infinity"), _M),
    "NaN in data": (raw_data(b'{"a": NaN}'), _M),
    "1e400": (raw("t", "1e400"), _S),
    "1e400 in data": (raw_data(b'{"a": 1e400}'), _S),
    "a single quote": (payload(EVENTS).replace(b'"', b"'"), _M),
    "a trailing comma": (payload(EVENTS)[:-1] + b",}", _M),
    "a comment": (b"/* */" + payload(EVENTS), _M),
    "null": (b"null", _S),
    "true": (b"true", _S),
    "a bare number": (b"1", _S),
    "a bare text": (b'"x"', _S),
    "an array": (b"[]", _S),
    "an empty object": (b"{}", _S),
    "depth 1100": (raw_data(b'{"a": ' + b"[" * 1100 + b"]" * 1100 + b"}"), _M),
    "depth 100000": (raw_data(b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"), _M),
    "depth 100000 at the top": (b"[" * 100_000, _S),
    "depth 40 in data": (raw_data(b'{"a": ' + b"[" * 40 + b"]" * 40 + b"}"), _S),
    "100,000 keys in data": (
        raw_data(json.dumps({str(n): 0 for n in range(20_000)}).encode()),
        _S,
    ),
    "v 0": (payload(EVENTS, v=0), _S),
    "v 2": (payload(EVENTS, v=2), Reason.VERSION),
    "v true": (payload(EVENTS, v=True), _S),
    "v 1.5": (payload(EVENTS, v=1.5), _S),
    "v 1.0": (raw("v", "1.0"), _S),
    "v as a text": (payload(EVENTS, v="1"), _S),
    "v null": (payload(EVENTS, v=None), _S),
    **{f"no {field}": (without(EVENTS, field), _S) for field in EVENTS},
    "boot is no UUID": (payload(EVENTS, boot="x"), _S),
    "boot a number": (payload(EVENTS, boot=1), _S),
    "epoch too short": (payload(EVENTS, epoch=EPOCH[:-1]), _S),
    "epoch too long": (payload(EVENTS, epoch=EPOCH + "0"), _S),
    "t -1": (payload(EVENTS, t=-1), _S),
    "t 2**53": (payload(EVENTS, t=2**53), _S),
    "t 2**53+1": (payload(EVENTS, t=2**53 + 1), _S),
    "t 2**63": (payload(EVENTS, t=2**63), _S),
    "t 2**64": (payload(EVENTS, t=2**64), _S),
    "t as a text": (payload(EVENTS, t="5"), _S),
    "t 1.0": (raw("t", "1.0"), _S),
    "t true": (payload(EVENTS, t=True), _S),
    "t 1e18": (raw("t", "1e18"), _S),
    "at -1": (payload(EVENTS, at=-1), _S),
    "at in year 10000": (payload(EVENTS, at=253_402_300_800_000), _S),
    "at 10**18": (payload(EVENTS, at=10**18), _S),
    "at in RFC 3339": (payload(EVENTS, at="2026-11-20T08:00:00+01:00"), _S),
    "at a leap second": (payload(EVENTS, at="2016-12-31T23:59:60Z"), _S),
    "clock unknown": (payload(EVENTS, clock="atomic"), _S),
    "first 0": (payload(EVENTS, first=0), _S),
    "first -1": (payload(EVENTS, first=-1), _S),
    "first 2**63": (payload(EVENTS, first=2**63), _S),
    "first 2**64": (payload(EVENTS, first=2**64), _S),
    "first so large that the batch overflows": (payload(EVENTS, first=2**63 - 1), _S),
    "first null": (payload(EVENTS, first=None), _S),
    "oldest 0": (payload(EVENTS, oldest=0), _S),
    "oldest as a text": (payload(EVENTS, oldest="1"), _S),
    "no event": (payload(EVENTS, events=[]), _S),
    "events null": (payload(EVENTS, events=None), _S),
    "events an object": (payload(EVENTS, events={}), _S),
    "501 events": (payload(EVENTS, events=[{"t": 1, "at": 1, "kind": "x"}] * (BATCH_EVENTS_MAX + 1)), _S),
    "10,000 empty events": (payload(EVENTS, events=[{}] * 10_000), _S),
    "partly valid": (payload(EVENTS, events=[EVENT, {**EVENT, "door": 0}, EVENT]), _S),
    "an event that is null": (payload(EVENTS, events=[EVENT, None]), _S),
    "event t missing": (payload(EVENTS, events=[{"at": 1, "kind": "x"}]), _S),
    "event at missing": (payload(EVENTS, events=[{"t": 1, "kind": "x"}]), _S),
    "kind missing": (payload(EVENTS, events=[{"t": 1, "at": 1}]), _S),
    "kind empty": (event(kind=""), _S),
    "kind in upper case": (event(kind="Door.opened"), _S),
    "kind of three parts": (event(kind="a.b.c"), _S),
    "kind with a line feed": (event(kind="door.opened\n"), _S),
    "kind of 49 characters": (event(kind="a" * 49), _S),
    "kind null": (event(kind=None), _S),
    "kind with NUL": (event(kind="a\x00"), _S),
    "door 0": (event(door=0), _S),
    "door -1": (event(door=-1), _S),
    "door 9999": (event(door=9999), _S),
    "door 1.5": (event(door=1.5), _S),
    "door as a text": (event(door="1"), _S),
    "door false": (event(door=False), _S),
    "actor is no UUID": (event(actor="anna@example.org"), _S),
    "command a number": (event(command=5), _S),
    "transaction empty": (event(transaction=""), _S),
    "event clock unknown": (event(clock=""), _S),
    "event t negative": (event(t=-5), _S),
    "event at huge": (event(at=10**15), _S),
    "data an array": (event(data=[]), _S),
    "data a text": (event(data="x"), _S),
    "data with NUL": (event(data={"a": "\x00"}), _S),
    "a key of data with NUL": (event(data={"\x00": 1}), _S),
    "data with 2**64": (event(data={"a": 2**64}), _S),
    "data with a number of 400 digits": (event(data={"a": 10**400}), _S),
    "data of 5000 bytes": (event(data={"a": "x" * 5000}), _S),
}

BAD_TELEMETRY: dict[str, tuple[bytes, Reason]] = {
    "no sample": (payload(TELEMETRY, samples=[]), _S),
    "501 samples": (payload(TELEMETRY, samples=[{"t": 1}] * (BATCH_SAMPLES_MAX + 1)), _S),
    "temperature of the sun": (payload(TELEMETRY, samples=[{"t": 1, "temperature_c": 5778}]), _S),
    "below nothing": (payload(TELEMETRY, samples=[{"t": 1, "memory_pct": -0.1}]), _S),
    "a text": (payload(TELEMETRY, samples=[{"t": 1, "supply_v": "12"}]), _S),
    "true": (payload(TELEMETRY, samples=[{"t": 1, "battery_pct": True}]), _S),
    "NaN": (payload(TELEMETRY, samples=[{"t": 1, "supply_v": float("nan")}]), _M),
    "a count with a fraction": (payload(TELEMETRY, samples=[{"t": 1, "outbox_events": 0.5}]), _S),
    "a count above 32 bits": (payload(TELEMETRY, samples=[{"t": 1, "dropped": 2**31}]), _S),
    "extra of texts": (payload(TELEMETRY, samples=[{"t": 1, "extra": {"a": "b"}}]), _S),
    "t missing": (payload(TELEMETRY, samples=[{"temperature_c": 1}]), _S),
    "-127, as a sensor says that does not answer": (
        payload(TELEMETRY, samples=[{"t": 1}, {"t": 2, "temperature_c": -127}, {"t": 3}]),
        _S,
    ),
    "extra with NUL": (payload(TELEMETRY, samples=[{"t": 1, "extra": {"\0": 1}}, {"t": 2}]), _S),
    "extra of 10,000 names": (
        payload(TELEMETRY, samples=[{"t": 1, "extra": dict.fromkeys(map(str, range(10_000)), 0)}]),
        _S,
    ),
    "t 2**53 - 1": (payload(TELEMETRY, t=2**53 - 1), _S),
    "a sample's t 2**53 - 1": (payload(TELEMETRY, samples=[{"t": 2**53 - 1}]), _S),
    "no samples": (without(TELEMETRY, "samples"), _S),
}

BAD_PRESENCES: dict[str, tuple[bytes, Reason]] = {
    "session 0": (payload(PRESENCE, session=0), _S),
    "session 2**53": (payload(PRESENCE, session=2**53), _S),
    "online 1": (payload(PRESENCE, online=1), _S),
    "online as a text": (payload(PRESENCE, online="true"), _S),
    "agent of 65 characters": (payload(PRESENCE, agent="x" * 65), _S),
    "agent with a line feed": (payload(PRESENCE, agent="0.1.0\n"), _S),
    "agent with an escape": (payload(PRESENCE, agent="\x1b[31m"), _S),
    "reason with NUL": (payload(PRESENCE, reason="\x00"), _S),
    "reason of 201 characters": (payload(PRESENCE, reason="x" * 201), _S),
    "doors -1": (payload(PRESENCE, doors=-1), _S),
    "an array": (b"[1]", _S),
}
