"""MQTT 3.1.1 packets as bytes, as far as a load needs them. Pure.

http://docs.oasis-open.org/mqtt/mqtt/v3.1.1/os/mqtt-v3.1.1-os.html; the names are the specification's. Written
for speed of the sender: a client library would be the limit of what is measured.
"""

from struct import Struct
from typing import Final, NamedTuple

CONNACK: Final = 2
PUBLISH: Final = 3
PUBACK: Final = 4
SUBACK: Final = 9

DISCONNECT: Final = b"\xe0\x00"
TEXT_BYTES_MAX: Final = 65_535
REMAINING_LENGTH_MAX: Final = 268_435_455

_UINT16: Final = Struct("!H")
_LENGTH_BYTES_MAX: Final = 4
_CLEAN_SESSION: Final = 0x02
_PASSWORD: Final = 0x40
_USERNAME: Final = 0x80
_REFUSED: Final = 0x80


class MalformedPacket(ValueError):  # noqa: N818 - the specification's word for it
    """Bytes that are no packet of MQTT 3.1.1; the text says what is wrong."""


class Packet(NamedTuple):
    """One packet: its type (2.2.1), its flags (2.2.2), and what follows the fixed header."""

    kind: int
    flags: int
    body: bytes


class Publish(NamedTuple):
    """A received PUBLISH. `packet_id` is 0 at QoS 0."""

    topic: str
    packet_id: int
    payload: bytes
    retained: bool


def connect(client_id: str, *, username: str, password: str, keepalive_s: int) -> bytes:
    """Return CONNECT (3.1) with a clean session and without a will."""
    body = (
        _text("MQTT")
        + bytes((4, _CLEAN_SESSION | _USERNAME | _PASSWORD))
        + _UINT16.pack(keepalive_s)
        + _text(client_id)
        + _text(username)
        + _text(password)
    )
    return _packet(0x10, body)


def subscribe(packet_id: int, topic_filter: str, *, qos: int = 1) -> bytes:
    """Return SUBSCRIBE (3.8) to one filter."""
    return _packet(0x82, _UINT16.pack(packet_id) + _text(topic_filter) + bytes((qos,)))


def publish(topic: str, payload: bytes, packet_id: int, *, retain: bool = False) -> bytes:
    """Return PUBLISH (3.3) at QoS 1."""
    return _packet(0x32 | retain, _text(topic) + _UINT16.pack(packet_id) + payload)


def puback(packet_id: int) -> bytes:
    """Return PUBACK (3.4)."""
    return b"\x40\x02" + _UINT16.pack(packet_id)


class Publishes:
    """Many PUBLISH packets at QoS 1 to one topic whose payloads differ in one number only.

    Args:
        topic: where to.
        parts: the payload around the number, which stands between each two of them.
    """

    def __init__(self, topic: str, *parts: bytes) -> None:
        self._topic = _text(topic)
        self._parts = parts
        self._length = len(self._topic) + 2 + sum(map(len, parts))
        self._holes = len(parts) - 1
        self._starts: dict[int, bytes] = {}

    def packet(self, packet_id: int, number: int) -> bytes:
        """Return the packet with `number` in decimal digits."""
        digits = b"%d" % number
        start = self._starts.get(len(digits))
        if start is None:
            length = self._length + self._holes * len(digits)
            start = self._starts[len(digits)] = b"\x32" + remaining_length(length) + self._topic
        return b"".join((start, _UINT16.pack(packet_id), digits.join(self._parts)))


class Parser:
    """Cuts a stream of bytes into packets; keeps what is not complete yet."""

    def __init__(self) -> None:
        self._rest = b""

    @property
    def pending_bytes(self) -> int:
        """How many bytes of an unfinished packet are kept."""
        return len(self._rest)

    def feed(self, data: bytes) -> list[Packet]:
        """Return the packets that are complete now. Raises MalformedPacket for a length of more than 4 bytes."""
        if self._rest:
            data = self._rest + data
        packets = []
        start, end = 0, len(data)
        while end - start >= 2:  # noqa: PLR2004 - the shortest packet
            length, at = data[start + 1], start + 2
            if length >= _REFUSED:
                long = _long_length(data, start + 1)
                if long is None:
                    break
                length, at = long
            if end - at < length:
                break
            first = data[start]
            start = at + length
            packets.append(Packet(first >> 4, first & 0x0F, data[at:start]))
        self._rest = data[start:]
        return packets


