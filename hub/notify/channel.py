"""One channel: a bounded queue, and one message after another to one receiver.

Messages go out in their order. One that the receiver cannot take now is tried again, seven times, with growing
pauses; what comes meanwhile waits behind it, so that nothing overtakes what it is about. Then the receiver is away:
the message is tried on, once a minute or so, for as long as it is true; when it is taken, of what has waited only
what is still true goes out. Where the queue is full, in messages or in bytes, its oldest message is dropped, and
counted: what is new matters more, and the newest alone always has room.

Where a defect of the hub's own is met with a message in hand, it stays there and is tried again, seven times with
growing pauses; then it has failed. Each time is counted and logged: no message waits for a restart.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from hub import clock
from hub.core.notify.notices import Message, size_bytes
from hub.core.notify.retry import RETRIES_MAX, DeliveryOutcome, DeliveryVerdict, pause_s
from hub.logs import described, sentence
from hub.metrics import Metrics
from hub.store.lane import UNBOUNDED
from hub.store.notifications import NotificationDelivery, State

_log = logging.getLogger(__name__)

_ERROR_CHARACTERS_MAX: Final = 300
_WARN_EVERY_MS: Final = 60_000.0


class MessageSender(Protocol):
    """The way out: `hub.notify.mail.Mail`, `hub.notify.webhook.Webhook`."""

    @property
    def to(self) -> str:
        """Where it leads, without what is secret."""
        ...

    async def send(self, message: Message) -> DeliveryOutcome:
        """Try once. Never raises for what network or receiver do."""
        ...


class DeliveryGuard(Protocol):
    """Who knows what is true, and who may send: the notifier. Without one, eight tries are all."""

    async def may_send(self) -> bool:
        """Say whether this hub is the one that sends over the channel."""
        ...

    def stands(self, message: Message) -> bool:
        """Say whether a message is still news to a receiver that was away."""
        ...

    def settled(self, message: Message, state: State, *, refused: bool) -> None:
        """Take what became of a message. `refused`: the receiver does not want it."""
        ...


Pause = Callable[[int, str | None, datetime, float], float]
"""Says how long to wait, as `hub.core.notify.retry.pause_s`."""


@dataclass(slots=True)
class ChannelState:
    """How a channel has done of late."""

    ok_at: datetime | None = None
    error: str | None = None
    error_at: datetime | None = None


@dataclass(slots=True)
class _Waiting:
    """A message of the queue. `defects`: tries that a defect of the hub's own has ended."""

    message: Message
    tries: int
    size: int
    defects: int = 0
    sent: bool = False


