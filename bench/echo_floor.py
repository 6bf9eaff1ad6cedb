"""The floor under a command: the same way through the broker by raw sockets, with nothing at either end."""

import socket
import time
from typing import Final

from bench.mqtt_packets import (
    CONNACK,
    PUBLISH,
    SUBACK,
    Packet,
    Parser,
    connect,
    puback,
    publish,
    read_connack,
    read_publish,
    read_suback,
    subscribe,
)
from bench.processes import HOST, BenchError
from wire.topics import Channel, subscription, topic_of

_WARM_UP: Final = 100
_READ_BYTES: Final = 65_536
_COMMAND_BYTES: Final = 400
_REPLY_BYTES: Final = 300


def echo_ms(port: int, *, hub: tuple[str, str], locker: tuple[str, str], rounds: int) -> list[float]:
    """Return milliseconds of round trips hub → broker → locker → broker → hub, at QoS 1.

    Args:
        port: the broker's.
        hub: name and password of an account that may command. Its real owner must not be connected.
        locker: name and password of the locker.
        rounds: how many, after a warm-up.
    """
    name = locker[0]
    commands, replies = topic_of(name, Channel.COMMANDS), topic_of(name, Channel.REPLIES)
    asking = _Peer(port, *hub, subscription(Channel.REPLIES))
    answering = _Peer(port, *locker, commands)
    taken = []
    for _ in range(_WARM_UP + rounds):
        began = time.perf_counter()
        asking.publish(commands, bytes(_COMMAND_BYTES))
        answering.wait()
        answering.publish(replies, bytes(_REPLY_BYTES))
        asking.wait()
        taken.append((time.perf_counter() - began) * 1000)
        # Acknowledgements are none of the way, but are owed before the next round.
        asking.acknowledge()
        answering.acknowledge()
    asking.close()
    answering.close()
    return taken[_WARM_UP:]


class _Peer:
    def __init__(self, port: int, name: str, password: str, topic_filter: str) -> None:
        self._socket = socket.create_connection((HOST, port), timeout=10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._parser = Parser()
        self._packets: list[Packet] = []
        self._owed = b""
        self._socket.sendall(
            connect(name, username=name, password=password, keepalive_s=60) + subscribe(1, topic_filter)
        )
        if read_connack(self._next(CONNACK)) != 0:
            raise BenchError(f"the broker does not let {name} in")
        read_suback(self._next(SUBACK))

    def publish(self, topic: str, payload: bytes) -> None:
        self._socket.sendall(publish(topic, payload, 1))

    def wait(self) -> None:
        self._owed += puback(read_publish(self._next(PUBLISH)).packet_id)

    def acknowledge(self) -> None:
        self._socket.sendall(self._owed)
        self._owed = b""

    def close(self) -> None:
        self._socket.close()

    def _next(self, kind: int) -> Packet:
        """Return the next packet of one type; others are passed over."""
        while True:
            while self._packets:
                packet = self._packets.pop(0)
                if packet.kind == kind:
                    return packet
            data = self._socket.recv(_READ_BYTES)
            if not data:
                raise BenchError("the broker closed a connection of the echo")
            self._packets = self._parser.feed(data)
