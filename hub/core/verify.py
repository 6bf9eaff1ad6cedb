"""What a ledger's rows say, against what was counted when they were stored."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RangeView:
    """Numbers from and to, both included."""

    from_seq: int
    to_seq: int


@dataclass(frozen=True, slots=True)
class GapView:
    """Numbers that the locker no longer has, and why; `unknown` where it does not say."""

    from_seq: int
    to_seq: int
    reason: str


@dataclass(frozen=True, slots=True)
class CountersView:
    """A ledger by the counters that are kept in the transactions which store it.

    stored + quarantined + missing + gone = last, where missing is what the locker no longer had, and gone what was
    there and has been deleted by a rule: its time was over, or a person was erased. `chain` names its history up
    to `last`, null where nobody can say.
    """

    locker: str
    epoch: UUID
    last: int
    stored: int
    quarantined: int
    missing: int
    gone: int
    chain: str | None
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class LedgerView:
    """A ledger, counted from its rows.

    `last` is the last number that was confirmed to the locker. `missing` is what nobody can explain, `declared`
    what the locker no longer had; the lists hold the first 100, `…_ranges` count all. `duplicates` are numbers that
    are there twice, `beyond` rows that no receipt has spoken of. `gone` are numbers that were deleted by a rule,
    `resurrected` rows that are there although their numbers are gone. `given_up` are events that the locker could
    not write and that have no number. `complete`: every number up to `last` is stored once or explained, as
    counted.
    """

    locker: str
    epoch: UUID
    first_stored: int | None
    last: int
    stored: int
    missing: int
    missing_ranges: int
    missing_list: list[RangeView]
    declared: int
    declared_ranges: int
    declared_list: list[GapView]
    quarantined: int
    quarantined_list: list[int]
    duplicates: int
    beyond: int
    gone: int
    resurrected: int
    given_up: int
    forks: int
    chain: str | None
    complete: bool
    problems: list[str]


def judge(row: Row) -> LedgerView:
    """Hold what was counted when a ledger was stored against what is there; `row` is one of `ledger_count`."""
    sentences = (
        (row["unexplained"], f"{row['unexplained']} numbers are neither stored nor explained"),
        (row["duplicates"], f"{row['duplicates']} numbers are there twice"),
        (row["beyond"], f"{row['beyond']} rows lie beyond the cursor"),
        (row["resurrected"], f"{row['resurrected']} rows are there although their numbers are gone by a rule"),
        (row["gone"] != row["gone_then"], f"{row['gone']} are written down as gone, {row['gone_then']} went"),
        (row["stored"] != row["stored_then"], f"{row['stored']} are stored, {row['stored_then']} were"),
        (
            row["quarantined"] != row["quarantined_then"],
            f"{row['quarantined']} are in quarantine, {row['quarantined_then']} were put there",
        ),
        (
            row["declared"] != row["declared_then"],
            f"{row['declared']} are declared missing, {row['declared_then']} were",
        ),
    )
    problems = [sentence for wrong, sentence in sentences if wrong]
    return LedgerView(
        locker=row["locker"],
        epoch=row["epoch"],
        first_stored=row["first_stored"],
        last=row["last"],
        stored=row["stored"],
        missing=int(row["unexplained"]),
        missing_ranges=row["unexplained_ranges"],
        missing_list=[RangeView(*one) for one in row["unexplained_list"]],
        declared=int(row["declared"]),
        declared_ranges=row["declared_ranges"],
        declared_list=[GapView(*one) for one in row["declared_list"]],
        quarantined=row["quarantined"],
        quarantined_list=row["quarantined_list"],
        duplicates=row["duplicates"],
        beyond=row["beyond"],
        gone=int(row["gone"]),
        resurrected=row["resurrected"],
        given_up=int(row["given_up"]),
        forks=row["forks"],
        chain=row["chain"],
        complete=not problems,
        problems=problems,
    )
