"""Instant commands out: judge, sign, publish, await the outcome. The database is never waited for.

And what lockers say of commands of either class, by a reply or by their ledger, comes in here.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from hub import clock
from hub.commands.admission import AdmissionControl
from hub.commands.observers import CommandObservers
from hub.commands.publisher import CommandPublisher, Now
from hub.commands.result import DRAINING, KEY_REUSED, Accepted, Refused
from hub.config.settings import CommandSettings
from hub.core.clocks import Clocks
from hub.core.commands import (
    CommandClass,
    CommandRecord,
    CommandRefusal,
    CommandReply,
    CommandStatus,
    CommandTracker,
    DoorOutcome,
    Order,
)
from hub.core.fairness import Limit, Shares
from hub.core.finished import Finished, read_finished
from hub.core.fleet import DoorState, Fleet
from hub.core.freshness import LoopFreshness
from hub.errors import LinkError
from hub.metrics import Metrics
from hub.mqtt.quarantine import Quarantine
from hub.mqtt.tap import DROPPED, IGNORED, TAKEN
from hub.store.batcher import Batcher
from hub.store.commands import CommandRow, CommandUpdate, OutcomeRow
from wire.errors import WireError
from wire.messages import DURABLE_KINDS, Event, EventKind, decode_reply
from wire.topics import Channel, parse

__all__ = ["Accepted", "InstantCommands", "Refused"]

_log = logging.getLogger(__name__)
_TICK_S: Final = 0.05
_STALL_MS_MIN: Final = 1000.0
_HOLD_MS: Final = 250.0
_CLOCK_ERROR_MS: Final = 20.0
"""Two clocks that are read one after the other differ by less."""
_OUTCOMES: Final = {
    EventKind.DOOR_OPENED.value: DoorOutcome.OPENED,
    EventKind.DOOR_CLOSED.value: DoorOutcome.CLOSED,
    EventKind.DOOR_OPEN_NOT_DETECTED.value: DoorOutcome.OPEN_NOT_DETECTED,
}


class DurableLookup(Protocol):
    """Commands of the other class, which are kept until they have an end."""

    def find(self, command: UUID) -> CommandRecord | None:
        """Return a command that has no end yet."""
        ...

    def hear(self, command: UUID, locker: str, word: CommandReply) -> bool:
        """Take a locker's word. Returns whether the command is kept here."""
        ...


