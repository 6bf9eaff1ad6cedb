"""Messages: they round-trip, cut and spoilt ones are refused for the right reason, newer ones are understood."""

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from tests.wire.payloads import BAD_EVENTS, BAD_PRESENCES, BAD_TELEMETRY, EVENTS, PRESENCE, TELEMETRY, payload
from tests.wire.strategies import commands, datas, messages
from wire.errors import Reason, WireError
from wire.messages import (
    BATCH_EVENTS_MAX,
    DATA_BYTES_MAX,
    DATA_DEPTH_MAX,
    MESSAGE_BYTES_MAX,
    Clock,
    Command,
    CommandKind,
    Event,
    EventBatch,
    EventKind,
    HubState,
    Message,
    Presence,
    Receipt,
    Reply,
    TelemetryBatch,
    data_bytes,
    decode_command,
    decode_events,
    decode_hub_state,
    decode_presence,
    decode_receipt,
    decode_reply,
    decode_telemetry,
    encode,
    signing_bytes,
)

DECODERS: dict[type[Message], Callable[[bytes], Message]] = {
    EventBatch: decode_events,
    TelemetryBatch: decode_telemetry,
    Reply: decode_reply,
    Presence: decode_presence,
    Command: decode_command,
    Receipt: decode_receipt,
    HubState: decode_hub_state,
}


def read(kind: type[Message], text: bytes) -> Message:
    return DECODERS[kind](text)


def fits(message: Message) -> bool:
    events = message.events if isinstance(message, EventBatch) else []
    return all(event.data is None or len(encode_data(event.data)) <= DATA_BYTES_MAX for event in events)


def encode_data(data: dict[str, Any]) -> bytes:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()


@given(messages.filter(fits))
@settings(max_examples=300)
def test_every_message_comes_back_as_it_was(message: Message) -> None:
    text = encode(message)
    assert read(type(message), text) == message
    assert encode(read(type(message), text)) == text


@given(messages.filter(fits))
@settings(max_examples=40, deadline=None)
def test_every_message_cut_short_is_refused(message: Message) -> None:
    text = encode(message)
    for length in range(len(text)):
        with pytest.raises(WireError) as refused:
            read(type(message), text[:length])
        assert refused.value.reason in {Reason.MALFORMED, Reason.SCHEMA}


@given(messages.filter(fits), st.data())
@settings(max_examples=200)
def test_a_spoilt_byte_is_read_or_refused_and_nothing_else(message: Message, data: st.DataObject) -> None:
    text = bytearray(encode(message))
    text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    with suppress(WireError):
        read(type(message), bytes(text))


@given(st.binary(max_size=200), st.sampled_from(list(DECODERS)))
def test_no_bytes_make_a_decoder_fail_in_another_way(text: bytes, kind: type[Message]) -> None:
    with pytest.raises(WireError):
        read(kind, text)


def test_what_is_left_out_is_not_sent() -> None:
    event = Event(t=1, at=2, kind="door.opened", door=3)
    batch = EventBatch(
        v=1, boot=UUID(int=1), t=1, at=2, clock=Clock.SYNCED, epoch=UUID(int=2), first=1, events=[event]
    )
    assert b"null" not in encode(batch)
    assert json.loads(encode(batch))["events"] == [{"t": 1, "at": 2, "kind": "door.opened", "door": 3}]


@pytest.mark.parametrize(("text", "reason"), BAD_EVENTS.values(), ids=BAD_EVENTS.keys())
def test_bad_events_are_refused_for_the_right_reason(text: bytes, reason: Reason) -> None:
    with pytest.raises(WireError) as refused:
        decode_events(text)
    assert refused.value.reason is reason
    assert refused.value.detail


@pytest.mark.parametrize(("text", "reason"), BAD_TELEMETRY.values(), ids=BAD_TELEMETRY.keys())
def test_bad_telemetry_is_refused_for_the_right_reason(text: bytes, reason: Reason) -> None:
    with pytest.raises(WireError) as refused:
        decode_telemetry(text)
    assert refused.value.reason is reason


@pytest.mark.parametrize(("text", "reason"), BAD_PRESENCES.values(), ids=BAD_PRESENCES.keys())
def test_bad_presence_is_refused_for_the_right_reason(text: bytes, reason: Reason) -> None:
    with pytest.raises(WireError) as refused:
        decode_presence(text)
    assert refused.value.reason is reason


def test_the_largest_message_is_read_and_one_byte_more_is_not() -> None:
    text = payload(PRESENCE)
    full = text + b" " * (MESSAGE_BYTES_MAX - len(text))
    assert decode_presence(full) == decode_presence(text)
    with pytest.raises(WireError, match=r"262145 bytes; a message has 262144 at the most") as refused:
        decode_presence(full + b" ")
    assert refused.value.reason is Reason.TOO_LARGE


def test_a_full_batch_is_read() -> None:
    batch = payload(EVENTS, events=[{"t": 1, "at": 1, "kind": "x"}] * BATCH_EVENTS_MAX)
    assert len(decode_events(batch).events) == BATCH_EVENTS_MAX


def test_fields_of_a_newer_peer_are_ignored() -> None:
    text = payload(PRESENCE, colour="red", nested={"deep": [1, {"er": None}]})
    assert decode_presence(text) == decode_presence(payload(PRESENCE))
    event = {"t": 1, "at": 1, "kind": "door.opened", "mood": ["good"]}
    assert decode_events(payload(EVENTS, events=[event])).events == [Event(t=1, at=1, kind="door.opened")]


