"""What API clients say and see of people; see docs/api.md. Nothing of a person is ever in a path or a query."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from aiohttp import web
from msgspec import Meta

from hub import clock
from hub.api.auth import operator_of
from hub.api.problems import Problem
from hub.core.people.passwords import CHARACTERS_MAX, CHARACTERS_MIN
from hub.core.people.privacy_requests import Check, CheckHow, PrivacyRight, RequestState
from hub.core.people.transactions import TransactionState
from hub.errors import ErasureIncomplete, PeopleError
from hub.operators import is_person
from hub.store.people import By

PEOPLE_CODES = ("person_needed", "database_unavailable")
"""What every route about people may answer with."""

_CLEAN = r"^[^\u0000-\u001f\u007f]*(?![\s\S])"
_FILLED = r"^(?=.*\S)[^\u0000-\u001f\u007f]*(?![\s\S])"

Email = Annotated[str, Meta(min_length=3, max_length=300)]
Name = Annotated[str, Meta(max_length=120, pattern=_CLEAN)]
Why = Annotated[str, Meta(min_length=1, max_length=200, pattern=_FILLED)]
Note = Annotated[str, Meta(min_length=1, max_length=500, pattern=_FILLED)]
Badge = Annotated[str, Meta(min_length=1, max_length=64, pattern=_FILLED)]
Password = Annotated[str, Meta(min_length=CHARACTERS_MIN, max_length=CHARACTERS_MAX)]
Limit = Annotated[int, Meta(ge=1, le=500)]
Time = Annotated[datetime, Meta(tz=True)]

_Serve = Callable[[web.Request, By], Awaitable[web.StreamResponse]]


def personal(serve: _Serve) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Let only people call it, never `machine.…`; say what cannot be as a problem."""

    async def wrapped(request: web.Request) -> web.StreamResponse:
        operator = operator_of(request)
        if not is_person(operator):
            raise Problem("person_needed", f"{operator} is a machine; people's data is for people.")
        try:
            return await serve(request, By(operator, clock.wall()))
        except PeopleError as error:
            raise Problem(error.code, str(error)) from None
        except ErasureIncomplete as error:
            raise Problem("erasure_incomplete", f"{error}.", retry_after_s=60) from None

    return wrapped


def id_in(request: web.Request, name: str) -> UUID:
    """Return the id in the path. Raises Problem `<name>_unknown` for what is none."""
    try:
        return UUID(request.match_info[name])
    except ValueError:
        raise Problem(f"{name}_unknown", "Ids are UUIDs; this one is not.") from None


class AccountBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A person, as the organisation names them."""

    email: Email
    name: Name = ""


class AccountsParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which accounts; restricted ones are in no list."""

    active: bool | None = None
    limit: Limit = 100
    cursor: str | None = None


class AccountSearch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom one looks for: by e-mail, badge, or a part of the e-mail or name. In a body, for queries are logged."""

    email: Email | None = None
    badge: Badge | None = None
    part: Annotated[str, Meta(min_length=2, max_length=120)] | None = None
    limit: Limit = 100
    cursor: str | None = None


class Rectification(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is right; what is left out stays."""

    email: Email | None = None
    name: Name | None = None


class Restriction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why the data is kept and not used."""

    why: Why


class CredentialBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A password; only what scrypt makes of it is stored."""

    password: Password


class BadgeBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A badge's number."""

    number: Badge


class NoticeBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new version of the privacy notice."""

    body: Annotated[str, Meta(min_length=1, max_length=60_000)]
    effective_at: Time


@dataclass(frozen=True, slots=True)
class AccountView:
    """An account. `actor` is what commands and events carry."""

    id: UUID
    actor: UUID
    email: str
    name: str
    created_at: datetime
    deactivated_at: datetime | None
    restricted_at: datetime | None
    restricted_why: str | None
    has_credential: bool


@dataclass(frozen=True, slots=True)
class AccountPage:
    """Accounts, and where to go on."""

    items: list[AccountView]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class BadgeView:
    """A badge."""

    id: UUID
    number: str
    added_at: datetime


@dataclass(frozen=True, slots=True)
class BadgeList:
    """A person's badges."""

    items: list[BadgeView]


@dataclass(frozen=True, slots=True)
class NoticeLine:
    """A version of the privacy notice, without its text."""

    version: int
    effective_at: datetime
    published_at: datetime
    published_by: str
    characters: int


