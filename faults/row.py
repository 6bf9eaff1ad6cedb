"""One row of the matrix, and one run of it."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from bench.figures import percentile
from faults.errors import SkipRow
from faults.rig import Rig
from faults.waiting import until

BUDGET_MS: Final = 200.0
"""What an opening may take from the API's acceptance to "pulse sent" (`commands.open_budget_ms`)."""
_TRAFFIC_S: Final = 30.0
_ENOUGH_FOR_P99: Final = 100
_CALLERS_MAX: Final = 4


@dataclass(slots=True)
class Run:
    """What a row works with, and what it leaves behind."""

    rig: Rig
    full: bool
    random: Random
    budgets_judged: bool = True
    """Whether a budget that is missed is wrong; on a machine that others work on, the figure is noted only."""
    injections: int = 0
    notes: dict[str, Any] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    """What the row itself saw go wrong, beside the counts of the checker."""

    def times(self, quick: int, full: int) -> range:
        """Return how often to inject."""
        return range(full if self.full else quick)

    def injected(self, count: int = 1) -> None:
        """Count injections that truly happened."""
        self.injections += count

    def expect(self, holds: object, sentence: str) -> None:
        """Note what must hold; the sentence says what is wrong where it does not."""
        if not holds and sentence not in self.wrong:
            self.wrong.append(sentence)

    def need(self, there: object, sentence: str) -> None:
        """Skip the row where the machine lacks something."""
        if not there:
            raise SkipRow(sentence)

    async def traffic(self, openings: int = 4) -> None:
        """Wait until so many more callers have had their answer."""
        target = len(self.rig.workload.answers) + openings
        await until(lambda: len(self.rig.workload.answers) >= target, _TRAFFIC_S, f"{openings} callers served")

    def latency(self, began_s: float, *, until_s: float | None = None) -> dict[str, float]:
        """Note and return what callers waited between two moments, for openings that succeeded."""
        took = [
            answer.took_ms
            for answer in self.rig.workload.since(began_s)
            if answer.state == "succeeded" and (until_s is None or answer.began_s < until_s)
        ]
        if not took:
            return {}
        figures = {f"p{rank}_ms": round(percentile(took, rank), 1) for rank in (50, 90, 99)}
        self.notes.update(figures, openings_timed=len(took))
        return {**figures, "n": len(took)}

    def in_budget(self, figures: dict[str, float]) -> None:
        """Expect openings to have succeeded in their budget: by p99; by p90 where there are too few for a p99."""
        self.expect(figures, "no opening succeeded")
        if not self.budgets_judged:
            return
        rank = "p99_ms" if figures.get("n", 0) >= _ENOUGH_FOR_P99 else "p90_ms"
        took = figures.get(rank, 0.0)
        self.expect(took <= BUDGET_MS, f"openings took {took} ms ({rank[:3]}); their budget is {BUDGET_MS:g} ms")

    async def opens(self, name: str) -> str:
        """Expect a locker to open a door, at the fourth caller at the latest. Returns the last state."""
        state = ""
        for _ in range(_CALLERS_MAX):
            answer = await self.rig.workload.open(*await self.rig.workload.a_free_door(name))
            state = answer.state
            if state == "succeeded":
                break
        self.expect(
            state == "succeeded", f"{name} does not open: the last of {_CALLERS_MAX} openings ended as {state}"
        )
        return state

    def now(self) -> float:
        """Return the clock of `latency`."""
        return time.monotonic()


Act = Callable[[Run], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Row:
    """A row: its number, the fault, what must hold (letters as in docs/faults.md), and what is done."""

    id: int
    fault: str
    must: str
    act: Act
    drain_s: float = 40.0
    quarantines: bool = False
    """Whether events in quarantine are part of the row."""
    declares: bool = False
    """Whether declared gaps are part of the row."""


ROWS: Final[dict[int, Row]] = {}


def row(number: int, fault: str, must: str, **more: Any) -> Callable[[Act], Act]:  # noqa: ANN401 - Row's own fields
    """Enter a function as a row of the matrix."""

    def enter(act: Act) -> Act:
        assert number not in ROWS, f"row {number} is there already"
        ROWS[number] = Row(number, fault, must, act, **more)
        return act

    return enter
