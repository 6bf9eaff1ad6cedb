"""The sentences of alarms: whatever is not known of a value, they are whole."""

import re

import pytest

from hub.alarms.event_data import details_of, doors_seen
from hub.core.alarms.sightings import Reading
from hub.core.alarms.texts import TEXTS
from tests.hub.core.alarms.scene import Scene


@pytest.mark.parametrize("unit", [None, "", "%"])
@pytest.mark.parametrize("value", [None, 0.0, 3.0])
@pytest.mark.parametrize("kind", sorted(TEXTS))
def test_a_sentence_is_whole_whatever_is_known(kind: str, value: float | None, unit: str | None) -> None:
    for door in (None, 4):
        said = TEXTS[kind].said(door, value, unit)
        assert re.fullmatch(r"[A-Z\d]\S*( \S+)*(?<=[\w%])", said), said
        assert not re.search(r"[{}]|:$", said), said


def test_what_a_locker_measured_is_told() -> None:
    scene = Scene()
    scene.event("battery.low", reading=Reading(14, 20, "%"))
    assert scene.one("battery.low").what == "The locker's battery is low: 14 %"
    scene.event("battery.low")
    assert scene.one("battery.low").what == "The locker's battery is low: 14 %"
    scene.event("temperature.high")
    assert scene.one("temperature.high").what == "It is too hot in the locker"


def test_a_word_without_a_value_does_not_take_away_a_reading() -> None:
    scene = Scene()
    scene.sample(battery_pct=12.5)
    scene.later(61)
    scene.event("battery.low")
    alarm = scene.one("battery.low")
    assert (alarm.count, alarm.what) == (2, "The locker's battery is low: 12.5 %")


@pytest.mark.parametrize(
    "data",
    [
        {}, {"value": 3}, {"value": True, "unit": "%"}, {"value": "3", "unit": "%"}, {"value": 3, "unit": "x\x00"},
        {"value": float("inf"), "unit": "%"}, {"value": float("nan"), "unit": "%"}, {"value": 10**400, "unit": "%"},
        {"value": 3, "unit": ["%"]}, {"doors": 3}, {"doors": ["1", None, True]},
    ],
)  # fmt: skip
def test_what_does_not_fit_in_an_events_data_counts_as_absent(data: dict[str, object]) -> None:
    details = details_of(data)
    assert (details.reading, details.doors, details.board) == (None, frozenset(), "")


def test_what_fits_in_an_events_data() -> None:
    details = details_of({"board": 7, "doors": [1, 2], "value": 3, "limit": "?", "unit": "V"})
    assert (details.board, details.doors) == ("7", frozenset({1, 2}))
    assert details.reading == Reading(3.0, None, "V")
    found = doors_seen({"doors": [[1, "open", None], [2, "closed"], [3, "unknown"], ["4", "open"], 5, []]})
    assert found == {1: True, 2: False}
    assert doors_seen({"doors": None}) == {}
