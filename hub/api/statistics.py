"""Statistics of doors over HTTP: how often they open, how long things lie there, how full they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

from hub import clock
from hub.api.problems import Problem
from hub.api.routes import Route, answer, read_query
from hub.api.spans import Time, asked_span, lockers_at
from hub.api.zones import TimeZones
from hub.core.fleet import Fleet
from hub.core.spans import Span
from hub.core.statistics import COLLECT_BOUNDS_S, HOUR, hour_of, quantile_s, share
from hub.store.database import Database
from hub.store.statistics import StatisticsStore
from wire.messages import LockerId

Bucket = Literal["hour", "day", "week", "month"]
BACK: Final = timedelta(days=31)
_BUCKETS_MAX: Final = 5000
_BUCKET_AT_LEAST: Final[dict[Bucket, timedelta]] = {
    "hour": timedelta(hours=1), "day": timedelta(hours=23), "week": timedelta(days=6), "month": timedelta(days=28),
}  # fmt: skip
_PLACES: Final = 1
_SIZES: Final = ("S", "M", "L", "XL")


class StatisticsParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of which lockers, since and until when (whole hours), in which buckets, of which time zone (IANA)."""

    locker: LockerId | None = None
    site: Annotated[str, Meta(max_length=120)] | None = None
    since: Time | None = None
    until: Time | None = None
    bucket: Bucket = "day"
    zone: Annotated[str, Meta(max_length=64)] = "UTC"


@dataclass(frozen=True, slots=True)
class CountsView:
    """What doors did, and the share of openings after which a door was left open too long."""

    openings: int
    closings: int
    left_open: int
    left_open_share: float | None
    forced: int
    put_in: int
    collected: int


@dataclass(frozen=True, slots=True)
class CollectedView:
    """So many items lay there for up to `within_s` seconds, and for longer than the entry before says."""

    within_s: int
    items: int


@dataclass(frozen=True, slots=True)
class CollectView:
    """How long items lay there: of `collected`, `timed` are those that were seen to be put in, 31 days back.

    `p50_s` and `p90_s` are estimates from the histogram, with items spread evenly within each of its steps.
    """

    timed: int
    mean_s: float | None
    p50_s: float | None
    p90_s: float | None
    histogram: list[CollectedView]


@dataclass(frozen=True, slots=True)
class StatisticsBucketView(CountsView):
    """A bucket, by its beginning."""

    at: datetime


@dataclass(frozen=True, slots=True)
class HourOfDayView(CountsView):
    """All hours of the span that have this number in the zone."""

    hour: int


@dataclass(frozen=True, slots=True)
class SizeView(CountsView):
    """Doors of one size, as the registry has them now.

    `occupied_share` is of the `doors_known`, those of lockers whose item sensors have said something, from the
    first thing on; null where none has.
    """

    size: str
    doors: int
    doors_known: int
    occupied_share: float | None
    collect: CollectView


@dataclass(frozen=True, slots=True)
class StatisticsView:
    """Statistics of a span of whole hours. `hours_due`: how many of all hours wait to be counted again."""

    since: datetime
    until: datetime
    zone: str
    bucket: Bucket
    hours_due: int
    total: CountsView
    collect: CollectView
    buckets: list[StatisticsBucketView]
    hours_of_day: list[HourOfDayView]
    sizes: list[SizeView]


