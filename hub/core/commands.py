"""The life of a command: taken, settled exactly once, joined with what the door sensor saw.

    queued ──▶ sent ──▶ accepted ──▶ rejected | succeeded | failed | unknown | cancelled | expired
      ├─▶ cancelled     └─no word by deadline + grace─▶ timed_out ─late word─▶ the same, marked late
      └─▶ expired

*Instant* commands (open, locate) are born `sent` and may time out: the hub's view and not an end, the agent may
still tell. *Durable* ones (configure, restart, forget) are born `queued` and never time out. Only the locker's word
settles what was sent once; the hub itself says `cancelled` and `expired` of what never was. A command's end may be
told by a reply and by the ledger: the first counts, the second changes nothing.

Beside the state stands the outcome, from the ledger: opened, closed, or open_not_detected. Times are the hub's
monotonic milliseconds.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from wire.messages import Args, CommandState, Stages
from wire.refusals import DISOWNED, UNDELIVERED, AgentRefusal

_STAGE_ERROR_MS: Final = 20.0
"""Two machines that time the same thing differ by less."""


class CommandStatus(StrEnum):
    """Where a command is."""

    QUEUED = "queued"
    SENT = "sent"
    ACCEPTED = "accepted"
    TIMED_OUT = "timed_out"
    REJECTED = "rejected"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"
    EXPIRED = "expired"
    CANCELLED = "cancelled"

    @property
    def rank(self) -> int:
        """A command goes to a state of a higher rank only. The database has the same ranks (`command_rank`)."""
        return _RANKS.get(self, _SETTLED_RANK)

    @property
    def settled(self) -> bool:
        """Whether it is how the command ended."""
        return self not in _RANKS


_RANKS: Final = {
    CommandStatus.QUEUED: 0,
    CommandStatus.SENT: 1,
    CommandStatus.ACCEPTED: 2,
    CommandStatus.TIMED_OUT: 3,
}
_SETTLED_RANK: Final = 4


class CommandClass(StrEnum):
    """How a command is kept: sent once to a locker that is there, or stored and sent until it is answered."""

    INSTANT = "instant"
    DURABLE = "durable"


class DoorOutcome(StrEnum):
    """What the door sensor saw."""

    OPENED = "opened"
    CLOSED = "closed"
    OPEN_NOT_DETECTED = "open_not_detected"


class CommandRefusal(StrEnum):
    """Why a request about a command was not taken. The values are the codes of the API."""

    LOCKER_UNKNOWN = "locker_unknown"
    LOCKER_DISABLED = "locker_disabled"
    DOOR_UNKNOWN = "door_unknown"
    LOCKER_OFFLINE = "locker_offline"
    LOCKER_CLOCK_UNKNOWN = "locker_clock_unknown"
    LOCKER_QUEUE_FULL = "locker_queue_full"
    DOOR_BUSY = "door_busy"
    DOOR_OUT_OF_SERVICE = "door_out_of_service"
    TOO_LATE = "too_late"
    ALREADY_SETTLED = "already_settled"
    NOT_CANCELLABLE = "not_cancellable"
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    RATE_LIMITED = "rate_limited"
    BROKER_UNAVAILABLE = "broker_unavailable"
    DATABASE_UNAVAILABLE = "database_unavailable"
    HUB_BUSY = "hub_busy"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for."""

    locker: str
    kind: str
    door: int | None = None
    actor: UUID | None = None
    reason: str | None = None
    args: Args | None = None
    by: str | None = field(default=None, compare=False)
    """The operator who gave it. Whoever repeats an order, it is the same order."""


