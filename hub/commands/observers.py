"""Observers of commands: waiting requests, viewers, metrics and the log are told what happens."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final
from uuid import UUID

from hub.core.commands import CommandRecord, CommandStatus
from hub.core.rates import TokenBucket
from hub.live import Broadcaster
from hub.metrics import Metrics
from wire.messages import CommandKind
from wire.refusals import DISOWNED, refusal_of

_log = logging.getLogger(__name__)
_AS_WISHED: Final = frozenset(
    {
        CommandStatus.QUEUED,
        CommandStatus.SENT,
        CommandStatus.ACCEPTED,
        CommandStatus.SUCCEEDED,
        CommandStatus.CANCELLED,
    }
)
_DISOWNED_SAY_EVERY_MS: Final = 60_000.0
_DISOWNED_SAID_PER_MINUTE_MAX: Final = 20
_NOT_KNOWN: Final = "not_known"


class CommandObservers:
    """Tells of commands, and lets requests wait for them."""

    def __init__(self, live: Broadcaster, metrics: Metrics) -> None:
        self._live = live
        self._states = metrics.command_states
        self._rejections = metrics.command_rejections
        self._waiters: dict[UUID, set[asyncio.Event]] = {}
        self._ending = False
        self._disowned_said_ms: dict[str, float] = {}
        """When each locker was last named in the log; only lockers of the registry get here."""
        self._disowned_said = TokenBucket(_DISOWNED_SAID_PER_MINUTE_MAX, _DISOWNED_SAID_PER_MINUTE_MAX)
        self._disowned_unsaid = 0
        for kind in (*CommandKind, _NOT_KNOWN):
            for reason in DISOWNED:
                # There from the beginning, so that the first one is an increase to whoever watches.
                self._rejections.labels(kind, reason.value)

    def changed(self, entry: CommandRecord, *, state: bool) -> None:
        """Tell that a command changed; `state`: it is in another state than before."""
        if state:
            kind = entry.order.kind
            self._states.labels(kind, entry.state.value).inc()
            if entry.state is CommandStatus.REJECTED:
                self._rejections.labels(kind, refusal_of(entry.detail) or "other").inc()
            if entry.state not in _AS_WISHED:
                _log.warning(
                    "A command did not succeed",
                    extra={"command": str(entry.id), "locker": entry.order.locker, "state": entry.state.value,
                           "detail": entry.detail},
                )  # fmt: skip
        self._live.command(entry)
        for waiter in self._waiters.get(entry.id, ()):
            waiter.set()

    def disowned(self, locker: str, entry: CommandRecord | None, reason: str, now_ms: float) -> None:
        """Tell that a locker takes a command for one that this hub did not send (`wire.refusals.DISOWNED`).

        `entry` is that command, if it is known here. Each is counted; the log has one line a minute for each
        locker, and `_DISOWNED_SAID_PER_MINUTE_MAX` for all: what was left out since is told by the next one.
        """
        self._rejections.labels(_NOT_KNOWN if entry is None else entry.order.kind, reason).inc()
        said_ms = self._disowned_said_ms.get(locker, float("-inf"))
        if now_ms - said_ms < _DISOWNED_SAY_EVERY_MS or self._disowned_said.take(now_ms):
            self._disowned_unsaid += 1
            return
        self._disowned_said_ms[locker] = now_ms
        _log.warning(
            "A locker takes a command for one that this hub did not send",
            extra={"locker": locker, "reason": reason, "command": None if entry is None else str(entry.id),
                   "not_told_since": self._disowned_unsaid},
        )  # fmt: skip
        self._disowned_unsaid = 0

    async def wait(self, entry: CommandRecord, until: Callable[[CommandRecord], bool], timeout_s: float) -> None:
        """Return once `until(entry)` holds, the time is up, or waiting has an end for everybody."""
        changed = asyncio.Event()
        self._waiters.setdefault(entry.id, set()).add(changed)
        try:
            async with asyncio.timeout(timeout_s):
                while not (until(entry) or self._ending):
                    changed.clear()
                    await changed.wait()
        except TimeoutError:
            return
        finally:
            waiting = self._waiters[entry.id]
            waiting.discard(changed)
            if not waiting:
                del self._waiters[entry.id]

    def end_waiting(self) -> None:
        """Let everybody who waits, now or later, go with the command as it stands."""
        self._ending = True
        for waiters in self._waiters.values():
            for waiter in waiters:
                waiter.set()
