"""Telemetry: when a sample was taken, and whether it was taken in before.

A message that is acknowledged after its commit may come twice: from the broker, where the acknowledgement was lost
with a connection or a hub, and from the agent, which sends again what its broker did not confirm. A sample is known
by its boot, its `t` and all that it says: the same `t` twice is no repetition where it says something else.
"""

from array import array
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final
from uuid import UUID

from hub.core.timing import CLOCK_ERROR_MS_MAX, DELAY_MS_MAX, EARLIEST_MS, TimeSource
from wire.messages import BATCH_SAMPLES_MAX, Clock, Sample, TelemetryBatch

_AGE_MS_MAX: Final = 400 * 86_400_000
_HELD_MS_MAX: Final = 7 * 86_400_000
"""A broker keeps a message for a hub that is away for this long at the most, as far as its stamp is believed."""
_APART_MS_MAX: Final = CLOCK_ERROR_MS_MAX + DELAY_MS_MAX
_BOOTS_MAX: Final = 3
RECENT_MAX: Final = BATCH_SAMPLES_MAX + 12
"""Samples of a locker that are known one by one: what an agent sends again is one message. Eight bytes each."""


Timed = tuple[int, TimeSource]
"""A moment in Unix milliseconds, and how it was got. A plain tuple: one is made for every sample."""


def sent_at(message: TelemetryBatch, received_ms: int, boot_clock: tuple[UUID, int] | None) -> Timed:
    """Return when a message was sent by the hub's clock, however long it was held back; never after its receipt.

    A synced clock is believed where it is possible: where the boot clock is known, within two minutes of what that
    says; else in the week before the receipt. Of others the boot clock counts, where the hub knows it. Failing
    that, the message counts as sent when it came.

    Args:
        message: the message.
        received_ms: when it was received, in Unix milliseconds.
        boot_clock: (boot, t) of the locker at that moment, as `hub.core.clocks` knows it.
    """
    by_boot: int | None = None
    if boot_clock is not None and boot_clock[0] == message.boot:
        by_boot = received_ms - min(max(boot_clock[1] - message.t, 0), _AGE_MS_MAX)
    if message.clock is Clock.SYNCED and message.at >= EARLIEST_MS:
        latest_ms = received_ms if by_boot is None else by_boot
        back_ms = _HELD_MS_MAX if by_boot is None else _APART_MS_MAX
        if -CLOCK_ERROR_MS_MAX <= latest_ms - message.at <= back_ms:
            return min(message.at, received_ms), TimeSource.WALL
    return (received_ms, TimeSource.RECEIPT) if by_boot is None else (by_boot, TimeSource.BOOT)


def is_stamped_now(message: TelemetryBatch, received_ms: int, late_ms: int) -> bool:
    """Say whether a synced clock stamped a message within `late_ms` of when it was received, before or after."""
    return message.clock is Clock.SYNCED and abs(received_ms - message.at) <= late_ms


def is_late(message: TelemetryBatch, boot_clock: tuple[UUID, int] | None, late_ms: int, *, reachable: bool) -> bool:
    """Say whether a message may be more than `late_ms` behind its locker's clock.

    The broker keeps telemetry for a hub that is away, and hands it over as if it came now, also of lockers that
    have died meanwhile. So where the hub does not know that clock, a message is late unless its locker is
    `reachable` as it is; and so is one of another boot than the one that is heard.
    """
    if boot_clock is None:
        return not reachable
    return boot_clock[0] != message.boot or boot_clock[1] - message.t > late_ms


def sampled_at(message: TelemetryBatch, sample: Sample, sent: Timed) -> Timed:
    """Return when a sample was taken: as long before its message was sent as the boot clock says.

    The age of a sample of an earlier boot is not known, nor that of one that says it is younger than its message:
    it counts as taken when its message was sent.
    """
    if sample.boot is not None and sample.boot != message.boot:
        return sent[0], TimeSource.ORDER
    age_ms = message.t - sample.t
    if age_ms <= 0:
        return sent
    return sent[0] - min(age_ms, _AGE_MS_MAX), sent[1]


Identity = tuple[int, int, int]
"""What a sample is known by: its boot as `UUID.int`, which hashes faster; its `t`; and a digest of everything,
these two included: 64 bits, as `hash` makes them, of this process only."""


class _Locker:
    __slots__ = ("newest", "recent")

    def __init__(self) -> None:
        self.newest: dict[int, int] = {}
        self.recent = array("q")


class RecentSamples:
    """The samples that this hub has taken: the last `RECENT_MAX` of each locker.

    A locker measures in order, so what is after the newest sample of its boot is new without another look. What is
    not is looked for among the recent ones; a clock that once leapt ahead costs that look, and no sample.

    Args:
        lockers_max: of more lockers, those not heard for longest are forgotten.
    """

    def __init__(self, lockers_max: int) -> None:
        self._lockers_max = lockers_max
        self._lockers: OrderedDict[str, _Locker] = OrderedDict()

    def take(self, locker: str, samples: Sequence[Identity]) -> tuple[list[bool], bool]:
        """Say of each sample of one message whether it is new, and remember those that are. In any order.

        Returns with it whether these are the locker's first ones here: then an earlier hub may have taken them.
        """
        if not samples:
            return [], False
        known = self._lockers.get(locker)
        first = known is None
        if known is None:
            if len(self._lockers) >= self._lockers_max:
                self._lockers.popitem(last=False)
            known = self._lockers[locker] = _Locker()
        else:
            self._lockers.move_to_end(locker)
        newest, recent = known.newest, known.recent
        verdicts = []
        for boot, t, digest in samples:
            before = newest.get(boot)
            if before is None or t > before:
                if before is None and len(newest) >= _BOOTS_MAX:
                    del newest[next(iter(newest))]
                newest[boot] = t
            elif digest in recent:
                verdicts.append(False)
                continue
            recent.append(digest)
            if len(recent) > RECENT_MAX:
                del recent[0]
            verdicts.append(True)
        return verdicts, first

    def forget(self, locker: str, samples: Iterable[Identity]) -> None:
        """Take back that these were taken: they were not stored after all, and may come again."""
        known = self._lockers.get(locker)
        if known is None:
            return
        for _, _, digest in samples:
            if digest in known.recent:
                known.recent.remove(digest)
