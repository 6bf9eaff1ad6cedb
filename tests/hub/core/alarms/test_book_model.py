"""The book of open alarms, held against a plain model."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from hub.core.alarms.alarm import (
    Alarm,
    AlarmState,
    Key,
    Skip,
    acknowledged,
    put_away,
    taken_back,
    unacknowledged,
)
from hub.core.alarms.alarm_book import AlarmBook
from tests.hub.core.alarms.pages import KEYS, OPEN_MAX, Told, shelf
from tests.hub.core.alarms.scene import BERLIN


class Model(RuleBasedStateMachine):
    """Every key has at most one open alarm: whether its condition holds, whether it was seen, how often it came."""

    @initialize()
    def begin(self) -> None:
        self.ids = count(1)
        self.told = Told(ids=self.ids)
        self.model: dict[Key, dict[str, object]] = {}
        self.rows: dict[UUID, Alarm] = {}
        self.refused = 0
        self.closed: set[UUID] = set()

    @property
    def book(self) -> AlarmBook:
        return self.told.book

    @rule(seconds=st.sampled_from([1, 30, 600, 90_000]))
    def time(self, seconds: int) -> None:
        self.told.now += timedelta(seconds=seconds)
        self.book.tick(self.told.now)
        for one in self.model.values():
            until = one["until"]
            if isinstance(until, datetime) and until <= self.told.now:
                one["until"] = None

    @rule(key=st.sampled_from(KEYS))
    def raise_(self, key: Key) -> None:
        alarm = self.told.raised(key)
        known = self.model.get(key)
        if known is None:
            if len(self.model) >= OPEN_MAX:
                self.refused += 1
                assert alarm is None
                return
            self.model[key] = {"active": True, "acked": False, "count": 1, "until": None, "id": None}
            assert alarm is not None
            self.model[key]["id"] = alarm.id
        else:
            known["count"] = int(str(known["count"])) + 1
            if not known["active"]:
                known |= {"active": True, "acked": False}

    @rule(key=st.sampled_from(KEYS))
    def clear(self, key: Key) -> None:
        self.book.cleared(key, self.told.now)
        known = self.model.get(key)
        if known is not None and known["active"]:
            known["active"] = False
            self._maybe_over(key)

    @rule(key=st.sampled_from(KEYS))
    def acknowledge(self, key: Key) -> None:
        known = self.model.get(key)
        alarm = self.book.find(key)
        if known is None or alarm is None:
            return
        then = acknowledged(alarm, "anna", "seen", self.told.now)
        if known["acked"]:
            assert then is Skip.ALREADY_ACKED
            return
        assert isinstance(then, Alarm)
        self.book.acted(then, "acked", self.told.now)
        known["acked"] = True
        self._maybe_over(key)

    @rule(key=st.sampled_from(KEYS))
    def unacknowledge(self, key: Key) -> None:
        known, alarm = self.model.get(key), self.book.find(key)
        if known is None or alarm is None:
            return
        then = unacknowledged(alarm)
        if not known["acked"]:
            assert then is Skip.NOT_ACKED
            return
        assert isinstance(then, Alarm)
        self.book.acted(then, "unacked", self.told.now)
        known["acked"] = False

    @rule(key=st.sampled_from(KEYS), minutes=st.sampled_from([1, 1440]))
    def shelve(self, key: Key, minutes: int) -> None:
        known, alarm = self.model.get(key), self.book.find(key)
        if known is None or alarm is None:
            return
        then = put_away(alarm, shelf(self.told.now, minutes))
        assert isinstance(then, Alarm)
        self.book.acted(then, "shelved", self.told.now)
        known["until"] = self.told.now + timedelta(minutes=minutes)

    @rule(key=st.sampled_from(KEYS))
    def unshelve(self, key: Key) -> None:
        known, alarm = self.model.get(key), self.book.find(key)
        if known is None or alarm is None:
            return
        then = taken_back(alarm)
        if known["until"] is None:
            assert then is Skip.NOT_SHELVED
            return
        assert isinstance(then, Alarm)
        self.book.acted(then, "unshelved", self.told.now)
        known["until"] = None

    @rule()
    def write(self) -> None:
        for one in self.book.take_unwritten(100):
            self.rows[one.alarm.id] = replace(one.alarm, version=one.alarm.version + 1)
            self.book.written(one.alarm.id, one.alarm.version + 1)

    @rule()
    def restart(self) -> None:
        self.write()
        before = {one.key: (one.id, one.state, one.count, one.shelved) for one in self.book.alarms.values()}
        now, refused = self.told.now, self.book.refused
        # What operators did is in the rows at once.
        rows = [*self.book.alarms.values()]
        self.told = Told(ids=self.ids)
        self.told.now = now
        self.book.load(rows)
        self.book.refused = refused
        after = {one.key: (one.id, one.state, one.count, one.shelved) for one in self.book.alarms.values()}
        assert after == before

    def _maybe_over(self, key: Key) -> None:
        known = self.model[key]
        if known["acked"] and not known["active"]:
            self.closed.add(UUID(str(known["id"])))
            del self.model[key]

    @invariant()
    def it_is_as_the_model_says(self) -> None:
        if not hasattr(self, "told"):
            return
        names = {
            (True, False): AlarmState.ACTIVE_UNACKED, (True, True): AlarmState.ACTIVE_ACKED,
            (False, False): AlarmState.CLEARED_UNACKED,
        }  # fmt: skip
        found = {
            one.key: (one.state, one.count, None if one.shelved is None else one.shelved.until, one.id)
            for one in self.book.alarms.values()
        }
        assert found == {
            key: (names[bool(one["active"]), bool(one["acked"])], one["count"], one["until"], one["id"])
            for key, one in self.model.items()
        }
        assert self.book.refused == self.refused
        assert set(self.book.by_key) == set(self.model)
        by_locker = {one.id for one in self.book.alarms.values() if one.locker == BERLIN}
        assert self.book.of_locker.get(BERLIN, set()) == by_locker
        for one in self.book.alarms.values():
            assert (one.acked_by is not None) == (one.state is AlarmState.ACTIVE_ACKED)
            assert one.stale <= one.active


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
