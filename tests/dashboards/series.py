"""Made-up telemetry and statistics, as the hub answers them."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from aiohttp import web

from tests.dashboards.fake_hub import Json

STEPS_S: Final = (600, 1800, 3600, 7200, 14_400, 28_800, 57_600, 86_400, 172_800, 259_200, 432_000, 604_800)


def plot(request: web.Request, _: object = None) -> Json:
    """Return a hundred buckets: a hot end, a gap in the middle, and no board that ever erred."""
    since, until = (datetime.fromisoformat(request.query[name]) for name in ("since", "until"))
    width = (until - since) / 100
    places = [place for place in range(100) if not 40 <= place < 50]
    warm = [24.0 if place < 90 else 61.5 for place in places]
    return {
        "locker": "hamburg-01",
        "since": written(since),
        "until": written(until),
        "resolution": "minute",
        "width_s": int(width.total_seconds()),
        "at": [written(since + place * width) for place in places],
        "samples": [12] * len(places),
        "series": {
            "temperature_c": {"min": [one - 1 for one in warm], "avg": warm, "max": [one + 1 for one in warm]},
            "battery_pct": {"min": [96.0] * len(places), "avg": [96.5] * len(places), "max": [97.0] * len(places)},
            "humidity_pct": {"min": [None] * len(places), "avg": [None] * len(places), "max": [None] * len(places)},
            "board_errors": {"min": None, "avg": None, "max": [0] * len(places)},
        },
    }


def statistics(request: web.Request, _: object = None, *, openings: int = 40, hours_due: int = 0) -> Json:
    """Return what doors did: the same on every day of the span."""
    since, until = (datetime.fromisoformat(request.query[name]) for name in ("since", "until"))
    days = (until - since).days
    collect = {
        "timed": 19,
        "mean_s": 61_210.4,
        "p50_s": 41_400.0,
        "p90_s": 151_200.0,
        "histogram": [{"within_s": step, "items": place} for place, step in enumerate(STEPS_S)],
    }
    return {
        "since": written(since),
        "until": written(until),
        "zone": request.query["zone"],
        "bucket": request.query["bucket"],
        "hours_due": hours_due,
        "total": counts(openings * days),
        "collect": collect,
        "buckets": [{"at": written(since + timedelta(days=day)), **counts(openings)} for day in range(days)]
        if openings
        else [],
        "hours_of_day": [{"hour": 8, **counts(openings)}] if openings else [],
        "sizes": [
            {
                "size": "S",
                "doors": 40,
                "doors_known": 38,
                "occupied_share": 0.31,
                **counts(openings),
                "collect": collect,
            }
        ]
        if openings
        else [],
    }


def counts(openings: int) -> dict[str, Any]:
    """Return counts that fit to so many openings."""
    left = openings // 20
    return {
        "openings": openings,
        "closings": openings,
        "left_open": left,
        "left_open_share": left / openings if openings else None,
        "forced": openings // 40,
        "put_in": openings // 2,
        "collected": openings // 2,
    }


def written(at: datetime) -> str:
    """Return a time as the hub writes it."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
