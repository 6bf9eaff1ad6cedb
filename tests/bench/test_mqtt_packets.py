"""The load's own MQTT: what it writes is read back, and what is cut short is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.mqtt_packets import (
    CONNACK,
    PUBACK,
    PUBLISH,
    REMAINING_LENGTH_MAX,
    SUBACK,
    TEXT_BYTES_MAX,
    MalformedPacket,
    Packet,
    Parser,
    Publishes,
    connect,
    puback,
    publish,
    read_connack,
    read_puback,
    read_publish,
    read_suback,
    remaining_length,
    subscribe,
)

TOPICS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
PACKET_IDS = st.integers(1, 65_535)


def one(data: bytes) -> Packet:
    packets = Parser().feed(data)
    assert len(packets) == 1
    return packets[0]


def test_connect_is_as_in_the_specification() -> None:
    assert connect("a-1", username="u", password="pw", keepalive_s=258) == (
        b"\x10\x16\x00\x04MQTT\x04\xc2\x01\x02\x00\x03a-1\x00\x01u\x00\x02pw"
    )


def test_subscribe_is_as_in_the_specification() -> None:
    assert subscribe(10, "a/b") == b"\x82\x08\x00\x0a\x00\x03a/b\x01"


@pytest.mark.parametrize(
    ("length", "encoded"),
    [
        (0, b"\x00"),
        (127, b"\x7f"),
        (128, b"\x80\x01"),
        (16_383, b"\xff\x7f"),
        (16_384, b"\x80\x80\x01"),
        (2_097_151, b"\xff\xff\x7f"),
        (2_097_152, b"\x80\x80\x80\x01"),
        (REMAINING_LENGTH_MAX, b"\xff\xff\xff\x7f"),
    ],
)
def test_remaining_length_is_as_in_the_specifications_table(length: int, encoded: bytes) -> None:
    assert remaining_length(length) == encoded


@pytest.mark.parametrize("length", [-1, REMAINING_LENGTH_MAX + 1])
def test_a_length_that_does_not_fit_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        remaining_length(length)


def test_a_text_that_does_not_fit_is_refused() -> None:
    publish("x" * TEXT_BYTES_MAX, b"", 1)
    with pytest.raises(ValueError, match="does not fit"):
        publish("x" * (TEXT_BYTES_MAX + 1), b"", 1)


@given(TOPICS, st.binary(max_size=400), PACKET_IDS, st.booleans())
def test_publish_is_read_back(topic: str, payload: bytes, packet_id: int, retain: bool) -> None:  # noqa: FBT001
    packet = one(publish(topic, payload, packet_id, retain=retain))
    assert read_publish(packet) == (topic, packet_id, payload, retain)


@given(TOPICS, st.lists(st.binary(max_size=20), min_size=2, max_size=4), st.integers(0, 2**63), PACKET_IDS)
def test_prepared_packets_are_the_same_as_built_ones(
    topic: str, parts: list[bytes], number: int, packet_id: int
) -> None:
    publishes = Publishes(topic, *parts)
    payload = (b"%d" % number).join(parts)
    expected = publish(topic, payload, packet_id)
    assert [publishes.packet(packet_id, number) for _ in range(2)] == [expected, expected]


@given(PACKET_IDS)
def test_puback_is_read_back(packet_id: int) -> None:
    assert read_puback(one(puback(packet_id))) == packet_id


@given(
    st.lists(st.tuples(st.binary(max_size=300), PACKET_IDS), max_size=8),
    st.lists(st.integers(1, 200), min_size=1, max_size=20),
)
def test_a_stream_is_cut_alike_however_it_arrives(sent: list[tuple[bytes, int]], sizes: list[int]) -> None:
    stream = b"".join(publish("t", payload, packet_id) + puback(packet_id) for payload, packet_id in sent)
    parser, got, at, turn = Parser(), [], 0, 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        got += parser.feed(stream[at : at + size])
        at, turn = at + size, turn + 1
    assert parser.pending_bytes == 0
    assert [packet.kind for packet in got] == [PUBLISH, PUBACK] * len(sent)
    assert [(read_publish(one).payload, read_publish(one).packet_id) for one in got[::2]] == sent


@given(st.binary(max_size=300), st.data())
def test_every_truncation_of_a_stream_gives_no_packet(payload: bytes, data: st.DataObject) -> None:
    whole = publish("topic", payload, 7)
    cut = data.draw(st.integers(0, len(whole) - 1))
    parser = Parser()
    assert parser.feed(whole[:cut]) == []
    assert parser.pending_bytes == cut
    assert parser.feed(whole[cut:]) == [one(whole)]


def test_every_truncation_of_a_publish_before_its_payload_is_refused() -> None:
    body = one(publish("topic", b"", 7)).body
    assert read_publish(Packet(PUBLISH, 2, body)).packet_id == 7
    for cut in range(len(body)):
        with pytest.raises(MalformedPacket, match="ends before its payload"):
            read_publish(Packet(PUBLISH, 2, body[:cut]))


def test_every_truncation_of_a_qos_0_publish_before_its_payload_is_refused() -> None:
    body = b"\x00\x05topic"
    assert read_publish(Packet(PUBLISH, 0, body + b"x")) == ("topic", 0, b"x", False)
    for cut in range(len(body)):
        with pytest.raises(MalformedPacket, match="ends before its payload"):
            read_publish(Packet(PUBLISH, 0, body[:cut]))


@pytest.mark.parametrize(
    ("read", "whole"),
    [
        (read_connack, Packet(CONNACK, 0, b"\x00\x05")),
        (read_suback, Packet(SUBACK, 0, b"\x00\x01\x01")),
        (read_puback, Packet(PUBACK, 0, b"\x00\x01")),
    ],
)
def test_acknowledgements_of_another_length_or_type_are_refused(read, whole: Packet) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    read(whole)
    for body in [whole.body[:cut] for cut in range(len(whole.body))] + [whole.body + b"\x00"]:
        with pytest.raises(MalformedPacket, match="not a"):
            read(whole._replace(body=body))
    with pytest.raises(MalformedPacket, match="not a"):
        read(whole._replace(kind=PUBLISH))


def test_a_refused_subscription_is_no_subscription() -> None:
    assert read_suback(Packet(SUBACK, 0, b"\x01\x02\x01")) == (258, 1)
    with pytest.raises(MalformedPacket, match="refuses"):
        read_suback(Packet(SUBACK, 0, b"\x00\x01\x80"))


def test_a_refused_connection_has_its_code() -> None:
    assert read_connack(Packet(CONNACK, 0, b"\x00\x05")) == 5


def test_another_packet_is_no_publish() -> None:
    with pytest.raises(MalformedPacket, match="not a PUBLISH"):
        read_publish(Packet(PUBACK, 0, b"\x00\x01"))


def test_a_topic_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(MalformedPacket, match="not UTF-8"):
        read_publish(Packet(PUBLISH, 2, b"\x00\x01\xff\x00\x01"))


def test_a_length_of_five_bytes_is_refused() -> None:
    with pytest.raises(MalformedPacket, match="more than four bytes"):
        Parser().feed(b"\x30\x80\x80\x80\x80\x01")
