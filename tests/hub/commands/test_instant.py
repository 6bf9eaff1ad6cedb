"""Dispatch with a clock of the test's: what was frozen or asleep on its way is not sent late."""

from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from hub.commands.instant import Accepted, InstantCommands, Refused
from hub.commands.observers import CommandObservers
from hub.commands.publisher import CommandPublisher
from hub.commands.service import CommandSink
from hub.config.fairness import message_shares
from hub.config.settings import Config
from hub.core.clocks import Clocks
from hub.core.commands import CommandRefusal, Order
from hub.core.fleet import Fleet
from hub.errors import LinkError
from hub.keys import make_key
from hub.live import Broadcaster
from hub.metrics import Metrics
from hub.mqtt.quarantine import Quarantine, QuarantineSink
from hub.mqtt.tap import MessageTap
from hub.store.batcher import Batcher
from hub.store.commands import CommandStore, CommandUpdate
from hub.store.database import Database
from hub.store.rows import Quarantined
from tests.hub.api.serving import NOWHERE, locker
from wire.messages import Clock, Command, CommandState, Presence, Reply, decode_command, encode
from wire.refusals import DISOWNED
from wire.topics import Channel, topic_of

BOOT = UUID(int=1)
AT = datetime(2026, 11, 20, tzinfo=UTC)
OPEN = Order("berlin-01", "open", 1)
START_MS = 1_000_000.0


class Wire:
    """The broker's end: what was published, and whether it is there at all."""

    def __init__(self) -> None:
        self.connected = True
        self.broken = False
        self.sent: list[Command] = []

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        assert (topic, qos, retain) == (topic_of("berlin-01", Channel.COMMANDS), 1, False)
        if self.broken:
            raise LinkError("the broker has not acknowledged what the command link sent before")
        self.sent.append(decode_command(payload))


class Bench:
    """A hub's way out, and its two clocks. `steps` are what the next readings of the clock take."""

    def __init__(self, folder: Path) -> None:
        self.now = START_MS
        self.steps: deque[float] = deque()
        self.slept = 0.0
        config = Config()
        metrics = Metrics("0.0.0")
        self.fleet = Fleet(silent_after_ms=1e12)
        self.fleet.load([locker("berlin-01"), *(locker(f"paris-{number:02}") for number in range(1, 31))])
        self.clocks = Clocks()
        self.wire = Wire()
        store = Database(NOWHERE, connections_max=4, statement_timeout_ms=1000, connect_timeout_s=1)
        limits = {"queue_rows_max": 100, "flush_rows_max": 10, "flush_age_ms_max": 10}
        rows: Batcher[CommandUpdate] = Batcher(
            "command", CommandSink(CommandStore(store), metrics), metrics, **limits
        )
        bad: Batcher[Quarantined] = Batcher("quarantine", QuarantineSink(store, metrics), metrics, **limits)
        self.tail = MessageTap(metrics)
        publisher = CommandPublisher(make_key(folder / "key.pem"), self.clocks, self.tail)
        publisher.use(self.wire)
        observers = CommandObservers(Broadcaster(config.live, config.commands, self.fleet, metrics), metrics)
        self.metrics = metrics
        self.instant = InstantCommands(
            config.commands, publisher, self.fleet, self.clocks, observers, rows,
            Quarantine(bad, metrics, payload_bytes_max=100, per_topic_per_minute=100), metrics,
            now_ms=self.read, suspended_ms=lambda: self.slept,
        )  # fmt: skip
        self.instant.limit(message_shares(config.intake, config.intake.replies_per_s_max))
        word = Presence(
            v=1, boot=BOOT, t=1, at=1, clock=Clock.SYNCED, session=1, online=True, agent="0.1.0", doors=1, boards=1
        )
        self.fleet.presence("berlin-01", word, at=AT)
        self.heard()

    def read(self) -> float:
        if self.steps:
            self.now += self.steps.popleft()
        return self.now

    @property
    def locker_ms(self) -> int:
        """The locker's own clock: it began when the hub's stood at nothing, and goes on while the hub is frozen."""
        return int(self.now)

    def heard(self) -> None:
        self.clocks.observe("berlin-01", BOOT, self.locker_ms, self.now)
        self.fleet.heard("berlin-01", now_ms=self.now, at=AT)

    def ask(self, asked_ms: float | None = None) -> Accepted | CommandRefusal:
        answer = self.instant.submit(uuid4(), OPEN, asked_ms=asked_ms)
        return answer.code if isinstance(answer, Refused) else answer

    def settle(self) -> None:
        """Let the locker answer all that it was sent."""
        for command in self.wire.sent:
            self.reply(command.id, CommandState.SUCCEEDED)

    def reply(self, command: UUID, state: CommandState, reason: str | None = None, of: str = "berlin-01") -> None:
        said = Reply(
            v=1, boot=BOOT, t=self.locker_ms, at=1, clock=Clock.SYNCED, id=command, state=state, reason=reason
        )
        self.instant.receive(topic_of(of, Channel.REPLIES), encode(said), retained=False)

    def disowned(self) -> dict[tuple[str, str], float]:
        """How often lockers took a command for somebody else's, by its kind and the reason."""
        found = {}
        for metric in self.metrics.command_rejections.collect():
            for sample in metric.samples:
                if sample.name.endswith("_total") and sample.value:
                    found[sample.labels["kind"], sample.labels["reason"]] = sample.value
        return found


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_a_deadline_is_that_of_the_moment_it_is_sent(bench: Bench) -> None:
    assert isinstance(bench.ask(), Accepted)
    (sent,) = bench.wire.sent
    assert (sent.boot, sent.not_after) == (BOOT, bench.locker_ms + 2000)


