"""Settings: every refusal says what was wrong, where, and what would be right."""

from pathlib import Path
from typing import get_type_hints

import pytest

from hub.config.consistency import is_loopback
from hub.config.secrets import read_secret
from hub.config.settings import Config, load, sections
from hub.errors import ConfigError

GOOD = """
[mqtt]
host = "broker.example.org"
port = 8883
[database]
dsn = "postgresql://hub@db.example.org/lockerhub"
[intake]
silent_after_s = 30
"""


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "hub.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_nothing_said_is_the_defaults() -> None:
    assert load(None, {}) == Config()


def test_a_file_and_the_environment_over_it(tmp_path: Path) -> None:
    environment = {
        "HUB_MQTT_PORT": "1884",
        "HUB_HTTP_ALLOWED_HOSTS": "hub.example.org, hub ,",
        "HUB_COMMANDS_OPEN_BUDGET_MS": "150",
        "HUB_SERVICE_SPREAD_S": "0.5",
        "PATH": "x",
    }
    config = load(written(tmp_path, GOOD), environment)
    assert (config.mqtt.host, config.mqtt.port) == ("broker.example.org", 1884)
    assert config.intake.silent_after_s == 30
    assert config.http.allowed_hosts == ["hub.example.org", "hub"]
    assert config.commands.open_budget_ms == 150
    assert config.service.spread_s == 0.5
    assert config.dsn() == "postgresql://hub@db.example.org/lockerhub"


def test_bom_and_crlf_do_not_matter(tmp_path: Path) -> None:
    text = b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode()
    assert load(written(tmp_path, text), {}) == load(written(tmp_path, GOOD), {})


