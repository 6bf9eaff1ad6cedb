"""One connection to the broker, and what it said. The only module that imports the MQTT client (gmqtt).

gmqtt reconnects by itself, but forgets its subscriptions, keeps a session of its own choosing and sends stored
messages again, commands among them. So each client here makes one connection.
"""

import asyncio
import contextlib
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from gmqtt import Client, Message, Subscription
from gmqtt.mqtt.constants import MQTTv50, MQTTv311
from gmqtt.mqtt.package import Package

from hub.config.settings import MqttSettings
from hub.core.broker_terms import BrokerTerms, reason, terms_of
from hub.core.packets import PACKET_BYTES_MAX, BrokenStreamError, Packet, Publish, split
from hub.errors import LinkError
from hub.mqtt.acks import PUBACK, AckTracker

Take = Callable[[Publish], bool]
"""Takes a message and says whether to acknowledge it now."""
MQTT_5: Final[int] = MQTTv50
MQTT_3: Final[int] = MQTTv311

_FAILURE: Final = 0x80
_VERSION_REFUSED: Final = frozenset({0x01, 0x84})
"""As MQTT 3.1.1 says it, and as MQTT 5 does."""
_NO_RECONNECT: Final = -2  # gmqtt: -1 means for ever, and 0 still tries once
_READ_BYTES: Final = 16_384
"""What is taken before others get their turn: a millisecond or so of messages."""
_HEADER_BYTES: Final = 12
"""The most that a PUBLISH without properties has beside its topic and payload."""


class VersionRefusedError(LinkError):
    """The broker does not speak this version of MQTT."""


class NoAnswerError(LinkError):
    """The broker hung up, or said nothing; it may not know what this version of MQTT is."""


