"""The agent's configuration: one TOML file, overridden by `EDGE_*` variables, checked as a whole."""

import difflib
import os
import re
import ssl
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, structs

from edge_agent import failpoint
from edge_agent.core.orders import AHEAD_MS_MAX
from wire.messages import BATCH_EVENTS_MAX, LockerId

_ENVIRONMENT: Final = "EDGE_"
_HOST: Final = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]{2,45}(%[A-Za-z0-9._-]+)?")
_PositiveMs = Annotated[int, Meta(ge=1, le=86_400_000)]
_Port = Annotated[int, Meta(ge=1, le=65535)]


class ConfigError(ValueError):
    """The configuration cannot be used; the text names the place, what is wrong and what would be right."""


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class MqttSettings(_Section, frozen=True, kw_only=True):
    """Where the broker is. `username` is the locker's id unless said otherwise."""

    host: str = "127.0.0.1"
    port: _Port = 1883
    username: str | None = None
    password_file: str | None = None
    tls_ca: str | None = None
    keepalive_s: Annotated[int, Meta(ge=3, le=3600)] = 15
    """A broker that does not answer is noticed within 1.5 times this."""
    incoming_messages_max: Annotated[int, Meta(ge=16, le=65535)] = 256
    reconnect_cap_s: Annotated[float, Meta(ge=0.5, le=3600)] = 60.0


class HubSettings(_Section, frozen=True, kw_only=True):
    """Who may command this locker."""

    public_key_file: str
    deadline_ms_max: Annotated[int, Meta(ge=1000, le=3_600_000)] = AHEAD_MS_MAX
    """How far ahead a command's deadline may be; one beyond is refused. Not below the hub's longest deadline."""


class BoardSettings(_Section, frozen=True, kw_only=True):
    """One lock board on one serial port; boards of the same port share its bus."""

    port: str
    kind: Literal["kerong-cu16"] = "kerong-cu16"
    address: Annotated[int, Meta(ge=0, le=9)] = 0
    baud: Literal[9600, 19200, 57600, 115200] = 19200
    locked_bit: Literal[0, 1] = 1
    locks: Annotated[int, Meta(ge=1, le=16)] = 16
    first_door: Annotated[int, Meta(ge=1, le=999)] = 1
    item_sensor: bool = True
    answer_timeout_ms: Annotated[int, Meta(ge=10, le=5000)] = 60


class DoorSettings(_Section, frozen=True, kw_only=True):
    """How doors are watched."""

    poll_ms: _PositiveMs = 50
    debounce_reads: Annotated[int, Meta(ge=1, le=20)] = 2
    open_detect_ms: _PositiveMs = 1500
    left_open_s: Annotated[int, Meta(ge=1, le=86400)] = 60
    board_silent_polls: Annotated[int, Meta(ge=1, le=100)] = 3


class TelemetrySettings(_Section, frozen=True, kw_only=True):
    """How often the locker measures itself, and how much it keeps while nobody listens."""

    period_s: Annotated[float, Meta(ge=0.1, le=3600)] = 15.0
    ring_samples_max: Annotated[int, Meta(ge=1, le=1_000_000)] = 5760
    drain_samples_per_s: Annotated[int, Meta(ge=1, le=500)] = 50


class LimitSettings(_Section, frozen=True, kw_only=True):
    """What of the locker's own measurements is still usual; what is not becomes an event."""

    temperature_c_max: Annotated[float, Meta(ge=-40, le=150)] = 50.0
    battery_pct_min: Annotated[float, Meta(ge=0, le=100)] = 20.0
    supply_v_min: Annotated[float, Meta(ge=0, le=1000)] = 9.0
    """Below it the locker lives on its battery."""


class OutboxSettings(_Section, frozen=True, kw_only=True):
    """How the ledger goes to the hub, and how long it stays here afterwards."""

    batch_events_max: Annotated[int, Meta(ge=1, le=BATCH_EVENTS_MAX)] = 100
    ack_timeout_ms: _PositiveMs = 5000
    keep_acked_days: Annotated[int, Meta(ge=0, le=365)] = 7
    keep_acked_events_max: Annotated[int, Meta(ge=0, le=10_000_000)] = 200_000
    unacked_events_max: Annotated[int, Meta(ge=1_000, le=100_000_000)] = 1_000_000
    drain_s: Annotated[float, Meta(ge=0, le=600)] = 5.0
    snapshot_s: Annotated[float, Meta(ge=1, le=21_600)] = 21_600.0
    """How often all doors are told anew while nothing else asks for it: the hub reads the past back so far."""


class BeaconSettings(_Section, frozen=True, kw_only=True):
    """What makes the locker easy to find: a LED's directory, a command that beeps. Without either, none."""

    led: str | None = None
    command: tuple[str, ...] = ()
    seconds: Annotated[float, Meta(ge=0.1, le=600)] = 10.0


class LogSettings(_Section, frozen=True, kw_only=True):
    """What is logged, to stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class Config(_Section, frozen=True, kw_only=True):
    """Everything about one agent. Paths are relative to the directory it runs in."""

    locker: LockerId
    hub: HubSettings
    boards: Annotated[tuple[BoardSettings, ...], Meta(min_length=1, max_length=64)]
    data_dir: str = "/var/lib/lockerhub-edge"
    mqtt: MqttSettings = MqttSettings()
    doors: DoorSettings = DoorSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    limits: LimitSettings = LimitSettings()
    outbox: OutboxSettings = OutboxSettings()
    beacon: BeaconSettings = BeaconSettings()
    log: LogSettings = LogSettings()

    @property
    def door_count(self) -> int:
        """The number of doors on all boards."""
        return sum(board.locks for board in self.boards)


def load(path: Path, environment: Mapping[str, str] | None = None) -> Config:
    """Read the file, lay the `EDGE_*` variables over it, and check the whole.

    `EDGE_MQTT__PORT=8883` sets `port` of `[mqtt]`; boards are set in the file only.

    Raises:
        ConfigError: with a sentence for the person who wrote the file.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    return parse(document, os.environ if environment is None else environment, where=str(path))


