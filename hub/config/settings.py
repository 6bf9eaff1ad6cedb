"""Every setting of the hub: one frozen Config, from TOML, with HUB_* environment variables over it.

`HUB_MQTT_HOST` is `host` of `[mqtt]`. Every limit and budget has its unit in its name. A key that is not known is
an error, with the nearest known one.
"""

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

import msgspec
from msgspec import Meta

from hub.config.consistency import check_sense
from hub.config.influx import InfluxSettings
from hub.config.ingest import IngestSettings
from hub.config.notify import NotifySettings
from hub.config.secrets import read_secret
from hub.config.types import Milliseconds, Port, Positive, Seconds
from hub.errors import ConfigError
from hub.masking import Secret

ENVIRONMENT_PREFIX: Final = "HUB_"


class MqttSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The broker. The hub connects three times: commands, events and telemetry do not wait for each other."""

    host: str = "127.0.0.1"
    port: Port = 1883
    version: Literal["auto", "5", "3.1.1"] = "auto"
    ingest_username: str = "hub-ingest"
    command_username: str = "hub-command"
    telemetry_username: str = "hub-telemetry"
    password_file: str | None = None
    """One line: the password of all three accounts."""
    tls_ca_file: str | None = None
    """Set it to speak TLS, trusting this authority."""
    keepalive_s: Annotated[int, Meta(ge=2, le=600)] = 10
    connect_timeout_s: Seconds = 10.0
    reconnect_s_max: Seconds = 30.0
    telemetry_receive_max: Annotated[int, Meta(ge=1, le=65_535)] = 1000
    """Telemetry messages that the broker sends before one of them is committed, on MQTT 5."""
    telemetry_session_s: Annotated[int, Meta(ge=0, le=86_400)] = 3600
    """How long the broker keeps telemetry for a hub that is away, on MQTT 5."""


class DatabaseSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """PostgreSQL, with TimescaleDB or without."""

    dsn: Secret | None = None
    dsn_file: str | None = None
    """A file whose one line is the DSN; for a password that should not stand in an environment."""
    connections_max: Annotated[int, Meta(ge=4, le=100)] = 8
    statement_timeout_ms: Milliseconds = 10_000
    connect_timeout_s: Annotated[int, Meta(ge=1, le=60)] = 5


class HttpSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The page, the API, the metrics. Other machines are let in only with a token."""

    host: str = "127.0.0.1"
    port: Port = 8080
    token_file: str | None = None
    """A file with the operators, their roles and tokens; without it only this machine is served."""
    allowed_hosts: list[str] = []
    """Names under which browsers may reach the hub, beside its own address (DNS rebinding)."""
    public_url: str | None = None
    """Where people reach the page, as https://hub.example.org: for labels and notifications."""
    body_bytes_max: Positive = 65_536
    wait_s_max: Seconds = 10.0
    """The longest that `?wait=` waits."""


class CommandSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Budgets (what is promised and measured) and deadlines (after which no door opens)."""

    key_file: str = "command_key.pem"
    """The Ed25519 key that signs commands; made by `hub key make`."""
    open_budget_ms: Milliseconds = 200
    open_deadline_ms: Milliseconds = 2000
    door_seen_budget_ms: Milliseconds = 1500
    grace_ms: Milliseconds = 1000
    """How long after its deadline a command's reply is still awaited."""
    in_flight_max: Positive = 1000
    remembered_max: Positive = 20_000
    per_locker_per_minute: Positive = 120
    fleet_per_minute: Positive = 6000
    openings_fleet_per_minute: Positive = 600
    """Doors of the whole fleet: what a stolen token or a mad script can do."""
    durable_deadline_ms: Milliseconds = 10_000
    """How long one delivery of a durable command is worth something."""
    durable_pause_ms_min: Milliseconds = 1000
    durable_pause_ms_max: Milliseconds = 60_000
    """The pause before it is sent again doubles from one to the other, with jitter."""
    durable_per_locker_max: Positive = 100
    durable_fleet_max: Positive = 10_000


class JobSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bulk commands."""

    targets_max: Positive = 20_000
    """The most targets of one job."""
    active_max: Positive = 20
    """The most jobs that have not ended."""
    openings_without_approval_max: Annotated[int, Meta(ge=0, le=10_000_000)] = 5
    """How many doors an operator's jobs may open in an hour without a second person."""
    approval_s: Seconds = 3600.0
    """How long a job waits for a second person."""
    openings_per_minute_max: Positive = 30
    """The hard ceiling over the openings of all jobs, in any minute."""
    canaries_max: Positive = 100
    in_flight_max: Positive = 32
    """How many commands of one job are under way at once."""
    durable_in_flight_max: Positive = 5000
    """The same of a job whose commands wait for their lockers."""
    lease_s: Annotated[float, Meta(ge=2, le=600)] = 10.0
    """How long after a hub is gone without a word another one goes on with the jobs."""
    arrival_s: Annotated[float, Meta(ge=0, le=600)] = 10.0
    """How long after it connects a hub waits for lockers before it leaves them out as offline."""
    unsure_s: Seconds = 30.0
    """How long a hub tries to learn what became of a command that another hub sent; then it is `unknown`."""


class LiveSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The websocket."""

    viewers_max: Positive = 500
    views_per_viewer_max: Positive = 16
    viewer_queue_frames_max: Positive = 32
    diff_interval_ms: Milliseconds = 250
    send_timeout_s: Seconds = 5.0


class ServiceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The process."""

    spread_s: Annotated[float, Meta(ge=0, le=3600)] = 5.0
    """The longest over which agents spread what they send when the hub comes back; a small fleet needs less."""
    lame_duck_s: Annotated[float, Meta(ge=0, le=600)] = 0.0
    """How long a stopping hub serves on while `/readyz` already says 503: as long as a balancer takes to see it."""
    settle_s: Annotated[float, Meta(ge=0, le=60)] = 0.5
    """How long a stopping hub waits for replies to commands in flight. Later ones go to the next hub."""
    drain_s: Seconds = 8.0
    """How long a stopping hub writes what it has taken."""
    handover_socket: str | None = None
    """A Unix socket at which this hub gives its listening sockets to the next one (`hub run --takeover`)."""
    registry_poll_s: Seconds = 2.0
    ledger_watch_s: Seconds = 30.0
    """How often the numbers of all ledgers are summed up for the metrics."""
    lease_s: Annotated[float, Meta(ge=2, le=600)] = 10.0
    """How long after the active hub is cut off, or its machine is gone, a standby takes over."""
    lease_name: Annotated[str, Meta(min_length=1, max_length=500)] | None = None
    """Hubs with the same name are active one at a time. Without it: those with the same accounts at one broker."""


class RetentionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long data is kept, and where the proofs of it are."""

    directory: str = "retention"
    """Outside the database: `proofs/`, and what was erased, so that a restored backup can be held against them."""
    key_file: str = "retention_key.pem"
    """The Ed25519 key that signs the proofs; made at the first use."""
    policy_file: str | None = None
    """The periods, if they are not those that come with the hub."""
    trusted_key_files: list[str] = []
    """Public halves of keys that signed proofs before the present one."""


class ExportSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Files of what is stored, over HTTP."""

    running_max: Annotated[int, Meta(ge=1, le=100)] = 2
    """How many are written at once; above it 503."""
    rows_max: Annotated[int, Meta(ge=1, le=1_000_000_000)] = 10_000_000
    """The most rows of one file."""
    page_rows_max: Annotated[int, Meta(ge=10, le=10_000)] = 500
    """How many are read at a time: what is held in memory, and how long commands may have to wait for it."""
    send_timeout_s: Seconds = 60.0
    """How long a client may take nothing before it is cut off."""


class PeopleSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Accounts and access codes."""

    code_key_file: str = "code_key"
    """The secret that access codes are hashed with; made at the first use."""
    code_ttl_s_max: Annotated[int, Meta(ge=60, le=31_536_000)] = 604_800
    """The longest that a code may be valid."""
    code_checks_per_minute: Positive = 60
    """How many codes may be tried at this hub, so that nobody finds one by guessing."""
    watch_s: Seconds = 5.0
    """How soon a restriction reaches the commands, and the metrics what is due."""


class AlarmSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What people have to be told of."""

    rules_file: str | None = None
    """What raises them, if it is not what comes with the hub."""
    open_max: Annotated[int, Meta(ge=100, le=100_000)] = 10_000
    """How many are open at once; at the limit no further one is opened, and that is counted."""
    open_per_locker_max: Annotated[int, Meta(ge=10, le=100_000)] = 500
    """The same of one locker."""
    follow_s: Seconds = 2.0
    """How soon what command lines and other hubs did to them is seen."""
    reconnect_s: Seconds = 90.0
    """So long lockers have to come back, once the own link to the broker is: each does within a minute or so."""


class LogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Logs go to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"
    """auto: readable on a terminal, one line of JSON elsewhere."""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of it."""

    mqtt: MqttSettings = MqttSettings()
    database: DatabaseSettings = DatabaseSettings()
    http: HttpSettings = HttpSettings()
    commands: CommandSettings = CommandSettings()
    intake: IngestSettings = IngestSettings()
    jobs: JobSettings = JobSettings()
    live: LiveSettings = LiveSettings()
    service: ServiceSettings = ServiceSettings()
    retention: RetentionSettings = RetentionSettings()
    people: PeopleSettings = PeopleSettings()
    influx: InfluxSettings = InfluxSettings()
    exports: ExportSettings = ExportSettings()
    notify: NotifySettings = NotifySettings()
    alarms: AlarmSettings = AlarmSettings()
    log: LogSettings = LogSettings()

    def dsn(self) -> str:
        """Return the database's DSN, from its file if there is one."""
        if self.database.dsn_file is not None:
            return read_secret(self.database.dsn_file, "database.dsn_file")
        if self.database.dsn is None:
            raise ConfigError("database.dsn is missing: postgresql://user:password@host/database, or use dsn_file")
        return self.database.dsn.reveal()


def load(path: Path | None, environment: Mapping[str, str]) -> Config:
    """Read the file, put the environment over it, and check all of it.

    Raises:
        ConfigError: what is wrong, where, and what would be right.
    """
    tree: dict[str, Any] = {}
    if path is not None:
        tree = _read_toml(path)
    _check_keys(tree, str(path))
    for section, key, value in _from_environment(environment):
        tree.setdefault(section, {})[key] = value
    try:
        config = msgspec.convert(tree, Config, strict=True, dec_hook=_secret)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path or 'the environment'}: {error}") from None
    check_sense(config)
    return config


def sections() -> dict[str, dict[str, msgspec.structs.FieldInfo]]:
    """Return every setting: section, key, its field."""
    return {
        section.name: {field.name: field for field in msgspec.structs.fields(section.type)}
        for section in msgspec.structs.fields(Config)
    }


def _secret(kind: type, value: object) -> object:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise TypeError(f"Expected `str`, got `{type(value).__name__}`")


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None


def _check_keys(tree: dict[str, Any], where: str) -> None:
    known = sections()
    for section, body in tree.items():
        if section not in known:
            raise ConfigError(f"{where}: unknown section [{section}]{_nearest(section, known)}")
        if not isinstance(body, dict):
            raise ConfigError(f"{where}: {section} is a section: write [{section}] and its keys below it")
        for key in body:
            if key not in known[section]:
                raise ConfigError(f"{where}: unknown key {section}.{key}{_nearest(key, known[section])}")


def _from_environment(environment: Mapping[str, str]) -> Iterator[tuple[str, str, Any]]:
    known = {
        f"{ENVIRONMENT_PREFIX}{section}_{key}".upper(): (section, key, field)
        for section, keys in sections().items()
        for key, field in keys.items()
    }
    for name, text in environment.items():
        if not name.startswith(ENVIRONMENT_PREFIX):
            continue
        if name not in known:
            raise ConfigError(f"unknown environment variable {name}{_nearest(name, known)}")
        section, key, field = known[name]
        try:
            if field.type == list[str]:
                value: Any = [part.strip() for part in text.split(",") if part.strip()]
            else:
                # An environment variable is always text; here, and only here, "8080" may stand for 8080.
                value = text if Secret in get_args(field.type) else msgspec.convert(text, field.type, strict=False)
        except msgspec.ValidationError as error:
            raise ConfigError(f"{name}: {error}") from None
        yield section, key, value


def _nearest(word: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else f"; known are {', '.join(sorted(known))}"
