"""A batch with a bad event in it: the bad one is named, and its neighbours are what they would be without it."""

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.payloads import BAD_EVENTS, BAD_TELEMETRY, BOOT, EVENT, EVENTS, TELEMETRY, payload, without
from tests.wire.strategies import batches, telemetries
from wire.errors import Reason, WireError
from wire.messages import DATA_BYTES_MAX, EventBatch, TelemetryBatch, decode_telemetry, encode
from wire.salvage import raw_samples, salvage_events, salvage_samples

BAD: dict[str, Any] = {
    "no object": 3,
    "null": None,
    "no kind": {"t": 1, "at": 1},
    "a negative time": {**EVENT, "t": -1},
    "true for a door": {**EVENT, "door": True},
    "a door as text": {**EVENT, "door": "1"},
    "an integer of 65 bits": {**EVENT, "data": {"n": 2**64}},
    "a NUL character": {**EVENT, "data": {"text": "\0"}},
    "data that is too long": {**EVENT, "data": {"text": "x" * DATA_BYTES_MAX}},
    "an id that is none": {**EVENT, "actor": "somebody"},
}


@pytest.mark.parametrize("name", BAD)
def test_neighbours_of_a_bad_event_keep_their_numbers(name: str) -> None:
    good = {**EVENT, "door": 2}
    batch, spoiled = salvage_events(payload(EVENTS, first=7, events=[EVENT, BAD[name], good]))

    assert list(spoiled) == [1]
    assert json.loads(spoiled[1].raw) == BAD[name]
    assert spoiled[1].error.reason is Reason.SCHEMA
    assert "1" in spoiled[1].error.detail
    assert (batch.first, len(batch.events)) == (7, 3)
    assert [batch.events[place].door for place in (0, 2)] == [1, 2]


def test_bytes_that_are_not_utf8_spoil_their_event_alone() -> None:
    text = payload(EVENTS, events=[EVENT, {**EVENT, "kind": "@"}]).replace(b'"@"', b'"\xff"')
    batch, spoiled = salvage_events(text)
    assert list(spoiled) == [1]
    assert spoiled[1].error.reason is Reason.MALFORMED
    assert batch.events[0].kind == "door.opened"


@given(batches)
def test_a_good_batch_is_salvaged_whole(batch: EventBatch) -> None:
    assert salvage_events(encode(batch)) == (batch, {})


@given(batches, st.data())
def test_any_event_may_be_the_bad_one(batch: EventBatch, data: st.DataObject) -> None:
    bad = data.draw(st.integers(0, len(batch.events) - 1))
    told = json.loads(encode(batch))
    told["events"][bad]["t"] = "noon"
    salvaged, spoiled = salvage_events(json.dumps(told).encode())
    assert list(spoiled) == [bad]
    assert [e for i, e in enumerate(salvaged.events) if i != bad] == [
        e for i, e in enumerate(batch.events) if i != bad
    ]


@pytest.mark.parametrize(
    "text",
    [
        payload(EVENTS, first=0),
        payload(EVENTS, epoch="nothing"),
        payload(EVENTS, events=[]),
        payload(EVENTS, v=2),
        without(EVENTS, "epoch"),
        payload(EVENTS)[:-1],
        b"",
    ],
)
def test_without_numbers_there_is_nothing_to_salvage(text: bytes) -> None:
    with pytest.raises(WireError):
        salvage_events(text)


@pytest.mark.parametrize("name", BAD_EVENTS)
def test_nothing_else_escapes(name: str) -> None:
    text, _ = BAD_EVENTS[name]
    try:
        batch, spoiled = salvage_events(text)
    except WireError:
        return
    assert batch.boot == UUID(BOOT)
    assert spoiled, "decode_events refused it for what is around the events, which salvage_events must refuse too"


def test_a_number_that_is_none_spoils_its_event_alone() -> None:
    """As `json.dumps` of Python writes it. Texts that have such a word in them stay what they are."""
    bad = {**EVENT, "data": {"a": float("nan"), "b": "-Infinity", "c": [float("-inf")]}}
    fine = {**EVENT, "data": {"a": 'NaN "NaN" \\'}}
    batch, spoiled = salvage_events(payload(EVENTS, events=[fine, bad, EVENT]))
    assert list(spoiled) == [1]
    assert spoiled[1].raw == json.dumps(bad).encode()
    assert spoiled[1].error.reason is Reason.MALFORMED
    assert batch.events[0].data == fine["data"]


def test_a_number_that_is_none_around_the_parts_leaves_nothing() -> None:
    for text in (payload(EVENTS, t=float("nan")), payload(TELEMETRY, at=float("inf"))):
        for salvage in (salvage_events, salvage_samples):
            with pytest.raises(WireError):
                salvage(text)


def test_to_look_for_such_numbers_takes_one_look_at_each_place() -> None:
    """An open text with many quotes in it, looked at from each of them anew, would take minutes."""
    with pytest.raises(WireError):
        salvage_events(b'NaN "' + b'\\"' * 120_000)


BAD_SAMPLES: dict[str, tuple[dict[str, Any], Reason]] = {
    "a DS18B20 that does not answer": ({"t": 1, "temperature_c": -127}, Reason.SCHEMA),
    "NaN": ({"t": 1, "supply_v": float("nan")}, Reason.MALFORMED),
    "infinite": ({"t": 1, "cpu_temp_c": float("-inf")}, Reason.MALFORMED),
    "extra with a NUL": ({"t": 1, "extra": {"a\0": 1}}, Reason.SCHEMA),
    "extra that is too long": ({"t": 1, "extra": {str(n): n for n in range(1000)}}, Reason.SCHEMA),
    "2**53 - 1": ({"t": 2**53 - 1}, Reason.SCHEMA),
    "no time": ({"temperature_c": 20.0}, Reason.SCHEMA),
}


@pytest.mark.parametrize("name", BAD_SAMPLES)
def test_a_bad_sample_costs_its_neighbours_nothing(name: str) -> None:
    bad, reason = BAD_SAMPLES[name]
    samples = [{"t": 1, "cpu_pct": 1.0}, bad, {"t": 2, "cpu_pct": 2.0}]
    text = payload(TELEMETRY, samples=samples)
    with pytest.raises(WireError):
        decode_telemetry(text)
    message, spoiled = salvage_samples(text)
    assert [sample.cpu_pct for sample in message.samples] == [1.0, 2.0]
    assert list(spoiled) == [1]
    assert spoiled[1].raw == json.dumps(bad).encode()
    assert spoiled[1].error.reason is reason


@given(telemetries)
def test_good_telemetry_is_salvaged_whole(message: TelemetryBatch) -> None:
    assert salvage_samples(encode(message)) == (message, {})
    assert len(raw_samples(encode(message))) == len(message.samples)


@pytest.mark.parametrize("name", BAD_TELEMETRY)
def test_nothing_else_escapes_of_telemetry(name: str) -> None:
    text, _ = BAD_TELEMETRY[name]
    try:
        _, spoiled = salvage_samples(text)
    except WireError:
        return
    assert spoiled
