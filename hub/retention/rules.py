"""Each category of data: what of it is due, and how it goes, a bounded transaction at a time."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from hub.core.retention.plan import Due, RetentionAction, act_on, may_be_held
from hub.core.retention.policy import Category, Policy
from hub.core.retention.series import SERIES, TimeSeriesKind
from hub.errors import HubError, StoreUnavailable
from hub.store.retention import RetentionStore
from hub.store.series import ROWS_MAX, DeletedCount, SeriesScope

Erase = Callable[[UUID, datetime], Awaitable[bool]]
"""Erases a person whose account is closed; says whether nothing of them is left."""
Sweep = Callable[[datetime], Awaitable[int]]
"""Deletes codes that have expired or whose transaction has ended; says how many there were."""

_NOBODY: Final = 0
"""The run that a plan is of."""


@dataclass(frozen=True, slots=True)
class RuleRun:
    """What every rule of a run goes by."""

    number: int
    now: datetime
    policy: Policy


class CategoryRule(Protocol):
    """How one category, or one table of it, goes."""

    @property
    def category(self) -> Category:
        """Which category."""

    async def plan(self, run: RuleRun) -> list[Due]:
        """Return what a run would do, without doing it."""

    def apply(self, run: RuleRun) -> AsyncIterator[str]:
        """Do it; what it yields is committed. Right when it is ended anywhere and begun again."""


def rules(store: RetentionStore, erase: Erase | None, sweep: Sweep | None) -> list[CategoryRule]:
    """Return all rules, in the order in which they are applied: the audit last, where all of this stands."""
    found: list[CategoryRule] = []
    if sweep is not None:
        found.append(CodesRule(store, sweep))
    if erase is not None:
        found.append(AccountsRule(store, erase))
    found += [TimeSeriesRule(store, series) for series in SERIES]
    return [*found, JobsRule(store), AlarmsRule(store), QuarantineRule(store), RightsRule(store), AuditRule(store)]


class TimeSeriesRule:
    """A table that fills with time: old chunks are dropped whole, the others gone through by rows."""

    def __init__(self, store: RetentionStore, series: TimeSeriesKind) -> None:
        self._store = store
        self._series = series
        self.category = series.category

    async def plan(self, run: RuleRun) -> list[Due]:
        """Count what is due in each chunk."""
        found = []
        for scope in await self._scopes(run):
            act = await self._act(scope)
            count = await self._store.series.due(scope) if act else None
            if act and count and count.due:
                found.append(_due(self.category, self._series.table, scope.chunk.name, act, count))
        return found

    async def apply(self, run: RuleRun) -> AsyncIterator[str]:
        """Drop and delete."""
        for scope in await self._scopes(run):
            act = await self._act(scope)
            if act is RetentionAction.CHUNK:
                if await self._store.series.drop(scope) is not None:
                    yield f"dropped {scope.chunk.name}"
                    continue
                # A hold came in between.
                act = RetentionAction.ROWS
            if act is RetentionAction.ROWS:
                async for what in self._delete(scope):
                    yield what

    async def _scopes(self, run: RuleRun) -> list[SeriesScope]:
        cut_offs = run.policy.cut_offs(self.category, run.now)
        reaches = await self._store.series.reaches(run.now)
        return [
            SeriesScope(run.number, self._series, chunk, cut_offs, run.now, may_be_held(chunk, reaches))
            for chunk in await self._store.series.chunks(self._series)
        ]

    async def _act(self, scope: SeriesScope) -> RetentionAction | None:
        act = act_on(scope.chunk, scope.cut_offs, held=0)
        if act is RetentionAction.CHUNK and scope.held:
            return act_on(scope.chunk, scope.cut_offs, held=await self._store.series.held(scope))
        return act

    async def _delete(self, scope: SeriesScope) -> AsyncIterator[str]:
        for lockers in batches(await self._store.series.lockers_due(scope), ROWS_MAX):
            # Whoever has more than goes at once has more rounds.
            while await self._store.series.delete(scope, lockers):
                yield f"deleted rows of {scope.chunk.name}"


class JobsRule:
    """Orders for many targets, with all of their targets."""

    category: Category = Category.JOB

    def __init__(self, store: RetentionStore) -> None:
        self._store = store

    async def plan(self, run: RuleRun) -> list[Due]:
        """Count them."""
        count = await self._store.jobs_due(_before(run, self.category), run.now)
        return _some(self.category, "job", RetentionAction.ROWS, count)

    async def apply(self, run: RuleRun) -> AsyncIterator[str]:
        """Delete them, a few at a time."""
        while await self._store.delete_jobs(run.number, _before(run, self.category), run.now):
            yield "deleted jobs"


class AlarmsRule:
    """Alarms that are closed, with their journals, and maintenance that is over."""

    category: Category = Category.ALARM

    def __init__(self, store: RetentionStore) -> None:
        self._store = store

    async def plan(self, run: RuleRun) -> list[Due]:
        """Count them."""
        counts = await self._store.alarms_due(run.policy.cut_offs(self.category, run.now), run.now)
        return [
            due
            for table, count in counts.items()
            for due in _some(self.category, table, RetentionAction.ROWS, count)
        ]

    async def apply(self, run: RuleRun) -> AsyncIterator[str]:
        """Delete them, some at a time."""
        while await self._store.delete_alarms(run.number, run.policy.cut_offs(self.category, run.now), run.now):
            yield "deleted alarms"


class QuarantineRule:
    """Messages that could not be read."""

    category: Category = Category.QUARANTINE

    def __init__(self, store: RetentionStore) -> None:
        self._store = store

    async def plan(self, run: RuleRun) -> list[Due]:
        """Count what is to be deleted and what is to be emptied."""
        events = run.policy.cut_offs(Category.EVENT, run.now)
        counts = await self._store.quarantine_due(_before(run, self.category), events, run.now)
        return [due for act, count in counts.items() for due in _some(self.category, "quarantine", act, count)]

    async def apply(self, run: RuleRun) -> AsyncIterator[str]:
        """Empty and delete."""
        before, events = _before(run, self.category), run.policy.cut_offs(Category.EVENT, run.now)
        while await self._store.delete_quarantine(run.number, before, events, run.now):
            yield "deleted rows of quarantine"
        while await self._store.empty_quarantine(run.number, before, run.now):
            yield "emptied rows of quarantine"


class RightsRule:
    """What people asked for, once it was answered."""

    category: Category = Category.RIGHTS

    def __init__(self, store: RetentionStore) -> None:
        self._store = store

    async def plan(self, run: RuleRun) -> list[Due]:
        """Count them."""
        count = await self._store.rights_due(run.policy.cut_offs(self.category, run.now), run.now)
        return _some(self.category, "rights_request", RetentionAction.ROWS, count)

    async def apply(self, run: RuleRun) -> AsyncIterator[str]:
        """Delete them."""
        cut_offs = run.policy.cut_offs(self.category, run.now)
        while await self._store.delete_rights(run.number, cut_offs, run.now):
            yield "deleted requests"


class AuditRule:
    """The beginning of the audit's chain."""

    category: Category = Category.AUDIT

    def __init__(self, store: RetentionStore) -> None:
        self._store = store

    async def plan(self, run: RuleRun) -> list[Due]:
        """Count its rows."""
        return _some(
            self.category, "audit", RetentionAction.ROWS, await self._store.audit_due(_before(run, self.category))
        )  # fmt: skip

    async def apply(self, run: RuleRun) -> AsyncIterator[str]:
        """Delete them; the hash of the last one stays."""
        while await self._store.delete_audit(run.number, _before(run, self.category)):
            yield "deleted rows of the audit"