@dataclass(slots=True)
class CommandRecord:
    """One command and all that is known of it. `stages_ms` count from acceptance."""

    id: UUID
    order: Order
    accepted_at: datetime
    accepted_ms: float
    deadline_ms: float
    state: CommandStatus = CommandStatus.SENT
    detail: str | None = None
    outcome: DoorOutcome | None = None
    late: bool = False
    stages_ms: dict[str, float] = field(default_factory=dict)
    command_class: CommandClass = CommandClass.INSTANT
    expires_at: datetime | None = None
    """Durable ones: when it is no longer begun."""
    attempts: int = 0
    """Durable ones: how often it was sent."""
    cancel_requested: bool = False
    disowned: str | None = None
    """Why its locker refused a copy that was not this hub's; told if nothing else is heard."""

    @property
    def settled(self) -> bool:
        """Whether it is known how it ended."""
        return self.state.settled

    def advance(self, state: CommandStatus, detail: str | None) -> bool:
        """Go to a state of a higher rank. Returns False, and changes nothing, for any other."""
        if state.rank <= self.state.rank:
            return False
        self.late = self.late or self.state is CommandStatus.TIMED_OUT
        self.state = state
        self.detail = detail
        return True


@dataclass(frozen=True, slots=True)
class CommandReply:
    """What a locker says of one of its commands, by a reply or by its ledger."""

    state: CommandStatus
    detail: str | None = None
    stages: Stages | None = None

    @classmethod
    def of(cls, state: CommandState, detail: str | None, stages: Stages | None) -> "CommandReply":
        """Read a reply's state. `rejected` because it was cancelled is a state of its own."""
        if state is CommandState.REJECTED and detail == AgentRefusal.CANCELLED:
            return cls(CommandStatus.CANCELLED, detail, stages)
        return cls(CommandStatus(state.value), detail, stages)

    @property
    def disowned(self) -> bool:
        """Whether the locker speaks of a copy that is not what this hub sent."""
        return self.state is CommandStatus.REJECTED and self.detail in DISOWNED

    @property
    def undelivered(self) -> bool:
        """Whether the locker refused one delivery, and not what is asked."""
        return self.state is CommandStatus.REJECTED and self.detail in UNDELIVERED


