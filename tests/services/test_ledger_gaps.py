"""Very many gaps of one ledger in a real PostgreSQL: what is said of them is bounded work."""

from collections.abc import AsyncIterator, Iterator

import pytest

from hub.core.gaps import DeclaredGap
from hub.store.ledgers import GAPS_PER_LEDGER_MAX, GAPS_TOLD_MAX, Ledgers
from tests.hub.scene import eventually, fresh_database, rows
from tests.services.conftest import Cluster
from tests.services.test_hub_ledgers import EPOCH, opened, opened_store, unit

pytestmark = pytest.mark.services


@pytest.fixture
def dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as name:
        yield name


@pytest.fixture
async def ledgers(dsn: str) -> AsyncIterator[Ledgers]:
    async with opened_store(dsn) as made:
        yield Ledgers(made)


async def test_words_on_thousands_of_gaps_are_the_work_of_what_they_change(ledgers: Ledgers, dsn: str) -> None:
    """Each word wrote all gaps again that it was of: 50 on 2,000 took seconds, in which nobody got a receipt."""
    count = 2000
    rows(
        dsn,
        "INSERT INTO ledger_gap (locker_id, epoch, from_seq, to_seq) "
        "SELECT 'berlin-01', %s, 10 * n + 1, 10 * n + 5 FROM generate_series(0, %s - 1) n",
        EPOCH, count,
    )  # fmt: skip
    rows(dsn, "INSERT INTO ledger_cursor (locker_id, epoch, next_seq) VALUES ('berlin-01', %s, 20001)", EPOCH)

    def written() -> int:
        rows(dsn, "SELECT pg_stat_force_next_flush()")
        ((found,),) = rows(
            dsn, "SELECT n_tup_ins + n_tup_del FROM pg_stat_user_tables WHERE relname = 'ledger_gap'"
        )
        return int(found)

    before = written()
    nothing = [DeclaredGap(1, 10 * count, "unknown")] * 50
    await ledgers.write_events([unit(20001, [opened()] * 50, told=nothing)])
    every = [DeclaredGap(1, 10 * count - place, "full") for place in range(50)]
    await ledgers.write_events([unit(20051, [opened()] * 50, told=every)])
    query = "SELECT reason, count(*), sum(to_seq - from_seq + 1) FROM ledger_gap GROUP BY reason ORDER BY reason"
    assert rows(dsn, query) == [
        ("full", GAPS_TOLD_MAX, 5 * GAPS_TOLD_MAX), ("unknown", count - GAPS_TOLD_MAX, 5 * (count - GAPS_TOLD_MAX))
    ]  # fmt: skip
    await ledgers.write_events([unit(20101, [opened()] * 50, told=every)])
    assert rows(dsn, query) == [("full", count, 5 * count)]
    await ledgers.write_events([unit(20151, [opened()] * 50, told=every)])

    async def settled() -> bool:
        return written() >= before + 2 * count

    await eventually(settled, "the statistics of what was written")
    assert written() == before + 2 * count


async def test_a_ledger_of_very_many_gaps_is_not_cut_into_more(ledgers: Ledgers, dsn: str) -> None:
    rows(
        dsn,
        "INSERT INTO ledger_gap (locker_id, epoch, from_seq, to_seq) "
        "SELECT 'berlin-01', %s, 10 * n + 1, 10 * n + 5 FROM generate_series(0, %s - 1) n",
        EPOCH, GAPS_PER_LEDGER_MAX,
    )  # fmt: skip
    rows(dsn, "INSERT INTO ledger_cursor (locker_id, epoch, next_seq) VALUES ('berlin-01', %s, 100001)", EPOCH)
    await ledgers.write_events([unit(100001, [opened()], told=[DeclaredGap(2, 2, "full")])])
    assert rows(dsn, "SELECT count(*), count(*) FILTER (WHERE reason = 'full') FROM ledger_gap") == [
        (GAPS_PER_LEDGER_MAX, 0)
    ]
