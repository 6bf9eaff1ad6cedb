"""Durable commands on their way: one lane a locker, and one for its `forget`s; in order, one command at a time.

A command leaves its lane when it is settled. The head is sent when its locker is there, and again after a pause
that grows, or at once when the locker has come anew. One that was cancelled, or whose time is over after it was
sent, is not sent again: the locker is asked to cancel it, and only its word ends it. Nothing is known before that.
"""

from bisect import insort
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

from hub.core.commands import CommandRecord, CommandRefusal, CommandReply, CommandStatus
from wire.messages import CommandKind

OVERDUE = "its time is over, and the locker has not said yet what became of it"
"""The detail of such a command, until there is an answer."""
EXPIRED = "its time was over before it could be sent"


class LaneAction(StrEnum):
    """What is to be done with a command now."""

    DELIVER = "deliver"
    CANCEL = "cancel"
    """Ask the locker never to begin it."""
    EXPIRE = "expire"
    """It was never sent and never will be."""
    OVERDUE = "overdue"
    """Say that its time is over and its end not known; told once."""


@dataclass(frozen=True, slots=True)
class LaneStep:
    """One thing to do."""

    act: LaneAction
    entry: CommandRecord


_Key = tuple[str, bool]
"""A locker, and whether it is the lane of its `forget`s, which may wait for long and hold up nothing else."""
_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(slots=True)
class _Place:
    entry: CommandRecord
    due_ms: float = 0.0
    tries: int = 0
    session: Hashable = None
    """Where the locker was when it was last tried: in another session it is tried at once."""
    asked_to_cancel: bool = False


@dataclass(slots=True)
class _Lane:
    places: list[_Place] = field(default_factory=list)
    expires_first: datetime = _NEVER
    """No command here expires before: until then none of them is looked at for it."""

    def add(self, place: _Place) -> None:
        insort(self.places, place, key=_turn)
        self.expires_first = min(self.expires_first, place.entry.expires_at or _NEVER)

    def over(self, now: datetime) -> list[_Place]:
        """Return the commands whose time is over."""
        if now < self.expires_first:
            return []
        over = [place for place in self.places if _over(place, now)]
        if not over:
            # The one that was to be the first has left.
            self.expires_first = min(place.entry.expires_at or _NEVER for place in self.places)
        return over


