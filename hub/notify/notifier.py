"""Tells people of alarms: hears of each change at once, and leaves the sending to the channels."""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from hub import clock
from hub.config import Config
from hub.core.alarms.transitions import Transition
from hub.core.notify.notices import SEVERITIES, TOLD, Digest, Message, Notice, notice_of
from hub.core.notify.plan import Plan, Rules
from hub.core.notify.tries import Outcome
from hub.errors import CursorConflict, StoreRejected
from hub.metrics import Metrics
from hub.notify.channel import Channel, Sender, Stand
from hub.notify.mail import Mail
from hub.notify.settings import EmailChannel, WebhookChannel
from hub.notify.webhook import Webhook
from hub.store.batch import Batcher
from hub.store.notifications import Delivery, NotificationStore
from hub.store.timescale import Store
from hub.upkeep import Chore

_log = logging.getLogger(__name__)

TEST_TIMEOUT_S: Final = 10.0
_LOOK_S: Final = 0.25
_REST_GRACE_S: Final = 2.0
_PRUNE_EVERY_S: Final = 3600.0


class Notifier:
    """All channels of the configuration. Raises ConfigError for files that cannot be used."""

    def __init__(self, config: Config, store: Store, metrics: Metrics) -> None:
        self._config = config.notify
        self._store = NotificationStore(store)
        self.rows: Batcher[Delivery] = Batcher(
            "notification",
            NotificationSink(self._store, metrics),
            metrics,
            queue_rows_max=max(1000, 2 * config.notify.queue_max * len(config.notify.channel)),
            flush_rows_max=config.intake.flush_rows_max,
            flush_age_ms_max=config.intake.flush_age_ms_max,
        )
        self._dropped = metrics.batch_dropped.labels("notification")
        self.settings = {one.name: one for one in config.notify.channel}
        self._channels = {
            one.name: Channel(
                one.name, sender_of(one, config.http.public_url), self._note, metrics, config.notify.queue_max
            )
            for one in config.notify.channel
        }
        self._resting = False
        self._plans = {one.name: Plan(_rules(one)) for one in config.notify.channel}
        self._left_out = {
            name: {result: metrics.notifications.labels(name, result) for result in ("deduplicated", "digested")}
            for name in self._channels
        }
        self._counted: dict[str, tuple[int, int]] = dict.fromkeys(self._channels, (0, 0))

    def hear(self, transition: Transition) -> None:
        """Take a change of an alarm. Never waits, and never raises."""
        notice = notice_of(transition)
        if notice is None:
            return
        now_ms = clock.now_ms()
        for name, plan in self._plans.items():
            now = plan.hear(notice, now_ms)
            if now is not None:
                self._channels[name].put(_message(name, now))
        if self._resting:
            self._hurry()

    async def load(self) -> None:
        """Go on with what waited when the hub before stopped. Raises StoreUnavailable."""
        names = list(self._channels)
        await self._store.drop_others(names, "there is no such channel in the configuration any more")
        limit = self._config.queue_max * max(1, len(names))
        for message, tries in await self._store.waiting(names, limit):
            self._channels[message.channel].restore(message, tries)
        for row in await self._store.last(names):
            self._channels[row["channel"]].recall(Stand(row["ok_at"], row["error"], row["error_at"]))

    def tasks(self) -> dict[str, Coroutine[Any, Any, None]]:
        """Return the tasks that go round until they are cancelled: one for each channel."""
        if not self._channels:
            return {}
        return {
            "notify.plan": self._look(),
            **{f"notify.channel.{name}": channel.run() for name, channel in self._channels.items()},
        }

    def chores(self) -> list[Chore]:
        """Return what keeps the table bounded."""
        return [Chore("notifications", _PRUNE_EVERY_S, self._prune)]

    async def rest(self) -> None:
        """Write down all that waits, begin no more tries, and let those under way end, within two seconds."""
        self._resting = True
        self._hurry()
        await asyncio.gather(*(channel.rest(_REST_GRACE_S) for channel in self._channels.values()))

    def channels(self) -> list[Channel]:
        """Return the channels in the order of the configuration."""
        return list(self._channels.values())

    async def test(self, name: str) -> Outcome:
        """Send a test over a channel now, in one try of ten seconds. Raises KeyError for one that is not there."""
        channel = self._channels[name]
        return await channel.once(test_message(name), TEST_TIMEOUT_S)

    async def page(
        self, *, channel: str | None, before: tuple[datetime, Any] | None, limit: int
    ) -> list[dict[str, Any]]:
        """Return messages, newest first. Raises StoreUnavailable."""
        return await self._store.page(channel=channel, before=before, limit=limit)

    def _hurry(self) -> None:
        for name, plan in self._plans.items():
            for told in plan.close(clock.now_ms()):
                self._channels[name].put(_message(name, told))

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            now_ms = clock.now_ms()
            for name, plan in self._plans.items():
                for told in plan.due(now_ms):
                    self._channels[name].put(_message(name, told))
                self._count(name, plan)

    def _count(self, name: str, plan: Plan) -> None:
        before, after = self._counted[name], (plan.deduplicated, plan.digested)
        for result, old, new in zip(("deduplicated", "digested"), before, after, strict=True):
            self._left_out[name][result].inc(max(0, new - old))
        self._counted[name] = after

    def _note(self, delivery: Delivery) -> None:
        # Sending does not wait for the database; where it is away for long, how a message stands is not written.
        if not self.rows.put(delivery):
            self._dropped.inc()

    async def _prune(self) -> dict[str, Any]:
        before = clock.wall() - timedelta(days=self._config.kept_days)
        return {"rows": await self._store.prune(before=before, kept_max=self._config.kept_max)}


