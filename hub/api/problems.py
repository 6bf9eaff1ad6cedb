"""Refusals: RFC 9457 problem details with a stable code."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import orjson
from aiohttp import web

from hub.core.commands import Refusal
from hub.dispatch import Refused


@dataclass(frozen=True, slots=True)
class ProblemView:
    """The body of every refusal."""

    type: str
    status: int
    code: str
    title: str
    detail: str


TITLES: Final[dict[str, tuple[int, str]]] = {
    "bad_request": (400, "The request is not well formed"),
    "sign_in_needed": (401, "Sign in first"),
    "token_wrong": (401, "That is not the token"),
    "foreign_origin": (403, "The request comes from another site"),
    "foreign_host": (403, "The hub is not known under this name"),
    "not_found": (404, "There is nothing here"),
    "command_unknown": (404, "The command is not known"),
    Refusal.LOCKER_UNKNOWN: (404, "The locker is not known"),
    Refusal.DOOR_UNKNOWN: (404, "The locker has no such door"),
    "method_not_allowed": (405, "The method does not apply here"),
    Refusal.LOCKER_OFFLINE: (409, "The locker is offline"),
    Refusal.LOCKER_CLOCK_UNKNOWN: (409, "The locker's clock is not known yet"),
    Refusal.DOOR_BUSY: (409, "The door is busy"),
    Refusal.DOOR_OUT_OF_SERVICE: (409, "The door is out of service"),
    "too_large": (413, "The request is too large"),
    "not_json": (415, "The body has to be JSON"),
    "bad_command": (422, "The command is not acceptable"),
    Refusal.IDEMPOTENCY_KEY_REUSED: (422, "The Idempotency-Key was used for something else"),
    Refusal.RATE_LIMITED: (429, "Too many commands"),
    "too_many_attempts": (429, "Too many attempts to sign in"),
    "internal": (500, "The hub made a mistake"),
    "database_unavailable": (503, "The database does not answer"),
    Refusal.BROKER_UNAVAILABLE: (503, "The broker does not answer"),
    Refusal.HUB_BUSY: (503, "The hub has too many commands in flight"),
    Refusal.DRAINING: (503, "The hub is stopping"),
    "too_many_viewers": (503, "Too many viewers"),
}


class Problem(Exception):  # noqa: N818 - RFC 9457 calls it that
    """A refusal on its way out."""

    def __init__(self, code: str, detail: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.retry_after_s = retry_after_s

    @classmethod
    def of(cls, refused: Refused) -> "Problem":
        """Return a refused command as a problem."""
        return cls(refused.code.value, refused.detail, retry_after_s=refused.retry_after_s)

    def response(self) -> web.Response:
        """Return the answer."""
        status, title = TITLES[self.code]
        body = ProblemView("about:blank", status, self.code, title, self.detail)
        headers = {}
        if self.retry_after_s is not None:
            headers["Retry-After"] = str(max(1, round(self.retry_after_s)))
        if status == HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = "Bearer"
        return web.Response(
            body=orjson.dumps(body), status=status, headers=headers, content_type="application/problem+json"
        )
