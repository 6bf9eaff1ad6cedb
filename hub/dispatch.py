"""One command out: judge, sign, publish, await the outcome. The database is never waited for."""

import asyncio
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from hub import clock
from hub.config import Commands
from hub.core.clocks import Clocks
from hub.core.commands import CommandBook, Entry, Order, Outcome, Refusal, State
from hub.core.fleet import DoorState, Fleet
from hub.core.rates import TokenBucket
from hub.errors import LinkError
from hub.live import Live
from hub.metrics import Metrics
from hub.mqtt import Link
from hub.quarantine import Quarantine
from hub.signing import CommandKey
from hub.store.batch import Batcher
from hub.store.rows import CommandRow
from wire.errors import WireError
from wire.messages import PROTOCOL, Command, CommandKind, decode_reply, encode
from wire.topics import Channel, parse, topic_of

INSTANT: Final = "instant"
"""The class of commands that are never queued: open, locate."""

_log = logging.getLogger(__name__)
_TICK_S: Final = 0.05
_BURST_SHARE: Final = 0.25
"""A bucket holds a quarter of a minute's tokens, and ten at least."""
_BURST_MIN: Final = 10.0


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a command was not taken: a stable code, a sentence, and when to come again."""

    code: Refusal
    detail: str
    retry_after_s: float | None = None

    @property
    def label(self) -> str:
        """The metric's label."""
        return self.code.value


@dataclass(frozen=True, slots=True)
class Accepted:
    """A command that was taken. `repeated`: it was known already, and nothing was sent again."""

    entry: Entry
    repeated: bool = False

    @property
    def label(self) -> str:
        """The metric's label."""
        return "repeated" if self.repeated else "accepted"


