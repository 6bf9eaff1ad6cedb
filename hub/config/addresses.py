"""Names and addresses of machines, as settings have them."""

import re
from typing import Final

from hub.errors import ConfigError

_HOST: Final = re.compile(r"[A-Za-z0-9._-]{0,253}|[0-9A-Fa-f:.]{2,45}(%[A-Za-z0-9._-]+)?")


def check_host(host: str, setting: str) -> None:
    """Raise ConfigError for what is no name or address of a machine. The text does not show it.

    What stands there may be a whole URL with a password in it.
    """
    if not _HOST.fullmatch(host):
        raise ConfigError(
            f"{setting} must be the name or the address of a machine, without a scheme, a user, a port or a path"
        )
