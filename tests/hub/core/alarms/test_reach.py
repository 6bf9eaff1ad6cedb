"""Who cannot be reached while the hub itself hears nobody: 500 lockers behind one broker, in virtual time."""

import random
from datetime import datetime, timedelta
from typing import Final

import pytest

from hub.core.alarms.places import AlarmPlace
from hub.core.alarms.reachability import LockerSighting, ReachabilityTracker
from tests.hub.core.alarms.scene import Scene

LOCKERS: Final = 500
RECONNECT_CAP_S: Final = 60.0
"""Of the agents, with full jitter: `edge_agent.config.Mqtt.reconnect_cap_s`."""
RECONNECT_S: Final = 90.0
"""`hub.config.settings.Alarms.reconnect_s`."""
SILENT_AFTER_S: Final = 45.0
HUB_BACK_S: Final = 2.0


class Fleet:
    """Lockers with the backoff of agents, a broker, and a hub that looks once a second."""

    def __init__(self, lockers: int = LOCKERS, *, sites: int = 5, seed: int = 1) -> None:
        self.random = random.Random(seed)
        names = [f"locker-{number:03}" for number in range(lockers)]
        self.scene = Scene(
            places={name: AlarmPlace("default", f"Site {int(name[7:]) % sites}", name) for name in names}
        )
        self.reach = ReachabilityTracker(self.scene.watch, RECONNECT_S * 1000)
        self.online = dict.fromkeys(names, True)
        self.since: dict[str, datetime | None] = dict.fromkeys(names, self.scene.now)
        self.broker = self.hub = True
        self.second(1)

    def second(self, seconds: int) -> None:
        for _ in range(seconds):
            self.scene.later(1, tick=False)
            now = self.scene.now
            self.reach.turn(
                [
                    LockerSighting(name, online, known=True, since=self.since[name])
                    for name, online in self.online.items()
                ],
                listening=self.broker and self.hub,
                now=now,
                now_ms=self.scene.now_ms,
            )

    def set(self, name: str, *, online: bool) -> None:
        self.online[name], self.since[name] = online, self.scene.now

    def outage(self, seconds: int, *, gone: frozenset[str] = frozenset(), wills: int = 0) -> None:
        """Let the broker be away; then lockers come back, each after a pause of its own, all but those `gone`."""
        names = list(self.online)
        for name in names[:wills]:
            # Their wills came a moment before the hub's own link broke.
            self.set(name, online=False)
        self.second(1)
        self.broker = self.hub = False
        for passed in range(seconds):
            if passed == int(SILENT_AFTER_S):
                for name in names:
                    self.set(name, online=False)
            self.second(1)
        self.broker = True
        back = {name: self.random.uniform(0, RECONNECT_CAP_S) for name in names if name not in gone}
        for passed in range(300):
            self.hub = passed >= HUB_BACK_S
            for name, at in back.items():
                if at <= passed and not self.online[name]:
                    self.set(name, online=True)
            self.second(1)

    def raised(self) -> list[str]:
        return [
            one.alarm.type for one in self.scene.transitions
            if one.what == "raised" and one.alarm.suppressed is None
        ]  # fmt: skip


@pytest.mark.parametrize("wills", [0, 300])
@pytest.mark.parametrize("seconds", [20, 79, 600])
def test_a_broker_that_is_away_is_one_alarm_and_not_one_of_each_locker(seconds: int, wills: int) -> None:
    fleet = Fleet()
    fleet.outage(seconds, wills=wills)
    assert fleet.raised() == (["broker.offline"] if seconds >= 30 else [])
    assert all(not one.active for one in fleet.scene.open())


def test_a_locker_that_stays_away_is_told_after_the_fair_time_and_since_the_hub_could_hear() -> None:
    fleet = Fleet()
    fleet.outage(79, gone=frozenset({"locker-007"}))
    assert fleet.raised() == ["broker.offline", "locker.offline"]
    alarm = fleet.scene.one("locker.offline")
    assert (alarm.locker, alarm.active) == ("locker-007", True)
    (broker,) = fleet.scene.open("broker.offline")
    assert broker.cleared_at is not None
    waited_s = (alarm.raised_at - broker.cleared_at).total_seconds()
    assert RECONNECT_CAP_S < waited_s <= RECONNECT_S + 1
    assert alarm.began_at == broker.cleared_at