class InstantCommands:
    """Submits commands and settles them by what the lockers say."""

    def __init__(
        self,
        config: CommandSettings,
        publisher: CommandPublisher,
        fleet: Fleet,
        clocks: Clocks,
        observers: CommandObservers,
        rows: Batcher[CommandUpdate],
        quarantine: Quarantine,
        metrics: Metrics,
        *,
        now_ms: Now = clock.now_ms,
        suspended_ms: Now = clock.suspended_ms,
    ) -> None:
        self._config = config
        self._publisher = publisher
        self._fleet = fleet
        self._clocks = clocks
        self._observers = observers
        self._rows = rows
        self._quarantine = quarantine
        self._tap = publisher.tap
        self._metrics = metrics
        self._shares: Shares | None = None
        self._now_ms = now_ms
        self._suspended_ms = suspended_ms
        self._slept_ms = suspended_ms()
        self._admission = AdmissionControl(config, fleet, metrics)
        self._fresh = LoopFreshness(stall_ms_max=max(_STALL_MS_MIN, config.open_deadline_ms), hold_ms=_HOLD_MS)
        self._row_dropped = metrics.batch_dropped.labels("command")
        self._from_ledger = metrics.command_from_ledger
        self._book = CommandTracker(
            in_flight_max=config.in_flight_max,
            remembered_max=config.remembered_max,
            grace_ms=config.grace_ms,
        )
        self._kept: DurableLookup | None = None
        self._draining = False
        self._settled = asyncio.Event()
        metrics.commands_in_flight.set_function(lambda: len(self._book))
        self._stages = {
            stage: metrics.command_stage.labels(CommandClass.INSTANT.value, stage)
            for stage in ("published", "received", "started", "pulsed", "replied", "opened")
        }

    def listen_for(self, kept: DurableLookup) -> None:
        """Hand on what lockers say of commands that are kept elsewhere."""
        self._kept = kept

    def limit(self, shares: Shares) -> None:
        """Drop what one locker replies above its share."""
        self._shares = shares

    def restore(self, entries: Iterable[CommandRecord]) -> None:
        """Take over the commands of an earlier run, oldest first."""
        for entry in entries:
            self._book.restore(entry)

    @property
    def draining(self) -> bool:
        """Whether no more commands are taken."""
        return self._draining

    def submit(self, command: UUID, order: Order, *, asked_ms: float | None = None) -> Accepted | Refused:
        """Take a command and send it, or say why not. The same id with the same order is the same command.

        `order.kind` is an instant one; `asked_ms` is when it was asked for, by the monotonic clock, if not now.
        """
        assert order.kind not in DURABLE_KINDS, f"{order.kind} is durable"  # noqa: S101
        result = self._submit(command, order, asked_ms)
        self._metrics.command_requests.labels(order.kind, result.label).inc()
        return result

    def find(self, command: UUID) -> CommandRecord | None:
        """Return a command of this hub's memory: an instant one of late, or a durable one without an end."""
        entry = self._book.find(command)
        return self._kept.find(command) if entry is None and self._kept is not None else entry

    def cancel(self, entry: CommandRecord) -> Accepted | Refused:
        """Ask the locker, once, never to begin an instant command. What became of it is told by its reply."""
        if entry.settled:
            return Refused(CommandRefusal.ALREADY_SETTLED, f"The command has ended: it is {entry.state.value}.")
        if entry.state is CommandStatus.TIMED_OUT:
            return Refused(CommandRefusal.TOO_LATE, "Its deadline has passed; there is nothing left to cancel.")
        if entry.cancel_requested:
            return Accepted(entry, repeated=True)
        stamp = self._publisher.stamp(entry.order.locker, self._now_ms())
        if stamp is None:
            return Refused(
                CommandRefusal.LOCKER_CLOCK_UNKNOWN, f"{entry.order.locker} has not been heard for long."
            )
        try:
            self._publisher.cancel(entry.id, entry.order.locker, stamp, self._config.open_deadline_ms)
        except LinkError as error:
            return Refused(CommandRefusal.BROKER_UNAVAILABLE, f"The cancellation was not sent: {error}.", 1.0)
        entry.cancel_requested = True
        self._changed(entry, state=False)
        return Accepted(entry)

    def receive(self, topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001 - the link's signature
        """Take one reply."""
        verdict = self._receive(topic, payload, retained)
        if self._tap.watched:
            self._tap.note("in", topic, payload, verdict, retained=retained)

    def _receive(self, topic: str, payload: bytes, retained: bool) -> str:  # noqa: FBT001
        """Take one reply; return what became of it."""
        try:
            locker, channel = parse(topic)
            if channel is not Channel.REPLIES or retained:
                return IGNORED
            self._metrics.messages.labels(channel.value).inc()
            if not payload:
                # How a retained message is deleted.
                return IGNORED
            if locker not in self._fleet.lockers:
                reason, detail = self._fleet.why_not_taken(locker)
                self._quarantine.keep(topic, payload, reason, detail, clock.wall_ms())
                return f"quarantined:{reason}"
            now_ms = self._now_ms()
            if self._shares is not None and (limit := self._shares.admit(locker, now_ms)) is not None:
                self._drop(self._shares, locker, limit, now_ms)
                return DROPPED
            reply = decode_reply(payload)
        except WireError as error:
            self._quarantine.keep(topic, payload, error.reason.value, error.detail, clock.wall_ms())
            return f"quarantined:{error.reason.value}"
        # Any other one may be of before a link or a boot that ended: it can make a clock better, and begin none.
        answered = self._book.find(reply.id)
        waited_for = answered is not None and not answered.settled and not answered.late
        self._clocks.observe(locker, reply.boot, reply.t, now_ms, begins=waited_for)
        if locker not in self._fleet.disabled:
            # Of one that is disabled, what became of earlier commands is still wanted, and nothing else.
            self._fleet.heard(locker, now_ms=now_ms, at=clock.wall(), in_order=False)
        word = CommandReply.of(reply.state, reply.reason, reply.stages)
        if word.disowned:
            entry = self.find(reply.id)
            ours = entry if entry is not None and entry.order.locker == locker else None
            self._observers.disowned(locker, ours, word.detail or "", now_ms)
        self._hear(reply.id, locker, word, now_ms)
        return TAKEN

    def _drop(self, shares: Shares, locker: str, limit: Limit, now_ms: float) -> None:
        """Leave a reply out, undecoded. The locker's ledger still tells how the command ended."""
        self._metrics.limited.labels(Channel.REPLIES.value, limit.value).inc()
        if shares.tell(locker, now_ms):
            _log.warning(
                "A locker sends more replies than its share; they are dropped",
                extra={"locker": locker, "limit": limit.value},
            )

    def on_event(self, locker: str, event: Event, occurred: datetime) -> None:
        """Join one new event of a locker's ledger, however old, with its command. Nothing is ever sent for it."""
        if event.kind == EventKind.COMMAND_FINISHED:
            finished = read_finished(locker, event)
            if finished is not None:
                self._on_finished(finished, occurred)
            return
        outcome = _OUTCOMES.get(event.kind)
        if outcome is None or event.command is None or event.door is None:
            return
        entry = self._book.find(event.command)
        if entry is None:
            self._from_ledger.labels("outcome").inc()
            self._put(OutcomeRow(event.command, locker, event.door, outcome))
        elif entry.order.door == event.door:
            self._saw(entry.id, locker, outcome)

    async def wait(self, entry: CommandRecord, until: Callable[[CommandRecord], bool], timeout_s: float) -> None:
        """Return once `until(entry)` holds, or the time is up."""
        await self._observers.wait(entry, until, timeout_s)

    async def run(self) -> None:
        """Turn commands whose reply is overdue into timed_out, until cancelled."""
        while True:
            await asyncio.sleep(_TICK_S)
            now_ms = self._now_ms()
            self._look(now_ms)
            for entry in self._book.due(now_ms):
                self._changed(entry, state=True)

    async def drain(self, timeout_s: float) -> None:
        """Take no more commands, let those in flight end, within the time, and answer whoever still waits.

        What ends later is taken in by the next hub: by the locker's reply, or from its ledger.
        """
        self._draining = True
        try:
            async with asyncio.timeout(timeout_s):
                while len(self._book):
                    self._settled.clear()
                    await self._settled.wait()
        except TimeoutError:
            _log.warning("Commands are left in flight", extra={"commands": len(self._book)})
        finally:
            # A door that nobody opens after its pulse would be waited for in vain, and the hub's end with it.
            self._observers.end_waiting()

    def _submit(self, command: UUID, order: Order, asked_ms: float | None) -> Accepted | Refused:
        known = self._book.repeat(command, order)
        if isinstance(known, CommandRecord):
            return Accepted(known, repeated=True)
        if known is not None or (self._kept is not None and self._kept.find(command) is not None):
            return KEY_REUSED
        now_ms = self._now_ms()
        refused = self._refuse(order, now_ms, asked_ms)
        if refused is not None:
            return refused
        stamp = self._publisher.stamp(order.locker, now_ms)
        if stamp is None:
            return Refused(
                CommandRefusal.LOCKER_CLOCK_UNKNOWN,
                f"{order.locker} has not been heard since this hub started, so no deadline can be given to it.",
            )
        deadline_ms = self._config.open_deadline_ms
        entry = self._book.submit(command, order, at=clock.wall(), now_ms=now_ms, deadline_ms=deadline_ms)
        match entry:
            case CommandRefusal.DOOR_BUSY:
                return Refused(entry, f"Another command for door {order.door} of {order.locker} is under way.")
            case CommandRefusal():
                return Refused(entry, f"{len(self._book)} commands are in flight, which is the limit.", 1.0)
        message = self._publisher.sign(command, order, stamp, deadline_ms)
        # The process may have been frozen since the stamp was made. The message would be refused by its locker, for
        # its deadline counts from the stamp; but it need not be sent at all.
        waited_ms = self._now_ms() - now_ms
        if waited_ms > deadline_ms:
            self._book.withdraw(command)
            return _too_late(waited_ms, deadline_ms)
        try:
            self._publisher.send(order.locker, message)
        except LinkError as error:
            self._book.withdraw(command)
            return Refused(CommandRefusal.BROKER_UNAVAILABLE, f"The command was not sent: {error}.", 1.0)
        self._book.published(command, self._now_ms())
        self._changed(entry, state=False)
        return Accepted(entry)

    def _refuse(self, order: Order, now_ms: float, asked_ms: float | None) -> Refused | None:
        stalled_ms = self._look(now_ms)
        waited_ms = max(stalled_ms or 0.0, 0.0 if asked_ms is None else now_ms - asked_ms)
        if self._draining:
            return DRAINING
        refused = self._admission.unknown(order) or self._admission.away(order)
        if refused is not None:
            return refused
        if not self._publisher.connected:
            return Refused(
                CommandRefusal.BROKER_UNAVAILABLE, "The link to the broker is down; nothing is queued.", 1.0
            )
        if waited_ms > self._config.open_deadline_ms:
            return _too_late(waited_ms, self._config.open_deadline_ms)
        return self._admission.too_many(order, now_ms)

    def _look(self, now_ms: float) -> float | None:
        """Look at the clocks; return how old a request that is met now may be, if this process was frozen."""
        slept_ms = self._suspended_ms()
        if abs(slept_ms - self._slept_ms) > _CLOCK_ERROR_MS:
            # How long it was is told by another of its clocks, and to the second only: what was known of the
            # lockers' clocks has lost its precision. They are heard again in a moment.
            _log.warning("This machine was asleep", extra={"seconds": round((slept_ms - self._slept_ms) / 1000, 1)})
            self._slept_ms = slept_ms
            self._clocks.forget()
        return self._fresh.look(now_ms)

    def _hear(self, command: UUID, locker: str, word: CommandReply, now_ms: float) -> bool:
        """Take a locker's word on a command. Returns whether this hub has the command in its memory."""
        entry = self._book.hear(command, locker, word, now_ms)
        if entry is None:
            known = self._book.find(command) is not None
            return known or (self._kept is not None and self._kept.hear(command, locker, word))
        budget_ms = {"pulsed": self._config.open_budget_ms, "replied": self._config.open_budget_ms}
        for stage, stage_ms in entry.stages_ms.items() if entry.settled else ():
            if stage in self._stages and stage != "opened":
                self._stages[stage].observe(stage_ms / 1000)
                if stage_ms > budget_ms.get(stage, stage_ms):
                    self._metrics.command_budget_missed.labels(CommandClass.INSTANT.value, stage).inc()
        self._changed(entry, state=True)
        locker_now = self._fleet.lockers[locker]
        door = locker_now.doors.get(entry.order.door or 0)
        if (
            entry.state is CommandStatus.SUCCEEDED
            and door is not None
            and locker_now.door_state(door) is DoorState.OPEN
        ):
            # It was open before: no edge will come to tell, and the sensor says what there is to say.
            self._saw(entry.id, locker, DoorOutcome.OPENED)
        return True

    def _on_finished(self, told: Finished, occurred: datetime) -> None:
        known = self.find(told.id)
        before = None if known is None else known.state
        if self._hear(told.id, told.order.locker, told.word, self._now_ms()):
            if known is not None and known.state is not before:
                self._from_ledger.labels("settled").inc()
            return
        if told.undelivered:
            return
        # Nobody here knows it: another hub's, forgotten, or lost in a crash. The ledger has all of it but when it
        # was accepted; the time of its end stands for that.
        entry = CommandRecord(
            told.id, told.order, occurred, 0.0, self._config.open_deadline_ms, state=told.word.state,
            detail=told.word.detail, command_class=told.command_class,
            expires_at=occurred if told.command_class is CommandClass.DURABLE else None,
        )  # fmt: skip
        self._from_ledger.labels("written").inc()
        self._put(CommandRow.of(entry))

    def _saw(self, command: UUID, locker: str, outcome: DoorOutcome) -> None:
        entry = self._book.saw(command, locker, outcome, self._now_ms())
        if entry is None:
            return
        if outcome is DoorOutcome.OPENED:
            opened_ms = entry.stages_ms["opened"]
            self._stages["opened"].observe(opened_ms / 1000)
            if opened_ms > self._config.door_seen_budget_ms:
                self._metrics.command_budget_missed.labels(CommandClass.INSTANT.value, "opened").inc()
        self._metrics.command_outcomes.labels(outcome.value).inc()
        self._changed(entry, state=False)

    def _changed(self, entry: CommandRecord, *, state: bool) -> None:
        self._put(CommandRow.of(entry))
        self._observers.changed(entry, state=state)
        self._settled.set()

    def _put(self, row: CommandUpdate) -> None:
        if not self._rows.put(row, key=row.locker, size=row.bytes):
            self._row_dropped.inc()


def _too_late(waited_ms: float, deadline_ms: float) -> Refused:
    return Refused(
        CommandRefusal.TOO_LATE,
        f"The request waited for {waited_ms / 1000:.1f} s, or this hub stood still for so long; a command is sent "
        f"within {deadline_ms / 1000:g} s or not at all. Ask again.",
        1.0,
    )
