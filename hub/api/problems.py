"""Refusals: RFC 9457 problem details with a stable code."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import orjson
from aiohttp import web

from hub.commands.result import Refused
from hub.core.commands import CommandRefusal


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
    "person_needed": (403, "A person has to do this"),
    "role_needed": (403, "Your role does not allow this"),
    "not_found": (404, "There is nothing here"),
    "alarm_unknown": (404, "There is no such alarm"),
    "maintenance_unknown": (404, "There is no such maintenance"),
    "account_unknown": (404, "The account is not known"),
    "badge_unknown": (404, "The badge is not known"),
    "code_unknown": (404, "The code is not known"),
    "notice_unknown": (404, "There is no such privacy notice"),
    "request_unknown": (404, "The request is not known"),
    "transaction_unknown": (404, "The transaction is not known"),
    "channel_unknown": (404, "There is no such channel"),
    "command_unknown": (404, "The command is not known"),
    "job_unknown": (404, "The job is not known"),
    "hold_unknown": (404, "The hold is not known"),
    "proof_unknown": (404, "There is no such proof"),
    CommandRefusal.LOCKER_UNKNOWN: (404, "The locker is not known"),
    CommandRefusal.DOOR_UNKNOWN: (404, "The locker has no such door"),
    "method_not_allowed": (405, "The method does not apply here"),
    CommandRefusal.LOCKER_DISABLED: (409, "The locker is disabled"),
    "locker_in_use": (409, "The locker is in use"),
    CommandRefusal.LOCKER_OFFLINE: (409, "The locker is offline"),
    CommandRefusal.LOCKER_CLOCK_UNKNOWN: (409, "The locker's clock is not known yet"),
    CommandRefusal.LOCKER_QUEUE_FULL: (409, "Too many commands wait for the locker"),
    CommandRefusal.TOO_LATE: (409, "It is too late for that"),
    CommandRefusal.ALREADY_SETTLED: (409, "The command has ended"),
    CommandRefusal.NOT_CANCELLABLE: (409, "The command cannot be cancelled"),
    CommandRefusal.DOOR_BUSY: (409, "The door is busy"),
    CommandRefusal.DOOR_OUT_OF_SERVICE: (409, "The door is out of service"),
    "account_closed": (409, "The account is deactivated"),
    "account_exists": (409, "There is an account with this e-mail address"),
    "account_restricted": (409, "The person's data is kept and not used"),
    "door_taken": (409, "The door belongs to another transaction"),
    "badge_taken": (409, "The badge is another person's"),
    "being_erased": (409, "The person is being erased"),
    "identity_unverified": (409, "It is not verified who asks"),
    "request_state": (409, "The request is not in a state for that"),
    "still_stored": (409, "There is something stored of it"),
    "transaction_state": (409, "The transaction is not in a state for that"),
    "hold_ended": (409, "The hold has ended"),
    "retention_running": (409, "Retention is running"),
    "job_state": (409, "The job is not in a state for that"),
    "no_second_person": (409, "There is no second person to approve this"),
    "too_many_windows": (409, "There is too much maintenance planned"),
    "too_many_jobs": (409, "Too many jobs have not ended"),
    "too_large": (413, "The request is too large"),
    "not_json": (415, "The body has to be JSON"),
    "bad_command": (422, "The command is not acceptable"),
    "bad_job": (422, "The job is not acceptable"),
    "bad_hold": (422, "The hold is not acceptable"),
    "bad_code": (422, "The code is not acceptable"),
    "bad_password": (422, "The password is not acceptable"),
    "check_unfit": (422, "The check does not fit the request"),
    "email_wrong": (422, "That is not an e-mail address"),
    "feature_off": (422, "The customer has not asked for this"),
    "kind_unknown": (422, "The kind of transaction is not known"),
    "no_targets": (422, "Nothing fits the filter"),
    "too_many_targets": (422, "The filter takes too much"),
    CommandRefusal.IDEMPOTENCY_KEY_REUSED: (422, "The Idempotency-Key was used for something else"),
    CommandRefusal.RATE_LIMITED: (429, "Too many commands"),
    "too_many_attempts": (429, "Too many attempts to sign in"),
    "too_many_tests": (429, "Too many tests"),
    "internal": (500, "The hub made a mistake"),
    CommandRefusal.DATABASE_UNAVAILABLE: (503, "The database does not answer"),
    CommandRefusal.BROKER_UNAVAILABLE: (503, "The broker does not answer"),
    CommandRefusal.HUB_BUSY: (503, "The hub has too many commands in flight"),
    CommandRefusal.DRAINING: (503, "The hub is stopping"),
    "erasure_incomplete": (503, "Something is left; the hub tries again by itself"),
    "journal_broken": (503, "The journal of erasures is not as it was written"),
    "journal_unwritable": (503, "The journal of erasures cannot be used"),
    "too_many_viewers": (503, "Too many viewers"),
    "standby": (503, "Another hub is active"),
    "too_many_exports": (503, "Too many exports"),
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
