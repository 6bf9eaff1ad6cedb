"""Everything that a hub publishes, read off its own connections: no word of the hub is needed, and no broker."""

import time
from collections import deque
from typing import Final, NamedTuple
from uuid import UUID

from bench.mqtt_packets import PUBLISH, Packet
from faults.history import Command
from wire.errors import WireError
from wire.messages import CommandKind, decode_command, decode_receipt
from wire.topics import Channel, parse

CAPTURED_MAX: Final = 50_000
_CONNECT: Final = 1
_LEVEL_OF_MQTT_5: Final = 5


class Published(NamedTuple):
    """One PUBLISH: when it passed (CLOCK_BOOTTIME, ms), to where, and what."""

    t: int
    topic: str
    payload: bytes


class Tap:
    """Watches one proxy. Keeps every opening, and the newest `CAPTURED_MAX` messages of each direction."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.captured: dict[str, deque[Published]] = {
            "up": deque(maxlen=CAPTURED_MAX),
            "down": deque(maxlen=CAPTURED_MAX),
        }
        self.receipts: dict[tuple[str, UUID], int] = {}
        """The last number that a locker was told is committed, by locker and epoch."""
        self._five = False

    def watch(self, direction: str, packet: Packet) -> None:
        """Take one packet; see `proxy.Watch`."""
        if packet.kind == _CONNECT:
            # Protocol name of four letters with its length, then the level (MQTT 3.1.1 and 5, 3.1.2).
            self._five = packet.body[6] == _LEVEL_OF_MQTT_5
        elif packet.kind == PUBLISH:
            published = read(packet, five=self._five)
            self.captured[direction].append(published)
            if direction == "up" and published.topic.endswith(f"/{Channel.COMMANDS.value}"):
                self._command(published)
            elif direction == "up" and published.topic.endswith(f"/{Channel.RECEIPTS.value}"):
                self._receipt(published)

    def _receipt(self, published: Published) -> None:
        try:
            receipt = decode_receipt(published.payload)
            key = parse(published.topic)[0], receipt.epoch
        except WireError:
            return
        self.receipts[key] = max(self.receipts.get(key, 0), receipt.upto or 0)

    def _command(self, published: Published) -> None:
        try:
            command = decode_command(published.payload)
            locker, _ = parse(published.topic)
        except WireError:
            return
        if command.kind == CommandKind.OPEN and command.door is not None:
            self.commands.append(Command(str(command.id), locker, command.door, published.t, command.not_after))


def read(packet: Packet, *, five: bool) -> Published:
    """Take a PUBLISH of MQTT 3.1.1 or 5 apart, stamped now."""
    body = packet.body
    at = 2 + int.from_bytes(body[:2], "big")
    topic = body[2:at].decode()
    if packet.flags >> 1 & 3:
        at += 2
    if five:
        length, shift = 0, 0
        while True:
            byte = body[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte <= 0x7F:  # noqa: PLR2004 - the last byte of a length
                break
        at += length
    return Published(boot_ms(), topic, body[at:])


def boot_ms() -> int:
    """Return CLOCK_BOOTTIME in ms: the clock of boards, agents and deadlines on this machine."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
