"""What the hub's answers mean to somebody who wants a door open."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from edge_agent.simulator.hub_client import OpenResponse, hub_client


class Hub:
    """An HTTP server that gives one answer and keeps what it was asked."""

    def __init__(self) -> None:
        self.answer = b""
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
        body = await reader.readexactly(int(headers["content-length"]))
        self.asked.append((head[0], headers, json.loads(body)))
        writer.write(self.answer)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    def says(self, status: int, body: bytes) -> None:
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.answer = head.encode() + body


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    stand_in = Hub()
    server = await asyncio.start_server(stand_in.serve, "127.0.0.1", 0)
    stand_in.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield stand_in
    server.close()
    await server.wait_closed()


async def ask(url: str, token: str | None = None) -> OpenResponse:
    async with hub_client(url, token, connections_max=2) as client:
        return await client.open_door("a-1", 3, actor=UUID(int=4), reason="send", key=UUID(int=5))


async def test_a_wish_is_asked_for_as_the_api_has_it(hub: Hub) -> None:
    hub.says(200, b'{"state": "succeeded"}')
    answer = await ask(hub.url + "/", "secret")
    assert (answer.accepted, answer.command) == (True, {"state": "succeeded"})
    ((request, headers, body),) = hub.asked
    assert request == "POST /api/v1/lockers/a-1/commands?wait=opened HTTP/1.1"
    assert headers["idempotency-key"] == str(UUID(int=5))
    assert headers["authorization"] == "Bearer secret"
    assert body == {"kind": "open", "door": 3, "actor": str(UUID(int=4)), "reason": "send"}


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (409, b'{"code": "door_busy"}', "door_busy"),
        (500, b"{}", "http_500"),
        (500, b"[]", "http_500"),
        (502, b"<html>", "unreachable"),
    ],
)
async def test_a_refusal_has_a_code(hub: Hub, status: int, body: bytes, code: str) -> None:
    hub.says(status, body)
    assert await ask(hub.url) == OpenResponse(status if code != "unreachable" else 0, code, None)


async def test_a_hub_that_is_not_there_is_unreachable() -> None:
    answer = await ask("http://127.0.0.1:1")
    assert (answer.code, answer.accepted) == ("unreachable", False)
