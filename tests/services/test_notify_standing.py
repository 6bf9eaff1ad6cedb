"""What receivers know: several hubs at one database, receivers that were away, hubs that stop and die."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from hub import clock
from hub.alarms.alarm_writer import AlarmWriter
from hub.config.notify import NotifySettings, WebhookChannel
from hub.config.settings import Config
from hub.core.alarms.alarm import Alarm, AlarmState, Severity, Shelf
from hub.core.alarms.places import AlarmPlace
from hub.core.alarms.rules import parse_rules
from hub.core.alarms.transitions import Transition, What
from hub.core.alarms.watch import AlarmWatch
from hub.core.notify.retry import RETRIES_MAX
from hub.masking import Secret
from hub.metrics import Metrics
from hub.notify.notifier import Notifier
from hub.store.alarms import AlarmStore
from hub.store.database import Database
from hub.tasks import Supervisor
from tests.hub.core.alarms.scene import BERLIN, DEFAULT
from tests.hub.core.notify.alarms import AT, alarm
from tests.hub.notify.receivers import Hook, hook, secret, until
from tests.hub.scene import eventually, fresh_database, rows
from tests.services.conftest import Cluster

pytestmark = pytest.mark.services


@pytest.fixture
def dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as name:
        yield name


@dataclass
class Hub:
    """As much of a hub as there is to notifications. `alarms`: those that are open."""

    notifier: Notifier
    alarms: dict[UUID, Alarm]
    dead: asyncio.Event = field(default_factory=asyncio.Event)

    def have(self, number: int, what: What | None, **changes: Any) -> None:  # noqa: ANN401 - any field
        """Let an alarm stand so, and tell of it; None: silently."""
        one = alarm(number, version=1, **changes)
        if one.open:
            self.alarms[one.id] = one
        else:
            self.alarms.pop(one.id, None)
        if what is not None:
            self.notifier.hear(Transition(one.last_at, what, one))

    def clear(self, number: int, what: What | None = "cleared") -> None:
        self.have(number, what, state=AlarmState.CLEARED_UNACKED, cleared_at=AT)


def no_pause(*_: object) -> float:
    return 0.005


@asynccontextmanager
async def hub(
    dsn: str, folder: Path, receiver: Hook, *, alarms: dict[UUID, Alarm] | None = None, pause: Any = no_pause,  # noqa: ANN401
    **settings: Any,  # noqa: ANN401
) -> AsyncIterator[Hub]:  # fmt: skip
    channel = WebhookChannel(name="duty", url=Secret(receiver.url), secret_file=secret(folder), **settings)
    config = Config(notify=NotifySettings(channel=[channel]))
    known: dict[UUID, Alarm] = {} if alarms is None else alarms
    async with Database(dsn, connections_max=4, statement_timeout_ms=5000, connect_timeout_s=5) as store:
        metrics = Metrics("0")
        one, supervisor = Notifier(config, store, metrics, uuid4(), known, pause), Supervisor(metrics)
        await one.load()
        half = Hub(one, known)
        async with (
            supervisor.running({"write": one.rows.run}, endless=False) as writers,
            supervisor.running(one.tasks(), endless=True),
        ):
            yield half
            if half.dead.is_set():
                one.rows.close()
                await asyncio.wait(writers)
                return
            await one.rest()
            one.rows.close()
            await asyncio.wait(writers)
            await one.release()


def told(receiver: Hook) -> list[tuple[str, int]]:
    """What was said: the change, and the alarm's number."""
    found = []
    for _, body in receiver.seen:
        message = json.loads(body)
        if message["type"] == "alarm.digest":
            found.append(("digest", message["data"]["total"]))
        else:
            found.append((message["data"]["transition"], UUID(message["data"]["alarm"]).int))
    return found


async def written(dsn: str, count: int, state: str = "sent") -> None:
    async def look() -> bool:
        found = await asyncio.to_thread(rows, dsn, "SELECT count(*) FROM notification WHERE state = %s", state)
        return bool(found == [(count,)])

    await eventually(look, f"{count} {state}")


async def test_of_two_hubs_that_see_the_same_one_sends(dsn: str, tmp_path: Path) -> None:
    async with hook() as receiver, hub(dsn, tmp_path, receiver) as one, hub(dsn, tmp_path, receiver) as other:
        for number in (1, 2, 3):
            for half in (other, one):
                half.have(number, "raised")
        for half in (other, one):
            half.clear(2)
        await written(dsn, 4)
        for half in (other, one):
            await half.notifier.follow()
        await written(dsn, 4)
    assert told(receiver) == [("raised", 1), ("raised", 2), ("raised", 3), ("cleared", 2)]


