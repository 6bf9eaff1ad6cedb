"""Routes of a standby: it says that it is one, to machines that watch it and to everybody else."""

from aiohttp import web

from hub.api.problems import Problem
from hub.api.routes import Route
from hub.health.checks import Check, run_checks

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_RETRY_AFTER_S = 1.0


def standby_routes(check: Check) -> list[Route]:
    """Return routes that refuse everything, with what the check says."""

    async def refuse(_: web.Request) -> web.StreamResponse:
        said = await run_checks({"lease": check})
        raise Problem("standby", f"{said['lease']}.", retry_after_s=_RETRY_AFTER_S)

    return [
        Route(method, "/{any:.*}", "This hub is a standby", refuse, public=True, documented=False)
        for method in _METHODS
    ]
