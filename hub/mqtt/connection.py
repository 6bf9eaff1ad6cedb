"""A link to the broker: one connection after the other, each a new client (hub.mqtt.client).

Each has a clean session unless the link is one that acknowledges late (`ManualAck`), and a supervised task makes
the next one, with full jitter.
"""

import asyncio
import logging
import random
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from hub.config.settings import MqttSettings
from hub.core.broker_terms import RECEIVE_MAXIMUM_SAFE, VERSION_TOPIC, reason, refused_filters, unfit
from hub.core.lease import Loss
from hub.core.mqtt_version import CLIMB_S, VersionChoice
from hub.core.packets import Publish
from hub.errors import LinkError
from hub.metrics import Metrics
from hub.mqtt.acks import IncomingMessage, ManualAck
from hub.mqtt.client import MQTT_3, MQTT_5, BrokerClient, NoAnswerError, Take, VersionRefusedError, receiving

Receive = Callable[[str, bytes, bool], None]
"""Called with topic, payload, and whether the broker had kept (retained) the message. It is acknowledged then."""

AskLease = Callable[[Loss], Awaitable[None]]
"""Called after the broker has ended a connection. It raises StepDown where another hub has taken over."""

_log = logging.getLogger(__name__)
_SESSION_TAKEN_OVER: Final = 0x8E
_VERSIONS: Final = {"5": MQTT_5, "3.1.1": MQTT_3}
_BACKOFF_S: Final = 0.2
_STEADY_S: Final = 5.0
"""A connection that lasts shorter counts as an attempt that failed: two hubs of one name throw each other out."""
_RECEIVE_MAXIMUM: Final = 1000
_SILENT_KEEPALIVES: Final = 1.75
_LOOKS_A_KEEPALIVE: Final = 8
"""A broker that says nothing for so long is gone; looked at so often, it is noticed within two keepalives."""
_UNSENT_BYTES_MAX: Final = 4 * 1024 * 1024
"""What may wait for a broker that does not read."""