async def test_frozen_between_the_stamp_and_the_sending(bench: Bench) -> None:
    bench.steps.extend([0.0, 10_000.0])
    assert bench.ask() is CommandRefusal.TOO_LATE
    assert bench.wire.sent == []
    # The door is free, and the next request is judged by itself once the freeze is over.
    bench.now += 1.0
    assert bench.ask() is CommandRefusal.TOO_LATE
    bench.now += 250.0
    assert isinstance(bench.ask(), Accepted)


async def test_slow_but_within_its_deadline_it_is_sent_with_the_deadline_of_its_stamp(bench: Bench) -> None:
    bench.steps.extend([0.0, 1900.0])
    assert isinstance(bench.ask(), Accepted)
    assert bench.wire.sent[0].not_after == int(START_MS) + 2000


async def test_requests_that_may_have_waited_through_a_freeze_are_not_obeyed(bench: Bench) -> None:
    assert isinstance(bench.ask(), Accepted)
    bench.settle()
    bench.now += 10_000.0
    assert bench.ask() is CommandRefusal.TOO_LATE
    bench.now += 249.0
    assert bench.ask() is CommandRefusal.TOO_LATE
    bench.now += 1.0
    assert isinstance(bench.ask(), Accepted)
    assert len(bench.wire.sent) == 2
    assert bench.wire.sent[1].not_after <= bench.locker_ms + 2000


