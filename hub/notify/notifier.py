"""Tells people of alarms: hears of each change at once, and leaves the sending to the channels."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from hub import clock
from hub.config.notify import EmailChannel, WebhookChannel
from hub.config.settings import Config
from hub.core.alarms.alarm import Alarm
from hub.core.alarms.transitions import Transition
from hub.core.notify.notices import SEVERITIES, TOLD, Message, notice_of, size_bytes
from hub.core.notify.plan import ChannelRules, NotificationPlan
from hub.core.notify.retry import DeliveryOutcome, pause_s
from hub.errors import CursorConflict, StoreError, StoreRejected
from hub.metrics import Metrics
from hub.notify.channel import ChannelState, MessageSender, NotificationChannel, Pause
from hub.notify.desk import NotificationDesk
from hub.notify.lease import RENEW_S, ChannelLease
from hub.notify.mail import Mail
from hub.scheduler.scheduler import PeriodicTask
from hub.store.batcher import Batcher
from hub.store.database import Database
from hub.store.notifications import NotificationDelivery, NotificationStore
from hub.store.queues import table_queue
from hub.tasks import Make

_log = logging.getLogger(__name__)

TEST_TIMEOUT_S: Final = 10.0
DECIDED_MS_MAX: Final = 2000.0
"""So long a new alarm waits for its row, which says whether another hub has it; then it is told all the same."""
_NOTES_EACH: Final = 2
"""How often the table's queue may hold what a channel's own queue may: a message waits, and is settled."""
_LOOK_S: Final = 0.25
_REST_GRACE_S: Final = 2.0
_PRUNE_EVERY_S: Final = 3600.0


class Notifier:
    """All channels of the configuration. Raises ConfigError for files that cannot be used.

    Args:
        config: with the channels.
        store: the database.
        metrics: where messages are counted.
        hub: this process, as others at the same database know it.
        open_alarms: the alarms that are open; without them only changes are told, and not what still stands.
        pause: how long to wait before the next try.
    """

    def __init__(
        self, config: Config, store: Database, metrics: Metrics, hub: UUID | None = None,
        open_alarms: Mapping[UUID, Alarm] | None = None, pause: Pause = pause_s,
    ) -> None:  # fmt: skip
        self._config = config.notify
        self._store = NotificationStore(store)
        channels = max(1, len(config.notify.channel))
        self.rows: Batcher[NotificationDelivery] = table_queue(
            "notification",
            NotificationSink(self._store, metrics),
            metrics,
            config.intake,
            rows_max=max(1000, _NOTES_EACH * config.notify.queue_max * channels),
            bytes_max=_NOTES_EACH * config.notify.queue_bytes_max * channels,
            key_share=1 / channels,
        )
        self._dropped = metrics.batch_dropped.labels("notification")
        self.settings = {one.name: one for one in config.notify.channel}
        self._lease = ChannelLease(self._store, hub or uuid4(), sorted(self.settings))
        self._open_alarms = open_alarms
        self._desks = {
            one.name: NotificationDesk(
                one.name, NotificationPlan(_rules(one, config.alarms.open_max)), self._lease, open_alarms
            )
            for one in config.notify.channel
        }
        self._channels = {
            one.name: NotificationChannel(
                one.name, sender_of(one, config.http.public_url), self._note, metrics, config.notify.queue_max,
                pause, self._desks[one.name], queue_bytes_max=config.notify.queue_bytes_max,
            )
            for one in config.notify.channel
        }  # fmt: skip
        for name, desk in self._desks.items():
            desk.attach(self._channels[name])
            metrics.notify_holds.labels(name).set_function(desk.held)
        self._undecided: dict[UUID, tuple[float, list[Transition]]] = {}
        """Alarms that may yet turn out to be another hub's: until when that is waited for, and their changes."""
        self._taken_up: frozenset[str] = frozenset()
        self._told_max = _remembered_max(config.alarms.open_max)
        self._resting = False
        self._left_out = {
            name: {result: metrics.notifications.labels(name, result) for result in ("deduplicated", "digested")}
            for name in self._channels
        }
        self._counted: dict[str, tuple[int, int]] = dict.fromkeys(self._channels, (0, 0))

    def hear(self, transition: Transition) -> None:
        """Take a change of an alarm. Never waits, and never raises."""
        if notice_of(transition) is None:
            return
        alarm = transition.alarm
        now_ms = clock.now_ms()
        waits = self._undecided.get(alarm.id)
        if waits is not None:
            waits[1].append(transition)
        elif self._open_alarms is not None and not alarm.version and not self._resting:
            # It has no row yet. If another hub has been faster, it is that one's, and goes by another id.
            self._undecided[alarm.id] = (now_ms + DECIDED_MS_MAX, [transition])
        else:
            self._pass_on(transition, now_ms)
        if self._resting:
            self._hurry()

    async def load(self) -> None:
        """Go on with what waited when the hub before stopped. Raises StoreUnavailable."""
        names = list(self._channels)
        await self._store.drop_others(names, "there is no such channel in the configuration any more")
        await self._lease.renew()
        await self._take_up()
        for row in await self._store.last(names):
            self._channels[row["channel"]].recall(ChannelState(row["ok_at"], row["error"], row["error_at"]))

    def tasks(self) -> dict[str, Make]:
        """Return the tasks that go round until they are cancelled: one for each channel."""
        if not self._channels:
            return {}
        return {
            "notify.plan": self._look,
            "notify.standing": self._follow,
            **{f"notify.channel.{name}": channel.run for name, channel in self._channels.items()},
        }

    def periodic_tasks(self) -> list[PeriodicTask]:
        """Return what keeps the table bounded."""
        return [PeriodicTask("notifications", _PRUNE_EVERY_S, self._prune)]

    async def rest(self) -> None:
        """Write down all that waits, begin no more tries, and let those under way end, within two seconds."""
        self._resting = True
        self._decide(float("inf"))
        self._hurry()
        await asyncio.gather(*(channel.rest(_REST_GRACE_S) for channel in self._channels.values()))

    async def release(self) -> None:
        """Let another hub go on at once: all is written. One that cannot be told waits for the lease to end."""
        with suppress(StoreError, TimeoutError):
            async with asyncio.timeout(_REST_GRACE_S):
                await self._lease.release()

    def channels(self) -> list[NotificationChannel]:
        """Return the channels in the order of the configuration."""
        return list(self._channels.values())

    async def test(self, name: str) -> DeliveryOutcome:
        """Send a test over a channel now, in one try of ten seconds. Raises KeyError for one that is not there."""
        channel = self._channels[name]
        return await channel.once(test_message(name), TEST_TIMEOUT_S)

    async def page(
        self, *, channel: str | None, before: tuple[datetime, Any] | None, limit: int
    ) -> list[dict[str, Any]]:
        """Return messages, newest first. Raises StoreUnavailable."""
        return await self._store.page(channel=channel, before=before, limit=limit)

    def _pass_on(self, transition: Transition, now_ms: float) -> None:
        notice = notice_of(transition)
        assert notice is not None, "it was one when it came"  # noqa: S101
        for desk in self._desks.values():
            desk.hear(notice, now_ms)

    def _hurry(self) -> None:
        for desk in self._desks.values():
            desk.close(clock.now_ms())

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            now_ms = clock.now_ms()
            self._decide(now_ms)
            for name, desk in self._desks.items():
                desk.due(now_ms)
                self._count(name, desk.plan)

    def _decide(self, now_ms: float) -> None:
        """Pass on what came of alarms that have a row by now, or whose row takes too long."""
        for alarm_id, (until_ms, transitions) in list(self._undecided.items()):
            alarm = (self._open_alarms or {}).get(alarm_id)
            if alarm is None and transitions[-1].alarm.open:
                # It is another hub's, under another id: that is told, as what stands.
                del self._undecided[alarm_id]
            elif alarm is None or alarm.version or now_ms >= until_ms:
                del self._undecided[alarm_id]
                for transition in transitions:
                    self._pass_on(transition, now_ms)

    async def follow(self) -> None:
        """Keep what this hub sends over, take over what nobody does, and tell what still stands.

        Raises StoreUnavailable.
        """
        await self._lease.renew()
        await self._take_up()
        for desk in self._desks.values():
            await desk.catch_up(self._store, self._undecided.__contains__, clock.now_ms())

    async def _follow(self) -> None:
        while True:
            try:
                await self.follow()
            except StoreError as error:
                _log.debug("What still stands is not looked at: the database is away", extra={"error": str(error)})
            await asyncio.sleep(RENEW_S)

    async def _take_up(self) -> None:
        """Go on with what others have left over channels that are new to this hub. Raises StoreUnavailable."""
        held = self._lease.held
        for name in self._taken_up - held:
            _log.warning("Another hub sends over a channel from now on", extra={"channel": name})
            self._desks[name].plan.reset()
            self._channels[name].give_up()
        self._taken_up &= held
        new = sorted(held - self._taken_up)
        if not new:
            return
        told = await self._store.told(new, self._told_max * len(new))
        waiting = await self._store.waiting(new, self._config.queue_max * len(new))
        for name in new:
            self._desks[name].take_up(
                {row["alarm"]: row["transition"] for row in told if row["channel"] == name},
                [(message, tries) for message, tries in waiting if message.channel == name],
            )
        self._taken_up |= frozenset(new)

    def _count(self, name: str, plan: NotificationPlan) -> None:
        before, after = self._counted[name], (plan.deduplicated, plan.digested)
        for result, old, new in zip(("deduplicated", "digested"), before, after, strict=True):
            self._left_out[name][result].inc(max(0, new - old))
        self._counted[name] = after

    def _note(self, delivery: NotificationDelivery) -> None:
        # Sending does not wait for the database; where it is away for long, how a message stands is not written.
        message = delivery.message
        if not self.rows.put(delivery, key=message.channel, size=size_bytes(message)):
            self._dropped.inc()

    async def _prune(self) -> dict[str, Any]:
        before = clock.wall() - timedelta(days=self._config.kept_days)
        return {"rows": await self._store.prune(before=before, kept_max=self._config.kept_max)}


