"""What is asked of a hub that has seven years: requests to its HTTP API, drawn by chance and timed."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Final

from bench.figures import percentile
from bench.history_fleet import READINGS_DAYS, Plan, reading_lockers
from bench.http_connection import HttpConnection
from bench.processes import BenchError

_WARM_UP: Final = 10
_OK: Final = 200
_HOUR_MS: Final = 3_600_000
_MONTH_DAYS: Final = 31
_PLOT_DAYS: Final = (1, 7, 31, 365)


@dataclass(frozen=True)
class Question:
    """A kind of request: `path` draws one."""

    name: str
    count: int
    path: Callable[[Random], str]


def questions(plan: Plan) -> list[Question]:
    """Return what is asked; `<name>_p99_ms` is its figure."""
    lockers, tracked = plan.lockers, reading_lockers(plan)

    def at(day: int) -> str:
        return datetime.fromtimestamp(plan.day_ms(day) / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def locker_day(draw: Random) -> str:
        day = draw.randrange(plan.days)
        return f"/api/v1/lockers/{draw.choice(lockers)}/events?since={at(day)}&until={at(day + 1)}&limit=1000"

    def door_history(draw: Random) -> str:
        door = draw.randint(1, plan.doors)
        return f"/api/v1/lockers/{draw.choice(lockers)}/events?door={door}&since={at(0)}&limit=100"

    def fleet_month(draw: Random) -> str:
        day = draw.randrange(plan.days - _MONTH_DAYS)
        return f"/api/v1/statistics?since={at(day)}&until={at(day + _MONTH_DAYS)}&bucket=day"

    def fleet_page(draw: Random) -> str:
        return f"/api/v1/events?since={at(0)}&until={at(draw.randrange(1, plan.days))}&limit=100"

    def person_events(draw: Random) -> str:
        until = at(draw.randrange(plan.days // plan.years, plan.days))
        return f"/api/v1/events?actor={plan.regular}&since={at(0)}&until={until}&limit=100"

    def telemetry_plot(draw: Random) -> str:
        span = draw.choice(_PLOT_DAYS)
        day = plan.days - draw.randrange(span, READINGS_DAYS)
        return f"/api/v1/lockers/{draw.choice(tracked)}/telemetry/plot?since={at(day)}&until={at(day + span)}"

    return [
        Question("locker_day", 600, locker_day),
        Question("door_history", 200, door_history),
        Question("fleet_month", 200, fleet_month),
        Question("fleet_page", 200, fleet_page),
        Question("person_events", 200, person_events),
        Question("telemetry_plot", 200, telemetry_plot),
        *_moments(plan),
    ]


def _moments(plan: Plan) -> list[Question]:
    """Return the questions of time travel: the fleet and one locker at a moment of an office day."""

    def moment(draw: Random) -> str:
        at_ms = plan.day_ms(draw.randrange(1, plan.days)) + draw.randrange(8 * _HOUR_MS, 18 * _HOUR_MS)
        return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    return [
        Question("fleet_then", 100, lambda draw: f"/api/v1/history/fleet?at={moment(draw)}"),
        Question(
            "locker_then", 200,
            lambda draw: f"/api/v1/history/lockers/{draw.choice(plan.lockers)}?at={moment(draw)}",
        ),
    ]  # fmt: skip


def ask(connection: HttpConnection, question: Question, seed: int) -> list[float]:
    """Ask, and return how long each answer took in milliseconds, from the first byte out to the last one in.

    Raises:
        BenchError: the hub answered with anything but 200.
    """
    draw = Random(f"{seed} {question.name}")
    took_ms = []
    for _ in range(_WARM_UP + question.count):
        request = connection.prepared("GET", question.path(draw))
        began = time.perf_counter()
        status, body = connection.ask(request)
        took_ms.append((time.perf_counter() - began) * 1000)
        if status != _OK:
            asked = request.split(b"\r\n", 1)[0].decode()
            raise BenchError(f"{asked} was answered with {status}: {body[:500].decode(errors='replace')}")
    return took_ms[_WARM_UP:]


def figures(question: Question, took_ms: list[float]) -> dict[str, float]:
    """Return a question's median and 99th percentile."""
    return {
        f"{question.name}_p50_ms": round(percentile(took_ms, 50), 1),
        f"{question.name}_p99_ms": round(percentile(took_ms, 99), 1),
    }
