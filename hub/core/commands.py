"""The life of a command: submitted, settled exactly once, joined with what the door sensor saw.

    sent ──reply──▶ succeeded | rejected | failed | unknown
      └──no reply by deadline + grace──▶ timed_out ──late reply──▶ the same, marked late

`timed_out` is the hub's view and not an end: the agent may still tell. Beside the state stands the outcome, from
the ledger: opened, closed, or open_not_detected. Times are the hub's monotonic milliseconds.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from wire.messages import Args, CommandState, Reply


class State(StrEnum):
    """Where a command is."""

    SENT = "sent"
    REJECTED = "rejected"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"
    TIMED_OUT = "timed_out"


class Outcome(StrEnum):
    """What the door sensor saw."""

    OPENED = "opened"
    CLOSED = "closed"
    OPEN_NOT_DETECTED = "open_not_detected"


class Refusal(StrEnum):
    """Why a command was not taken. The values are the codes of the API."""

    LOCKER_UNKNOWN = "locker_unknown"
    DOOR_UNKNOWN = "door_unknown"
    LOCKER_OFFLINE = "locker_offline"
    LOCKER_CLOCK_UNKNOWN = "locker_clock_unknown"
    DOOR_BUSY = "door_busy"
    DOOR_OUT_OF_SERVICE = "door_out_of_service"
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    RATE_LIMITED = "rate_limited"
    BROKER_UNAVAILABLE = "broker_unavailable"
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


@dataclass(slots=True)
class Entry:
    """One command and all that is known of it. `stages_ms` count from acceptance."""

    id: UUID
    order: Order
    accepted_at: datetime
    accepted_ms: float
    deadline_ms: float
    state: State = State.SENT
    detail: str | None = None
    outcome: Outcome | None = None
    late: bool = False
    stages_ms: dict[str, float] = field(default_factory=dict)

    @property
    def settled(self) -> bool:
        """Whether the agent has told how it ended."""
        return self.state not in {State.SENT, State.TIMED_OUT}


_FINAL = {
    CommandState.REJECTED: State.REJECTED,
    CommandState.SUCCEEDED: State.SUCCEEDED,
    CommandState.FAILED: State.FAILED,
    CommandState.UNKNOWN: State.UNKNOWN,
}


class CommandBook:
    """All commands in flight, and the newest `remembered_max` settled ones.

    Args:
        in_flight_max: above it, `submit` refuses with HUB_BUSY.
        remembered_max: settled commands kept for repeats and outcomes; the oldest are forgotten first.
        grace_ms: how long after its deadline a command is still waited for.
    """

    def __init__(self, *, in_flight_max: int, remembered_max: int, grace_ms: float) -> None:
        self._in_flight_max = in_flight_max
        self._remembered_max = remembered_max
        self._grace_ms = grace_ms
        self._in_flight: dict[UUID, Entry] = {}
        self._remembered: OrderedDict[UUID, Entry] = OrderedDict()
        self._busy: dict[tuple[str, int], UUID] = {}

    def __len__(self) -> int:
        """Return how many commands are in flight."""
        return len(self._in_flight)

    def find(self, command: UUID) -> Entry | None:
        """Return a command in flight or remembered."""
        return self._in_flight.get(command) or self._remembered.get(command)

    def repeat(self, command: UUID, order: Order) -> Entry | Refusal | None:
        """Return what a repeated id stands for: its entry, a refusal of another order, None for a new id."""
        known = self.find(command)
        if known is None or known.order == order:
            return known
        return Refusal.IDEMPOTENCY_KEY_REUSED

    def submit(
        self, command: UUID, order: Order, *, at: datetime, now_ms: float, deadline_ms: float
    ) -> Entry | Refusal:
        """Take a new command (`repeat` said None), or say why not. One command a door at a time."""
        if len(self._in_flight) >= self._in_flight_max:
            return Refusal.HUB_BUSY
        if order.door is not None:
            if (order.locker, order.door) in self._busy:
                return Refusal.DOOR_BUSY
            self._busy[order.locker, order.door] = command
        entry = Entry(command, order, at, now_ms, deadline_ms)
        self._in_flight[command] = entry
        return entry

    def published(self, command: UUID, now_ms: float) -> None:
        """Note that the command was handed to the broker link."""
        entry = self._in_flight[command]
        entry.stages_ms["published"] = now_ms - entry.accepted_ms

    def withdraw(self, command: UUID) -> None:
        """Forget a command that was submitted and then could not be sent."""
        entry = self._in_flight[command]
        self._release(entry)
        del self._remembered[command]

    def reply(self, reply: Reply, locker: str, now_ms: float) -> Entry | None:
        """Settle a command by its locker's reply. Returns None for what is unknown, repeated or not final."""
        state = _FINAL.get(reply.state)
        entry = self.find(reply.id)
        if entry is None or state is None or entry.settled or entry.order.locker != locker:
            return None
        entry.late = entry.state is State.TIMED_OUT
        entry.state = state
        entry.detail = reply.reason
        _place_stages(entry, reply, now_ms - entry.accepted_ms)
        self._release(entry)
        return entry

    def saw(self, command: UUID, locker: str, outcome: Outcome, now_ms: float) -> Entry | None:
        """Join what the door sensor saw. Returns None for an unknown command or one that is past it."""
        entry = self.find(command)
        if entry is None or entry.order.locker != locker or not _follows(entry.outcome, outcome):
            return None
        entry.outcome = outcome
        entry.stages_ms[outcome.value] = now_ms - entry.accepted_ms
        return entry

    def due(self, now_ms: float) -> list[Entry]:
        """Turn what has waited past deadline and grace into timed_out, and return it."""
        late = [
            entry
            for entry in self._in_flight.values()
            if now_ms >= entry.accepted_ms + entry.deadline_ms + self._grace_ms
        ]
        for entry in late:
            entry.state = State.TIMED_OUT
            self._release(entry)
        return late

    def _release(self, entry: Entry) -> None:
        self._in_flight.pop(entry.id, None)
        door = entry.order.door
        if door is not None and self._busy.get((entry.order.locker, door)) == entry.id:
            del self._busy[entry.order.locker, door]
        self._remembered[entry.id] = entry
        self._remembered.move_to_end(entry.id)
        while len(self._remembered) > self._remembered_max:
            self._remembered.popitem(last=False)


def _follows(before: Outcome | None, after: Outcome) -> bool:
    if after is Outcome.CLOSED:
        return before is Outcome.OPENED
    return before in {None, Outcome.OPEN_NOT_DETECTED} and before is not after


def _place_stages(entry: Entry, reply: Reply, replied_ms: float) -> None:
    stages = entry.stages_ms
    published_ms = stages.get("published", 0.0)
    if reply.stages is not None:
        agent_ms = (reply.stages.replied_us or reply.stages.pulsed_us or 0) / 1000
        received_ms = published_ms + max(0.0, (replied_ms - published_ms - agent_ms) / 2)
        stages["received"] = received_ms
        if reply.stages.started_us is not None:
            stages["started"] = received_ms + reply.stages.started_us / 1000
        if reply.stages.pulsed_us is not None:
            stages["pulsed"] = received_ms + reply.stages.pulsed_us / 1000
    stages["replied"] = replied_ms