def test_kinds_of_a_newer_peer_are_kept() -> None:
    event = {"t": 1, "at": 1, "kind": "roof.leaking"}
    assert "roof.leaking" not in set(EventKind)
    assert decode_events(payload(EVENTS, events=[event])).events[0].kind == "roof.leaking"


def test_a_newer_version_is_told_apart_from_a_broken_message() -> None:
    with pytest.raises(WireError, match="protocol version 2; this side speaks 1") as refused:
        decode_telemetry(payload(TELEMETRY, v=2))
    assert refused.value.reason is Reason.VERSION


def test_the_last_of_two_equal_keys_counts() -> None:
    text = payload(PRESENCE).replace(b'"session": 1', b'"session": 1, "session": 7')
    assert decode_presence(text).session == 7


@pytest.mark.parametrize("value", ["\\u0000", "a\\\\u0000", "\\ud83d\\ude00", "\x7f", "\u2028"])
def test_data_keeps_text_that_only_looks_dangerous(value: str) -> None:
    assert json.loads(data_bytes({"text": value})) == {"text": value}


@given(datas)
def test_data_is_json_of_the_same_value(data: dict[str, Any]) -> None:
    text = encode_data(data)
    if len(text) < DATA_BYTES_MAX // 2:
        assert json.loads(data_bytes(data)) == data


def nested(levels: int) -> dict[str, Any]:
    inner: Any = 1
    for _ in range(levels - 1):
        inner = [inner]
    return {"deep": inner}


def test_data_is_bounded_in_size_depth_and_numbers() -> None:
    room = DATA_BYTES_MAX - len('{"a":""}')
    assert len(data_bytes({"a": "x" * room})) == DATA_BYTES_MAX
    assert data_bytes(nested(DATA_DEPTH_MAX))
    assert data_bytes({"a": [2**63 - 1, -(2**63)]})
    bad: dict[str, dict[str, Any]] = {
        "4097 bytes": {"a": "x" * (room + 1)},
        "deeper than 32": nested(DATA_DEPTH_MAX + 1),
        "64 bits": {"a": [{"b": 2**63}]},
        "an integer": {"a": -(2**63) - 1},
        "a NUL character": {"a": ["\x00"]},
        "NUL": {"a\x00": 1},
    }
    for words, data in bad.items():
        with pytest.raises(WireError, match=words) as refused:
            data_bytes(data, where="$.here")
        assert refused.value.reason is Reason.SCHEMA
        assert "`$.here`" in refused.value.detail


def test_the_place_of_bad_data_is_told() -> None:
    batch = payload(
        EVENTS, events=[{"t": 1, "at": 1, "kind": "x"}, {"t": 1, "at": 1, "kind": "x", "data": {"a": "\x00"}}]
    )
    with pytest.raises(WireError, match=r"\$\.events\[1\]\.data"):
        decode_events(batch)


COMMAND = Command(
    v=1, id=UUID(int=1), locker="berlin-01", kind="open", boot=UUID(int=2), not_after=5, door=3, args={"a": 1},
    actor=UUID(int=3), reason="hand-over",
)  # fmt: skip
OTHER: dict[str, Any] = {
    "v": 2,
    "id": UUID(int=9),
    "locker": "berlin-02",
    "kind": CommandKind.LOCATE.value,
    "boot": UUID(int=9),
    "not_after": 6,
    "door": 4,
    "args": {"a": True},
    "actor": UUID(int=9),
    "reason": "hand-over ",
}


def test_every_field_but_the_signature_is_signed() -> None:
    assert {*OTHER, "sig"} == set(Command.__struct_fields__)
    seen = {signing_bytes(COMMAND)}
    for field, value in OTHER.items():
        seen.add(signing_bytes(structs.replace(COMMAND, **{field: value})))
        if getattr(COMMAND, field) is not None and field in {"door", "args", "actor", "reason"}:
            seen.add(signing_bytes(structs.replace(COMMAND, **{field: None})))
    assert len(seen) == 1 + len(OTHER) + 4
    assert signing_bytes(structs.replace(COMMAND, sig=b"x" * 64)) == signing_bytes(COMMAND)


def test_a_value_that_moves_to_the_next_field_changes_what_is_signed() -> None:
    here = structs.replace(COMMAND, actor=UUID(int=3), reason=None)
    there = structs.replace(COMMAND, actor=None, reason=str(UUID(int=3)))
    assert signing_bytes(here) != signing_bytes(there)


def test_signing_bytes_are_of_one_fixed_form() -> None:
    one = structs.replace(COMMAND, args={"a": 1, "b": 2})
    other = structs.replace(COMMAND, args={"b": 2, "a": 1})
    assert signing_bytes(one) == signing_bytes(other)
    assert signing_bytes(COMMAND) == (
        b'lockerhub command 1\n[1,"00000000-0000-0000-0000-000000000001","berlin-01","open",'
        b'"00000000-0000-0000-0000-000000000002",5,3,{"a":1},"00000000-0000-0000-0000-000000000003","hand-over"]'
    )


@given(commands)
def test_a_command_is_signed_the_same_before_and_after_the_wire(command: Command) -> None:
    assert signing_bytes(decode_command(encode(command))) == signing_bytes(command)


def test_deep_nesting_in_an_ignored_field_does_not_end_the_process() -> None:
    depth = sys.getrecursionlimit() * 2
    text = payload(PRESENCE)[:-1] + b', "x": ' + b"[" * depth + b"]" * depth + b"}"
    with pytest.raises(WireError) as refused:
        decode_presence(text)
    assert refused.value.reason is Reason.MALFORMED
