"""A link to the broker. The only module that imports the MQTT client (gmqtt).

gmqtt reconnects by itself, but forgets its subscriptions, keeps a session of its own choosing and sends stored
messages again, commands among them. So each connection here is a new client, with a clean session unless the link
is one that acknowledges late (`Held`), and a supervised task makes the next one, with full jitter.
"""

import asyncio
import contextlib
import logging
import random
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from gmqtt import Client, Message, Subscription
from gmqtt.mqtt.constants import MQTTv50, MQTTv311
from gmqtt.mqtt.package import Package

from hub.config import Mqtt
from hub.core.lease import Loss
from hub.core.packets import PACKET_BYTES_MAX, BrokenStreamError, Packet, Publish, split
from hub.deliveries import PUBACK, Acknowledgements, Delivery, Held
from hub.errors import LinkError
from hub.metrics import Metrics

Receive = Callable[[str, bytes, bool], None]
"""Called with topic, payload, and whether the broker had kept (retained) the message. It is acknowledged then."""

AskLease = Callable[[Loss], Awaitable[None]]
"""Called after the broker has ended a connection. It raises StepDown where another hub has taken over."""

_log = logging.getLogger(__name__)
_DISCONNECT: Final = 0xE0
_SESSION_TAKEN_OVER: Final = 0x8E
_VERSIONS: Final = {"auto": (MQTTv50, MQTTv311), "5": (MQTTv50,), "3.1.1": (MQTTv311,)}
_NO_RECONNECT: Final = -2  # gmqtt: -1 means for ever, and 0 still tries once
_BACKOFF_S: Final = 0.2
_STEADY_S: Final = 5.0
"""A connection that lasts shorter counts as an attempt that failed: two hubs of one name throw each other out."""
_RECEIVE_MAXIMUM: Final = 1000
_SILENT_KEEPALIVES: Final = 1.75
_LOOKS_A_KEEPALIVE: Final = 8
"""A broker that says nothing for so long is gone; looked at so often, it is noticed within two keepalives."""
_READ_BYTES: Final = 16_384
"""What is taken before others get their turn: a millisecond or so of messages."""
_UNSENT_BYTES_MAX: Final = 4 * 1024 * 1024
"""What may wait for a broker that does not read."""