class StatisticsRoutes:
    """The route of statistics."""

    def __init__(self, fleet: Fleet, store: Database) -> None:
        self._fleet = fleet
        self._statistics = StatisticsStore(store)
        self._zones = TimeZones()

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route(
                "GET", "/api/v1/statistics", "What doors did, by hour, day and size", self._show,
                query=StatisticsParameters, answers={200: StatisticsView}, codes=("database_unavailable",),
            ),
        ]  # fmt: skip

    async def _show(self, request: web.Request) -> web.Response:
        wanted = read_query(request, StatisticsParameters)
        lockers = statistics_lockers(self._fleet, wanted.locker, wanted.site)
        within = whole_hours(wanted.since, wanted.until)
        if (within[1] - within[0]) / _BUCKET_AT_LEAST[wanted.bucket] > _BUCKETS_MAX:
            raise Problem(
                "bad_request", f"More than {_BUCKETS_MAX} buckets: ask for longer ones, or a shorter span."
            )
        if not await self._zones.has(wanted.zone):
            raise Problem("bad_request", f"{wanted.zone[:40]!r} is no time zone; Europe/Berlin is one, and UTC.")
        rows = await self._statistics.totals(within, lockers, wanted.bucket, wanted.zone)
        collected = await self._statistics.collected(within, lockers)
        # What has not happened yet is not empty either.
        past = (within[0], max(min(within[1], hour_of(clock.wall())), within[0] + HOUR))
        occupied = await self._statistics.occupied(past, lockers)
        _, due = await self._statistics.due(1)
        return answer(_view(wanted, within, _Found(rows, collected, occupied, due)))


def whole_hours(since: datetime | None, until: datetime | None) -> Span:
    """Return the hours that a span touches. Raises Problem bad_request."""
    begin, end = asked_span(since, until, back=BACK)
    return hour_of(begin), hour_of(end - timedelta(microseconds=1)) + HOUR


def statistics_lockers(fleet: Fleet, locker: str | None, site: str | None) -> Sequence[str] | None:
    """Return of which lockers; None is all. Raises Problem bad_request."""
    if locker is None:
        return lockers_at(fleet, site)
    if site is not None:
        raise Problem(
            "bad_request", "`locker` and `site` are both given; a locker is at one site, so leave it out."
        )
    return (locker,)


@dataclass(frozen=True, slots=True)
class _Found:
    totals: list[dict[str, Any]]
    collected: list[dict[str, Any]]
    occupied: list[dict[str, Any]]
    due: int


def _view(wanted: StatisticsParameters, within: Span, found: _Found) -> StatisticsView:
    parts: dict[str, list[dict[str, Any]]] = {"all": [], "bucket": [], "hour_of_day": [], "size": []}
    for row in found.totals:
        parts[row["part"]].append(row)
    of_size = {row["size"]: row for row in parts["size"]}
    lay = {row["size"]: row for row in found.collected}
    return StatisticsView(
        since=within[0],
        until=within[1],
        zone=wanted.zone,
        bucket=wanted.bucket,
        hours_due=found.due,
        total=CountsView(**_counts(parts["all"][0])),
        collect=_collect(found.collected),
        buckets=[StatisticsBucketView(**_counts(row), at=row["bucket"].astimezone(UTC)) for row in parts["bucket"]],
        hours_of_day=[HourOfDayView(**_counts(row), hour=row["hour_of_day"]) for row in parts["hour_of_day"]],
        sizes=[
            SizeView(
                **_counts(of_size.get(row["size"], {})),
                size=row["size"],
                doors=row["doors"],
                doors_known=row["doors_known"],
                occupied_share=share(row["occupied_s"], row["known_s"]),
                collect=_collect([lay[row["size"]]] if row["size"] in lay else []),
            )
            for row in sorted(found.occupied, key=lambda row: _SIZES.index(row["size"]))
        ],
    )


def _counts(row: dict[str, Any]) -> dict[str, Any]:
    names = ("openings", "closings", "left_open", "forced", "put_in", "collected")
    counts = {name: row.get(name) or 0 for name in names}
    return {**counts, "left_open_share": share(counts["left_open"], counts["openings"])}


def _collect(rows: list[dict[str, Any]]) -> CollectView:
    histogram = [sum(row[name] for row in rows) for name in COLLECT_BOUNDS_S]
    timed = sum(row["collect_timed"] for row in rows)
    return CollectView(
        timed=timed,
        mean_s=_rounded(sum(row["collect_seconds"] for row in rows) / timed) if timed else None,
        p50_s=_rounded(quantile_s(0.5, histogram)),
        p90_s=_rounded(quantile_s(0.9, histogram)),
        histogram=[
            CollectedView(within, items) for within, items in zip(COLLECT_BOUNDS_S.values(), histogram, strict=True)
        ],
    )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, _PLACES)
