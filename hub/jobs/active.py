"""Active jobs in the runner's memory, and their in-flight targets."""

from dataclasses import dataclass, field
from uuid import UUID

from hub.core.commands import Order
from hub.core.jobs import Job
from hub.core.pace import Pace
from hub.store.jobs import JobRow, TargetRow
from wire.messages import DURABLE_KINDS, CommandKind


@dataclass(slots=True)
class InFlightTarget:
    """A target under way. `asked`: this hub itself, and not one before it, has handed the command over."""

    command: UUID
    order: Order
    since_ms: float
    asked: bool = False


@dataclass(slots=True)
class ActiveJob:
    """A job, its targets by place, and its flights by place."""

    row: JobRow
    job: Job
    targets: list[TargetRow]
    pace: Pace
    flights: dict[int, InFlightTarget] = field(default_factory=dict)
    rest_until_ms: float = 0.0
    """Until when nothing is sent, because a command was refused for now."""

    @property
    def durable(self) -> bool:
        """Whether its commands wait for their lockers."""
        return self.row.kind in DURABLE_KINDS

    @property
    def opens(self) -> bool:
        """Whether it opens doors."""
        return self.row.kind == CommandKind.OPEN

    def order(self, place: int) -> Order:
        """Return the order to one target."""
        target = self.targets[place].target
        return Order(
            target.locker, self.row.kind, target.door, None, self.row.reason, self.row.args, self.row.created_by
        )