class BrokerClient(Client):  # type: ignore[misc] # gmqtt is untyped
    """One connection.

    It takes all messages of one read in one go and acknowledges them in one write. gmqtt itself spends more on a
    message than all of intake, makes a system call for each acknowledgement, and never lets others have a turn
    while there is something to read. It has no public place for this, hence its exact version.
    """

    take: Take
    acknowledgements: AckTracker
    terms: BrokerTerms = BrokerTerms()
    broken: str | None = None
    """What was wrong with the stream, if that is why it ended."""
    ended_by: int = 0
    """The reason code of the broker's DISCONNECT, which only MQTT 5 has; 0: none was given."""
    publish_refused: Callable[[int], None] = staticmethod(lambda _: None)
    """Called with the reason code of a PUBACK that says that the broker has not taken a message."""
    _connack: tuple[bool, int] | None = None
    _is_over = False
    """The transport has let go of its socket. One that was closed with data unsent cannot be aborted after that."""

    def __init__(
        self,
        client_id: str,
        password: str | None,
        version: int,
        *,
        clean: bool,
        will: tuple[str, bytes] | None,
        **properties: int,
    ) -> None:
        super().__init__(
            client_id,
            clean_session=clean,
            will_message=None if will is None else Message(*will, qos=1, retain=True),
            **properties if version == MQTT_5 else {},
        )
        self._version = version
        self._answered = asyncio.Event()
        self.acknowledgements = AckTracker(self._write, asyncio.get_running_loop().call_soon)
        self.set_config({"reconnect_retries": _NO_RECONNECT, "reconnect_delay": 0})
        if password is not None:
            self.set_auth_credentials(client_id, password)

    @property
    def unsent_bytes(self) -> int:
        """What waits because the broker does not read."""
        return int(self._connection._transport.get_write_buffer_size())  # noqa: SLF001 - see above

    @property
    def last_heard_s(self) -> float:
        """When something was last read, by time.monotonic()."""
        return float(self._connection._last_data_in)  # noqa: SLF001 - see above

    async def open(self, settings: MqttSettings, tls: ssl.SSLContext | bool) -> None:  # noqa: FBT001 - as gmqtt has it
        """Connect, and know the broker's terms. Raises LinkError."""
        connecting = asyncio.ensure_future(
            self.connect(
                settings.host, settings.port, ssl=tls, keepalive=settings.keepalive_s, version=self._version
            )
        )
        answered = asyncio.ensure_future(self._answered.wait())
        try:
            # gmqtt itself waits on after a refusal of the version, and after a connection that was closed.
            await asyncio.wait({connecting, answered}, return_when=asyncio.FIRST_COMPLETED)
            if self._connack is None:
                if connecting.done():
                    connecting.result()
            elif not self._connack[1]:
                await connecting
        finally:
            answered.cancel()
            connecting.cancel()
            await asyncio.gather(connecting, answered, return_exceptions=True)
        if self._connack is None:
            raise NoAnswerError("the broker hung up without an answer")
        present, code = self._connack
        if code in _VERSION_REFUSED:
            raise VersionRefusedError(f"the broker does not speak this version of MQTT (0x{code:02X})")
        if code:
            raise LinkError(f"the broker refuses the connection: {reason(code)}")
        granted = self._package_handler._connack_properties  # noqa: SLF001 - see above
        self.terms = terms_of(granted, session_present=present, keepalive_s=settings.keepalive_s)
        self._connection.keepalive = self.terms.keepalive_s
        # gmqtt lets one less be under way than it was granted, and more than one where it was granted one.
        self._package_handler.id_generator._max = self.terms.receive_max + 1  # noqa: SLF001 - see above

    async def ask(self, filters: Sequence[str]) -> tuple[int, ...]:
        """Subscribe at QoS 1, and return the broker's codes."""
        answer: asyncio.Future[tuple[int, ...]] = asyncio.get_running_loop().create_future()

        def subscribed(_: object, __: int, codes: tuple[int, ...], *___: object) -> None:
            if not answer.done():
                answer.set_result(codes)

        self.on_subscribe = subscribed
        self.subscribe([Subscription(one, qos=1) for one in filters])
        return await answer

    def send(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        """Publish now. Raises LinkError where the broker does not take it."""
        limit = self.terms.packet_bytes_max
        if limit is not None:
            size = len(topic.encode()) + len(payload) + _HEADER_BYTES
            if size > limit:
                raise LinkError(f"a message of {size} bytes to {topic} is larger than the broker takes, {limit}")
        self.publish(topic, payload, qos=qos, retain=retain)

    def abort(self) -> None:
        """End the connection without a word, and without waiting for what is not sent."""
        self.acknowledgements.close()
        if self._connection is not None and not self._is_over:
            self._connection._transport.abort()  # noqa: SLF001 - see above

    async def close(self, *, polite: bool) -> None:
        """End the connection, with a DISCONNECT where it is to be polite."""
        if polite:
            # A broken connection cannot be closed politely, and need not be.
            with contextlib.suppress(Exception):
                async with asyncio.timeout(1):
                    await self.disconnect()
        self.abort()

    async def _create_connection(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - gmqtt's own
        connection = await super()._create_connection(*args, **options)
        protocol = connection._protocol  # noqa: SLF001 - see above
        properties = protocol.proto_ver == MQTT_5
        read_more, tell_lost = protocol.read, protocol.connection_lost

        def connection_lost(why: Exception | None) -> None:
            self._is_over = True
            self._answered.set()
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
                    self._note(packet)
                    connection.put_package(Package(packet.first, packet.body))
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

    def _note(self, packet: Packet) -> None:
        """Keep what gmqtt passes over: refusals, and reasons."""
        match packet.first:
            case 0x40 if len(packet.body) > 2 and packet.body[2] >= _FAILURE:  # noqa: PLR2004 - behind the identifier
                self.publish_refused(packet.body[2])
            case 0x20 if len(packet.body) > 1 and self._connack is None:
                self._connack = (bool(packet.body[0] & 1), packet.body[1])
                self._answered.set()
            case 0xE0 if packet.body:
                self.ended_by = packet.body[0]

    def _write(self, data: bytes) -> None:
        self._connection._protocol.write_data(data)  # noqa: SLF001 - see above


def receiving(maximum: int) -> dict[str, int]:
    """Return the properties of a connection that takes so many messages before it has acknowledged one."""
    return {"receive_maximum": maximum, "maximum_packet_size": PACKET_BYTES_MAX}
