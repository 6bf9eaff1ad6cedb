"""Outcomes of a job's commands: from this hub's memory, or from the table of commands."""

from collections.abc import Collection
from typing import Final

from hub.commands.instant import InstantCommands
from hub.core.commands import CommandStatus
from hub.core.jobs import TargetState
from hub.jobs.active import ActiveJob, InFlightTarget
from hub.store.jobs import JobStore, Result

_NOBODY_KNOWS: Final = "The hub stopped when it was sent, and the locker has not told."
_RESULTS: Final = {
    CommandStatus.SUCCEEDED: TargetState.SUCCEEDED,
    CommandStatus.REJECTED: TargetState.REJECTED,
    CommandStatus.FAILED: TargetState.FAILED,
    CommandStatus.UNKNOWN: TargetState.UNKNOWN,
    CommandStatus.TIMED_OUT: TargetState.TIMED_OUT,
    CommandStatus.EXPIRED: TargetState.TIMED_OUT,
    CommandStatus.CANCELLED: TargetState.CANCELLED,
}


class OutcomeLookup:
    """Looks for the ends of what is under way."""

    def __init__(self, instant: InstantCommands, jobs: JobStore) -> None:
        self._instant = instant
        self._jobs = jobs

    def from_memory(self, run: ActiveJob) -> list[Result]:
        """Return the ends that this hub's book tells. Of a durable command only its row knows the last word."""
        if run.durable:
            return []
        found = []
        for place, flight in run.flights.items():
            entry = self._instant.find(flight.command)
            if entry is not None and (entry.settled or (flight.asked and entry.state is CommandStatus.TIMED_OUT)):
                found.append(Result(place, _RESULTS[entry.state], entry.detail))
        return found

    async def from_database(self, run: ActiveJob, known: Collection[int]) -> tuple[list[Result], dict[int, Result]]:
        """Ask for the ends of durable commands, and of those that another hub has sent.

        Returns the ends, and the places of which nobody knows anything yet, each with the end to write should it
        stay so. `known` are places that need not be looked for.
        """
        places = [place for place in run.flights if place not in known and self._ask_for(run, run.flights[place])]
        told: list[Result] = []
        unsure: dict[int, Result] = {}
        if not places:
            return told, unsure
        found = await self._jobs.results([run.flights[place].command for place in places])
        for place in places:
            text, detail = found.get(run.flights[place].command, (None, None))
            said = None if text is None else CommandStatus(text)
            if said is not None and said.settled:
                told.append(Result(place, _RESULTS[said], detail))
            elif said is None or not run.durable:
                timed_out = said is CommandStatus.TIMED_OUT
                state = TargetState.TIMED_OUT if timed_out else TargetState.UNKNOWN
                unsure[place] = Result(place, state, detail if timed_out else _NOBODY_KNOWS)
        return told, unsure

    def _ask_for(self, run: ActiveJob, flight: InFlightTarget) -> bool:
        if run.durable:
            return True
        entry = self._instant.find(flight.command)
        return entry is None or (entry.state is CommandStatus.TIMED_OUT and not flight.asked)
