"""The whole of the alarms: registry, maintenance, folding, what a new hub takes over, limits."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from hub.core.alarms.alarm import Alarm, AlarmState, Severity, Suppression, acknowledged, put_away, taken_back
from hub.core.alarms.health import Source
from hub.core.alarms.maintenance import Window, Windows
from hub.core.alarms.outages import Outages
from hub.core.alarms.places import AlarmPlace
from hub.core.alarms.sightings import Details
from tests.hub.core.alarms.pages import shelf
from tests.hub.core.alarms.scene import BERLIN, DEFAULT, NOON, PARIS, PLACES, Scene
from tests.hub.core.alarms.test_rules import rule

HOUR = timedelta(hours=1)


def window(**values: object) -> Window:
    given: dict[str, object] = {
        "id": UUID(int=1), "site": None, "locker": None, "door": None, "starts_at": NOON, "ends_at": NOON + HOUR,
        "why": "cables", "by": "anna", **values,
    }  # fmt: skip
    return Window(**given)  # type: ignore[arg-type]


def saved(scene: Scene) -> list[Alarm]:
    """The rows that a hub leaves behind."""
    return [replace(one, version=1, chattering=False, children=0) for one in scene.watch.book.alarms.values()]


def test_windows_run_from_their_start_to_their_end() -> None:
    one = window(locker=BERLIN)
    second = timedelta(seconds=1)
    states = [one.state(at) for at in (NOON - second, NOON, NOON + HOUR - second, NOON + HOUR)]
    assert states == ["planned", "running", "running", "over"]
    assert replace(one, ended_at=NOON).state(NOON) == "ended"
    assert one.covers("Berlin", BERLIN, 3)
    assert not one.covers("Berlin", PARIS, 3)
    assert not one.covers("Berlin", None, None)
    assert window(site="Berlin").covers("Berlin", None, None)
    assert not window(site="Berlin").covers(None, None, None)
    assert window(locker=BERLIN, door=3).covers("Berlin", BERLIN, 3)
    assert not window(locker=BERLIN, door=3).covers("Berlin", BERLIN, None)
    windows = Windows()
    windows.load([one])
    assert [windows.tick(NOON - second), windows.tick(NOON), windows.tick(NOON), windows.tick(NOON + HOUR)] == [
        False, True, False, True,
    ]  # fmt: skip


def test_maintenance_keeps_alarms_from_people_and_its_end_tells_what_is_left() -> None:
    scene = Scene()
    scene.event("door.forced", 1)
    scene.watch.touched.clear()
    scene.watch.plan([window(locker=BERLIN)], scene.now)
    assert scene.one("door.forced").suppressed is Suppression.MAINTENANCE
    assert scene.watch.in_maintenance(BERLIN)
    assert not scene.watch.in_maintenance(PARIS)
    assert not scene.watch.in_maintenance("gone-01")
    assert scene.watch.touched >= {BERLIN, PARIS}
    scene.event("door.forced", 2)
    scene.event("door.closed", 1)
    assert [one.door for one in scene.open()] == [2]
    assert scene.watch.health.rate(scene.now) == 1
    before = len(scene.told)
    scene.later(3600)
    assert scene.told[before:] == [("raised", "door.forced")]
    assert scene.one("door.forced").suppressed is None
    assert scene.watch.health.rate(scene.now) == 1


def test_alarms_of_a_door_that_is_out_of_service() -> None:
    scene = Scene()
    scene.event("door.forced", 3)
    out = replace(PLACES[BERLIN], doors={1: True, 2: True, 3: False})
    scene.watch.follow({**PLACES, BERLIN: out}, scene.now)
    assert scene.one("door.forced").suppressed is Suppression.OUT_OF_SERVICE
    scene.watch.follow(PLACES, scene.now)
    assert scene.one("door.forced").suppressed is None


def test_what_is_gone_from_the_registry_is_cleared() -> None:
    scene = Scene()
    scene.event("door.forced", 3)
    scene.event("tamper.on", locker=PARIS)
    scene.event("power.lost", locker=PARIS)
    scene.watch.follow({BERLIN: replace(PLACES[BERLIN], doors={1: True})}, scene.now)
    assert set(scene.states().values()) == {"cleared_unacked"}
    note = scene.watch.book.unwritten[scene.one("tamper").id].steps[-1].note
    assert note == "it is no longer in the registry, or disabled"
    scene.later(20)
    assert not scene.open("power.lost"), "what was about to be raised there is not"
    scene.event("tamper.on", locker=PARIS)
    scene.sample(PARIS, temperature_c=90)
    scene.reach(PARIS, online=False)
    scene.age(9000, PARIS)
    assert {one.state for one in scene.open()} == {AlarmState.CLEARED_UNACKED}


def test_a_locker_that_moves_takes_its_alarms_along() -> None:
    scene = Scene()
    scene.event("door.forced", 3)
    scene.watch.follow({**PLACES, BERLIN: replace(PLACES[BERLIN], site="Hamburg")}, scene.now)
    scene.event("door.forced", 3)
    assert scene.one("door.forced").count == 2


def test_a_snapshot_says_what_nobody_saw() -> None:
    scene = Scene()
    scene.event("door.forced", 1)
    scene.event("door.left_open", 2)
    scene.event("tamper.on")
    scene.event("door.forced", 3)
    scene.event("door.closed", 3)
    scene.watch.snapshot(BERLIN, {1: False, 3: False}, scene.now, now=scene.now, now_ms=scene.now_ms)
    assert {(one.door, one.state.value) for one in scene.open()} == {
        (1, "cleared_unacked"), (2, "active_unacked"), (None, "active_unacked"), (3, "cleared_unacked"),
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["door.jammed", "door.open_not_detected"])
def test_a_snapshot_of_an_open_door_ends_what_an_opening_ends(kind: str) -> None:
    scene = Scene()
    scene.event(kind, 1)
    for is_open, state in ((False, "active_unacked"), (True, "cleared_unacked")):
        scene.watch.snapshot(BERLIN, {1: is_open}, scene.now, now=scene.now, now_ms=scene.now_ms)
        assert scene.one(kind).state == state


def test_a_snapshot_ends_an_item_that_nobody_was_to_move_and_counts_no_opening() -> None:
    scene = Scene()
    scene.event("occupancy.changed", 1, closed_s=60)
    for _ in range(2):
        scene.event("door.open_not_detected", 2)
    doors = dict.fromkeys(range(1, 13), True)
    scene.watch.snapshot(BERLIN, doors, scene.now, now=scene.now, now_ms=scene.now_ms)
    assert scene.states() == {"occupancy.mismatch": "cleared_unacked", "door.open_not_detected": "cleared_unacked"}
    # The count of tries begins anew with it.
    scene.event("door.open_not_detected", 2)
    assert not scene.open("door.jammed")
    assert not scene.open("mass_opening")


def test_a_snapshot_ends_what_was_about_to_be_raised() -> None:
    scene = Scene(rule("{ kind = 'duration', on = ['door.opened'], off = ['door.closed'], for_s = 600 }",
                       kind="door.left_open"))  # fmt: skip
    scene.event("door.opened", 1)
    scene.later(300)
    scene.watch.snapshot(BERLIN, {1: False}, scene.now, now=scene.now, now_ms=scene.now_ms)
    scene.later(400)
    assert scene.open() == []


def test_a_snapshot_with_a_door_of_a_board_says_that_the_board_answers() -> None:
    scene = Scene()
    for board, door in (("a", 1), ("b", 2)):
        scene.watch.event(BERLIN, "board.offline", scene.now, now=scene.now, now_ms=scene.now_ms,
                          details=Details(board, frozenset({door})))  # fmt: skip
    scene.later(31)
    for doors, active in (
        ({3: True}, True),
        ({2: True}, True),
        ({1: False}, False),
    ):
        scene.watch.snapshot(BERLIN, doors, scene.now, now=scene.now, now_ms=scene.now_ms)
        assert scene.one("board.offline").active is active


def test_a_new_hub_does_not_know_which_boards_are_away_and_waits_for_the_lockers_word() -> None:
    scene = Scene()
    for board in "ab":
        scene.event("board.offline", board=board)
    scene.later(31)
    new = Scene()
    new.now, new.seq = scene.now, scene.seq
    new.watch.load(saved(scene), now=new.now, now_ms=0)
    new.event("board.online", board="a")
    assert new.one("board.offline").active
    new.boards(complete=True)
    assert not new.one("board.offline").active


def test_a_restart_within_maintenance_tells_nobody_and_its_end_does() -> None:
    scene = Scene()
    scene.watch.plan([window(locker=BERLIN)], scene.now)
    scene.event("door.forced", 1)
    new = Scene()
    new.watch.plan([window(locker=BERLIN)], new.now)
    new.watch.load(saved(scene), now=new.now, now_ms=0)
    assert (new.told, new.one("door.forced").suppressed) == ([], Suppression.MAINTENANCE)
    new.later(3600)
    assert new.told == [("raised", "door.forced")]


@pytest.mark.parametrize("by_hand", [True, False])
@pytest.mark.parametrize("ended", [True, False])
def test_what_still_stands_when_shelving_ends_is_announced(*, by_hand: bool, ended: bool) -> None:
    scene = Scene()
    scene.event("door.forced", 1)
    away = put_away(scene.one("door.forced"), shelf(scene.now, 30))
    assert isinstance(away, Alarm)
    scene.watch.acted(away, "shelved", scene.now)
    if ended:
        scene.event("door.closed", 1)
    before = len(scene.told)
    if by_hand:
        back = taken_back(scene.one("door.forced"))
        assert isinstance(back, Alarm)
        scene.watch.acted(back, "unshelved", scene.now)
    else:
        scene.later(1800)
    told = [("unshelved", "door.forced"), ("raised", "door.forced")]
    assert scene.told[before:] == told[: 1 if ended else 2]


def test_the_end_of_a_shelf_in_maintenance_is_announced_with_the_end_of_that() -> None:
    scene = Scene()
    scene.event("door.forced", 1)
    away = put_away(scene.one("door.forced"), shelf(scene.now, 30))
    assert isinstance(away, Alarm)
    scene.watch.acted(away, "shelved", scene.now)
    scene.watch.plan([window(locker=BERLIN)], scene.now)
    before = len(scene.told)
    scene.later(1800)
    assert scene.told[before:] == [("unshelved", "door.forced")]
    scene.later(1800)
    assert scene.told[before + 1 :] == [("raised", "door.forced")]


def test_alarms_follow_the_names_of_their_locker_and_site() -> None:
    scene = Scene()
    scene.event("door.forced", 1)
    scene.event("tamper.on")
    assert scene.one("tamper").where == "Berlin, Lobby (berlin-01)"
    renamed = replace(PLACES[BERLIN], name="Foyer", site="Potsdam")
    scene.watch.book.take_unwritten(9)
    scene.watch.follow({**PLACES, BERLIN: renamed}, scene.now)
    assert [(one.where, one.site) for one in scene.open()] == [
        ("Potsdam, Foyer (berlin-01), door 1", "Potsdam"), ("Potsdam, Foyer (berlin-01)", "Potsdam"),
    ]  # fmt: skip
    assert len(scene.watch.book.unwritten) == 2, "their rows follow too"
    assert [what for what, _ in scene.told] == ["raised", "raised"], "nobody is told of it"
    again = replace(renamed, name="Hall")
    new = Scene(places={**PLACES, BERLIN: again})
    new.watch.load(saved(scene), now=new.now, now_ms=0)
    assert new.one("tamper").where == "Potsdam, Hall (berlin-01)", "also what was renamed while no hub ran"


def test_a_site_that_is_renamed_while_it_is_dark_is_dark_under_its_new_name() -> None:
    scene = dark_site()
    places = {name: replace(place, site="Potsdam") for name, place in scene.watch.places.items()}
    before = len(scene.told)
    scene.watch.follow(places, scene.now)
    scene.later(31)
    assert [one.site for one in scene.open("site.offline") if one.active] == ["Potsdam"]
    assert scene.told[before:].count(("raised", "locker.offline")) == 0


def test_lockers_of_an_outage_whose_site_is_gone_stand_for_themselves() -> None:
    scene = dark_site()
    name, place = next(iter(scene.watch.places.items()))
    scene.watch.follow({name: replace(place, site="Elsewhere")}, scene.now)
    assert [one.suppressed for one in scene.open("locker.offline") if one.active] == [None]


def test_a_new_hub_takes_over_and_raises_nothing_twice() -> None:
    scene = Scene()
    scene.event("door.forced", 1)
    scene.clock(unset=True)
    scene.event("board.offline", board="0")
    scene.age(2000)
    for _ in range(5):
        scene.event("access.denied", 2)
    scene.sample(temperature_c=60)
    scene.later(400)
    new = Scene()
    new.now, new.seq = scene.now, scene.seq
    new.watch.load(saved(scene), now=new.now, now_ms=0)
    assert new.states() == scene.states()
    new.event("door.forced", 1, seq=1)
    assert new.one("door.forced").count == 1
    assert new.told == []
    new.event("door.closed", 1)
    new.clock(unset=False)
    new.boards(complete=True)
    new.age(0)
    new.sample(temperature_c=20)
    new.later(900)
    assert set(new.states().values()) == {"cleared_unacked"}
    assert "raised" not in {what for what, _ in new.told}


def test_a_rule_that_is_gone_clears_its_alarms() -> None:
    scene = Scene()
    scene.event("tamper.on")
    scene.event("door.forced", 1)
    new = Scene(rule())
    new.watch.load([replace(one, rule="r" if one.type == "tamper" else one.rule) for one in saved(scene)],
                   now=new.now, now_ms=0)  # fmt: skip
    assert new.states() == {"tamper": "active_unacked", "door.forced": "cleared_unacked"}
    other = Scene(rule() + rule(name="s", scope="{ site = 'Berlin' }"))
    other.watch.load([replace(one, rule="r") for one in saved(scene)], now=other.now, now_ms=0)
    assert other.states()["tamper"] == "cleared_unacked", "another rule counts there"


def dark_site() -> Scene:
    places = {f"b-{number}": AlarmPlace("default", "Berlin", "b") for number in range(4)}
    scene = Scene(places=places)
    for number in range(3):
        scene.reach(f"b-{number}", online=False)
    scene.later(31)
    scene.later(30)
    return scene


def test_a_new_hub_knows_the_outage_of_a_site() -> None:
    scene = dark_site()
    new = Scene(places=dict(scene.watch.places))
    new.now = scene.now
    new.watch.load(saved(scene), now=new.now, now_ms=0)
    assert (new.one("site.offline").children, new.told) == (3, [])
    new.later(1)
    for number in range(3):
        new.reach(f"b-{number}", online=True)
    new.later(5)
    new.later(5)
    assert new.states() == {"site.offline": "cleared_unacked"}


def test_lockers_that_go_one_by_one_are_no_outage_and_neither_are_those_of_no_site() -> None:
    scene = Scene(places={f"b-{number}": AlarmPlace("default", "Berlin", "b") for number in range(4)})
    for number in range(4):
        scene.reach(f"b-{number}", online=False)
        scene.later(31)
    scene.later(60)
    assert {one.type for one in scene.open()} == {"locker.offline"}
    nowhere = Scene(places={f"x-{number}": AlarmPlace("default", "", "x") for number in range(4)})
    for number in range(4):
        nowhere.reach(f"x-{number}", online=False)
    nowhere.later(60)
    nowhere.later(60)
    assert {one.type for one in nowhere.open()} == {"locker.offline"}
    assert nowhere.open()[0].where == "x (x-0)"


def test_an_outage_that_is_over_before_its_delay_is_none() -> None:
    scene = Scene(places={f"b-{number}": AlarmPlace("default", "Berlin", "b") for number in range(4)})
    for number in range(4):
        scene.reach(f"b-{number}", online=False)
    scene.later(1)
    scene.later(10)
    for number in range(4):
        scene.reach(f"b-{number}", online=True)
    scene.later(1)
    scene.later(60)
    assert scene.open() == []


def test_an_acknowledged_outage_closes_and_leaves_what_is_still_away() -> None:
    scene = dark_site()
    then = acknowledged(scene.one("site.offline"), "anna", None, scene.now)
    assert isinstance(then, Alarm)
    scene.watch.acted(then, "acked", scene.now)
    scene.reach("b-0", online=True)
    scene.later(1)
    scene.later(5)
    scene.later(5)
    assert scene.states() == {"locker.offline": "active_unacked"}
    assert [one.suppressed for one in scene.open()] == [None, None]


def test_a_locker_that_leaves_the_registry_leaves_the_outage() -> None:
    scene = dark_site()
    scene.watch.follow({"b-3": AlarmPlace("default", "Berlin", "b")}, scene.now)
    scene.later(5)
    scene.later(5)
    assert set(scene.states().values()) == {"cleared_unacked"}


def test_a_site_without_lockers_is_gone() -> None:
    scene = dark_site()
    scene.watch.follow({}, scene.now)
    assert scene.one("site.offline").state is AlarmState.CLEARED_UNACKED


def test_outages_forget_who_is_back() -> None:
    outages = Outages()
    outages.back(("t", "s"), "l")
    outages.lost(("t", "s"), "l", NOON)
    outages.lost(("t", "s"), "m", NOON)
    outages.back(("t", "s"), "l")
    assert (outages.sites(), outages.missing(("t", "s"))) == ([("t", "s")], 1)
    outages.back(("t", "s"), "m")
    assert (outages.sites(), outages.missing(("t", "s"))) == ([], 0)


def test_without_a_rule_for_sites_nothing_is_folded() -> None:
    text = DEFAULT.read_text().replace('id = "site.offline"', 'id = "site.offline"\nenabled = false')
    scene = Scene(text.split('version = "2026.2"')[1], places=dict(dark_site().watch.places))
    for number in range(4):
        scene.reach(f"b-{number}", online=False)
    scene.later(31)
    scene.later(60)
    assert {one.suppressed for one in scene.open()} == {None}


def test_another_hubs_alarms_are_cleared_by_whoever_sees_the_end() -> None:
    first, second = Scene(), Scene()
    first.event("door.forced", 1)
    (row,) = saved(first)
    second.watch.adopt(row, second.now, second.now_ms)
    second.watch.adopt(row, second.now, second.now_ms)
    second.event("door.closed", 1)
    assert second.states() == {"door.forced": "cleared_unacked"}
    second.watch.adopt(
        replace(row, id=UUID(int=9), version=9, locker=None, site="Berlin", type="site.offline", door=None),
        second.now,
        0,
    )
    assert len(second.open()) == 2


def test_only_what_people_see_counts_for_the_health() -> None:
    scene = dark_site()
    assert scene.watch.health.top(scene.now) == [(Source("site.offline", None, None), 1)]
    assert scene.watch.health.shares(scene.now)[Severity.CRITICAL] == 1.0


def test_an_alarm_says_what_to_do() -> None:
    scene = Scene()
    scene.event("tamper.on")
    assert scene.one("tamper").consequence.startswith("Somebody works at the cabinet")
    assert scene.one("tamper").todo.startswith("Look at the site at once")


def test_a_locker_that_was_gone_before_is_folded_into_the_outage_as_well() -> None:
    scene = Scene(places={f"b-{number}": AlarmPlace("default", "Berlin", "b") for number in range(4)})
    scene.reach("b-0", online=False)
    scene.later(120)
    assert scene.one("locker.offline").annunciated
    for number in (1, 2, 3):
        scene.reach(f"b-{number}", online=False)
    scene.later(31)
    assert scene.one("locker.offline").parent == scene.one("site.offline").id
    assert scene.one("site.offline").children == 1