BAD_FILES = {
    "unknown section": ("[mqqt]\n", r"unknown section \[mqqt\]; did you mean mqtt\?"),
    "unknown section, nothing near": ("[zzzzz]\n", "known are alarms, commands, database"),
    "unknown key": ("[mqtt]\nhots = 'a'\n", r"unknown key mqtt.hots; did you mean host\?"),
    "unknown key, nothing near": ("[log]\nqqqqq = 1\n", "known are format, level"),
    "a key at the top": ("mqtt = 5\n", r"mqtt is a section: write \[mqtt\]"),
    "a key twice": ("[mqtt]\nport = 1\nport = 2\n", "is not TOML"),
    "no TOML": ("{]", "is not TOML"),
    "not UTF-8": (b"[mqtt]\nhost = '\xff'\n", "is not TOML"),
    "a text for a number": ("[mqtt]\nport = '1883'\n", r"Expected `int`, got `str` - at `\$.mqtt.port`"),
    "a number for a text": ("[mqtt]\nhost = 5\n", r"\$.mqtt.host"),
    "true for a number": ("[intake]\ncursors_max = true\n", r"\$.intake.cursors_max"),
    "a fraction of a row": ("[intake]\nflush_rows_max = 1.5\n", r"\$.intake.flush_rows_max"),
    "port 0": ("[http]\nport = 0\n", r"\$.http.port"),
    "port 65536": ("[http]\nport = 65536\n", r"\$.http.port"),
    "a zero deadline": ("[commands]\nopen_deadline_ms = 0\n", r"\$.commands.open_deadline_ms"),
    "a negative duration": ("[service]\ndrain_s = -1\n", r"\$.service.drain_s"),
    "a huge duration": ("[service]\ndrain_s = 1e9\n", r"\$.service.drain_s"),
    "nan seconds": ("[service]\ndrain_s = nan\n", r"\$.service.drain_s"),
    "infinite seconds": ("[intake]\nsilent_after_s = inf\n", r"\$.intake.silent_after_s"),
    "an empty queue": ("[intake]\nevent_queue_rows_max = 0\n", r"\$.intake.event_queue_rows_max"),
    "an unknown level": ("[log]\nlevel = 'loud'\n", r"\$.log.level"),
    "an unknown MQTT version": ("[mqtt]\nversion = '4'\n", r"\$.mqtt.version"),
    "two DSNs": ("[database]\ndsn = 'a'\ndsn_file = 'b'\n", "both set; one of them is right"),
    "open to others": ("[http]\nhost = '0.0.0.0'\n", "lets other machines open doors"),
    "a deadline below its budget": (
        "[commands]\nopen_deadline_ms = 100\n", "open_deadline_ms must not be below commands.open_budget_ms",
    ),
    "a longest pause below the first one": (
        "[commands]\ndurable_pause_ms_max = 100\n", "must not be below commands.durable_pause_ms_min",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "words"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_a_bad_file_is_refused_with_a_sentence(tmp_path: Path, text: str | bytes, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load(written(tmp_path, text), {})


BAD_ENVIRONMENTS = {
    "unknown name": (
        {"HUB_MQTT_PROT": "1"},
        "unknown environment variable HUB_MQTT_PROT; did you mean HUB_MQTT_PORT",
    ),
    "nothing near": ({"HUB_Q": "1"}, "known are HUB_ALARMS_"),
    "no number": ({"HUB_MQTT_PORT": "many"}, "HUB_MQTT_PORT: "),
    "out of its range": ({"HUB_MQTT_PORT": "0"}, "HUB_MQTT_PORT: "),
    "an empty number": ({"HUB_MQTT_KEEPALIVE_S": ""}, "HUB_MQTT_KEEPALIVE_S: "),
    "no sense": ({"HUB_HTTP_HOST": "0.0.0.0"}, "http.token_file must name a file"),
}


@pytest.mark.parametrize(("environment", "words"), BAD_ENVIRONMENTS.values(), ids=BAD_ENVIRONMENTS.keys())
def test_a_bad_environment_is_refused_with_a_sentence(environment: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load(None, environment)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*hub.toml: No such file"):
        load(tmp_path / "hub.toml", {})
    with pytest.raises(ConfigError, match="Is a directory"):
        load(tmp_path, {})


def test_others_are_let_in_with_a_token(tmp_path: Path) -> None:
    config = load(written(tmp_path, "[http]\nhost = '0.0.0.0'\ntoken_file = 'token'\n"), {})
    assert config.http.token_file == "token"


def test_the_dsn_may_stand_in_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "dsn"
    secret.write_text("postgresql://x\nsecond line\n")
    assert load(written(tmp_path, f"[database]\ndsn_file = '{secret}'\n"), {}).dsn() == "postgresql://x"
    with pytest.raises(ConfigError, match=r"database\.dsn is missing"):
        load(None, {}).dsn()


def test_a_secret_that_is_missing_or_empty(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mqtt\.password_file: cannot read"):
        read_secret(str(tmp_path / "nothing"), "mqtt.password_file")
    (tmp_path / "empty").write_text("\n \n")
    with pytest.raises(ConfigError, match="is empty; its first line should be the secret"):
        read_secret(str(tmp_path / "empty"), "http.token_file")


def test_a_refusal_does_not_repeat_a_password(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        load(written(tmp_path, "[database]\ndsn = ['postgresql://hub:hunter2@db/x']\n"), {})
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("host", "local"),
    [("localhost", True), ("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), ("0.0.0.0", False),
     ("::", False), ("", False), ("10.0.0.1", False), ("hub.example.org", False)],
)  # fmt: skip
def test_what_is_this_machine(host: str, local: bool) -> None:  # noqa: FBT001 - a table's column
    assert is_loopback(host) is local


def test_every_limit_has_its_unit_in_its_name() -> None:
    plain = {"port", "mqtt.version"}
    units = ("_ms", "_s", "_days", "_max", "_min", "_minute")
    for section, keys in sections().items():
        assert section in get_type_hints(Config)
        for key, field in keys.items():
            if type(field.default) in {int, float} and key not in plain:
                assert key.endswith(units), f"{section}.{key}"
