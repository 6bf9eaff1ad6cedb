"""What one channel is told and what its receiver knows: changes as they come, and what still stands."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

from hub import clock
from hub.core.alarms.alarm import Alarm
from hub.core.notify.notices import Digest, Known, Message, Notice, notice_from
from hub.core.notify.plan import NotificationPlan
from hub.core.notify.standing import news
from hub.notify.channel import NotificationChannel
from hub.notify.lease import ChannelLease
from hub.store.notifications import NotificationStore, State

STANDING_MAX: Final = 1000
"""So many of what still stands are told in one go; the rest with the next."""
_ALARMS_AT_ONCE: Final = 500
"""So many are looked at before others have their turn."""


class NotificationDesk:
    """Between the alarms and a channel.

    Args:
        name: of the channel.
        plan: which changes it is told of, and when.
        lease: whether this hub is the one that sends.
        open_alarms: the alarms that are open; None: nothing is known of them.
    """

    def __init__(
        self, name: str, plan: NotificationPlan, lease: ChannelLease, open_alarms: Mapping[UUID, Alarm] | None
    ) -> None:
        self.name = name
        self.plan = plan
        self._lease = lease
        self._open = open_alarms

    def attach(self, channel: NotificationChannel) -> None:
        """Give the way out."""
        self._channel = channel

    @property
    def holds(self) -> bool:
        """Whether this hub is the one that sends over the channel."""
        return self.name in self._lease.held

    def held(self) -> float:
        """Return the same as a figure."""
        return float(self.holds)

    async def may_send(self) -> bool:
        """As `Keeper` has it."""
        return await self._lease.may_send(self.name)

    def stands(self, message: Message) -> bool:
        """As `Keeper` has it. A digest is made anew of what stands."""
        notice = message.notice
        if notice is None:
            return False
        return self._open is None or self._news(notice.alarm, self.plan.known(notice.alarm)) == notice.leaves

    def settled(self, message: Message, state: State, *, refused: bool) -> None:
        """As `Keeper` has it."""
        if state == "sent":
            self.plan.delivered(message.knows)
        elif not refused:
            self.plan.undelivered(message.knows)

    def hear(self, notice: Notice, now_ms: float) -> None:
        """Take a change."""
        if self.holds:
            now = self.plan.hear(notice, now_ms)
            if now is not None:
                self._put(now)

    def due(self, now_ms: float) -> None:
        """Let out what has waited until now."""
        for told in self.plan.due(now_ms):
            self._put(told)

    def close(self, now_ms: float) -> None:
        """Let out all that waits."""
        for told in self.plan.close(now_ms):
            self._put(told)

    def take_up(self, told: Mapping[UUID, Known], waiting: list[tuple[Message, int]]) -> None:
        """Go on where another hub has stopped."""
        for alarm, known in told.items():
            self.plan.recall(alarm, known)
        for message, tries in waiting:
            self.plan.queued(message.knows)
            self._channel.restore(message, tries)

    async def catch_up(self, store: NotificationStore, undecided: Callable[[UUID], bool], now_ms: float) -> None:
        """Tell what the receiver should know and does not: it was away, another hub has seen it, or has stopped.

        What is told is how things stand, each alarm once, the oldest first; what waits already goes before. Raises
        StoreUnavailable.

        Args:
            store: where alarms that are over are looked up.
            undecided: whether an alarm is too new to be told.
            now_ms: the time.
        """
        if self._open is None or not self.holds or self._channel.queued:
            return
        over = [one for one in self.plan.outstanding() if one not in self._open][:STANDING_MAX]
        if over:
            self._tell_over(over, await store.alarms(over), now_ms)
        told = 0
        for place, alarm in enumerate(sorted(self._open.values(), key=lambda one: (one.raised_at, one.id)), 1):
            if place % _ALARMS_AT_ONCE == 0:
                await asyncio.sleep(0)
            if told < STANDING_MAX and self.plan.concerns(alarm) and not undecided(alarm.id):
                told += self._tell_standing(alarm, now_ms)

    def _tell_over(self, over: Iterable[UUID], rows: Mapping[UUID, Alarm], now_ms: float) -> None:
        for alarm_id in over:
            alarm = rows.get(alarm_id)
            if alarm is None:
                self.plan.forget(alarm_id)
            elif not alarm.open:
                self._tell(alarm, "cleared", alarm.closed_at, now_ms)

    def _tell_standing(self, alarm: Alarm, now_ms: float) -> bool:
        change = news(alarm, self.plan.last(alarm.id))
        if change is None:
            return False
        at = {"raised": alarm.raised_at, "cleared": alarm.cleared_at, "acked": alarm.acked_at}[change]
        self._tell(alarm, change, at, now_ms)
        return True

    def _tell(self, alarm: Alarm, change: Known, at: datetime | None, now_ms: float) -> None:
        self.hear(notice_from(alarm, change, at or clock.wall()), now_ms)

    def _news(self, alarm: UUID, known: Known | None) -> Known | None:
        return news((self._open or {}).get(alarm), known)

    def _put(self, told: Notice | Digest) -> None:
        message_id, at = uuid4(), clock.wall()
        if isinstance(told, Digest):
            message = Message(id=message_id, at=at, channel=self.name, digest=told)
        else:
            message = Message(id=message_id, at=at, channel=self.name, notice=told)
        self._channel.put(message)
