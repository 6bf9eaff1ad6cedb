"""Limits: told once, and again only after the value was back by some distance."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.core.doors import Note
from edge_agent.core.limits import Bounds, LimitMonitor
from wire.messages import EventKind

HOT = EventKind.TEMPERATURE_HIGH
EMPTY = EventKind.BATTERY_LOW
LOST, RESTORED = EventKind.POWER_LOST, EventKind.POWER_RESTORED


def told(name: str, values: list[float]) -> list[tuple[int, EventKind]]:
    limits = LimitMonitor(Bounds())
    return [(t, note.kind) for t, value in enumerate(values) for note in limits.check({name: value}, t)]


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("temperature_c", [50, 50.1, 60, 49, 51, 47, 50, 51], [(1, HOT), (7, HOT)]),
        ("battery_pct", [20, 19.9, 3, 24.9, 19, 25, 20, 19], [(1, EMPTY), (7, EMPTY)]),
        ("supply_v", [12, 12.1, 8.9, 0, 9.4, 9.5, 9, 8], [(0, RESTORED), (2, LOST), (5, RESTORED), (7, LOST)]),
        # An agent that starts on battery says so at once.
        ("supply_v", [0, 0], [(0, LOST)]),
        ("cpu_temp_c", [199.0], []),
    ],
)
def test_each_limit_is_told_once(name: str, values: list[float], expected: list[tuple[int, EventKind]]) -> None:
    assert told(name, values) == expected


def test_what_was_measured_and_the_limit_are_in_the_event() -> None:
    assert LimitMonitor(Bounds(temperature_c_max=40)).check({"temperature_c": 41.5, "battery_pct": 90}, 7) == [
        Note(7, HOT, data={"value": 41.5, "limit": 40, "unit": "°C"})
    ]


@given(st.lists(st.floats(0, 100), min_size=1))
def test_between_two_alarms_the_value_was_well_back(values: list[float]) -> None:
    hot = told("temperature_c", values)
    for (first, _), (second, _) in pairwise(hot):
        assert min(values[first:second]) <= 47
    assert bool(hot) == any(value > 50 for value in values)
