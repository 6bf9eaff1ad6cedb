"""The checker against made-up histories: it must find what is wrong, and nothing where nothing is."""

from dataclasses import fields
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faults.checker import LINE_MS, Findings, check
from faults.history import Command, Content, Entry, History, Movement, Numbers, Stored

EPOCH = UUID(int=1)
OTHER = UUID(int=2)


def content(number: int, kind: str = "tamper.on", door: int | None = None) -> Content:
    return Content(kind, 1_000 + number, door, None, "")


def entry(seq: int, what: Content | None = None, *, epoch: UUID = EPOCH, ledger: str = "a") -> Entry:
    return Entry(ledger, "a", epoch, seq, what or content(seq))


def stored(seq: int, what: Content | None = None, *, epoch: UUID = EPOCH) -> Stored:
    return Stored("a", epoch, seq, what or content(seq))


def counts(history: History) -> dict[str, int]:
    """How many findings of each sort; those without any are left out."""
    findings = check(history)
    found = {field.name: len(getattr(findings, field.name)) for field in fields(Findings)}
    return {name: count for name, count in found.items() if count}


def opening(
    *, pulses: tuple[int, ...] = (150,), state: str = "succeeded", told: str | None = None, again: bool = False
) -> History:
    """One opening of door 3, sent at 100 with a deadline of 2100, and its pulses."""
    command = Command("c", "a", 3, 100, 2100)
    return History(
        commands=[command, command] if again else [command],
        states={"c": state},
        told={} if told is None else {"c": told},
        pulses=[Movement("a", 3, t) for t in pulses],
    )


def test_what_is_stored_once_is_well() -> None:
    assert counts(History(entries=[entry(1), entry(2)], stored=[stored(1), stored(2)])) == {}


def test_an_event_that_is_not_stored_is_lost() -> None:
    assert counts(History(entries=[entry(1), entry(2)], stored=[stored(2)])) == {"lost": 1}


def test_two_equal_events_of_which_one_is_stored_lose_one() -> None:
    same = content(7)
    history = History(entries=[entry(1, same), entry(2, same)], stored=[stored(1, same)])
    assert counts(history) == {"lost": 1}


def test_an_event_that_is_declared_or_quarantined_is_not_lost() -> None:
    history = History(
        entries=[entry(1), entry(2)],
        declared=[Numbers("a", EPOCH, 1, 1)],
        quarantined=[Numbers("a", EPOCH, 2, 2)],
    )
    assert counts(history) == {"declared": 1, "quarantined": 1}


def test_a_gap_of_another_epoch_explains_nothing() -> None:
    assert counts(History(entries=[entry(1)], declared=[Numbers("a", OTHER, 1, 1)])) == {"lost": 1}


def test_one_number_stored_twice_is_a_duplicate() -> None:
    history = History(entries=[entry(1)], stored=[stored(1), stored(1)])
    assert counts(history) == {"duplicate": 2}, "as a number, and as what happened"


def test_one_event_under_two_numbers_is_a_duplicate() -> None:
    history = History(entries=[entry(1)], stored=[stored(1), stored(2, content(1))])
    assert counts(history) == {"duplicate": 1}


def test_a_fork_keeps_what_was_not_confirmed_under_a_new_epoch() -> None:
    moved = [entry(2), entry(1, content(2), epoch=OTHER)]
    history = History(entries=[entry(1), *moved], stored=[stored(1), stored(1, content(2), epoch=OTHER)])
    assert counts(history) == {}


def test_a_fork_that_stores_an_event_in_both_epochs_is_a_duplicate() -> None:
    moved = [entry(2), entry(1, content(2), epoch=OTHER)]
    twice = [stored(2), stored(1, content(2), epoch=OTHER)]
    assert counts(History(entries=[entry(1), *moved], stored=[stored(1), *twice])) == {"duplicate": 1}


def test_of_two_cloned_histories_both_have_to_be_there() -> None:
    common = [entry(1), entry(1, ledger="b")]
    parted = [entry(2, content(20)), entry(2, content(21), ledger="b")]
    kept = [stored(1), stored(2, content(20)), stored(1, content(21), epoch=OTHER)]
    assert counts(History(entries=common + parted, stored=kept)) == {}
    assert counts(History(entries=common + parted, stored=kept[:2])) == {"lost": 1}