class Dispatch:
    """Submits commands and settles them by what the lockers say."""

    def __init__(
        self,
        config: Commands,
        key: CommandKey,
        fleet: Fleet,
        clocks: Clocks,
        live: Live,
        rows: Batcher[CommandRow],
        quarantine: Quarantine,
        metrics: Metrics,
    ) -> None:
        self._config = config
        self._key = key
        self._fleet = fleet
        self._clocks = clocks
        self._live = live
        self._rows = rows
        self._quarantine = quarantine
        self._metrics = metrics
        self._row_dropped = metrics.batch_dropped.labels("command")
        self._book = CommandBook(
            in_flight_max=config.in_flight_max,
            remembered_max=config.remembered_max,
            grace_ms=config.grace_ms,
        )
        self._link: Link | None = None
        self._draining = False
        self._settled = asyncio.Event()
        self._fleet_rate = _bucket(config.fleet_per_minute)
        self._rates: dict[str, TokenBucket] = {}
        self._waiters: dict[UUID, set[asyncio.Event]] = {}
        metrics.commands_in_flight.set_function(lambda: len(self._book))
        self._stages = {
            stage: metrics.command_stage.labels(INSTANT, stage)
            for stage in ("published", "received", "started", "pulsed", "replied", "opened")
        }

    def use(self, link: Link) -> None:
        """Send over this link."""
        self._link = link

    def submit(self, command: UUID, order: Order) -> Accepted | Refused:
        """Take a command and send it, or say why not. The same id with the same order is the same command."""
        result = self._submit(command, order)
        self._metrics.command_requests.labels(order.kind, result.label).inc()
        return result

    def find(self, command: UUID) -> Entry | None:
        """Return a command of this hub's memory."""
        return self._book.find(command)

    def receive(self, topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001 - the link's signature
        """Take one reply."""
        try:
            locker, channel = parse(topic)
            if channel is not Channel.REPLIES or retained:
                return
            self._metrics.messages.labels(channel.value).inc()
            if locker not in self._fleet.lockers:
                detail = f"no locker {locker!r} in the registry"
                self._quarantine.keep(topic, payload, "locker_unknown", detail, clock.wall_ms())
                return
            reply = decode_reply(payload)
        except WireError as error:
            self._quarantine.keep(topic, payload, error.reason.value, error.detail, clock.wall_ms())
            return
        now_ms = clock.now_ms()
        self._clocks.observe(locker, reply.boot, reply.t, now_ms)
        self._fleet.heard(locker, now_ms=now_ms, at=clock.wall())
        entry = self._book.reply(reply, locker, now_ms)
        if entry is None:
            return
        budget_ms = {"pulsed": self._config.open_budget_ms, "replied": self._config.open_budget_ms}
        for stage, stage_ms in entry.stages_ms.items():
            if stage in self._stages and stage != "opened":
                self._stages[stage].observe(stage_ms / 1000)
                if stage_ms > budget_ms.get(stage, stage_ms):
                    self._metrics.command_budget_missed.labels(INSTANT, stage).inc()
        self._changed(entry, state=True)
        locker_now = self._fleet.lockers[locker]
        door = locker_now.doors.get(entry.order.door or 0)
        if entry.state is State.SUCCEEDED and door is not None and locker_now.door_state(door) is DoorState.OPEN:
            # It was open before: no edge will come to tell, and the sensor says what there is to say.
            self.saw(entry.id, locker, Outcome.OPENED)

    def saw(self, command: UUID, locker: str, outcome: Outcome) -> None:
        """Join what a door sensor saw with its command."""
        entry = self._book.saw(command, locker, outcome, clock.now_ms())
        if entry is None:
            return
        if outcome is Outcome.OPENED:
            opened_ms = entry.stages_ms["opened"]
            self._stages["opened"].observe(opened_ms / 1000)
            if opened_ms > self._config.door_seen_budget_ms:
                self._metrics.command_budget_missed.labels(INSTANT, "opened").inc()
        self._metrics.command_outcomes.labels(outcome.value).inc()
        self._changed(entry, state=False)

    async def wait(self, entry: Entry, until: Callable[[Entry], bool], timeout_s: float) -> None:
        """Return once `until(entry)` holds, or the time is up."""
        changed = asyncio.Event()
        self._waiters.setdefault(entry.id, set()).add(changed)
        try:
            async with asyncio.timeout(timeout_s):
                while not until(entry):
                    changed.clear()
                    await changed.wait()
        except TimeoutError:
            return
        finally:
            waiting = self._waiters[entry.id]
            waiting.discard(changed)
            if not waiting:
                del self._waiters[entry.id]

    async def run(self) -> None:
        """Turn commands whose reply is overdue into timed_out, until cancelled."""
        while True:
            await asyncio.sleep(_TICK_S)
            for entry in self._book.due(clock.now_ms()):
                self._changed(entry, state=True)

    async def drain(self, timeout_s: float) -> None:
        """Take no more commands, and let those in flight end, within the time."""
        self._draining = True
        try:
            async with asyncio.timeout(timeout_s):
                while len(self._book):
                    self._settled.clear()
                    await self._settled.wait()
        except TimeoutError:
            _log.warning("Commands are left in flight", extra={"commands": len(self._book)})

    def _submit(self, command: UUID, order: Order) -> Accepted | Refused:
        known = self._book.repeat(command, order)
        if isinstance(known, Entry):
            return Accepted(known, repeated=True)
        if known is Refusal.IDEMPOTENCY_KEY_REUSED:
            return Refused(
                known, "This Idempotency-Key came with another body before; a new command needs a new key."
            )
        now_ms = clock.now_ms()
        refused = self._refuse(order, now_ms)
        if refused is not None:
            return refused
        deadline_ms = self._config.open_deadline_ms
        stamp = self._clocks.at(order.locker, now_ms)
        if stamp is None:
            return Refused(
                Refusal.LOCKER_CLOCK_UNKNOWN,
                f"{order.locker} has not been heard since this hub started, so no deadline can be given to it.",
            )
        entry = self._book.submit(command, order, at=clock.wall(), now_ms=now_ms, deadline_ms=deadline_ms)
        match entry:
            case Refusal.DOOR_BUSY:
                return Refused(entry, f"Another command for door {order.door} of {order.locker} is under way.")
            case Refusal():
                return Refused(entry, f"{len(self._book)} commands are in flight, which is the limit.", 1.0)
        boot, locker_ms = stamp
        signed = self._key.sign(
            Command(
                v=PROTOCOL,
                id=command,
                locker=order.locker,
                kind=order.kind,
                door=order.door,
                args=order.args,
                actor=order.actor,
                reason=order.reason,
                boot=boot,
                not_after=locker_ms + deadline_ms,
            )
        )
        try:
            assert self._link is not None, "the composition root gives the link"  # noqa: S101
            self._link.publish(topic_of(order.locker, Channel.COMMANDS), encode(signed))
        except LinkError as error:
            self._book.withdraw(command)
            return Refused(Refusal.BROKER_UNAVAILABLE, f"The command was not sent: {error}.", 1.0)
        self._book.published(command, clock.now_ms())
        self._changed(entry, state=False)
        return Accepted(entry)

    def _refuse(self, order: Order, now_ms: float) -> Refused | None:
        if self._draining:
            return Refused(Refusal.DRAINING, "This hub is stopping; ask again in a moment.", 5.0)
        locker = self._fleet.lockers.get(order.locker)
        if locker is None:
            return Refused(Refusal.LOCKER_UNKNOWN, f"There is no locker {order.locker!r} in the registry.")
        if order.door is not None:
            door = locker.doors.get(order.door)
            if door is None:
                return Refused(
                    Refusal.DOOR_UNKNOWN,
                    f"{order.locker} has no door {order.door}; its doors are {_doors(locker.doors)}.",
                )
            if order.kind == CommandKind.OPEN and not door.spec.in_service:
                why = f": {door.spec.service_reason}" if door.spec.service_reason else ""
                return Refused(Refusal.DOOR_OUT_OF_SERVICE, f"Door {order.door} is out of service{why}.")
        if not locker.reachable:
            heard = f"was last heard at {locker.heard_at:%H:%M:%S} UTC" if locker.heard_at else "has not been heard"
            return Refused(Refusal.LOCKER_OFFLINE, f"{order.locker} {heard}; nothing is queued for it.")
        if self._link is None or not self._link.connected:
            return Refused(Refusal.BROKER_UNAVAILABLE, "The link to the broker is down; nothing is queued.", 1.0)
        rate = self._rates.get(order.locker)
        if rate is None:
            rate = self._rates[order.locker] = _bucket(self._config.per_locker_per_minute)
        wait_ms = rate.take(now_ms) or self._fleet_rate.take(now_ms)
        if wait_ms:
            return Refused(
                Refusal.RATE_LIMITED,
                f"More than {self._config.per_locker_per_minute} commands a minute for one locker, or "
                f"{self._config.fleet_per_minute} for the fleet.",
                wait_ms / 1000,
            )
        return None

    def _changed(self, entry: Entry, *, state: bool) -> None:
        if state:
            self._metrics.command_states.labels(entry.order.kind, entry.state.value).inc()
            if entry.state is not State.SUCCEEDED:
                _log.warning(
                    "A command did not succeed",
                    extra={"command": str(entry.id), "locker": entry.order.locker, "state": entry.state.value,
                           "detail": entry.detail},
                )  # fmt: skip
        outcome = None if entry.outcome is None else entry.outcome.value
        if not self._rows.put(CommandRow(entry, entry.state.value, outcome, dict(entry.stages_ms))):
            self._row_dropped.inc()
        self._live.command(entry)
        self._settled.set()
        for waiter in self._waiters.get(entry.id, ()):
            waiter.set()


def _bucket(per_minute: int) -> TokenBucket:
    return TokenBucket(per_minute, max(_BURST_MIN, per_minute * _BURST_SHARE))


def _doors(doors: Collection[int]) -> str:
    return f"{min(doors)} to {max(doors)}" if doors else "none"
