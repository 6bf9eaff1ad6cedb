"""Transactions: what people use lockers for, and the codes that open doors for them."""

import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Final
from uuid import UUID

from aiohttp import web

from hub import clock
from hub.api.cursors import Cursor, Time
from hub.api.people_views import (
    PEOPLE_CODES,
    CodeBody,
    CodeCheck,
    CodeOpens,
    CodeView,
    EndBody,
    KindList,
    KindView,
    RatingBody,
    TransactionBody,
    TransactionPage,
    TransactionsParameters,
    TransactionView,
    id_in,
    personal,
)
from hub.api.problems import Problem
from hub.api.routes import Route, answer, id_of_key, read_body, read_query
from hub.config.settings import PeopleSettings
from hub.core.people.codes import RANDOM_BYTES, code_of, digest_of
from hub.core.people.transactions import TransactionState
from hub.core.rates import TokenBucket
from hub.errors import PeopleError
from hub.store.database import Database
from hub.store.people import TENANT, By
from hub.store.tenants import transaction_kinds
from hub.store.transactions import NewTransaction, Transactions, TransactionsQuery

_CURSOR: Final = Cursor("transactions", tuple[Time, UUID])
_ONE: Final = ("transaction_unknown", *PEOPLE_CODES)
_BODY: Final = ("not_json", "too_large")
_PERSON: Final = ("account_closed", "account_restricted")
_DRAWS_MAX: Final = 5
_KEYS: Final = UUID("6d1b6f0e-0d0f-5c43-9d55-3b7a3a4c8f11")
"""The namespace of ids made from an Idempotency-Key and a code."""


class TransactionRoutes:
    """The routes of transactions and codes."""

    def __init__(self, config: PeopleSettings, store: Database, code_key: Callable[[], bytes]) -> None:
        self._config = config
        self._store = store
        self._transactions = Transactions(store)
        self._code_key = code_key
        self._checks = TokenBucket(config.code_checks_per_minute, config.code_checks_per_minute)

    def routes(self) -> list[Route]:
        """Return the routes."""
        one = "/api/v1/transactions/{transaction}"
        return [
            Route(
                "GET", "/api/v1/transaction-kinds", "What lockers are used for", personal(self._kinds),
                answers={200: KindList}, codes=PEOPLE_CODES,
            ),
            Route(
                "POST", "/api/v1/transactions", "Open a transaction", personal(self._open),
                body=TransactionBody, answers={201: TransactionView},
                codes=(
                    "feature_off", "account_unknown", "kind_unknown", "locker_unknown", "locker_disabled",
                    "door_unknown", "door_taken", *_PERSON, *_BODY, *PEOPLE_CODES,
                ),
            ),
            Route(
                "GET", "/api/v1/transactions", "Transactions, newest first", personal(self._list),
                query=TransactionsParameters, answers={200: TransactionPage}, codes=PEOPLE_CODES,
            ),
            Route("GET", one, "One transaction", personal(self._show), answers={200: TransactionView}, codes=_ONE),
            Route(
                "POST", f"{one}/end", "End a transaction; its codes go with it", personal(self._end),
                body=EndBody, answers={200: TransactionView}, codes=("transaction_state", *_BODY, *_ONE),
            ),
            Route(
                "POST", f"{one}/rating", "Keep what the person thinks of it", personal(self._rate),
                body=RatingBody, answers={204: None},
                codes=("feature_off", "transaction_state", *_PERSON, *_BODY, *_ONE),
            ),
            Route(
                "POST", f"{one}/codes", "Issue a code, which is shown this once", personal(self._issue),
                body=CodeBody, answers={201: CodeView},
                codes=("feature_off", "bad_code", "transaction_state", *_PERSON, *_BODY, *_ONE),
            ),
            Route(
                "POST", "/api/v1/codes/check", "Take a code, once, and say what it is for", personal(self._check),
                headers={"Idempotency-Key": "The same operator's same key with the same code has the same answer."},
                body=CodeCheck, answers={200: CodeOpens},
                codes=(
                    "feature_off", "code_unknown", "account_restricted", "too_many_attempts", *_BODY, *PEOPLE_CODES,
                ),
            ),
        ]  # fmt: skip

    async def _kinds(self, request: web.Request, by: By) -> web.Response:
        del request, by
        return answer(KindList([KindView(**row) for row in await transaction_kinds(self._store)]))

    async def _open(self, request: web.Request, by: By) -> web.Response:
        body = await read_body(request, TransactionBody)
        expires_at = None if body.expires_s is None else by.at + timedelta(seconds=body.expires_s)
        new = NewTransaction(body.account, body.kind, body.locker, body.door, expires_at)
        return answer(TransactionView(**await self._transactions.open(new, by)), 201)

    async def _list(self, request: web.Request, by: By) -> web.Response:
        del by
        wanted = read_query(request, TransactionsParameters)
        after = _CURSOR.read(wanted.cursor)
        query = TransactionsQuery(wanted.limit + 1, wanted.account, wanted.locker, wanted.state, after)
        rows = await self._transactions.page(query)
        page = rows[: wanted.limit]
        following = _CURSOR.write((page[-1]["opened_at"], page[-1]["id"])) if len(rows) > len(page) else None
        return answer(TransactionPage([TransactionView(**row) for row in page], following))

    async def _show(self, request: web.Request, by: By) -> web.Response:
        del by
        return answer(TransactionView(**await self._transactions.transaction(id_in(request, "transaction"))))

    async def _end(self, request: web.Request, by: By) -> web.Response:
        body = await read_body(request, EndBody)
        state = TransactionState(body.state)
        return answer(TransactionView(**await self._transactions.end(id_in(request, "transaction"), state, by)))

    async def _rate(self, request: web.Request, by: By) -> web.Response:
        body = await read_body(request, RatingBody)
        await self._transactions.rate(id_in(request, "transaction"), body.score, body.comment, by)
        return web.Response(status=204)

    async def _issue(self, request: web.Request, by: By) -> web.Response:
        body = await read_body(request, CodeBody)
        if body.expires_s > self._config.code_ttl_s_max:
            raise PeopleError("bad_code", f"A code is valid for at most {self._config.code_ttl_s_max} s.")
        transaction = id_in(request, "transaction")
        expires_at = by.at + timedelta(seconds=body.expires_s)
        for _ in range(_DRAWS_MAX):
            code = code_of(secrets.token_bytes(RANDOM_BYTES))
            digest = digest_of(self._code_key(), TENANT, code)
            if await self._transactions.add_code(transaction, digest, expires_at, by):
                return _unkept(answer(CodeView(code, expires_at), 201))
        raise Problem("internal", "No free code was drawn.")  # of two to the fifty, five times in a row

    async def _check(self, request: web.Request, by: By) -> web.Response:
        body = await read_body(request, CodeCheck)
        wait_ms = self._checks.take(clock.now_ms())
        if wait_ms:
            raise Problem("too_many_attempts", "Too many codes were tried.", retry_after_s=wait_ms / 1000)
        digest = digest_of(self._code_key(), TENANT, body.code)
        # Of the code as well: one key for two codes is no reason to open one door for both.
        taken_as = id_of_key(request, _KEYS, by.who, digest.hex())
        row = await self._transactions.take_code(digest, taken_as, by)
        if row is None:
            raise PeopleError("code_unknown", "The code opens nothing: it is wrong, used, or its time is over.")
        return _unkept(answer(CodeOpens(**row, check=taken_as)))


def _unkept(response: web.Response) -> web.Response:
    response.headers["Cache-Control"] = "no-store"
    return response