def test_an_event_that_no_locker_has_is_a_phantom() -> None:
    assert counts(History(stored=[stored(1)])) == {"phantom": 1}


def test_an_event_with_other_content_is_lost_and_a_phantom() -> None:
    history = History(entries=[entry(1)], stored=[stored(1, content(1, door=5))])
    assert counts(history) == {"lost": 1, "phantom": 1}


def test_a_door_that_is_told_open_more_often_than_it_was_is_a_phantom() -> None:
    opened = content(1, "door.opened", 3)
    history = History(entries=[entry(1, opened)], stored=[stored(1, opened)])
    assert counts(history) == {"phantom": 1}
    history.opened.append(Movement("a", 3, 1_001))
    assert counts(history) == {}


@pytest.mark.parametrize("state", ["succeeded", "unknown", "timed_out", "sent"])
def test_one_pulse_in_time_for_one_opening_is_well(state: str) -> None:
    assert counts(opening(state=state)) == {}


@pytest.mark.parametrize("state", ["rejected", "failed", "unknown", "timed_out", "expired"])
def test_no_pulse_is_well_for_an_opening_that_did_not_succeed(state: str) -> None:
    assert counts(opening(pulses=(), state=state)) == {}


def test_what_is_written_while_the_database_is_read_is_neither_lost_nor_from_nowhere() -> None:
    before, after = [entry(1)], [entry(1), entry(2)]
    assert counts(History(entries=before, later=after, stored=[stored(1)])) == {}
    assert counts(History(entries=before, later=after, stored=[stored(1), stored(2)])) == {}
    assert counts(History(entries=before, later=before, stored=[stored(1), stored(2)])) == {"phantom": 1}


def test_a_pulse_after_the_deadline_is_late() -> None:
    assert counts(opening(pulses=(2100 + LINE_MS,))) == {}
    assert counts(opening(pulses=(2101 + LINE_MS,))) == {"late": 1}


def test_a_pulse_is_late_where_it_cannot_have_been_earlier() -> None:
    history = opening()
    for within_ms, late in ((400, {}), (399, {"late": 1})):
        history.pulses = [Movement("a", 3, 2500 + LINE_MS, within_ms)]
        assert counts(history) == late


def test_a_second_pulse_is_double_even_in_the_same_millisecond() -> None:
    assert counts(opening(pulses=(150, 900))) == {"double": 1}
    assert counts(opening(pulses=(150, 150))) == {"double": 1}


def test_a_pulse_before_its_order_or_at_another_door_belongs_to_nobody() -> None:
    assert counts(opening(pulses=(99,), state="unknown")) == {"double": 1}
    history = opening(pulses=(), state="unknown")
    history.pulses.append(Movement("a", 4, 150))
    assert counts(history) == {"double": 1}


def test_an_order_that_is_sent_twice_is_one_order() -> None:
    assert counts(opening(pulses=(150, 900), again=True)) == {"double": 1}


def test_success_without_a_pulse_is_a_phantom() -> None:
    assert counts(opening(pulses=())) == {"phantom": 1}
    assert counts(opening(pulses=(), state="unknown", told="succeeded")) == {"phantom": 1}


@pytest.mark.parametrize("state", ["rejected", "cancelled", "expired"])
def test_a_pulse_for_an_order_that_is_told_as_refused_is_a_phantom(state: str) -> None:
    assert counts(opening(state=state)) == {"phantom": 1}


def test_a_pulse_goes_to_the_order_that_acted() -> None:
    refused, obeyed = Command("x", "a", 3, 100, 2100), Command("y", "a", 3, 110, 2200)
    history = History(
        commands=[refused, obeyed], states={"x": "rejected", "y": "succeeded"}, pulses=[Movement("a", 3, 150)]
    )
    assert counts(history) == {}


def test_findings_of_before_can_be_told_from_new_ones() -> None:
    history = History(entries=[entry(1)], stored=[])
    before = check(history)
    history.entries.append(entry(2))
    assert len(check(history).since(before).lost) == 1


@given(st.sets(st.integers(1, 30)), st.sets(st.integers(1, 30)))
def test_lost_and_phantom_are_the_differences_of_the_sets(happened: set[int], kept: set[int]) -> None:
    findings = check(History(entries=[entry(n) for n in happened], stored=[stored(n) for n in kept]))
    assert len(findings.lost) == len(happened - kept)
    assert len(findings.phantom) == len(kept - happened)
    assert not findings.duplicate