def read_connack(packet: Packet) -> int:
    """Return the return code of CONNACK (3.2.2.3): 0 for accepted. Raises MalformedPacket."""
    if packet.kind != CONNACK or len(packet.body) != 2:  # noqa: PLR2004 - flags and code
        raise MalformedPacket(f"not a CONNACK of two bytes: {packet}")
    return packet.body[1]


def read_suback(packet: Packet) -> tuple[int, int]:
    """Return (packet id, granted QoS) of SUBACK (3.9) to one filter. Raises MalformedPacket, also for a refusal."""
    if packet.kind != SUBACK or len(packet.body) != 3:  # noqa: PLR2004 - packet id and one code
        raise MalformedPacket(f"not a SUBACK of three bytes: {packet}")
    if packet.body[2] >= _REFUSED:
        raise MalformedPacket("the broker refuses the subscription")
    return _UINT16.unpack_from(packet.body)[0], packet.body[2]


def read_puback(packet: Packet) -> int:
    """Return the packet id of PUBACK (3.4). Raises MalformedPacket."""
    if packet.kind != PUBACK or len(packet.body) != 2:  # noqa: PLR2004 - a packet id
        raise MalformedPacket(f"not a PUBACK of two bytes: {packet}")
    return int.from_bytes(packet.body, "big")


def read_publish(packet: Packet) -> Publish:
    """Take PUBLISH (3.3) apart. Raises MalformedPacket."""
    body = packet.body
    if packet.kind != PUBLISH:
        raise MalformedPacket(f"not a PUBLISH: type {packet.kind}")
    at = 2 + int.from_bytes(body[:2], "big")
    qos = packet.flags >> 1 & 3
    payload_at = at + 2 if qos else at
    if len(body) < max(payload_at, 2):
        raise MalformedPacket(f"a PUBLISH of {len(body)} bytes ends before its payload, at {payload_at}")
    try:
        topic = body[2:at].decode()
    except UnicodeDecodeError as error:
        raise MalformedPacket(f"the topic is not UTF-8: {error}") from None
    packet_id = int.from_bytes(body[at:payload_at], "big")
    return Publish(topic, packet_id, body[payload_at:], bool(packet.flags & 1))


def remaining_length(length: int) -> bytes:
    """Return a remaining length in its variable form (2.2.3)."""
    if not 0 <= length <= REMAINING_LENGTH_MAX:
        raise ValueError(f"{length} bytes do not fit into a packet; {REMAINING_LENGTH_MAX} do")
    encoded = bytearray()
    while length > 0x7F:  # noqa: PLR2004 - seven bits a byte
        encoded.append(length & 0x7F | 0x80)
        length >>= 7
    encoded.append(length)
    return bytes(encoded)


def _long_length(data: bytes, at: int) -> tuple[int, int] | None:
    """Return (length, where the body begins), or None while the length is not complete."""
    length = 0
    for place in range(_LENGTH_BYTES_MAX):
        if at + place >= len(data):
            return None
        byte = data[at + place]
        length |= (byte & 0x7F) << 7 * place
        if byte <= 0x7F:  # noqa: PLR2004 - the last one
            return length, at + place + 1
    raise MalformedPacket("a remaining length of more than four bytes")


def _packet(first: int, body: bytes) -> bytes:
    return bytes((first,)) + remaining_length(len(body)) + body


def _text(value: str) -> bytes:
    encoded = value.encode()
    if len(encoded) > TEXT_BYTES_MAX:
        raise ValueError(f"a text of {len(encoded)} bytes does not fit into a packet; {TEXT_BYTES_MAX} do")
    return _UINT16.pack(len(encoded)) + encoded
