"""Privacy notices: every version, and who accepted which."""

from aiohttp import web

from hub.api.people_views import PEOPLE_CODES, NoticeBody, NoticeLine, NoticeList, NoticeView, id_in, personal
from hub.api.problems import Problem
from hub.api.routes import Route, answer, read_body
from hub.store.people import AccountStore, By


class NoticeRoutes:
    """The routes of privacy notices."""

    def __init__(self, people: AccountStore) -> None:
        self._people = people

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route(
                "POST", "/api/v1/notices", "Publish a new version of the privacy notice", personal(self._publish),
                body=NoticeBody, answers={201: NoticeView}, codes=("not_json", "too_large", *PEOPLE_CODES),
            ),
            Route(
                "GET", "/api/v1/notices", "All versions, newest first", personal(self._list),
                answers={200: NoticeList}, codes=PEOPLE_CODES,
            ),
            Route(
                "GET", "/api/v1/notices/{version}", "One version with its text", personal(self._show),
                answers={200: NoticeView}, codes=("notice_unknown", *PEOPLE_CODES),
            ),
            Route(
                "POST", "/api/v1/accounts/{account}/notices/{version}", "Note that a person accepted a version",
                personal(self._accept), answers={204: None},
                codes=(
                    "account_unknown", "account_closed", "account_restricted", "notice_unknown", *PEOPLE_CODES,
                ),
            ),
        ]  # fmt: skip

    async def _publish(self, request: web.Request, by: By) -> web.Response:
        body = await read_body(request, NoticeBody)
        version = await self._people.publish_notice(body.body, body.effective_at, by)
        return answer(NoticeView(**await self._people.notice(version)), 201)

    async def _list(self, request: web.Request, by: By) -> web.Response:
        del request, by
        return answer(NoticeList([NoticeLine(**row) for row in await self._people.notices()]))

    async def _show(self, request: web.Request, by: By) -> web.Response:
        del by
        return answer(NoticeView(**await self._people.notice(_version(request))))

    async def _accept(self, request: web.Request, by: By) -> web.Response:
        await self._people.accept_notice(id_in(request, "account"), _version(request), by)
        return web.Response(status=204)


def _version(request: web.Request) -> int:
    text = request.match_info["version"]
    if not text.isdecimal() or len(text) > 9:  # noqa: PLR2004 - what an integer of the database holds
        raise Problem("notice_unknown", "Versions of the privacy notice are numbers.")
    return int(text)
