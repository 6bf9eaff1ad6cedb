"""Conditions by rules of one's own, and what is bounded of them."""

import pytest

from hub.alarms.event_data import BOARD_CHARACTERS_MAX, details_of
from hub.core.alarms.detect import TOLD_MAX
from hub.core.alarms.places import AlarmPlace
from hub.core.alarms.rules import parse_rules
from hub.core.alarms.watch import BOARDS_PER_LOCKER_MAX
from tests.hub.core.alarms.scene import BERLIN, DEFAULT, PARIS, Scene, cabinet
from tests.hub.core.alarms.test_rules import rule


def test_at_the_limit_no_further_alarm_is_opened() -> None:
    scene = Scene(places={BERLIN: cabinet(20)}, open_max=2)
    for door in (1, 2, 3):
        scene.event("door.forced", door)
    assert (len(scene.open()), scene.watch.book.refused) == (2, 1)
    for door in range(4, 20):
        scene.event("door.forced", door)
    assert (scene.watch.detector.sources, scene.watch.detector.skipped) == (8, 11)
    scene.event("door.closed", 4)
    assert len(scene.open()) == 2


def test_no_locker_takes_the_alarms_of_the_fleet() -> None:
    places = {BERLIN: cabinet(100), PARIS: cabinet(100)}
    scene = Scene(places=places, open_max=40, open_per_locker_max=10)
    for door in range(1, 101):
        scene.event("door.forced", door)
    assert (len(scene.open()), scene.watch.book.over_share, scene.watch.book.refused) == (10, 30, 0)
    # Of the conditions four for each alarm that may be open are followed, of one locker as of all.
    assert (scene.watch.detector.sources, scene.watch.detector.skipped) == (40, 60)
    scene.event("door.forced", 1, locker=PARIS)
    assert [one.locker for one in scene.open()][-1] == PARIS
    scene.event("door.closed", 1)
    scene.event("door.forced", 50)
    assert (scene.watch.detector.sources, scene.watch.book.over_share) == (41, 31)


def test_a_lockers_rooms_are_free_again_with_its_conditions() -> None:
    scene = Scene(places={BERLIN: cabinet(100)}, open_per_locker_max=1)
    for door in range(1, 101):
        for kind in ("door.forced", "door.closed"):
            scene.event(kind, door)
    assert (scene.watch.detector.sources, scene.watch.detector.skipped) == (0, 0)


def test_doors_that_the_registry_does_not_have_are_one_alarm_of_the_locker() -> None:
    scene = Scene()
    for door in range(4, 900):
        scene.event("door.forced", door)
    alarm = scene.one("door.forced")
    assert (alarm.locker, alarm.door, alarm.count) == (BERLIN, None, 896)
    assert scene.watch.doors_unknown == 896
    scene.event("door.closed", 4)
    assert not scene.one("door.forced").active


def test_names_of_boards_are_bounded() -> None:
    scene = Scene()
    for number in range(1000):
        scene.event("board.offline", board=f"{number}")
    assert scene.watch.boards_unknown == 1000 - BOARDS_PER_LOCKER_MAX
    scene.event("board.offline", board="0")
    assert scene.watch.boards_unknown == 1000 - BOARDS_PER_LOCKER_MAX
    scene.later(60)
    for number in range(BOARDS_PER_LOCKER_MAX):
        assert scene.one("board.offline").active
        scene.event("board.online", board=f"{number}")
    assert not scene.one("board.offline").active


@pytest.mark.parametrize(
    ("data", "board"),
    [
        ({"board": "a" * 4000}, "a" * BOARD_CHARACTERS_MAX), ({"board": 7}, "7"), ({}, ""),
        ({"board": None}, ""), ({"board": {"a": ["b"] * 900}}, ""), ({"board": ["a"]}, ""),
    ],
)  # fmt: skip
def test_a_board_is_a_short_name(data: dict[str, object], board: str) -> None:
    assert details_of(data).board == board


def test_the_alarm_of_an_outage_that_found_no_room() -> None:
    places = {f"b-{number}": AlarmPlace("default", "Berlin", "b") for number in range(4)}
    scene = Scene(places=places, open_max=1)
    scene.event("tamper.on", locker="b-0")
    for number in range(4):
        scene.reach(f"b-{number}", online=False)
    scene.later(31)
    scene.later(30)
    for number in range(4):
        scene.reach(f"b-{number}", online=True)
    scene.later(5)
    scene.later(5)
    assert scene.states() == {"tamper": "active_unacked"}


