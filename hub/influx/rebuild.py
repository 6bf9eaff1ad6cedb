"""Send a span of time to InfluxDB again: day by day, locker by locker, from where it was left."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from typing import Any, Final

from hub.config.influx import InfluxSettings
from hub.influx.delivery import Writer
from hub.influx.sink import Lines, Stream, delivery
from hub.metrics import Metrics
from hub.store.influx_feed import InfluxPast, Rebuilding

REBUILT: Final = ("reading", "door_hour")
"""The streams that can be sent again; late readings are among the readings of their day."""

_DAY: Final = timedelta(days=1)
_MOMENT: Final = timedelta(microseconds=1)
_PAGE_ROWS: Final = 500


class Rebuild:
    """Sends one stream's past again. What is in memory is one batch.

    A day is read locker by locker, which is how rows lie in compressed chunks. Lines are the same as the first
    time, so a repeated one changes nothing, and the rebuild may run beside the hub that feeds the server.
    """

    def __init__(
        self, past: InfluxPast, stream: Stream, client: Writer, settings: InfluxSettings, metrics: Metrics
    ) -> None:
        self._past, self._stream, self._settings, self._metrics = past, stream, settings, metrics
        self._delivery = delivery(client, stream, settings, metrics)

    async def run(self, rebuilding: Rebuilding, tell: Callable[[Rebuilding], None]) -> Rebuilding:
        """Go on from where `rebuilding` is to its end; `tell` is called after each day.

        A server that is away or refuses is waited for.

        Raises StoreUnavailable: what was sent by then is written down, and the next run goes on behind it.
        """
        while rebuilding.day < rebuilding.until:
            rebuilding = await self._day(rebuilding, min(rebuilding.day + _DAY, rebuilding.until))
            tell(rebuilding)
        return rebuilding

    async def _day(self, rebuilding: Rebuilding, end: datetime) -> Rebuilding:
        day, name = rebuilding.day, self._stream.name
        batch, through = Lines(self._stream, self._metrics), rebuilding.locker
        for locker in await self._past.lockers(name, day, end, through):
            async for rows in self._pages(locker, day, end):
                await batch.add(rows)
                if len(batch.lines) >= self._settings.batch_rows_max:
                    # Every locker up to `through` is in what was sent; this one perhaps not to its end.
                    rebuilding = await self._flush(rebuilding, batch, day, through)
                    batch = Lines(self._stream, self._metrics)
            through = locker
        return await self._flush(rebuilding, batch, end, "")

    async def _flush(self, rebuilding: Rebuilding, batch: Lines, day: datetime, locker: str) -> Rebuilding:
        sent = 0
        if batch.lines:
            while (taken := await self._delivery.deliver(batch.lines)) is None:  # noqa: ASYNC110 - for a server
                await asyncio.sleep(self._settings.refused_s)
            sent = taken
        return await self._past.advance(rebuilding, day, locker, sent)

    async def _pages(self, locker: str, begin: datetime, end: datetime) -> AsyncIterator[list[dict[str, Any]]]:
        # Behind the last moment before the day.
        after = (begin - _MOMENT, 0)
        while True:
            rows = await self._past.page(self._stream.name, locker, after, end, _PAGE_ROWS)
            if rows:
                yield rows
                after = (rows[-1]["at"], rows[-1].get("door", 0))
            if len(rows) < _PAGE_ROWS:
                return
