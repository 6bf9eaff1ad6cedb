"""The settings of `[notify]`, and what makes no sense in them."""

import re
import string
from collections.abc import Iterable
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from hub.config.addresses import check_host
from hub.config.types import Bytes
from hub.errors import ConfigError
from hub.masking import Secret

Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
Severity = Literal["critical", "high", "medium", "low"]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
ADDRESSES_MAX: Final = 20

_ADDRESS: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}")
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class _Channel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind"):
    """Settings that every channel has."""

    name: Name
    severities: list[Severity] = []
    """Which alarms; all of them if it is empty."""
    sites: list[str] = []
    """Of which sites; of all if it is empty. Alarms of the whole fleet are of every site."""
    transitions: list[Literal["raised", "cleared", "acked"]] = []
    """Of what about them; of all three if it is empty."""
    dedup_s: Annotated[float, Meta(ge=0, le=86_400)] = 300.0
    """The same change of the same alarm is told once in this time."""
    flood_max: Annotated[int, Meta(ge=1, le=1000)] = 10
    flood_s: Annotated[float, Meta(ge=1, le=3600)] = 60.0
    """More than `flood_max` messages in this time become a digest each `flood_s`."""
    tls_ca_file: str | None = None
    """The authority to trust, instead of the system's."""


class EmailChannel(_Channel, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="email"):
    """Mail, over one server."""

    host: Annotated[str, Meta(min_length=1, max_length=253)]
    port: Annotated[int, Meta(ge=1, le=65535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str | None = None
    password_file: str | None = None
    """A file whose one line is the password."""
    sender: str
    to: Annotated[list[str], Meta(min_length=1, max_length=ADDRESSES_MAX)]
    timeout_s: Seconds = 20.0
    """For one try."""


class WebhookChannel(_Channel, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="webhook"):
    """A signed POST to one address."""

    url: Secret | None = None
    url_file: str | None = None
    """A file whose one line is the address, where the address itself is a secret."""
    secret_file: str
    """A file whose one line is what requests are signed with."""
    timeout_s: Seconds = 5.0
    """For one try."""


class NotifySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of notifications: channels, limits, how long they are kept."""

    channel: list[EmailChannel | WebhookChannel] = []
    """Each as a `[[notify.channel]]`."""
    queue_max: Annotated[int, Meta(ge=1, le=100_000)] = 1000
    """How many messages wait for one channel; above it the oldest are dropped, and counted."""
    queue_bytes_max: Bytes = 16_777_216
    """The same limit in memory, as estimated from the lengths of messages."""
    kept_max: Annotated[int, Meta(ge=100, le=10_000_000)] = 50_000
    """How many messages that are settled are kept in the database, and for how long."""
    kept_days: Annotated[int, Meta(ge=1, le=3650)] = 90


def check_notify(notify: NotifySettings) -> None:
    """Raise ConfigError for what makes no sense, without reading any file."""
    names = [channel.name for channel in notify.channel]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"notify.channel: two are called {name}; each needs a name of its own")
    for channel in notify.channel:
        where = f"notify.channel {channel.name}"
        if isinstance(channel, EmailChannel):
            _check_email(channel, where)
        else:
            _check_webhook(channel, where)


def check_url(url: str, where: str) -> None:
    """Raise ConfigError for an address that is none. The text does not show it."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    plain = set(url) <= set(string.printable) - set(string.whitespace)
    if not (plain and host and parts.scheme in {"http", "https"} and parts.username is None):
        raise ConfigError(
            f"{where}: the url must be http:// or https://host/path, without a name or a password before the host"
        )


def _check_email(channel: EmailChannel, where: str) -> None:
    check_host(channel.host, f"{where}: host")
    for address in _unfit([channel.sender, *channel.to]):
        raise ConfigError(f"{where}: {address!r} is not an address like duty@example.org (ASCII, without a name)")
    if (channel.username is None) != (channel.password_file is None):
        raise ConfigError(f"{where}: username and password_file belong together; set both or none")
    if channel.security == "none" and channel.password_file is not None and channel.host not in _LOOPBACK:
        raise ConfigError(
            f'{where}: security = "none" would send the password as it is; "starttls" or "tls" is right'
        )


def _check_webhook(channel: WebhookChannel, where: str) -> None:
    if (channel.url is None) == (channel.url_file is None):
        raise ConfigError(f"{where}: set url, or url_file where the address is a secret; one of them")
    if channel.url is not None:
        check_url(channel.url.reveal(), where)


def _unfit(addresses: Iterable[str]) -> list[str]:
    return [address for address in addresses if not _ADDRESS.fullmatch(address)]
