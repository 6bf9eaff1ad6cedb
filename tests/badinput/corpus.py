"""What a broken or hostile client can put on the wire: topics, and packets. Payloads are in tests/wire/payloads.py.

A topic comes with the reason under which the hub keeps it, or None where it never reaches a hub: the broker refuses
the packet, or the hub does not subscribe to it.
"""

from typing import Final

from tests.badinput.raw import connect, packet, publish, text, variable
from wire.errors import Reason
from wire.topics import Channel, shard_of, topic_of

LOCKER: Final = "berlin-01"
_SHARD = shard_of(LOCKER)

TOPICS: Final[dict[str, tuple[bytes, Reason | str | None]]] = {
    "wrong shard": (b"lh/v1/zz/berlin-01/events", Reason.TOPIC),
    "shard in upper case": (f"lh/v1/{_SHARD.upper()}/berlin-01/events".encode(), Reason.TOPIC)
    if _SHARD.upper() != _SHARD
    else (b"lh/v1/ZZ/berlin-01/events", Reason.TOPIC),
    "empty shard": (b"lh/v1//berlin-01/events", Reason.TOPIC),
    "empty locker": (f"lh/v1/{_SHARD}//events".encode(), Reason.TOPIC),
    "both empty": (b"lh/v1///telemetry", Reason.TOPIC),
    "id in mixed case": (b"lh/v1/aa/Berlin-01/events", Reason.TOPIC),
    "id of 33 characters": (b"lh/v1/aa/" + b"a" * 33 + b"/presence", Reason.TOPIC),
    "id of 60,000 characters": (b"lh/v1/aa/" + b"a" * 60_000 + b"/telemetry", Reason.TOPIC),
    "id with a space": (b"lh/v1/aa/berlin 01/events", Reason.TOPIC),
    "id with markup": (b"lh/v1/aa/<script>/events", Reason.TOPIC),
    "id in another script": ("lh/v1/aa/берлин/telemetry".encode(), Reason.TOPIC),
    "id with U+FEFF": ("lh/v1/aa/\ufeffberlin-01/events".encode(), Reason.TOPIC),
    "id with a dollar": (b"lh/v1/aa/$SYS/presence", Reason.TOPIC),
    "id of SQL": (b"lh/v1/aa/'; DROP TABLE event; --/telemetry", Reason.TOPIC),
    "nobody's id": (topic_of("nowhere-03", Channel.TELEMETRY).encode(), "locker_unknown"),
    "nobody's events": (topic_of("nowhere-03", Channel.EVENTS).encode(), "locker_unknown"),
    "nobody's presence": (topic_of("nowhere-03", Channel.PRESENCE).encode(), "locker_unknown"),
    "nobody's replies": (topic_of("nowhere-03", Channel.REPLIES).encode(), "locker_unknown"),
    "leading slash": (b"/lh/v1/aa/berlin-01/events", None),
    "trailing slash": (f"lh/v1/{_SHARD}/berlin-01/events/".encode(), None),
    "another version": (f"lh/v2/{_SHARD}/berlin-01/events".encode(), None),
    "the hub's own state": (b"lh/v1/hub/other", None),
    "another channel": (f"lh/v1/{_SHARD}/berlin-01/secrets".encode(), None),
    "$SYS": (b"$SYS/broker/uptime", None),
    "$share": (b"$share/group/lh/v1/aa/berlin-01/events", None),
    "a plus": (b"lh/v1/+/berlin-01/events", None),
    "a hash": (b"lh/v1/#", None),
    "empty": (b"", None),
    "NUL": (b"lh/v1/aa/berlin\x00/events", None),
    "not UTF-8": (b"lh/v1/aa/\xff\xfe/events", None),
    "a surrogate": (b"lh/v1/aa/\xed\xa0\x80/events", None),
    "65,535 bytes of slashes": (b"/" * 65_535, None),
}

_EVENTS = topic_of(LOCKER, Channel.EVENTS).encode()
_TELEMETRY = topic_of(LOCKER, Channel.TELEMETRY).encode()


