"""What people ask for about their data: asked, verified, carried out, answered."""

import asyncio
import tempfile
from pathlib import Path
from typing import Final
from uuid import UUID

from aiohttp import web

from hub.api.cursors import Cursor, Time
from hub.api.people_views import (
    PEOPLE_CODES,
    AnswerBody,
    CarryOutBody,
    CheckBody,
    CheckView,
    RequestBody,
    RequestLine,
    RequestPage,
    RequestsParameters,
    RequestView,
    id_in,
    personal,
)
from hub.api.routes import Route, answer, read_body, read_query
from hub.core.people.privacy_requests import CheckHow, RequestState
from hub.errors import PeopleError
from hub.people.privacy_requests import PersonDetails, PrivacyRequests
from hub.store.people import By
from hub.store.privacy_requests import RequestsQuery

_CURSOR: Final = Cursor("rights", tuple[Time, UUID])
_ONE: Final = ("request_unknown", *PEOPLE_CODES)
_BODY: Final = ("not_json", "too_large")
_VERIFIED: Final = ("identity_unverified", "request_state")
_CHUNK_BYTES: Final = 1 << 18


class PrivacyRequestRoutes:
    """The routes of requests."""

    def __init__(self, desk: PrivacyRequests) -> None:
        self._desk = desk
        self._requests = desk.requests

    def routes(self) -> list[Route]:
        """Return the routes."""
        one = "/api/v1/rights/{request}"
        return [
            Route(
                "POST", "/api/v1/rights", "Note what a person asks for", personal(self._open),
                body=RequestBody, answers={201: RequestView}, codes=("account_unknown", *_BODY, *PEOPLE_CODES),
            ),
            Route(
                "GET", "/api/v1/rights", "Requests, newest first", personal(self._list),
                query=RequestsParameters, answers={200: RequestPage}, codes=PEOPLE_CODES,
            ),
            Route("GET", one, "One request", personal(self._show), answers={200: RequestView}, codes=_ONE),
            Route(
                "POST", f"{one}/checks", "Verify who asks, and note how", personal(self._check),
                body=CheckBody, answers={200: RequestView},
                codes=("check_unfit", "too_many_attempts", *_VERIFIED, *_BODY, *_ONE),
            ),
            Route(
                "POST", f"{one}/export", "Answer with the archive of all that is stored (ZIP)",
                personal(self._export), answers={200: None}, codes=(*_VERIFIED, *_ONE),
            ),
            Route(
                "POST", f"{one}/carry-out", "Do what is asked for, and answer", personal(self._carry_out),
                body=CarryOutBody, answers={200: RequestView},
                codes=(
                    "email_wrong", "account_unknown", "account_exists", "being_erased", "erasure_incomplete",
                    "journal_broken", "journal_unwritable", *_VERIFIED, *_BODY, *_ONE,
                ),
            ),
            Route(
                "POST", f"{one}/answer", "Answer by hand: refused, for one", personal(self._answer),
                body=AnswerBody, answers={200: RequestView}, codes=(*_VERIFIED, *_BODY, *_ONE),
            ),
        ]  # fmt: skip

    async def _open(self, request: web.Request, by: By) -> web.Response:
        body = await read_body(request, RequestBody)
        if body.received_at is not None and body.received_at > by.at:
            raise PeopleError("bad_request", "`received_at` lies in the future.")
        row = await self._requests.open(
            body.account, body.kind, by, by_agent=body.by_agent, received_at=body.received_at
        )  # fmt: skip
        return answer(_view(row), 201)

    async def _list(self, request: web.Request, by: By) -> web.Response:
        wanted = read_query(request, RequestsParameters)
        after = _CURSOR.read(wanted.cursor)
        query = RequestsQuery(wanted.limit + 1, by.at, wanted.account, wanted.state, wanted.overdue, after)
        rows = await self._requests.page(query)
        page = rows[: wanted.limit]
        following = _CURSOR.write((page[-1]["received_at"], page[-1]["id"])) if len(rows) > len(page) else None
        return answer(RequestPage([RequestLine(**row) for row in page], following))

    async def _show(self, request: web.Request, by: By) -> web.Response:
        del by
        return answer(_view(await self._requests.request(id_in(request, "request"))))

    async def _check(self, request: web.Request, by: By) -> web.Response:
        body = await read_body(request, CheckBody)
        one = id_in(request, "request")
        if (body.password is None) == (body.note is None):
            raise PeopleError("bad_request", "Give either `note`, what was looked at, or the person's `password`.")
        if body.password is not None:
            await self._desk.sign_in(one, body.password, by)
        else:
            await self._requests.check(one, body.what, CheckHow.RECORDED, body.note, by)
        return answer(_view(await self._requests.request(one)))

    async def _export(self, request: web.Request, by: By) -> web.StreamResponse:
        one = id_in(request, "request")
        with tempfile.TemporaryDirectory(prefix="lockerhub-export-") as folder:
            path = Path(folder) / "person.zip"
            await self._desk.export(one, path, by)
            response = web.StreamResponse(
                headers={
                    "Content-Type": "application/zip", "Cache-Control": "no-store",
                    "Content-Disposition": f'attachment; filename="request-{one}.zip"',
                }
            )  # fmt: skip
            response.content_length = path.stat().st_size
            await response.prepare(request)
            with path.open("rb") as file:
                while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
                    await response.write(chunk)
            await response.write_eof()
        return response

    async def _carry_out(self, request: web.Request, by: By) -> web.Response:
        body = await read_body(request, CarryOutBody)
        one = id_in(request, "request")
        await self._desk.carry_out(one, PersonDetails(body.email, body.name, body.why), by)
        return answer(_view(await self._requests.request(one)))

    async def _answer(self, request: web.Request, by: By) -> web.Response:
        body = await read_body(request, AnswerBody)
        row = await self._requests.answer(id_in(request, "request"), RequestState(body.state), body.answer, by)
        return answer(_view(row))


def _view(row: dict[str, object]) -> RequestView:
    checks = row["checks"]
    assert isinstance(checks, list)  # noqa: S101 - as the store returns it
    return RequestView(**{**row, "checks": [CheckView(**one) for one in checks]})  # type: ignore[arg-type]
