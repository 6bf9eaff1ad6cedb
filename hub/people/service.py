"""Everything about people, put together, for the hub and for the command line."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from hub import clock
from hub.config.settings import Config
from hub.keys import load_or_make_proof_key
from hub.metrics import Metrics
from hub.people.code_key import load_or_make_code_key
from hub.people.eraser import Eraser
from hub.people.journal import ErasureJournal
from hub.people.privacy_requests import PrivacyRequests
from hub.people.watch import PeopleWatch
from hub.scheduler.scheduler import PeriodicTask
from hub.store.database import Database
from hub.store.people import AccountStore
from hub.store.statistics import recount
from hub.store.transactions import Transactions
from hub.tasks import Make

_CODES_EVERY_S: Final = 60.0
_ERASURE_EVERY_S: Final = 6 * 3600.0


@dataclass(frozen=True)
class ErasureParts:
    """What erases, and what it writes down before."""

    journal: ErasureJournal
    eraser: Eraser


def erasing(config: Config, store: Database, passed: Callable[[str], None] | None = None) -> ErasureParts:
    """Return the eraser with its journal; `passed` is told of each step."""
    retention = config.retention
    journal = ErasureJournal(
        Path(retention.directory), lambda: load_or_make_proof_key(Path(retention.key_file))
    )  # fmt: skip
    deadline_ms = config.commands.durable_deadline_ms
    return ErasureParts(journal, Eraser(store, journal, recount, delivery_ms=deadline_ms, passed=passed))


class PeopleService:
    """The parts of a running hub."""

    def __init__(self, config: Config, store: Database, metrics: Metrics) -> None:
        self.people = AccountStore(store)
        self._eraser = erasing(config, store).eraser
        self.desk = PrivacyRequests(store, self._eraser)
        self.watch = PeopleWatch(store, metrics, config.people.watch_s)
        self._code_key_file = Path(config.people.code_key_file)
        self._transactions = Transactions(store)

    @cached_property
    def code_key(self) -> bytes:
        """The secret of access codes; made where it is first needed and not there. Raises ConfigError."""
        return load_or_make_code_key(self._code_key_file)

    def periodic_tasks(self) -> list[PeriodicTask]:
        """Return what is to be done from time to time."""

        async def codes() -> dict[str, Any]:
            return {**await self._transactions.expire(clock.wall())}

        async def erasure() -> dict[str, Any]:
            return await self._eraser.sweep(clock.wall())

        return [PeriodicTask("codes", _CODES_EVERY_S, codes), PeriodicTask("erasure", _ERASURE_EVERY_S, erasure)]

    def tasks(self) -> dict[str, Make]:
        """Return the tasks that go round until they are cancelled."""
        return {"people.watch": self.watch.run}
