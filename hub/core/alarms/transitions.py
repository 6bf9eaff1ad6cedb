"""What is told to those who listen: an alarm has changed in a way that people may want to hear of."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from hub.core.alarms.alarm import Alarm

What = Literal["raised", "cleared", "acked", "unacked", "shelved", "unshelved", "closed"]


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of an alarm, as it stands afterwards.

    `raised` is also said of an active alarm that is announced from now on because what suppressed it (a shelf,
    maintenance, a door out of service, a larger alarm) is over. One that is cleared and acknowledged is said to be
    `cleared` or `acked`, and then `closed`.
    """

    at: datetime
    what: What
    alarm: Alarm