class Link:
    """One connection to the broker, made again whenever it is lost.

    Args:
        name: `ingest`, `telemetry` or `command`: the name in logs and metrics.
        settings: where the broker is.
        username: the account; also the client id, so that a second hub takes over rather than doubles.
        password: its password, or None.
        filters: what to subscribe to, at QoS 1.
        receive: told of each message, which is acknowledged then; or how messages are taken that are acknowledged
            later. It must not block.
        connected: called after each successful subscription.
        will: topic and payload that the broker publishes, retained, when this link is lost.
        ask_lease: called after the broker has ended a connection, and before the next one is made.
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
        receive: Receive | Held,
        connected: Callable[[], None] = lambda: None,
        will: tuple[str, bytes] | None = None,
        ask_lease: AskLease | None = None,
    ) -> None:
        self.name = name
        self._settings = settings
        self._username = username
        self._password = password
        self._filters = filters
        self._receive = receive
        self._told = connected
        self._will = will
        self._ask_lease = ask_lease
        self._client: _Client | None = None
        self._lost = asyncio.Event()
        self._left = False
        self._up = False
        self._taking = True
        self._spoiled = False
        self._version: int | None = None
        self._gauge = metrics.mqtt_connected.labels(name)
        self._connects = metrics.mqtt_connects.labels(name)
        metrics.mqtt_unacknowledged.labels(name).set_function(lambda: self.owed)

    @property
    def connected(self) -> bool:
        """Whether the link is up and subscribed."""
        return self._up and self._client is not None and bool(self._client.is_connected)

    @property
    def owed(self) -> int:
        """How many messages the broker has sent and not had acknowledged; always 0 unless they are held."""
        return 0 if self._client is None else self._client.acknowledgements.owed

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Hand a message to the broker now, or raise LinkError: nothing is queued for later."""
        client = self._client
        if client is None or not self.connected:
            raise LinkError(f"the {self.name} link to the broker is down")
        if client.unsent_bytes > _UNSENT_BYTES_MAX:
            raise LinkError(f"the broker does not read what the {self.name} link sends")
        try:
            client.publish(topic, payload, qos=qos, retain=retain)
        except OverflowError:
            # The broker's Receive Maximum: so many publications are out and none is acknowledged.
            raise LinkError(f"the broker has not acknowledged what the {self.name} link sent before") from None

    def stop_taking(self) -> None:
        """Take no more messages; the link can still publish.

        Where messages are held, the subscription stays: what is not acknowledged waits in the session for the next
        hub.
        """
        self._taking = False
        if isinstance(self._receive, Held):
            return
        if self._client is not None and self.connected:
            for topic_filter in self._filters:
                self._client.unsubscribe(topic_filter)
        self._filters = ()

    def leave(self) -> None:
        """End the connection politely, and make no other one: the session is another hub's."""
        self._left = True
        self._lost.set()

    async def run(self) -> None:
        """Keep the link up until cancelled. Raises what `ask_lease` raises."""
        backoff_s = _BACKOFF_S
        attempt = 0
        while not self._left:
            lost = self._lost = asyncio.Event()
            versions = (self._version,) if self._version is not None else _VERSIONS[self._settings.version]
            version = versions[attempt % len(versions)]
            attempt += 1
            began_s = time.monotonic()
            steady = False
            try:
                closed = await self._connection(version, lost)
                steady = time.monotonic() - began_s > _STEADY_S
                if closed is not None:
                    await self._find_out(closed, Loss.LATER if steady else Loss.SOON)
            except LinkError as error:
                _log.warning("The %s link to the broker is not up", self.name, extra={"error": str(error)})
            backoff_s = _BACKOFF_S if steady else min(backoff_s * 2, self._settings.reconnect_s_max)
            await asyncio.sleep(random.uniform(0, backoff_s))  # noqa: S311 - jitter
        # Whoever runs the link ends it.
        await asyncio.Event().wait()

    async def _find_out(self, reason: int, loss: Loss) -> None:
        """Look whether another hub has taken over; a broker need not say so."""
        where = {"link": self.name, "client_id": self._username}
        if reason == _SESSION_TAKEN_OVER:
            loss = Loss.TAKEN_OVER
            _log.error("Another client has connected with this link's client id (0x8E)", extra=where)
        if self._ask_lease is not None:
            await self._ask_lease(loss)
        if loss is Loss.TAKEN_OVER:
            _log.error(
                "No other hub has the lease: a hub with another database or lease name, or a tool, uses this hub's "
                "account; give it an account and a client id of its own",
                extra=where,
            )

    async def _connection(self, version: int, lost: asyncio.Event) -> int | None:
        """Connect, and return once the connection is lost: the broker's reason if it has closed it, 0 for none.

        Raises LinkError where it could not be made.
        """
        client = self._new_client(version, lost)
        polite = False
        try:
            await self._connect(client, version)
            self._version = version
            self._spoiled = False
            self._client = client
            self._up = True
            self._gauge.set(1)
            self._connects.inc()
            _log.info(
                "The %s link to the broker is up",
                self.name,
                extra={
                    "broker": f"{self._settings.host}:{self._settings.port}",
                    "mqtt": "5" if version == MQTTv50 else "3.1.1",
                },
            )
            self._told()
            silent = await _until_lost(client, lost, self._settings.keepalive_s)
            if self._left:
                polite = True
                return None
            why = "the broker is silent" if silent else client.broken or "the broker has closed it"
            self._spoiled = client.broken is not None
            _log.warning("The %s link to the broker was lost", self.name, extra={"error": why})
        except asyncio.CancelledError:
            polite = True
            raise
        finally:
            self._up = False
            self._client = None
            self._gauge.set(0)
            await _close(client, polite=polite)
        return None if silent or self._spoiled else client.ended_by

    def _new_client(self, version: int, lost: asyncio.Event) -> "_Client":
        properties: dict[str, int] = {}
        held = self._receive if isinstance(self._receive, Held) else None
        if version == MQTTv50:
            properties = {"receive_maximum": _RECEIVE_MAXIMUM, "maximum_packet_size": PACKET_BYTES_MAX}
            if held is not None:
                properties |= {"receive_maximum": held.receive_max, "session_expiry_interval": held.session_s}
        client = _Client(
            self._username,
            # A session that broke the stream would do so again: what waits in it is given up.
            clean_session=held is None or self._spoiled,
            will_message=None if self._will is None else Message(*self._will, qos=1, retain=True),
            **properties,
        )
        client.take = self._take_held(held, client) if held is not None else self._take
        client.set_config({"reconnect_retries": _NO_RECONNECT, "reconnect_delay": 0})
        if self._password is not None:
            client.set_auth_credentials(self._username, self._password)
        client.on_disconnect = lambda *_: lost.set()
        return client

    async def _connect(self, client: "_Client", version: int) -> None:
        settings = self._settings
        subscribed = asyncio.Event()
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
                if self._filters:
                    client.subscribe([Subscription(topic_filter, qos=1) for topic_filter in self._filters])
                    await subscribed.wait()
        except TimeoutError:
            raise LinkError(f"{settings.host}:{settings.port} did not answer in time") from None
        except Exception as error:
            # gmqtt raises plain exceptions of its own for each refusal; whatever it is, there is no link.
            raise LinkError(f"{settings.host}:{settings.port}: {error}") from error

    def _take(self, packet: Publish) -> bool:
        """Hand a message over; it is acknowledged in any case."""
        assert not isinstance(self._receive, Held), "chosen by _new_client"  # noqa: S101
        try:
            self._receive(packet.topic, packet.payload, packet.retained)
        except Exception:  # noqa: BLE001 - see below
            # A mistake of ours, met by one message, must not end everyone's link. The message is not
            # receipted, so an event stays on its locker.
            _log.exception("A message could not be taken", extra={"topic": packet.topic})
        return True

    def _take_held(self, held: Held, client: "_Client") -> "_Take":
        def take(packet: Publish) -> bool:
            if not self._taking:
                return False
            topic, payload, mid, retained, repeated = packet
            acknowledgements = client.acknowledgements if mid else None
            delivery = Delivery(topic, payload, retained, repeated, mid, acknowledgements)
            try:
                held.deliver(delivery)
            except Exception:  # noqa: BLE001 - see _take
                # Not acknowledged, it would hold one of the broker's places for ever.
                _log.exception("A message could not be taken", extra={"topic": packet.topic})
                delivery.acknowledge()
            return False

        return take

    def _tls(self) -> ssl.SSLContext | bool:
        if self._settings.tls_ca_file is None:
            return False
        return ssl.create_default_context(cafile=self._settings.tls_ca_file)


