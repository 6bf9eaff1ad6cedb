"""The tables that fill with time, and what their rows say of tenant, person and transaction."""

from dataclasses import dataclass
from typing import Final

from hub.core.retention.policy import Category


@dataclass(frozen=True, slots=True)
class TimeSeriesKind:
    """A table with a time and a `locker_id` in every row. Columns that it does not have are None."""

    category: Category
    table: str
    at: str
    """Where the clock starts."""
    received: str | None = None
    """When the row came; of what came after a run, the run could not know. None: the table does not say."""
    tenant: str | None = None
    """None: the tenant is the locker's."""
    actor: str | None = None
    transaction: str | None = None
    ledger: bool = False
    """Its rows have numbers of ledgers, which are let go with them."""


SERIES: Final = (
    TimeSeriesKind(
        Category.EVENT, "event", "occurred_at", "received_at",
        tenant="tenant_id", actor="actor_id", transaction="transaction_id", ledger=True,
    ),
    TimeSeriesKind(Category.READING, "reading", "sampled_at", "stored_at"),
    TimeSeriesKind(Category.READING_ROLLUP, "reading_hour", "bucket"),
    TimeSeriesKind(Category.READING_ROLLUP, "reading_day", "bucket"),
    TimeSeriesKind(Category.READING_ROLLUP, "door_hour", "hour", "updated_at"),
    TimeSeriesKind(Category.COMMAND, "command", "accepted_at", "updated_at", actor="actor_id"),
)  # fmt: skip