async def test_what_only_the_other_hub_sees_is_told_by_the_one_that_sends(dsn: str, tmp_path: Path) -> None:
    async with hook() as receiver, hub(dsn, tmp_path, receiver) as one, hub(dsn, tmp_path, receiver) as other:
        other.have(1, "raised")
        # It follows the rows of the other's, and hears of no change.
        one.have(1, None)
        await one.notifier.follow()
        await written(dsn, 1)
        other.have(1, "acked", state=AlarmState.ACTIVE_ACKED, acked_by="anna", acked_at=AT)
        one.have(1, None, state=AlarmState.ACTIVE_ACKED, acked_by="anna", acked_at=AT)
        await one.notifier.follow()
        await written(dsn, 2)
    assert told(receiver) == [("raised", 1), ("acked", 1)]


async def test_another_hub_takes_over_when_the_one_that_sends_is_gone(dsn: str, tmp_path: Path) -> None:
    async with (
        hook(200, 503) as receiver,
        hub(dsn, tmp_path, receiver, pause=lambda *_: 3600.0) as one,
        hub(dsn, tmp_path, receiver) as other,
    ):
        for half in (one, other):
            half.have(1, "raised")
        await written(dsn, 1)
        for half in (one, other):
            half.have(2, "raised")
        await until(lambda: len(receiver.seen) == 2)
        # It dies with a message that waits, and the other has heard of one more.
        one.dead.set()
        await written(dsn, 1, "waiting")
        other.have(3, "raised")
        receiver.answers = [200]
        await other.notifier.follow()
        assert len(receiver.seen) == 2, "the other still has the right to send"
        rows(dsn, "UPDATE notification_lease SET until = now() - interval '1 s'")
        await other.notifier.follow()
        await until(lambda: len(receiver.seen) == 3)
        await written(dsn, 2)
        await other.notifier.follow()
        await written(dsn, 3)
    assert told(receiver) == [("raised", 1), ("raised", 2), ("raised", 2), ("raised", 3)]
    ids = [headers["webhook-id"] for headers, _ in receiver.seen]
    assert ids[1] == ids[2], "under the id that it had before"


