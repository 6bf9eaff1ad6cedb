"""What became of every number: by the counters of the whole fleet, or counted for one locker."""

from dataclasses import dataclass
from typing import Annotated, Final
from uuid import UUID

import msgspec
from aiohttp import web
from msgspec import Meta

from hub.api.cursors import Cursor
from hub.api.problems import Problem
from hub.api.routes import Route, answer, read_query
from hub.core.fleet import Fleet
from hub.core.ledger import Key
from hub.core.verify import CountersView, LedgerView, judge
from hub.store.ledgers import Ledgers
from wire.messages import LockerId

_CURSOR: Final = Cursor("ledgers", tuple[LockerId, UUID])


class CountersParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose ledgers: of one locker, or of all."""

    locker: LockerId | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    cursor: str | None = None


class LedgersParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many ledgers of one locker; each of them is counted."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class CountersPage:
    """Counters by locker and epoch, and where to go on."""

    items: list[CountersView]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class LedgerPage:
    """A locker's ledgers by epoch, and where to go on."""

    items: list[LedgerView]
    next_cursor: str | None


class LedgerRoutes:
    """The routes of ledgers."""

    def __init__(self, fleet: Fleet, ledgers: Ledgers) -> None:
        self._fleet = fleet
        self._ledgers = ledgers

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route(
                "GET", "/api/v1/ledger", "Every ledger by its counters", self._counters,
                query=CountersParameters, answers={200: CountersPage}, codes=("database_unavailable",),
            ),
            Route(
                "GET", "/api/v1/lockers/{locker}/ledger", "A locker's ledgers, counted from what is stored",
                self._count, query=LedgersParameters, answers={200: LedgerPage},
                codes=("locker_unknown", "database_unavailable"),
            ),
        ]  # fmt: skip

    async def _counters(self, request: web.Request) -> web.Response:
        wanted = read_query(request, CountersParameters)
        items, after = await self._page(wanted.locker, wanted.cursor, wanted.limit)
        return answer(CountersPage(items, after))

    async def _count(self, request: web.Request) -> web.Response:
        locker = request.match_info["locker"]
        if locker not in self._fleet.lockers:
            raise Problem("locker_unknown", f"There is no locker {locker[:40]!r} in the registry.")
        wanted = read_query(request, LedgersParameters)
        counters, after = await self._page(locker, wanted.cursor, wanted.limit)
        counted = [await self._ledgers.count((one.locker, one.epoch)) for one in counters]
        return answer(LedgerPage([judge(row) for row in counted if row is not None], after))

    async def _page(
        self, locker: str | None, cursor: str | None, limit: int
    ) -> tuple[list[CountersView], str | None]:
        after: Key | None = _CURSOR.read(cursor)
        rows = await self._ledgers.counters(locker=locker, after=after, limit=limit + 1)
        page = [CountersView(**row) for row in rows[:limit]]
        if len(rows) <= limit:
            return page, None
        return page, _CURSOR.write((page[-1].locker, page[-1].epoch))
