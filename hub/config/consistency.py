"""Checks of settings that have to fit each other, and of addresses."""

import re
from typing import TYPE_CHECKING, Final

from hub.config.addresses import check_host
from hub.config.influx import check_influx
from hub.config.notify import check_notify
from hub.errors import ConfigError

if TYPE_CHECKING:
    from hub.config.settings import Config

_PUBLIC_URL: Final = re.compile(r"https?://(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?/?")


def check_sense(config: "Config") -> None:
    """Raise ConfigError for settings that do not fit each other, or that no hub can do with."""
    for setting, host in (("mqtt.host", config.mqtt.host), ("http.host", config.http.host)):
        check_host(host, setting)
    if config.database.dsn is not None and config.database.dsn_file is not None:
        raise ConfigError("database.dsn and database.dsn_file are both set; one of them is right")
    if config.http.token_file is None and not is_loopback(config.http.host):
        raise ConfigError(
            f"http.host = {config.http.host!r} lets other machines open doors, so http.token_file must name a file "
            "with a token (or bind to 127.0.0.1)"
        )
    if config.commands.open_deadline_ms < config.commands.open_budget_ms:
        raise ConfigError("commands.open_deadline_ms must not be below commands.open_budget_ms")
    if config.commands.durable_pause_ms_max < config.commands.durable_pause_ms_min:
        raise ConfigError("commands.durable_pause_ms_max must not be below commands.durable_pause_ms_min")
    _check_public_url(config.http.public_url)
    check_influx(config.influx, config.database.statement_timeout_ms)
    check_notify(config.notify)


def _check_public_url(url: str | None) -> None:
    if url is not None and not _PUBLIC_URL.fullmatch(url):
        shown = "http.public_url" if "@" in url else f"http.public_url = {url!r}"
        raise ConfigError(
            f"{shown} must be where people reach the page, http://host:port or https://host, "
            "without a path, a name or a password"
        )


def is_loopback(host: str) -> bool:
    """Say whether a host name or address can only be this machine."""
    return host in {"localhost", "::1"} or host.startswith("127.")
