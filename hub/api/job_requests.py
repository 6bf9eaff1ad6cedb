"""Request types of the jobs API; see docs/api.md."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from hub.api.problems import Problem
from hub.core.jobs import JobState, TargetState
from hub.core.targets import Doors, Selection
from wire.messages import Args, CommandKind

_LOCKERS_MAX = 20_000
_EXPIRES_S_MAX = 7 * 86_400

Reason = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^(?=.*\S)[^\u0000-\u001f\u007f]*(?![\s\S])")]


class DoorSize(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Doors of a size."""

    size: Literal["S", "M", "L", "XL"]


class JobFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Filter of lockers, by all that is given, and of their doors."""

    site: Annotated[str, Meta(max_length=120)] | None = None
    lockers: Annotated[list[str], Meta(min_length=1, max_length=_LOCKERS_MAX)] | None = None
    q: Annotated[str, Meta(max_length=100)] | None = None
    doors: (
        Literal["all"]
        | Annotated[list[Annotated[int, Meta(ge=1, le=999)]], Meta(min_length=1, max_length=999)]
        | DoorSize
        | None
    ) = None

    def selection(self) -> Selection:
        """Return what is meant."""
        doors = None
        if isinstance(self.doors, DoorSize):
            doors = Doors(size=self.doors.size)
        elif isinstance(self.doors, list):
            doors = Doors(numbers=frozenset(self.doors))
        elif self.doors is not None:
            doors = Doors()
        lockers = None if self.lockers is None else frozenset(self.lockers)
        return Selection(self.site, lockers, self.q or "", doors)


class Canary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many targets go first: a count (0 for none), or a share of all."""

    count: Annotated[int, Meta(ge=0, le=1000)] | None = None
    share: Annotated[float, Meta(gt=0, le=0.5)] | None = None


class JobBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One order for many targets."""

    kind: Literal["open", "locate", "configure", "restart"]
    reason: Reason
    filter: JobFilter
    rate_per_minute: Annotated[int, Meta(ge=1, le=6000)]
    args: Annotated[Args, Meta(max_length=50)] | None = None
    canary: Canary | None = None
    abort_share: Annotated[float, Meta(gt=0, le=1)] = 0.2
    abort_min_count: Annotated[int, Meta(ge=1, le=20_000)] = 3
    expires_s: Annotated[int, Meta(ge=10, le=_EXPIRES_S_MAX)] = 86_400
    dry_run: bool = False

    def check(self) -> None:
        """Raise Problem bad_job for what the types cannot say."""
        doors = self.filter.doors is not None
        if self.kind == CommandKind.OPEN.value and not doors:
            raise Problem("bad_job", '`open` needs `filter.doors`: "all", a list of numbers, or {"size": "M"}.')
        if self.kind in {CommandKind.CONFIGURE.value, CommandKind.RESTART.value} and doors:
            raise Problem("bad_job", f"`{self.kind}` is for whole lockers; leave `filter.doors` out.")
        if (self.kind == CommandKind.CONFIGURE.value) != bool(self.args):
            raise Problem("bad_job", "`configure`, and nothing else, needs `args`: the settings and their values.")
        if self.canary is not None and (self.canary.count is None) == (self.canary.share is None):
            raise Problem("bad_job", "`canary` has either `count` or `share`.")


class JobsParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Query of the list of jobs."""

    state: JobState | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    cursor: str | None = None


class TargetsParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Query of the list of a job's targets."""

    state: TargetState | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    cursor: str | None = None