_Take = Callable[[Publish], bool]
"""Takes a message and says whether to acknowledge it now."""


class _Client(Client):  # type: ignore[misc] # gmqtt is untyped
    """gmqtt, reading in bulk from the first byte on.

    It takes all messages of one read in one go and acknowledges them in one write. gmqtt itself spends more on a
    message than all of intake, makes a system call for each acknowledgement, and never lets others have a turn
    while there is something to read. It has no public place for this, hence its exact version.
    """

    take: _Take
    acknowledgements: Acknowledgements
    broken: str | None = None
    """What was wrong with the stream, if that is why it ended."""
    ended_by: int = 0
    """The reason code of the broker's DISCONNECT, which only MQTT 5 has; 0: none was given."""
    _is_over = False
    """The transport has let go of its socket. One that was closed with data unsent cannot be aborted after that."""

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - passed on as they are
        super().__init__(*args, **options)
        self.acknowledgements = Acknowledgements(self._write, asyncio.get_running_loop().call_soon)

    @property
    def unsent_bytes(self) -> int:
        """What waits because the broker does not read."""
        return int(self._connection._transport.get_write_buffer_size())  # noqa: SLF001 - see above

    @property
    def last_heard_s(self) -> float:
        """When something was last read, by time.monotonic()."""
        return float(self._connection._last_data_in)  # noqa: SLF001 - see above

    def abort(self) -> None:
        """End the connection without a word, and without waiting for what is not sent."""
        self.acknowledgements.close()
        if self._connection is not None and not self._is_over:
            self._connection._transport.abort()  # noqa: SLF001 - see above

    async def _create_connection(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - gmqtt's own
        connection = await super()._create_connection(*args, **options)
        protocol = connection._protocol  # noqa: SLF001 - see above
        properties = protocol.proto_ver == MQTTv50
        read_more, tell_lost = protocol.read, protocol.connection_lost

        def connection_lost(why: Exception | None) -> None:
            self._is_over = True
            tell_lost(why)

        def read_packets(data: bytes) -> int:
            """Return how many bytes were read; -1 makes gmqtt read no more."""
            try:
                packets, read = split(data, properties=properties)
            except BrokenStreamError as error:
                self.broken = str(error)
                packets, read = error.before, -1
            connection._last_data_in = time.monotonic()  # noqa: SLF001 - what gmqtt's keepalive looks at
            acknowledgements = []
            for packet in packets:
                if not isinstance(packet, Publish):
                    self._other(connection, packet)
                elif self.take(packet) and packet.mid:
                    acknowledgements.append(PUBACK + packet.mid)
            if acknowledgements:
                protocol.write_data(b"".join(acknowledgements))
            if read < 0:
                self.abort()
            return read

        async def read_a_little(_: int) -> bytes:
            # What is buffered already would be read without a pause, and commands would wait for all of it.
            await asyncio.sleep(0)
            return bytes(await read_more(_READ_BYTES))

        protocol.connection_lost = connection_lost
        protocol._read_packet = read_packets  # noqa: SLF001 - see above
        protocol.read = read_a_little
        return connection

    def _other(self, connection: Any, packet: Packet) -> None:  # noqa: ANN401 - gmqtt's own
        if packet.first == _DISCONNECT and packet.body:
            self.ended_by = packet.body[0]
        connection.put_package(Package(packet.first, packet.body))

    def _write(self, data: bytes) -> None:
        self._connection._protocol.write_data(data)  # noqa: SLF001 - see above


async def _until_lost(client: _Client, lost: asyncio.Event, keepalive_s: float) -> bool:
    """Return once the connection is lost; True if it is because the broker has fallen silent.

    gmqtt asks a silent broker for a sign of life, but gives it up late, and never where something is still to be
    sent.
    """
    while not lost.is_set():
        try:
            async with asyncio.timeout(keepalive_s / _LOOKS_A_KEEPALIVE):
                await lost.wait()
        except TimeoutError:
            if time.monotonic() - client.last_heard_s > _SILENT_KEEPALIVES * keepalive_s:
                return True
    return False


async def _close(client: _Client, *, polite: bool) -> None:
    if polite:
        # A broken connection cannot be closed politely, and need not be.
        with contextlib.suppress(Exception):
            async with asyncio.timeout(1):
                await client.disconnect()
    client.abort()