def test_a_site_that_stays_away_is_one_alarm_with_its_lockers_under_it() -> None:
    fleet = Fleet()
    fleet.outage(79, gone=frozenset(name for name in fleet.online if int(name[7:]) % 5 == 2))
    assert fleet.raised() == ["broker.offline", "site.offline"]
    assert fleet.scene.one("site.offline").children == LOCKERS / 5


def test_a_locker_that_was_away_before_stays_told_and_is_not_told_again() -> None:
    fleet = Fleet()
    fleet.set("locker-001", online=False)
    fleet.second(62)
    assert fleet.raised() == ["locker.offline"]
    fleet.outage(79, gone=frozenset({"locker-001"}))
    assert fleet.raised() == ["locker.offline", "broker.offline"]
    assert fleet.scene.one("locker.offline").active


def test_a_link_that_flaps_raises_nobody() -> None:
    fleet = Fleet()
    for _ in range(20):
        fleet.hub = False
        fleet.second(3)
        fleet.hub = True
        fleet.second(5)
    assert fleet.raised() == []


def test_delays_do_not_run_while_the_hub_is_deaf_and_go_on_when_lockers_had_time_to_speak() -> None:
    fleet = Fleet()
    fleet.scene.event("power.lost", locker="locker-001")
    fleet.scene.event("power.lost", locker="locker-002")
    fleet.outage(79)
    # Without a word from them both are told, after the time in which they could have said otherwise.
    assert sorted(fleet.raised()) == ["broker.offline", "power.lost", "power.lost"]
    again = Fleet()
    again.scene.event("power.lost", locker="locker-001")
    again.hub = again.broker = False
    again.second(79)
    again.hub = again.broker = True
    again.second(30)
    again.scene.event("power.restored", locker="locker-001", ago=105)
    again.second(120)
    assert again.raised() == ["broker.offline"]


def test_quiet_is_no_sign_while_the_hub_is_deaf() -> None:
    fleet = Fleet(3)
    fleet.scene.event("hub.ledger_gap", locker="locker-001")
    fleet.hub = False
    fleet.second(3700)
    assert fleet.scene.one("ledger.gap").active
    fleet.hub = True
    fleet.second(100)
    assert not fleet.scene.one("ledger.gap").active


def test_a_delay_that_begins_after_the_hub_is_back_is_as_long_as_ever() -> None:
    fleet = Fleet()
    fleet.hub = False
    fleet.second(5)
    fleet.hub = True
    fleet.second(2)
    fleet.scene.event("power.lost", locker="locker-001")
    fleet.second(11)
    assert fleet.raised() == ["power.lost"]


def test_a_locker_that_was_never_heard_is_not_missed() -> None:
    scene = Scene()
    reach = ReachabilityTracker(scene.watch, 0)
    for _ in range(200):
        scene.later(1, tick=False)
        reach.turn(
            [LockerSighting("berlin-01", reachable=False, known=False, since=None)],
            listening=True,
            now=scene.now,
            now_ms=scene.now_ms,
        )
    assert scene.open() == []
    reach.turn([LockerSighting("berlin-01", reachable=False, known=True, since=scene.now - timedelta(seconds=70))],
               listening=True, now=scene.now, now_ms=scene.now_ms)  # fmt: skip
    assert scene.one("locker.offline").active
    reach.follow([])
    assert scene.one("locker.offline").active


def test_no_rule_for_the_broker_is_no_alarm_of_it() -> None:
    scene = Scene("rule = []")
    scene.watch.broker(away_since=scene.now - timedelta(hours=1), now=scene.now, now_ms=0)
    scene.watch.broker(away_since=None, now=scene.now, now_ms=0)
    assert scene.open() == []
