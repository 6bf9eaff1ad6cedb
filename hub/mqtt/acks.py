"""Messages that are acknowledged one by one, when what they brought is safe.

A broker sends so many messages without an acknowledgement (its Receive Maximum) and then waits. So who acknowledges
late holds the broker back, and who never does gets the message again on the next connection.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

PUBACK: Final = b"\x40\x02"
"""Without a reason code: success, in MQTT 3.1.1 and in 5."""


class AckTracker:
    """The acknowledgements of one connection: settled in any order, written many at a time.

    Args:
        write: sends bytes to the broker.
        soon: calls a function once the event loop has done what it is at (`loop.call_soon`).
    """

    def __init__(self, write: Callable[[bytes], None], soon: Callable[[Callable[[], None]], object]) -> None:
        self._write = write
        self._soon = soon
        self._due: list[bytes] = []
        self._open = True
        self.owed = 0
        """Messages that were delivered and are not acknowledged."""

    def settle(self, mid: bytes) -> None:
        """Acknowledge a packet identifier. Once the connection is gone, nothing happens: it died with it."""
        self.owed -= 1
        if not self._open:
            return
        if not self._due:
            self._soon(self._flush)
        self._due.append(PUBACK + mid)

    def close(self) -> None:
        """Write no more: on the next connection the same identifiers are other messages'."""
        self._open = False
        self._due.clear()

    def _flush(self) -> None:
        if self._due:
            due, self._due = b"".join(self._due), []
            self._write(due)


class IncomingMessage:
    """One message and the right to acknowledge it, once."""

    __slots__ = ("_acknowledgements", "_mid", "payload", "repeated", "retained", "topic")

    def __init__(
        self,
        topic: str,
        payload: bytes,
        retained: bool = False,  # noqa: FBT001, FBT002 - one is made for every message, and names cost time
        repeated: bool = False,  # noqa: FBT001, FBT002
        mid: bytes = b"",
        acknowledgements: AckTracker | None = None,
    ) -> None:
        self.topic = topic
        self.payload = payload
        self.retained = retained
        self.repeated = repeated
        """Whether the broker has sent it before, on this connection's session."""
        self._mid = mid
        self._acknowledgements = acknowledgements
        if acknowledgements is not None:
            acknowledgements.owed += 1

    def acknowledge(self) -> None:
        """Let the broker forget the message. A second call does nothing; nor does one for a message at QoS 0."""
        acknowledgements, self._acknowledgements = self._acknowledgements, None
        if acknowledgements is not None:
            acknowledgements.settle(self._mid)


@dataclass(frozen=True)
class ManualAck:
    """Manual acknowledgement, some time after receipt, in a session that outlives its connections.

    `deliver` is called with each message and sees to it that `acknowledge` is called once its fate is decided. The
    broker has at most `receive_max` messages out (on MQTT 3.1.1 its own limit counts), and keeps the session for
    `session_s` after the connection is lost (on MQTT 3.1.1 for as long as it likes).
    """

    deliver: Callable[[IncomingMessage], None]
    receive_max: int
    session_s: int
