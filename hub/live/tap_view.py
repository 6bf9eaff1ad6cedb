"""Live view of a locker's messages, as the tap has them."""

from collections.abc import Callable
from typing import Any

from hub.live import Changes, Topic, TopicScope
from hub.live.views import StaticView
from hub.mqtt.tap import MessageTap
from hub.operators import Role


def tap_topic(tap: MessageTap, tell: Callable[[], None]) -> Topic:
    """Return the views of it; `tell` is called when there is something new."""
    tap.listen(tell)
    return Topic("tail", TopicScope.LOCKER, lambda locker: TapView(tap, locker), Role.OPERATOR)


class TapView(StaticView):
    """The messages of one locker."""

    def __init__(self, tap: MessageTap, locker: str) -> None:
        self._tap = tap
        self._locker = locker
        self._watched = tap.watch(locker)

    def snapshot(self) -> dict[str, Any]:
        """Return the newest of the turns before, oldest first."""
        new = {message.n for message in self._watched.new}
        return {"messages": [message for message in self._watched.newest if message.n not in new]}

    def diff(self, turn: Changes) -> dict[str, Any] | None:
        """Return the new ones, oldest first."""
        del turn
        watched = self._watched
        if not watched.new:
            return None
        data = {"messages": list(watched.new), "skipped": watched.skipped}
        watched.new.clear()
        watched.skipped = 0
        return data

    def close(self) -> None:
        """Watch no more."""
        self._tap.unwatch(self._locker)
