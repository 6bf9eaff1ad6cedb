"""Which targets a filter takes, in which order, and which are left out."""

import pytest

from hub.core.commands import CommandRefusal
from hub.core.fleet import DoorSpec, Fleet, LockerSpec
from hub.core.targets import Doors, Selection, Target, canaries_of, choose, why_not


@pytest.fixture
def fleet() -> Fleet:
    def door(number: int, size: str = "M", *, in_service: bool = True) -> DoorSpec:
        return DoorSpec(number, str(number), size, number, 1, in_service, None if in_service else "bent")

    fleet = Fleet(silent_after_ms=1000)
    fleet.load(
        [
            LockerSpec("paris-02", "default", "Gare", "Paris", (door(1), door(2, "L"))),
            LockerSpec(
                "berlin-01", "default", "Lobby", "Berlin", (door(4), door(2, "L"), door(1, in_service=False))
            ),
            LockerSpec("berlin-02", "default", "Yard", "Berlin", ()),
        ]
    )
    fleet.lockers["berlin-01"].reachable = True
    return fleet


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(), ["berlin-01", "berlin-02", "paris-02"]),
        (Selection(site="Berlin"), ["berlin-01", "berlin-02"]),
        (Selection(lockers=frozenset({"paris-02", "berlin-02"})), ["berlin-02", "paris-02"]),
        (Selection(site="Berlin", lockers=frozenset({"paris-02"})), []),
        (Selection(q="YARD"), ["berlin-02"]),
        (Selection(q="par"), ["paris-02"]),
        (Selection(doors=Doors()), ["berlin-01/1", "paris-02/1", "berlin-01/2", "paris-02/2", "berlin-01/4"]),
        (Selection(doors=Doors(numbers=frozenset({2, 4, 9}))), ["berlin-01/2", "paris-02/2", "berlin-01/4"]),
        (Selection(doors=Doors(size="L")), ["berlin-01/2", "paris-02/2"]),
        (Selection(doors=Doors(frozenset({1}), "L")), []),
    ],
)
def test_what_a_filter_takes(fleet: Fleet, selection: Selection, expected: list[str]) -> None:
    chosen = choose(fleet.lockers.values(), selection)
    assert [one.locker if one.door is None else f"{one.locker}/{one.door}" for one in chosen] == expected


@pytest.mark.parametrize(
    ("kind", "target", "why"),
    [
        ("open", Target("nowhere", 1), CommandRefusal.LOCKER_UNKNOWN),
        ("open", Target("berlin-01", 9), CommandRefusal.DOOR_UNKNOWN),
        ("open", Target("berlin-01", 1), CommandRefusal.DOOR_OUT_OF_SERVICE),
        ("locate", Target("berlin-01", 1), None),
        ("open", Target("berlin-01", 2), None),
        ("open", Target("paris-02", 2), CommandRefusal.LOCKER_OFFLINE),
        ("locate", Target("paris-02"), CommandRefusal.LOCKER_OFFLINE),
        ("restart", Target("paris-02"), None),
    ],
)
def test_what_is_left_out(fleet: Fleet, kind: str, target: Target, why: CommandRefusal | None) -> None:
    assert why_not(fleet.lockers, kind, target) is why


@pytest.mark.parametrize(
    ("targets", "count", "share", "expected"),
    [
        (100, None, 0.05, 5),
        (3, None, 0.05, 1),
        (1, None, 0.05, 0),
        (10_000, None, 0.05, 20),
        (10, 0, 0.05, 0),
        (10, 4, 0.05, 4),
        (4, 9, 0.05, 3),
    ],
)
def test_how_many_canaries(targets: int, count: int | None, share: float, expected: int) -> None:
    assert canaries_of(targets, count=count, share=share, canaries_max=20) == expected
