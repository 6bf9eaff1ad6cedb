"""Every message between hub and agent, as JSON in UTF-8; see docs/protocol.md.

Decoding is strict where a wrong value could do harm (types, ranges, lengths, missing fields) and lenient
where a newer peer may say more (unknown fields are ignored, unknown event kinds are kept).

`t` is always the locker's CLOCK_BOOTTIME in milliseconds, counted from the boot named by `boot`. `at` is the
wall clock as the locker believes it, in milliseconds since the Unix epoch; `clock` says how far to trust it.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any, Final, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta

from wire.errors import Reason, WireError

PROTOCOL: Final = 1
MESSAGE_BYTES_MAX: Final = 256 * 1024
BATCH_EVENTS_MAX: Final = 500
BATCH_SAMPLES_MAX: Final = 500
DATA_BYTES_MAX: Final = 4096
DATA_DEPTH_MAX: Final = 32
DATA_INT_MAX: Final = 2**63 - 1
SIGNATURE_BYTES: Final = 64

_AT_MS_MAX: Final = 253_402_300_799_999  # the last millisecond of year 9999: PostgreSQL and Python both hold it
_T_MS_MAX: Final = 10 * 366 * 86_400_000  # ten years: no locker runs for longer without a restart
_NOT_AFTER_MS_MAX: Final = _T_MS_MAX + 86_400_000
_SEQ_MAX: Final = 2**63 - 1 - BATCH_EVENTS_MAX
# `$` also matches before a final newline; this does not.
_END: Final = r"(?![\s\S])"
_PRINTABLE: Final = r"^[^\u0000-\u001f\u007f]*" + _END

BootMs = Annotated[int, Meta(ge=0, le=_T_MS_MAX)]
NotAfterMs = Annotated[int, Meta(ge=0, le=_NOT_AFTER_MS_MAX)]
WallMs = Annotated[int, Meta(ge=0, le=_AT_MS_MAX)]
Seq = Annotated[int, Meta(ge=1, le=_SEQ_MAX)]
Door = Annotated[int, Meta(ge=1, le=999)]
Kind = Annotated[str, Meta(max_length=48, pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?" + _END)]
LockerId = Annotated[str, Meta(max_length=32, pattern=r"^[a-z0-9-]{1,32}" + _END)]
Text = Annotated[str, Meta(max_length=200, pattern=_PRINTABLE)]
Version = Annotated[str, Meta(max_length=64, pattern=_PRINTABLE)]
Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Micros = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Args = dict[str, str | int | bool]
Chain = Annotated[str, Meta(max_length=16, pattern=r"^[0-9a-f]{16}" + _END)]
"""What a ledger contains up to a number, in 64 bits: equal chains, equal history. `CHAIN_START` before event 1."""
CHAIN_START: Final = "0" * 16


class Clock(StrEnum):
    """How far a locker trusts its own wall clock."""

    SYNCED = "synced"
    HOLDOVER = "holdover"
    UNSET = "unset"


class CommandState(StrEnum):
    """What an agent says of a command in a reply."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Up(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What every message of an agent carries."""

    v: Annotated[int, Meta(ge=1)]
    boot: UUID
    t: BootMs
    at: WallMs
    clock: Clock


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One entry of a locker's ledger; its number is the batch's `first` plus its place in the batch.

    `boot` and `clock` are given where they differ from the message's: the event is of an earlier boot, or was
    stamped by a clock of another quality.
    """

    t: BootMs
    at: WallMs
    kind: Kind
    boot: UUID | None = None
    clock: Clock | None = None
    door: Door | None = None
    actor: UUID | None = None
    command: UUID | None = None
    transaction: UUID | None = None
    data: dict[str, Any] | None = None


class EventBatch(Up, frozen=True, kw_only=True, omit_defaults=True):
    """A batch of the ledger: dense, in order, starting at `first` within `epoch`.

    `oldest` is the first event that the locker still has. Where `first` is `oldest`, nothing before it can
    ever come, and the hub records what is missing as a gap instead of asking for it again.

    `prev` is the ledger's chain before event `first`, `chain` the one after the last event of this batch. A hub
    whose chain before `first` is another one looks at two ledgers with one name: a copied disk, a file put back.
    """

    epoch: UUID
    first: Seq
    oldest: Seq | None = None
    prev: Chain | None = None
    chain: Chain | None = None
    events: Annotated[list[Event], Meta(min_length=1, max_length=BATCH_EVENTS_MAX)]


class Sample(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One telemetry reading; what a locker cannot measure is left out. There is no person in it."""

    t: BootMs
    boot: UUID | None = None
    temperature_c: Annotated[float, Meta(ge=-100, le=200)] | None = None
    humidity_pct: Annotated[float, Meta(ge=0, le=100)] | None = None
    supply_v: Annotated[float, Meta(ge=0, le=1000)] | None = None
    battery_pct: Annotated[float, Meta(ge=0, le=100)] | None = None
    rssi_dbm: Annotated[float, Meta(ge=-200, le=50)] | None = None
    cpu_temp_c: Annotated[float, Meta(ge=-100, le=200)] | None = None
    cpu_pct: Annotated[float, Meta(ge=0, le=100)] | None = None
    memory_pct: Annotated[float, Meta(ge=0, le=100)] | None = None
    disk_free_mb: Annotated[float, Meta(ge=0, le=1e12)] | None = None
    outbox_events: Count | None = None
    board_errors: Count | None = None
    dropped: Count | None = None
    extra: dict[str, float] | None = None


