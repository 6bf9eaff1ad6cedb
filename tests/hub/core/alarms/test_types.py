"""Each type of alarm by the rules that come with the hub: what raises it, what clears it, and when."""

import pytest

from hub.core.alarms.places import AlarmPlace
from tests.hub.core.alarms.scene import BERLIN, PARIS, Scene, cabinet

ACTIVE, CLEARED = "active_unacked", "cleared_unacked"


@pytest.mark.parametrize(
    ("kind", "on", "off", "door"),
    [
        ("door.forced", "door.forced", "door.closed", 3),
        ("door.left_open", "door.left_open", "door.closed", 3),
        ("door.open_not_detected", "door.open_not_detected", "door.opened", 3),
        ("door.jammed", "door.jammed", "door.opened", 3),
        ("sensor.fault", "sensor.fault", "sensor.ok", 3),
        ("tamper", "tamper.on", "tamper.off", None),
    ],
)
def test_an_event_raises_and_another_clears(kind: str, on: str, off: str, door: int | None) -> None:
    scene = Scene()
    scene.event(off, door)
    assert scene.open() == [], "nothing is cleared that was never raised"
    scene.event(on, door)
    alarm = scene.one(kind)
    assert (alarm.state, alarm.door, alarm.locker, alarm.site) == (ACTIVE, door, BERLIN, "Berlin")
    assert alarm.where == "Berlin, Lobby (berlin-01)" + (", door 3" if door else "")
    if door:
        scene.event(off, 2)
        assert scene.one(kind).active, "another door clears nothing"
    scene.event(off, door)
    assert scene.one(kind).state == CLEARED
    assert scene.told == [("raised", kind), ("cleared", kind)]


def test_each_sensor_of_a_door_has_an_alarm_of_its_own() -> None:
    scene = Scene()
    for sensor in ("hook", "item"):
        scene.event("sensor.fault", 3, sensor=sensor)
    assert [alarm.what for alarm in scene.open("sensor.fault")] == [
        "The hook sensor of door 3 does not work", "The item sensor of door 3 does not work",
    ]  # fmt: skip
    scene.event("sensor.ok", 3, sensor="item")
    assert {alarm.sensor: alarm.active for alarm in scene.open("sensor.fault")} == {"hook": True, "item": False}
    scene.event("sensor.ok", 3, sensor="hook")
    assert not any(alarm.active for alarm in scene.open("sensor.fault"))


@pytest.mark.parametrize(("raised_by", "cleared_by"), [(None, "hook"), (None, "item"), ("item", None)])
def test_a_sensor_that_is_not_named_may_be_any(raised_by: str | None, cleared_by: str | None) -> None:
    scene = Scene()
    scene.event("sensor.fault", 3, sensor=raised_by)
    scene.event("sensor.ok", 2, sensor=cleared_by)
    assert scene.one("sensor.fault").active
    scene.event("sensor.ok", 3, sensor=cleared_by)
    assert scene.one("sensor.fault").state == CLEARED


def test_a_door_that_does_not_open_three_times_is_jammed() -> None:
    scene = Scene()
    for _ in range(2):
        scene.event("door.open_not_detected", 3)
        scene.later(10)
    assert not scene.open("door.jammed")
    scene.event("door.open_not_detected", 2)
    assert not scene.open("door.jammed"), "each door counts for itself"
    scene.event("door.open_not_detected", 3)
    assert scene.one("door.jammed").value == 3
    scene.event("door.opened", 3)
    assert scene.one("door.jammed").state == CLEARED
    scene.event("door.open_not_detected", 3)
    assert scene.one("door.jammed").state == CLEARED, "it begins to count anew"


def test_an_item_that_changes_behind_a_closed_door() -> None:
    scene = Scene()
    for closed_s in (None, 0, 9.9):
        scene.event("occupancy.changed", 1, closed_s=closed_s)
    assert scene.open() == []
    scene.event("occupancy.changed", 1, closed_s=10)
    assert (
        scene.one("occupancy.mismatch").what
        == "Something was put into door 1 or taken out of it while it was closed"
    )
    scene.event("door.opened", 1)
    assert scene.states() == {"occupancy.mismatch": CLEARED}


