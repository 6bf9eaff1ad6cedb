"""Where every record that came in has gone: received = settled + in flight, at every moment.

A record is one event, one sample, or one message that was not read.
"""

from dataclasses import dataclass, field
from enum import StrEnum


class Disposition(StrEnum):
    """How a record was settled."""

    STORED = "stored"
    """Its row is committed."""
    DUPLICATE = "duplicate"
    """It was committed before."""
    QUARANTINED = "quarantined"
    """It was not acceptable and is kept, with its reason, in quarantine."""
    DEFERRED = "deferred"
    """It was not taken now; its sender keeps it and sends it again (a gap, a full queue, a failed commit)."""
    DROPPED = "dropped"
    """It is gone: telemetry above the queue's limit, or quarantine above its own."""


@dataclass(slots=True)
class Tally:
    """The running counts of one kind of record."""

    received: int = 0
    settled: dict[Disposition, int] = field(default_factory=lambda: dict.fromkeys(Disposition, 0))

    def settle(self, outcome: Disposition, count: int = 1) -> None:
        """Count records out."""
        self.settled[outcome] += count

    def open(self) -> int:
        """Return how many records must still be in flight for the account to balance."""
        return self.received - sum(self.settled.values())


@dataclass(slots=True)
class MessageAccounting:
    """The hub's books: one tally for ledger events, one for telemetry samples."""

    events: Tally = field(default_factory=Tally)
    samples: Tally = field(default_factory=Tally)
