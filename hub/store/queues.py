"""The queues before tables, as the settings have them."""

from typing import Any

from hub.config.ingest import IngestSettings
from hub.metrics import Metrics
from hub.store.batcher import Batcher, Sink
from hub.store.commands import CommandUpdate
from hub.store.rows import EventUnit, Quarantined, ReadingUnit


def event_queue(sink: Sink[EventUnit], metrics: Metrics, intake: IngestSettings) -> Batcher[EventUnit]:
    """Return the queue of events, with a backlog for old ones."""
    return Batcher(
        "event", sink, metrics, queue_rows_max=intake.event_queue_rows_max,
        queue_bytes_max=intake.event_queue_bytes_max,
        backlog_rows_max=intake.backlog_queue_rows_max, **_flush(intake),
    )  # fmt: skip


def reading_queue(sink: Sink[ReadingUnit], metrics: Metrics, intake: IngestSettings) -> Batcher[ReadingUnit]:
    """Return the queue of telemetry."""
    return Batcher(
        "reading",
        sink,
        metrics,
        queue_rows_max=intake.reading_queue_rows_max,
        queue_bytes_max=intake.reading_queue_bytes_max,
        **_flush(intake),
    )


def quarantine_queue(sink: Sink[Quarantined], metrics: Metrics, intake: IngestSettings) -> Batcher[Quarantined]:
    """Return the queue of what cannot be accepted."""
    return Batcher(
        "quarantine",
        sink,
        metrics,
        queue_rows_max=intake.quarantine_queue_rows_max,
        queue_bytes_max=intake.quarantine_queue_bytes_max,
        **_flush(intake),
    )


def command_queue(sink: Sink[CommandUpdate], metrics: Metrics, intake: IngestSettings) -> Batcher[CommandUpdate]:
    """Return the queue of commands, as they stand."""
    return Batcher(
        "command", sink, metrics, queue_rows_max=intake.command_queue_rows_max,
        queue_bytes_max=intake.command_queue_bytes_max, **_flush(intake),
    )  # fmt: skip


def _flush(intake: IngestSettings) -> dict[str, Any]:
    return {
        "key_share": intake.queue_share_max,
        "flush_rows_max": intake.flush_rows_max,
        "flush_age_ms_max": intake.flush_age_ms_max,
    }
