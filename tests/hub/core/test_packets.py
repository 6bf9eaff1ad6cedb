"""MQTT packets in a stream: whatever a read brings, the same packets come out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.packets import LengthError, Packet, Publish, split

TOPICS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=20)
PUBLISHES = st.builds(Publish, TOPICS, st.binary(max_size=300), st.binary(min_size=2, max_size=2), st.booleans())
OTHERS = st.builds(
    Packet, st.sampled_from([0x20, 0x40, 0x90, 0xD0, 0xE0, 0x30, 0x3A, 0x34]), st.binary(max_size=300)
)


def length(value: int) -> bytes:
    encoded = bytearray()
    while True:
        value, byte = divmod(value, 128)
        encoded.append(byte | (0x80 if value else 0))
        if not value:
            return bytes(encoded)


def encode(packet: Publish | Packet, *, properties: bool) -> bytes:
    if isinstance(packet, Packet):
        return bytes([packet.first]) + length(len(packet.body)) + packet.body
    topic = packet.topic.encode()
    body = len(topic).to_bytes(2, "big") + topic + packet.mid + (b"\x00" if properties else b"") + packet.payload
    return bytes([0x32 | packet.retained]) + length(len(body)) + body


@given(st.lists(PUBLISHES | OTHERS, max_size=8), st.booleans(), st.data())
def test_a_stream_gives_its_packets_however_it_is_cut(
    packets: list[Publish | Packet],
    properties: bool,  # noqa: FBT001
    data: st.DataObject,
) -> None:
    stream = b"".join(encode(packet, properties=properties) for packet in packets)
    cut = data.draw(st.integers(0, len(stream)))
    first, read = split(stream[:cut], properties=properties)
    assert read <= cut
    second, rest = split(stream[read:], properties=properties)
    assert first + second == packets
    assert read + rest == len(stream)


def test_nothing_is_read_of_a_packet_that_is_not_whole() -> None:
    whole = encode(Publish("a/b", b"x" * 200, b"\x00\x07", retained=False), properties=True)
    for cut in range(len(whole)):
        assert split(whole[:cut], properties=True) == ([], 0)


@pytest.mark.parametrize(
    ("body", "properties"),
    [
        (b"", False),  # no topic
        (b"\x00", False),
        (b"\x00\x03a/b", False),  # no packet identifier
        (b"\x00\x03a/b\x00\x01", True),  # no properties where there should be
        (b"\x00\x03a/b\x00\x01\x02\x01\x01payload", True),  # some
        (b"\x00\x02\xff\xfe\x00\x01x", False),  # a topic that is not UTF-8
        (b"\xff\xffa", False),  # a topic longer than the packet
    ],
)
def test_an_uncommon_publish_is_left_to_the_client(body: bytes, properties: bool) -> None:  # noqa: FBT001
    packet = bytes([0x32]) + length(len(body)) + body
    assert split(packet, properties=properties) == ([Packet(0x32, body)], len(packet))


def test_a_repeated_publish_is_left_to_the_client() -> None:
    packet = encode(Publish("a", b"", b"\x00\x01", retained=False), properties=False)
    repeated = bytes([packet[0] | 0x08]) + packet[1:]
    assert split(repeated, properties=False) == ([Packet(0x3A, packet[2:])], len(packet))


@pytest.mark.parametrize("tail", [b"", b"\x01", b"\x00" * 10])
def test_a_length_of_five_bytes_is_refused(tail: bytes) -> None:
    with pytest.raises(LengthError, match="four bytes"):
        split(b"\x32\x80\x80\x80\x80" + tail, properties=False)
