"""Who may call: on this machine everyone, from elsewhere an operator, by a token that is theirs alone."""

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from hub import clock
from hub.api.problems import Problem
from hub.api.routes import Route, answer, read_body
from hub.config.consistency import is_loopback
from hub.config.settings import HttpSettings
from hub.core.rates import TokenBucket
from hub.operators import LOCAL, Operators, Role

COOKIE: Final = "lockerhub_session"

_SESSION_MS: Final = 12 * 3_600_000
_SESSIONS_MAX: Final = 1000
_ATTEMPTS_PER_MINUTE: Final = 20
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OPERATOR: Final = web.RequestKey("operator", str)
_ROLE: Final = web.RequestKey("role", Role)


class SignIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What signs a browser in."""

    token: str


class SessionView(msgspec.Struct, frozen=True):
    """Whether one has to sign in, and has; and as whom. `operator` and `role` are null for a stranger."""

    needed: bool
    signed_in: bool
    operator: str | None
    role: Role | None


class Auth:
    """The operators' tokens, and the browsers that showed one.

    Only hashes of sessions are kept. The cookie is essential to the service, as the privacy notice wants it.
    """

    def __init__(self, config: HttpSettings) -> None:
        self.operators = Operators.read(config.token_file)
        self._local_only = is_loopback(config.host)
        self._hosts = {"localhost", "127.0.0.1", "::1", config.host, *config.allowed_hosts}
        self._sessions: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self._attempts = TokenBucket(_ATTEMPTS_PER_MINUTE, _ATTEMPTS_PER_MINUTE)
        self._told: dict[str, set[Callable[[], None]]] = {}
        """Who wants to know when a session ends."""

    def routes(self) -> list[Route]:
        """Return the routes of the session."""
        return [
            Route(
                "GET", "/api/v1/session", "Say whether sign-in is needed", self._get,
                answers={200: SessionView}, public=True,
            ),
            Route(
                "POST", "/api/v1/session", "Sign in with an operator's token", self._post,
                body=SignIn, answers={200: SessionView},
                codes=("token_wrong", "too_many_attempts", "not_json", "too_large"), public=True,
            ),
            Route("DELETE", "/api/v1/session", "Sign out", self._delete, answers={204: None}, public=True),
        ]  # fmt: skip

    def check_origin(self, request: web.Request) -> None:
        """Raise Problem for a browser that was sent here by another site."""
        host = _host_name(request.headers.get("Host", ""))
        if self._local_only and host not in self._hosts:
            # A foreign name that resolves to this machine is DNS rebinding.
            raise Problem("foreign_host", f"{host[:80]!r} is not a name of this hub; http.allowed_hosts adds one.")
        origin = request.headers.get("Origin")
        unsafe = request.method not in _SAFE_METHODS or "Upgrade" in request.headers
        if origin is not None and unsafe and _site(origin) != request.headers.get("Host"):
            raise Problem("foreign_origin", f"Pages of {origin[:80]!r} may not use this hub.")

    def check_may(self, request: web.Request, needed: Role) -> None:
        """Note who calls (`operator_of`, `role_of`). Raises Problem for who may not do what needs this role."""
        operator = self._who(request)
        if operator is None:
            raise Problem("sign_in_needed", "Send `Authorization: Bearer <token>`, or sign in on the page.")
        role = self.operators.role_of(operator)
        if not role.covers(needed):
            raise Problem(
                "role_needed",
                f"{operator} has the role {role}, and this needs {needed}; http.token_file gives roles.",
            )
        request[_OPERATOR], request[_ROLE] = operator, role

    def may_stay(self, request: web.Request) -> bool:
        """Say whether who was let in before would be let in now."""
        return self._who(request) is not None

    def tell_of_end(self, request: web.Request, tell: Callable[[], None]) -> Callable[[], None]:
        """Call `tell` once the request's session is signed out. Returns what ends that interest."""
        session = _digest(request.cookies.get(COOKIE, ""))
        if session not in self._sessions:
            return lambda: None
        waiting = self._told.setdefault(session, set())
        waiting.add(tell)

        def forget() -> None:
            waiting.discard(tell)
            if not waiting and self._told.get(session) is waiting:
                del self._told[session]

        return forget

    def _end(self, session: str) -> None:
        self._sessions.pop(session, None)
        for tell in self._told.pop(session, set()):
            tell()

    def _who(self, request: web.Request) -> str | None:
        if not self.operators.needed:
            return LOCAL
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and (operator := self.operators.who(token.strip())) is not None:
            return operator
        ends_ms, operator = self._sessions.get(_digest(request.cookies.get(COOKIE, "")), (0.0, None))
        return operator if clock.now_ms() < ends_ms else None

    def _view(self, operator: str | None) -> dict[str, object]:
        return {
            "needed": self.operators.needed,
            "signed_in": operator is not None,
            "operator": operator,
            "role": None if operator is None else self.operators.role_of(operator),
        }

    async def _get(self, request: web.Request) -> web.Response:
        return answer(self._view(self._who(request)))

    async def _post(self, request: web.Request) -> web.Response:
        wait_ms = self._attempts.take(clock.now_ms())
        if wait_ms:
            raise Problem("too_many_attempts", "Wait a little.", retry_after_s=wait_ms / 1000)
        given = await read_body(request, SignIn)
        operator = self.operators.who(given.token.strip()) if self.operators.needed else LOCAL
        if operator is None:
            raise Problem("token_wrong", "The tokens stand in the hub's http.token_file, each behind its name.")
        session = secrets.token_urlsafe(32)
        while len(self._sessions) >= _SESSIONS_MAX:
            self._end(next(iter(self._sessions)))
        self._sessions[_digest(session)] = (clock.now_ms() + _SESSION_MS, operator)
        response = answer(self._view(operator))
        response.set_cookie(
            COOKIE, session, httponly=True, samesite="Strict", secure=request.secure, max_age=_SESSION_MS // 1000
        )
        return response

    async def _delete(self, request: web.Request) -> web.Response:
        self._end(_digest(request.cookies.get(COOKIE, "")))
        response = web.Response(status=204)
        response.del_cookie(COOKIE)
        return response


def operator_of(request: web.Request) -> str:
    """Return the name of the operator who calls, on a route that is not public."""
    return request[_OPERATOR]


def role_of(request: web.Request) -> Role:
    """Return the role of the operator who calls, on a route that is not public."""
    return request[_ROLE]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _host_name(header: str) -> str:
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""  # a bracket that closes nothing, for one


def _site(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""
