"""Commands name nobody whose data is not to be used: refused before anything else looks at them."""

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import msgspec
from aiohttp import web

from hub.api.problems import Problem
from hub.api.routes import Route

_PATHS = frozenset({"/api/v1/lockers/{locker}/commands"})


class _Named(msgspec.Struct):
    actor: UUID | None = None


def refusing_barred(routes: list[Route], is_barred: Callable[[UUID], bool]) -> list[Route]:
    """Return the routes; those that take a command refuse an actor who is barred (409 account_restricted)."""
    return [_refusing(route, is_barred) if route.path in _PATHS else route for route in routes]


def _refusing(route: Route, is_barred: Callable[[UUID], bool]) -> Route:
    async def serve(request: web.Request) -> web.StreamResponse:
        actor = _actor_of(await request.read())
        if actor is not None and is_barred(actor):
            raise Problem(
                "account_restricted", "The person's data is kept and not used, or was erased: name another actor."
            )
        return await route.serve(request)

    return replace(route, serve=serve, codes=(*route.codes, "account_restricted"))


def _actor_of(body: bytes) -> UUID | None:
    try:
        return msgspec.json.decode(body, type=_Named).actor
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # the route itself says what is wrong with it
