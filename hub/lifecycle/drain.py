"""The queues at the end: closed, and written."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

_log = logging.getLogger(__name__)


class Queue(Protocol):
    """Queue of rows, written by a task that ends once it is closed and empty."""

    @property
    def name(self) -> str:
        """The name in logs."""
        ...

    @property
    def in_flight(self) -> int:
        """How many rows are not written."""
        ...

    def close(self) -> None:
        """Take no more."""
        ...


async def drained(writers: Sequence[asyncio.Task[None]], queues: Sequence[Queue], drain_s: float) -> None:
    """Close the queues and wait until their writers have written them, for `drain_s` at the most."""
    for queue in queues:
        queue.close()
    _, late = await asyncio.wait(writers, timeout=drain_s)
    if late:
        left = {queue.name: queue.in_flight for queue in queues if queue.in_flight}
        _log.warning("The database did not take everything in time; lockers will send events again", extra=left)