class TelemetryBatch(Up, frozen=True, kw_only=True, omit_defaults=True):
    """Samples, oldest first."""

    samples: Annotated[list[Sample], Meta(min_length=1, max_length=BATCH_SAMPLES_MAX)]


class Stages(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When a command passed each stage at the agent: `received_t` by the boot clock, the rest after it."""

    received_t: BootMs
    started_us: Micros | None = None
    pulsed_us: Micros | None = None
    replied_us: Micros | None = None


class Reply(Up, frozen=True, kw_only=True, omit_defaults=True):
    """The progress or the outcome of a command."""

    id: UUID
    state: CommandState
    reason: Text | None = None
    stages: Stages | None = None


class Presence(Up, frozen=True, kw_only=True, omit_defaults=True):
    """Retained, and the agent's will: one session is online, or is over.

    `session` counts up with every connection and is kept on the locker's disk, so that a late will of an
    older session can be told from the present.
    """

    session: Annotated[int, Meta(ge=1, le=2**53 - 1)]
    online: bool
    agent: Version
    doors: Count
    boards: Count
    boards_online: Count = 0
    reason: Text | None = None


class Command(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One order to one locker, valid for one boot until `not_after` on that boot's clock.

    `sig` is Ed25519 (RFC 8032) by the hub's command key over `signing_bytes`.
    """

    v: Annotated[int, Meta(ge=1)]
    id: UUID
    locker: LockerId
    kind: Kind
    boot: UUID
    not_after: NotAfterMs
    door: Door | None = None
    args: Args | None = None
    actor: UUID | None = None
    reason: Text | None = None
    sig: Annotated[bytes, Meta(max_length=SIGNATURE_BYTES)] = b""


class Receipt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The hub's word on one epoch: one of `upto`, `expected` and `fork`.

    `upto`: all up to it is committed. `chain`, where the hub knows it, is that history's: a locker whose own chain
    at `upto` is another one must take nothing as confirmed, and forks. `expected`: send again from there. `fork`:
    the numbers of this epoch are taken by another history, so begin a new epoch with all that is not confirmed.
    """

    v: Annotated[int, Meta(ge=1)]
    epoch: UUID
    upto: Annotated[int, Meta(ge=0, le=_SEQ_MAX)] | None = None
    chain: Chain | None = None
    expected: Seq | None = None
    fork: bool = False


class HubState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Retained: the hub that is on duty. Agents spread what waits for it over `spread_s` seconds."""

    v: Annotated[int, Meta(ge=1)]
    id: UUID
    online: bool
    version: Version
    spread_s: Annotated[float, Meta(ge=0, le=3600)] = 0.0


Message = EventBatch | TelemetryBatch | Reply | Presence | Command | Receipt | HubState
_M = TypeVar("_M", bound=TelemetryBatch | Reply | Presence | Command | Receipt | HubState | Up)

_encoder = msgspec.json.Encoder()


def encode(message: Message) -> bytes:
    """Return the message as it goes over the wire."""
    return _encoder.encode(message)


def decoder(kind: type[_M]) -> Callable[[bytes], _M]:
    """Return what reads one kind of message. It raises WireError with a reason."""
    read = msgspec.json.Decoder(kind).decode

    def decode(payload: bytes) -> _M:
        if len(payload) > MESSAGE_BYTES_MAX:
            raise WireError(
                Reason.TOO_LARGE, f"{len(payload)} bytes; a message has {MESSAGE_BYTES_MAX} at the most"
            )
        try:
            message = read(payload)
        except msgspec.ValidationError as error:
            raise WireError(Reason.SCHEMA, str(error)) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise WireError(Reason.MALFORMED, str(error)) from None
        if message.v != PROTOCOL:
            raise WireError(Reason.VERSION, f"protocol version {message.v}; this side speaks {PROTOCOL}")
        return message

    decode.__doc__ = f"Read one {kind.__name__}. Raises WireError with a reason."
    return decode


decode_reply = decoder(Reply)
decode_presence = decoder(Presence)
decode_command = decoder(Command)
decode_receipt = decoder(Receipt)
decode_hub_state = decoder(HubState)
_decode_events = decoder(EventBatch)
_decode_telemetry = decoder(TelemetryBatch)


def decode_events(payload: bytes) -> EventBatch:
    """Read one Events, and see that every `data` can be stored. Raises WireError with a reason."""
    batch = _decode_events(payload)
    for place, event in enumerate(batch.events):
        if event.data is not None:
            check_event(event, f"$.events[{place}]")
    return batch


def decode_telemetry(payload: bytes) -> TelemetryBatch:
    """Read one Telemetry, and see that every `extra` can be stored. Raises WireError with a reason."""
    message = _decode_telemetry(payload)
    for place, sample in enumerate(message.samples):
        if sample.extra:
            check_sample(sample, f"$.samples[{place}]")
    return message


def check_event(event: Event, where: str) -> None:
    """Raise WireError if an event's `data` cannot be stored."""
    if event.data is not None:
        data_bytes(event.data, where=f"{where}.data")


def check_sample(sample: Sample, where: str) -> None:
    """Raise WireError if a sample's `extra` cannot be stored."""
    if sample.extra is not None:
        data_bytes(sample.extra, where=f"{where}.extra")


def data_bytes(data: dict[str, Any], *, where: str = "$.data") -> bytes:
    """Return an event's `data` as JSON that everyone behind the hub can hold: jsonb, browsers, API clients.

    Raises:
        WireError: it is longer than DATA_BYTES_MAX, deeper than DATA_DEPTH_MAX, has an integer of more than
            64 bits, or a NUL character, which jsonb cannot store.
    """
    _check_data(data, where, 1)
    encoded = _encoder.encode(data)
    if len(encoded) > DATA_BYTES_MAX:
        raise WireError(Reason.SCHEMA, f"{len(encoded)} bytes, {DATA_BYTES_MAX} at the most - at `{where}`")
    return encoded


def _check_data(value: Any, where: str, depth: int) -> None:  # noqa: ANN401 - any JSON
    if isinstance(value, str):
        if "\x00" in value:
            raise WireError(Reason.SCHEMA, f"a NUL character cannot be stored - at `{where}`")
    elif isinstance(value, int):
        if not -DATA_INT_MAX - 1 <= value <= DATA_INT_MAX:
            raise WireError(Reason.SCHEMA, f"an integer has 64 bits at the most - at `{where}`")
    elif isinstance(value, dict | list):
        if depth > DATA_DEPTH_MAX:
            raise WireError(Reason.SCHEMA, f"nested deeper than {DATA_DEPTH_MAX} - at `{where}`")
        for part in value:
            _check_data(part, where, depth + 1)
        if isinstance(value, dict):
            for part in value.values():
                _check_data(part, where, depth + 1)


_signed_encoder = msgspec.json.Encoder(order="deterministic")
_SIGNED_CONTEXT: Final = b"lockerhub command 1\n"


def signing_bytes(command: Command) -> bytes:
    """Return what is signed of a command: every field but `sig`, in one fixed form, under its own context.

    The locker's id is among them, so that a captured command is worth nothing to another locker.
    """
    fields: Final[tuple[object, ...]] = (
        command.v,
        command.id,
        command.locker,
        command.kind,
        command.boot,
        command.not_after,
        command.door,
        command.args,
        command.actor,
        command.reason,
    )
    return _SIGNED_CONTEXT + _signed_encoder.encode(fields)


class EventKind(StrEnum):
    """The kinds that agents of this version write. A hub keeps unknown kinds as they come."""

    DOOR_UNLOCKED = "door.unlocked"
    DOOR_OPENED = "door.opened"
    DOOR_CLOSED = "door.closed"
    DOOR_OPEN_NOT_DETECTED = "door.open_not_detected"
    DOOR_FORCED = "door.forced"
    DOOR_LEFT_OPEN = "door.left_open"
    DOOR_JAMMED = "door.jammed"
    SENSOR_FAULT = "sensor.fault"
    SENSOR_OK = "sensor.ok"
    OCCUPANCY_CHANGED = "occupancy.changed"
    BOARD_OFFLINE = "board.offline"
    BOARD_ONLINE = "board.online"
    TAMPER_ON = "tamper.on"
    TAMPER_OFF = "tamper.off"
    POWER_LOST = "power.lost"
    POWER_RESTORED = "power.restored"
    BATTERY_LOW = "battery.low"
    TEMPERATURE_HIGH = "temperature.high"
    ACCESS_GRANTED = "access.granted"
    ACCESS_DENIED = "access.denied"
    COMMAND_FINISHED = "command.finished"
    AGENT_STARTED = "agent.started"
    AGENT_STOPPING = "agent.stopping"
    SNAPSHOT = "snapshot"
    OUTBOX_GAP = "outbox.gap"
    LEDGER_FORKED = "ledger.forked"


class CommandKind(StrEnum):
    """What a locker can be told to do."""

    OPEN = "open"
    LOCATE = "locate"
    CONFIGURE = "configure"
    """Set what `args` names (`doors.left_open_s`, …) and keep it over restarts."""
    RESTART = "restart"
    """End the agent in order; what supervises it starts it again."""
    FORGET = "forget"
    """Take the actor in `args.actor` out of all that is confirmed and kept: events, and commands that are over."""
    CANCEL = "cancel"
    """Never begin the command whose id is in `args.command`. The reply is that command's, not this one's."""


DURABLE_KINDS: Final = frozenset({CommandKind.CONFIGURE.value, CommandKind.RESTART.value, CommandKind.FORGET.value})
"""Kinds that a hub keeps for a locker that is away. It sends them again with a new deadline, under the same id,
until it has a final reply; so an agent keeps no record of one that it refused for its delivery (`expired`,
`too_far_ahead`, `wrong_boot`)."""
