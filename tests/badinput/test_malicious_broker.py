"""Bytes that a broker must not send: the link gives the connection up and makes another; the hub goes on."""

import asyncio
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.mqtt.acks import IncomingMessage, ManualAck
from tests.badinput.broker import Malice, linked

GOOD = {"3.1.1": b"\x32\x08\x00\x03a/bmmx", "5": b"\x32\x09\x00\x03a/bmm\x00x"}
BROKEN: dict[str, bytes] = {
    "a length of five bytes": b"\x32\x80\x80\x80\x80\x01",
    "256 MB declared": b"\x32\xff\xff\xff\x7f" + bytes(100),
    "256 MB of a PUBACK declared": b"\x40\xff\xff\xff\x7f" + bytes(100),
    "a PUBLISH at QoS 2": b"\x34\x06\x00\x01a\x00\x01x",
    "a PUBLISH at QoS 3": b"\x36\x06\x00\x01a\x00\x01x",
    "a PUBLISH without a topic": b"\x32\x00",
    "a topic longer than its packet": b"\x32\x05\xff\xffa\x00\x01",
    "properties longer than their packet": b"\x32\x08\x00\x01a\x00\x01\xff\xff\x03",
}
HARMLESS: dict[str, bytes] = {
    "packet id 0": b"\x32\x06\x00\x01a\x00\x00x",
    "PUBACK for what was never sent": b"\x40\x02\x77\x77" * 50,
    "PUBACK without an id": b"\x40\x00",
    "PUBREC, PUBREL and PUBCOMP for nothing": b"\x50\x02\x00\x09\x62\x02\x00\x09\x70\x02\x00\x09",
    "a second CONNACK": b"\x20\x02\x00\x00",
    "SUBACK for nothing": b"\x90\x03\x77\x77\x01",
    "UNSUBACK for nothing": b"\xb0\x02\x77\x77",
    "CONNECT, as if the hub were a broker": b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00",
    "SUBSCRIBE": b"\x82\x06\x00\x01\x00\x01a\x01",
    "PINGREQ": b"\xc0\x00",
    "a type that does not exist": b"\x00\x00",
    "many empty PINGRESP": b"\xd0\x00" * 10_000,
    "a topic of 65,535 bytes": b"\x32\x84\x80\x04\xff\xff" + b"a" * 65_535 + b"mm\x00",
    "a topic that is not UTF-8": b"\x32\x07\x00\x02\xff\xfemm\x00",
    "a topic with NUL": b"\x32\x07\x00\x02a\x00mm\x00",
    "an empty topic": b"\x32\x05\x00\x00mm\x00",
}


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - counters of the broker, not events of ours
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    ("version", "bad"),
    # In MQTT 3.1.1 there are no properties.
    [(version, bad) for version in ("3.1.1", "5") for bad in BROKEN if version == "5" or "properties" not in bad],
)
async def test_a_broken_stream_costs_its_connection_only(version: str, bad: str) -> None:
    got: list[bytes] = []
    malice = Malice(version, [GOOD[version] + BROKEN[bad] + GOOD[version], GOOD[version]])
    async with linked(malice, lambda _, payload, __: got.append(payload)) as link:
        await until(lambda: len(got) == 2 and link.connected)
        assert got == [b"x", b"x"]
        assert malice.ended == 1
        assert bytes(malice.heard) == b"\x40\x02mm" * len(malice.heard[::4])


@pytest.mark.parametrize("version", ["3.1.1", "5"])
@pytest.mark.parametrize("odd", HARMLESS)
async def test_an_odd_packet_is_passed_over(version: str, odd: str) -> None:
    got: list[tuple[str, bytes]] = []
    packets = HARMLESS[odd]
    if version == "5" and odd == "packet id 0":
        packets = b"\x32\x07\x00\x01a\x00\x00\x00x"
    malice = Malice(version, [packets + GOOD[version]])
    async with linked(malice, lambda topic, payload, _: got.append((topic, payload))) as link:
        await until(lambda: ("a/b", b"x") in got)
        await until(lambda: b"\x40\x02mm" in malice.heard)
        assert link.connected
        assert len(malice.connects) == 1


@pytest.mark.parametrize("version", ["3.1.1", "5"])
async def test_a_session_that_broke_the_stream_is_not_resumed(version: str) -> None:
    """What broke it would come again, for ever; what else waits in that session is given up with it."""
    deliveries: list[IncomingMessage] = []
    malice = Malice(version, [GOOD[version] + BROKEN["a PUBLISH at QoS 2"], b"", b""])
    async with linked(malice, ManualAck(deliveries.append, receive_max=10, session_s=60)) as link:
        await until(lambda: len(malice.connects) == 2 and link.connected)
        clean = [bool(connect[7] & 0x02) for connect in malice.connects]
        assert clean == [False, True]
        deliveries[0].acknowledge()
        await asyncio.sleep(0)
        assert bytes(malice.heard) == b""


async def test_thousands_of_user_properties_cost_next_to_nothing() -> None:
    pair = b"\x26\x00\x01k\x00\x01v"
    told = pair * 30_000
    body = b"\x00\x03a/bmm" + _length(len(told)) + told + b"x"
    packet = b"\x32" + _length(len(body)) + body
    got: list[bytes] = []
    malice = Malice("5", [packet * 20 + GOOD["5"]])
    began = time.process_time()
    async with linked(malice, lambda _, payload, __: got.append(payload)):
        await until(lambda: len(got) == 21)
    # Taken apart, six hundred thousand properties would take most of a second.
    assert time.process_time() - began < 2
    assert got == [b"x"] * 21


async def test_a_packet_that_never_ends_holds_a_bounded_part_of_memory() -> None:
    """Declared as half a megabyte, sent byte for byte over many connections."""
    start = b"\x32\xff\xff\x1f" + bytes(400_000)
    for version in ("3.1.1", "5"):
        before = _rss_bytes()
        malice = Malice(version, [start] * 40)
        async with linked(malice, lambda *_: None) as link:
            for _ in range(40):
                await until(lambda: link.connected)
                client = link._client  # noqa: SLF001 - what the watch over a silent broker does
                assert client is not None
                client.abort()
                await until(lambda: not link.connected)
        assert _rss_bytes() - before < 32 * 1024 * 1024


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    noise=st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=4),
    piece=st.integers(1, 40),
    version=st.sampled_from(["3.1.1", "5"]),
)
def test_no_bytes_at_all_stop_the_link(noise: list[bytes], piece: int, version: str) -> None:
    async def run() -> None:
        done = asyncio.Event()

        def says() -> Iterator[bytes]:
            yield from noise
            done.set()
            while True:
                yield GOOD[version]

        got: list[bytes] = []
        malice = Malice(version, says(), piece)
        async with linked(
            malice, lambda topic, payload, _: got.append(payload) if topic == "a/b" else None
        ) as link:
            while not done.is_set():
                await until(lambda: link.connected or done.is_set())
                client = link._client  # noqa: SLF001 - not every noise ends a connection
                if client is not None:
                    await asyncio.sleep(0.002)
                    client.abort()
                    await until(lambda: not link.connected)
            await until(lambda: b"x" in got)

    asyncio.run(run())


def _length(value: int) -> bytes:
    encoded = bytearray()
    while True:
        value, byte = divmod(value, 128)
        encoded.append(byte | (0x80 if value else 0))
        if not value:
            return bytes(encoded)


def _rss_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()
