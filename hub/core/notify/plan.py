"""Which changes of alarms a channel is told of, and when: filter, dedup window, flood.

The same change of the same alarm is told once within the dedup window. What comes again meanwhile is held, and told
at the window's end if by then something else than the last word is true: an alarm that chatters is two messages and
not two hundred, and the last word is right all the same.

More than `flood_max` messages within `flood_ms` become one digest for each further `flood_ms`, for as long as as
many come.
"""

from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from hub.core.alarms.alarm import Alarm
from hub.core.notify.notices import SEVERITIES, Digest, Known, Notice

_RANKS: Final = {severity: rank for rank, severity in enumerate(SEVERITIES)}


@dataclass(frozen=True, slots=True)
class ChannelRules:
    """Of one channel. Empty `sites`: all of them."""

    severities: frozenset[str]
    transitions: frozenset[str]
    sites: frozenset[str]
    dedup_ms: float
    flood_max: int
    flood_ms: float
    digest_notices_max: int = 20
    remembered_max: int = 10_000
    """Alarms whose last word is remembered. Beyond it the oldest are forgotten, and may be told once more."""


@dataclass(slots=True)
class _Told:
    last: Known | None = None
    """What was told last, delivered or on its way."""
    known: Known | None = None
    """What the receiver has taken last."""
    at_ms: dict[str, float] | None = None
    """When each change was told."""
    held: Notice | None = None
    due_ms: float = 0.0


class _Gathering:
    """A digest that is still open."""

    def __init__(self, first: Notice, end_ms: float) -> None:
        self.end_ms = end_ms
        self.since = first.at
        self.until = first.at
        self.total = 0
        self.counts: dict[str, dict[str, int]] = {}
        self.notices: list[Notice] = []
        self.knows: dict[UUID, Known] = {}

    def add(self, notice: Notice, notices_max: int) -> None:
        self.total += 1
        self.knows[notice.alarm] = notice.leaves
        self.until = max(self.until, notice.at)
        by_severity = self.counts.setdefault(notice.transition, {})
        by_severity[notice.severity] = by_severity.get(notice.severity, 0) + 1
        self.notices.append(notice)
        if len(self.notices) > notices_max:
            # The mildest goes, and of those the newest.
            worst = max(range(len(self.notices)), key=lambda place: (_RANKS[self.notices[place].severity], place))
            del self.notices[worst]

    def close(self) -> Digest:
        return Digest(
            since=self.since, until=self.until, total=self.total, counts=self.counts, notices=self.notices,
            knows=self.knows,
        )  # fmt: skip


