"""Durable commands (configure, restart, forget): kept in the database, and sent until the locker has a last word.

Each change is written before it is believed: the row before the 202, "sent" before anything is sent, the locker's
word before it is told. So a row that says `queued` was never sent, and whatever crashes, the next hub goes on from
there; the locker knows a repeated command by its id. While the database is away nothing is sent and nothing lost:
lockers say again what they are asked again.
"""

import asyncio
import logging
import math
import random
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final
from uuid import UUID

from hub import clock
from hub.commands.admission import AdmissionControl
from hub.commands.observers import CommandObservers
from hub.commands.publisher import CommandPublisher
from hub.commands.result import DRAINING, KEY_REUSED, ORDERED_BY_LAW, Accepted, Refused, already_settled, away
from hub.config.settings import CommandSettings
from hub.core.commands import (
    CommandClass,
    CommandRecord,
    CommandRefusal,
    CommandReply,
    CommandStatus,
    DoorOutcome,
    Order,
)
from hub.core.fleet import Fleet
from hub.core.lanes import EXPIRED, OVERDUE, LaneAction, Lanes, LaneStep, is_forget
from hub.errors import LinkError, StoreError, StoreRejected, StoreUnavailable
from hub.metrics import Metrics
from hub.store.commands import CommandStore, Settlement, record_of_row
from hub.store.registry import REMOVED_WHY
from wire.messages import DURABLE_KINDS, CommandKind

_log = logging.getLogger(__name__)
_TICK_S: Final = 0.25
_LOOK_MS: Final = 10_000.0
"""How soon what another process wrote, or left, is found."""
_ASKED_FOR: Final = DURABLE_KINDS - {CommandKind.FORGET.value}
_AT_ONCE_MAX: Final = 100
"""How many rows, words, lanes or steps are taken before the event loop turns: some milliseconds' worth."""
_RETRY_S: Final = 0.1
_RETRY_S_MAX: Final = 2.0
_JITTER_MIN: Final = 0.5
_MICROSECOND: Final = timedelta(microseconds=1)


