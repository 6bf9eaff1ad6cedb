"""A link to the broker. The only module that imports the MQTT client (gmqtt).

gmqtt reconnects by itself, but forgets its subscriptions, keeps a session of its own choosing and sends stored
messages again, commands among them. So each connection here is a new client with a clean session, and a
supervised task makes the next one, with full jitter.
"""

import asyncio
import contextlib
import logging
import random
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from gmqtt import Client, Message, Subscription
from gmqtt.mqtt.constants import MQTTv50, MQTTv311
from gmqtt.mqtt.package import Package

from hub.config import Mqtt
from hub.core.packets import LengthError, Publish, split
from hub.errors import LinkError
from hub.metrics import Metrics

Receive = Callable[[str, bytes, bool], None]
"""Called with topic, payload, and whether the broker had kept (retained) the message."""

_log = logging.getLogger(__name__)
_VERSIONS: Final = {"auto": (MQTTv50, MQTTv311), "5": (MQTTv50,), "3.1.1": (MQTTv311,)}
_NO_RECONNECT: Final = -2  # gmqtt: -1 means for ever, and 0 still tries once
_BACKOFF_S: Final = 0.2
_RECEIVE_MAXIMUM: Final = 1000
_PUBACK: Final = b"\x40\x02"  # without a reason code: success, in both versions


