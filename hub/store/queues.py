"""The queues before tables, bounded in rows and bytes, in all and for each key."""

from typing import TypeVar

from hub.config.ingest import IngestSettings
from hub.metrics import Metrics
from hub.store.batcher import Batcher, Sink
from hub.store.lane import WriteUnit

_U = TypeVar("_U", bound=WriteUnit)


def table_queue(
    table: str,
    sink: Sink[_U],
    metrics: Metrics,
    intake: IngestSettings,
    *,
    rows_max: int,
    bytes_max: int,
    key_share: float | None = None,
    backlog_rows_max: int = 0,
) -> Batcher[_U]:
    """Return the queue before a table; at its limits `put` says no.

    Args:
        table: for metrics and logs.
        sink: the writer.
        metrics: where it is counted.
        intake: when batches are closed, and the share of one key where none is given.
        rows_max: the rows that may wait.
        bytes_max: their memory, as callers of `put` say it.
        key_share: the part of both that one key may take.
        backlog_rows_max: the rows of what is old, in a queue of its own; 0 for none.
    """
    return Batcher(
        table,
        sink,
        metrics,
        queue_rows_max=rows_max,
        queue_bytes_max=bytes_max,
        key_share=intake.queue_share_max if key_share is None else key_share,
        backlog_rows_max=backlog_rows_max,
        flush_rows_max=intake.flush_rows_max,
        flush_age_ms_max=intake.flush_age_ms_max,
    )
