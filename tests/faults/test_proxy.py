"""The toxic proxy between a client and a server of this process, packet by packet."""

import asyncio
from collections.abc import AsyncIterator
from random import Random

import pytest

from bench.mqtt_packets import Packet, Parser, Publish, publish, read_publish
from faults.proxy import HOST, WAITING_BYTES_MAX, Proxy, Toxics

DEADLINE_S = 20.0


class Ends:
    """A client behind the proxy, and the server in front of it."""

    def __init__(self) -> None:
        self.watched: list[tuple[str, Packet]] = []
        self.accepted: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
        self.proxy: Proxy
        self.client: tuple[asyncio.StreamReader, asyncio.StreamWriter]
        self.server: tuple[asyncio.StreamReader, asyncio.StreamWriter]

    async def connect(self) -> None:
        self.client = await asyncio.open_connection(HOST, self.proxy.port)
        self.server = await asyncio.wait_for(self.accepted.get(), DEADLINE_S)

    async def at_server(self, count: int) -> list[Publish]:
        return await arrive(self.server[0], count)


async def arrive(reader: asyncio.StreamReader, count: int) -> list[Publish]:
    """The next PUBLISH packets of a stream."""
    parser = Parser()
    found: list[Publish] = []
    async with asyncio.timeout(DEADLINE_S):
        while len(found) < count:
            data = await reader.read(65_536)
            assert data, "the stream ended"
            found += [read_publish(packet) for packet in parser.feed(data)]
    return found


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    both = Ends()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await both.accepted.put((reader, writer))

    server = await asyncio.start_server(accept, HOST, 0)
    port = server.sockets[0].getsockname()[1]
    both.proxy = await Proxy(port, Random(1), lambda *seen: both.watched.append(seen)).open()
    await both.connect()
    yield both
    both.client[1].close()
    both.server[1].close()
    await both.proxy.close()
    server.close()


def packet(number: int, size: int = 10) -> bytes:
    return publish("t", bytes([number]) * size, number)


async def test_packets_pass_both_ways_in_order_and_are_watched(ends: Ends) -> None:
    ends.client[1].write(packet(1) + packet(2))
    assert [message.packet_id for message in await ends.at_server(2)] == [1, 2]
    ends.server[1].write(packet(3))
    assert [message.packet_id for message in await arrive(ends.client[0], 1)] == [3]
    assert [direction for direction, _ in ends.watched] == ["up", "up", "down"]


async def test_latency_keeps_the_order(ends: Ends) -> None:
    ends.proxy.up = Toxics(latency_ms=5, jitter_ms=40, stall_share=0.3, stall_ms=30)
    ends.client[1].write(b"".join(packet(number) for number in range(1, 40)))
    assert [message.packet_id for message in await ends.at_server(39)] == list(range(1, 40))


async def test_latency_delays(ends: Ends) -> None:
    ends.proxy.up = Toxics(latency_ms=200)
    loop = asyncio.get_running_loop()
    began = loop.time()
    ends.client[1].write(packet(1))
    await ends.at_server(1)
    assert loop.time() - began >= 0.2


async def test_slices_put_together_are_the_packet(ends: Ends) -> None:
    ends.proxy.up = Toxics(slice_bytes=3)
    ends.client[1].write(packet(9, 500))
    assert (await ends.at_server(1))[0].payload == b"\x09" * 500


async def test_bandwidth_takes_its_time(ends: Ends) -> None:
    ends.proxy.up = Toxics(bytes_per_s=10_000)
    loop = asyncio.get_running_loop()
    began = loop.time()
    ends.client[1].write(packet(1, 2000) + packet(2, 1))
    await ends.at_server(2)
    assert loop.time() - began >= 0.2


async def test_silence_delivers_nothing_and_keeps_the_connection_until_it_ends(ends: Ends) -> None:
    ends.proxy.up.silent = ends.proxy.down.silent = True
    ends.client[1].write(packet(1))
    ends.server[1].write(packet(2))
    for reader in (ends.client[0], ends.server[0]):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.2)
    assert ends.proxy.connections == 1
    ends.proxy.heal()
    assert [message.packet_id for message in await ends.at_server(1)] == [1]
    assert [message.packet_id for message in await arrive(ends.client[0], 1)] == [2]


async def test_each_publish_goes_out_as_often_as_it_is_told(ends: Ends) -> None:
    ends.proxy.up.copies = 3
    ends.client[1].write(b"\xc0\x00" + packet(1))  # PINGREQ is no PUBLISH
    parser = Parser()
    packets: list[Packet] = []
    while len(packets) < 4:
        packets += parser.feed(await asyncio.wait_for(ends.server[0].read(65_536), DEADLINE_S))
    assert [p.kind for p in packets] == [12, 3, 3, 3]


async def test_a_reset_comes_inside_of_a_packet(ends: Ends) -> None:
    ends.proxy.reset_within_next("up")
    ends.client[1].write(packet(1, 5000))
    received = b""
    try:
        while data := await asyncio.wait_for(ends.server[0].read(65_536), DEADLINE_S):
            received += data
    except ConnectionResetError:
        pass
    else:
        pytest.fail("the connection ended politely")
    assert 0 < len(received) < len(packet(1, 5000))
    assert packet(1, 5000).startswith(received)


async def test_a_packet_is_put_in_between_others(ends: Ends) -> None:
    assert ends.proxy.put_in("up", packet(7)) == 1
    assert [message.packet_id for message in await ends.at_server(1)] == [7]
    assert not ends.watched, "what we say ourselves is not what was said"


async def test_who_is_refused_is_thrown_out_and_others_stay(ends: Ends) -> None:
    ends.proxy.refusing = True
    reader, writer = await asyncio.open_connection(HOST, ends.proxy.port)
    with pytest.raises((ConnectionResetError, AssertionError)):
        await arrive(reader, 1)
    writer.close()
    ends.client[1].write(packet(1))
    assert len(await ends.at_server(1)) == 1


async def test_dropping_ends_both_sides(ends: Ends) -> None:
    await ends.proxy.drop()
    assert await asyncio.wait_for(ends.client[0].read(), DEADLINE_S) == b""
    assert await asyncio.wait_for(ends.server[0].read(), DEADLINE_S) == b""
    assert ends.proxy.connections == 0


async def test_what_a_closing_client_said_is_delivered(ends: Ends) -> None:
    ends.proxy.up = Toxics(latency_ms=100)
    ends.client[1].write(packet(1))
    await ends.client[1].drain()
    ends.client[1].close()
    assert len(await ends.at_server(1)) == 1


async def test_a_pipe_that_nobody_empties_is_not_read_on(ends: Ends) -> None:
    ends.proxy.up = Toxics(latency_ms=60_000)
    blocked = False
    for _ in range(200):
        ends.client[1].write(packet(1, 65_000))
        try:
            await asyncio.wait_for(ends.client[1].drain(), 0.5)
        except TimeoutError:
            blocked = True
            break
    assert blocked
    assert sum(len(p.body) for _, p in ends.watched) < 2 * WAITING_BYTES_MAX


async def test_without_a_server_the_client_is_thrown_out() -> None:
    proxy = await Proxy(1, Random(1)).open()
    reader, writer = await asyncio.open_connection(HOST, proxy.port)
    with pytest.raises((ConnectionResetError, AssertionError)):
        await arrive(reader, 1)
    writer.close()
    await proxy.close()