def test_heat_by_reading_has_delays_and_a_deadband() -> None:
    scene = Scene()
    scene.sample(temperature_c=50)
    scene.later(61)
    assert scene.open() == []
    scene.sample(temperature_c=50.5)
    scene.later(59.9)
    assert scene.open() == []
    scene.sample(temperature_c=49)
    scene.later(60)
    assert scene.open() == [], "it went back before its time was over"
    scene.sample(temperature_c=51)
    scene.later(60)
    alarm = scene.one("temperature.high")
    assert (alarm.value, alarm.limit, alarm.unit, alarm.rule) == (51, 50, "°C", "temperature.high.level")
    assert alarm.what == "It is too hot in the locker: 51 °C"
    scene.sample(temperature_c=47.1)
    scene.later(120)
    assert scene.one("temperature.high").active, "within the deadband"
    scene.sample(temperature_c=47)
    scene.later(30)
    scene.sample(temperature_c=48)
    scene.later(60)
    assert scene.one("temperature.high").active, "it was not back for long enough"
    scene.sample(temperature_c=46)
    scene.sample(temperature_c=46)
    scene.later(60)
    assert scene.one("temperature.high").state == CLEARED
    assert scene.one("temperature.high").count == 1, "readings are not repetitions"


def test_heat_by_the_lockers_word_is_cleared_by_a_reading() -> None:
    scene = Scene()
    scene.event("temperature.high")
    scene.later(1000)
    assert scene.one("temperature.high").active
    scene.sample(temperature_c=48)
    assert scene.one("temperature.high").active
    scene.sample(temperature_c=40)
    assert scene.one("temperature.high").state == CLEARED


def test_heat_by_both_ends_with_the_last_of_them() -> None:
    scene = Scene()
    scene.sample(temperature_c=55)
    scene.event("temperature.high")
    scene.later(60)
    assert scene.one("temperature.high").count == 2
    scene.sample(temperature_c=40)
    assert scene.one("temperature.high").active, "the level is not back for long enough"
    scene.later(60)
    assert scene.one("temperature.high").state == CLEARED


def test_a_battery() -> None:
    scene = Scene()
    scene.event("battery.low")
    scene.sample(battery_pct=19)
    scene.later(60)
    assert scene.one("battery.low").active
    scene.sample(battery_pct=25)
    scene.later(60)
    assert scene.one("battery.low").state == CLEARED


def test_power_that_comes_back_at_once_is_nothing() -> None:
    scene = Scene()
    scene.event("power.lost")
    scene.later(9.9)
    scene.event("power.restored")
    scene.later(10)
    assert scene.open() == []
    scene.event("power.lost")
    scene.later(10)
    scene.event("power.restored")
    assert scene.states() == {"power.lost": CLEARED}


def test_what_comes_late_is_judged_by_when_it_happened() -> None:
    scene = Scene()
    scene.event("power.lost", ago=3600)
    assert scene.open() == [], "its locker may tell with the next message that it was over in time"
    scene.later(2)
    assert scene.one("power.lost").active, "its delay was over long ago"
    assert scene.one("power.lost").began_at < scene.one("power.lost").raised_at
    scene.event("power.restored", ago=3000)
    assert scene.states() == {"power.lost": CLEARED}
    other = Scene()
    other.event("power.lost", ago=8)
    other.event("power.restored", ago=3)
    other.later(20)
    assert other.open() == [], "it was away for five seconds only"
    # Both come so soon that no delay has passed here; and it was away for long enough all the same.
    third = Scene()
    third.event("power.lost", ago=5)
    third.watch.event(BERLIN, "power.restored", third.now.replace(hour=13), now=third.now, now_ms=third.now_ms)
    assert third.told == [("raised", "power.lost"), ("cleared", "power.lost")]


