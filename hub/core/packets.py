"""Find the MQTT packets in what one read brought.

MQTT 3.1.1 and 5, section 2.1: a byte of type and flags, the remaining length as a variable byte integer of one to
four bytes, the rest. Only the common PUBLISH is taken apart here: QoS 1, neither DUP nor properties.
"""

from typing import Final, NamedTuple

_PUBLISH_QOS_1: Final = 0x32
_RETAIN: Final = 0x01
_LENGTH_BYTES_MAX: Final = 4


class Publish(NamedTuple):
    """A PUBLISH at QoS 1; `mid` is the packet identifier as it came, two bytes."""

    topic: str
    payload: bytes
    mid: bytes
    retained: bool


class Packet(NamedTuple):
    """Any other packet: its first byte, and what follows the length."""

    first: int
    body: bytes


class LengthError(ValueError):
    """The remaining length has more than four bytes: the stream is not MQTT, or is out of step."""


def split(data: bytes, *, properties: bool) -> tuple[list[Publish | Packet], int]:
    """Return the whole packets in `data`, in order, and how many bytes they took.

    Args:
        data: what was read, beginning with a packet.
        properties: whether PUBLISH has properties, as in MQTT 5.

    Raises:
        LengthError: a length that cannot be.
    """
    packets: list[Publish | Packet] = []
    at, end = 0, len(data)
    while end - at >= 2:  # noqa: PLR2004 - the shortest packet
        length, body = data[at + 1], at + 2
        if length & 0x80:
            long = _long_length(data, at + 1, end)
            if long is None:
                break
            length, body = long
        following = body + length
        if following > end:
            break
        first = data[at]
        publish = None
        if first & ~_RETAIN == _PUBLISH_QOS_1:
            publish = _publish(data, body, following, properties=properties, retained=bool(first & _RETAIN))
        packets.append(publish or Packet(first, data[body:following]))
        at = following
    return packets, at


def _long_length(data: bytes, at: int, end: int) -> tuple[int, int] | None:
    """Return (remaining length, where it ends), or None if not all of it is there."""
    length = 0
    for place in range(_LENGTH_BYTES_MAX):
        if at + place >= end:
            return None
        byte = data[at + place]
        length |= (byte & 0x7F) << (7 * place)
        if not byte & 0x80:
            return length, at + place + 1
    raise LengthError("a remaining length of more than four bytes")


def _publish(data: bytes, body: int, following: int, *, properties: bool, retained: bool) -> Publish | None:
    """Take a PUBLISH apart, or return None for one that is not the common one."""
    if following - body < 2:  # noqa: PLR2004 - a topic's length
        return None
    topic_end = body + 2 + (data[body] << 8 | data[body + 1])
    payload = topic_end + (3 if properties else 2)
    if payload > following or (properties and data[payload - 1]):
        return None
    try:
        topic = data[body + 2 : topic_end].decode()
    except UnicodeDecodeError:
        return None
    return Publish(topic, data[payload:following], data[topic_end : topic_end + 2], retained)
