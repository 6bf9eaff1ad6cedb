"""Health, readiness, metrics, the OpenAPI document."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec
from aiohttp import web

from hub.api.problems import Problem
from hub.api.routes import Route, answer
from hub.errors import StoreError
from hub.metrics import Metrics

Check = Callable[[], Awaitable[None]]
"""Raises an exception whose text says what is wrong."""

_CHECK_TIMEOUT_S: Final = 2.0


class Health(msgspec.Struct, frozen=True):
    """The process answers."""

    status: str
    version: str


class Readiness(msgspec.Struct, frozen=True):
    """Whether every part is ready, and what each says of itself: `ok`, or a sentence."""

    ready: bool
    checks: dict[str, str]


class Service:
    """The routes for machines that watch machines."""

    def __init__(
        self, metrics: Metrics, checks: Mapping[str, Check], openapi: Callable[[], bytes], version: str
    ) -> None:
        self._metrics = metrics
        self._checks = checks
        self._openapi = openapi
        self._version = version

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("GET", "/healthz", "The process is alive", self._health, answers={200: Health}, public=True),
            Route(
                "GET", "/readyz", "Every part is ready", self._ready,
                answers={200: Readiness, 503: Readiness}, public=True,
            ),
            Route("GET", "/metrics", "Prometheus metrics", self._render, documented=False),
            Route("GET", "/openapi.json", "This document", self._document, public=True),
        ]  # fmt: skip

    async def _health(self, _: web.Request) -> web.Response:
        return answer({"status": "ok", "version": self._version})

    async def _ready(self, _: web.Request) -> web.Response:
        results = await asyncio.gather(*(self._run(check) for check in self._checks.values()))
        checks = dict(zip(self._checks, results, strict=True))
        ready = all(result == "ok" for result in results)
        return answer({"ready": ready, "checks": checks}, 200 if ready else 503)

    async def _run(self, check: Check) -> str:
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT_S):
                await check()
        except TimeoutError:
            return f"no answer within {_CHECK_TIMEOUT_S:g} s"
        except (StoreError, Problem, ConnectionError) as error:
            return str(error)
        return "ok"

    async def _render(self, _: web.Request) -> web.Response:
        body, content_type = self._metrics.render()
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def _document(self, _: web.Request) -> web.Response:
        return web.Response(body=self._openapi(), content_type="application/json")
