"""The book of open alarms: each of its promises for itself."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from hub.core.alarms.alarm import (
    Alarm,
    AlarmState,
    Key,
    Severity,
    Skip,
    Suppression,
    acknowledged,
    put_away,
    taken_back,
    unacknowledged,
)
from tests.hub.core.alarms.pages import KEYS, Told, shelf
from tests.hub.core.alarms.scene import BERLIN, EPOCH, NOON


def test_an_alarm_goes_through_all_four_states() -> None:
    told = Told()
    told.raised(KEYS[0])
    told.book.acted(told_ack(told), "acked", told.now)
    told.book.cleared(KEYS[0], told.now)
    assert told.what == ["raised", "acked", "cleared", "closed"]
    assert told.book.alarms == {}
    assert told.transitions[-1].alarm.closed_at == NOON
    told.raised(KEYS[0])
    assert told.one(KEYS[0]).count == 1, "what was closed is over: this is another one"
    told.book.cleared(KEYS[0], told.now)
    told.book.acted(told_ack(told), "acked", told.now)
    assert told.what[4:] == ["raised", "cleared", "acked", "closed"]


def told_ack(told: Told, key: Key = KEYS[0], note: str | None = None) -> Alarm:
    then = acknowledged(told.one(key), "anna", note, told.now)
    assert isinstance(then, Alarm)
    return then


def test_acts_on_what_is_closed_do_not_apply() -> None:
    told = Told()
    told.raised(KEYS[0])
    told.book.cleared(KEYS[0], told.now)
    closed = told_ack(told)
    assert closed.state is AlarmState.NORMAL
    assert {
        acknowledged(closed, "b", None, NOON), unacknowledged(closed), put_away(closed, shelf(NOON)),
        taken_back(closed),
    } == {Skip.NOT_OPEN}  # fmt: skip


@pytest.mark.parametrize("minutes", [0, -1, 1440.1])
def test_nobody_shelves_for_more_than_a_day_or_for_nothing(minutes: float) -> None:
    told = Told()
    told.raised(KEYS[0])
    with pytest.raises(ValueError, match="at most 24 hours"):
        put_away(told.one(KEYS[0]), shelf(NOON, minutes))


def test_what_a_ledger_tells_twice_is_taken_once_also_after_the_alarm_is_over() -> None:
    told = Told()
    told.raised(KEYS[0], (EPOCH, 5))
    assert told.raised(KEYS[0], (EPOCH, 5)) is None
    told.book.cleared(KEYS[0], told.now, (EPOCH, 6))
    assert told.raised(KEYS[0], (EPOCH, 5)) is None
    assert told.book.cleared(KEYS[0], told.now, (EPOCH, 6)) is None
    told.raised(KEYS[0], (EPOCH, 7))
    assert told.book.cleared(KEYS[0], told.now, (EPOCH, 6)) is None
    assert told.one(KEYS[0]).active
    told.book.cleared(KEYS[0], told.now, (EPOCH, 8))
    over = told_ack(told)
    told.book.acted(over, "acked", told.now)
    assert told.raised(KEYS[0], (EPOCH, 8)) is None
    again = Told()
    again.book.load([over])
    assert again.raised(KEYS[0], (EPOCH, 7)) is None, "the hub after it knows as well"
    assert again.book.alarms == {}
    assert again.raised(KEYS[0], (UUID(int=8), 1)) is not None, "another ledger begins anew"


def test_marks_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.core.alarms.alarm_book.MARKS_MAX", 1)
    told = Told()
    told.raised(KEYS[0], (EPOCH, 5))
    told.raised(KEYS[1], (EPOCH, 6))
    assert told.raised(KEYS[0], (EPOCH, 5)) is not None


def test_three_raises_in_a_minute_chatter_until_it_is_calm() -> None:
    told = Told()
    for _ in range(3):
        assert not told.book.alarms or not told.one(KEYS[0]).chattering
        told.raised(KEYS[0])
        told.now += timedelta(seconds=30)
    assert told.one(KEYS[0]).chattering
    told.now += timedelta(seconds=570)
    told.book.tick(told.now)
    assert told.one(KEYS[0]).chattering
    told.now += timedelta(seconds=1)
    told.book.tick(told.now)
    assert not told.one(KEYS[0]).chattering
    slow = Told()
    for _ in range(3):
        slow.raised(KEYS[0])
        slow.now += timedelta(seconds=31)
    assert not slow.one(KEYS[0]).chattering


def test_what_is_active_for_more_than_a_day_is_stale() -> None:
    told = Told()
    told.raised(KEYS[0])
    told.book.tick(NOON + timedelta(hours=24))
    assert not told.one(KEYS[0]).stale
    told.book.tick(NOON + timedelta(hours=24, seconds=1))
    assert told.one(KEYS[0]).stale
    told.book.tick(NOON + timedelta(hours=25))
    told.book.cleared(KEYS[0], NOON + timedelta(hours=26))
    assert not told.one(KEYS[0]).stale


def test_a_repetition_is_counted_and_written_down_once_a_minute() -> None:
    told = Told()
    told.raised(KEYS[0])
    for _ in range(10):
        told.raised(KEYS[0])
    (waiting,) = told.book.take_unwritten(10)
    assert (waiting.alarm.count, [one.what for one in waiting.steps]) == (11, ["raised", "again"])
    told.now += timedelta(seconds=60)
    told.raised(KEYS[0])
    assert told.book.take_unwritten(10)[0].steps[0].note == "seen 12 times"
    assert told.what == ["raised"]


def test_steps_that_cannot_be_written_are_bounded() -> None:
    told = Told(steps_max=3)
    told.raised(KEYS[0])
    for _ in range(3):
        told.book.cleared(KEYS[0], told.now)
        told.raised(KEYS[0])
    assert told.book.dropped == 4
    assert len(told.book.take_unwritten(1)[0].steps) == 3


def test_of_what_waits_for_the_database_the_oldest_that_is_over_is_given_up() -> None:
    told = Told(unwritten_max=2)
    first = told.raised(KEYS[3])
    for _ in range(3):
        told.raised(KEYS[0])
        told.book.cleared(KEYS[0], told.now)
        told.book.acted(told_ack(told), "acked", told.now)
        told.book._write(told.transitions[-1].alarm)  # noqa: SLF001 - an outage has kept it
    assert told.book.dropped > 0
    assert first is not None
    assert first.id in told.book.unwritten
    assert len(told.book.unwritten) == 2
    crowded = Told(unwritten_max=1)
    crowded.raised(KEYS[0])
    crowded.raised(KEYS[1])
    assert (len(crowded.book.unwritten), crowded.book.dropped) == (2, 0), "what is open is never given up"


def test_one_locker_whose_alarms_come_and_go_takes_the_room_of_no_other() -> None:
    told = Told(open_per_locker_max=2)
    site = come_and_gone(told, KEYS[3])
    for _ in range(6):
        come_and_gone(told, KEYS[0])
    waiting = told.book.unwritten
    assert site in waiting
    assert len(waiting) == 5, "of one locker there are twice as many as may be open"
    assert (waiting.over_share, told.book.dropped) == (2, 0)
    numbers = [one.int for one in waiting if one != site]
    assert numbers == sorted(numbers), "the oldest went"


def test_the_end_of_what_has_a_row_or_is_about_to_have_one_is_not_given_up() -> None:
    told = Told(unwritten_max=1)
    told.raised(KEYS[0])
    (first,) = told.book.take_unwritten(10)
    told.book.set_context(first.alarm.id, Suppression.MAINTENANCE, told.now)
    told.book.cleared(KEYS[0], told.now)
    come_and_gone(told, KEYS[1])
    assert first.alarm.id in told.book.unwritten, "it is being written"
    told.book.written(first.alarm.id, 1)
    for _ in range(2):
        come_and_gone(told, KEYS[1])
    assert first.alarm.id in told.book.unwritten, "it would be open for ever"
    assert (len(told.book.unwritten), told.book.dropped) == (2, 2)


def come_and_gone(told: Told, key: Key) -> UUID:
    """Raise an alarm where somebody works, which closes it when it is cleared."""
    alarm = told.raised(key)
    assert alarm is not None
    told.book.set_context(alarm.id, Suppression.MAINTENANCE, told.now)
    told.book.cleared(key, told.now)
    assert told.book.find(key) is None
    return alarm.id


def test_what_comes_while_it_is_being_written_is_written_next() -> None:
    told = Told()
    told.raised(KEYS[0])
    told.raised(KEYS[1])
    taken = told.book.take_unwritten(10)
    told.book.cleared(KEYS[0], told.now)
    told.book.give_back(taken)
    waiting = told.book.take_unwritten(10)
    assert [len(one.steps) for one in waiting] == [2, 1]
    assert waiting[0].alarm.state is AlarmState.CLEARED_UNACKED
    told.book.cleared(KEYS[1], told.now)
    told.book.written(waiting[1].alarm.id, 1)
    assert told.book.unwritten[waiting[1].alarm.id].alarm.version == 1
    assert told.one(KEYS[1]).version == 1
    told.book.written(UUID(int=99), 1)


def test_changes_are_told_once() -> None:
    told = Told()
    alarm = told.raised(KEYS[0])
    assert alarm is not None
    assert told.book.take_changes() == ({alarm.id}, set())
    assert told.book.take_changes() == (set(), set())
    told.book.cleared(KEYS[0], told.now)
    told.book.acted(told_ack(told), "acked", told.now)
    assert told.book.take_changes() == (set(), {alarm.id})


def test_suppression_tells_when_it_is_over_and_closes_what_nobody_was_to_see() -> None:
    told = Told()
    alarm = told.raised(KEYS[0])
    assert alarm is not None
    told.book.set_context(alarm.id, Suppression.MAINTENANCE, told.now)
    told.book.set_context(alarm.id, Suppression.MAINTENANCE, told.now)
    assert told.one(KEYS[0]).suppressed is Suppression.MAINTENANCE
    assert told.book.counts(BERLIN)[Severity.HIGH] == 0
    told.book.set_context(alarm.id, None, told.now)
    assert told.what == ["raised", "raised"]
    assert told.book.counts(BERLIN)[Severity.HIGH] == 1
    told.book.set_context(alarm.id, Suppression.OUT_OF_SERVICE, told.now)
    told.book.cleared(KEYS[0], told.now)
    assert told.what[2:] == ["cleared", "closed"]
    shelved = told.raised(KEYS[1])
    assert shelved is not None
    then = put_away(shelved, shelf(told.now))
    assert isinstance(then, Alarm)
    told.book.acted(then, "shelved", told.now)
    told.book.cleared(KEYS[1], told.now)
    assert told.one(KEYS[1]).state is AlarmState.CLEARED_UNACKED, "somebody has put it away to look at it later"
    told.book.tick(NOON + timedelta(minutes=30))
    assert told.what[-1] == "unshelved"


def test_children_are_counted() -> None:
    told = Told()
    parent, child = told.raised(KEYS[3]), told.raised(KEYS[0])
    assert parent is not None
    assert child is not None
    told.book.fold(child.id, parent.id, told.now)
    told.book.fold(child.id, parent.id, told.now)
    told.book.set_children(parent.id, told.book.children[parent.id])
    told.book.set_children(parent.id, 1)
    assert (told.one(KEYS[3]).children, told.one(KEYS[0]).suppressed) == (1, Suppression.FOLDED)
    second = told.raised(KEYS[1])
    assert second is not None
    told.book.fold(second.id, parent.id, told.now)
    told.book.fold(second.id, None, told.now)
    assert told.book.children[parent.id] == 1
    told.book.fold(child.id, None, told.now)
    assert not told.book.children


# Other hubs.


def other(alarm: Alarm, **values: object) -> Alarm:
    return replace(alarm, version=alarm.version + 1, **values)  # type: ignore[arg-type]


def test_of_two_hubs_that_raise_at_once_the_later_takes_over_the_row() -> None:
    told = Told()
    ours, child = told.raised(KEYS[3]), told.raised(KEYS[0])
    assert ours is not None
    assert child is not None
    told.book.fold(child.id, ours.id, told.now)
    theirs = replace(ours, id=UUID(int=77), version=1)
    told.book.adopt(theirs)
    assert told.one(KEYS[3]).id == theirs.id
    assert told.one(KEYS[0]).parent == theirs.id
    assert ours.id in told.book.take_changes()[1]
    assert [one.alarm.id for one in told.book.take_unwritten(10)] == [child.id, theirs.id]
    assert told.book.take_unwritten(10) == []


def test_an_alarm_that_only_the_other_hub_knows_is_taken_over() -> None:
    told = Told()
    theirs = told.raised(KEYS[0])
    assert theirs is not None
    fresh = Told()
    fresh.book.adopt(replace(theirs, version=3))
    assert fresh.one(KEYS[0]).version == 3
    fresh.book.adopt(other(fresh.one(KEYS[0]), state=AlarmState.NORMAL, closed_at=NOON))
    assert fresh.book.alarms == {}
    fresh.book.adopt(replace(theirs, state=AlarmState.NORMAL, closed_at=NOON))
    assert fresh.book.alarms == {}


@pytest.mark.parametrize(
    ("ours", "acked", "state"),
    [
        ("active", False, AlarmState.ACTIVE_UNACKED), ("active", True, AlarmState.ACTIVE_ACKED),
        ("cleared", False, AlarmState.CLEARED_UNACKED), ("cleared", True, AlarmState.NORMAL),
        ("raised since", True, AlarmState.ACTIVE_UNACKED),
    ],
)  # fmt: skip
def test_what_people_did_and_what_the_locker_did_come_together(
    ours: str, *, acked: bool, state: AlarmState
) -> None:
    told = Told()
    alarm = told.raised(KEYS[0])
    assert alarm is not None
    told.book.take_unwritten(10)
    acked_at = NOON + timedelta(seconds=1)
    changed = {"acked_at": acked_at, "acked_by": "anna", "state": AlarmState.ACTIVE_ACKED} if acked else {}
    theirs = other(alarm, **changed)
    told.now += timedelta(seconds=2)
    if ours == "active":
        told.raised(KEYS[0])
    else:
        told.book.cleared(KEYS[0], told.now)
    if ours == "raised since":
        told.raised(KEYS[0])
    told.book.adopt(theirs)
    (waiting,) = told.book.take_unwritten(10)
    assert (waiting.alarm.state, waiting.alarm.version) == (state, 1)
    assert (waiting.alarm.acked_by is not None) == (state in {AlarmState.ACTIVE_ACKED, AlarmState.NORMAL})
    assert (waiting.alarm.closed_at is not None) == (state is AlarmState.NORMAL)
    assert waiting.steps, "the journal goes on"


def test_an_act_on_an_alarm_that_this_hub_does_not_know_is_told_all_the_same() -> None:
    told = Told()
    alarm = told.raised(KEYS[0])
    assert alarm is not None
    fresh = Told()
    fresh.book.acted(replace(alarm, state=AlarmState.NORMAL, closed_at=NOON), "acked", NOON)
    assert fresh.what == ["acked"]