@dataclass(frozen=True, slots=True)
class NoticeList:
    """All versions, newest first."""

    items: list[NoticeLine]


@dataclass(frozen=True, slots=True)
class NoticeView:
    """A version of the privacy notice."""

    version: int
    body: str
    effective_at: datetime
    published_at: datetime
    published_by: str


class TransactionBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody is to do at a locker. Without `expires_s` it waits until it is ended."""

    account: UUID
    kind: Annotated[str, Meta(max_length=40)]
    locker: Annotated[str, Meta(max_length=32)]
    door: Annotated[int, Meta(ge=1, le=999)] | None = None
    expires_s: Annotated[int, Meta(ge=60, le=31_536_000)] | None = None


class TransactionsParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which transactions."""

    account: UUID | None = None
    locker: Annotated[str, Meta(max_length=32)] | None = None
    state: TransactionState | None = None
    limit: Limit = 100
    cursor: str | None = None


class EndBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How it ended; `expired` is the hub's word alone."""

    state: Literal["completed", "cancelled", "abandoned"]


class RatingBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the person thinks of it."""

    score: Annotated[int, Meta(ge=1, le=5)]
    comment: Note | None = None


class CodeBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long the code is valid; an hour if it is not said."""

    expires_s: Annotated[int, Meta(ge=60)] = 3600


class CodeCheck(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A code as it was typed or read."""

    code: Annotated[str, Meta(min_length=1, max_length=64)]


@dataclass(frozen=True, slots=True)
class TransactionView:
    """A transaction."""

    id: UUID
    account: UUID
    kind: str
    locker: str
    door: int | None
    state: TransactionState
    opened_at: datetime
    expires_at: datetime | None
    ended_at: datetime | None
    rating: int | None


@dataclass(frozen=True, slots=True)
class TransactionPage:
    """Transactions, and where to go on."""

    items: list[TransactionView]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class KindView:
    """A use of lockers."""

    id: str
    title: str


@dataclass(frozen=True, slots=True)
class KindList:
    """What lockers are used for."""

    items: list[KindView]


@dataclass(frozen=True, slots=True)
class CodeView:
    """A code, shown this once."""

    code: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class CodeOpens:
    """What a right code is for. `check` is the Idempotency-Key for the command that opens the door."""

    transaction: UUID
    kind: str
    locker: str
    door: int | None
    actor: UUID
    expires_at: datetime
    check: UUID


class RequestBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a person, or an agent for them, asks for. The month begins at `received_at`, now if it is not said."""

    account: UUID
    kind: PrivacyRight
    by_agent: bool = False
    received_at: Time | None = None


class RequestsParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which requests."""

    account: UUID | None = None
    state: RequestState | None = None
    overdue: bool = False
    limit: Limit = 100
    cursor: str | None = None


class CheckBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was looked at (`note`); or, of the identity, the person's `password`."""

    what: Check = Check.IDENTITY
    note: Note | None = None
    password: Annotated[str, Meta(max_length=CHARACTERS_MAX)] | None = None


class AnswerBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The answer to a request."""

    state: Literal["done", "partly", "refused"]
    answer: Annotated[str, Meta(min_length=1, max_length=2000)]


class CarryOutBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is right (rectification); why it is not to be used (restriction, objection)."""

    email: Email | None = None
    name: Name | None = None
    why: Why | None = None


@dataclass(frozen=True, slots=True)
class CheckView:
    """What was verified, how, and by whom."""

    what: Check
    how: CheckHow
    note: str | None
    checked_at: datetime
    checked_by: str


@dataclass(frozen=True, slots=True)
class RequestLine:
    """A request. `account` is null once the person was erased."""

    id: UUID
    account: UUID | None
    kind: PrivacyRight
    by_agent: bool
    state: RequestState
    received_at: datetime
    received_by: str
    deadline_at: datetime
    answered_at: datetime | None
    answered_by: str | None
    answer: str | None


@dataclass(frozen=True, slots=True)
class RequestView(RequestLine):
    """A request with what was verified for it."""

    checks: list[CheckView]


@dataclass(frozen=True, slots=True)
class RequestPage:
    """Requests, and where to go on."""

    items: list[RequestLine]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class ErasedView:
    """What an erasure came to: rows by table that are gone, and that a hold keeps."""

    deleted: dict[str, int]
    kept: dict[str, int]
    lockers: int
    partly: bool
    answer: str