class Lanes:
    """All durable commands that are not settled.

    Args:
        per_locker_max: above it, `room` says LOCKER_QUEUE_FULL.
        fleet_max: above it, `room` says HUB_BUSY.
        pause_ms_min: the first pause before a command is sent again; it doubles
        pause_ms_max: up to this one.
    """

    def __init__(self, *, per_locker_max: int, fleet_max: int, pause_ms_min: float, pause_ms_max: float) -> None:
        self._per_locker_max = per_locker_max
        self._fleet_max = fleet_max
        self._pause_ms_min = pause_ms_min
        self._pause_ms_max = pause_ms_max
        self._places: dict[UUID, _Place] = {}
        self._lanes: OrderedDict[_Key, _Lane] = OrderedDict()
        """The one whose turn to be visited is next comes first."""
        self._forgets = 0

    def __len__(self) -> int:
        """Return how many commands are on their way."""
        return len(self._places)

    def find(self, command: UUID) -> CommandRecord | None:
        """Return a command that is not settled."""
        place = self._places.get(command)
        return None if place is None else place.entry

    @property
    def count(self) -> int:
        """How many lanes there are."""
        return len(self._lanes)

    def lockers(self) -> set[str]:
        """Return the lockers that have commands without an end."""
        return {locker for locker, _ in self._lanes}

    def of_locker(self, locker: str) -> list[UUID]:
        """Return a locker's commands that have no end yet."""
        lanes = (self._lanes.get((locker, forgets)) for forgets in (False, True))
        return [place.entry.id for lane in lanes if lane is not None for place in lane.places]

    def room(self, locker: str, *, reserved: int = 0, reserved_all: int = 0) -> CommandRefusal | None:
        """Say whether one more is taken; `reserved` of this locker, and of all, are about to be added.

        A `forget` neither needs room nor takes any: how many of a locker are here is up to whoever adds them.
        """
        lane = self._lanes.get((locker, False))
        if (0 if lane is None else len(lane.places)) + reserved >= self._per_locker_max:
            return CommandRefusal.LOCKER_QUEUE_FULL
        return (
            CommandRefusal.HUB_BUSY if len(self._places) - self._forgets + reserved_all >= self._fleet_max else None
        )

    def add(self, entry: CommandRecord) -> CommandRecord:
        """Put a command into its locker's lane, by acceptance; return the entry that stands there, if one does."""
        known = self.find(entry.id)
        if known is not None:
            return known
        place = self._places[entry.id] = _Place(entry)
        key = _lane_of(entry)
        if key not in self._lanes:
            self._lanes[key] = _Lane()
        self._lanes[key].add(place)
        self._forgets += is_forget(entry)
        return entry

    def remove(self, command: UUID) -> None:
        """Take a command out of its lane, if it is in one."""
        place = self._places.pop(command, None)
        if place is None:
            return
        key = _lane_of(place.entry)
        self._lanes[key].places.remove(place)
        if not self._lanes[key].places:
            del self._lanes[key]
        self._forgets -= is_forget(place.entry)

    def hear(self, command: UUID, locker: str, word: CommandReply) -> CommandReply | None:
        """Return what a locker's word means for its command; None where it changes nothing.

        A refusal of the delivery does not end it. A cancellation that nobody asked for is the end of its time.
        """
        entry = self.find(command)
        if entry is None or entry.order.locker != locker or word.state.rank <= entry.state.rank:
            return None
        if word.state is CommandStatus.CANCELLED and not entry.cancel_requested:
            return CommandReply(CommandStatus.EXPIRED, "the locker confirms that it never began", word.stages)
        return word

    def steps(
        self,
        session: Callable[[str], Hashable | None],
        now: datetime,
        now_ms: float,
        *,
        steps_max: int,
        lanes_max: int,
    ) -> list[LaneStep]:
        """Visit the next lanes in turn, and return what is to be done there now.

        `ceil(count / lanes_max)` calls visit every lane that is there at the first of them, unless one of these
        returns `steps_max` steps: then there may be more, and the next call goes on where this one stopped.

        Args:
            session: where a locker is (its session and boot), or None while it is not there.
            now: the wall clock, for what expires.
            now_ms: the monotonic clock, for pauses.
            steps_max: how many steps are returned at the most.
            lanes_max: how many lanes are visited at the most.
        """
        steps: list[LaneStep] = []
        for _ in range(min(lanes_max, len(self._lanes))):
            key = next(iter(self._lanes))
            steps += self._visit(key, session, now, now_ms)
            if len(steps) > steps_max:
                # This lane has more to do, and stays the next one.
                return steps[:steps_max]
            self._lanes.move_to_end(key)
            if len(steps) == steps_max:
                break
        return steps

    def _visit(
        self, key: _Key, session: Callable[[str], Hashable | None], now: datetime, now_ms: float
    ) -> list[LaneStep]:
        (locker, forgets), lane = key, self._lanes[key]
        over, here = lane.over(now), session(locker)
        if here is None and not over:
            return []
        # To have begun to forget, and not to be heard of again, is no doubt worth keeping a name for.
        steps = [
            LaneStep(LaneAction.EXPIRE, one.entry)
            for one in over
            if forgets or one.entry.state is CommandStatus.QUEUED
        ]
        # A lane has more than one command under way only if they were accepted in the same moment.
        head = next((one for one in lane.places if one.entry.state is not CommandStatus.QUEUED), lane.places[0])
        if forgets and _over(head, now):
            return steps
        if head.entry.state is not CommandStatus.QUEUED and _over(head, now) and head.entry.detail != OVERDUE:
            steps.append(LaneStep(LaneAction.OVERDUE, head.entry))
        act = _act(head, now)
        if act is None or here is None or (here == head.session and now_ms < head.due_ms):
            return steps
        if act is LaneAction.CANCEL and not head.asked_to_cancel:
            head.asked_to_cancel, head.tries = True, 0
        return [*steps, LaneStep(act, head.entry)]

    def tried(self, command: UUID, session: Hashable, now_ms: float, jitter: float) -> None:
        """Note that a command, or its cancellation, went out: due again after a pause, times `jitter` (0 to 1)."""
        place = self._places.get(command)
        if place is None:
            return
        place.tries = place.tries + 1 if place.session == session else 1
        place.session = session
        pause_ms = min(self._pause_ms_max, self._pause_ms_min * 2.0 ** min(place.tries - 1, 32))
        place.due_ms = now_ms + pause_ms * jitter

    def hurry(self, command: UUID) -> None:
        """Make a command due at once: something else is to be said of it now."""
        place = self._places.get(command)
        if place is not None:
            place.due_ms = 0.0


def is_forget(entry: CommandRecord) -> bool:
    """Say whether a command orders somebody to be forgotten: its `args` name them, and are shown to nobody."""
    return entry.order.kind == CommandKind.FORGET


def _lane_of(entry: CommandRecord) -> _Key:
    return entry.order.locker, is_forget(entry)


def _turn(place: _Place) -> tuple[datetime, UUID]:
    return place.entry.accepted_at, place.entry.id


def _over(place: _Place, now: datetime) -> bool:
    return place.entry.expires_at is not None and place.entry.expires_at <= now


def _act(place: _Place, now: datetime) -> LaneAction | None:
    if place.entry.state is CommandStatus.QUEUED:
        # One whose cancellation or expiry is about to be written is not sent meanwhile.
        return None if _over(place, now) or place.entry.cancel_requested else LaneAction.DELIVER
    return LaneAction.CANCEL if _over(place, now) or place.entry.cancel_requested else LaneAction.DELIVER