class AccountsRule:
    """People whose accounts are closed: the eraser does it, and respects what holds keep."""

    category: Category = Category.ACCOUNT

    def __init__(self, store: RetentionStore, erase: Erase) -> None:
        self._store = store
        self._erase = erase

    async def plan(self, run: RuleRun) -> list[Due]:
        """Count the accounts."""
        due = await self._store.accounts_due(run.policy.cut_offs(self.category, run.now))
        return _some(self.category, "account", RetentionAction.ROWS, DeletedCount(len(due), 0, None))

    async def apply(self, run: RuleRun) -> AsyncIterator[str]:
        """Have them erased, one after the other; one who cannot be does not keep the others beyond their time."""
        due = await self._store.accounts_due(run.policy.cut_offs(self.category, run.now))
        failed: list[HubError] = []
        for account in due:
            try:
                whole = await self._erase(account, run.now)
            except StoreUnavailable:
                raise
            except HubError as error:
                failed.append(error)
                continue
            if whole:
                await self._store.note_accounts(run.number, 1)
            yield "erased an account"
        if failed:
            raise HubError(f"{len(failed)} of {len(due)} people are not erased: {failed[0]}") from failed[0]


class CodesRule:
    """QR and authorization codes, which should be gone already."""

    category: Category = Category.CODE

    def __init__(self, store: RetentionStore, sweep: Sweep) -> None:
        self._store = store
        self._sweep = sweep

    async def plan(self, run: RuleRun) -> list[Due]:  # noqa: ARG002 - as every rule has it
        """Codes go at once, without a plan."""
        return []

    async def apply(self, run: RuleRun) -> AsyncIterator[str]:
        """Sweep once more."""
        if swept := await self._sweep(run.now):
            await self._store.note_codes(run.number, swept)
            yield "deleted codes"


def batches(lockers: Sequence[tuple[str, int]], rows_max: int) -> list[list[str]]:
    """Put lockers together whose rows go in one transaction; one with more rows than that is alone."""
    found: list[list[str]] = []
    room = 0
    for locker, rows in lockers:
        if rows > room or not found:
            found.append([])
            room = rows_max
        found[-1].append(locker)
        room -= rows
    return found


def plan_run(now: datetime, policy: Policy) -> RuleRun:
    """Return a run that is none, to plan with."""
    return RuleRun(_NOBODY, now, policy)


def _before(run: RuleRun, category: Category) -> datetime:
    return run.policy.cut_offs(category, run.now).default


def _some(category: Category, table: str, act: RetentionAction, count: DeletedCount) -> list[Due]:
    return [_due(category, table, table, act, count)] if count.due else []


def _due(category: Category, table: str, chunk: str, act: RetentionAction, count: DeletedCount) -> Due:
    return Due(category, table, chunk, act, count.due, count.held, count.oldest)
