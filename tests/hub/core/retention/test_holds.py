"""A hold on nothing is refused, with a sentence."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest

from hub.core.retention.holds import HoldCoverage, HoldOrder, refuse_order, refuse_reason

NOW = datetime(2026, 11, 21, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
ALL = HoldCoverage(tenant=True, locker=True, account=True, transaction=True)
NOTHING = HoldCoverage(tenant=True, locker=False, account=False, transaction=False)


@pytest.mark.parametrize(
    "named",
    [
        {"locker": "berlin-01"}, {"account": UUID(int=1)}, {"transaction": UUID(int=1)}, {"since": NOW},
        {"before": NOW}, {"since": NOW - DAY, "before": NOW, "until": NOW + DAY},
    ],
)  # fmt: skip
def test_what_names_something_that_there_is_can_be(named: dict[str, Any]) -> None:
    assert refuse_order(HoldOrder("Theft", **named), ALL, NOW) is None


@pytest.mark.parametrize(
    ("order", "found", "why"),
    [
        (HoldOrder("x"), ALL, "names nothing"),
        (HoldOrder("x", until=NOW + DAY), ALL, "names nothing"),
        (HoldOrder("", locker="a"), ALL, "There is no reason"),
        (HoldOrder("x", since=NOW.replace(tzinfo=None)), ALL, "needs its zone"),
        (HoldOrder("x", since=datetime(1, 1, 1, tzinfo=timezone(14 * HOUR))), ALL, "outside of the years"),
        (HoldOrder("x", before=datetime(9999, 12, 31, 23, tzinfo=timezone(-HOUR))), ALL, "outside of the years"),
        (HoldOrder("x", locker="a", until=datetime.max.replace(tzinfo=timezone(-HOUR))), ALL, "outside of the y"),
        (HoldOrder("x", since=NOW, before=NOW), ALL, "is empty"),
        (HoldOrder("x", since=NOW, before=NOW - DAY), ALL, "wrong order"),
        (HoldOrder("x", locker="a", tenant="b"), HoldCoverage(False, True, True, True), "no tenant 'b'"),  # noqa: FBT003
        (HoldOrder("x", locker="a"), NOTHING, "no locker 'a'"),
        (HoldOrder("x", account=UUID(int=1)), NOTHING, "no account 00000000-0000-0000-0000-000000000001"),
        (HoldOrder("x", transaction=UUID(int=2)), NOTHING, "no transaction 00000000-0000-0000-0000-000000000002"),
        (HoldOrder("x", locker="a", until=NOW), ALL, "would have ended already"),
    ],
)
def test_what_cannot_be_is_refused(order: HoldOrder, found: HoldCoverage, why: str) -> None:
    refusal = refuse_order(order, found, NOW)
    assert refusal is not None
    assert why in refusal


@pytest.mark.parametrize(
    ("why", "wrong"), [(" ", "no reason"), ("x" * 201, "201 characters"), ("a\nb", "not one line")]
)
def test_a_reason_is_a_line_of_text(why: str, wrong: str) -> None:
    refusal = refuse_reason(why)
    assert refusal is not None
    assert wrong in refusal
