"""When a command passed each stage at the agent."""

from msgspec import structs

from edge_agent.clock import BootClock
from wire.messages import Stages


class Stopwatch:
    """Begins with a command's receipt; `so_far` are the stages that it has passed."""

    def __init__(self, clock: BootClock) -> None:
        self._clock = clock
        self._began_us = clock.us()
        self.so_far = Stages(received_t=self._began_us // 1000)

    @property
    def received_t(self) -> int:
        """The boot clock at its beginning."""
        return self.so_far.received_t

    def started(self) -> None:
        """It is in the journal as begun."""
        self.so_far = structs.replace(self.so_far, started_us=self._passed_us())

    def pulsed(self) -> None:
        """The pulse is written."""
        self.so_far = structs.replace(self.so_far, pulsed_us=self._passed_us())

    def replied(self) -> Stages:
        """Return all stages, with the reply at this moment."""
        return structs.replace(self.so_far, replied_us=self._passed_us())

    def _passed_us(self) -> int:
        return self._clock.us() - self._began_us
