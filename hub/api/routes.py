"""What a route is: enough to serve it, to check what comes in, and to document it."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar
from uuid import UUID, uuid4, uuid5

import msgspec
import orjson
from aiohttp import web

from hub.api.problems import Problem
from hub.api.values import check_is_time, check_values
from hub.core.printable import composed
from hub.operators import Role

_Q = TypeVar("_Q")
_KEY_CHARACTERS_MAX: Final = 200
_LOOKS: Final = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class Route:
    """One operation of the API.

    `query`, `body` and the values of `answers` are the types that are documented; `codes` are the problems that it
    may answer with, beside those that every route has.
    """

    method: str
    path: str
    summary: str
    serve: Callable[[web.Request], Awaitable[web.StreamResponse]]
    query: type | None = None
    body: type | None = None
    headers: dict[str, str] = field(default_factory=dict)
    answers: dict[int, type | None] = field(default_factory=dict)
    codes: tuple[str, ...] = ()
    public: bool = False
    """Served without sign-in."""
    documented: bool = True
    role: Role | None = None
    """Who may call it; None: viewers where it only looks, operators where it acts."""

    @property
    def needs(self) -> Role | None:
        """The least role that may call it; None where everybody may."""
        if self.public:
            return None
        return self.role or (Role.VIEWER if self.method in _LOOKS else Role.OPERATOR)


def needing(role: Role, routes: Iterable[Route]) -> list[Route]:
    """Return the routes as ones that need this role."""
    return [replace(route, role=role) for route in routes]


def answer(data: object, status: int = 200) -> web.Response:
    """Return a JSON answer."""
    return web.Response(
        body=orjson.dumps(data, option=orjson.OPT_UTC_Z), status=status, content_type="application/json"
    )


def read_query(request: web.Request, kind: type[_Q]) -> _Q:
    """Read the query string into a struct. Raises Problem bad_request, naming the parameter."""
    given: dict[str, Any] = {}
    for key, value in request.query.items():
        if key in given:
            raise Problem("bad_request", f"The parameter {key!r} is given twice.")
        given[key] = composed(value)
    try:
        for key, value in given.items():
            check_is_time(kind, key, value)
        read = msgspec.convert(given, kind, strict=False)
        check_values(read)
    except ValueError as error:  # msgspec.ValidationError is one
        raise Problem("bad_request", f"Query parameter: {error}.") from None
    return read


async def read_body(request: web.Request, kind: type[_Q], code: str = "bad_request") -> _Q:
    """Read a JSON body into a struct. Raises Problem not_json, too_large, or `code` with what was wrong."""
    if request.content_type != "application/json":
        raise Problem("not_json", f"Content-Type is {request.content_type!r}; application/json is right.")
    text = await request.read()
    try:
        read = msgspec.json.decode(text, type=kind)
        check_values(read)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise Problem(code, f"The body: {error}.") from None
    return read


def id_of_key(request: web.Request, namespace: UUID, caller: str, *scope: str) -> UUID:
    """Return the id that the header `Idempotency-Key` stands for; a new one without it.

    The same caller's same key in the same scope is the same id, also after a restart; another caller's is another
    one, so nobody is answered with what became of somebody else's request. Neither `caller` nor a scope has a line
    break in it. Raises Problem bad_request.
    """
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return uuid4()
    if not 1 <= len(key) <= _KEY_CHARACTERS_MAX:
        raise Problem("bad_request", f"Idempotency-Key has 1 to {_KEY_CHARACTERS_MAX} characters.")
    try:
        return uuid5(namespace, "\n".join((caller, *scope, key)))
    except UnicodeEncodeError:
        raise Problem("bad_request", "Idempotency-Key is not UTF-8.") from None
