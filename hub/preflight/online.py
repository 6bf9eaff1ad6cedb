"""Preflight checks that ask the database, the broker and the port."""

import asyncio
import json
import socket
import urllib.error
import urllib.request
from typing import Final

from hub import clock
from hub.config.settings import Config
from hub.core.doctor import Facts, Finding, judge
from hub.errors import HubError
from hub.preflight.broker import check_broker
from hub.store.doctor import collect_facts, hubs_connected, lacking_rights

_HEALTH_S: Final = 2.0
_LACKING_SHOWN: Final = 5


def check_online(config: Config) -> list[Finding]:
    """Return all that is wrong with what the configuration leads to, and what is worth knowing."""
    found: list[Finding] = []
    hubs: int | None = None
    try:
        hubs = hubs_connected(config.dsn())
        lacking = lacking_rights(config.dsn())
        found += _rights(lacking) if lacking else database_findings(config, hub_expected=False)[1]
    except HubError as error:
        found.append(Finding(f"database: {error}"))
    if hubs:
        text = (
            f"mqtt: a hub or a command of one uses the database ({hubs} connections), so that its accounts at the "
        )
        found.append(
            Finding(text + "broker are not tried: that would throw it out; see its /readyz", trouble=False)
        )
    elif hubs is None:
        text = "mqtt: the hub's accounts are not tried, because nobody can tell whether a hub uses them"
        found.append(Finding(text, trouble=False))
    try:
        found += asyncio.run(check_broker(config, accounts=hubs == 0))
    except HubError as error:
        found.append(Finding(str(error)))
    return found + _port(config)


def database_findings(config: Config, *, hub_expected: bool = True) -> tuple[Facts, list[Finding]]:
    """Return what the database has, and what is wrong with it. Raises ConfigError, StoreError.

    `hub_expected`: whether it is wrong that no hub is active; before one starts it is not.
    """
    began = clock.wall()
    facts = collect_facts(config.dsn())
    # Between the two looks at our clock the database looked at its own.
    ahead_s = max((began - facts.at).total_seconds(), 0) or min((clock.wall() - facts.at).total_seconds(), 0)
    found = judge(
        facts,
        pool_connections_max=config.database.connections_max,
        clock_ahead_s=ahead_s,
        mqtt_version=config.mqtt.version,
        hub_expected=hub_expected,
    )
    return facts, found


def _rights(lacking: list[str]) -> list[Finding]:
    more = f" and {len(lacking) - _LACKING_SHOWN} more" if len(lacking) > _LACKING_SHOWN else ""
    return [
        Finding(
            f"database: the role lacks {', '.join(lacking[:_LACKING_SHOWN])}{more}: let it own the database and "
            "what is in it (ALTER DATABASE … OWNER TO …; REASSIGN OWNED BY … TO …)"
        )
    ]


def _port(config: Config) -> list[Finding]:
    http = config.http
    try:
        with socket.create_server((http.host, http.port), family=_family(http.host, http.port)):
            return []
    except OSError as error:
        if _is_hub(http.host, http.port):
            text = f"http: a hub serves {http.host}:{http.port}: this configuration is in use"
            return [Finding(text, trouble=False)]
        why = error.strerror or error
        return [Finding(f"http: cannot listen on {http.host}:{http.port}: {why}: see http.host and http.port")]


def _family(host: str, port: int) -> socket.AddressFamily:
    return socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]


def _is_hub(host: str, port: int) -> bool:
    name = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104 - not bound
    try:
        with urllib.request.urlopen(f"http://{name}:{port}/healthz", timeout=_HEALTH_S) as response:
            said = json.load(response)
    except (OSError, ValueError, urllib.error.URLError):
        return False
    return isinstance(said, dict) and said.get("status") == "ok" and "version" in said
