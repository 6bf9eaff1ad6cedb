"""Who may call: on this machine everyone, from elsewhere whoever has the operators' token."""

import hashlib
import secrets
from collections import OrderedDict
from typing import Final
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from hub import clock
from hub.api.problems import Problem
from hub.api.routes import Route, answer, read_body
from hub.config import Http, is_loopback, read_secret
from hub.core.rates import TokenBucket

COOKIE: Final = "lockerhub_session"

_SESSION_MS: Final = 12 * 3_600_000
_SESSIONS_MAX: Final = 1000
_ATTEMPTS_PER_MINUTE: Final = 20
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class SignIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What signs a browser in."""

    token: str


class SessionView(msgspec.Struct, frozen=True):
    """Whether one has to sign in, and has."""

    needed: bool
    signed_in: bool


class Auth:
    """The operators' token, and the browsers that showed it.

    Only hashes of sessions are kept. The cookie is essential to the service, as the privacy notice wants it.
    """

    def __init__(self, config: Http) -> None:
        self._token: str | None = None
        if config.token_file is not None:
            self._token = _digest(read_secret(config.token_file, "http.token_file"))
        self._local_only = is_loopback(config.host)
        self._hosts = {"localhost", "127.0.0.1", "::1", config.host, *config.allowed_hosts}
        self._sessions: OrderedDict[str, float] = OrderedDict()
        self._attempts = TokenBucket(_ATTEMPTS_PER_MINUTE, _ATTEMPTS_PER_MINUTE)

    def routes(self) -> list[Route]:
        """Return the routes of the session."""
        return [
            Route(
                "GET", "/api/v1/session", "Say whether sign-in is needed", self._get,
                answers={200: SessionView}, public=True,
            ),
            Route(
                "POST", "/api/v1/session", "Sign in with the operators' token", self._post,
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

    def check_signed_in(self, request: web.Request) -> None:
        """Raise Problem unless the caller may go on."""
        if not self._may(request):
            raise Problem("sign_in_needed", "Send `Authorization: Bearer <token>`, or sign in on the page.")

    def _may(self, request: web.Request) -> bool:
        if self._token is None:
            return True
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and secrets.compare_digest(_digest(token.strip()), self._token):
            return True
        ends_ms = self._sessions.get(_digest(request.cookies.get(COOKIE, "")))
        return ends_ms is not None and clock.now_ms() < ends_ms

    async def _get(self, request: web.Request) -> web.Response:
        return answer({"needed": self._token is not None, "signed_in": self._may(request)})

    async def _post(self, request: web.Request) -> web.Response:
        wait_ms = self._attempts.take(clock.now_ms())
        if wait_ms:
            raise Problem("too_many_attempts", "Wait a little.", retry_after_s=wait_ms / 1000)
        given = await read_body(request, SignIn)
        if self._token is not None and not secrets.compare_digest(_digest(given.token), self._token):
            raise Problem("token_wrong", "The token is the first line of the hub's http.token_file.")
        session = secrets.token_urlsafe(32)
        while len(self._sessions) >= _SESSIONS_MAX:
            self._sessions.popitem(last=False)
        self._sessions[_digest(session)] = clock.now_ms() + _SESSION_MS
        response = answer({"needed": self._token is not None, "signed_in": True})
        response.set_cookie(
            COOKIE, session, httponly=True, samesite="Strict", secure=request.secure, max_age=_SESSION_MS // 1000
        )
        return response

    async def _delete(self, request: web.Request) -> web.Response:
        self._sessions.pop(_digest(request.cookies.get(COOKIE, "")), None)
        response = web.Response(status=204)
        response.del_cookie(COOKIE)
        return response


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
