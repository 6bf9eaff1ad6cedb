"""Health, readiness, metrics, the OpenAPI document."""

import asyncio
from collections.abc import Callable, Mapping

import msgspec
from aiohttp import web

from hub.api.asyncapi import live_document
from hub.api.routes import Route, answer
from hub.health.checks import Check, run_checks
from hub.metrics import Metrics


class HealthResponse(msgspec.Struct, frozen=True):
    """The process answers."""

    status: str
    version: str


class ReadinessResponse(msgspec.Struct, frozen=True):
    """Whether every part is ready, and what each says of itself: `ok`, or a sentence."""

    ready: bool
    checks: dict[str, str]


class _Document:
    """A document that takes long to make. It is made at the first request, beside the loop, and kept."""

    def __init__(self, name: str, make: Callable[[], bytes]) -> None:
        self._name = name
        self._make = make
        self._made: asyncio.Task[bytes] | None = None

    async def serve(self, _: web.Request) -> web.Response:
        """Answer with the document."""
        if self._made is None:
            self._made = asyncio.create_task(asyncio.to_thread(self._make), name=self._name)
        # Whoever asks and leaves takes it from nobody who still waits.
        body = await asyncio.shield(self._made)
        return web.Response(body=body, content_type="application/json")


class ServiceRoutes:
    """The routes for machines that watch machines."""

    def __init__(
        self,
        metrics: Metrics,
        checks: Mapping[str, Check],
        openapi: Callable[[], bytes],
        version: str,
        draining: Callable[[], bool] = lambda: False,
    ) -> None:
        self._metrics = metrics
        self._checks = checks
        self._openapi = _Document("openapi", openapi)
        self._asyncapi = _Document("asyncapi", lambda: live_document(version))
        self._version = version
        self._draining = draining

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route(
                "GET", "/healthz", "The process is alive", self._health, answers={200: HealthResponse}, public=True
            ),
            Route(
                "GET",
                "/readyz",
                "Every part is ready",
                self._ready,
                answers={200: ReadinessResponse, 503: ReadinessResponse},
                public=True,
            ),
            Route("GET", "/metrics", "Prometheus metrics", self._render, documented=False),
            Route("GET", "/openapi.json", "This document", self._openapi.serve, public=True),
            Route("GET", "/asyncapi.json", "The live protocol, as AsyncAPI", self._asyncapi.serve, public=True),
        ]

    async def _health(self, _: web.Request) -> web.Response:
        return answer({"status": "ok", "version": self._version})

    async def _ready(self, _: web.Request) -> web.Response:
        if self._draining():
            # At once, whatever else is wrong: whoever asks is to send nobody here any more.
            return answer({"ready": False, "checks": {"hub": "draining: this hub is about to stop"}}, 503)
        checks = await run_checks(self._checks)
        ready = all(said == "ok" for said in checks.values())
        return answer({"ready": ready, "checks": checks}, 200 if ready else 503)

    async def _render(self, _: web.Request) -> web.Response:
        body, content_type = self._metrics.render()
        return web.Response(body=body, headers={"Content-Type": content_type})
