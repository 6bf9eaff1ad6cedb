"""Refusals: RFC 9457 problem details with a stable code."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import orjson
from aiohttp import web

from hub.core.commands import Refusal
from hub.submission import Refused


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
    "second_person_needed": (403, "A second person has to approve this"),
    "not_found": (404, "There is nothing here"),
    "command_unknown": (404, "The command is not known"),
    "job_unknown": (404, "The job is not known"),
    Refusal.LOCKER_UNKNOWN: (404, "The locker is not known"),
    Refusal.DOOR_UNKNOWN: (404, "The locker has no such door"),
    "method_not_allowed": (405, "The method does not apply here"),
    Refusal.LOCKER_OFFLINE: (409, "The locker is offline"),
    Refusal.LOCKER_CLOCK_UNKNOWN: (409, "The locker's clock is not known yet"),
    Refusal.LOCKER_QUEUE_FULL: (409, "Too many commands wait for the locker"),
    Refusal.TOO_LATE: (409, "It is too late for that"),
    Refusal.ALREADY_SETTLED: (409, "The command has ended"),
    Refusal.DOOR_BUSY: (409, "The door is busy"),
    Refusal.DOOR_OUT_OF_SERVICE: (409, "The door is out of service"),
    "job_state": (409, "The job is not in a state for that"),
    "no_second_person": (409, "There is no second person to approve this"),
    "too_many_jobs": (409, "Too many jobs have not ended"),
    "too_large": (413, "The request is too large"),
    "not_json": (415, "The body has to be JSON"),
    "bad_command": (422, "The command is not acceptable"),
    "bad_job": (422, "The job is not acceptable"),
    "no_targets": (422, "Nothing fits the filter"),
    "too_many_targets": (422, "The filter takes too much"),
    Refusal.IDEMPOTENCY_KEY_REUSED: (422, "The Idempotency-Key was used for something else"),
    Refusal.RATE_LIMITED: (429, "Too many commands"),
    "too_many_attempts": (429, "Too many attempts to sign in"),
    "internal": (500, "The hub made a mistake"),
    Refusal.DATABASE_UNAVAILABLE: (503, "The database does not answer"),
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
