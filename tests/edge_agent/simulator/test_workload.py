"""The office's day: repeatable, as busy as it should be, and nobody takes what is not there."""

from random import Random

from edge_agent.simulator.workload import Errand, Workload


def office(seed: int = 1, **options: float) -> Workload:
    return Workload(Random(seed), 25, 16, speed=options.pop("speed", 60.0), step_s=options.pop("step_s", 0.5))


def test_a_seed_gives_the_same_day_again() -> None:
    one, other = office(), office()
    assert [(one.gap_s(), one.visit(set())) for _ in range(200)] == [
        (other.gap_s(), other.visit(set())) for _ in range(200)
    ]
    assert office(2).visit(set()) != office(3).visit(set())


def test_twenty_five_lockers_are_lively() -> None:
    day = office()
    visits = 2000
    seconds = sum(day.gap_s() for _ in range(visits))
    assert 1.0 < visits / seconds < 2.0


def test_speed_brings_people_sooner_and_moves_them_no_faster() -> None:
    slow, fast = office(speed=1.0), office(speed=100.0)
    assert sum(slow.gap_s() for _ in range(200)) > 50 * sum(fast.gap_s() for _ in range(200))
    assert [slow.visit(set()) for _ in range(50)] == [fast.visit(set()) for _ in range(50)]


def test_noon_is_quieter_than_nine() -> None:
    day = office()
    arrivals: dict[int, int] = {}
    for _ in range(30_000):
        day.gap_s()
        arrivals[int(day.hour)] = arrivals.get(int(day.hour), 0) + 1
    assert set(arrivals) == set(range(8, 18))
    assert arrivals[12] < 0.8 * arrivals[9]


def test_nobody_takes_from_an_empty_door_or_puts_into_a_full_one() -> None:
    day = office()
    full = [set(doors) for doors in day.occupied]
    for _ in range(2000):
        visit = day.visit(set())
        if visit is None:
            continue
        taking = visit.errand in {Errand.PICK_UP, Errand.LEND}
        assert (visit.door in full[visit.locker]) == taking
        assert visit.leaves_item != taking
        (full[visit.locker].discard if taking else full[visit.locker].add)(visit.door)
        assert full[visit.locker] == day.occupied[visit.locker]


def test_busy_doors_are_left_alone() -> None:
    day = office()
    everywhere = {(locker, door) for locker in range(25) for door in range(1, 17)}
    assert day.visit(everywhere) is None
    one = everywhere - {(3, 4)}
    found = {(visit.locker, visit.door) for _ in range(2000) if (visit := day.visit(one)) is not None}
    assert found == {(3, 4)}


def test_nobody_is_faster_than_the_slowest_poll() -> None:
    day = office(step_s=6.0)
    visits = [visit for _ in range(300) if (visit := day.visit(set())) is not None]
    assert min(visit.item_after_s for visit in visits) >= 6.0
    assert min(visit.close_after_s for visit in visits) >= 6.0