class DurableCommands:
    """Keeps durable commands and delivers them, in order and one at a time to each locker."""

    def __init__(
        self,
        config: CommandSettings,
        store: CommandStore,
        publisher: CommandPublisher,
        fleet: Fleet,
        observers: CommandObservers,
        metrics: Metrics,
    ) -> None:
        self._config = config
        self._store = store
        self._publisher = publisher
        self._fleet = fleet
        self._observers = observers
        self._requests = metrics.command_requests
        self._deliveries = metrics.command_deliveries
        self._admission = AdmissionControl(config, fleet, metrics)
        self._lanes = Lanes(
            per_locker_max=config.durable_per_locker_max,
            fleet_max=config.durable_fleet_max,
            pause_ms_min=config.durable_pause_ms_min,
            pause_ms_max=config.durable_pause_ms_max,
        )
        self._storing: dict[UUID, asyncio.Event] = {}
        self._storing_for: Counter[str] = Counter()
        self._words: dict[UUID, Settlement] = {}
        """What lockers said and is not written yet; one a command, so no more than there are commands."""
        self._doubtful: dict[UUID, datetime] = {}
        """Commands whose COMMIT was not answered, and whose callers were told that they are not taken."""
        self._doubt = asyncio.Lock()
        self._ended_meanwhile: set[UUID] | None = None
        """What ended while rows are being read: such a row may be older than its command's end."""
        self._wake = asyncio.Event()
        self._draining = False
        self._look_at_ms = 0.0
        self._accepted_at = datetime.min.replace(tzinfo=clock.wall().tzinfo)
        metrics.commands_durable.set_function(lambda: len(self._lanes))

    async def submit(self, command: UUID, order: Order, expires_s: float) -> Accepted | Refused:
        """Commit a command to the database, or say why not. It is sent whenever its locker is there.

        The same id with the same order is the same command (`Accepted.repeated`), also across restarts.
        `order.kind` is one of `wire.messages.DURABLE_KINDS`, but `forget`, which an erasure writes by
        itself. Refusals: locker_unknown, door_unknown, locker_queue_full, hub_busy (the fleet's queue is full),
        database_unavailable, idempotency_key_reused, draining.

        Raises:
            StoreRejected: the database does not accept these values.
        """
        assert order.kind in _ASKED_FOR, f"{order.kind} is not durable, or nobody asks for it"  # noqa: S101
        result = await self._submit(command, order, expires_s)
        self._requests.labels(order.kind, result.label).inc()
        return result

    def find(self, command: UUID) -> CommandRecord | None:
        """Return a command that has no end yet."""
        return self._lanes.find(command)

    def hear(self, command: UUID, locker: str, word: CommandReply) -> bool:
        """Take a locker's word, to be written. Returns whether the command is kept here."""
        entry = self._lanes.find(command)
        if entry is None or entry.order.locker != locker:
            return False
        if word.disowned or word.undelivered:
            return True
        told = self._lanes.hear(command, locker, word)
        before = self._words.get(command)
        if told is not None and (before is None or before.state.rank < told.state.rank):
            stage = {"replied" if told.state.settled else "accepted": clock.now_ms() - entry.accepted_ms}
            self._words[command] = Settlement(command, told.state, told.detail, stage)
            self._wake.set()
        return True

    async def cancel(self, command: UUID) -> Accepted | Refused | None:
        """Cancel what was never sent; ask the locker about what was. None for a command that is not kept at all.

        `Accepted`: its entry says what became of it so far: `cancelled`, or still `cancel_requested`.
        """
        before = self._lanes.find(command)
        if before is not None and is_forget(before):
            return ORDERED_BY_LAW
        repeated = before is not None and before.cancel_requested
        try:
            row = await self._store.cancel(command)
        except StoreUnavailable as error:
            return away(error)
        if row is None:
            return None
        if before is None:
            entry = _entry(row)
            if entry.settled:
                self._note_end(command)
                return already_settled(entry)
            if is_forget(entry):
                return ORDERED_BY_LAW
            if entry.command_class is CommandClass.INSTANT:
                return Refused(CommandRefusal.TOO_LATE, "Its deadline has passed; there is nothing left to cancel.")
            # The database has it, and no lane: it was taken by another hub.
            entry = self._lanes.add(entry)
        else:
            entry = before
            self._take(row)
        if entry.settled and not (entry.state is CommandStatus.CANCELLED and not repeated):
            return already_settled(entry)
        if not repeated:
            self._lanes.hurry(command)
            self._observers.changed(entry, state=False)
        self._wake.set()
        return Accepted(entry, repeated=repeated)

    async def load(self) -> None:
        """Take over what is under way, in whatever state it was left, and whoever took it; page by page."""
        gone: set[UUID] = set()
        for look in (self._store.durable_under_way, self._store.forgets_under_way):
            page = await look(None, _AT_ONCE_MAX)
            while page:
                await self._adopt(page)
                gone.update(row["id"] for row in page if not row["registered"])
                page = await look(page[-1], _AT_ONCE_MAX) if len(page) == _AT_ONCE_MAX else []
        self._look_at_ms = clock.now_ms() + _LOOK_MS
        # Whoever removed a locker ended its commands, and they are to end in this hub's memory as well.
        for locker in self._lanes.lockers().difference(self._fleet.lockers):
            gone.update(self._lanes.of_locker(locker))
        left = iter(gone)
        try:
            while some := list(islice(left, _AT_ONCE_MAX)):
                self._take_all(some, await self._store.expire(some, REMOVED_WHY))
        except StoreUnavailable as error:
            # It is looked at again every ten seconds; a hub starts on a database that is read-only for now.
            _log.warning("Commands of lockers that are gone cannot be ended", extra={"error": str(error)})

    async def _adopt(self, page: Sequence[dict[str, Any]]) -> None:
        """Take those of a page that are not known yet into their lanes."""
        unknown = [row["id"] for row in page if self._lanes.find(row["id"]) is None]
        self._accepted_at = max(self._accepted_at, *(row["accepted_at"] for row in page))
        if not unknown:
            return
        ended: set[UUID] = set()
        self._ended_meanwhile = ended
        try:
            rows = await self._store.by_ids(unknown)
        finally:
            self._ended_meanwhile = None
        for row in rows:
            # What is being stored, or is about to be deleted, is not there yet for anybody.
            if row["id"] not in self._storing and row["id"] not in self._doubtful and row["id"] not in ended:
                entry = _entry(row)
                if not entry.settled:
                    self._lanes.add(entry)

    def _note_end(self, command: UUID) -> None:
        if self._ended_meanwhile is not None:
            self._ended_meanwhile.add(command)

    async def run(self) -> None:
        """Deliver, expire, cancel and settle, until cancelled."""
        pause_s = _RETRY_S
        while True:
            try:
                async with asyncio.timeout(_TICK_S if len(self._lanes) or self._doubtful else _LOOK_MS / 1000):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            try:
                if clock.now_ms() >= self._look_at_ms:
                    await self.load()
                await self._round()
            except StoreError as error:
                _log.warning("Durable commands wait for the database", extra={"error": str(error)})
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, _RETRY_S_MAX)
                self._wake.set()
            else:
                pause_s = _RETRY_S

    def look_soon(self) -> None:
        """Look at the database now: commands of lockers that left the registry have an end."""
        self._look_at_ms = 0.0
        self._wake.set()

    def rest(self) -> None:
        """Take no more commands; those that are kept wait for the next hub."""
        self._draining = True

    async def _submit(self, command: UUID, order: Order, expires_s: float) -> Accepted | Refused:
        while (storing := self._storing.get(command)) is not None:
            await storing.wait()
        known = self._lanes.find(command)
        if known is not None:
            return Accepted(known, repeated=True) if known.order == order else KEY_REUSED
        if self._draining:
            return DRAINING
        refused = self._admission.unknown(order) or self._full(order.locker)
        if refused is not None:
            return refused
        # Strictly later than the one before: acceptance is the order of delivery.
        now = clock.wall()
        self._accepted_at = at = max(now, self._accepted_at + _MICROSECOND)
        entry = CommandRecord(
            command, order, at, clock.now_ms(), self._config.durable_deadline_ms, state=CommandStatus.QUEUED,
            command_class=CommandClass.DURABLE, expires_at=now + timedelta(seconds=expires_s),
        )  # fmt: skip
        stored = self._storing[command] = asyncio.Event()
        self._storing_for[order.locker] += 1
        try:
            return await self._keep(entry)
        finally:
            self._storing_for[order.locker] -= 1
            self._storing_for += Counter()  # which drops the zeros
            del self._storing[command]
            stored.set()

    async def _keep(self, entry: CommandRecord) -> Accepted | Refused:
        try:
            if entry.id in self._doubtful:
                # It is about to be deleted, and is asked for once more.
                async with self._doubt:
                    self._doubtful.pop(entry.id, None)
                    new, row = await self._store.add_durable(entry)
            else:
                new, row = await self._store.add_durable(entry)
        except StoreUnavailable as error:
            # It may be committed all the same, if the answer to COMMIT was lost.
            self._doubtful[entry.id] = entry.accepted_at
            return away(error)
        if not new:
            there = _entry(row)
            if there.order != entry.order:
                return KEY_REUSED
            entry = there
        if not entry.settled:
            entry = self._lanes.add(entry)
            self._wake.set()
        if new:
            self._observers.changed(entry, state=True)
        return Accepted(entry, repeated=not new)

    def _full(self, locker: str) -> Refused | None:
        full = self._lanes.room(
            locker, reserved=self._storing_for[locker], reserved_all=self._storing_for.total() + len(self._doubtful)
        )
        if full is CommandRefusal.LOCKER_QUEUE_FULL:
            limit = self._config.durable_per_locker_max
            return Refused(full, f"{limit} commands are kept for {locker}, which is the limit for one locker.")
        if full is not None:
            return Refused(full, f"{self._config.durable_fleet_max} commands are kept, which is the limit.", 60.0)
        return None

    async def _round(self) -> None:
        """Write what was said, and go once round all lanes; the event loop turns after every few."""
        await self._forget_doubtful()
        for _ in range(math.ceil(self._lanes.count / _AT_ONCE_MAX)):
            await self._write_words()
            if self._draining:
                return
            await self._visit()
            await asyncio.sleep(0)

    async def _visit(self) -> None:
        steps = self._lanes.steps(
            self._session, clock.wall(), clock.now_ms(), steps_max=_AT_ONCE_MAX, lanes_max=_AT_ONCE_MAX
        )
        by_act: dict[LaneAction, list[UUID]] = {act: [] for act in LaneAction}
        for step in steps:
            by_act[step.act].append(step.entry.id)
        if expired := by_act[LaneAction.EXPIRE]:
            self._take_all(expired, await self._store.expire(expired, EXPIRED))
        if overdue := by_act[LaneAction.OVERDUE]:
            await self._overdue(overdue)
        if delivered := by_act[LaneAction.DELIVER]:
            self._take_all(delivered, await self._store.deliver(delivered))
        for step in steps:
            if step.act in {LaneAction.DELIVER, LaneAction.CANCEL}:
                self._send(step)
        if len(steps) == _AT_ONCE_MAX:
            self._wake.set()

    async def _forget_doubtful(self) -> None:
        if not self._doubtful:
            return
        async with self._doubt:
            doubtful = dict(islice(self._doubtful.items(), _AT_ONCE_MAX))
            await self._store.take_back(doubtful)
            for command in doubtful:
                del self._doubtful[command]
            if self._doubtful:
                self._wake.set()

    async def _write_words(self) -> None:
        words = list(islice(self._words.values(), _AT_ONCE_MAX))
        if not words:
            return
        asked = [word.id for word in words]
        try:
            rows = await self._store.settle(words)
        except StoreRejected:
            asked = []
            rows = [row for word in words for row in await self._settle_alone(word)]
        for word in words:
            if self._words.get(word.id) is word:
                del self._words[word.id]
        self._take_all(asked, rows)
        if self._words:
            self._wake.set()

    async def _settle_alone(self, word: Settlement) -> list[dict[str, Any]]:
        try:
            return await self._store.settle([word])
        except StoreRejected as error:
            # Its locker will be asked again, and the rest of the fleet does not wait for it.
            _log.exception(
                "A locker's answer cannot be written", extra={"command": str(word.id), "error": str(error)}
            )
            return []

    async def _overdue(self, ids: list[UUID]) -> None:
        for row in await self._store.overdue(ids, OVERDUE):
            entry = self._lanes.find(row["id"])
            self._take(row)
            if entry is not None and not entry.settled:
                entry.detail = row["detail"]
                self._observers.changed(entry, state=False)

    def _send(self, step: LaneStep) -> None:
        """Send a command, or its cancellation, if that is still to be done now that the database has answered."""
        entry = self._lanes.find(step.entry.id)
        if entry is None or entry.id in self._words or (step.act is LaneAction.DELIVER and entry.cancel_requested):
            return
        locker, now_ms = entry.order.locker, clock.now_ms()
        session, stamp = self._session(locker), self._publisher.stamp(locker, now_ms)
        self._lanes.tried(entry.id, session, now_ms, random.uniform(_JITTER_MIN, 1))  # noqa: S311 - jitter
        if session is None or stamp is None:
            return
        deadline_ms = entry.deadline_ms
        try:
            if step.act is LaneAction.CANCEL:
                self._publisher.cancel(entry.id, locker, stamp, deadline_ms)
            else:
                assert entry.expires_at is not None, "durable commands have one"  # noqa: S101
                left_ms = (entry.expires_at - clock.wall()).total_seconds() * 1000
                message = self._publisher.sign(entry.id, entry.order, stamp, max(0.0, min(deadline_ms, left_ms)))
                self._publisher.send(locker, message)
        except LinkError:
            self._deliveries.labels(step.act.value, "unsent").inc()
            return
        self._deliveries.labels(step.act.value, "sent").inc()

    def _session(self, locker_id: str) -> Hashable | None:
        """Return where a locker is, or None while nothing can be sent to it."""
        locker = self._fleet.lockers.get(locker_id)
        if locker is None or not locker.reachable or not self._publisher.connected:
            return None
        stamp = self._publisher.stamp(locker_id, clock.now_ms())
        return None if stamp is None else (locker.session, stamp[0])

    def _take_all(self, ids: Iterable[UUID], rows: Iterable[dict[str, Any]]) -> None:
        """Bring commands up to their rows. One without a row is kept by nobody, and is not sent."""
        missing = set(ids)
        for row in rows:
            missing.discard(row["id"])
            self._take(row)
        for command in missing:
            _log.error("The database no longer has a durable command", extra={"command": str(command)})
            self._lanes.remove(command)
            self._words.pop(command, None)

    def _take(self, row: dict[str, Any]) -> None:
        """Bring a command up to what the database says; answers may come in any order, and it only goes forward."""
        entry = self._lanes.find(row["id"])
        if entry is None:
            return
        changed = entry.advance(CommandStatus(row["state"]), row["detail"])
        entry.attempts = max(entry.attempts, row["attempts"])
        entry.cancel_requested = entry.cancel_requested or row["cancel_requested"]
        entry.stages_ms |= row["stages_ms"]
        entry.outcome = None if row["outcome"] is None else DoorOutcome(row["outcome"])
        if entry.settled:
            self._note_end(entry.id)
            self._lanes.remove(entry.id)
            self._words.pop(entry.id, None)
            self._wake.set()
        if changed:
            self._observers.changed(entry, state=True)


def _entry(row: dict[str, Any]) -> CommandRecord:
    return record_of_row(row, now=clock.wall(), now_ms=clock.now_ms())
