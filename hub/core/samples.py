"""Telemetry: when a sample was taken, and whether it was stored before.

A message that is acknowledged after its commit may come twice: from the broker, where the acknowledgement was lost
with a connection or a hub, and from the agent, which sends again what its broker did not confirm.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple
from uuid import UUID

from wire.messages import Clock, Sample, Telemetry

_AGE_MS_MAX: Final = 400 * 86_400_000
_EARLIEST_MS: Final = 1_577_836_800_000  # 2020-01-01: no locker is older
_BOOTS_MAX: Final = 3


def sent_ms(message: Telemetry, received_ms: int, boot_clock: tuple[UUID, int] | None) -> int:
    """Return when a message was sent, in Unix milliseconds by the hub's clock, however long it was held back.

    A synced clock is believed. Of others, the boot clock counts where the hub knows it; a message that was held
    back is behind it. Failing that, the message counts as sent when it came.

    Args:
        message: the message.
        received_ms: when it was received, in Unix milliseconds.
        boot_clock: (boot, t) of the locker at that moment, as `hub.core.clocks` knows it.
    """
    if message.clock is Clock.SYNCED and message.at >= _EARLIEST_MS:
        return min(message.at, received_ms)
    if boot_clock is not None and boot_clock[0] == message.boot:
        return received_ms - min(max(boot_clock[1] - message.t, 0), _AGE_MS_MAX)
    return received_ms


def is_late(message: Telemetry, boot_clock: tuple[UUID, int] | None, late_ms: int) -> bool:
    """Say whether a message is more than `late_ms` behind its locker's clock, as far as the hub knows it."""
    return boot_clock is not None and boot_clock[0] == message.boot and boot_clock[1] - message.t > late_ms


def sampled_ms(message: Telemetry, sample: Sample, sent: int) -> int:
    """Return when a sample was taken, in Unix milliseconds: as long before `sent` as the boot clock says.

    The age of a sample of an earlier boot is not known: it counts as taken when its message was sent.
    """
    if sample.boot is not None and sample.boot != message.boot:
        return sent
    return sent - min(max(message.t - sample.t, 0), _AGE_MS_MAX)


class Taken(NamedTuple):
    """When a sample was taken: `t` of the boot, and in Unix milliseconds as it would be stored."""

    boot: UUID
    t: int
    sampled: int


class Seen:
    """Which samples were taken: up to which `t` of each locker's boots, and what is stored of an earlier hub.

    A locker measures in order and sends in order, so that what is not after the newest sample of its messages
    before has come before.

    Args:
        lockers_max: of more lockers, those not heard for longest are forgotten.
    """

    def __init__(self, lockers_max: int) -> None:
        self._lockers_max = lockers_max
        self._taken: OrderedDict[str, dict[int, int]] = OrderedDict()  # by UUID.int, which hashes faster
        self._stored: dict[str, int] = {}

    def load(self, stored: Iterable[tuple[str, int]]) -> None:
        """Take over the newest stored sample of each locker, in Unix milliseconds."""
        self._stored = dict(stored)

    def take(self, locker: str, samples: Sequence[Taken], *, repeated: bool) -> list[bool]:
        """Say of each sample of one message whether it is new, and remember those that are.

        Args:
            locker: whose.
            samples: in any order.
            repeated: whether the broker has sent the message before, perhaps to a hub that is no more.
        """
        boots = self._taken.get(locker)
        if boots is None:
            if len(self._taken) >= self._lockers_max:
                self._taken.popitem(last=False)
            boots = self._taken[locker] = {}
        else:
            self._taken.move_to_end(locker)
        before = boots if len(samples) == 1 else boots.copy()
        verdicts = []
        for boot, t, sampled in samples:
            newest = before.get(boot.int)
            # Of a boot's first word to this hub, only what is repeated can have been stored, by another one.
            first_word = newest is None and (not repeated or sampled > self._stored.get(locker, -1))
            is_new = first_word or (newest is not None and t > newest)
            verdicts.append(is_new)
            if is_new and t > boots.get(boot.int, -1):
                if boot.int not in boots and len(boots) >= _BOOTS_MAX:
                    del boots[next(iter(boots))]
                boots[boot.int] = t
        return verdicts
