"""The HTTP server: routes, and what every request passes through."""

import logging
import re
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from typing import Final

from aiohttp import web

from hub.api.auth import Auth
from hub.api.problems import Problem
from hub.api.routes import Route
from hub.config.settings import HttpSettings
from hub.errors import ConfigError, StoreError, StoreRejected
from hub.metrics import Metrics
from hub.operators import Role

_log = logging.getLogger(__name__)
# How the router names a route whose parameter has a pattern.
_PATTERN = re.compile(r"\{(\w+):[^}]+\}")
_Serve = Callable[[web.Request], Awaitable[web.StreamResponse]]
_BACKLOG: Final = 128
_SHUTDOWN_S: Final = 0.5
"""Whoever waits was answered before; what is left are exports. aiohttp waits twice as long for them."""
_FOR_PROGRAMS: Final = ("/api/", "/static/")


def application(
    routes: list[Route], auth: Auth, metrics: Metrics, config: HttpSettings, lost: Route | None = None
) -> web.Application:
    """Return the application that serves the routes. `lost` answers people whose address is none."""
    by_resource: dict[tuple[str, str], Route] = {
        (route.method, _PATTERN.sub(r"{\1}", route.path)): route for route in routes
    }

    @web.middleware
    async def guard(request: web.Request, handler: _Serve) -> web.StreamResponse:
        resource = request.match_info.route.resource
        path = resource.canonical if resource is not None else ""
        started = time.perf_counter()
        status = 500
        try:
            route = by_resource.get((request.method, path))
            if route is None and lost is not None and _is_of_a_person(request):
                route, handler = lost, lost.serve
            response = await _answer(request, handler, auth, route)
            status = response.status
            return response
        finally:
            # A websocket's hours would drown what requests take.
            if status != HTTPStatus.SWITCHING_PROTOCOLS:
                labels = (path or "none", request.method if path else "other", str(status))
                metrics.http_seconds.labels(*labels).observe(time.perf_counter() - started)

    app = web.Application(middlewares=[guard], client_max_size=config.body_bytes_max)
    for route in routes:
        app.router.add_route(route.method, route.path, route.serve)
    return app


@contextmanager
def listening(config: HttpSettings, given: Sequence[socket.socket] = ()) -> Iterator[list[socket.socket]]:
    """Listen on every address of the host for as long as the block lasts. Raises ConfigError if one is taken.

    Whoever connects before something is served there waits in the kernel's queue. `given` listen already: nothing
    else is listened on then.
    """
    with ExitStack() as stack:
        if given:
            yield [stack.enter_context(listener.dup()) for listener in given]
            return
        try:
            found = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            listeners = []
            for family, address in dict.fromkeys((family, address) for family, _, _, _, address in found):
                listener = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
                listener.setblocking(False)  # noqa: FBT003 - the library's own
                listeners.append(stack.enter_context(listener))
        except OSError as error:
            raise ConfigError(f"cannot listen on {config.host}:{config.port}: {error.strerror or error}") from None
        yield listeners


async def start(app: web.Application, listeners: Sequence[socket.socket]) -> web.AppRunner:
    """Serve what comes to the listeners, which stay open when the runner ends."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    for listener in listeners:
        await web.SockSite(runner, listener.dup(), backlog=_BACKLOG).start()
    return runner


async def stop_accepting(runner: web.AppRunner) -> None:
    """Take no new connections; those that are there are served. Whoever connects waits in the kernel's queue."""
    for site in list(runner.sites):
        await site.stop()


def _is_of_a_person(request: web.Request) -> bool:
    html = request.method == "GET" and "text/html" in request.headers.get("Accept", "")
    return html and not request.path.startswith(_FOR_PROGRAMS)


async def _answer(request: web.Request, serve: _Serve, auth: Auth, route: Route | None) -> web.StreamResponse:
    try:
        auth.check_origin(request)
        # Whether there is such a route is nothing that a stranger has to know.
        needed = Role.VIEWER if route is None else route.needs
        if needed is not None:
            auth.check_may(request, needed)
        return await serve(request)
    except Problem as problem:
        return problem.response()
    except StoreRejected as error:
        return Problem("bad_request", f"The database cannot take these values: {error}.").response()
    except StoreError as error:
        return Problem("database_unavailable", f"{error}.", retry_after_s=2).response()
    except web.HTTPNotFound:
        return Problem("not_found", "No route of this hub has that path; see /openapi.json.").response()
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        response = Problem(
            "method_not_allowed", f"{request.method} does not apply here; {allowed} does."
        ).response()
        response.headers["Allow"] = allowed
        return response
    except web.HTTPRequestEntityTooLarge as error:
        return Problem("too_large", f"{error.text}.").response()
    except web.HTTPException as error:
        return Problem("bad_request", f"{error.reason}.").response()
    except Exception:  # noqa: BLE001 - see below
        # The one place where a mistake of ours meets a caller: it is logged whole, and the caller learns no more.
        _log.exception("A request failed", extra={"path": request.path, "method": request.method})
        return Problem("internal", "It is in the hub's log.").response()
