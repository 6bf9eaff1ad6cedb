"""How long data lives: the rules, what would go, what went, and the proofs of it."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web
from msgspec import Meta

from hub import clock
from hub.api.auth import operator_of
from hub.api.cursors import Cursor
from hub.api.holds import HoldRoutes
from hub.api.problems import Problem
from hub.api.routes import Route, answer, needing, read_query
from hub.core.retention.policy import Category, Policy
from hub.core.retention.proof import Proof
from hub.operators import Role, is_person
from hub.retention.service import RetentionService
from hub.store.database import Database
from hub.store.holds import Holds

_CURSOR: Final = Cursor("proofs", int)


class ProofsParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A page of proofs, newest first."""

    limit: Annotated[int, Meta(ge=1, le=200)] = 30
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class ExceptionView:
    """Another period for one tenant's data of a category, and why."""

    tenant: str
    category: str
    period: str
    reason: str


@dataclass(frozen=True, slots=True)
class PolicyView:
    """The rules in force. `keep` has a period for each category; `cut_offs` what now lies behind it."""

    version: str
    sha256: str
    keep: dict[str, str]
    exceptions: list[ExceptionView]
    cut_offs: dict[str, datetime]


@dataclass(frozen=True, slots=True)
class ProofView:
    """What a run did. `removed` counts rows by category. `manifest` is the whole of it, null in lists."""

    number: int
    sha256: str
    began_at: datetime
    ended_at: datetime
    outcome: str
    policy: str
    removed: dict[str, int]
    manifest: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class RetentionView:
    """How it stands. `last` is the newest proof, however its run ended; `next_at` is when it runs by itself."""

    running: bool
    last: ProofView | None
    last_complete_at: datetime | None
    next_at: datetime
    policy: PolicyView


@dataclass(frozen=True, slots=True)
class DueView:
    """Rows whose time is over: `by` says how they would go (chunk, rows, emptied); `held` of them stay."""

    category: str
    table: str
    chunk: str
    by: str
    due: int
    held: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class PlanView:
    """What a run would do now."""

    now: datetime
    rows: int
    due: list[DueView]


@dataclass(frozen=True, slots=True)
class VerdictView:
    """What everything computed again says, a sentence each: `findings` must not be, `notes` have an explanation."""

    at: datetime
    proofs: int
    findings: list[str]
    notes: list[str]


@dataclass(frozen=True, slots=True)
class ProofPage:
    """Proofs, and where to go on."""

    items: list[ProofView]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class RunView:
    """A run was asked for; its proof is the one after `after`."""

    asked: bool
    after: int


def retention_routes(service: RetentionService, store: Database) -> list[Route]:
    """Return the routes of retention and of legal holds."""
    return [*RetentionRoutes(service).routes(), *needing(Role.ADMIN, HoldRoutes(Holds(store)).routes())]


class RetentionRoutes:
    """The routes of retention."""

    def __init__(self, service: RetentionService) -> None:
        self._service = service
        # A plan and a verdict count years of rows: one at a time is enough.
        self._counting = asyncio.Lock()

    def routes(self) -> list[Route]:
        """Return the routes."""
        path, away = "/api/v1/retention", "database_unavailable"
        return [
            Route(
                "GET", path, "The rules, the last run, the next one", self._state, answers={200: RetentionView},
                codes=(away,),
            ),
            Route(
                "GET", f"{path}/plan", "What a run would delete now", self._plan, answers={200: PlanView},
                codes=(away,),
            ),
            Route(
                "GET", f"{path}/verdict", "Whether everything is as the proofs say, computed again", self._verdict,
                answers={200: VerdictView}, codes=(away,),
            ),
            Route(
                "GET", f"{path}/proofs", "The proofs of runs, newest first", self._proofs,
                query=ProofsParameters, answers={200: ProofPage}, codes=(away,),
            ),
            Route(
                "GET", f"{path}/proofs/{{number}}", "One proof with its manifest", self._proof,
                answers={200: ProofView}, codes=("proof_unknown", away),
            ),
            Route(
                "POST", f"{path}/run", "Let a run begin now", self._run, answers={202: RunView},
                codes=("person_needed", "retention_running", away), role=Role.ADMIN,
            ),
        ]  # fmt: skip

    async def _state(self, _: web.Request) -> web.Response:
        now = clock.wall()
        policy, running, next_at = await self._service.state(now)
        retention = self._service.retention
        last = await retention.proofs_page(number=None, below=None, limit=1)
        complete_at = await retention.newest_complete()
        shown = _shown(last[0]) if last else None
        return answer(RetentionView(running, shown, complete_at, next_at, _policy(policy, now)))

    async def _plan(self, _: web.Request) -> web.Response:
        now = clock.wall()
        async with self._counting:
            plan = await self._service.retention.plan(now)
        due = [
            DueView(one.category.value, one.table, one.chunk, one.act.value, one.due, one.held, one.oldest)
            for one in plan
        ]
        return answer(PlanView(now, sum(one.due - one.held for one in plan), due))

    async def _verdict(self, _: web.Request) -> web.Response:
        async with self._counting:
            at = clock.wall()
            verdict = await self._service.verify()
        return answer(VerdictView(at, verdict.proofs, verdict.findings, verdict.notes))

    async def _proofs(self, request: web.Request) -> web.Response:
        wanted = read_query(request, ProofsParameters)
        below = _CURSOR.read(wanted.cursor)
        found = await self._service.retention.proofs_page(number=None, below=below, limit=wanted.limit + 1)
        page = found[: wanted.limit]
        following = _CURSOR.write(page[-1].number) if len(found) > wanted.limit else None
        return answer(ProofPage([_shown(proof) for proof in page], following))

    async def _proof(self, request: web.Request) -> web.Response:
        text = request.match_info["number"]
        number = int(text) if text.isascii() and text.isdecimal() and len(text) <= 18 else None  # noqa: PLR2004 - int8
        found = []
        if number is not None:
            found = await self._service.retention.proofs_page(number=number, below=None, limit=1)
        if not found:
            raise Problem("proof_unknown", f"There is no proof {text[:40]!r}.")
        return answer(_shown(found[0], whole=True))

    async def _run(self, request: web.Request) -> web.Response:
        operator = operator_of(request)
        if not is_person(operator):
            raise Problem("person_needed", f"{operator} is a machine; a person has to ask for a run.")
        last = await self._service.retention.proofs_page(number=None, below=None, limit=1)
        if not await self._service.ask(operator):
            raise Problem("retention_running", "A run is under way; its proof will tell what it did.")
        return answer(RunView(asked=True, after=last[0].number if last else 0), 202)


def _policy(policy: Policy, now: datetime) -> PolicyView:
    return PolicyView(
        policy.version,
        policy.digest,
        {category.value: policy.written(category) for category in Category},
        [
            ExceptionView(one.tenant, one.category.value, str(one.period), one.reason)
            for one in policy.exceptions
        ],
        {category.value: policy.cut_offs(category, now).default for category in policy.periods},
    )  # fmt: skip


def _shown(proof: Proof, *, whole: bool = False) -> ProofView:
    said = proof.manifest
    removed: dict[str, int] = {}
    for one in said["done"]:
        removed[one["category"]] = removed.get(one["category"], 0) + one["removed"]
    began_at, ended_at = datetime.fromisoformat(said["began_at"]), datetime.fromisoformat(said["ended_at"])
    return ProofView(
        proof.number, proof.sha256, began_at, ended_at, said["outcome"], said["policy"]["version"], removed,
        dict(said) if whole else None,
    )  # fmt: skip
