"""What is handed to the store: units that are written whole or not at all.

The two that are made for every message are not frozen, which would cost a microsecond each; nobody changes them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from hub.core.gaps import DeclaredGap
from hub.core.ledger import Key

_UNIT_BYTES: Final = 1024
_ROW_BYTES: Final = 384
"""What a row takes beside the text that it was sent as."""


def unit_bytes(payload: bytes, records: int) -> int:
    """Return about how much memory a unit takes: its message, which is kept, and rows that are as long again."""
    return _UNIT_BYTES + 2 * len(payload) + _ROW_BYTES * records


@dataclass(slots=True)
class EventUnit:
    """The new events of one message, already in COPY form.

    `first_seq` is the number of the first row (or of the first missing one, if there is a gap), `next_seq` the
    locker's cursor afterwards; `prev` is the chain before `first_seq` and `chain` the one before `next_seq`, None
    where nobody can say. `spoiled` are the numbers between them that could not be taken. `count` is how many
    records it settles. `topic` and `payload` are kept for quarantine, should the rows be refused.
    """

    key: Key
    first_seq: int
    next_seq: int
    rows: list[bytes]
    gap: tuple[int, int] | None
    received_ms: int
    topic: str
    payload: bytes
    count: int
    prev: str | None = None
    chain: str | None = None
    spoiled: Sequence["Quarantined"] = ()
    told: Sequence[DeclaredGap] = ()

    def numbers(self) -> list[int]:
        """Return the number of each row."""
        begin = self.first_seq if self.gap is None else self.gap[1] + 1
        left_out = {row.seq for row in self.spoiled}
        return [seq for seq in range(begin, self.next_seq) if seq not in left_out]


@dataclass(slots=True)
class ReadingUnit:
    """The samples of one message, already in COPY form; none where all came before.

    `acknowledge` is called once its fate is decided. `places` are those of its rows among the message's samples,
    None where all of them are there. `doubtful`: its rows may be stored already, by another hub or by a commit that
    was not answered, and are compared with what is there.
    """

    rows: list[bytes]
    received_ms: int
    topic: str
    payload: bytes
    acknowledge: Callable[[], None] | None = None
    places: Sequence[int] | None = None
    doubtful: bool = False

    @property
    def count(self) -> int:
        """How many records it settles."""
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A message, or as much of it as is kept, that was not acceptable."""

    received_at: datetime
    topic: str
    reason: str
    detail: str
    payload: bytes
    payload_bytes: int
    key: Key | None = None
    """Whose ledger, where it is known."""
    seq: int | None = None
    """The number that it had there, where it is one event: the ledger goes on behind it."""

    @property
    def count(self) -> int:
        """One record."""
        return 1


@dataclass(frozen=True, slots=True)
class EventsQuery:
    """A page of one locker's events, newest first. `after` is (occurred_at, epoch, seq) of the last row seen."""

    locker: str
    since: datetime
    until: datetime
    limit: int
    door: int | None = None
    kind: str | None = None
    after: tuple[datetime, UUID, int] | None = None


@dataclass(frozen=True, slots=True)
class ReadingsQuery:
    """A page of one locker's telemetry, newest first. `after`: the last row's time, how many of it were seen."""

    locker: str
    since: datetime
    until: datetime
    limit: int
    after: tuple[datetime, int] | None = None
