"""What the simulated lockers of a load say: messages of the wire with one number left open. Pure."""

from typing import Final
from uuid import UUID

from wire.messages import PROTOCOL, Clock, Event, EventBatch, Presence, Sample, TelemetryBatch, encode

_SEQ_HOLE: Final = 4_611_686_018_427_387_904
_COUNT_HOLE: Final = 2_147_483_001
_DOORS: Final = 16


def events_around_first(
    *, epoch: UUID, boot: UUID, t: int, at_ms: int, events: int, door: int = 1, shuts: bool = False
) -> tuple[bytes, bytes]:
    """Return an Events message of so many door events, before and after the number of its first one.

    Args:
        epoch: of the ledger.
        boot: the locker's boot.
        t: its boot clock, in milliseconds.
        at_ms: its wall clock, in Unix milliseconds.
        events: how many; doors open and shut in turn.
        door: the door that the first event is of.
        shuts: whether that one shuts instead of opening.
    """
    kinds = ("door.opened", "door.closed")
    said = EventBatch(
        v=PROTOCOL, boot=boot, t=t, at=at_ms, clock=Clock.SYNCED, epoch=epoch, first=_SEQ_HOLE,
        events=[
            Event(t=t, at=at_ms, kind=kinds[(place + shuts) % 2], door=(door - 1 + place // 2) % _DOORS + 1)
            for place in range(events)
        ],
    )  # fmt: skip
    return _around(encode(said), _SEQ_HOLE)


def telemetry_around_count(*, boot: UUID, at_ms: int) -> tuple[bytes, bytes, bytes]:
    """Return a Telemetry message of one sample, around its number: as its `t`, and again as its `outbox_events`.

    A hub takes a sample whose `t` is not after the one before for one that comes again.
    """
    sample = Sample(
        t=_COUNT_HOLE, temperature_c=21.5, humidity_pct=44.0, supply_v=12.1, rssi_dbm=-61.0, cpu_temp_c=48.2,
        cpu_pct=7.5, memory_pct=31.0, disk_free_mb=5120.0, outbox_events=_COUNT_HOLE,
    )  # fmt: skip
    said = TelemetryBatch(v=PROTOCOL, boot=boot, t=1, at=at_ms, clock=Clock.SYNCED, samples=[sample])
    head, middle, tail = encode(said).split(b"%d" % _COUNT_HOLE)
    return head, middle, tail


def presence(*, boot: UUID, t: int, at_ms: int) -> bytes:
    """Return the Presence of a locker that is online."""
    return encode(
        Presence(
            v=PROTOCOL, boot=boot, t=t, at=at_ms, clock=Clock.SYNCED, session=1, online=True, agent="bench",
            doors=_DOORS, boards=1, boards_online=1,
        )
    )  # fmt: skip


def _around(encoded: bytes, hole: int) -> tuple[bytes, bytes]:
    head, digits, tail = encoded.partition(b"%d" % hole)
    assert digits, "the number is in the message"
    return head, tail
