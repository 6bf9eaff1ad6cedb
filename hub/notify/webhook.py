"""A signed POST, as Standard Webhooks has it: `webhook-id`, `webhook-timestamp`, `webhook-signature`."""

import base64
import binascii
import hashlib
import hmac
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import orjson

from hub import clock
from hub.config.certificates import trusting
from hub.config.notify import WebhookChannel, check_url
from hub.config.secrets import read_secret
from hub.core.notify.notices import Message
from hub.core.notify.retry import DeliveryOutcome, DeliveryVerdict, of_status
from hub.core.notify.templates import one_line, render_webhook
from hub.errors import ConfigError
from wire import __version__

_PREFIX: Final = "whsec_"
_SECRET_BYTES_MIN: Final = 16
_ANSWER_BYTES_MAX: Final = 1024


class Webhook:
    """One receiver. Reads its files at once. Raises ConfigError."""

    def __init__(self, channel: WebhookChannel, public_url: str | None) -> None:
        where = f"notify.channel {channel.name}"
        self._url = (
            read_secret(channel.url_file or "", f"{where}: url_file")
            if channel.url is None
            else channel.url.reveal()
        )
        check_url(self._url, where)
        self._key = signing_key(read_secret(channel.secret_file, f"{where}: secret_file"), where)
        self._tls = trusting(channel.tls_ca_file, where)
        self._timeout_s = channel.timeout_s
        self._public_url = public_url
        parts = urlsplit(self._url)
        self.to = f"{parts.scheme}://{parts.netloc}"
        """Without its path, which may be a secret."""

    async def send(self, message: Message) -> DeliveryOutcome:
        """Try once. Never raises for what network or receiver do."""
        body = orjson.dumps(render_webhook(message, self._public_url), option=orjson.OPT_UTC_Z)
        timestamp = str(clock.wall_ms() // 1000)
        headers = {
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": f"Lockerhub/{__version__}",
            "webhook-id": str(message.id),
            "webhook-timestamp": timestamp,
            "webhook-signature": f"v1,{signature(self._key, str(message.id), timestamp, body)}",
        }
        try:
            # A connection of its own each time: what one try left behind never touches the next.
            async with (
                aiohttp.ClientSession(
                    timeout=aiohttp.ClientTimeout(total=self._timeout_s), auto_decompress=False
                ) as session,
                session.post(
                    self._url, data=body, headers=headers, ssl=self._tls, allow_redirects=False
                ) as response,
            ):
                text = await response.content.read(_ANSWER_BYTES_MAX)
                return of_status(
                    response.status, one_line(text.decode(errors="replace")), response.headers.get("Retry-After")
                )
        except TimeoutError:
            return DeliveryOutcome(DeliveryVerdict.LATER, f"no answer within {self._timeout_s:g} s")
        except aiohttp.ClientConnectorError as error:
            reason = error.os_error.strerror or type(error.os_error).__name__
            return DeliveryOutcome(DeliveryVerdict.LATER, f"cannot connect to {self.to}: {reason}")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # Their texts may have the whole address in them.
            return DeliveryOutcome(
                DeliveryVerdict.LATER, f"the connection to {self.to} failed: {type(error).__name__}"
            )


def signing_key(secret: str, where: str) -> bytes:
    """Return the key of a secret: `whsec_` and base64, or any text. Raises ConfigError, which never shows it."""
    key = secret.encode()
    if secret.startswith(_PREFIX):
        try:
            key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            raise ConfigError(f"{where}: secret_file: what follows whsec_ is not base64") from None
    if len(key) < _SECRET_BYTES_MIN:
        raise ConfigError(
            f"{where}: secret_file: {len(key)} bytes are too few, {_SECRET_BYTES_MIN} are the least; "
            "`openssl rand -hex 24` makes a good one"
        )
    return key


def signature(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    """Return HMAC-SHA256 over `id.timestamp.body`, in base64."""
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