class NotificationSink:
    """Stores how messages stand."""

    def __init__(self, store: NotificationStore, metrics: Metrics) -> None:
        self._store = store
        self._dropped = metrics.batch_dropped.labels("notification")

    async def write(self, batch: Sequence[Delivery]) -> None:
        """Store rows."""
        await self._store.write(batch)

    async def committed(self, batch: Sequence[Delivery]) -> None:
        """Nothing waits for it."""

    async def rejected(self, unit: Delivery, error: StoreRejected) -> None:
        """Count it: the message goes out all the same."""
        _log.error(
            "How a notification stands cannot be stored",
            extra={"channel": unit.message.channel, "error": str(error)},
        )
        self._dropped.inc()

    async def conflict(self, batch: Sequence[Delivery], error: CursorConflict) -> Sequence[Delivery]:
        """Notifications have no cursors."""
        raise AssertionError(batch) from error


def sender_of(channel: EmailChannel | WebhookChannel, public_url: str | None) -> Sender:
    """Return the way out of a channel. Raises ConfigError for files that cannot be used."""
    if isinstance(channel, EmailChannel):
        return Mail(channel, public_url)
    return Webhook(channel, public_url)


def test_message(channel: str) -> Message:
    """Return a message that says of itself that it is a test."""
    return Message(id=uuid4(), at=clock.wall(), channel=channel)


def _message(channel: str, told: Notice | Digest) -> Message:
    message_id, at = uuid4(), clock.wall()
    if isinstance(told, Digest):
        return Message(id=message_id, at=at, channel=channel, digest=told)
    return Message(id=message_id, at=at, channel=channel, notice=told)


def _rules(channel: EmailChannel | WebhookChannel) -> Rules:
    return Rules(
        severities=frozenset(channel.severities) or frozenset(SEVERITIES),
        transitions=frozenset(channel.transitions) or frozenset(TOLD),
        sites=frozenset(channel.sites),
        dedup_ms=channel.dedup_s * 1000,
        flood_max=channel.flood_max,
        flood_ms=channel.flood_s * 1000,
    )
