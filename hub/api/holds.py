"""Legal holds: data that is kept on order."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID, uuid4

import msgspec
from aiohttp import web
from msgspec import Meta

from hub import clock
from hub.api.auth import operator_of
from hub.api.cursors import Cursor, Time
from hub.api.problems import Problem
from hub.api.routes import Route, answer, read_body, read_query
from hub.core.retention.holds import WHY_CHARACTERS_MAX, HoldOrder, refuse_reason
from hub.operators import is_person
from hub.store.holds import Hold, Holds, Release
from wire.messages import LockerId

_CURSOR: Final = Cursor("holds", tuple[Time, UUID])
Moment = Annotated[datetime, Meta(tz=True)]
Why = Annotated[str, Meta(min_length=1, max_length=WHY_CHARACTERS_MAX)]


class HoldsParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which holds: the active ones, or all."""

    all: bool = False
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    cursor: str | None = None


class NewHold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be kept: all that matches each of the things that are named, at least one of them.

    `since` is included, `before` is not. Without `until` it lasts until it is released.
    """

    why: Why
    locker: LockerId | None = None
    account: UUID | None = None
    transaction: UUID | None = None
    since: Moment | None = None
    before: Moment | None = None
    until: Moment | None = None
    tenant: Annotated[str, Meta(max_length=32)] = "default"


class EndHold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why it is released."""

    why: Why


@dataclass(frozen=True, slots=True)
class HoldPage:
    """Holds, newest first, and where to go on."""

    items: list[Hold]
    next_cursor: str | None


class HoldRoutes:
    """The routes of legal holds."""

    def __init__(self, holds: Holds) -> None:
        self._holds = holds

    def routes(self) -> list[Route]:
        """Return the routes."""
        path, away = "/api/v1/holds", "database_unavailable"
        return [
            Route(
                "GET", path, "Legal holds, newest first", self._list, query=HoldsParameters,
                answers={200: HoldPage}, codes=(away,),
            ),
            Route(
                "POST", path, "Place a legal hold", self._place, body=NewHold, answers={201: Hold},
                codes=("bad_hold", "person_needed", "not_json", "too_large", away),
            ),
            Route(
                "POST", f"{path}/{{id}}/release", "Release a legal hold", self._release, body=EndHold,
                answers={200: Hold},
                codes=("hold_unknown", "hold_ended", "bad_hold", "person_needed", "not_json", "too_large", away),
            ),
        ]  # fmt: skip

    async def _list(self, request: web.Request) -> web.Response:
        wanted = read_query(request, HoldsParameters)
        after = _CURSOR.read(wanted.cursor)
        found = await self._holds.page(active=not wanted.all, after=after, limit=wanted.limit + 1)
        page = found[: wanted.limit]
        more = len(found) > wanted.limit
        return answer(HoldPage(page, _CURSOR.write((page[-1].placed_at, page[-1].id)) if more else None))

    async def _place(self, request: web.Request) -> web.Response:
        operator = _person(request)
        given = await read_body(request, NewHold, "bad_hold")
        order = HoldOrder(
            given.why, given.locker, given.account, given.transaction, given.since, given.before, given.until,
            given.tenant,
        )  # fmt: skip
        hold = uuid4()
        refusal = await self._holds.place(hold, order, by=operator, now=clock.wall())
        if refusal is not None:
            raise Problem("bad_hold", refusal)
        return answer(await self._holds.one(hold), 201)

    async def _release(self, request: web.Request) -> web.Response:
        operator = _person(request)
        given = await read_body(request, EndHold, "bad_hold")
        if (wrong := refuse_reason(given.why)) is not None:
            raise Problem("bad_hold", wrong)
        try:
            hold = UUID(request.match_info["id"])
        except ValueError:
            raise Problem("hold_unknown", "The id of a hold is a UUID.") from None
        done = await self._holds.release(hold, given.why, by=operator, now=clock.wall())
        if done is Release.UNKNOWN:
            raise Problem("hold_unknown", f"There is no hold {hold}.")
        if done is Release.ENDED:
            raise Problem("hold_ended", f"Hold {hold} has ended already.")
        return answer(await self._holds.one(hold))


def _person(request: web.Request) -> str:
    operator = operator_of(request)
    if not is_person(operator):
        raise Problem("person_needed", f"{operator} is a machine; holds are for people to place and release.")
    return operator
