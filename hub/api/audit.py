"""The audit: who did what, newest first."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web
from msgspec import Meta

from hub.api.cursors import Cursor
from hub.api.people_views import PEOPLE_CODES, personal
from hub.api.routes import Route, answer, read_query
from hub.store.audit import audit_page
from hub.store.database import Database
from hub.store.people import By

_CURSOR: Final = Cursor("audit", int)


class AuditParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which rows: of an operator, of an action, about a subject (`kind:id`)."""

    who: Annotated[str, Meta(max_length=64)] | None = None
    action: Annotated[str, Meta(max_length=60)] | None = None
    subject: Annotated[str, Meta(max_length=120)] | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class AuditView:
    """One thing that was done. `subject` is null where it had none, or a person's who was erased."""

    id: int
    at: datetime
    who: str
    action: str
    subject: str | None
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Rows of the audit, and where to go on."""

    items: list[AuditView]
    next_cursor: str | None


class AuditRoutes:
    """The routes of the audit."""

    def __init__(self, store: Database) -> None:
        self._store = store

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route(
                "GET", "/api/v1/audit", "Who did what, newest first", personal(self._list),
                query=AuditParameters, answers={200: AuditPage}, codes=PEOPLE_CODES,
            ),
        ]  # fmt: skip

    async def _list(self, request: web.Request, by: By) -> web.Response:
        del by
        wanted = read_query(request, AuditParameters)
        rows = await audit_page(
            self._store,
            limit=wanted.limit + 1,
            before=_CURSOR.read(wanted.cursor),
            who=wanted.who,
            action=wanted.action,
            subject=wanted.subject,
        )
        page = rows[: wanted.limit]
        following = _CURSOR.write(page[-1]["id"]) if len(rows) > len(page) else None
        return answer(AuditPage([AuditView(**row) for row in page], following))
