"""Find the MQTT packets in what one read brought.

MQTT 3.1.1 and 5, section 2.1: a byte of type and flags, the remaining length as a variable byte integer of one to
four bytes, the rest. A PUBLISH is taken apart here; its properties, all of them the sender's, are passed over. What
breaks the specification ends the connection, as the specification asks.
"""

from typing import Final, NamedTuple

PACKET_BYTES_MAX: Final = 512 * 1024
"""Twice a message of the protocol: room for a topic of any length, and for properties that nobody reads."""

_PUBLISH: Final = 0x30
_TYPE: Final = 0xF0
_REPEATED: Final = 0x08
_QOS: Final = 0x06
_QOS_1: Final = 0x02
_RETAIN: Final = 0x01
_MORE: Final = 0x80
_LENGTH_BYTES_MAX: Final = 4


class Publish(NamedTuple):
    """A PUBLISH. `mid` is the packet identifier as it came, two bytes, and empty at QoS 0."""

    topic: str
    payload: bytes
    mid: bytes
    retained: bool
    repeated: bool = False
    """Whether the broker has sent it before (DUP)."""


class Packet(NamedTuple):
    """Any other packet: its first byte, and what follows the length."""

    first: int
    body: bytes


class BrokenStreamError(ValueError):
    """Bytes that a broker must not send: the stream is not MQTT, is out of step, or is an attack.

    `before` are the packets that stand before them.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.before: list[Publish | Packet] = []


def split(data: bytes, *, properties: bool) -> tuple[list[Publish | Packet], int]:
    """Return the whole packets in `data`, in order, and how many bytes they took.

    Args:
        data: what was read, beginning with a packet.
        properties: whether PUBLISH has properties, as in MQTT 5.

    Raises:
        BrokenStreamError: a length that cannot be, a packet above PACKET_BYTES_MAX, a PUBLISH that ends before its
            payload, or one at QoS 2, which the hub never subscribes at.
    """
    packets: list[Publish | Packet] = []
    try:
        return packets, _split(data, packets, properties=properties)
    except BrokenStreamError as error:
        error.before = packets
        raise


def _split(data: bytes, packets: list[Publish | Packet], *, properties: bool) -> int:
    at, end = 0, len(data)
    while end - at >= 2:  # noqa: PLR2004 - the shortest packet
        length, body = data[at + 1], at + 2
        if length & _MORE:
            long = _long_length(data, at + 1, end)
            if long is None:
                break
            length, body = long
            if length > PACKET_BYTES_MAX:
                raise BrokenStreamError(f"a packet of {length} bytes; {PACKET_BYTES_MAX} are read at the most")
        following = body + length
        if following > end:
            break
        first = data[at]
        if first & _TYPE == _PUBLISH:
            packets.append(_publish(data, first, body, following, properties=properties))
        else:
            packets.append(Packet(first, data[body:following]))
        at = following
    return at


def _long_length(data: bytes, at: int, end: int) -> tuple[int, int] | None:
    """Return (a length, where it ends), or None if not all of it is there."""
    length = 0
    for place in range(_LENGTH_BYTES_MAX):
        if at + place >= end:
            return None
        byte = data[at + place]
        length |= (byte & 0x7F) << (7 * place)
        if not byte & _MORE:
            return length, at + place + 1
    raise BrokenStreamError("a length of more than four bytes")


def _publish(data: bytes, first: int, body: int, following: int, *, properties: bool) -> Publish:
    """Take a PUBLISH apart."""
    topic_end = body + 2 + int.from_bytes(data[body : body + 2], "big")
    payload = topic_end
    if first & _QOS:
        if first & _QOS != _QOS_1:
            raise BrokenStreamError("a PUBLISH at a QoS that was not subscribed")
        payload += 2
    if properties and payload < following:
        # Nearly always none, which is one byte 0.
        length, payload = data[payload], payload + 1
        if length & _MORE:
            long = _long_length(data, payload - 1, following)
            if long is None:
                raise BrokenStreamError("a PUBLISH that ends in its properties")
            length, payload = long
        payload += length
    elif properties:
        payload += 1
    if payload > following:
        raise BrokenStreamError("a PUBLISH that ends before its payload")
    # A topic that is not UTF-8 is no topic of ours, whatever stands in its place.
    topic = data[body + 2 : topic_end].decode(errors="replace")
    mid = data[topic_end : topic_end + 2] if first & _QOS else b""
    return Publish(topic, data[payload:following], mid, bool(first & _RETAIN), bool(first & _REPEATED))
