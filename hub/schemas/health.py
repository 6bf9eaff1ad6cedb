"""Response types of the hub's own health."""

from dataclasses import dataclass
from datetime import datetime

from hub.schemas.notifications import ChannelView


@dataclass(frozen=True, slots=True)
class LagView:
    """Lag of the event loop: how late it wakes a sleeper, in ms."""

    now: float
    max_1min: float


@dataclass(frozen=True, slots=True)
class RatesView:
    """Rates a second since the picture before."""

    messages_in_s: float
    events_s: float
    readings_s: float
    commands_s: float


@dataclass(frozen=True, slots=True)
class QueueView:
    """A queue before the database. `dropped`: rows that found it full and are gone."""

    name: str
    depth: int
    capacity: int
    dropped: int


@dataclass(frozen=True, slots=True)
class LinkView:
    """A link to the broker."""

    name: str
    connected: bool
    reconnects: int


@dataclass(frozen=True, slots=True)
class ViewersView:
    """Those who watch. `behind`: they have to start a view again."""

    count: int
    max: int
    behind: int


@dataclass(frozen=True, slots=True)
class SlowViewerView:
    """A viewer that does not keep up. `queued`: frames that wait for it."""

    id: int
    queued: int
    views: list[str]
    resyncs: int


@dataclass(frozen=True, slots=True)
class AccountsView:
    """Accounts of events and samples since this hub started: received is the sum of the others."""

    received: int
    stored: int
    duplicate: int
    quarantined: int
    deferred: int
    dropped: int
    in_flight: int


@dataclass(frozen=True, slots=True)
class UpkeepView:
    """A task of the upkeep, on whichever hub. `error`: of its newest run, if that failed."""

    task: str
    succeeded_at: datetime | None
    error: str | None


@dataclass(frozen=True, slots=True)
class HubHealthView:
    """The hub in figures. `checks`: `ok`, or a sentence."""

    version: str
    hub: str
    started_at: datetime
    ready: bool
    checks: dict[str, str]
    loop_lag_ms: LagView
    rss_mb: float
    cpu_ratio: float
    rates: RatesView
    queues: list[QueueView]
    links: list[LinkView]
    viewers: ViewersView
    slow_viewers: list[SlowViewerView]
    accounts: AccountsView
    upkeep: list[UpkeepView]
    notify: list[ChannelView]