@pytest.mark.parametrize(("waited_ms", "late"), [(0.0, False), (2000.0, False), (2001.0, True)])
async def test_a_request_that_took_long_to_come_in_is_not_obeyed(
    bench: Bench,
    waited_ms: float,
    late: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    answer = bench.ask(asked_ms=bench.now - waited_ms)
    assert (answer is CommandRefusal.TOO_LATE) is late
    assert len(bench.wire.sent) == (not late)


async def test_after_the_machine_slept_lockers_have_to_be_heard_again(bench: Bench) -> None:
    # How long it slept is told by another clock, and here by three seconds too many.
    asleep_ms = 1500.0
    bench.now += asleep_ms + 3000
    bench.slept += asleep_ms + 3000
    bench.ask()
    assert bench.wire.sent == []
    bench.now += 300
    assert bench.ask() is CommandRefusal.LOCKER_CLOCK_UNKNOWN
    bench.clocks.observe("berlin-01", BOOT, bench.locker_ms - 3000, bench.now)
    assert isinstance(bench.ask(), Accepted)
    assert bench.wire.sent[0].not_after == bench.locker_ms - 3000 + 2000


async def test_a_command_that_could_not_be_sent_leaves_nothing_behind(bench: Bench) -> None:
    bench.wire.broken = True
    assert bench.ask() is CommandRefusal.BROKER_UNAVAILABLE
    bench.wire.broken = False
    answer = bench.ask()
    assert isinstance(answer, Accepted)
    bench.wire.broken = True
    refused = bench.instant.cancel(answer.entry)
    assert isinstance(refused, Refused)
    assert refused.code is CommandRefusal.BROKER_UNAVAILABLE
    assert not answer.entry.cancel_requested
    bench.clocks.forget()
    refused = bench.instant.cancel(answer.entry)
    assert isinstance(refused, Refused)
    assert refused.code is CommandRefusal.LOCKER_CLOCK_UNKNOWN


async def test_draining(bench: Bench) -> None:
    await bench.instant.drain(0.01)
    assert bench.ask() is CommandRefusal.DRAINING


@pytest.mark.parametrize("reason", sorted(DISOWNED))
async def test_a_locker_that_takes_a_command_for_somebody_elses_is_seen(
    bench: Bench, reason: CommandRefusal, caplog: pytest.LogCaptureFixture
) -> None:
    answer = bench.ask()
    assert isinstance(answer, Accepted)
    assert bench.disowned() == {}
    for _ in range(50):
        bench.reply(answer.entry.id, CommandState.REJECTED, reason)
        bench.now += 10
    assert not answer.entry.settled
    bench.reply(uuid4(), CommandState.REJECTED, reason)
    bench.reply(answer.entry.id, CommandState.REJECTED, reason, of="paris-01")
    assert bench.disowned() == {("open", reason): 50, ("not_known", reason): 2}
    told = [record.__dict__ for record in caplog.records if "did not send" in record.message]
    assert [(one["locker"], one["reason"], one["not_told_since"]) for one in told] == [
        ("berlin-01", reason, 0),
        ("paris-01", reason, 50),
    ]
    # A minute later it is told again, and what it was that is not told.
    bench.now += 60_000
    bench.reply(answer.entry.id, CommandState.REJECTED, reason)
    assert caplog.records[-1].__dict__["not_told_since"] == 0
    bench.settle()
    assert answer.entry.settled


async def test_a_fleet_that_has_another_key_does_not_fill_the_log(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(1, 31):
        bench.reply(uuid4(), CommandState.REJECTED, "bad_signature", of=f"paris-{number:02}")
    assert bench.disowned() == {("not_known", "bad_signature"): 30}
    assert len([record for record in caplog.records if "did not send" in record.message]) == 20


async def test_a_lockers_flood_of_replies_is_dropped_and_costs_the_others_nothing(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    answer = bench.ask()
    assert isinstance(answer, Accepted)
    for _ in range(2000):
        bench.reply(uuid4(), CommandState.SUCCEEDED, of="paris-01")
    burst = Config().intake.replies_per_s_max * Config().intake.burst_s
    assert bench.metrics.samples(bench.metrics.limited) == {("replies", "messages"): 2000 - burst}
    told = [
        record.__dict__["locker"] for record in caplog.records if "more replies than its share" in record.message
    ]
    assert told == ["paris-01"]
    bench.settle()
    assert answer.entry.settled
    # A minute later it is told again.
    bench.now += 60_000
    for _ in range(2000):
        bench.reply(uuid4(), CommandState.SUCCEEDED, of="paris-01")
    assert len([record for record in caplog.records if "more replies than its share" in record.message]) == 2
