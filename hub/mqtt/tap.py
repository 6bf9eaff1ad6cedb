"""The messages of lockers that somebody watches, as they come and go. Nobody watching, it costs one look at a dict.

Nothing secret is in a message. Whom a `forget` is about is shown to nobody, and so its payload is shown without it.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from hub import clock
from hub.metrics import Metrics
from wire.errors import WireError
from wire.messages import CommandKind
from wire.topics import Channel, parse

SHOWN_MAX: Final = 50
"""Messages of a locker that are kept for who comes to watch."""
PAYLOAD_CHARACTERS_MAX: Final = 4096
_TOPIC_CHARACTERS_MAX: Final = 300
_A_TURN_MAX: Final = 100
"""Messages of a locker shown in one turn; the oldest ones above it are counted as skipped."""
_NAMES_SOMEBODY: Final = frozenset({"args", "actor"})
_WITHHELD: Final = "withheld"

TAKEN: Final = "taken"
DUPLICATE: Final = "duplicate"
DEFERRED: Final = "deferred"
DROPPED: Final = "dropped"
IGNORED: Final = "ignored"
SENT: Final = "sent"
UNSENT: Final = "unsent"


@dataclass(frozen=True, slots=True)
class TappedMessage:
    """One message. `verdict`: what the hub made of it, as far as it was known at once."""

    n: int
    at: datetime
    direction: Literal["in", "out"]
    channel: str
    topic: str
    bytes: int
    retained: bool
    payload: str
    cut: bool
    verdict: str


class TappedLocker:
    """The newest messages of one locker, since somebody watches."""

    def __init__(self) -> None:
        self.watchers = 0
        self.count = 0
        self.newest: deque[TappedMessage] = deque(maxlen=SHOWN_MAX)
        self.new: deque[TappedMessage] = deque(maxlen=_A_TURN_MAX)
        self.skipped = 0


class MessageTap:
    """Tap on the messages of watched lockers. Callers look at `watched` first: it is empty nearly always."""

    def __init__(self, metrics: Metrics) -> None:
        self.watched: dict[str, TappedLocker] = {}
        self._tell: Callable[[], None] = lambda: None
        self._shown = metrics.live_tail_messages.labels("shown")
        self._skipped = metrics.live_tail_messages.labels("skipped")
        metrics.live_tail_lockers.set_function(lambda: len(self.watched))

    def listen(self, tell: Callable[[], None]) -> None:
        """Have `tell` called when there is something new."""
        self._tell = tell

    def note(
        self, direction: Literal["in", "out"], topic: str, payload: bytes, verdict: str, *, retained: bool = False
    ) -> None:
        """Note a message, if its locker is watched."""
        try:
            locker, channel = parse(topic)
        except WireError:
            return  # no locker's
        watched = self.watched.get(locker)
        if watched is None:
            return
        watched.count += 1
        shown = _shown(channel, payload)
        message = TappedMessage(
            watched.count, clock.wall(), direction, channel.value, topic[:_TOPIC_CHARACTERS_MAX], len(payload),
            retained, shown[:PAYLOAD_CHARACTERS_MAX], len(shown) > PAYLOAD_CHARACTERS_MAX, verdict,
        )  # fmt: skip
        watched.newest.append(message)
        if len(watched.new) == _A_TURN_MAX:
            watched.skipped += 1
            self._skipped.inc()
        watched.new.append(message)
        self._shown.inc()
        self._tell()

    def watch(self, locker: str) -> TappedLocker:
        """Keep a locker's messages from now on."""
        watched = self.watched.setdefault(locker, TappedLocker())
        watched.watchers += 1
        return watched

    def unwatch(self, locker: str) -> None:
        """Keep them no more, if nobody else does."""
        watched = self.watched[locker]
        watched.watchers -= 1
        if not watched.watchers:
            del self.watched[locker]


def _shown(channel: Channel, payload: bytes) -> str:
    """Return a payload as text, without whom a `forget` is about."""
    # Enough to look at what may name somebody, and never so much that it takes time.
    if channel is Channel.COMMANDS or b'"forget"' in payload:
        try:
            said = msgspec.json.decode(payload)
        except (msgspec.DecodeError, RecursionError):
            return _WITHHELD if b"forget" in payload else payload.decode(errors="replace")
        if _withhold(said):
            return msgspec.json.encode(said).decode()
    return payload.decode(errors="replace")


def _withhold(said: Any) -> bool:  # noqa: ANN401 - any JSON
    """Empty what names somebody in every object of the kind `forget`. Returns whether there was one."""
    found = False
    todo = [said]
    while todo:
        one = todo.pop()
        if isinstance(one, dict):
            if one.get("kind") == CommandKind.FORGET.value:
                found = True
                for name in _NAMES_SOMEBODY & one.keys():
                    one[name] = _WITHHELD
            todo += one.values()
        elif isinstance(one, list):
            todo += one
    return found