async def test_a_hub_that_was_frozen_and_taken_over_sends_nothing_more(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with hook() as receiver, hub(dsn, tmp_path, receiver) as one:
        rows(dsn, "UPDATE notification_lease SET hub = %s", uuid4())
        frozen_ms = clock.now_ms() + 60_000
        monkeypatch.setattr(clock, "now_ms", lambda: frozen_ms)
        one.have(1, "raised")
        await written(dsn, 1, "waiting")
        await one.notifier.follow()
    assert receiver.seen == []


async def test_a_receiver_that_was_away_is_told_what_still_stands_and_no_more(dsn: str, tmp_path: Path) -> None:
    async with hook(503) as receiver, hub(dsn, tmp_path, receiver) as one:
        one.have(1, "raised")
        await until(lambda: len(receiver.seen) > RETRIES_MAX + 1)
        one.have(2, "raised")
        one.have(3, "raised")
        one.clear(2)
        one.have(4, "raised", raised_at=AT + timedelta(minutes=1))
        one.clear(1)
        # The first is not true any more: the next that is takes its place.
        await until(lambda: ("raised", 3) in told(receiver))
        one.have(5, "raised")
        one.have(5, None, shelved=Shelf("anna", "known", AT, AT + timedelta(hours=1)))
        receiver.seen.clear()
        receiver.answers = [200]
        await written(dsn, 2)
        await one.notifier.follow()
        await written(dsn, 2)
    assert told(receiver) == [("raised", 3), ("raised", 4)]
    assert rows(dsn, "SELECT count(*) FROM notification WHERE state = 'waiting'") == [(0,)]


async def test_very_much_that_stands_is_a_few_messages_and_a_digest(dsn: str, tmp_path: Path) -> None:
    async with (
        hook(503) as receiver,
        hub(dsn, tmp_path, receiver, flood_max=3, flood_s=1.0) as one,
    ):
        for number in range(1, 201):
            one.have(number, "raised", raised_at=AT + timedelta(seconds=number))
        await until(lambda: len(receiver.seen) > 2 * RETRIES_MAX)
        receiver.seen.clear()
        receiver.answers = [200]
        while sum(item[1] if item[0] == "digest" else 1 for item in told(receiver)) < 200:
            await one.notifier.follow()
            await asyncio.sleep(0.05)
        await one.notifier.follow()
    sizes = [item for item in told(receiver) if item[0] == "digest"]
    assert sum(size for _, size in sizes) + len(receiver.seen) - len(sizes) == 200
    assert len(receiver.seen) <= 3 + 2 + len(sizes)
    # Also what was in a digest is known to have been told.
    async with hook() as again, hub(dsn, tmp_path, again, alarms=one.alarms) as new:
        await new.notifier.follow()
        new.have(500, "raised")
        await again.came.wait()
    assert told(again) == [("raised", 500)]


async def test_what_ended_while_it_was_suppressed_is_over_for_whoever_was_told_that_it_began(
    dsn: str, tmp_path: Path
) -> None:
    async with hook() as receiver, hub(dsn, tmp_path, receiver, severities=["critical"]) as one:
        shelf = Shelf("anna", "known", AT, AT + timedelta(hours=1))
        for number in (1, 2):
            one.have(number, "raised")
        one.have(1, None, shelved=shelf)
        one.have(3, None, shelved=shelf)
        await written(dsn, 2)
        await one.notifier.follow()
        for number in (1, 3):
            one.have(number, "cleared", shelved=shelf, state=AlarmState.CLEARED_UNACKED, cleared_at=AT)
        # By another rule it has another severity by now, of which this channel hears nothing.
        one.have(2, "cleared", severity=Severity.LOW, state=AlarmState.CLEARED_UNACKED, cleared_at=AT)
        await written(dsn, 3)
        await one.notifier.follow()
        await written(dsn, 4)
    assert sorted(told(receiver)) == [("cleared", 1), ("cleared", 2), ("raised", 1), ("raised", 2)]


async def test_a_restart_tells_nothing_twice_and_what_ended_meanwhile(dsn: str, tmp_path: Path) -> None:
    rule = parse_rules(DEFAULT.read_bytes())
    async with Database(dsn, connections_max=2, statement_timeout_ms=5000, connect_timeout_s=5) as store:
        watch = AlarmWatch(rule, uuid4, open_max=100)
        watch.follow({BERLIN: AlarmPlace("default", "Testville", BERLIN)}, clock.wall())
        records = AlarmWriter(watch, AlarmStore(store, uuid4()), Metrics("0"), lambda: None)

        def event(kind: str, door: int) -> None:
            watch.event(BERLIN, kind, clock.wall(), now=clock.wall(), now_ms=clock.now_ms(), door=door)

        async def flush() -> None:
            while watch.book.unwritten:
                await records._flush()  # noqa: SLF001 - one step of it

        async with hook() as receiver, hub(dsn, tmp_path, receiver, alarms=watch.book.alarms) as one:
            watch.listeners.append(one.notifier.hear)
            for door in (1, 2):
                event("door.forced", door)
            await flush()
            await written(dsn, 2)
            watch.listeners.clear()
        # While no hub tells of it, one ends and is closed, and another begins.
        event("door.closed", 1)
        event("door.forced", 3)
        await flush()
        rows(dsn, "UPDATE alarm SET state = 'normal', closed_at = now() WHERE door = 1")
        gone = next(one for one in watch.book.alarms.values() if one.door == 1)
        watch.book.adopt(replace(gone, state=AlarmState.NORMAL, closed_at=clock.wall(), version=99))
        async with hook() as again, hub(dsn, tmp_path, again, alarms=watch.book.alarms) as new:
            await new.notifier.follow()
            await written(dsn, 4)
            await new.notifier.follow()
    said = [json.loads(body)["data"] for _, body in again.seen]
    assert [(data["transition"], data["door"]) for data in said] == [("cleared", 1), ("raised", 3)]


async def test_an_alarm_that_another_hub_was_faster_with_is_told_once_by_its_id(dsn: str, tmp_path: Path) -> None:
    async with hook() as receiver, hub(dsn, tmp_path, receiver) as one:
        ours, theirs = alarm(1, version=0), alarm(2, version=1)
        one.alarms[ours.id] = ours
        one.notifier.hear(Transition(AT, "raised", ours))
        # It has no row yet; then it turns out that the row is another's.
        await one.notifier.follow()
        del one.alarms[ours.id]
        one.alarms[theirs.id] = theirs
        await one.notifier.follow()
        await written(dsn, 1)
        mine = alarm(3, version=0, door=4)
        one.alarms[mine.id] = mine
        one.notifier.hear(Transition(AT, "raised", mine))
        one.alarms[mine.id] = replace(mine, version=1)
        await written(dsn, 2)
    assert told(receiver) == [("raised", 2), ("raised", 3)]


async def test_what_is_refused_is_not_told_again_and_again(dsn: str, tmp_path: Path) -> None:
    async with hook(400, 200) as receiver, hub(dsn, tmp_path, receiver) as one:
        one.have(1, "raised")
        await written(dsn, 1, "failed")
        for _ in range(3):
            await one.notifier.follow()
        one.have(2, "raised")
        await written(dsn, 1)
    assert told(receiver) == [("raised", 1), ("raised", 2)]


async def test_channels_of_another_hub_are_left_to_it(dsn: str, tmp_path: Path) -> None:
    async with hook(503) as receiver, hub(dsn, tmp_path, receiver, pause=lambda *_: 3600.0) as one:
        one.have(1, "raised")
        await written(dsn, 1, "waiting")
        async with Database(dsn, connections_max=2, statement_timeout_ms=5000, connect_timeout_s=5) as store:
            await Notifier(Config(), store, Metrics("0")).load()
        assert rows(dsn, "SELECT state FROM notification") == [("waiting",)]
