"""A locker's share of gaps, and of reasons for them."""

from hub.core.gaps import DeclaredGap
from hub.ingest.gap_quota import GapShares
from wire.messages import Event


def gap(first: int, last: int, reason: str | None) -> Event:
    return Event(t=1, at=1, kind="outbox.gap", data={"from": first, "to": last, "reason": reason})


def test_gaps_are_declared_at_a_rate() -> None:
    shares = GapShares(6)
    assert [shares.may_declare("berlin-01", 0) for _ in range(61)] == [True] * 60 + [False]
    assert shares.may_declare("paris-02", 0)
    assert not shares.may_declare("berlin-01", 9_000)
    assert shares.may_declare("berlin-01", 10_000)


def test_reasons_above_the_share_are_left_out_and_what_is_none_costs_nothing() -> None:
    shares = GapShares(1)
    opened = Event(t=1, at=1, kind="door.opened", door=1)
    events = [(0, opened), (1, gap(1, 2, None)), (2, gap(1, 99, "full")), (3, gap(1, 4, "full"))]
    assert shares.reasons("berlin-01", 10, events, 0) == ([DeclaredGap(1, 4, "full")], 0)
    many = [(place, gap(1, 4, "full")) for place in range(100)]
    told, left_out = shares.reasons("berlin-01", 1000, many, 0)
    assert (len(told), left_out) == (49, 51)
