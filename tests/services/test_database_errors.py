"""Whatever the database answers: the hub goes on, nothing is lost, nothing is stored twice."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub.scene import fresh_database, online, rows, scene
from tests.services.conftest import Cluster, MosquittoBroker
from wire.messages import Event, Receipt

pytestmark = pytest.mark.services

SEQ_MAX = 2**63 - 1 - 500
"""The largest number that a message may begin with."""


@pytest.fixture
def dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as name:
        yield name


def opened(door: int = 1) -> Event:
    return Event(t=1, at=1, kind="door.opened", door=door)


def gap(from_seq: int, to_seq: int) -> Event:
    return Event(t=1, at=1, kind="outbox.gap", data={"from": from_seq, "to": to_seq, "reason": "disk_lost"})


@pytest.mark.parametrize("last", [2**15 - 1, 2**15, 2**31 - 1, 2**31, SEQ_MAX - 1])
async def test_a_gap_may_end_at_any_number(
    last: int, mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    """psycopg sends a number in the smallest type that it fits into, and SQL reckons in that."""
    async with (
        scene(mosquitto_broker, dsn, tmp_path) as hub,
        online(hub) as locker,
        online(hub, "paris-02") as other,
    ):
        first = last + 2 if last < SEQ_MAX - 1 else last + 1
        told = [gap(1, last)] if first == last + 1 else [gap(1, last), opened()]
        await locker.events(first, told, oldest=first)
        assert await locker.receipt() == Receipt(v=1, epoch=locker.epoch, upto=first + len(told) - 1)
        await other.events(1, [opened()])
        assert (await other.receipt()).upto == 1
        parts = rows(dsn, "SELECT from_seq, to_seq, reason FROM ledger_gap ORDER BY from_seq")
        expected = [(1, last, "disk_lost")]
        if first > last + 1:
            expected.append((last + 1, first - 1, "unknown"))
        assert parts == expected
        books = await hub.balanced()
        assert (books["stored"], books["quarantined"], books["in_flight"]) == (len(told) + 1, 0, 0)
