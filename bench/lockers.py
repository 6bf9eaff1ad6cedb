"""Many lockers' connections by one thread: prepared packets out, acknowledgements and receipts in."""

import select
import socket
import time
from collections.abc import Callable
from typing import Final
from uuid import uuid4

from bench.messages import presence
from bench.mqtt_packets import (
    DISCONNECT,
    PUBACK,
    PUBLISH,
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
from wire.messages import Receipt, decode_receipt
from wire.topics import Channel, topic_of

_KEEPALIVE_S: Final = 600
_READ_BYTES: Final = 262_144
_PACKET_ID_MAX: Final = 65_535
_HELLO_PACKETS: Final = 3
_HELLO_S_MAX: Final = 10.0


class LockerConnection:
    """One locker's connection: connected, listening for receipts, and shown online."""

    def __init__(self, name: str, port: int, password: str) -> None:
        self.name = name
        self.boot = uuid4()
        self.unacknowledged = 0
        """PUBLISH packets sent whose PUBACK has not come."""
        self.socket = socket.create_connection((HOST, port), timeout=_HELLO_S_MAX)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._parser = Parser()
        self._out = bytearray()
        self._packet_id = 0
        self._say_hello(password)
        self.socket.setblocking(False)  # noqa: FBT003 - the library's signature

    @property
    def keeps(self) -> bool:
        """Whether something waits until the socket takes it."""
        return bool(self._out)

    def next_packet_id(self) -> int:
        """Return an identifier that is not in use, as long as fewer than 65,535 are."""
        self._packet_id = self._packet_id % _PACKET_ID_MAX + 1
        return self._packet_id

    def send(self, data: bytes) -> None:
        """Send, or keep what the socket does not take."""
        if self._out:
            self._out += data
            return
        try:
            sent = self.socket.send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self._out += data[sent:]

    def send_kept(self) -> None:
        """Send what was kept."""
        kept, self._out = bytes(self._out), bytearray()
        if kept:
            self.send(kept)

    def receive(self) -> list[Receipt]:
        """Read what has come: counts acknowledgements, acknowledges receipts and returns them."""
        try:
            data = self.socket.recv(_READ_BYTES)
        except BlockingIOError:
            return []
        if not data:
            raise BenchError(f"the broker closed the connection of {self.name}")
        receipts = []
        answers = b""
        for packet in self._parser.feed(data):
            if packet.kind == PUBACK:
                self.unacknowledged -= 1
            elif packet.kind == PUBLISH:
                message = read_publish(packet)
                if message.packet_id:
                    answers += puback(message.packet_id)
                receipts.append(decode_receipt(message.payload))
        if answers:
            self.send(answers)
        return receipts

    def close(self) -> None:
        """Say goodbye."""
        self.send(DISCONNECT)
        self.socket.close()

    def _say_hello(self, password: str) -> None:
        online = presence(boot=self.boot, t=1, at_ms=time.time_ns() // 1_000_000)
        self.socket.sendall(
            connect(self.name, username=self.name, password=password, keepalive_s=_KEEPALIVE_S)
            + subscribe(self.next_packet_id(), topic_of(self.name, Channel.RECEIPTS))
            + publish(topic_of(self.name, Channel.PRESENCE), online, self.next_packet_id())
        )
        packets: list[Packet] = []
        while len(packets) < _HELLO_PACKETS:
            data = self.socket.recv(_READ_BYTES)
            if not data:
                break
            packets += self._parser.feed(data)
        if not packets or read_connack(packets[0]) != 0:
            raise BenchError(f"the broker does not let {self.name} in: {packets}")
        read_suback(packets[1])


class Fleet:
    """All connections, and the loop over them.

    Args:
        names: the lockers.
        port: the broker's.
        password: of every locker's account.
    """

    def __init__(self, names: list[str], port: int, password: str) -> None:
        self.lockers = [LockerConnection(name, port, password) for name in names]
        self._poll = select.epoll()
        self._of_file = {locker.socket.fileno(): locker for locker in self.lockers}
        for file in self._of_file:
            self._poll.register(file, select.EPOLLIN)

    def close(self) -> None:
        """Close all connections."""
        self._poll.close()
        for locker in self.lockers:
            locker.close()

    def send(self, locker: LockerConnection, data: bytes) -> None:
        """Send now, or when the socket takes it."""
        locker.send(data)
        if locker.keeps:
            self._poll.modify(locker.socket.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def turn(self, told: Callable[[LockerConnection, list[Receipt]], None], timeout_s: float) -> None:
        """Go once round the sockets; `told` is called for each that something was read from."""
        for file, events in self._poll.poll(timeout_s):
            locker = self._of_file[file]
            if events & select.EPOLLOUT:
                locker.send_kept()
                if not locker.keeps:
                    self._poll.modify(file, select.EPOLLIN)
            if events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
                told(locker, locker.receive())
                if locker.keeps:
                    self._poll.modify(file, select.EPOLLIN | select.EPOLLOUT)
