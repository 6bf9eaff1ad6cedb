"""What the hub knows of people while it runs: actors that no command is to name, and requests that are due.

Commands must not wait for the database, so the barred actors are read from time to time, and kept.
"""

import asyncio
import logging
from uuid import UUID

from hub import clock
from hub.errors import StoreUnavailable
from hub.metrics import Metrics
from hub.store.database import Database
from hub.store.people import AccountStore
from hub.store.privacy_requests import PrivacyRequestStore

_log = logging.getLogger(__name__)


class PeopleWatch:
    """Follows the database every `period_s`; while it is away, what was known goes on to hold."""

    def __init__(self, store: Database, metrics: Metrics, period_s: float) -> None:
        self._people = AccountStore(store)
        self._rights = PrivacyRequestStore(store)
        self._metrics = metrics
        self._period_s = period_s
        self._barred: frozenset[UUID] = frozenset()

    def is_barred(self, actor: UUID) -> bool:
        """Say whether no command is to carry this actor's name."""
        return actor in self._barred

    async def look(self) -> None:
        """Read once. Raises StoreUnavailable."""
        self._barred = await self._people.barred()
        for state, count in (await self._rights.counts(clock.wall())).items():
            gauge = self._metrics.erasures if state in {"unfinished", "held"} else self._metrics.rights_requests
            gauge.labels(state).set(count)

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            try:
                await self.look()
            except StoreUnavailable as error:
                _log.warning("What is known of people may be old", extra={"error": str(error)})
            await asyncio.sleep(self._period_s)