class MqttConnection:
    """One connection to the broker, made again whenever it is lost.

    Args:
        name: `ingest`, `telemetry` or `command`: the name in logs and metrics.
        settings: where the broker is.
        username: the account; also the client id, so that a second hub takes over rather than doubles.
        password: its password, or None.
        filters: what to subscribe to, at QoS 1; a link whose broker grants less is not up.
        receive: told of each message, which is acknowledged then; or how messages are taken that are acknowledged
            later. It must not block.
        connected: called after each successful subscription.
        will: topic and payload that the broker publishes, retained, when this link is lost.
        ask_lease: called after the broker has ended a connection, and before the next one is made.
    """

    def __init__(
        self,
        name: str,
        settings: MqttSettings,
        metrics: Metrics,
        *,
        username: str,
        password: str | None,
        filters: Sequence[str],
        receive: Receive | ManualAck,
        connected: Callable[[], None] = lambda: None,
        will: tuple[str, bytes] | None = None,
        ask_lease: AskLease | None = None,
    ) -> None:
        self.name = name
        self.receive_max = RECEIVE_MAXIMUM_SAFE
        """Messages that the broker may have under way to us on the next connection, on MQTT 5."""
        self.version_found: Callable[[str], None] | None = None
        """Called with what the broker says of its version, on each connection, if it says it."""
        self.trouble: str | None = None
        """Why the link is not up, as far as it is known."""
        self._settings = settings
        self._username = username
        self._password = password
        self._filters = filters
        self._receive = receive
        self._told = connected
        self._will = will
        self._ask_lease = ask_lease
        self._client: BrokerClient | None = None
        self._lost = asyncio.Event()
        self._left = False
        self._again = False
        self._up = False
        self._taking = True
        self._spoiled = False
        self._had_session = False
        self._choice = VersionChoice(settings.version)
        self._gauge = metrics.mqtt_connected.labels(name)
        self._connects = metrics.mqtt_connects.labels(name)
        self._refused = metrics.mqtt_refused
        metrics.mqtt_unacknowledged.labels(name).set_function(lambda: self.owed)

    @property
    def connected(self) -> bool:
        """Whether the link is up and subscribed."""
        return self._up and self._client is not None and bool(self._client.is_connected)

    @property
    def receive_max_wanted(self) -> int:
        """How many messages the broker may have under way to us if it counts correctly."""
        return self._receive.receive_max if isinstance(self._receive, ManualAck) else _RECEIVE_MAXIMUM

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
            client.send(topic, payload, qos=qos, retain=retain)
        except OverflowError:
            # The broker's Receive Maximum: so many publications are out and none is acknowledged.
            raise LinkError(f"the broker has not acknowledged what the {self.name} link sent before") from None

    def stop_taking(self) -> None:
        """Take no more messages; the link can still publish.

        Where messages are held, the subscription stays: what is not acknowledged waits in the session for the next
        hub.
        """
        self._taking = False
        if isinstance(self._receive, ManualAck):
            return
        if self._client is not None and self.connected:
            for topic_filter in self._filters:
                self._client.unsubscribe(topic_filter)
        self._filters = ()

    def leave(self) -> None:
        """End the connection politely, and make no other one: the session is another hub's."""
        self._left = True
        self._lost.set()

    def renew(self) -> None:
        """End the connection politely, and make the next one at once, with what it has to ask for now."""
        self._again = True
        self._lost.set()

    async def run(self) -> None:
        """Keep the link up until cancelled. Raises what `ask_lease` raises."""
        backoff_s = _BACKOFF_S
        while not self._left:
            lost = self._lost = asyncio.Event()
            self._again = False
            began_s = time.monotonic()
            steady = False
            try:
                closed = await self._connection(self._choice.next, lost)
                self._choice.ended()
                steady = time.monotonic() - began_s > _STEADY_S
                if closed is not None:
                    await self._find_out(closed, Loss.LATER if steady else Loss.SOON)
            except LinkError as error:
                self._note_failure(error)
            backoff_s = _BACKOFF_S if steady else min(backoff_s * 2, self._settings.reconnect_s_max)
            if not self._again:
                await asyncio.sleep(random.uniform(0, backoff_s))  # noqa: S311 - jitter
        # Whoever runs the link ends it.
        await asyncio.Event().wait()

    def _note_failure(self, error: LinkError) -> None:
        if isinstance(error, VersionRefusedError):
            self._choice.refused(explicitly=True)
        elif isinstance(error, NoAnswerError):
            self._choice.refused(explicitly=False)
        else:
            self._choice.ended()
        self.trouble = str(error)
        _log.warning("The %s link to the broker is not up", self.name, extra={"error": self.trouble})

    async def _find_out(self, code: int, loss: Loss) -> None:
        """Look whether another hub has taken over; a broker need not say so."""
        where = {"link": self.name, "client_id": self._username}
        if code == _SESSION_TAKEN_OVER:
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

    async def _connection(self, version: str, lost: asyncio.Event) -> int | None:
        """Connect, and return once the connection is lost: the broker's reason if it has closed it, 0 for none.

        Raises LinkError where it could not be made.
        """
        client = self._new_client(version, lost)
        polite = False
        try:
            await self._connect(client)
            self._came_up(client, version)
            silent = await self._until_lost(client, lost)
            if self._left or self._again:
                polite = True
                return None
            self._spoiled = client.broken is not None
            self.trouble = "the broker is silent" if silent else client.broken or _closed(client.ended_by)
            _log.warning("The %s link to the broker was lost", self.name, extra={"error": self.trouble})
        except asyncio.CancelledError:
            polite = True
            raise
        finally:
            self._up = False
            self._client = None
            self._gauge.set(0)
            await client.close(polite=polite)
        return None if silent or self._spoiled else client.ended_by

    def _new_client(self, version: str, lost: asyncio.Event) -> BrokerClient:
        properties = receiving(min(self.receive_max, self.receive_max_wanted))
        held = self._receive if isinstance(self._receive, ManualAck) else None
        if held is not None:
            properties["session_expiry_interval"] = held.session_s
        client = BrokerClient(
            self._username,
            self._password,
            _VERSIONS[version],
            # A session that broke the stream would do so again: what waits in it is given up.
            clean=held is None or self._spoiled,
            will=self._will,
            **properties,
        )
        client.take = self._take_held(held, client) if held is not None else self._take
        client.on_disconnect = lambda *_: lost.set()
        client.publish_refused = self._publish_refused
        return client

    async def _connect(self, client: BrokerClient) -> None:
        settings = self._settings
        where = f"{settings.host}:{settings.port}"
        filters = list(self._filters)
        clean = not isinstance(self._receive, ManualAck) or self._spoiled
        try:
            async with asyncio.timeout(settings.connect_timeout_s):
                await client.open(settings, self._tls())
                wrong = unfit(client.terms, filters, clean=clean, retains=self._will is not None)
                if wrong is None and filters:
                    asked = filters if self.version_found is None else [*filters, VERSION_TOPIC]
                    codes = await client.ask(asked)
                    # A broker that does not show its version serves all the same.
                    wrong = refused_filters(filters, codes[: len(filters)])
        except TimeoutError:
            raise NoAnswerError(f"{where} did not answer in time") from None
        except LinkError as error:
            raise type(error)(f"{where}: {error}") from None
        except Exception as error:
            # gmqtt raises plain exceptions of its own for each refusal; whatever it is, there is no link.
            raise LinkError(f"{where}: {error}") from error
        if wrong is not None:
            raise LinkError(f"{where}: {wrong}")

    def _came_up(self, client: BrokerClient, version: str) -> None:
        self._choice.up()
        self._client = client
        self._up = True
        self.trouble = None
        self._gauge.set(1)
        self._connects.inc()
        terms, settings = client.terms, self._settings
        _log.info(
            "The %s link to the broker is up",
            self.name,
            extra={"broker": f"{settings.host}:{settings.port}", "mqtt": version, "terms": str(terms)},
        )
        if isinstance(self._receive, ManualAck):
            if self._had_session and not terms.session_present and not self._spoiled:
                _log.error("The broker has not kept the %s link's session: what waited in it is gone", self.name)
            if terms.session_s is not None and terms.session_s < self._receive.session_s:
                _log.warning(
                    "The broker keeps the %s link's session for a shorter time than it was asked to",
                    self.name,
                    extra={"asked_s": self._receive.session_s, "granted_s": terms.session_s},
                )
            self._had_session = True
        self._spoiled = False
        if terms.client_id is not None and terms.client_id != self._username:
            _log.warning(
                "The broker gave the %s link another client id: a second hub will not be noticed by it",
                self.name,
                extra={"client_id": terms.client_id},
            )
        self._told()

    async def _until_lost(self, client: BrokerClient, lost: asyncio.Event) -> bool:
        """Return once the connection is lost or to be renewed; True if it is because the broker has fallen silent.

        gmqtt asks a silent broker for a sign of life, but gives it up late, and never where something is still to
        be sent.
        """
        keepalive_s = client.terms.keepalive_s
        began_s = time.monotonic()
        while not lost.is_set():
            try:
                async with asyncio.timeout(keepalive_s / _LOOKS_A_KEEPALIVE):
                    await lost.wait()
            except TimeoutError:
                if time.monotonic() - client.last_heard_s > _SILENT_KEEPALIVES * keepalive_s:
                    return True
                if self._choice.climbs and time.monotonic() - began_s > CLIMB_S:
                    self.renew()
        return False

    def _publish_refused(self, code: int) -> None:
        self._refused.labels(self.name, f"0x{code:02X}").inc()
        _log.warning("The broker did not take a message of the %s link: %s", self.name, reason(code))

    def _take(self, packet: Publish) -> bool:
        """Hand a message over; it is acknowledged in any case."""
        assert not isinstance(self._receive, ManualAck), "chosen by _new_client"  # noqa: S101
        try:
            self._receive(packet.topic, packet.payload, packet.retained)
        except Exception:  # noqa: BLE001 - see below
            # A mistake of ours, met by one message, must not end everyone's link. The message is not
            # receipted, so an event stays on its locker.
            _log.exception("A message could not be taken", extra={"topic": packet.topic})
        return True

    def _take_held(self, held: ManualAck, client: BrokerClient) -> Take:
        def take(packet: Publish) -> bool:
            if not self._taking:
                return False
            topic, payload, mid, retained, repeated = packet
            if topic == VERSION_TOPIC:
                if self.version_found is not None:
                    self.version_found(payload.decode(errors="replace"))
                return True
            acknowledgements = client.acknowledgements if mid else None
            delivery = IncomingMessage(topic, payload, retained, repeated, mid, acknowledgements)
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


def _closed(code: int) -> str:
    return f"the broker has closed it: {reason(code)}" if code else "the broker has closed it"
