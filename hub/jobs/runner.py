"""The runner of jobs: one hub at a time, and nothing is sent before the database knows of it.

A target's row says `sent`, with its command's id, before the command goes out. So a hub that stops anywhere leaves
rows that the next one can judge: what became of the command is looked up in the book, then in the table of
commands. Where neither knows, the same command goes out once more under the same id: a locker that has it in its
journal answers with what it did then, and one that never had it acts now. Nobody acts twice.

The database is the truth. After any trouble with it the runner forgets what it knows and reads again.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final, Protocol
from uuid import UUID

from hub import clock
from hub.commands.instant import InstantCommands
from hub.commands.result import Accepted, Refused
from hub.config.settings import JobSettings
from hub.core.commands import CommandRefusal, Order
from hub.core.fleet import Fleet
from hub.core.jobs import ACTIVE, Job, JobLimits, JobState, JobTerms, TargetState
from hub.core.pace import Ceiling, Pace
from hub.core.targets import why_not
from hub.errors import StoreError, StoreRejected
from hub.jobs.active import ActiveJob, InFlightTarget
from hub.jobs.outcomes import OutcomeLookup
from hub.metrics import Metrics
from hub.store.database import Database
from hub.store.jobs import JobLedger, JobRow, JobStore, Result
from wire.messages import DURABLE_KINDS

_log = logging.getLogger(__name__)
_TICK_S: Final = 0.1
_POLL_MS: Final = 1000.0
"""How often the database is asked for jobs, and for results that this hub does not have in its own book."""
_OPENINGS_REMEMBERED: Final = 10_000
_RELEASE_S: Final = 2.0
_LOOK_AT: Final = 500
"""How many targets are looked at in a turn to find some that can be sent; the others are left out."""
_HAND_OVER_SHARE: Final = 0.5
"""What is written down goes out within this share of the lease, or not at all: the hub may have been frozen."""
_WAIT_FOR: Final = frozenset(
    {
        CommandRefusal.RATE_LIMITED,
        CommandRefusal.HUB_BUSY,
        CommandRefusal.BROKER_UNAVAILABLE,
        CommandRefusal.DRAINING,
        CommandRefusal.DATABASE_UNAVAILABLE,
        CommandRefusal.TOO_LATE,
        CommandRefusal.LOCKER_CLOCK_UNKNOWN,
    }
)
"""Refusals that pass: the target is sent later. After any other one it is skipped."""


class DurableOrders(Protocol):
    """Takes durable commands, which wait for their locker: `hub.commands.durable.DurableCommands`."""

    async def submit(self, command: UUID, order: Order, expires_s: float) -> Accepted | Refused:
        """Keep a command until its locker has a last word, or say why not."""


class JobRunner:
    """Sends what jobs have to send, if this hub has the lease, and writes down what became of it."""

    def __init__(
        self,
        config: JobSettings,
        hub: UUID,
        store: Database,
        fleet: Fleet,
        instant: InstantCommands,
        durable: DurableOrders,
        metrics: Metrics,
        connected: Callable[[], bool],
    ) -> None:
        self._config = config
        self._hub = hub
        self._jobs = JobStore(store)
        self._ledger = JobLedger(store, hub, config.lease_s)
        self._fleet = fleet
        self._instant = instant
        self._durable = durable
        self._endings = OutcomeLookup(instant, self._jobs)
        self._metrics = metrics
        self._connected = connected
        self._runs: dict[UUID, ActiveJob] = {}
        self._ceiling = Ceiling(config.openings_per_minute_max)
        self._hand_over_ms = config.lease_s * 1000 * _HAND_OVER_SHARE
        self._openings: OrderedDict[UUID, None] = OrderedDict()
        self._leads = False
        self._resting = False
        self._polled_ms = float("-inf")
        self._connected_ms: float | None = None
        self._wake = asyncio.Event()
        self.rounds = 0
        """Rounds that this runner went with the lease; for those who watch it."""
        self._show_counts([])

    def wake(self) -> None:
        """Look at the database now: a person has changed something."""
        self._polled_ms = float("-inf")
        self._wake.set()

    def has_asked(self, command: UUID) -> bool:
        """Say whether a command is an opening of a job that this hub runs; the newest ten thousand are known."""
        return command in self._openings

    def rest(self) -> None:
        """Send nothing more; what is under way is still written down."""
        self._resting = True

    async def run(self) -> None:
        """Run jobs until cancelled, then let another hub go on."""
        # Started again after an error, it believes the database, and nothing that it knew.
        self._forget()
        self.wake()
        away = False
        try:
            while True:
                try:
                    await self._round()
                    away = False
                except StoreError as error:
                    if not away:
                        _log.warning("Jobs wait: %s", error, extra={"jobs": len(self._runs)})
                    away = True
                    self._forget()
                await self._pause()
        finally:
            await self._release()

    async def _pause(self) -> None:
        busy = self._leads and any(run.row.state is not JobState.WAITING_APPROVAL for run in self._runs.values())
        try:
            async with asyncio.timeout(_TICK_S if busy else _POLL_MS / 1000):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    async def _release(self) -> None:
        if not self._leads:
            return
        try:
            async with asyncio.timeout(_RELEASE_S):
                await self._jobs.release_lease(self._hub)
        except (StoreError, TimeoutError) as error:
            _log.warning("The lease on jobs runs out by itself", extra={"error": str(error)})

    async def _round(self) -> None:
        now_ms = clock.now_ms()
        self._connected_ms = (self._connected_ms or now_ms) if self._connected() else None
        poll = now_ms - self._polled_ms >= _POLL_MS
        if poll:
            self._polled_ms = now_ms
            led, self._leads = self._leads, await self._jobs.take_lease(self._hub, self._config.lease_s)
            if not self._leads:
                self._forget()
                return
            if not led:
                await self._begin()
            await self._read()
        if not self._leads:
            return
        for run in self._in_turn():
            await self._settle(run, ask_database=poll)
            await self._judge(run)
            await self._send(run)
        self.rounds += 1

    def _in_turn(self) -> list[ActiveJob]:
        runs = list(self._runs.values())
        turn = self.rounds % len(runs) if runs else 0
        return runs[turn:] + runs[:turn]

    def _forget(self) -> None:
        self._leads = False
        self._runs.clear()
        self._show_counts([])

    async def _begin(self) -> None:
        """Take over from the hub before: its openings count in this minute, too."""
        self._runs.clear()
        self._ceiling = Ceiling(self._config.openings_per_minute_max)
        ages_s = await self._jobs.openings_sent()
        now_ms = clock.now_ms()
        for age_s in ages_s:
            # It was stamped before it was sent.
            self._ceiling.add(now_ms - max(0.0, age_s * 1000 - self._hand_over_ms))

    async def _read(self) -> None:
        rows = await self._jobs.open_jobs()
        for gone in self._runs.keys() - {row.id for row in rows}:
            del self._runs[gone]
        for row in rows:
            run = self._runs.get(row.id)
            if run is None:
                self._runs[row.id] = await self._load(row)
                continue
            run.row = row
            if row.state is not run.job.state:
                self._enter(run, row.state)
        self._show_counts([row.state for row in rows])

    def _show_counts(self, states: Sequence[JobState]) -> None:
        for state in ACTIVE:
            self._metrics.jobs.labels(state.value).set(states.count(state))

    async def _load(self, row: JobRow) -> ActiveJob:
        config = self._config
        targets = await self._jobs.all_targets(row.id)
        terms = JobTerms(
            canaries=row.canaries,
            abort_share=row.abort_share,
            abort_min_count=row.abort_min_count,
            in_flight_max=config.durable_in_flight_max if row.kind in DURABLE_KINDS else config.in_flight_max,
        )
        run = ActiveJob(
            row, Job(terms, row.state, [one.state for one in targets]), targets, Pace(row.rate_per_minute)
        )
        now_ms = clock.now_ms()
        for place, one in enumerate(targets):
            if one.state is TargetState.SENT:
                run.flights[place] = InFlightTarget(one.command, run.order(place), now_ms)
        return run

    def _enter(self, run: ActiveJob, state: JobState) -> None:
        if state in ACTIVE:
            run.job.state = state
        else:
            run.job.end(state)

    async def _settle(self, run: ActiveJob, *, ask_database: bool) -> None:
        if not run.flights:
            return
        results = self._endings.from_memory(run)
        if ask_database:
            told, unsure = await self._endings.from_database(run, {result.place for result in results})
            results += told
            for place, result in unsure.items():
                if not await self._still_hopes(run, place, run.flights[place]):
                    results.append(result)
        if results:
            await self._ledger.settle(run.row.id, results, (), clock.wall())
            self._note(run, results)

    async def _still_hopes(self, run: ActiveJob, place: int, flight: InFlightTarget) -> bool:
        """Send a command that nobody knows once more, under its id. False: it is time to give it up."""
        now = clock.wall()
        expired = run.row.expires_at is not None and now >= run.row.expires_at
        forgotten = self._instant.find(flight.command) is None
        if forgotten and not flight.asked and not expired and self._may_send(run):
            if run.opens and not self._ceiling.free(clock.now_ms()):
                flight.since_ms = clock.now_ms()  # its turn comes
            elif self._can_reach(run, place):
                asked_ms = clock.now_ms()
                if await self._ledger.send_again(run.row.id, place):
                    in_time = clock.now_ms() - asked_ms <= self._hand_over_ms
                    flight.asked = in_time and isinstance(await self._submit(run, flight), Accepted)
                    flight.since_ms = clock.now_ms() if flight.asked else flight.since_ms
        return clock.now_ms() - flight.since_ms < self._config.unsure_s * 1000

    def _may_send(self, run: ActiveJob) -> bool:
        return run.job.state is JobState.RUNNING and not self._resting and self._connected_ms is not None

    async def _judge(self, run: ActiveJob) -> None:
        limits = JobLimits(run.row.approval_until, run.row.expires_at)
        verdict = run.job.verdict(limits, clock.wall())
        if verdict is None:
            return
        if not await self._ledger.end(run.row.id, run.job.state, verdict.state, verdict.why, clock.wall()):
            self.wake()
            return
        cancelled = run.job.end(verdict.state)
        self._metrics.job_targets.labels(run.row.kind, TargetState.CANCELLED.value).inc(cancelled)
        _log.log(
            logging.INFO if verdict.state is JobState.DONE else logging.WARNING,
            "A job has ended",
            extra={"job": str(run.row.id), "state": verdict.state.value, "why": verdict.why},
        )

    async def _send(self, run: ActiveJob) -> None:
        places, skipped = self._choose(run)
        if not places and not skipped:
            return
        asked_ms = clock.now_ms()
        if not await self._ledger.send(run.row.id, places, skipped, clock.wall()):
            self.wake()  # a person stopped it a moment ago
            return
        for result in skipped:
            run.job.skip(result.place)
        self._count(run, skipped)
        now_ms = clock.now_ms()
        run.pace.spend(len(places), now_ms)
        for place in places:
            run.job.send(place)
            run.flights[place] = InFlightTarget(run.targets[place].command, run.order(place), now_ms, asked=True)
        self._metrics.job_targets.labels(run.row.kind, TargetState.SENT.value).inc(len(places))
        await self._hand_over(run, places, asked_ms)

    def _choose(self, run: ActiveJob) -> tuple[list[int], list[Result]]:
        now_ms = clock.now_ms()
        if self._resting or self._connected_ms is None or now_ms < run.rest_until_ms:
            return [], []
        wanted = min(run.job.room(), run.pace.due(now_ms))
        if run.opens:
            wanted = min(wanted, self._ceiling.free(now_ms))
        places: list[int] = []
        skipped: list[Result] = []
        if not wanted:
            return places, skipped
        for place in run.job.next(_LOOK_AT):
            why = why_not(self._fleet.lockers, run.row.kind, run.targets[place].target)
            if why is None:
                places.append(place)
                if len(places) == wanted:
                    break
            elif now_ms - self._connected_ms >= self._config.arrival_s * 1000:
                skipped.append(Result(place, TargetState.SKIPPED, why.value))
            else:
                break  # right after it connects a hub has not heard everyone yet
        return places, skipped

    async def _hand_over(self, run: ActiveJob, places: list[int], asked_ms: float) -> None:
        skipped: list[Result] = []
        given_back: list[int] = []
        rest_s = 0.0
        for place in places:
            if clock.now_ms() - asked_ms > self._hand_over_ms:
                given_back.append(place)
                continue
            try:
                refused = await self._submit(run, run.flights[place])
            except StoreRejected as error:
                skipped.append(Result(place, TargetState.FAILED, str(error)))
                continue
            if isinstance(refused, Accepted):
                continue
            if refused.code in _WAIT_FOR:
                given_back.append(place)
                rest_s = max(rest_s, refused.retry_after_s or 1.0)
            else:
                skipped.append(Result(place, TargetState.SKIPPED, refused.code.value))
        if not skipped and not given_back:
            return
        run.rest_until_ms = clock.now_ms() + rest_s * 1000
        await self._ledger.settle(run.row.id, skipped, given_back, clock.wall())
        self._note(run, skipped)
        for place in reversed(given_back):
            del run.flights[place]
            run.job.give_back(place)

    async def _submit(self, run: ActiveJob, flight: InFlightTarget) -> Accepted | Refused:
        if run.durable:
            left_s = 1.0
            if run.row.expires_at is not None:
                left_s = max(left_s, (run.row.expires_at - clock.wall()).total_seconds())
            return await self._durable.submit(flight.command, flight.order, left_s)
        if run.opens:
            self._openings[flight.command] = None
            if len(self._openings) > _OPENINGS_REMEMBERED:
                self._openings.popitem(last=False)
        result = self._instant.submit(flight.command, flight.order)
        if run.opens and isinstance(result, Accepted) and not result.repeated:
            self._ceiling.add(clock.now_ms())
        return result

    def _can_reach(self, run: ActiveJob, place: int) -> bool:
        return why_not(self._fleet.lockers, run.row.kind, run.targets[place].target) is None

    def _note(self, run: ActiveJob, results: list[Result]) -> None:
        for result in results:
            del run.flights[result.place]
            run.job.settle(result.place, result.state)
        self._count(run, results)

    def _count(self, run: ActiveJob, results: list[Result]) -> None:
        for result in results:
            self._metrics.job_targets.labels(run.row.kind, result.state.value).inc()