def test_boards_by_their_own_events() -> None:
    scene = Scene()
    scene.event("board.offline", board="0")
    scene.event("board.offline", board="1")
    scene.later(30)
    assert scene.one("board.offline").active
    scene.event("board.online", board="0")
    assert scene.one("board.offline").active, "the other one is still away"
    scene.event("board.online", board="1")
    assert scene.states() == {"board.offline": CLEARED}


def test_boards_by_the_lockers_presence() -> None:
    scene = Scene()
    scene.boards(complete=True)
    scene.boards(complete=False)
    scene.boards(complete=False)
    scene.later(30)
    assert scene.one("board.offline").count == 1
    scene.boards(complete=True)
    assert scene.states() == {"board.offline": CLEARED}


def test_a_locker_that_cannot_be_reached() -> None:
    scene = Scene()
    scene.reach(BERLIN, online=True)
    scene.reach(BERLIN, online=False)
    scene.later(59.9)
    assert scene.open() == []
    scene.reach(BERLIN, online=True)
    scene.later(60)
    assert scene.open() == []
    scene.reach(BERLIN, online=False)
    scene.later(60)
    assert scene.one("locker.offline").active
    scene.reach(BERLIN, online=True)
    scene.later(4.9)
    scene.reach(BERLIN, online=False)
    scene.later(60)
    assert scene.one("locker.offline").active, "it was there too shortly"
    scene.reach(BERLIN, online=True)
    scene.later(5)
    assert scene.states() == {"locker.offline": CLEARED}


def test_denials_lock_nobody_out_until_there_are_five_in_five_minutes() -> None:
    scene = Scene()
    for _ in range(4):
        scene.event("access.denied", 1)
    scene.later(301)
    scene.event("access.denied", 1)
    assert scene.open() == []
    scene.event("access.granted", 1)
    for _ in range(4):
        scene.event("access.denied", 1)
    assert scene.open() == []
    scene.event("access.denied", 1)
    alarm = scene.one("access.lockout")
    assert (alarm.value, alarm.limit, alarm.door) == (5, 5, 1)
    scene.later(800)
    scene.event("access.denied", 1)
    assert scene.one("access.lockout").count == 1, "a single one, after a while, does not count as five"
    scene.later(100)
    assert scene.states() == {"access.lockout": CLEARED}, "a quarter of an hour without five in five minutes"


def test_a_grant_ends_a_lockout() -> None:
    scene = Scene()
    for _ in range(7):
        scene.event("access.denied")
    assert scene.one("access.lockout").count == 3
    scene.event("access.granted")
    assert scene.states() == {"access.lockout": CLEARED}


def opened(scene: Scene, doors: int, **more: bool) -> None:
    for door in range(1, doors + 1):
        scene.event("door.opened", door, **more)  # type: ignore[arg-type]


def test_many_doors_at_once() -> None:
    scene = Scene(places={BERLIN: cabinet(30), PARIS: cabinet(30)})
    opened(scene, 9)
    opened(scene, 9)
    assert scene.open() == [], "the same doors again"
    opened(scene, 30, of_job=True)
    assert scene.open() == [], "a job asked for it"
    scene.event("door.opened", 10)
    alarm = scene.one("mass_opening")
    assert (alarm.value, alarm.door, alarm.locker) == (10, None, BERLIN)
    scene.later(599)
    assert scene.one("mass_opening").active
    scene.later(2)
    assert scene.states() == {"mass_opening": CLEARED}


def test_doors_one_after_the_other_are_no_mass_and_neither_is_a_backlog() -> None:
    scene = Scene(places={BERLIN: cabinet(40)})
    for door in range(1, 40):
        scene.event("door.opened", door)
        scene.later(7)
    for door in range(1, 40):
        scene.event("door.opened", door, ago=7000 - 7 * door)
    assert scene.open() == []


def test_many_doors_of_a_site() -> None:
    places = {f"b-{number}": AlarmPlace("default", "Berlin", "b") for number in range(20)}
    scene = Scene(places={**places, "alone": AlarmPlace("default", "", "alone")})
    for number in range(20):
        for door in (1, 2):
            scene.event("door.opened", door, locker=f"b-{number}")
    alarm = scene.one("mass_opening")
    assert (alarm.site, alarm.locker, alarm.where, alarm.value) == ("Berlin", None, "Berlin", 40)
    for door in range(1, 10):
        scene.event("door.opened", door, locker="alone")
    assert len(scene.open()) == 1


