"""Files of authorities that are trusted for TLS: whether they can be used, and for how long."""

import ssl
from datetime import UTC, datetime, timedelta
from typing import Final

from hub.core.doctor import Finding
from hub.errors import ConfigError

_SOON: Final = timedelta(days=30)


def trusting(ca_file: str | None, where: str) -> ssl.SSLContext:
    """Return how servers are checked: by this authority, or by the system's. Raises ConfigError."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        reason = "it has no certificate in PEM" if isinstance(error, ssl.SSLError) else error.strerror or error
        raise ConfigError(f"{where}: tls_ca_file: cannot use {ca_file}: {reason}") from None


def check_authority(ca_file: str, where: str, now: datetime) -> list[Finding]:
    """Return what is wrong with an authority's file. Raises ConfigError if nothing in it can be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting(ca_file, where)
    context.load_verify_locations(cafile=ca_file)
    ends = [
        datetime.fromtimestamp(ssl.cert_time_to_seconds(str(one["notAfter"])), UTC)
        for one in context.get_ca_certs()
    ]
    if not ends:
        raise ConfigError(f"{where}: tls_ca_file: {ca_file} has no authority's certificate (CA:TRUE) in it")
    last = max(ends)
    if last <= now:
        return [Finding(f"{where}: tls_ca_file: {ca_file} expired on {last:%Y-%m-%d}: renew it")]
    if last <= now + _SOON:
        return [Finding(f"{where}: tls_ca_file: {ca_file} expires on {last:%Y-%m-%d}: renew it", trouble=False)]
    return []
