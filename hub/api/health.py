"""How the hub itself is."""

from aiohttp import web

from hub.api.routes import Route, answer
from hub.health.monitor import HealthMonitor
from hub.schemas.health import HubHealthView


def health_routes(health: HealthMonitor) -> list[Route]:
    """Return the route."""

    async def look(_: web.Request) -> web.Response:
        return answer(await health.view())

    return [Route("GET", "/api/v1/health", "How the hub itself is, in figures", look, answers={200: HubHealthView})]
