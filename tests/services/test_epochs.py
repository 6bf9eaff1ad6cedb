"""Epochs of one locker are bounded, and a ledger that left the hub's memory is looked up before it is believed."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.hub.scene import eventually, fresh_database, online, rows, scene
from tests.services.conftest import Cluster, MosquittoBroker
from wire.messages import Event
from wire.topics import Channel, topic_of

pytestmark = pytest.mark.services


@pytest.fixture
def dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as name:
        yield name


def opened(at: int = 1) -> Event:
    return Event(t=1, at=at, kind="door.opened", door=1)


async def test_epochs_above_the_share_stay_with_their_locker_and_others_get_in(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        scene(mosquitto_broker, dsn, tmp_path, intake_epochs_per_day_max=3) as hub,
        online(hub) as locker,
        online(hub, "paris-02") as neighbour,
    ):
        for _ in range(3):
            locker.epoch = uuid4()
            await locker.events(1, [opened()])
            assert (await locker.receipt()).upto == 1
        kept = locker.epoch
        for _ in range(10):
            locker.epoch = uuid4()
            await locker.events(1, [opened()])

        async def refused() -> bool:
            return (await hub.metrics())["lockerhub_ledger_epochs_refused_total"] == 10

        await eventually(refused, "ten new epochs refused")
        assert (await hub.balanced())["deferred"] == 10
        assert rows(dsn, "SELECT count(*) FROM ledger_cursor") == [(3,)]
        topic = topic_of("berlin-01", Channel.EVENTS)

        async def copied() -> bool:
            return [reason for reason, *_ in await hub.quarantined(topic)] == ["epoch_limit"] * 3

        await eventually(copied, "three copies")
        alarms = [one.type for one in hub.hub.alarms.open_alarms("berlin-01")]
        assert "ledger.epochs" in alarms
        assert len([record for record in caplog.records if "ledger after ledger" in record.message]) == 3
        # Its ledgers of before go on, and its neighbour begins one.
        locker.epoch = kept
        await locker.events(2, [opened()])
        assert (await locker.receipt()).upto == 2
        await neighbour.events(1, [opened()])
        assert (await neighbour.receipt()).upto == 1


async def test_old_events_of_a_forgotten_ledger_are_not_shown_as_new(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path, intake_cursors_max=2) as hub, online(hub) as locker:
        old = locker.epoch = uuid4()
        await locker.events(1, [opened(), Event(t=2, at=2, kind="door.closed", door=1)])
        assert (await locker.receipt()).upto == 2
        for _ in range(3):
            locker.epoch = uuid4()
            await locker.events(1, [Event(t=1, at=1, kind="door.closed", door=2)])
            receipt = await locker.receipt()
            if receipt.expected is not None:
                # Since one was forgotten, any that is not in memory is looked up first.
                assert receipt.expected == 1
                await locker.events(1, [Event(t=1, at=1, kind="door.closed", door=2)])
                receipt = await locker.receipt()
            assert (receipt.epoch, receipt.upto) == (locker.epoch, 1)
        door = hub.hub.fleet.lockers["berlin-01"].doors[1]
        before = (door.seen, door.since)
        locker.epoch = old
        await locker.events(1, [opened()])
        receipt = await locker.receipt()
        # The first of them again, alone: shown at once, it would open the door on every page.
        assert (receipt.epoch, receipt.expected) == (old, 3)
        assert (door.seen, door.since) == before
        await locker.events(1, [opened()])
        assert (await locker.receipt()).upto == 2
        assert (door.seen, door.since) == before
        await locker.events(3, [opened()])
        assert (await locker.receipt()).upto == 3
        assert (await hub.metrics())["lockerhub_ledger_lookups_total"] >= 2
        assert (await hub.balanced())["duplicate"] == 1


async def test_a_hub_that_starts_with_more_ledgers_than_it_remembers_keeps_the_newest(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    epochs = [uuid4() for _ in range(4)]
    for age, epoch in enumerate(epochs):
        rows(
            dsn,
            "INSERT INTO ledger_cursor (locker_id, epoch, next_seq, updated_at) "
            "VALUES ('berlin-01', %s, 5, now() - %s * interval '1 day')",
            epoch, age,
        )  # fmt: skip
    async with scene(mosquitto_broker, dsn, tmp_path, intake_cursors_max=2) as hub, online(hub) as locker:
        for epoch, looked_up in ((epochs[0], 0), (epochs[1], 0), (epochs[3], 1)):
            locker.epoch = epoch
            await locker.events(2, [opened()])
            receipt = await locker.receipt()
            assert (receipt.upto, receipt.expected) == ((None, 5) if looked_up else (4, None))
            assert (await hub.metrics())["lockerhub_ledger_lookups_total"] == looked_up
