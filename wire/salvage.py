"""Batches that cannot be read as a whole, read part by part, so that one bad part does not cost its neighbours.

A salvage is only tried with a message that was refused: it costs several times as much as reading a good one.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta

from wire.errors import Reason, WireError
from wire.messages import (
    BATCH_EVENTS_MAX,
    BATCH_SAMPLES_MAX,
    Chain,
    Event,
    EventBatch,
    Sample,
    Seq,
    TelemetryBatch,
    Up,
    check_event,
    check_sample,
    decoder,
)

_SPOILED_KIND: Final = "spoiled"
# What some writers of JSON put for a number that is none. Texts are matched so that nothing in them is; an open one
# to its end, so that no place is looked at twice.
_NOT_JSON: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"?|-?(?:nan|inf(?:inity)?)', re.DOTALL | re.IGNORECASE)
_NO_NUMBER: Final = re.compile(rb"nan|inf", re.IGNORECASE)
_MARK: Final = b'"\\u0000'
_MARKED: Final = re.compile(rb'"\\u0000(-?(?:nan|inf(?:inity)?))"', re.IGNORECASE)
"""Stands before such a word while what is around its part is read. No text that is taken begins with a NUL."""
_P = TypeVar("_P")


@dataclass(frozen=True, slots=True)
class Spoiled:
    """One event or sample of a batch that cannot be taken: its own JSON, and why."""

    raw: bytes
    error: WireError


class _RawEvents(Up, frozen=True, kw_only=True, omit_defaults=True):
    epoch: UUID
    first: Seq
    oldest: Seq | None = None
    prev: Chain | None = None
    chain: Chain | None = None
    events: Annotated[list[msgspec.Raw], Meta(min_length=1, max_length=BATCH_EVENTS_MAX)]


class _RawTelemetry(Up, frozen=True, kw_only=True, omit_defaults=True):
    samples: Annotated[list[msgspec.Raw], Meta(min_length=1, max_length=BATCH_SAMPLES_MAX)]


_U = TypeVar("_U", _RawEvents, _RawTelemetry)
_decode_raw_events = decoder(_RawEvents)
_decode_raw_telemetry = decoder(_RawTelemetry)
_read_event = msgspec.json.Decoder(Event).decode
_read_sample = msgspec.json.Decoder(Sample).decode


def salvage_events(payload: bytes) -> tuple[EventBatch, dict[int, Spoiled]]:
    """Read a batch that `decode_events` refused, event by event, so that one bad event does not hold up a ledger.

    Returns the batch and its spoiled events by place. A spoiled place holds a stand-in, which must not be stored:
    it keeps the others at their numbers.

    Raises:
        WireError: what is around the events is not acceptable, so they have no numbers.
    """
    told = _around(_decode_raw_events, payload)
    stand_in = Event(t=told.t, at=told.at, kind=_SPOILED_KIND)
    events: list[Event] = []
    spoiled: dict[int, Spoiled] = {}
    for place, raw in enumerate(told.events):
        event = _read(raw, "event", place, _read_event, check_event)
        if isinstance(event, Spoiled):
            spoiled[place] = event
            events.append(stand_in)
        else:
            events.append(event)
    batch = EventBatch(
        v=told.v, boot=told.boot, t=told.t, at=told.at, clock=told.clock, epoch=told.epoch, first=told.first,
        oldest=told.oldest, prev=told.prev, chain=told.chain, events=events,
    )  # fmt: skip
    return batch, spoiled


def salvage_samples(payload: bytes) -> tuple[TelemetryBatch, dict[int, Spoiled]]:
    """Read a message that `decode_telemetry` refused, sample by sample, so that a bad one costs no other.

    Returns the message with what can be taken, which may be nothing, and its spoiled samples by their place in what
    was sent.

    Raises:
        WireError: what is around the samples is not acceptable, so they have no time.
    """
    told = _around(_decode_raw_telemetry, payload)
    samples: list[Sample] = []
    spoiled: dict[int, Spoiled] = {}
    for place, raw in enumerate(told.samples):
        sample = _read(raw, "sample", place, _read_sample, check_sample)
        if isinstance(sample, Spoiled):
            spoiled[place] = sample
        else:
            samples.append(sample)
    message = TelemetryBatch(v=told.v, boot=told.boot, t=told.t, at=told.at, clock=told.clock, samples=samples)
    return message, spoiled


def raw_samples(payload: bytes) -> list[bytes]:
    """Return the samples of a message that was taken, as they were sent."""
    return [bytes(raw) for raw in _around(_decode_raw_telemetry, payload).samples]


def _around(decode: Callable[[bytes], _U], payload: bytes) -> _U:
    """Read what is around a batch's parts; of numbers that are none, only the part they are in is to suffer."""
    try:
        return decode(payload)
    except WireError as error:
        if error.reason is not Reason.MALFORMED or _NO_NUMBER.search(payload) is None:
            raise
        try:
            return decode(_NOT_JSON.sub(_quoted, payload))
        except WireError:
            # What is wrong is what was sent, and not what was made of it.
            raise error from None


def _quoted(found: re.Match[bytes]) -> bytes:
    word = found[0]
    return word if word.startswith(b'"') else _MARK + word + b'"'


def _read(
    raw: msgspec.Raw, what: str, place: int, read: Callable[[msgspec.Raw], _P], check: Callable[[_P, str], None]
) -> _P | Spoiled:
    written, marked = _MARKED.subn(rb"\1", bytes(raw))
    if marked:
        detail = f"NaN and Infinity are not JSON, and what is not known is left out, in {what} {place}"
        return Spoiled(written, WireError(Reason.MALFORMED, detail))
    try:
        part = read(raw)
        check(part, f"$.{what}s[{place}]")
    except msgspec.ValidationError as error:
        return Spoiled(bytes(raw), WireError(Reason.SCHEMA, f"{error}, in {what} {place}"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Spoiled(bytes(raw), WireError(Reason.MALFORMED, f"{error}, in {what} {place}"))
    except WireError as error:
        return Spoiled(bytes(raw), error)
    return part
