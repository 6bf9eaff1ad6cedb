"""The settings of what comes in: queues, batches, and the shares of lockers."""

from typing import Annotated

import msgspec
from msgspec import Meta

from hub.config.types import Bytes, Milliseconds, Positive, Seconds


class IngestSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The way in."""

    event_queue_rows_max: Positive = 50_000
    reading_queue_rows_max: Positive = 50_000
    quarantine_queue_rows_max: Positive = 1000
    command_queue_rows_max: Positive = 10_000
    event_queue_bytes_max: Bytes = 268_435_456
    reading_queue_bytes_max: Bytes = 134_217_728
    quarantine_queue_bytes_max: Bytes = 33_554_432
    command_queue_bytes_max: Bytes = 33_554_432
    """The same limits in memory, as estimated from the lengths of messages."""
    queue_share_max: Annotated[float, Meta(gt=0, le=1)] = 0.25
    """The part of each of these queues that one locker may take."""
    flush_rows_max: Positive = 5000
    flush_age_ms_max: Milliseconds = 10
    quarantine_payload_bytes_max: Positive = 16_384
    quarantine_per_locker_per_minute: Positive = 300
    """How many messages of one locker and channel are kept in a minute, and at once."""
    cursors_max: Positive = 100_000
    epochs_per_day_max: Positive = 50
    """New epochs of one locker, for long and at once: it begins one with a new disk, or a fork."""
    epochs_per_locker_max: Positive = 1000
    """And in all; above it there is one a day."""
    silent_after_s: Seconds = 45.0
    """A locker that was not heard for so long is shown offline."""
    messages_per_s_max: Positive = 200
    records_per_s_max: Positive = 2000
    presences_per_s_max: Positive = 5
    replies_per_s_max: Positive = 50
    burst_s: Seconds = 10.0
    """What one locker may send: messages, and events or samples, presence, replies to commands, each counted for
    itself; in a burst, as much as in this time."""
    gaps_per_minute_max: Positive = 10
    """How many gaps of its ledger one locker may declare for long; in one go, as many as in ten minutes."""
    backlog_age_s: Seconds = 60.0
    """Events older than this wait in a queue of their own, so that what happens now overtakes them."""
    backlog_queue_rows_max: Positive = 20_000
