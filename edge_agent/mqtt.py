"""The broker link: the only module that knows the MQTT client. MQTT 3.1.1, QoS 1, TCP_NODELAY."""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiomqtt

from edge_agent.config import MqttSettings

log = logging.getLogger(__name__)

CALL_TIMEOUT_S: Final = 10.0
_PENDING_CALLS_MAX: Final = 128


class LinkDownError(ConnectionError):
    """The broker cannot be reached, refused us, or did not answer; the text says which."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """One message from the broker."""

    topic: str
    payload: bytes
    retained: bool


class Connection:
    """One connection to the broker, from `connect`."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self._client = client

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish with QoS 1. The bytes are on their way when this first waits; it returns on the PUBACK.

        Raises:
            LinkDownError: no PUBACK came; the broker may have it or not.
        """
        try:
            await self._client.publish(topic, payload, qos=1, retain=retain)
        except aiomqtt.MqttError as error:
            raise LinkDownError(str(error)) from None
        _heed_cancellation()

    async def subscribe(self, *topics: str) -> None:
        """Subscribe to topics with QoS 1. Raises LinkDownError, also where the broker refuses one."""
        try:
            granted = await self._client.subscribe([(topic, 1) for topic in topics])
        except aiomqtt.MqttError as error:
            raise LinkDownError(str(error)) from None
        _heed_cancellation()
        for topic, code in zip(topics, granted, strict=True):
            # An int with MQTT 3.1.1, a reason code that compares with one with MQTT 5.
            if code >= _SUBACK_FAILURE:  # type: ignore[operator]
                raise LinkDownError(f"the broker refused the subscription to {topic}")

    async def messages(self) -> AsyncIterator[Incoming]:
        """Yield what arrives. Raises LinkDownError when the link ends."""
        try:
            async for message in self._client.messages:
                yield Incoming(message.topic.value, bytes(message.payload), message.retain)
        except aiomqtt.MqttError as error:
            raise LinkDownError(str(error)) from None


_SUBACK_FAILURE: Final = 0x80


@asynccontextmanager
async def connect(settings: MqttSettings, locker: str, will_topic: str, will: bytes) -> AsyncIterator[Connection]:
    """Connect as `locker`, with its will (QoS 1, retained), and disconnect afterwards.

    Incoming messages beyond `settings.incoming_messages_max` that nobody has read are dropped and logged by the
    client; each of them is sent again by the hub, or has a deadline.

    Raises:
        LinkDownError: the broker cannot be reached or refuses.
    """
    try:
        client = aiomqtt.Client(
            settings.host,
            settings.port,
            identifier=locker,
            username=_username(settings, locker),
            password=_password(settings),
            will=aiomqtt.Will(will_topic, will, qos=1, retain=True),
            clean_session=True,
            protocol=aiomqtt.ProtocolVersion.V311,
            keepalive=ping_after_s(settings.keepalive_s),
            timeout=min(CALL_TIMEOUT_S, 1.5 * settings.keepalive_s),
            max_queued_incoming_messages=settings.incoming_messages_max,
            tls_context=_tls(settings),
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        )
        client.pending_calls_threshold = _PENDING_CALLS_MAX
        await client.__aenter__()
    except (aiomqtt.MqttError, OSError) as error:
        raise LinkDownError(f"{settings.host}:{settings.port}: {error}") from None
    try:
        yield Connection(client)
    finally:
        try:
            await asyncio.shield(client.__aexit__(None, None, None))
        except (aiomqtt.MqttError, OSError) as error:
            log.debug("the link did not end cleanly", extra={"why": str(error)})


def ping_after_s(keepalive_s: int) -> int:
    """Return after how many silent seconds the client has to ping for a dead link to end within 1.5 `keepalive_s`.

    paho-mqtt pings after that time and waits as long again for the answer, and looks at both once a second.
    """
    return (3 * keepalive_s // 2 - 2) // 2


def _heed_cancellation() -> None:
    """End a task whose cancellation the client has swallowed.

    It waits with `asyncio.wait_for`, which up to Python 3.11 forgets a cancellation that comes together with the
    answer; a session's task would then outlive its session.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _username(settings: MqttSettings, locker: str) -> str | None:
    if settings.username is not None:
        return settings.username
    return locker


def _password(settings: MqttSettings) -> str | None:
    if settings.password_file is None:
        return None
    # Read for each connection, so that a rotated password needs no restart.
    return Path(settings.password_file).read_text(encoding="utf-8").strip()


def _tls(settings: MqttSettings) -> ssl.SSLContext | None:
    return ssl.create_default_context(cafile=settings.tls_ca) if settings.tls_ca is not None else None