def test_timers_that_count_no_more_are_thrown_away() -> None:
    scene = Scene(open_max=2)
    for _ in range(500):
        scene.event("power.lost")
        scene.event("power.restored")
    assert len(scene.watch.detector._timers) <= 3 * 4 * 2 + 1  # noqa: SLF001 - what is bounded is inside
    scene.event("power.lost")
    scene.later(10)
    assert scene.one("power.lost").active


def test_windows_of_repetitions_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.core.alarms.detect.WINDOWS_MAX", 2)
    scene = Scene()
    for door in (1, 2, 3, 1, 2, 3):
        for _ in range(2):
            scene.event("door.open_not_detected", door)
    assert not scene.open("door.jammed")


def test_duration_by_events_of_ones_own() -> None:
    scene = Scene(
        rule(
            '{ kind = "duration", on = ["door.opened"], off = ["door.closed"], for_s = 120 }',
            kind="door.left_open",
            on_delay_s="10",
        )
    )
    assert scene.watch.interests("door.opened")
    assert scene.watch.interests("door.closed")
    assert not scene.watch.interests("door.forced")
    scene.event("door.opened", 1)
    scene.later(129)
    scene.event("door.opened", 1)
    assert scene.open() == []
    scene.later(1)
    scene.event("door.opened", 1)
    assert scene.one("door.left_open").count == 1
    scene.event("door.closed", 1)
    assert scene.states() == {"door.left_open": "cleared_unacked"}


def test_a_kind_that_only_another_places_rule_names() -> None:
    scene = Scene(
        rule()
        + rule('{ kind = "simple", on = ["x.y"], off = ["x.z"] }', name="s", scope="{ locker = 'paris-02' }")
        + rule('{ kind = "level", of = "humidity_pct", above = 90 }', name="h", scope="{ locker = 'paris-02' }")
    )
    scene.event("x.y")
    scene.sample(humidity_pct=99)
    assert scene.open() == []
    scene.event("tamper.on")
    scene.event("x.z")
    assert scene.one("tamper").active
    scene.event("x.y", locker=PARIS)
    assert len(scene.open()) == 2


def test_a_pending_level_that_falls_into_its_deadband_is_not_raised() -> None:
    scene = Scene()
    scene.sample(temperature_c=51)
    scene.sample(temperature_c=49)
    scene.later(61)
    assert scene.open() == []
    scene.sample(temperature_c=49)
    assert scene.open() == []


def test_rules_without_an_age_cost_nothing() -> None:
    scene = Scene(rule())
    scene.age(1e9)
    assert scene.open() == []
    assert parse_rules(DEFAULT.read_bytes()).measured.keys() >= {"event_age_s"}


def test_a_reading_ends_only_what_no_event_does() -> None:
    level = '{ kind = "level", of = "temperature_c", above = 50 }'
    scene = Scene(rule() + rule(level, name="l"))
    scene.event("tamper.on")
    scene.sample(temperature_c=20)
    assert scene.one("tamper").active
    scene.event("tamper.off")
    assert not scene.one("tamper").active


def test_without_a_rule_for_lockers_nobody_misses_them() -> None:
    scene = Scene(rule())
    scene.reach(BERLIN, online=False)
    scene.later(999)
    assert scene.open() == []


def test_repetitions_without_a_word_of_quiet_are_over_after_their_own_time() -> None:
    scene = Scene(rule('{ kind = "repeating", on = ["a.b"], count = 2, within_s = 60 }'))
    scene.event("a.b")
    scene.event("a.b")
    scene.later(59)
    assert scene.one("tamper").active
    scene.later(1)
    assert not scene.one("tamper").active


def test_a_locker_of_which_nothing_is_left_is_not_busy() -> None:
    scene = Scene()
    detector = scene.watch.detector
    for _ in range(2):
        scene.event("door.open_not_detected", 1)
        assert detector.is_busy(BERLIN)
        scene.event("power.lost")
        scene.event("door.opened", 1)
        scene.event("power.restored")
        assert not detector.is_busy(BERLIN)
    assert detector.sources == 0


def test_a_repetition_of_thousands_is_not_told_thousands_of_times() -> None:
    scene = Scene()
    for _ in range(1000):
        scene.event("access.denied")
    assert scene.one("access.lockout").count == 1 + TOLD_MAX
    scene.later(10)
    scene.event("access.denied")
    assert scene.one("access.lockout").count == 2 + TOLD_MAX
    for _ in range(100):
        scene.event("access.denied")
    # The last one of all keeps it from being over, though nothing was told of it.
    scene.later(0.5)
    scene.event("access.denied")
    scene.later(899.75)
    assert scene.one("access.lockout").active
    scene.later(0.5)
    assert not scene.one("access.lockout").active