def parse(document: dict[str, Any], environment: Mapping[str, str], *, where: str = "the configuration") -> Config:
    """Make a Config of a parsed document and the environment. Raises ConfigError."""
    merged = _overridden(document, environment)
    _refuse_unknown_keys(merged, where)
    try:
        config = msgspec.convert(merged, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {error}") from None
    if not _HOST.fullmatch(config.mqtt.host):
        # It may be a URL with a password in it, so it is not shown.
        raise ConfigError(f"{where}: [mqtt] host must be a name or an address, without a scheme, a user or a port")
    _check_boards(config, where)
    return config


def check_files(config: Config) -> None:
    """Read what the broker link needs. Raises ConfigError, which never shows a secret."""
    password, authority = config.mqtt.password_file, config.mqtt.tls_ca
    setting = "[mqtt] password_file"
    try:
        if password is not None:
            mode = Path(password).stat().st_mode
            if not Path(password).read_text(encoding="utf-8").strip():
                raise ConfigError(f"{setting}: the file is empty; its one line is the password")
            if mode & 0o007:
                raise ConfigError(f"{setting}: {password} can be read by others; `chmod 600 {password}`")
        if authority is not None:
            setting = "[mqtt] tls_ca"
            ssl.create_default_context(cafile=authority)
    except ssl.SSLError:
        raise ConfigError(f"{setting}: {authority} has no certificate in PEM") from None
    except OSError as error:
        raise ConfigError(f"{setting}: the file that it names cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{setting}: the file that it names is not UTF-8 text") from None


def _overridden(document: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    merged: dict[str, Any] = {
        key: dict(value) if isinstance(value, dict) else value for key, value in document.items()
    }
    for name, text in environment.items():
        if not name.startswith(_ENVIRONMENT):
            continue
        if name == failpoint.VARIABLE:
            _check_failpoint(text)
            continue
        *sections, key = name.removeprefix(_ENVIRONMENT).lower().split("__")
        if len(sections) > 1 or sections == ["boards"] or key == "boards":
            raise ConfigError(f"{name} cannot be set here; variables set EDGE_<KEY> or EDGE_<SECTION>__<KEY>")
        target = merged.setdefault(sections[0], {}) if sections else merged
        if not isinstance(target, dict):
            raise ConfigError(f"{name}: {sections[0]} is not a section")
        target[key] = _typed(key, sections, text)
    return merged


def _check_failpoint(text: str) -> None:
    known = dict.fromkeys((*failpoint.POINTS, *failpoint.FORGET_POINTS))
    if text not in known:
        points = ", ".join(known)
        raise ConfigError(f"{failpoint.VARIABLE} is {text!r}; it is for fault tests only, and one of {points}")


def _typed(key: str, sections: list[str], text: str) -> object:
    owner = _section_type(sections[0]) if sections else Config
    wanted = {field.name: field.type for field in structs.fields(owner)}.get(key, str) if owner else str
    try:
        return msgspec.convert(text, wanted, strict=False)
    except (msgspec.ValidationError, TypeError):
        return text


def _section_type(name: str) -> type[msgspec.Struct] | None:
    for field in structs.fields(Config):
        if field.name == name and isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            return field.type
    return None


def _refuse_unknown_keys(document: dict[str, Any], where: str) -> None:
    _compare_keys(document, Config, "", where)
    for name, section in document.items():
        owner = _section_type(name)
        if owner is not None and isinstance(section, dict):
            _compare_keys(section, owner, f"[{name}] ", where)
    boards = document.get("boards")
    for board in boards if isinstance(boards, list) else []:
        if isinstance(board, dict):
            _compare_keys(board, BoardSettings, "[[boards]] ", where)


def _compare_keys(given: dict[str, Any], owner: type[msgspec.Struct], place: str, where: str) -> None:
    known = [field.name for field in structs.fields(owner)]
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
            raise ConfigError(f"{where}: {place}{key!r} is not a setting; {hint}")


def _check_boards(config: Config, where: str) -> None:
    owner_of_door: dict[int, int] = {}
    places: dict[tuple[str, int], int] = {}
    lines: dict[str, BoardSettings] = {}
    for number, board in enumerate(config.boards, start=1):
        other = places.setdefault((board.port, board.address), number)
        if other != number:
            raise ConfigError(
                f"{where}: boards {other} and {number} both have address {board.address} on {board.port}"
            )
        line = lines.setdefault(board.port, board)
        if line.baud != board.baud:
            raise ConfigError(f"{where}: boards on {board.port} differ in baud ({line.baud} and {board.baud})")
        if board.first_door + board.locks - 1 > 999:  # noqa: PLR2004 - the wire's highest door number
            raise ConfigError(
                f"{where}: board {number} would have door {board.first_door + board.locks - 1}; 999 is the last"
            )
        for door in range(board.first_door, board.first_door + board.locks):
            other = owner_of_door.setdefault(door, number)
            if other != number:
                raise ConfigError(f"{where}: door {door} is on board {other} and on board {number}; set first_door")
