"""A book of alarms with its own time, which remembers what it told."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count
from uuid import UUID

from hub.core.alarms.alarm import Alarm, Key, Mark, Occurrence, Severity, Shelf, Spot
from hub.core.alarms.alarm_book import AlarmBook
from hub.core.alarms.transitions import Transition
from tests.hub.core.alarms.scene import BERLIN, NOON

KEYS: list[Key] = [
    ("door.forced", Spot("default", None, BERLIN, 1)),
    ("door.forced", Spot("default", None, BERLIN, 2)),
    ("tamper", Spot("default", None, BERLIN, None)),
    ("site.offline", Spot("default", "Berlin", None, None)),
    ("site.offline", Spot("default", "Paris", None, None)),
]
OPEN_MAX = 4


def seen(key: Key, at: datetime = NOON, mark: Mark | None = None) -> Occurrence:
    return Occurrence(key=key, rule=key[0], severity=Severity.HIGH, at=at, mark=mark)


def shelf(now: datetime, minutes: float = 30) -> Shelf:
    return Shelf("anna", "known", now, now + timedelta(minutes=minutes))


class Told:
    """A book that remembers what it told, with a table beside it that is written to."""

    def __init__(self, open_max: int = OPEN_MAX, ids: Iterator[int] | None = None, **limits: int) -> None:
        ids = count(1) if ids is None else ids
        self.transitions: list[Transition] = []
        self.book = AlarmBook(lambda: UUID(int=next(ids)), self.transitions.append, open_max=open_max, **limits)
        self.now = NOON

    @property
    def what(self) -> list[str]:
        return [one.what for one in self.transitions]

    def raised(self, key: Key, mark: Mark | None = None) -> Alarm | None:
        return self.book.raised(
            seen(key, self.now, mark), site=key[1].site or "Berlin", where="Berlin", now=self.now
        )

    def one(self, key: Key) -> Alarm:
        found = self.book.find(key)
        assert found is not None
        return found
