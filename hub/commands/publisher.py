"""The way out to a locker: a command gets its deadline on the locker's own clock, is signed, and is published."""

from collections.abc import Callable
from typing import Final, Protocol
from uuid import UUID, uuid4

from hub.core.clocks import Clocks
from hub.core.commands import Order
from hub.keys import CommandKey
from hub.mqtt.tap import SENT, UNSENT, MessageTap
from wire.messages import PROTOCOL, Command, CommandKind, encode
from wire.topics import Channel, topic_of

Stamp = tuple[UUID, int]
"""A locker's boot, and its clock at some moment: not later than it really was."""
Now = Callable[[], float]


class MqttPublisher(Protocol):
    """A link to the broker."""

    @property
    def connected(self) -> bool:
        """Whether it is up."""
        ...

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Hand a message over now. Raises LinkError: nothing is kept for later."""
        ...


class CommandPublisher:
    """Sends commands."""

    def __init__(self, key: CommandKey, clocks: Clocks, tap: MessageTap) -> None:
        self._key = key
        self.tap = tap
        self._clocks = clocks
        self._link: MqttPublisher | None = None

    def use(self, link: MqttPublisher) -> None:
        """Send over this link."""
        self._link = link

    @property
    def connected(self) -> bool:
        """Whether the link to the broker is up."""
        return self._link is not None and self._link.connected

    def stamp(self, locker: str, now_ms: float) -> Stamp | None:
        """Return a locker's clock at a moment of the hub's; None if it is not known."""
        return self._clocks.at(locker, now_ms)

    def sign(self, command: UUID, order: Order, stamp: Stamp, deadline_ms: float) -> bytes:
        """Return the signed message of a command that is worth something until `deadline_ms` after its stamp."""
        boot, locker_ms = stamp
        signed = self._key.sign(
            Command(
                v=PROTOCOL,
                id=command,
                locker=order.locker,
                kind=order.kind,
                door=order.door,
                args=order.args,
                actor=order.actor,
                reason=order.reason,
                boot=boot,
                not_after=locker_ms + int(deadline_ms),
            )
        )
        return encode(signed)

    def send(self, locker: str, message: bytes) -> None:
        """Hand a sealed message to the broker. Raises LinkError."""
        assert self._link is not None, "the composition root gives the link"  # noqa: S101
        topic, verdict = topic_of(locker, Channel.COMMANDS), UNSENT
        try:
            self._link.publish(topic, message)
            verdict = SENT
        finally:
            if self.tap.watched:
                self.tap.note("out", topic, message, verdict)

    def cancel(self, target: UUID, locker: str, stamp: Stamp, deadline_ms: float) -> None:
        """Tell a locker never to begin a command. It answers for that command, under its id. Raises LinkError."""
        # An id of its own each time: a locker answers a repeated one from memory, and this one is asked anew.
        order = Order(locker, CommandKind.CANCEL.value, args={_TARGET: str(target)})
        self.send(locker, self.sign(uuid4(), order, stamp, deadline_ms))


_TARGET: Final = "command"