def test_a_locker_that_is_behind() -> None:
    scene = Scene()
    scene.age(900)
    assert scene.open() == []
    scene.age(900.1)
    assert scene.one("outbox.age").what == "The locker is behind with what it has to tell: 900.1 s"
    scene.age(700)
    scene.later(60)
    assert scene.one("outbox.age").active, "within the deadband"
    scene.age(600)
    scene.later(30)
    assert scene.states() == {"outbox.age": CLEARED}
    scene.age(0)


def test_a_locker_that_was_behind_and_has_nothing_more_to_tell() -> None:
    scene = Scene()
    scene.age(5000)
    scene.later(599)
    scene.age(5000)
    scene.later(599)
    assert scene.one("outbox.age").active
    scene.later(1)
    assert scene.states() == {"outbox.age": CLEARED}


def test_an_outbox_that_fills() -> None:
    scene = Scene()
    scene.sample(outbox_events=1001)
    scene.later(299)
    assert scene.open() == []
    scene.later(1)
    assert scene.one("outbox.age").rule == "outbox.age.events"
    scene.sample(outbox_events=500)
    scene.later(30)
    assert scene.states() == {"outbox.age": CLEARED}


def test_a_clock_that_is_not_set() -> None:
    scene = Scene()
    scene.clock(unset=False)
    scene.clock(unset=True)
    scene.later(299)
    scene.clock(unset=True)
    assert scene.open() == []
    scene.later(1)
    scene.clock(unset=True)
    assert scene.one("clock.unset").count == 1
    scene.clock(unset=False)
    assert scene.states() == {"clock.unset": CLEARED}


@pytest.mark.parametrize(
    ("kind", "seen"),
    [
        ("ledger.gap", "hub.ledger_gap"), ("ledger.gap", "outbox.gap"),
        ("ledger.cloned", "hub.ledger_fork"), ("ledger.cloned", "ledger.forked"),
        ("ledger.epochs", "hub.ledger_epochs"),
    ],
)  # fmt: skip
def test_what_cannot_be_undone_is_active_for_an_hour(kind: str, seen: str) -> None:
    scene = Scene()
    scene.event(seen)
    scene.later(3000)
    scene.event(seen)
    scene.later(3599)
    assert scene.one(kind).active
    scene.later(1)
    assert scene.states() == {kind: CLEARED}


def test_a_site_that_is_gone() -> None:
    places = {f"b-{number}": AlarmPlace("default", "Berlin", "b") for number in range(4)} | {
        PARIS: AlarmPlace("default", "Paris", "p")
    }
    scene = Scene(places=places)
    for number in range(4):
        scene.reach(f"b-{number}", online=False)
    scene.reach(PARIS, online=False)
    scene.later(31)
    scene.later(30)
    assert [one.type for one in scene.open() if one.annunciated] == ["site.offline", "locker.offline"]
    site = scene.one("site.offline")
    assert (site.children, site.value, site.locker, site.what) == (
        4, 4, None, "4 lockers of the site cannot be reached",
    )  # fmt: skip
    assert [what for what in scene.told if what == ("raised", "locker.offline")] == [
        ("raised", "locker.offline")
    ] * 5
    annunciated = [one.alarm.type for one in scene.transitions if one.alarm.suppressed is None]
    assert annunciated == ["site.offline", "locker.offline"]
    scene.reach("b-0", online=True)
    scene.later(5)
    assert scene.one("site.offline").children == 3
    assert len(scene.open("locker.offline")) == 4, "what was folded is closed with its end"
    scene.reach("b-1", online=True)
    scene.later(5)
    scene.later(5)
    assert scene.one("site.offline").state == CLEARED
    assert [one.suppressed for one in scene.open("locker.offline")] == [None] * 3, "the rest stands for itself"
    assert scene.one("site.offline").children == 0
