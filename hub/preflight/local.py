"""Preflight checks on this machine alone: files, keys, authorities, modes."""

import os
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from hub.alarms.rules_file import read_rules
from hub.config.certificates import check_authority
from hub.config.notify import EmailChannel
from hub.config.secrets import check_mode, read_secret
from hub.config.settings import Config
from hub.core.doctor import Finding
from hub.errors import HubError
from hub.influx.sink import server as influx_server
from hub.keys import check_proof_key, load_key
from hub.notify.notifier import sender_of
from hub.operators import Operators
from hub.people.code_key import read_code_key
from hub.retention.run import parse_file as parse_policy_file
from hub.retention.verification import trusted_keys
from hub.store.dsn import check_dsn


def check_setup(config: Config, now: datetime) -> list[Finding]:
    """Return all that is wrong, and what is worth knowing. Nothing is made, and nobody is asked over a network."""
    found: list[Finding] = []
    for look in _looks(config):
        try:
            look()
        except HubError as error:
            found.append(Finding(str(error)))
    for path, setting in secret_files(config):
        found += filter(None, [check_mode(path, setting)])
    for path, where in _authorities(config):
        try:
            found += check_authority(path, where, now)
        except HubError as error:
            found.append(Finding(str(error)))
    for directory, setting in _written(config):
        found += filter(None, [_check_writable(directory, setting)])
    return found


def secret_files(config: Config) -> Iterator[tuple[str, str]]:
    """Yield each file that holds a secret as a text, and the setting that names it. Keys have their own look."""
    files = [
        (config.database.dsn_file, "database.dsn_file"),
        (config.mqtt.password_file, "mqtt.password_file"),
        (config.http.token_file, "http.token_file"),
        (config.influx.token_file, "influx.token_file"),
    ]
    for channel in config.notify.channel:
        where = f"notify.channel {channel.name}"
        if isinstance(channel, EmailChannel):
            files.append((channel.password_file, f"{where}: password_file"))
        else:
            files += [(channel.url_file, f"{where}: url_file"), (channel.secret_file, f"{where}: secret_file")]
    return ((path, setting) for path, setting in files if path is not None)


def _looks(config: Config) -> Iterator[Callable[[], object]]:
    yield lambda: check_dsn(config.dsn())
    yield lambda: load_key(Path(config.commands.key_file))
    if config.mqtt.password_file is not None:
        yield lambda: read_secret(config.mqtt.password_file or "", "mqtt.password_file")
    yield lambda: Operators.read(config.http.token_file)
    yield lambda: read_rules(config.alarms.rules_file)
    yield lambda: parse_policy_file(config.retention.policy_file, None)
    yield lambda: trusted_keys(config.retention)
    yield lambda: check_proof_key(Path(config.retention.key_file))
    yield lambda: read_code_key(Path(config.people.code_key_file))
    if config.influx.url is not None:
        yield lambda: influx_server(config.influx)
    for channel in config.notify.channel:
        yield lambda channel=channel: sender_of(channel, config.http.public_url)  # type: ignore[misc]


def _authorities(config: Config) -> Iterator[tuple[str, str]]:
    files = [(config.mqtt.tls_ca_file, "mqtt"), (config.influx.tls_ca_file, "influx")]
    files += [(channel.tls_ca_file, f"notify.channel {channel.name}") for channel in config.notify.channel]
    return ((path, where) for path, where in files if path is not None)


def _written(config: Config) -> Iterator[tuple[Path, str]]:
    yield Path(config.retention.directory), "retention.directory"
    # Made at the first use, in their directory.
    for file, setting in (
        (config.retention.key_file, "retention.key_file"),
        (config.people.code_key_file, "people.code_key_file"),
    ):
        if not Path(file).exists():
            yield Path(file).parent, setting


def _check_writable(directory: Path, setting: str) -> Finding | None:
    """Look whether files can be made there; a directory that is missing is made at the first use."""
    there = next(one for one in (directory, *directory.absolute().parents) if one.exists())
    if not there.is_dir():
        return Finding(f"{setting}: {there} is a file, and a directory is needed there")
    if not os.access(there, os.W_OK | os.X_OK):
        what = "" if there == directory else f"{directory} does not exist, and "
        return Finding(f"{setting}: {what}{there} cannot be written by this user: `chown` it to the hub's user")
    return None
