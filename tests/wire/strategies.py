"""Every message of the wire, as hypothesis makes it."""

from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from wire.messages import (
    PROTOCOL,
    Clock,
    Command,
    CommandState,
    Event,
    EventBatch,
    EventKind,
    HubState,
    Message,
    Presence,
    Receipt,
    Reply,
    Sample,
    Stages,
    TelemetryBatch,
)

AT_MS_MAX = 253_402_300_799_999
T_MS_MAX = 10 * 366 * 86_400_000

uuids = st.uuids()
boot_ms = st.integers(0, T_MS_MAX)
wall_ms = st.integers(0, AT_MS_MAX)
doors = st.integers(1, 999)
lockers = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=32)
kinds = st.sampled_from([kind.value for kind in EventKind]) | st.from_regex(
    r"[a-z][a-z0-9_]{0,20}(\.[a-z][a-z0-9_]{0,20})?", fullmatch=True
)
# Everything but surrogates, which UTF-8 has not, and the control characters.
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=200)
versions = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=64)
counts = st.integers(0, 2**31 - 1)
micros = st.integers(0, 2**53 - 1)

_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)
)
_keys = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=10)
datas: SearchStrategy[dict[str, Any]] = st.dictionaries(
    _keys,
    st.recursive(
        _scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)


def _maybe(strategy: SearchStrategy[Any]) -> SearchStrategy[Any]:
    return st.none() | strategy


_up: dict[str, SearchStrategy[Any]] = {
    "v": st.just(PROTOCOL),
    "boot": uuids,
    "t": boot_ms,
    "at": wall_ms,
    "clock": st.sampled_from(Clock),
}

events = st.builds(
    Event,
    t=boot_ms,
    at=wall_ms,
    kind=kinds,
    boot=_maybe(uuids),
    clock=_maybe(st.sampled_from(Clock)),
    door=_maybe(doors),
    actor=_maybe(uuids),
    command=_maybe(uuids),
    transaction=_maybe(uuids),
    data=_maybe(datas),
)
seqs = st.integers(1, 2**63 - 1 - 500)
chains = st.from_regex(r"[0-9a-f]{16}", fullmatch=True)
batches = st.builds(
    EventBatch,
    **_up,
    epoch=uuids,
    first=seqs,
    oldest=_maybe(seqs),
    prev=_maybe(chains),
    chain=_maybe(chains),
    events=st.lists(events, min_size=1, max_size=4),
)


def _within(low: float, high: float) -> SearchStrategy[float | None]:
    return _maybe(st.floats(low, high))


samples = st.builds(
    Sample,
    t=boot_ms,
    boot=_maybe(uuids),
    temperature_c=_within(-100, 200),
    humidity_pct=_within(0, 100),
    supply_v=_within(0, 1000),
    battery_pct=_within(0, 100),
    rssi_dbm=_within(-200, 50),
    cpu_temp_c=_within(-100, 200),
    cpu_pct=_within(0, 100),
    memory_pct=_within(0, 100),
    disk_free_mb=_within(0, 1e12),
    outbox_events=_maybe(counts),
    board_errors=_maybe(counts),
    dropped=_maybe(counts),
    extra=_maybe(st.dictionaries(_keys, st.floats(allow_nan=False, allow_infinity=False), max_size=3)),
)
telemetries = st.builds(TelemetryBatch, **_up, samples=st.lists(samples, min_size=1, max_size=3))
stages = st.builds(
    Stages,
    received_t=boot_ms,
    started_us=_maybe(micros),
    pulsed_us=_maybe(micros),
    replied_us=_maybe(micros),
)
replies = st.builds(
    Reply,
    **_up,
    id=uuids,
    state=st.sampled_from(CommandState),
    reason=_maybe(texts),
    stages=_maybe(stages),
)
presences = st.builds(
    Presence,
    **_up,
    session=st.integers(1, 2**53 - 1),
    online=st.booleans(),
    agent=versions,
    doors=counts,
    boards=counts,
    boards_online=counts,
    reason=_maybe(texts),
)
args = st.dictionaries(
    _keys, st.text(st.characters(codec="utf-8"), max_size=10) | st.integers(-(2**63), 2**63 - 1) | st.booleans(),
    max_size=3,
)  # fmt: skip
commands = st.builds(
    Command,
    v=st.just(PROTOCOL),
    id=uuids,
    locker=lockers,
    kind=kinds,
    boot=uuids,
    not_after=boot_ms,
    door=_maybe(doors),
    args=_maybe(args),
    actor=_maybe(uuids),
    reason=_maybe(texts),
    sig=st.binary(max_size=64),
)
receipts = st.builds(
    Receipt,
    v=st.just(PROTOCOL),
    epoch=uuids,
    upto=_maybe(st.integers(0, 2**63 - 1 - 500)),
    chain=_maybe(chains),
    expected=_maybe(seqs),
    fork=st.booleans(),
)
hub_states = st.builds(
    HubState,
    v=st.just(PROTOCOL),
    id=uuids,
    online=st.booleans(),
    version=versions,
    spread_s=st.floats(0, 3600),
)
messages: SearchStrategy[Message] = st.one_of(
    batches, telemetries, replies, presences, commands, receipts, hub_states
)

BOOT = UUID(int=1)
EPOCH = UUID(int=2)
