"""The configuration: the shipped example loads, and every mistake is answered with a sentence."""

from pathlib import Path
from typing import Any

import pytest

import edge_agent
from edge_agent.config import ConfigError, load, parse

EXAMPLE = Path(edge_agent.__file__).parent / "edge.example.toml"
LEAST: dict[str, Any] = {
    "locker": "berlin-01",
    "hub": {"public_key_file": "key.pem"},
    "boards": [{"port": "/dev/ttyUSB0"}],
}


def with_boards(*boards: dict[str, Any]) -> dict[str, Any]:
    return {**LEAST, "boards": [{"port": "/dev/ttyUSB0", **board} for board in boards]}


def test_the_example_loads() -> None:
    config = load(EXAMPLE, {})
    assert (config.locker, config.door_count, len(config.boards)) == ("berlin-01", 24, 2)
    assert config.boards[1].item_sensor is False


def test_what_the_example_says_of_defaults_is_true() -> None:
    config, default = load(EXAMPLE, {}), parse(LEAST, {})
    assert (config.doors, config.telemetry, config.outbox, config.log) == (
        default.doors,
        default.telemetry,
        default.outbox,
        default.log,
    )


def test_a_configuration_never_changes() -> None:
    config = parse(LEAST, {})
    with pytest.raises(AttributeError):
        config.locker = "other"  # type: ignore[misc]


def test_variables_override_the_file() -> None:
    config = parse(
        {**LEAST, "mqtt": {"host": "a", "port": 1}},
        {"EDGE_MQTT__PORT": "8883", "EDGE_LOCKER": "rome-02", "EDGE_OUTBOX__DRAIN_S": "2.5", "PATH": "x"},
    )
    assert (config.locker, config.mqtt.host, config.mqtt.port, config.outbox.drain_s) == ("rome-02", "a", 8883, 2.5)


@pytest.mark.parametrize(
    ("document", "environment", "sentence"),
    [
        ({**LEAST, "lockr": "x"}, {}, "'lockr' is not a setting; did you mean 'locker'?"),
        ({**LEAST, "mqtt": {"hots": "x"}}, {}, r"\[mqtt\] 'hots' is not a setting; did you mean 'host'?"),
        (with_boards({"adress": 1}), {}, r"\[\[boards\]\] 'adress' is not a setting; did you mean 'address'?"),
        ({**LEAST, "qqq": 1}, {}, "known here: locker, hub, boards"),
        ({"locker": "x"}, {}, "missing required field"),
        ({**LEAST, "locker": "Berlin 1"}, {}, r"\$.locker"),
        ({**LEAST, "boards": []}, {}, r"\$.boards"),
        ({**LEAST, "boards": 5}, {}, r"\$.boards"),
        ({**LEAST, "boards": [5]}, {}, r"\$.boards"),
        ({**LEAST, "mqtt": 5}, {}, r"\$.mqtt"),
        ({**LEAST, "mqtt": {"port": "1883"}}, {}, r"\$.mqtt.port"),
        (with_boards({"baud": 1200}), {}, r"baud"),
        (with_boards({}, {}), {}, "boards 1 and 2 both have address 0"),
        (with_boards({}, {"address": 1}), {}, "door 1 is on board 1 and on board 2; set first_door"),
        (with_boards({"first_door": 990}), {}, "would have door 1005; 999 is the last"),
        (with_boards({}, {"address": 1, "first_door": 17, "baud": 9600}), {}, "differ in baud"),
        (LEAST, {"EDGE_MQTT__PORT": "many"}, r"\$.mqtt.port"),
        (LEAST, {"EDGE_BOARDS__PORT": "x"}, "EDGE_BOARDS__PORT cannot be set here"),
        (LEAST, {"EDGE_A__B__C": "x"}, "EDGE_A__B__C cannot be set here"),
        (LEAST, {"EDGE_NOPE__X": "x"}, "'nope' is not a setting"),
        (LEAST, {"EDGE_LOCKER__X": "x"}, "locker is not a section"),
    ],
)
def test_a_mistake_is_answered_with_a_sentence(
    document: dict[str, Any], environment: dict[str, str], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        parse(document, environment)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "edge.toml", {})


def test_a_file_that_is_no_toml_is_told(tmp_path: Path) -> None:
    (tmp_path / "edge.toml").write_text("locker = ")
    with pytest.raises(ConfigError, match="is not TOML"):
        load(tmp_path / "edge.toml", {})


def test_the_environment_of_the_process_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "edge.toml").write_text(EXAMPLE.read_text())
    monkeypatch.setenv("EDGE_LOCKER", "rome-02")
    assert load(tmp_path / "edge.toml").locker == "rome-02"


def test_a_failpoint_is_no_setting_but_has_to_be_one() -> None:
    assert parse(LEAST, {"EDGE_CRASH_AT": "after_pulse"}) == parse(LEAST, {})
    with pytest.raises(ConfigError, match="'after_lunch'; it is for fault tests only, and one of before_started, "):
        parse(LEAST, {"EDGE_CRASH_AT": "after_lunch"})
