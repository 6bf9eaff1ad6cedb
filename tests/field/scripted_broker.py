"""A broker that keeps to a script, one step a connection: what it grants, refuses, sends, and how it ends."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from hub.config.settings import MqttSettings
from hub.metrics import Metrics
from hub.mqtt.acks import ManualAck
from hub.mqtt.connection import AskLease, MqttConnection, Receive
from hub.tasks import end

VERSION_5, VERSION_3 = 5, 4
_CONNECT, _PUBLISH, _SUBSCRIBE, _PINGREQ = 0x10, 0x30, 0x80, 0xC0


@dataclass
class Step:
    """One connection."""

    connack: int | None = 0
    """The code of the answer; None: hang up without one."""
    session_present: bool = False
    properties: bytes = b""
    """Of CONNACK, on MQTT 5."""
    suback: tuple[int, ...] = (1, 1)
    says: bytes = b""
    """Written once the subscription is answered; then it hangs up, if it `ends`."""
    ends: bool = False
    puback: int | None = 0
    """The code for each message; None: it acknowledges nothing."""


@dataclass
class ScriptedBroker:
    """After the last step every connection gets that step again."""

    steps: list[Step]
    versions: list[int] = field(default_factory=list)
    published: list[bytes] = field(default_factory=list)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        step = self.steps[min(len(self.versions), len(self.steps) - 1)]
        try:
            await self._converse(step, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _converse(self, step: Step, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            first, body = await _packet(reader)
            kind = first & 0xF0
            if kind == _CONNECT:
                self.versions.append(body[6])
                if step.connack is None:
                    return
                granted = bytes((len(step.properties),)) + step.properties if self._is_5 else b""
                writer.write(_of(0x20, bytes((step.session_present, step.connack)) + granted))
                if step.connack:
                    return
            elif kind == _SUBSCRIBE:
                writer.write(_of(0x90, body[:2] + (b"\0" if self._is_5 else b"") + bytes(step.suback)))
                writer.write(step.says)
                if step.ends:
                    return
            elif kind == _PUBLISH:
                self.published.append(body)
                if step.puback is not None and first & 0x06:
                    at = 2 + int.from_bytes(body[:2], "big")
                    writer.write(_of(0x40, body[at : at + 2] + (bytes((step.puback,)) if step.puback else b"")))
            elif kind == _PINGREQ:
                writer.write(b"\xd0\x00")

    @property
    def _is_5(self) -> bool:
        return self.versions[-1] == VERSION_5


def _of(first: int, body: bytes) -> bytes:
    return bytes((first, len(body))) + body


async def _packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    (first,) = await reader.readexactly(1)
    length = shift = 0
    while True:
        (byte,) = await reader.readexactly(1)
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return first, await reader.readexactly(length)


@asynccontextmanager
async def linked(
    steps: Iterable[Step],
    *,
    receive: Receive | ManualAck = lambda *_: None,
    will: tuple[str, bytes] | None = None,
    ask_lease: AskLease | None = None,
    metrics: Metrics | None = None,
) -> AsyncIterator[tuple[ScriptedBroker, MqttConnection]]:
    """Run a link with two filters to a scripted broker."""
    broker = ScriptedBroker(list(steps))
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    broker.port = server.sockets[0].getsockname()[1]
    link = MqttConnection(
        "ingest",
        MqttSettings(host="127.0.0.1", port=broker.port, connect_timeout_s=2, reconnect_s_max=0.05),
        metrics or Metrics("0"),
        username="hub-ingest",
        password=None,
        filters=["a/+", "b/+"],
        receive=receive,
        will=will,
        ask_lease=ask_lease,
    )
    task = asyncio.create_task(link.run(), name="link")
    try:
        yield broker, link
    finally:
        await end([task])
        server.close()
        await server.wait_closed()
