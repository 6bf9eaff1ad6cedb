"""What happens to commands, told to whoever waits: requests, viewers, metrics, the log."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final
from uuid import UUID

from hub.core.commands import Entry, State
from hub.live import Live
from hub.metrics import Metrics

_log = logging.getLogger(__name__)
_AS_WISHED: Final = frozenset({State.QUEUED, State.SENT, State.ACCEPTED, State.SUCCEEDED, State.CANCELLED})
_REASONS: Final = frozenset(
    {
        "retained", "wrong_locker", "bad_signature", "wrong_boot", "expired", "unknown_kind", "unknown_door",
        "not_equipped", "id_reused", "bad_settings", "bad_args", "version", "board_offline", "busy", "storage",
    }
)  # fmt: skip
"""The reasons that are a metric's label; a locker may say others, which are counted as `other`."""


class News:
    """Tells of commands, and lets requests wait for them."""

    def __init__(self, live: Live, metrics: Metrics) -> None:
        self._live = live
        self._states = metrics.command_states
        self._rejections = metrics.command_rejections
        self._waiters: dict[UUID, set[asyncio.Event]] = {}

    def changed(self, entry: Entry, *, state: bool) -> None:
        """Tell that a command changed; `state`: it is in another state than before."""
        if state:
            kind = entry.order.kind
            self._states.labels(kind, entry.state.value).inc()
            if entry.state is State.REJECTED:
                # A reason may have more behind it: `bad_settings: telemetry.period_s`.
                reason = (entry.detail or "").partition(":")[0]
                self._rejections.labels(kind, reason if reason in _REASONS else "other").inc()
            if entry.state not in _AS_WISHED:
                _log.warning(
                    "A command did not succeed",
                    extra={"command": str(entry.id), "locker": entry.order.locker, "state": entry.state.value,
                           "detail": entry.detail},
                )  # fmt: skip
        self._live.command(entry)
        for waiter in self._waiters.get(entry.id, ()):
            waiter.set()

    async def wait(self, entry: Entry, until: Callable[[Entry], bool], timeout_s: float) -> None:
        """Return once `until(entry)` holds, or the time is up."""
        changed = asyncio.Event()
        self._waiters.setdefault(entry.id, set()).add(changed)
        try:
            async with asyncio.timeout(timeout_s):
                while not until(entry):
                    changed.clear()
                    await changed.wait()
        except TimeoutError:
            return
        finally:
            waiting = self._waiters[entry.id]
            waiting.discard(changed)
            if not waiting:
                del self._waiters[entry.id]