class CommandTracker:
    """All instant commands in flight, and the newest `remembered_max` settled ones.

    Args:
        in_flight_max: above it, `submit` refuses with HUB_BUSY.
        remembered_max: settled commands kept for repeats and outcomes; the oldest are forgotten first.
        grace_ms: how long after its deadline a command is still waited for.
    """

    def __init__(self, *, in_flight_max: int, remembered_max: int, grace_ms: float) -> None:
        self._in_flight_max = in_flight_max
        self._remembered_max = remembered_max
        self._grace_ms = grace_ms
        self._in_flight: dict[UUID, CommandRecord] = {}
        self._remembered: OrderedDict[UUID, CommandRecord] = OrderedDict()
        self._busy: dict[tuple[str, int], UUID] = {}

    def __len__(self) -> int:
        """Return how many commands are in flight."""
        return len(self._in_flight)

    def find(self, command: UUID) -> CommandRecord | None:
        """Return a command in flight or remembered."""
        return self._in_flight.get(command) or self._remembered.get(command)

    def repeat(self, command: UUID, order: Order) -> CommandRecord | CommandRefusal | None:
        """Return what a repeated id stands for: its entry, a refusal of another order, None for a new id."""
        known = self.find(command)
        if known is None or known.order == order:
            return known
        return CommandRefusal.IDEMPOTENCY_KEY_REUSED

    def submit(
        self, command: UUID, order: Order, *, at: datetime, now_ms: float, deadline_ms: float
    ) -> CommandRecord | CommandRefusal:
        """Take a new command (`repeat` said None), or say why not. One command a door at a time."""
        if len(self._in_flight) >= self._in_flight_max:
            return CommandRefusal.HUB_BUSY
        if order.door is not None and (order.locker, order.door) in self._busy:
            return CommandRefusal.DOOR_BUSY
        entry = CommandRecord(command, order, at, now_ms, deadline_ms)
        self._hold(entry)
        return entry

    def restore(self, entry: CommandRecord) -> None:
        """Take over a command of an earlier run of the hub. Restore the oldest first.

        One that is not settled may still be, and keeps its door until it is, or its deadline is over.
        """
        if entry.settled or entry.state is CommandStatus.TIMED_OUT:
            self._remember(entry)
        else:
            self._hold(entry)

    def published(self, command: UUID, now_ms: float) -> None:
        """Note that the command was handed to the broker link."""
        entry = self._in_flight[command]
        entry.stages_ms["published"] = now_ms - entry.accepted_ms

    def withdraw(self, command: UUID) -> None:
        """Forget a command that was submitted and then could not be sent."""
        entry = self._in_flight[command]
        self._release(entry)
        del self._remembered[command]

    def hear(self, command: UUID, locker: str, word: CommandReply, now_ms: float) -> CommandRecord | None:
        """Apply a locker's word. Returns None where it changes nothing: unknown, repeated, or out of date."""
        entry = self.find(command)
        if entry is None or entry.order.locker != locker:
            return None
        if word.disowned:
            # Told to people, should nothing else come.
            entry.disowned = word.detail
            return None
        if not entry.advance(word.state, word.detail):
            return None
        if entry.settled:
            _place_stages(entry, word.stages, now_ms - entry.accepted_ms)
            self._release(entry)
        return entry

    def saw(self, command: UUID, locker: str, outcome: DoorOutcome, now_ms: float) -> CommandRecord | None:
        """Join what the door sensor saw. Returns None for an unknown command or one that is past it."""
        entry = self.find(command)
        if entry is None or entry.order.locker != locker or not _follows(entry.outcome, outcome):
            return None
        entry.outcome = outcome
        entry.stages_ms[outcome.value] = now_ms - entry.accepted_ms
        return entry

    def due(self, now_ms: float) -> list[CommandRecord]:
        """Turn what has waited past deadline and grace into timed_out, and return it.

        Its door is free again. That is safe: the deadline that the locker keeps is not after the hub's, so it has
        passed there as well, and what was sent can no longer act.
        """
        late = [
            entry
            for entry in self._in_flight.values()
            if now_ms >= entry.accepted_ms + entry.deadline_ms + self._grace_ms
        ]
        for entry in late:
            entry.advance(CommandStatus.TIMED_OUT, entry.disowned)
            self._release(entry)
        return late

    def _hold(self, entry: CommandRecord) -> None:
        self._in_flight[entry.id] = entry
        if entry.order.door is not None:
            self._busy[entry.order.locker, entry.order.door] = entry.id

    def _release(self, entry: CommandRecord) -> None:
        self._in_flight.pop(entry.id, None)
        door = entry.order.door
        if door is not None and self._busy.get((entry.order.locker, door)) == entry.id:
            del self._busy[entry.order.locker, door]
        self._remember(entry)

    def _remember(self, entry: CommandRecord) -> None:
        self._remembered[entry.id] = entry
        self._remembered.move_to_end(entry.id)
        while len(self._remembered) > self._remembered_max:
            self._remembered.popitem(last=False)


def _follows(before: DoorOutcome | None, after: DoorOutcome) -> bool:
    if after is DoorOutcome.CLOSED:
        return before is DoorOutcome.OPENED
    return before in {None, DoorOutcome.OPEN_NOT_DETECTED} and before is not after


def _place_stages(entry: CommandRecord, told: Stages | None, replied_ms: float) -> None:
    stages = entry.stages_ms
    published_ms = stages.get("published", 0.0)
    # The agent's durations lie inside the round trip, or are not believed; a word that was long on its way says
    # nothing of where.
    agent_ms = 0.0 if told is None else max(told.started_us or 0, told.pulsed_us or 0, told.replied_us or 0) / 1000
    if told is not None and not entry.late and agent_ms <= replied_ms - published_ms + _STAGE_ERROR_MS:
        received_ms = published_ms + max(0.0, (replied_ms - published_ms - agent_ms) / 2)
        stages["received"] = received_ms
        if told.started_us is not None:
            stages["started"] = received_ms + told.started_us / 1000
        if told.pulsed_us is not None:
            stages["pulsed"] = received_ms + told.pulsed_us / 1000
    stages["replied"] = replied_ms
