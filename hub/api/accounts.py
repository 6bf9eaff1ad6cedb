"""Accounts: who the people are behind the actors of commands and events."""

import secrets
from typing import Final
from uuid import UUID

from aiohttp import web

from hub.api.cursors import Cursor
from hub.api.people_views import (
    PEOPLE_CODES,
    AccountBody,
    AccountPage,
    AccountSearch,
    AccountsParameters,
    AccountView,
    BadgeBody,
    BadgeList,
    BadgeView,
    CredentialBody,
    ErasedView,
    Rectification,
    Restriction,
    id_in,
    personal,
)
from hub.api.routes import Route, answer, read_body, read_query
from hub.core.people.passwords import SALT_BYTES
from hub.people.privacy_requests import PrivacyRequests, set_password
from hub.store.people import AccountsQuery, AccountStore, By

_CURSOR: Final = Cursor("accounts", UUID)
_ONE = ("account_unknown", *PEOPLE_CODES)
_BODY = ("not_json", "too_large")


class AccountRoutes:
    """The routes of accounts."""

    def __init__(self, people: AccountStore, desk: PrivacyRequests) -> None:
        self._people = people
        self._desk = desk

    def routes(self) -> list[Route]:
        """Return the routes."""
        one = "/api/v1/accounts/{account}"
        return [
            Route(
                "POST", "/api/v1/accounts", "Make an account", personal(self._create),
                body=AccountBody, answers={201: AccountView},
                codes=("email_wrong", "account_exists", *_BODY, *PEOPLE_CODES),
            ),
            Route(
                "GET", "/api/v1/accounts", "Accounts by id, without restricted ones", personal(self._list),
                query=AccountsParameters, answers={200: AccountPage}, codes=PEOPLE_CODES,
            ),
            Route(
                "POST", "/api/v1/accounts/search", "Look for a person", personal(self._search),
                body=AccountSearch, answers={200: AccountPage}, codes=(*_BODY, *PEOPLE_CODES),
            ),
            Route("GET", one, "One account", personal(self._show), answers={200: AccountView}, codes=_ONE),
            Route(
                "POST", f"{one}/rectify", "Correct an e-mail address or a name", personal(self._rectify),
                body=Rectification, answers={200: AccountView},
                codes=("email_wrong", "account_exists", *_BODY, *_ONE),
            ),
            Route(
                "POST", f"{one}/deactivate", "Close an account: its three years begin", personal(self._deactivate),
                answers={200: AccountView}, codes=_ONE,
            ),
            Route(
                "POST", f"{one}/reactivate", "Open it again: the clock stops", personal(self._reactivate),
                answers={200: AccountView}, codes=("being_erased", *_ONE),
            ),
            Route(
                "POST", f"{one}/restrict", "Keep the data and use it no more", personal(self._restrict),
                body=Restriction, answers={200: AccountView}, codes=(*_BODY, *_ONE),
            ),
            Route(
                "POST", f"{one}/unrestrict", "Let the data be used again", personal(self._unrestrict),
                answers={200: AccountView}, codes=_ONE,
            ),
            Route(
                "POST", f"{one}/erase-child", "Erase somebody under sixteen at once", personal(self._erase_child),
                answers={200: ErasedView},
                codes=("being_erased", "erasure_incomplete", "journal_broken", "journal_unwritable", *_ONE),
            ),
            Route(
                "POST", f"{one}/credential", "Set the person's password", personal(self._set_credential),
                body=CredentialBody, answers={204: None},
                codes=("account_closed", "account_restricted", *_BODY, *_ONE),
            ),
            Route(
                "GET", f"{one}/badges", "The person's badges", personal(self._badges),
                answers={200: BadgeList}, codes=_ONE,
            ),
            Route(
                "POST", f"{one}/badges", "Give the person a badge", personal(self._add_badge),
                body=BadgeBody, answers={201: BadgeView},
                codes=("feature_off", "badge_taken", "account_closed", "account_restricted", *_BODY, *_ONE),
            ),
            Route(
                "DELETE", f"{one}/badges/{{badge}}", "Take a badge away", personal(self._remove_badge),
                answers={204: None}, codes=("badge_unknown", *_ONE),
            ),
        ]  # fmt: skip

    async def _create(self, request: web.Request, by: By) -> web.Response:
        body = await read_body(request, AccountBody)
        return answer(AccountView(**await self._people.create(body.email, body.name, by)), 201)

    async def _list(self, request: web.Request, by: By) -> web.Response:
        wanted = read_query(request, AccountsParameters)
        after = _CURSOR.read(wanted.cursor)
        return await self._page(AccountsQuery(wanted.limit + 1, after, wanted.active), by)

    async def _search(self, request: web.Request, by: By) -> web.Response:
        wanted = await read_body(request, AccountSearch)
        after = _CURSOR.read(wanted.cursor)
        query = AccountsQuery(
            wanted.limit + 1, after, email=wanted.email, part=wanted.part, badge=wanted.badge
        )  # fmt: skip
        return await self._page(query, by)

    async def _page(self, query: AccountsQuery, by: By) -> web.Response:
        rows = await self._people.page(query)
        await self._people.look(None, "account.search", by)
        page = rows[: query.limit - 1]
        following = _CURSOR.write(page[-1]["id"]) if len(rows) > len(page) else None
        return answer(AccountPage([AccountView(**row) for row in page], following))

    async def _show(self, request: web.Request, by: By) -> web.Response:
        row = await self._people.account(id_in(request, "account"))
        await self._people.look(row["id"], "account.show", by)
        return answer(AccountView(**row))

    async def _rectify(self, request: web.Request, by: By) -> web.Response:
        body = await read_body(request, Rectification)
        account = id_in(request, "account")
        row = await self._people.rectify(account, email=body.email, name=body.name, by=by)
        return answer(AccountView(**row))

    async def _deactivate(self, request: web.Request, by: By) -> web.Response:
        return answer(AccountView(**await self._people.deactivate(id_in(request, "account"), by)))

    async def _reactivate(self, request: web.Request, by: By) -> web.Response:
        return answer(AccountView(**await self._people.reactivate(id_in(request, "account"), by)))

    async def _restrict(self, request: web.Request, by: By) -> web.Response:
        body = await read_body(request, Restriction)
        return answer(AccountView(**await self._people.restrict(id_in(request, "account"), body.why, by)))

    async def _unrestrict(self, request: web.Request, by: By) -> web.Response:
        return answer(AccountView(**await self._people.unrestrict(id_in(request, "account"), by)))

    async def _erase_child(self, request: web.Request, by: By) -> web.Response:
        erased = await self._desk.erase_child(id_in(request, "account"), by)
        return answer(
            ErasedView(erased.deleted, erased.kept, erased.lockers, erased.partly, erased.sentence())
        )  # fmt: skip

    async def _set_credential(self, request: web.Request, by: By) -> web.Response:
        body = await read_body(request, CredentialBody)
        salt = secrets.token_bytes(SALT_BYTES)
        await set_password(self._people, id_in(request, "account"), body.password, salt, by)
        return web.Response(status=204)

    async def _badges(self, request: web.Request, by: By) -> web.Response:
        account = id_in(request, "account")
        await self._people.account(account)
        await self._people.look(account, "badge.list", by)
        return answer(BadgeList([BadgeView(**row) for row in await self._people.badges(account)]))

    async def _add_badge(self, request: web.Request, by: By) -> web.Response:
        body = await read_body(request, BadgeBody)
        row = await self._people.add_badge(id_in(request, "account"), body.number, by)
        return answer(BadgeView(**row), 201)

    async def _remove_badge(self, request: web.Request, by: By) -> web.Response:
        await self._people.remove_badge(id_in(request, "account"), id_in(request, "badge"), by)
        return web.Response(status=204)