def packets(username: str, password: str) -> dict[str, bytes]:
    """Return what is sent on a connection of its own, by name: what breaks the specification or strains it."""
    hello = connect(username, password)
    hello_5 = connect(username, password, version=5)
    pair = b"\x26" + text(b"key") + text(b"value")
    return {
        "a second CONNECT": hello + hello,
        "PUBLISH before CONNECT": publish(_EVENTS, b"{}", 1),
        "SUBSCRIBE before CONNECT": packet(0x82, b"\x00\x01" + text(b"#") + b"\x01"),
        "PINGREQ before CONNECT": b"\xc0\x00",
        "first packet not CONNECT with a huge length": b"\x30\xff\xff\xff\x7f" + bytes(1000),
        "first packet CONNECT with a huge length": b"\x10\xff\xff\xff\x7f" + bytes(1000),
        "a length of five bytes": hello + b"\x30\xff\xff\xff\xff\x01",
        "256 MB declared": hello + b"\x32\xff\xff\xff\x7f" + bytes(1000),
        "a byte more than the broker takes": hello + publish(_EVENTS, bytes(263_168), 1),
        "packet id 0": hello + publish(_EVENTS, b"{}", 0),
        "PUBACK for nothing": hello + packet(0x40, b"\x12\x34") * 100,
        "PUBREC, PUBREL, PUBCOMP for nothing": hello
        + packet(0x50, b"\x00\x09") + packet(0x62, b"\x00\x09") + packet(0x70, b"\x00\x09"),
        "QoS 2, the same id again and again, never released": hello + publish(_EVENTS, b"{", 7, qos=2) * 50,
        "QoS 2, many ids, never released": hello
        + b"".join(publish(_TELEMETRY, b"{", number, qos=2) for number in range(1, 50)),
        "QoS 3": hello + packet(0x36, text(_EVENTS) + b"\x00\x01{"),
        "DUP at QoS 0": hello + packet(0x38, text(_EVENTS) + b"{"),
        "retained events and telemetry": hello
        + publish(_EVENTS, b"{", 1, retain=True) + publish(_TELEMETRY, b"{", 2, retain=True)
        + publish(_EVENTS, b"", 3, retain=True) + publish(_TELEMETRY, b"", 4, retain=True),
        "a payload of nothing": hello + publish(_EVENTS, b"", 1),
        "a packet cut in the middle": hello + publish(_EVENTS, b"{" * 1000, 1)[:500],
        "types 0 and 15": hello + b"\x00\x00\xf0\x00",
        "SUBSCRIBE to everything, a thousand times": hello
        + packet(0x82, b"\x00\x01" + text(b"lh/v1/#") + b"\x01") * 1000,
        "a filter of 30,000 levels": hello + packet(0x82, b"\x00\x01" + text(b"/" * 30_000) + b"\x01"),
        "keepalive 0": connect(username, password, keepalive_s=0),
        "receive maximum 0": connect(username, password, version=5, properties=b"\x21\x00\x00"),
        "receive maximum twice": connect(username, password, version=5, properties=b"\x21\x00\x01\x21\x00\x01"),
        "an unknown property": connect(username, password, version=5, properties=b"\x7f\x00"),
        "topic alias 0": hello_5 + publish(_EVENTS, b"{", 1, properties=b"\x23\x00\x00"),
        "topic alias over the maximum": hello_5 + publish(_EVENTS, b"{", 1, properties=b"\x23\xff\xff"),
        "an alias that nobody set": hello_5 + publish(b"", b"{", 1, properties=b"\x23\x00\x03"),
        "thousands of user properties": hello_5 + publish(_EVENTS, b"{", 1, properties=pair * 5000) * 10,
        "thousands of user properties in CONNECT": connect(username, password, version=5, properties=pair * 5000),
        "properties longer than their packet": hello_5
        + packet(0x32, text(_EVENTS) + b"\x00\x01" + variable(5000) + b"x"),
        "a subscription identifier of 0": hello_5
        + packet(0x82, b"\x00\x01\x02\x0b\x00" + text(b"lh/v1/#") + b"\x01"),
        "a message that expires at once": hello_5 + publish(_EVENTS, b"{", 1, properties=b"\x02\x00\x00\x00\x00"),
        "noise": hello + bytes(range(256)) * 20,
    }  # fmt: skip