class Link:
    """One connection to the broker, made again whenever it is lost.

    Args:
        name: `ingest` or `command`: the name in logs and metrics.
        settings: where the broker is.
        username: the account; also the client id, so that a second hub takes over rather than doubles.
        password: its password, or None.
        filters: what to subscribe to, at QoS 1.
        receive: told of each message; must not block.
        connected: called after each successful subscription.
        will: topic and payload that the broker publishes, retained, when this link is lost.
    """

    def __init__(
        self,
        name: str,
        settings: Mqtt,
        metrics: Metrics,
        *,
        username: str,
        password: str | None,
        filters: Sequence[str],
        receive: Receive,
        connected: Callable[[], None] = lambda: None,
        will: tuple[str, bytes] | None = None,
    ) -> None:
        self.name = name
        self._settings = settings
        self._username = username
        self._password = password
        self._filters = filters
        self._receive = receive
        self._told = connected
        self._will = will
        self._client: Client | None = None
        self._up = False
        self._version: int | None = None
        self._gauge = metrics.mqtt_connected.labels(name)
        self._connects = metrics.mqtt_connects.labels(name)

    @property
    def connected(self) -> bool:
        """Whether the link is up and subscribed."""
        return self._up and self._client is not None and bool(self._client.is_connected)

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Hand a message to the broker now, or raise LinkError: nothing is queued for later."""
        client = self._client
        if client is None or not self.connected:
            raise LinkError(f"the {self.name} link to the broker is down")
        try:
            client.publish(topic, payload, qos=qos, retain=retain)
        except OverflowError:
            # The broker's Receive Maximum: so many publications are out and none is acknowledged.
            raise LinkError(f"the broker has not acknowledged what the {self.name} link sent before") from None

    def stop_taking(self) -> None:
        """Unsubscribe; the link can still publish."""
        if self._client is not None and self.connected:
            for topic_filter in self._filters:
                self._client.unsubscribe(topic_filter)
        self._filters = ()

    async def run(self) -> None:
        """Keep the link up until cancelled."""
        backoff_s = _BACKOFF_S
        attempt = 0
        while True:
            lost = asyncio.Event()
            versions = (self._version,) if self._version is not None else _VERSIONS[self._settings.version]
            version = versions[attempt % len(versions)]
            attempt += 1
            try:
                client = await self._connect(version, lost)
            except LinkError as error:
                _log.warning("The %s link to the broker is not up", self.name, extra={"error": str(error)})
                backoff_s = min(backoff_s * 2, self._settings.reconnect_s_max)
            else:
                self._version = version
                backoff_s = _BACKOFF_S
                try:
                    await lost.wait()
                    _log.warning("The %s link to the broker was lost", self.name)
                finally:
                    self._down()
                    await _close(client)
            await asyncio.sleep(random.uniform(0, backoff_s))  # noqa: S311 - jitter

    async def _connect(self, version: int, lost: asyncio.Event) -> Client:
        settings = self._settings
        client = Client(
            self._username,
            clean_session=True,
            will_message=None if self._will is None else Message(*self._will, qos=1, retain=True),
            **({"receive_maximum": _RECEIVE_MAXIMUM} if version == MQTTv50 else {}),
        )
        client.set_config({"reconnect_retries": _NO_RECONNECT, "reconnect_delay": 0})
        if self._password is not None:
            client.set_auth_credentials(self._username, self._password)
        subscribed = asyncio.Event()
        client.on_message = self._on_message
        client.on_disconnect = lambda *_: lost.set()
        client.on_subscribe = lambda *_: subscribed.set()
        try:
            async with asyncio.timeout(settings.connect_timeout_s):
                await client.connect(
                    settings.host,
                    settings.port,
                    ssl=self._tls(),
                    keepalive=settings.keepalive_s,
                    version=version,
                )
                self._client = client
                _read_in_bulk(client, self._receive)
                if self._filters:
                    client.subscribe([Subscription(topic_filter, qos=1) for topic_filter in self._filters])
                    await subscribed.wait()
        except TimeoutError:
            await _close(client)
            raise LinkError(f"{settings.host}:{settings.port} did not answer in time") from None
        except Exception as error:
            # gmqtt raises plain exceptions of its own for each refusal; whatever it is, there is no link.
            await _close(client)
            raise LinkError(f"{settings.host}:{settings.port}: {error}") from error
        self._up = True
        self._gauge.set(1)
        self._connects.inc()
        _log.info(
            "The %s link to the broker is up",
            self.name,
            extra={"broker": f"{settings.host}:{settings.port}", "mqtt": "5" if version == MQTTv50 else "3.1.1"},
        )
        self._told()
        return client

    def _down(self) -> None:
        self._up = False
        self._client = None
        self._gauge.set(0)

    def _on_message(self, _: Client, topic: str, payload: bytes, __: int, properties: dict[str, Any]) -> int:
        self._receive(topic, payload, bool(properties["retain"]))
        return 0

    def _tls(self) -> ssl.SSLContext | bool:
        if self._settings.tls_ca_file is None:
            return False
        return ssl.create_default_context(cafile=self._settings.tls_ca_file)


def _read_in_bulk(client: Client, receive: Receive) -> None:
    """Take all QoS 1 messages of one read in one go, and acknowledge them, once they are taken, in one write.

    gmqtt spends more on a message than all of intake, and makes a system call for each acknowledgement. Whatever is
    not a plain PUBLISH at QoS 1 goes its own way. It has no public place for this, hence its exact version.
    """
    connection = client._connection  # noqa: SLF001 - see above
    protocol = connection._protocol  # noqa: SLF001 - see above
    properties = protocol.proto_ver == MQTTv50

    def read_packets(data: bytes) -> int:
        """Return how many bytes were read; -1 makes gmqtt give the connection up."""
        try:
            packets, read = split(data, properties=properties)
        except LengthError:
            return -1
        connection._last_data_in = time.monotonic()  # noqa: SLF001 - what gmqtt's keepalive looks at
        acknowledgements = []
        for packet in packets:
            if isinstance(packet, Publish):
                try:
                    receive(packet.topic, packet.payload, packet.retained)
                except Exception:  # noqa: BLE001 - see below
                    # A mistake of ours, met by one message, must not end everyone's link. The message is not
                    # receipted, so an event stays on its locker.
                    _log.exception("A message could not be taken", extra={"topic": packet.topic})
                acknowledgements.append(_PUBACK + packet.mid)
            else:
                connection.put_package(Package(packet.first, packet.body))
        if acknowledgements:
            protocol.write_data(b"".join(acknowledgements))
        return read

    protocol._read_packet = read_packets  # noqa: SLF001 - see above


async def _close(client: Client) -> None:
    # A broken connection cannot be closed politely, and need not be.
    with contextlib.suppress(Exception):
        async with asyncio.timeout(1):
            await client.disconnect()