class NotificationSink:
    """Stores how messages stand."""

    def __init__(self, store: NotificationStore, metrics: Metrics) -> None:
        self._store = store
        self._dropped = metrics.batch_dropped.labels("notification")

    async def write(self, batch: Sequence[NotificationDelivery]) -> None:
        """Store rows."""
        await self._store.write(batch)

    async def committed(self, batch: Sequence[NotificationDelivery]) -> None:
        """Nothing waits for it."""

    async def rejected(self, unit: NotificationDelivery, error: StoreRejected) -> None:
        """Count it: the message goes out all the same."""
        _log.error(
            "How a notification stands cannot be stored",
            extra={"channel": unit.message.channel, "error": str(error)},
        )
        self._dropped.inc()

    async def conflict(
        self, batch: Sequence[NotificationDelivery], error: CursorConflict
    ) -> Sequence[NotificationDelivery]:
        """Notifications have no cursors."""
        raise AssertionError(batch) from error

    def kept_back(self, unit: NotificationDelivery) -> None:
        """Count it: the message goes out all the same."""
        del unit
        self._dropped.inc()


def sender_of(channel: EmailChannel | WebhookChannel, public_url: str | None) -> MessageSender:
    """Return the way out of a channel. Raises ConfigError for files that cannot be used."""
    if isinstance(channel, EmailChannel):
        return Mail(channel, public_url)
    # Here, because aiohttp is a seventh of what starting `hub` costs, and few commands send anything.
    from hub.notify.webhook import Webhook  # noqa: PLC0415

    return Webhook(channel, public_url)


def test_message(channel: str) -> Message:
    """Return a message that says of itself that it is a test."""
    return Message(id=uuid4(), at=clock.wall(), channel=channel)


def _rules(channel: EmailChannel | WebhookChannel, open_max: int) -> ChannelRules:
    return ChannelRules(
        severities=frozenset(channel.severities) or frozenset(SEVERITIES),
        transitions=frozenset(channel.transitions) or frozenset(TOLD),
        sites=frozenset(channel.sites),
        dedup_ms=channel.dedup_s * 1000,
        flood_max=channel.flood_max,
        flood_ms=channel.flood_s * 1000,
        # What is open is never forgotten: it would be told once more.
        remembered_max=_remembered_max(open_max),
    )


def _remembered_max(open_max: int) -> int:
    return max(10_000, 2 * open_max)
