"""Whom a channel trusts when it speaks TLS."""

import ssl

from hub.errors import ConfigError


def trusting(ca_file: str | None, where: str) -> ssl.SSLContext:
    """Return how servers are checked: by this authority, or by the system's. Raises ConfigError."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ConfigError(f"{where}: tls_ca_file: cannot use {ca_file}: {error.strerror or error}") from None
