"""How long the buckets keep their points, held against what they should; where the server lets us look."""

import logging
from dataclasses import dataclass
from typing import Final, Protocol

from hub.config.influx import InfluxSettings
from hub.core.influx import Bucket, WriteResponse

_log = logging.getLogger(__name__)

_DAY_S: Final = 86_400
_EVERY_MS: Final = 86_400_000.0
_AGAIN_MS: Final = 3_600_000.0


class BucketClient(Protocol):
    """A server's buckets API: `hub.influx.client.InfluxServer`."""

    async def bucket(self, name: str) -> Bucket | WriteResponse:
        """Look a bucket up; an Answer where the server does not say."""

    async def keep_for(self, bucket: Bucket, retention_s: int) -> WriteResponse:
        """Set how long a bucket keeps its points."""


@dataclass(frozen=True, slots=True)
class BucketState:
    """What is known of a bucket. `kept_s` None: the server does not say, `said` has why; 0: for ever."""

    name: str
    wanted_s: int
    kept_s: int | None
    said: str = ""

    @property
    def right(self) -> bool:
        """Whether it keeps its points for as long as it should."""
        return self.kept_s == self.wanted_s

    def sentence(self) -> str:
        """Return it for people."""
        wanted = f"{self.wanted_s // _DAY_S} days"
        if self.kept_s is None:
            return f"bucket {self.name}: only the server knows how long it is kept ({self.said}); {wanted} is right"
        kept = f"{self.kept_s / _DAY_S:g} days" if self.kept_s else "for ever"
        if self.right:
            return f"bucket {self.name}: kept {kept}, as it should be"
        why = f" (setting it failed: {self.said})" if self.said else ""
        return f"bucket {self.name}: kept {kept}, and {wanted} is right; influx.set_retention = true sets it{why}"


async def look_at_buckets(client: BucketClient, settings: InfluxSettings, *, change: bool) -> list[BucketState]:
    """Look at both buckets, and set the periods that differ if `change`."""
    wanted = {
        settings.bucket: settings.retention_days,
        settings.statistics_bucket: settings.statistics_retention_days,
    }
    return [await _look(client, name, days * _DAY_S, change=change) for name, days in wanted.items()]


class BucketWatch:
    """Looks at the buckets once a day, more often while something is not right, and tells what is new."""

    def __init__(self, client: BucketClient, settings: InfluxSettings) -> None:
        self._client, self._settings = client, settings
        self._told: list[BucketState] = []
        self._due_ms: float | None = None

    async def turn(self, now_ms: float) -> None:
        """Look, if it is time to."""
        if self._due_ms is not None and now_ms < self._due_ms:
            return
        states = await look_at_buckets(self._client, self._settings, change=self._settings.set_retention)
        for state in states:
            if state not in self._told:
                # A server that does not say is told of once, and is no reason to worry.
                level = logging.INFO if state.right or state.kept_s is None else logging.WARNING
                _log.log(level, "InfluxDB: %s", state.sentence())
        self._told = states
        self._due_ms = now_ms + (_EVERY_MS if all(state.right for state in states) else _AGAIN_MS)


async def _look(client: BucketClient, name: str, wanted_s: int, *, change: bool) -> BucketState:
    found = await client.bucket(name)
    if isinstance(found, WriteResponse):
        return BucketState(name, wanted_s, None, found.sentence())
    if not change or found.retention_s == wanted_s:
        return BucketState(name, wanted_s, found.retention_s)
    answer = await client.keep_for(found, wanted_s)
    return BucketState(name, wanted_s, wanted_s) if answer.good else BucketState(
        name, wanted_s, found.retention_s, answer.sentence()
    )  # fmt: skip
