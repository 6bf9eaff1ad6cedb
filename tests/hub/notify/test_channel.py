"""A channel with a real receiver: tries and pauses, the bound of its queue, its rest, what it says of itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from uuid import UUID

import msgspec

from hub.config.notify import WebhookChannel
from hub.core.notify.notices import Message, size_bytes
from hub.core.notify.retry import RETRIES_MAX, DeliveryVerdict
from hub.masking import Secret
from hub.metrics import Metrics
from hub.notify.channel import ChannelState, DeliveryGuard, NotificationChannel
from hub.notify.webhook import Webhook
from hub.store.notifications import NotificationDelivery, State
from hub.tasks import Supervisor
from tests.hub.core.notify.alarms import AT, notice
from tests.hub.notify.receivers import Hook, hook, secret, until


def message(number: int) -> Message:
    return Message(id=UUID(int=number), at=AT, channel="duty", notice=notice("raised", number))


@dataclass
class Scene:
    receiver: Hook
    channel: NotificationChannel
    metrics: Metrics
    notes: list[NotificationDelivery]
    pauses: list[tuple[int, str | None]] = field(default_factory=list)

    def states(self, number: int) -> list[tuple[str, int]]:
        return [(one.state, one.tries) for one in self.notes if one.message.id.int == number]

    def count(self, result: str) -> float:
        labels = {"channel": "duty", "result": result}
        return self.metrics.registry.get_sample_value("lockerhub_notifications_total", labels) or 0.0

    def defects(self) -> float | None:
        return self.gauge("defects_total")

    def gauge(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"lockerhub_notify_{name}", {"channel": "duty"})


@asynccontextmanager
async def scene(
    folder: Path,
    receiver: Hook,
    *,
    queue_max: int = 10,
    queue_bytes_max: int = 1_000_000,
    pause_s: float = 0.0,
    timeout_s: float = 5.0,
    keeper: DeliveryGuard | None = None,
) -> AsyncIterator[Scene]:
    metrics = Metrics("0")
    notes: list[NotificationDelivery] = []
    pauses: list[tuple[int, str | None]] = []

    def pause(failed: int, retry_after: str | None, now: datetime, jitter: float) -> float:
        assert 0 <= jitter <= 1
        assert now.tzinfo is not None
        pauses.append((failed, retry_after))
        return pause_s

    settings = WebhookChannel(
        name="duty", url=Secret(receiver.url), secret_file=secret(folder), timeout_s=timeout_s
    )
    channel = NotificationChannel(
        "duty", Webhook(settings, None), notes.append, metrics, queue_max, pause, keeper, queue_bytes_max
    )
    async with Supervisor(metrics).running({"channel": channel.run}, endless=True):
        yield Scene(receiver, channel, metrics, notes, pauses)


async def test_a_receiver_that_is_away_gets_it_when_it_is_back(tmp_path: Path) -> None:
    async with hook(503, (429, {"Retry-After": "3"}, ""), 200) as receiver, scene(tmp_path, receiver) as one:
        one.channel.put(message(1))
        await until(lambda: one.count("sent") == 1)
        assert one.states(1) == [("waiting", 0), ("waiting", 1), ("waiting", 2), ("sent", 3)]
        assert one.pauses == [(1, None), (2, "3")]
        assert len({headers["webhook-id"] for headers, _ in receiver.seen}) == 1
        assert one.channel.stand.error == "429"
        assert one.channel.stand.ok_at is not None
        assert (one.gauge("failing"), one.gauge("queue")) == (0, 0)
        assert one.notes[-1].error is None


async def test_after_seven_retries_it_has_failed_and_the_next_has_its_turn(tmp_path: Path) -> None:
    answers = [503] * (RETRIES_MAX + 1)
    async with hook(*answers, 200) as receiver, scene(tmp_path, receiver) as one:
        one.channel.put(message(1))
        one.channel.put(message(2))
        await until(lambda: one.count("sent") == 1)
        assert one.states(1)[-1] == ("failed", RETRIES_MAX + 1)
        assert one.states(2)[-1] == ("sent", 1)
        assert one.count("failed") == 1
        assert [headers["webhook-id"] for headers, _ in receiver.seen].count(str(UUID(int=1))) == 8


async def test_what_is_refused_is_not_tried_again(tmp_path: Path) -> None:
    async with hook((400, {}, "no"), 200) as receiver, scene(tmp_path, receiver) as one:
        one.channel.put(message(1))
        await until(lambda: one.count("failed") == 1)
        assert one.states(1) == [("waiting", 0), ("failed", 1)]
        assert one.notes[-1].error == "400: no"
        assert (one.pauses, one.gauge("failing")) == ([], 1)
        one.channel.put(message(2))
        await until(lambda: one.count("sent") == 1)
        assert one.gauge("failing") == 0


async def test_above_the_limit_the_oldest_goes(tmp_path: Path) -> None:
    async with hook("hang") as receiver, scene(tmp_path, receiver, queue_max=2) as one:
        one.channel.put(message(1))
        await receiver.came.wait()
        for number in (2, 3, 4, 5):
            one.channel.put(message(number))
        # The first is under way; of the others the newest two wait.
        assert [one.states(number)[-1][0] for number in (1, 2, 3, 4, 5)] == [
            "waiting", "dropped", "dropped", "waiting", "waiting",
        ]  # fmt: skip
        assert (one.count("dropped"), one.channel.queued, one.gauge("queue")) == (2, 3, 3)
        assert [note.error for note in one.notes if note.state == "dropped"] == ["more than 2 messages waited"] * 2
        receiver.answers = [200]
        receiver.release.set()
        await until(lambda: one.count("sent") == 3)


async def test_a_dead_receiver_delays_no_other_channel(tmp_path: Path) -> None:
    async with (
        hook("hang") as dead,
        hook() as alive,
        scene(tmp_path, dead) as one,
        scene(tmp_path, alive, queue_max=100) as other,
    ):
        for number in range(1, 31):
            one.channel.put(message(number))
            other.channel.put(message(number))
        await until(lambda: other.count("sent") == 30)
        assert [UUID(headers["webhook-id"]).int for headers, _ in alive.seen] == list(range(1, 31))
        assert (one.count("sent"), one.channel.queued) == (0, 10)


async def test_at_rest_it_begins_nothing_and_leaves_what_waits(tmp_path: Path) -> None:
    async with hook(503) as receiver, scene(tmp_path, receiver, pause_s=3600) as one:
        one.channel.put(message(1))
        one.channel.put(message(2))
        await until(lambda: len(one.pauses) == 1)
        await one.channel.rest(5)
        await until(lambda: one.channel.queued == 1)
        assert (one.states(1)[-1], one.states(2)[-1]) == (("waiting", 1), ("waiting", 0))
        assert len(receiver.seen) == 1


async def test_at_rest_it_waits_for_a_try_that_is_under_way(
    tmp_path: Path,
) -> None:

    async with hook("hang") as receiver, scene(tmp_path, receiver) as one:
        one.channel.put(message(1))
        await receiver.came.wait()
        resting = asyncio.create_task(one.channel.rest(20), name="rest")
        receiver.release.set()
        await resting
        assert one.states(1)[-1] == ("sent", 1)


async def test_at_rest_it_does_not_wait_for_ever(tmp_path: Path) -> None:
    async with hook("hang") as receiver, scene(tmp_path, receiver) as one:
        one.channel.put(message(1))
        await receiver.came.wait()
        await one.channel.rest(0.05)
        assert one.states(1) == [("waiting", 0)]


async def test_a_test_goes_past_the_queue_in_one_try(tmp_path: Path) -> None:
    async with hook("hang", (503, {}, "later"), 200) as receiver, scene(tmp_path, receiver, pause_s=3600) as one:
        one.channel.put(message(1))
        await receiver.came.wait()
        refused = await one.channel.once(Message(id=UUID(int=8), at=AT, channel="duty"), 5)
        assert (refused.verdict, refused.detail) == (DeliveryVerdict.LATER, "503: later")
        taken = await one.channel.once(Message(id=UUID(int=9), at=AT, channel="duty"), 5)
        assert taken.verdict is DeliveryVerdict.SENT
        assert (one.states(8), one.states(9)) == ([("failed", 1)], [("sent", 1)])
        receiver.answers = ["hang"]
        late = await one.channel.once(Message(id=UUID(int=10), at=AT, channel="duty"), 0.1)
        assert late.detail == "no answer within 0.1 s"


async def test_how_it_did_before_is_known_again(tmp_path: Path) -> None:
    async with hook() as receiver, scene(tmp_path, receiver) as one:
        one.channel.recall(ChannelState(None, "503", AT))
        assert (one.gauge("failing"), one.gauge("last_success_timestamp_seconds")) == (1, 0)
        one.channel.recall(ChannelState(AT, None, None))
        assert one.gauge("last_success_timestamp_seconds") == AT.timestamp()
        one.channel.put(message(1))
        await until(lambda: one.count("sent") == 1)
        assert one.gauge("failing") == 0


async def test_above_the_limit_in_bytes_the_oldest_goes_and_the_newest_alone_stays(tmp_path: Path) -> None:
    each = size_bytes(message(2))
    async with hook("hang") as receiver, scene(tmp_path, receiver, queue_bytes_max=2 * each) as one:
        one.channel.put(message(1))
        await receiver.came.wait()
        for number in (2, 3, 4):
            one.channel.put(message(number))
        assert [one.states(number)[-1][0] for number in (1, 2, 3, 4)] == [
            "waiting", "dropped", "waiting", "waiting",
        ]  # fmt: skip
        assert (one.count("dropped"), one.gauge("queue"), one.gauge("queue_bytes")) == (1, 3, 3 * each)
        large = message(5)
        wordy = msgspec.structs.replace(notice("raised", 5), where="x" * 3 * each)
        large = msgspec.structs.replace(large, notice=wordy)
        one.channel.put(large)
        assert (one.count("dropped"), one.channel.queued) == (3, 2)
        assert one.notes[-1].error == f"what waited took more than {2 * each} bytes"
        receiver.answers = [200]
        receiver.release.set()
        await until(lambda: one.count("sent") == 2)
        assert one.gauge("queue_bytes") == 0


@dataclass
class Faulty:
    """A guard with a defect, which is met so often."""

    may_send_faults: int = 0
    settled_faults: int = 0

    async def may_send(self) -> bool:
        if self.may_send_faults:
            self.may_send_faults -= 1
            raise RuntimeError("a defect")
        return True

    def stands(self, message: Message) -> bool:
        return message.id.int > 0

    def settled(self, message: Message, state: State, *, refused: bool) -> None:
        if self.settled_faults:
            self.settled_faults -= 1
            raise RuntimeError(f"a defect at {message.channel}, {state}, {refused}")


async def test_a_defect_costs_a_message_tries_and_not_its_turn(tmp_path: Path) -> None:
    async with hook(200) as receiver, scene(tmp_path, receiver, keeper=Faulty(may_send_faults=2)) as one:
        one.channel.put(message(1))
        one.channel.put(message(2))
        await until(lambda: one.count("sent") == 2)
        assert [headers["webhook-id"][-1] for headers, _ in receiver.seen] == ["1", "2"]
        assert [one.states(number)[-1] for number in (1, 2)] == [("sent", 1), ("sent", 1)]
        assert (one.count("failed"), one.defects(), one.channel.queued) == (0, 2, 0)
        assert [failed for failed, _ in one.pauses] == [1, 2]


async def test_a_defect_that_stays_fails_the_message_and_the_next_has_its_turn(tmp_path: Path) -> None:
    keeper = Faulty(may_send_faults=RETRIES_MAX + 1)
    async with hook(200) as receiver, scene(tmp_path, receiver, keeper=keeper) as one:
        one.channel.put(message(1))
        one.channel.put(message(2))
        await until(lambda: one.count("sent") == 1)
        assert [one.states(number)[-1][0] for number in (1, 2)] == ["failed", "sent"]
        assert [note.error for note in one.notes if note.state == "failed"] == ["RuntimeError: a defect"]
        assert (one.count("failed"), one.defects()) == (1, RETRIES_MAX + 1)


async def test_what_was_sent_is_not_sent_again_for_a_defect(tmp_path: Path) -> None:
    async with hook(200) as receiver, scene(tmp_path, receiver, keeper=Faulty(settled_faults=2)) as one:
        one.channel.put(message(1))
        await until(lambda: one.count("sent") == 1)
        assert (len(receiver.seen), one.states(1)[-1], one.defects()) == (1, ("sent", 1), 2)
        assert one.channel.queued == 0
