"""Clears the retained presence of removed lockers, which the broker would show to whoever subscribes."""

import logging
from collections.abc import Callable
from typing import Final

from hub.errors import LinkError
from hub.mqtt.connection import MqttConnection
from wire.topics import Channel, topic_of

_log = logging.getLogger(__name__)
_A_TURN_MAX: Final = 100


class RetainedCleanup:
    """Clears retained presence of lockers that left the registry.

    What waits for the link are ids of removed lockers, each once. What no hub has cleared when it stops, the broker
    hands over to the next one.

    Args:
        link: returns the link to send over.
    """

    def __init__(self, link: Callable[[], MqttConnection]) -> None:
        self._link = link
        self._removed: frozenset[str] = frozenset()
        self._waiting: dict[str, None] = {}

    def follow(self, removed: frozenset[str]) -> None:
        """Clear what the broker may have of those that were removed since the last call.

        At a hub's start there is no link yet, and nothing to clear but what the broker then hands over.
        """
        new, self._removed = removed - self._removed, removed
        if self._link().connected:
            self._waiting |= dict.fromkeys(sorted(new))
        for back in self._waiting.keys() - removed:
            del self._waiting[back]
        self.turn()

    def found(self, locker: str) -> None:
        """Hear that the broker has presence of a removed locker. It may be before the link counts as up."""
        self._waiting[locker] = None

    def turn(self) -> None:
        """Clear some of what waits. Call it once a second or so."""
        link = self._link()
        if not link.connected:
            return
        for locker in list(self._waiting)[:_A_TURN_MAX]:
            try:
                link.publish(topic_of(locker, Channel.PRESENCE), b"", retain=True)
            except LinkError as error:
                _log.warning("Presence of removed lockers is not cleared yet", extra={"error": str(error)})
                return
            del self._waiting[locker]
            _log.info("Retained presence of a removed locker is cleared", extra={"locker": locker})
