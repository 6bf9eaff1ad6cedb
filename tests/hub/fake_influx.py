"""A server that answers as it is told, on a real port: the edge of what the InfluxDB sink talks to."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from hub.config.influx import InfluxSettings
from hub.influx.client import InfluxServer
from hub.influx.sink import server

Judge = Callable[[list[str]], web.Response | None]


@dataclass
class FakeInflux:
    """`answers` are given first, each a response or what breaks the connection; then `judge` decides."""

    port: int = 0
    token: str | None = None
    answers: list[web.Response | str] = field(default_factory=list)
    judge: Judge = lambda _: None
    bodies: list[list[str]] = field(default_factory=list)
    """The lines of each request, whatever became of it."""
    stored: dict[str, str] = field(default_factory=dict)
    """What was taken: series and timestamp, fields."""
    queries: list[dict[str, str]] = field(default_factory=list)
    buckets: dict[str, int] | None = None
    missing: set[str] = field(default_factory=set)
    """Buckets that it has not."""
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def lines(self) -> list[str]:
        return sorted(f"{key.rpartition(' ')[0]} {value}" for key, value in self.stored.items())

    async def write(self, request: web.Request) -> web.StreamResponse:
        self.asked.set()
        if self.token is not None and request.headers.get("Authorization") != f"Token {self.token}":
            return web.json_response({"code": "unauthorized", "message": "unauthorized access"}, status=401)
        body = await request.read()
        if request.headers.get("Content-Encoding") == "gzip" and body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        lines = body.decode().split("\n")
        self.bodies.append(lines)
        self.queries.append(dict(request.query))
        if request.query["bucket"] in self.missing:
            return web.json_response({"code": "not found", "message": "bucket not found"}, status=404)
        answer: web.Response | str | None = self.answers.pop(0) if self.answers else self.judge(lines)
        match answer:
            case "cut":
                assert request.transport is not None
                request.transport.abort()
                return web.Response(status=500)
            case "taken, and cut":
                self.take(lines)
                assert request.transport is not None
                request.transport.abort()
                return web.Response(status=500)
            case "silent":
                await asyncio.sleep(3600)
            case web.Response():
                return answer
        self.take(lines)
        return web.Response(status=204)

    def take(self, lines: list[str]) -> None:
        for text in lines:
            head, fields, at = text.rsplit(" ", 2)
            self.stored[f"{head} {at}"] = fields

    async def list_buckets(self, request: web.Request) -> web.Response:
        if self.buckets is None:
            raise web.HTTPNotFound
        found: list[dict[str, Any]] = [
            {"id": f"id-{name}", "name": name, "retentionRules": [{"everySeconds": kept}] if kept else []}
            for name, kept in self.buckets.items()
            if name == request.query["name"]
        ]  # fmt: skip
        return web.json_response({"buckets": found})

    async def change_bucket(self, request: web.Request) -> web.Response:
        assert self.buckets is not None
        change = await request.json()
        self.buckets[request.match_info["id"].removeprefix("id-")] = change["retentionRules"][0]["everySeconds"]
        return web.json_response({})


@asynccontextmanager
async def fake_influx(**options: Any) -> AsyncIterator[FakeInflux]:  # noqa: ANN401 - FakeInflux's own
    fake = FakeInflux(**options)
    app = web.Application(client_max_size=64 << 20)
    app.router.add_post("/api/v2/write", fake.write)
    app.router.add_get("/api/v2/buckets", fake.list_buckets)
    app.router.add_patch("/api/v2/buckets/{id}", fake.change_bucket)
    # aiohttp unpacks gzip by itself, unless it is told not to.
    runner = web.AppRunner(app, auto_decompress=False, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", fake.port)
    await site.start()
    fake.port = runner.addresses[0][1]
    try:
        yield fake
    finally:
        await runner.cleanup()


@asynccontextmanager
async def client_of(fake: FakeInflux, **settings: Any) -> AsyncIterator[InfluxServer]:  # noqa: ANN401 - settings
    async with server(InfluxSettings(url=fake.url, **settings)) as client:
        yield client