class NotificationChannel:
    """The queue and the task of one channel. `note` is told how each message stands, and never waits."""

    def __init__(
        self,
        name: str,
        sender: MessageSender,
        note: Callable[[NotificationDelivery], None],
        metrics: Metrics,
        queue_max: int,
        pause: Pause = pause_s,
        keeper: DeliveryGuard | None = None,
        queue_bytes_max: int = UNBOUNDED,
    ) -> None:
        self.name = name
        self.sender = sender
        self.stand = ChannelState()
        self._note = note
        self._pause_s = pause
        self._queue_max = queue_max
        self._queue_bytes_max = queue_bytes_max
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self._hand: _Waiting | None = None
        """The message that is being tried. It outlives `run`, so that whoever starts it again goes on with it."""
        self._wake = asyncio.Event()
        self._resting = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._keeper = keeper
        self._failing_now = False
        self._away = False
        """The receiver was away: of what has waited for it only what is still true goes out."""
        self._warned_ms: float | None = None
        self._unlogged = 0
        self._results = {
            result: metrics.notifications.labels(name, result) for result in ("sent", "failed", "dropped")
        }
        self._retries = metrics.notify_retries.labels(name)
        self._last_success = metrics.notify_last_success.labels(name)
        self._failing = metrics.notify_failing.labels(name)
        self._defects = metrics.notify_defects.labels(name)
        metrics.notify_queue.labels(name).set_function(lambda: self.queued)
        metrics.notify_queue_bytes.labels(name).set_function(lambda: self.queued_bytes)

    @property
    def queued(self) -> int:
        """How many messages wait, with the one that is being tried."""
        return len(self._waiting) + (self._hand is not None)

    @property
    def queued_bytes(self) -> int:
        """The memory of those, estimated."""
        return self._bytes + (0 if self._hand is None else self._hand.size)

    def put(self, message: Message) -> None:
        """Take a new message."""
        self._note(NotificationDelivery(message, "waiting", 0, None, clock.wall()))
        self.restore(message, 0)

    def restore(self, message: Message, tries: int) -> None:
        """Take a message that is known as waiting already. The oldest is dropped where there is no room."""
        waiting = _Waiting(message, tries, size_bytes(message))
        self._waiting.append(waiting)
        self._bytes += waiting.size
        while len(self._waiting) > self._queue_max:
            self._drop(f"more than {self._queue_max} messages waited")
        while self._bytes > self._queue_bytes_max and len(self._waiting) > 1:
            self._drop(f"what waited took more than {self._queue_bytes_max} bytes")
        self._wake.set()

    def _drop(self, why: str) -> None:
        oldest = self._waiting.popleft()
        self._bytes -= oldest.size
        self._settle(oldest.message, "dropped", oldest.tries, why)

    def give_up(self) -> None:
        """Forget what waits: another hub sends it."""
        self._waiting.clear()
        self._bytes = 0

    def recall(self, stand: ChannelState) -> None:
        """Take over how the channel did before this hub started."""
        self.stand = stand
        if stand.ok_at is not None:
            self._last_success.set(stand.ok_at.timestamp())
        if stand.error_at is not None:
            self._failing.set(stand.ok_at is None or stand.ok_at < stand.error_at)

    async def run(self) -> None:
        """Send until cancelled. What is not settled then is still known as waiting."""
        while True:
            if self._hand is None:
                await self._wake.wait()
                self._wake.clear()
            while not self._resting.is_set() and (hand := self._next()) is not None:
                try:
                    await self._deliver(hand)
                except Exception as error:  # noqa: BLE001 - decided: a defect costs a message its tries, and no other
                    await self._met_a_defect(hand, error)
                else:
                    self._hand = None
            if self._resting.is_set():
                # What is in hand is known as waiting, and goes out at the next start.
                self._hand = None
            if not self._failing_now:
                self._away = False

    def _next(self) -> _Waiting | None:
        if self._hand is None and self._waiting:
            self._hand = self._waiting.popleft()
            self._bytes -= self._hand.size
        return self._hand

    async def _met_a_defect(self, hand: _Waiting, error: Exception) -> None:
        """Count it as a try, and wait; or give the message up, with the last word on it."""
        self._defects.inc()
        hand.defects += 1
        _log.error(
            "A defect was met with a notification in hand",
            extra={"channel": self.name, "tries": hand.tries, "defects": hand.defects, **described(error)},
        )
        if hand.defects > RETRIES_MAX:
            self._hand = None
            if not hand.sent:
                self._settle(hand.message, "failed", hand.tries + hand.defects, sentence(error))
            return
        self._failed(sentence(error), clock.wall())
        self._retries.inc()
        await self._pause(self._pause_s(hand.defects, None, clock.wall(), random.random()))  # noqa: S311 - jitter

    async def rest(self, grace_s: float) -> None:
        """Begin no more tries, and wait so long for one that is under way."""
        self._resting.set()
        try:
            async with asyncio.timeout(grace_s):
                await self._idle.wait()
        except TimeoutError:
            _log.warning(
                "A notification is cut off; it goes out again at the next start", extra={"channel": self.name}
            )

    async def once(self, message: Message, timeout_s: float) -> DeliveryOutcome:
        """Send a message past the queue, in one try."""
        try:
            async with asyncio.timeout(timeout_s):
                outcome = await self.sender.send(message)
        except TimeoutError:
            outcome = DeliveryOutcome(DeliveryVerdict.LATER, f"no answer within {timeout_s:g} s")
        self._settle(message, "sent" if outcome.verdict is DeliveryVerdict.SENT else "failed", 1, outcome.detail)
        return outcome

    async def _deliver(self, hand: _Waiting) -> None:
        message, keeper = hand.message, self._keeper
        if hand.sent:
            # What failed was to take that down; its receiver has it.
            self._settle(message, "sent", hand.tries, "")
            return
        while not self._resting.is_set() and (keeper is None or await keeper.may_send()):
            if self._away and keeper is not None and not keeper.stands(message):
                self._settle(message, "failed", hand.tries, "it was not so any more when the receiver was back")
                return
            outcome = await self._try(message)
            hand.tries += 1
            hand.sent = outcome.verdict is DeliveryVerdict.SENT
            if outcome.verdict is DeliveryVerdict.SENT:
                self._failing_now = False
                self._settle(message, "sent", hand.tries, outcome.detail)
                return
            self._failing_now = outcome.verdict is DeliveryVerdict.LATER
            if outcome.verdict is DeliveryVerdict.FAILED:
                self._settle(message, "failed", hand.tries, outcome.detail, refused=True)
                return
            if hand.tries > RETRIES_MAX:
                self._away = keeper is not None
                if keeper is None or not keeper.stands(message):
                    self._settle(message, "failed", hand.tries, outcome.detail)
                    return
            self._failed(outcome.detail, clock.wall())
            self._retries.inc()
            self._note(NotificationDelivery(message, "waiting", hand.tries, _short(outcome.detail), clock.wall()))
            jitter = random.random()  # noqa: S311 - jitter
            failed = min(hand.tries, RETRIES_MAX)
            await self._pause(self._pause_s(failed, outcome.retry_after, clock.wall(), jitter))

    async def _try(self, message: Message) -> DeliveryOutcome:
        self._idle.clear()
        try:
            return await self.sender.send(message)
        except Exception as error:  # noqa: BLE001 - decided: a defect met by one message costs its tries, and no other
            _log.error("A notification could not be made", extra={"channel": self.name, **described(error)})
            return DeliveryOutcome(DeliveryVerdict.LATER, sentence(error))
        finally:
            self._idle.set()

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._resting.wait()
        except TimeoutError:
            return

    def _settle(self, message: Message, state: State, tries: int, detail: str, *, refused: bool = False) -> None:
        now = clock.wall()
        self._note(NotificationDelivery(message, state, tries, None if state == "sent" else _short(detail), now))
        if self._keeper is not None:
            self._keeper.settled(message, state, refused=refused)
        self._results[state].inc()
        if state == "sent":
            self.stand.ok_at = now
            self._last_success.set(now.timestamp())
            self._failing.set(0)
        else:
            self._warn(state, detail)
        if state == "failed":
            self._failed(detail, now)

    def _warn(self, state: State, detail: str) -> None:
        self._unlogged += 1
        now_ms = clock.now_ms()
        if self._warned_ms is None or now_ms - self._warned_ms >= _WARN_EVERY_MS:
            _log.warning(
                "Notifications are not delivered",
                extra={"channel": self.name, "state": state, "error": _short(detail), "messages": self._unlogged},
            )
            self._warned_ms, self._unlogged = now_ms, 0

    def _failed(self, detail: str, now: datetime) -> None:
        self.stand.error, self.stand.error_at = _short(detail), now
        self._failing.set(1)


def _short(text: str) -> str:
    return text[:_ERROR_CHARACTERS_MAX]
