"""What a hub may configure: the same limits as in the file, and never a value that stops an agent from starting."""

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent import settings
from edge_agent.config import Config, ConfigError, parse
from wire.messages import Args

FILE: dict[str, Any] = {"locker": "a", "hub": {"public_key_file": "k"}, "boards": [{"port": "/dev/ttyUSB0"}]}
CONFIG = parse(FILE, {})


def test_settings_lie_over_the_file_and_leave_the_rest_alone() -> None:
    changed = settings.over(CONFIG, {"doors.left_open_s": 5, "telemetry.period_s": 0.5})
    assert (changed.doors.left_open_s, changed.telemetry.period_s) == (5, 0.5)
    assert changed.doors.open_detect_ms == CONFIG.doors.open_detect_ms
    assert settings.over(CONFIG, {}) == CONFIG


@given(
    st.dictionaries(
        st.sampled_from([*settings.NAMES, "doors.poll_ms", "x"]),
        st.one_of(st.integers(-5, 10**9), st.booleans(), st.text(max_size=5), st.floats().map(str)),
    )
)
def test_a_setting_is_taken_exactly_where_the_file_may_say_it(args: Args) -> None:
    taken, wrong = settings.read(args)
    assert {*taken, *wrong} == set(args)
    for name, value in args.items():
        assert (name in wrong) is not may_be_written(name, value), name
    settings.over(CONFIG, taken)


def may_be_written(name: str, value: str | int | bool) -> bool:  # noqa: FBT001
    if name not in settings.NAMES:
        return False
    section, key = name.split(".")
    if isinstance(value, str):
        environment, document = {f"EDGE_{section}__{key}".upper(): value}, FILE
    else:
        environment, document = {}, {**FILE, section: {key: value}}
    try:
        return isinstance(parse(document, environment), Config)
    except ConfigError:
        return False


def test_what_was_kept_and_is_not_allowed_any_more_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    kept = {"doors.left_open_s": "5", "telemetry.period_s": "1e9", "doors.of_tomorrow": "1"}
    with caplog.at_level(logging.WARNING):
        changed = settings.kept_over(CONFIG, kept)
    assert changed == settings.over(CONFIG, {"doors.left_open_s": 5})
    assert caplog.records[0].__dict__["names"] == ["telemetry.period_s", "doors.of_tomorrow"]
    assert settings.kept_over(CONFIG, {}) == CONFIG
