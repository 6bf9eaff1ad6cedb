"""Seven years of a fleet, made up: who opened which door when. Pure and seeded: the same plan, the same history.

A visit is five events of one person at one door, as an agent writes them. One in five comes by a command of the
hub, the others by a reader at the locker. One person, the regular, is made to have a known number of events.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate
from random import Random
from typing import Final
from uuid import UUID

from wire.messages import PROTOCOL, Clock, Event, EventBatch, EventKind, Sample

EVENTS_A_VISIT: Final = 5
YEARS: Final = 7
READINGS_EVERY_MIN: Final = 15
READINGS_DAYS: Final = 395
"""Thirteen months: older samples would be gone by the rules."""

_EVENTS_A_LOCKER: Final = 50_000
_LOCKERS_MIN: Final = 4
_LOCKERS_MAX: Final = 1000
_LOCKERS_A_SITE: Final = 4
_PEOPLE_A_SITE: Final = 120
_REGULAR_EVENTS: Final = 5000
_REGULAR_SHARE_MAX: Final = 0.05
_BUSY_BY_WEEKDAY: Final = (1.0, 1.0, 1.0, 0.95, 0.85, 0.08, 0.04)
_OPENS_AT_MS: Final = 7 * 3_600_000
_OPEN_FOR_MS: Final = 12 * 3_600_000
_DAY_MS: Final = 86_400_000
_READING_LOCKERS: Final = 50


@dataclass(frozen=True)
class Plan:
    """What is made up: at least so many events, on the days before `ends` (which is not among them), in UTC."""

    events: int
    ends: date
    seed: int = 1
    doors: int = 16
    years: int = YEARS
    begins: date = field(init=False)
    reach: tuple[float, ...] = field(init=False)
    """The share of all visits that lies before each day, and 1 at the end."""

    def __post_init__(self) -> None:
        """Work out the days."""
        # On 29 February a year back is 1 March: the history is a day short, and nobody minds.
        first = date(self.ends.year - self.years, 3, 1)
        if (self.ends.month, self.ends.day) != (2, 29):
            first = self.ends.replace(year=self.ends.year - self.years)
        busy = [
            _BUSY_BY_WEEKDAY[(first + timedelta(days=day)).weekday()] for day in range((self.ends - first).days)
        ]
        total = sum(busy)
        object.__setattr__(self, "begins", first)
        object.__setattr__(self, "reach", (0.0, *(part / total for part in accumulate(busy))))

    @property
    def days(self) -> int:
        """How many days it has."""
        return len(self.reach) - 1

    @property
    def lockers(self) -> list[str]:
        """The lockers' ids."""
        count = min(max(self.events // _EVENTS_A_LOCKER, _LOCKERS_MIN), _LOCKERS_MAX)
        return [f"site-{number // _LOCKERS_A_SITE:03d}-{number % _LOCKERS_A_SITE + 1}" for number in range(count)]

    @property
    def visits_a_locker(self) -> int:
        """How many visits each locker has."""
        return -(-self.events // (len(self.lockers) * EVENTS_A_VISIT))

    @property
    def regular(self) -> UUID:
        """The actor who has `regular_events` events, in all but the first year, at the first site's lockers."""
        return _uuid(Random(f"{self.seed} regular"))

    @property
    def regular_visits_a_locker(self) -> int:
        """How many visits of the regular each locker of the first site has."""
        wanted = min(_REGULAR_EVENTS, int(self.events * _REGULAR_SHARE_MAX))
        return max(1, wanted // (_LOCKERS_A_SITE * EVENTS_A_VISIT))

    @property
    def regular_events(self) -> int:
        """How many events the regular has."""
        return self.regular_visits_a_locker * _LOCKERS_A_SITE * EVENTS_A_VISIT

    def day_ms(self, day: int) -> int:
        """Return when a day begins, in Unix milliseconds."""
        begins = datetime(self.begins.year, self.begins.month, self.begins.day, tzinfo=UTC)
        return int(begins.timestamp()) * 1000 + day * _DAY_MS


@dataclass(frozen=True, slots=True)
class Visit:
    """One visit: its events with their numbers, when each occurred and when the hub had them, in Unix ms."""

    batch: EventBatch
    occurred: list[int]
    received_ms: int


class Life:
    """One locker's ledger. Days are asked for in order."""

    def __init__(self, plan: Plan, place: int) -> None:
        self.locker = plan.lockers[place]
        self._plan = plan
        self._place = place
        random = Random(f"{plan.seed} {self.locker}")
        site = Random(f"{plan.seed} site {place // _LOCKERS_A_SITE}")
        self._people = [_uuid(site) for _ in range(_PEOPLE_A_SITE)]
        self.epoch = _uuid(random)
        self._boot = _uuid(random)
        self._shift = random.random()
        self.next_seq = 1
        # The regular comes every so many visits, from the second year on.
        self._regular_from = -(-plan.visits_a_locker // plan.years)
        self._regular_left = plan.regular_visits_a_locker if place < _LOCKERS_A_SITE else 0
        self._regular_every = max(1, (plan.visits_a_locker - self._regular_from) // plan.regular_visits_a_locker)

    def day(self, day: int) -> Iterator[Visit]:
        """Yield a day's visits, in order."""
        plan = self._plan
        first, end = (int(plan.visits_a_locker * plan.reach[at] + self._shift) for at in (day, day + 1))
        random = Random(f"{plan.seed} {self.locker} {day}")
        starts = sorted(random.randrange(_OPEN_FOR_MS) for _ in range(first, end))
        for number, start in zip(range(first, end), starts, strict=True):
            yield self._visit(random, number, plan.day_ms(day) + _OPENS_AT_MS + start)

    def _visit(self, random: Random, number: int, at_ms: int) -> Visit:
        draw = random.getrandbits(96)
        door = draw % self._plan.doors + 1
        actor = self._people[(draw >> 8) % _PEOPLE_A_SITE]
        if self._regular_left and number >= self._regular_from and number % self._regular_every == 0:
            actor = self._plan.regular
            self._regular_left -= 1
        opened = at_ms + 300 + (draw >> 16) % 700
        item = opened + 800 + (draw >> 32) % 4000
        times = [at_ms, at_ms + 60, opened, item, item + 500 + (draw >> 44) % 9000]
        told: dict[str, object] = {"occupied": bool(draw >> 95)}
        command = transaction = None
        if (draw >> 64) % 5 == 0:
            command = _uuid(random)
        elif draw >> 94 & 1:
            transaction = _uuid(random)
        # By the hub the answer comes last, by a reader the question comes first.
        kinds: list[tuple[EventKind, dict[str, object] | None]] = [
            (EventKind.DOOR_UNLOCKED, None),
            (EventKind.DOOR_OPENED, None),
            (EventKind.OCCUPANCY_CHANGED, told),
            (EventKind.DOOR_CLOSED, None),
        ]
        if command is None:
            kinds.insert(0, (EventKind.ACCESS_GRANTED, {"by": "badge"}))
        else:
            finished: dict[str, object] = {
                "command": {"id": str(command), "locker": self.locker, "kind": "open", "door": door,
                            "actor": str(actor), "reason": "pick-up"},
                "state": "succeeded",
            }  # fmt: skip
            kinds.insert(1, (EventKind.COMMAND_FINISHED, finished))
        events = [
            Event(
                t=at - self._plan.day_ms(0), at=at, kind=kind, actor=actor, command=command,
                transaction=transaction, door=None if kind is EventKind.COMMAND_FINISHED else door, data=data,
            )
            for (kind, data), at in zip(kinds, times, strict=True)
        ]  # fmt: skip
        first = self.next_seq
        self.next_seq += len(events)
        last = events[-1]
        batch = EventBatch(
            v=PROTOCOL, boot=self._boot, t=last.t, at=last.at, clock=Clock.SYNCED, epoch=self.epoch, first=first,
            events=events,
        )  # fmt: skip
        return Visit(batch, times, last.at + 120)


def reading_lockers(plan: Plan) -> list[str]:
    """Return the lockers that have telemetry; the others' would say nothing new about reading it."""
    return plan.lockers[:_READING_LOCKERS]


def readings(plan: Plan, locker: str, day: int) -> Iterator[tuple[int, Sample]]:
    """Yield a locker's samples of one day with their times in Unix milliseconds."""
    random = Random(f"{plan.seed} {locker} readings {day}")
    season = 8.0 * (1 - abs(day % 365 - 182) / 91)
    for place in range(24 * 60 // READINGS_EVERY_MIN):
        at_ms = plan.day_ms(day) + place * READINGS_EVERY_MIN * 60_000 + random.randrange(2000)
        yield at_ms, Sample(
            t=at_ms - plan.day_ms(0), temperature_c=round(14 + season + random.gauss(0, 1), 1),
            humidity_pct=round(45 + random.gauss(0, 5), 1), supply_v=round(12 + random.gauss(0, 0.05), 2),
            rssi_dbm=float(-60 - random.randrange(15)), cpu_temp_c=round(45 + random.gauss(0, 3), 1),
            cpu_pct=round(random.uniform(2, 20), 1), memory_pct=round(31 + random.gauss(0, 1), 1),
            disk_free_mb=5120.0 - place, outbox_events=random.randrange(5), board_errors=0, dropped=0,
        )  # fmt: skip


def _uuid(random: Random) -> UUID:
    return UUID(int=random.getrandbits(128), version=4)
