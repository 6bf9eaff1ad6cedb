"""Both sides' ways to the broker, in place of their MQTT clients: the same promises, kept by the broker model."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from edge_agent import mqtt as edge_mqtt
from edge_agent.config import MqttSettings as EdgeMqtt
from hub.config.settings import MqttSettings as HubMqtt
from hub.errors import LinkError
from hub.metrics import Metrics
from hub.mqtt.acks import IncomingMessage
from hub.mqtt.connection import MqttConnection, Receive
from tests.pair.broker import Broker, Connection
from tests.pair.process import running

_CONNECT_S: Final = 0.005
_REFUSED_S: Final = 1.0
_BACKOFF_S: Final = 0.2


class HubLink(MqttConnection):
    """What `hub.mqtt.connection.Link` promises: publish or LinkError at once; connected again when it is lost."""

    def __init__(
        self,
        name: str,
        settings: HubMqtt,
        metrics: Metrics,
        *,
        username: str,
        password: str | None,
        filters: Sequence[str],
        receive: Receive,
        connected: Callable[[], None] = lambda: None,
        will: tuple[str, bytes] | None = None,
        **others: Any,  # noqa: ANN401 - whatever the real one takes besides
    ) -> None:
        del metrics, password, others
        self.name = name
        self.receive_max = 20
        self.trouble: str | None = None
        self._settings = settings
        self._username = username
        self._filters = filters
        self._receive = receive
        self._told = connected
        self._will = will
        self._process = running()
        self._broker = self._process.world.broker
        self._wire: Connection | None = None

    @property
    def connected(self) -> bool:
        return self._wire is not None and self._wire.up

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        del qos
        if self._wire is None or not self._wire.up:
            raise LinkError(f"the {self.name} link to the broker is down")
        self._broker.publish(self._wire, topic, payload, retain=retain, acked=None)

    def stop_taking(self) -> None:
        self._filters = ()
        if self._wire is not None:
            self._wire.filters = ()

    async def run(self) -> None:
        random = self._process.world.random
        while True:
            await asyncio.sleep(_CONNECT_S)
            if not self._broker.reachable(self._process):
                await asyncio.sleep(_REFUSED_S * random.random())
                continue
            lost = asyncio.Event()
            connection = self._wire = Connection(
                self._username, self._process, tuple(self._filters), self._taken, lambda _, told=lost: told.set(),  # type: ignore[misc]
                self._will, self._settings.keepalive_s,
            )  # fmt: skip
            self._broker.connect(connection)
            self._told()
            try:
                await lost.wait()
            finally:
                self._broker.disconnect(connection)
                self._wire = None
            await asyncio.sleep(_BACKOFF_S * random.random())

    def _taken(self, topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001
        try:
            if callable(self._receive):
                self._receive(topic, payload, retained)
            else:
                self._receive.deliver(IncomingMessage(topic, payload, retained=retained))
        except Exception as error:  # noqa: BLE001 - the real link goes on as well, and logs it
            self._process.world.breach("exception", f"{self._process.name} could not take {topic}: {error!r}")


class AgentLink(edge_mqtt.Connection):
    """What `edge_agent.mqtt.Connection` promises."""

    def __init__(self, broker: Broker, connection: Connection, messages_max: int) -> None:
        self._broker = broker
        self._wire = connection
        self._messages: deque[edge_mqtt.Incoming] = deque()
        self._messages_max = messages_max
        self._news = asyncio.Event()
        self._unacked: set[asyncio.Future[None]] = set()
        connection.deliver = self._deliver
        connection.lost = self._lost

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        if not self._wire.up:
            raise edge_mqtt.LinkDownError("the link is down")
        acked = asyncio.get_running_loop().create_future()
        self._unacked.add(acked)
        self._broker.publish(
            self._wire,
            topic,
            payload,
            retain=retain,
            acked=lambda: None if acked.done() else acked.set_result(None),
        )
        try:
            async with asyncio.timeout(edge_mqtt.CALL_TIMEOUT_S):
                await acked
        except TimeoutError:
            raise edge_mqtt.LinkDownError("no PUBACK came in time") from None
        finally:
            self._unacked.discard(acked)

    async def subscribe(self, *topics: str) -> None:
        self._wire.filters = topics
        self._broker.connect(self._wire)
        await asyncio.sleep(_CONNECT_S)
        if not self._wire.up:
            raise edge_mqtt.LinkDownError("the link is down")

    async def messages(self) -> AsyncIterator[edge_mqtt.Incoming]:
        while True:
            while self._messages:
                yield self._messages.popleft()
            if not self._wire.up:
                raise edge_mqtt.LinkDownError("the link is down")
            self._news.clear()
            await self._news.wait()

    def _deliver(self, topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001
        if len(self._messages) < self._messages_max:
            self._messages.append(edge_mqtt.Incoming(topic, payload, retained))
        self._news.set()

    def _lost(self, why: str) -> None:
        self._news.set()
        for acked in list(self._unacked):
            if not acked.done():
                acked.set_exception(edge_mqtt.LinkDownError(why))


@asynccontextmanager
async def connect(settings: EdgeMqtt, locker: str, will_topic: str, will: bytes) -> AsyncIterator[AgentLink]:
    """What `edge_agent.mqtt.connect` promises."""
    process = running()
    broker = process.world.broker
    await asyncio.sleep(_CONNECT_S)
    if not broker.reachable(process):
        await asyncio.sleep(_REFUSED_S * process.world.random.random())
        raise edge_mqtt.LinkDownError("the broker does not answer")
    connection = Connection(locker, process, (), _nobody, _deaf, (will_topic, will), settings.keepalive_s)
    link = AgentLink(broker, connection, settings.incoming_messages_max)
    try:
        yield link
    finally:
        broker.disconnect(connection)


def _nobody(topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001
    del topic, payload, retained


def _deaf(why: str) -> None:
    del why
