"""The newest commands of this hub, in memory."""

from typing import Any

from hub.core.commands import CommandRecord


class RecentCommands:
    """The newest commands of this hub: of each locker, and of all."""

    def __init__(self, of_locker_max: int, of_all_max: int) -> None:
        self._of_locker_max = of_locker_max
        self._of_all_max = of_all_max
        self._of_locker: dict[str, dict[Any, CommandRecord]] = {}
        self._of_all: dict[Any, CommandRecord] = {}

    def add(self, entry: CommandRecord) -> None:
        """Note a command, new or not; the oldest one goes where there are too many."""
        _keep(self._of_locker.setdefault(entry.order.locker, {}), entry, self._of_locker_max)
        _keep(self._of_all, entry, self._of_all_max)

    def of(self, locker: str) -> list[CommandRecord]:
        """Return a locker's, newest first."""
        return list(reversed(self._of_locker.get(locker, {}).values()))

    def all(self) -> list[CommandRecord]:
        """Return all, newest first."""
        return list(reversed(self._of_all.values()))


def _keep(known: dict[Any, CommandRecord], entry: CommandRecord, count_max: int) -> None:
    known[entry.id] = entry
    if len(known) > count_max:
        del known[next(iter(known))]
