"""An MQTT broker in this process: amqtt, MQTT 3.1.1, on loopback, for everyone on this machine."""

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self

from hub.errors import EmbeddedError

try:
    from amqtt.broker import Broker
    from amqtt.errors import BrokerError
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"`hub demo` needs {error.name}, which comes with: pip install 'lockerhub[hub,embedded]'", name=error.name
    ) from error

HOST: Final = "127.0.0.1"
STOP_S_MAX: Final = 10.0
PACKET_BYTES_MAX: Final = 263_168
"""As in mosquitto.conf: a message of the protocol, and 1 KiB for what is around it."""


class EmbeddedBroker:
    """An MQTT broker inside this event loop, on 127.0.0.1, without accounts.

    Args:
        port: 0 takes a free one.
        connections_max: further connections wait until one of these ends.
        deliveries_max: messages on their way to subscribers; past it new ones are dropped and counted in
            `dropped`. The ledger's receipts bring lost events again.

    Entering raises EmbeddedError, as when the port is taken.
    """

    def __init__(self, port: int = 0, *, connections_max: int = 2_000, deliveries_max: int = 20_000) -> None:
        self.host = HOST
        self.port = port
        self._connections_max = connections_max
        self._deliveries_max = deliveries_max
        self._broker: _Broker | None = None

    @property
    def dropped(self) -> int:
        """How many messages were dropped at `deliveries_max`."""
        return 0 if self._broker is None else self._broker.dropped

    async def __aenter__(self) -> Self:
        # amqtt tells each packet's story, and a failed start with its traceback; the error below says it once.
        chatter = logging.getLogger("amqtt")
        chatter.setLevel(logging.CRITICAL)
        logging.getLogger("transitions").setLevel(logging.WARNING)
        broker = _Broker(
            {
                "listeners": {
                    "default": {
                        "type": "tcp",
                        "bind": f"{HOST}:{self.port}",
                        "max_connections": self._connections_max,
                    }
                },
                "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
            }
        )
        broker.deliveries_max = self._deliveries_max
        try:
            await broker.start()
        except BrokerError as error:
            raise EmbeddedError(f"The broker cannot listen on {HOST}:{self.port}: {error.__cause__}") from error
        chatter.setLevel(logging.WARNING)
        self._broker = broker
        self.port = broker.port
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._broker is not None:
            # From Python 3.12 on, closing a server waits for its clients, and a client may never hang up.
            with suppress(TimeoutError):
                await asyncio.wait_for(self._broker.shutdown(), STOP_S_MAX)


class _Broker(Broker):  # type: ignore[misc] # amqtt is untyped here
    """amqtt with what it lacks: a limit on what waits, no delay of small packets, safe subscribing at once."""

    deliveries_max: int
    dropped = 0

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        self._subscriptions = _SteadyDict()

    @property
    def port(self) -> int:
        port: int = self._servers["default"].instance.sockets[0].getsockname()[1]
        return port

    async def stream_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
    ) -> None:
        # asyncio does so itself, but no other loop promises it, and QoS 1 costs 88 ms without it.
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _bound_packets(reader, writer)
        try:
            # Whoever leaves while amqtt turns it away: not each system's word for that is a ConnectionError.
            with suppress(OSError):
                await super().stream_connected(reader, writer, listener_name)
        finally:
            # amqtt leaves the sockets open of those who did not speak MQTT.
            writer.close()

    async def _broadcast_message(self, *message: Any, **options: Any) -> None:  # noqa: ANN401 - passed on as it is
        if self._waiting() >= self.deliveries_max:
            _drop_finished(self._tasks_queue)
            if self._waiting() >= self.deliveries_max:
                self.dropped += 1
                return
        await super()._broadcast_message(*message, **options)

    def _waiting(self) -> int:
        return len(self._tasks_queue) + int(self._broadcast_queue.qsize())


class _SteadyDict(dict[str, Any]):
    """amqtt awaits while it goes through its subscriptions, and meanwhile others subscribe."""

    def __iter__(self) -> Iterator[str]:
        return iter(list(super().__iter__()))


def _bound_packets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Let a packet that is too long end its connection. amqtt reads each of its parts in one call, however long."""
    read_exactly = reader.readexactly

    async def read_no_more(n: int) -> bytes:
        if n > PACKET_BYTES_MAX:
            writer.transport.abort()
            raise asyncio.IncompleteReadError(b"", n)
        return await read_exactly(n)

    reader.readexactly = read_no_more  # type: ignore[method-assign] # of this one connection


def _drop_finished(tasks: "deque[asyncio.Task[Any]]") -> None:
    # amqtt only looks at the oldest: one slow subscriber would keep everyone's finished ones in the way.
    for _ in range(len(tasks)):
        task = tasks.popleft()
        if not task.done():
            tasks.append(task)
        elif not task.cancelled():
            task.exception()
