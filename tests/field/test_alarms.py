"""Faults of alarms and of their notifications that other systems were reported for (docs/field-cases.md)."""

from datetime import timedelta

from hub.core.alarms.alarm import Alarm, Shelf, acknowledged, put_away
from hub.core.notify.notices import SEVERITIES, TOLD, Known, notice_from, notice_of
from hub.core.notify.plan import ChannelRules, NotificationPlan
from hub.core.notify.standing import news
from tests.hub.core.alarms.scene import BERLIN, EPOCH, Scene


class Receiver:
    """Who is told of a scene's alarms, at once and by how they stand."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.heard: list[Known] = []
        self.plan = NotificationPlan(
            ChannelRules(
                frozenset(SEVERITIES), frozenset(TOLD), frozenset(), dedup_ms=0, flood_max=100, flood_ms=1000
            )
        )

    def look(self) -> list[Known]:
        """Take what has happened since the last time, and then what else is to be known; return all of it."""
        for change in self.scene.transitions:
            notice = notice_of(change)
            if notice is not None and self.plan.hear(notice, self.scene.now_ms):
                self.heard.append(notice.transition)
        self.scene.transitions.clear()
        for alarm in self.scene.open():
            change_now = news(alarm, self.plan.last(alarm.id))
            if change_now is not None:
                self.plan.hear(notice_from(alarm, change_now, self.scene.now), self.scene.now_ms)
                self.heard.append(change_now)
        return self.heard


def shelve(scene: Scene, kind: str, minutes: float) -> None:
    then = put_away(scene.one(kind), Shelf("anna", "known", scene.now, scene.now + timedelta(minutes=minutes)))
    assert isinstance(then, Alarm)
    scene.watch.acted(then, "shelved", scene.now)


def test_two_words_of_the_same_at_once_are_one_alarm_and_its_end_ends_it() -> None:
    scene = Scene()
    for _ in range(2):
        scene.event("door.forced", 1)
    assert scene.one("door.forced").count == 2
    scene.event("door.closed", 1)
    assert scene.states() == {"door.forced": "cleared_unacked"}


def test_a_condition_that_goes_on_is_told_once() -> None:
    scene = Scene()
    receiver = Receiver(scene)
    for _ in range(300):
        scene.sample(temperature_c=60)
        scene.later(1)
        receiver.look()
    assert receiver.look() == ["raised"]
    for _ in range(120):
        scene.sample(temperature_c=20)
        scene.later(1)
    assert receiver.look() == ["raised", "cleared"]


def test_a_condition_that_goes_on_for_days_opens_one_alarm() -> None:
    scene = Scene()
    receiver = Receiver(scene)
    for _ in range(200):
        scene.event("battery.low")
        scene.later(600)
        receiver.look()
    assert (receiver.look(), scene.one("battery.low").count) == (["raised"], 200)


def test_an_alarm_that_is_over_and_seen_is_not_opened_again_but_followed_by_another() -> None:
    scene = Scene()
    scene.event("door.forced", 1)
    first = scene.one("door.forced").id
    then = acknowledged(scene.one("door.forced"), "anna", None, scene.now)
    assert isinstance(then, Alarm)
    scene.watch.acted(then, "acked", scene.now)
    scene.event("door.closed", 1)
    assert scene.open() == []
    scene.event("door.forced", 1)
    assert scene.one("door.forced").id != first


def test_what_ends_while_it_is_silenced_is_over_for_whoever_was_told_of_it() -> None:
    scene = Scene()
    receiver = Receiver(scene)
    scene.event("door.forced", 1)
    receiver.look()
    shelve(scene, "door.forced", 60)
    scene.event("door.closed", 1)
    assert receiver.look() == ["raised", "cleared"]


def test_what_ended_while_it_was_silenced_and_comes_back_is_told_at_once() -> None:
    scene = Scene()
    receiver = Receiver(scene)
    scene.event("door.forced", 1)
    receiver.look()
    shelve(scene, "door.forced", 1)
    scene.event("door.closed", 1)
    receiver.look()
    scene.later(61)
    scene.event("door.forced", 1)
    assert receiver.look() == ["raised", "cleared", "raised"]


def test_the_end_of_a_silence_tells_what_still_stands() -> None:
    scene = Scene()
    receiver = Receiver(scene)
    scene.event("door.forced", 1)
    receiver.look()
    shelve(scene, "door.forced", 1)
    scene.later(59)
    assert receiver.look() == ["raised"]
    scene.later(2)
    assert receiver.look() == ["raised", "raised"]


def test_a_word_that_is_told_once_more_ends_nothing_that_came_later() -> None:
    scene = Scene()
    scene.event("door.opened", 1, seq=1)
    scene.event("door.jammed", 1, seq=2)
    for mark, active in (((EPOCH, 1), True), ((EPOCH, 3), False)):
        scene.watch.event(BERLIN, "door.opened", scene.now, now=scene.now, now_ms=scene.now_ms, door=1, mark=mark)
        assert scene.one("door.jammed").active is active
