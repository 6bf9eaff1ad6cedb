from collections import Counter
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from bench.history_fleet import EVENTS_A_VISIT, READINGS_EVERY_MIN, Life, Plan, Visit, reading_lockers, readings
from hub.core.finished import read_finished
from wire.messages import decode_events, encode

ENDS = date(2026, 11, 21)
PLAN = Plan(20_000, ENDS)
DAY_MS = 86_400_000


def history(plan: Plan) -> dict[str, list[Visit]]:
    lives = [Life(plan, place) for place in range(len(plan.lockers))]
    return {life.locker: [visit for day in range(plan.days) for visit in life.day(day)] for life in lives}


@pytest.fixture(scope="module")
def made() -> dict[str, list[Visit]]:
    return history(PLAN)


def test_the_same_plan_is_the_same_history_and_another_seed_another_one(made: dict[str, list[Visit]]) -> None:
    assert history(PLAN) == made
    assert history(Plan(20_000, ENDS, seed=2)) != made


def test_there_are_as_many_events_as_were_asked_for_and_hardly_more(made: dict[str, list[Visit]]) -> None:
    count = sum(len(visit.batch.events) for visits in made.values() for visit in visits)
    assert PLAN.events <= count < PLAN.events + len(PLAN.lockers) * EVENTS_A_VISIT


def test_each_ledger_is_dense_and_within_the_years(made: dict[str, list[Visit]]) -> None:
    begins_ms, ends_ms = PLAN.day_ms(0), PLAN.day_ms(PLAN.days)
    assert datetime.fromtimestamp(ends_ms / 1000, UTC).date() == ENDS
    assert PLAN.begins == date(2019, 11, 21)
    for locker, visits in made.items():
        assert len({visit.batch.epoch for visit in visits}) == 1, locker
        following = 1
        for visit in visits:
            assert visit.batch.first == following
            following += len(visit.batch.events)
            assert begins_ms <= visit.occurred[0]
            assert visit.occurred == sorted(visit.occurred)
            assert visit.occurred[-1] <= visit.received_ms < ends_ms
            assert decode_events(encode(visit.batch)) == visit.batch


def test_one_person_has_a_known_number_of_events_and_none_in_the_first_year(made: dict[str, list[Visit]]) -> None:
    found = [
        at
        for visits in made.values()
        for visit in visits
        for event, at in zip(visit.batch.events, visit.occurred, strict=True)
        if event.actor == PLAN.regular
    ]
    assert len(found) == PLAN.regular_events == 1000
    assert min(found) >= PLAN.day_ms(366)
    assert Plan(20_000_000, ENDS).regular_events == 5000


def test_a_command_of_the_hub_ends_in_the_ledger(made: dict[str, list[Visit]]) -> None:
    kinds: Counter[bool] = Counter()
    for locker, visits in made.items():
        for visit in visits:
            ids = {event.command for event in visit.batch.events}
            assert len(ids) == 1
            (command,) = ids
            finished = [one for event in visit.batch.events if (one := read_finished(locker, event)) is not None]
            assert [one.id for one in finished] == ([] if command is None else [command])
            kinds[isinstance(command, UUID)] += 1
    assert 0.15 < kinds[True] / kinds.total() < 0.25


def test_offices_are_empty_at_weekends(made: dict[str, list[Visit]]) -> None:
    days: Counter[int] = Counter()
    for visits in made.values():
        for visit in visits:
            days[datetime.fromtimestamp(visit.occurred[0] / 1000, UTC).weekday()] += 1
    assert days[6] < days[5] < days[0] / 5


def test_a_history_that_ends_on_a_leap_day_begins_on_the_first_of_march() -> None:
    assert Plan(1, date(2028, 2, 29)).begins == date(2021, 3, 1)


def test_telemetry_comes_at_its_pace() -> None:
    (first, *_) = reading_lockers(PLAN)
    times = [at for at, _ in readings(PLAN, first, 3)]
    assert times == sorted(times)
    assert len(times) == timedelta(days=1) // timedelta(minutes=READINGS_EVERY_MIN)
    assert PLAN.day_ms(3) <= times[0]
    assert times[-1] < PLAN.day_ms(4)