class NotificationPlan:
    """Of one channel."""

    def __init__(self, rules: ChannelRules) -> None:
        self._rules = rules
        self._told: OrderedDict[UUID, _Told] = OrderedDict()
        self._held: set[UUID] = set()
        self._sent_ms: deque[float] = deque(maxlen=rules.flood_max)
        self._gathering: _Gathering | None = None
        self._flooded = False
        self.deduplicated = 0
        """Changes that were not told, because the same had been told within the window."""
        self.digested = 0
        """Changes that went into digests."""

    def hear(self, notice: Notice, now_ms: float) -> Notice | None:
        """Take a change. Returns it if it is to be told now."""
        if not self._wants(notice):
            if notice.transition not in self._rules.transitions and notice.alarm in self._told:
                # The channel does not want to hear of it; what comes next is news all the same.
                self._told[notice.alarm].last = self._told[notice.alarm].known = notice.leaves
            return None
        told = self._remember(notice.alarm)
        told_ms = (told.at_ms or {}).get(notice.transition)
        if told_ms is not None and now_ms - told_ms < self._rules.dedup_ms:
            if told.held is not None:
                self.deduplicated += 1
            told.held, told.due_ms = notice, told_ms + self._rules.dedup_ms
            self._held.add(notice.alarm)
            return None
        return self._tell(told, notice, now_ms)

    def due(self, now_ms: float) -> list[Notice | Digest]:
        """Return what has waited until now: last words at the end of their windows, and digests."""
        found: list[Notice | Digest] = []
        for alarm in sorted(self._held, key=lambda one: self._told[one].due_ms):
            told = self._told[alarm]
            if told.held is None or told.due_ms > now_ms:
                continue
            notice, told.held = told.held, None
            self._held.discard(alarm)
            if notice.leaves == told.last:
                self.deduplicated += 1
                continue
            now = self._tell(told, notice, now_ms)
            if now is not None:
                found.append(now)
        if self._gathering is not None and self._gathering.end_ms <= now_ms:
            digest, self._gathering = self._gathering.close(), None
            self._flooded = digest.total > self._rules.flood_max
            self._sent_ms.append(now_ms)
            found.append(digest)
        return found

    def last(self, alarm: UUID) -> Known | None:
        """Return what was told of an alarm last, or waits to be."""
        told = self._told.get(alarm)
        if told is None:
            return None
        return told.last if told.held is None else told.held.leaves

    def known(self, alarm: UUID) -> Known | None:
        """Return what the receiver knows of an alarm."""
        told = self._told.get(alarm)
        return None if told is None else told.known

    def outstanding(self) -> list[UUID]:
        """Return the alarms of which nobody has told the receiver that they are over."""
        return [alarm for alarm in self._told if self.last(alarm) in {"raised", "acked"}]

    def concerns(self, alarm: Alarm) -> bool:
        """Say whether the channel is for such alarms, or has told of this one before."""
        rules = self._rules
        here = not rules.sites or alarm.site is None or alarm.site in rules.sites
        return (here and alarm.severity in rules.severities) or alarm.id in self._told

    def recall(self, alarm: UUID, known: Known) -> None:
        """Take over what the receiver knows from the hub before."""
        told = self._remember(alarm)
        told.last = told.known = known

    def reset(self) -> None:
        """Forget everything: another hub tells."""
        self._told.clear()
        self._held.clear()
        self._sent_ms.clear()
        self._gathering, self._flooded = None, False

    def forget(self, alarm: UUID) -> None:
        """Forget an alarm of which nothing is left."""
        self._told.pop(alarm, None)
        self._held.discard(alarm)

    def queued(self, knows: Mapping[UUID, Known]) -> None:
        """Take over that a message waits since the hub before."""
        for alarm, change in knows.items():
            self._remember(alarm).last = change

    def delivered(self, knows: Mapping[UUID, Known]) -> None:
        """Take that the receiver has taken a message."""
        for alarm, change in knows.items():
            told = self._told.get(alarm)
            if told is not None:
                told.known = change

    def undelivered(self, knows: Mapping[UUID, Known]) -> None:
        """Take that it has not, and will not: what it does not know is news again, whatever the window says."""
        for alarm, change in knows.items():
            told = self._told.get(alarm)
            if told is not None and told.last == change:
                told.last = told.known
                told.at_ms = None

    def close(self, now_ms: float) -> list[Notice | Digest]:
        """Return all that waits, as if its time had come: the hub stops."""
        for alarm in self._held:
            self._told[alarm].due_ms = now_ms
        if self._gathering is not None:
            self._gathering.end_ms = now_ms
        found = self.due(now_ms)
        if self._gathering is not None:
            found.append(self._gathering.close())
            self._gathering = None
        return found

    def _wants(self, notice: Notice) -> bool:
        rules = self._rules
        # What is of the whole fleet is of every site.
        here = not rules.sites or notice.site is None or notice.site in rules.sites
        begun = notice.transition != "raised" and self.last(notice.alarm) is not None
        # Who was told that it began hears how it goes on, also where its severity or site is another one by then.
        return notice.transition in rules.transitions and ((here and notice.severity in rules.severities) or begun)

    def _tell(self, told: _Told, notice: Notice, now_ms: float) -> Notice | None:
        if told.held is not None:
            told.held = None
            self._held.discard(notice.alarm)
            self.deduplicated += 1
        told.last = notice.leaves
        told.at_ms = {**(told.at_ms or {}), notice.transition: now_ms}
        if self._gathering is None and not self._floods(now_ms):
            self._sent_ms.append(now_ms)
            return notice
        if self._gathering is None:
            self._gathering = _Gathering(notice, now_ms + self._rules.flood_ms)
        self._gathering.add(notice, self._rules.digest_notices_max)
        self.digested += 1
        return None

    def _floods(self, now_ms: float) -> bool:
        sent = self._sent_ms
        recent = bool(sent) and now_ms - sent[-1] < self._rules.flood_ms
        if self._flooded and recent:
            return True
        self._flooded = False
        return len(sent) == self._rules.flood_max and now_ms - sent[0] < self._rules.flood_ms

    def _remember(self, alarm: UUID) -> _Told:
        told = self._told.get(alarm)
        if told is None:
            told = self._told[alarm] = _Told()
            self._forget(alarm)
        self._told.move_to_end(alarm)
        return told

    def _forget(self, but: UUID) -> None:
        while len(self._told) > self._rules.remembered_max:
            oldest = next(iter(self._told))
            if oldest == but:
                return
            del self._told[oldest]
            if oldest in self._held:
                self._held.discard(oldest)
                self.deduplicated += 1
