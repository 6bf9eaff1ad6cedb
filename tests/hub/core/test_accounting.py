"""The books: received = settled + in flight."""

from hypothesis import given
from hypothesis import strategies as st

from hub.core.accounting import Disposition, MessageAccounting, Tally


@given(st.lists(st.tuples(st.sampled_from(Disposition), st.integers(0, 9))))
def test_what_is_open_is_what_was_received_and_not_settled(settled: list[tuple[Disposition, int]]) -> None:
    tally = Tally(received=1000)
    for outcome, count in settled:
        tally.settle(outcome, count)
    assert tally.open() == 1000 - sum(count for _, count in settled)
    for outcome in Disposition:
        assert tally.settled[outcome] == sum(count for one, count in settled if one is outcome)


def test_one_record_is_the_default_and_tallies_are_apart() -> None:
    accounts = MessageAccounting()
    accounts.events.received += 1
    accounts.events.settle(Disposition.STORED)
    assert accounts.events.open() == 0
    assert accounts.samples == Tally()
    assert MessageAccounting().events == Tally()
