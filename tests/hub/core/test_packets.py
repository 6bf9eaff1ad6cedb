"""MQTT packets in a stream: whatever a read brings, the same packets come out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.packets import PACKET_BYTES_MAX, BrokenStreamError, Packet, Publish, split

TOPICS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=20)
MIDS = st.binary(min_size=2, max_size=2)
PUBLISHES = st.builds(Publish, TOPICS, st.binary(max_size=300), st.just(b"") | MIDS, st.booleans(), st.booleans())
OTHERS = st.builds(Packet, st.sampled_from([0x00, 0x20, 0x40, 0x62, 0x90, 0xD0, 0xE0]), st.binary(max_size=300))


def length(value: int) -> bytes:
    encoded = bytearray()
    while True:
        value, byte = divmod(value, 128)
        encoded.append(byte | (0x80 if value else 0))
        if not value:
            return bytes(encoded)


def encode(packet: Publish | Packet, *, properties: bool, told: bytes = b"") -> bytes:
    if isinstance(packet, Packet):
        return bytes([packet.first]) + length(len(packet.body)) + packet.body
    topic = packet.topic.encode()
    extra = length(len(told)) + told if properties else b""
    body = len(topic).to_bytes(2, "big") + topic + packet.mid + extra + packet.payload
    first = 0x30 | packet.repeated << 3 | bool(packet.mid) << 1 | packet.retained
    return bytes([first]) + length(len(body)) + body


@given(st.lists(PUBLISHES | OTHERS, max_size=8), st.booleans(), st.data())
def test_a_stream_gives_its_packets_however_it_is_cut(
    packets: list[Publish | Packet],
    properties: bool,  # noqa: FBT001
    data: st.DataObject,
) -> None:
    told = data.draw(st.binary(max_size=300))
    stream = b"".join(encode(packet, properties=properties, told=told) for packet in packets)
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
        (b"", True),
        (b"\x00", False),
        (b"\x00\x03a/b", False),  # no packet identifier
        (b"\x00\x03a/b\x00", False),  # half of one
        (b"\x00\x03a/b\x00\x01", True),  # no properties where there should be
        (b"\x00\x03a/b\x00\x01\x03\x01\x01", True),  # a part of them
        (b"\x00\x03a/b\x00\x01\x80", True),  # a part of their length
        (b"\xff\xffa", False),  # a topic longer than the packet
    ],
)
def test_a_publish_that_ends_early_breaks_the_stream(body: bytes, properties: bool) -> None:  # noqa: FBT001
    following = encode(Publish("a", b"", b"\x00\x01", retained=False), properties=properties)
    with pytest.raises(BrokenStreamError, match="ends"):
        split(bytes([0x32]) + length(len(body)) + body + following, properties=properties)


@given(PUBLISHES, st.booleans(), st.data())
def test_no_part_of_a_publish_is_taken_for_a_whole_one(
    whole: Publish,
    properties: bool,  # noqa: FBT001
    data: st.DataObject,
) -> None:
    """Cut within its own length: what is left is refused, or is the same message with less of a payload."""
    encoded = encode(whole, properties=properties)
    body = encoded[-(len(encoded) - 1 - len(length(len(encoded)))) :]
    cut = body[: data.draw(st.integers(0, len(body)))]
    try:
        (packet,), _ = split(encoded[:1] + length(len(cut)) + cut, properties=properties)
    except BrokenStreamError:
        return
    assert isinstance(packet, Publish)
    assert whole.payload.startswith(packet.payload)


@pytest.mark.parametrize("first", [0x34, 0x36, 0x3C])
def test_a_publish_at_a_qos_that_was_not_asked_for_breaks_the_stream(first: int) -> None:
    with pytest.raises(BrokenStreamError, match="QoS"):
        split(bytes([first]) + b"\x06\x00\x01a\x00\x01x", properties=False)


def test_a_topic_that_is_not_utf_8_is_no_topic_of_ours() -> None:
    (packet,), _ = split(b"\x32\x07\x00\x02\xff\xfe\x00\x01x", properties=False)
    assert packet == Publish("\N{REPLACEMENT CHARACTER}" * 2, b"x", b"\x00\x01", retained=False)


@pytest.mark.parametrize("tail", [b"", b"\x01", b"\x00" * 10])
def test_a_length_of_five_bytes_is_refused(tail: bytes) -> None:
    with pytest.raises(BrokenStreamError, match="four bytes"):
        split(b"\x32\x80\x80\x80\x80" + tail, properties=False)


def test_a_packet_that_is_too_long_is_refused_before_it_is_there() -> None:
    assert split(b"\x32" + length(PACKET_BYTES_MAX), properties=False) == ([], 0)
    ping = Packet(0xD0, b"")
    for first in (0x32, 0x40):
        with pytest.raises(BrokenStreamError, match="at the most") as told:
            split(
                encode(ping, properties=False) * 2 + bytes([first]) + length(PACKET_BYTES_MAX + 1), properties=False
            )
        # What stands before it is not lost.
        assert told.value.before == [ping, ping]
        with pytest.raises(BrokenStreamError, match="268435455"):
            split(bytes([first]) + b"\xff\xff\xff\x7f", properties=False)


@pytest.mark.parametrize("told", [b"", b"x", b"x" * 127, b"x" * 128, b"x" * 20_000])
def test_properties_are_passed_over_however_many(told: bytes) -> None:
    whole = Publish("a/b", b"payload", b"\x00\x07", retained=True, repeated=True)
    assert split(encode(whole, properties=True, told=told), properties=True)[0] == [whole]
