"""Seven years, on a real database: what goes and what stays."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import orjson
import pytest

from hub.config.settings import Config, RetentionSettings
from hub.core.retention.holds import HoldOrder
from hub.core.retention.policy import Category
from hub.core.retention.series import SERIES
from hub.errors import ErasureIncomplete, HubError
from hub.retention.build import build_retention
from hub.retention.run import RetentionRun
from hub.store.audit import verify_audit
from hub.store.database import Database
from hub.store.holds import Holds, Release
from hub.store.series import SeriesScope
from tests.hub.scene import rows
from tests.services.conftest import Cluster
from tests.services.retention_scene import (
    BERLIN,
    CUT,
    EPOCH,
    NOW,
    OLD,
    PARIS,
    TICK,
    build,
    clean,
    compress,
    events,
    ledger,
    left,
    quarantined,
    two_lockers,
    verdict,
)

pytestmark = pytest.mark.services


@pytest.fixture(params=["plain_postgres", "timescaledb", "wheel_postgres"])
def cluster(request: pytest.FixtureRequest) -> Cluster:
    running: Cluster = request.getfixturevalue(request.param)
    return running


@pytest.fixture
def dsn(cluster: Cluster) -> Iterator[str]:
    with two_lockers(cluster) as name:
        yield name


@pytest.fixture
async def store(dsn: str) -> AsyncIterator[Database]:
    async with Database(dsn, connections_max=4, statement_timeout_ms=20_000, connect_timeout_s=5) as opened:
        yield opened


@pytest.fixture
def retention(store: Database, tmp_path: Path) -> RetentionRun:
    return build(store, tmp_path)


def person(dsn: str, deactivated_at: datetime | None) -> tuple[UUID, UUID]:
    """Put an account there with credentials; return its id and its actor."""
    account, actor = uuid4(), uuid4()
    rows(dsn, "INSERT INTO account (id, tenant_id, actor_id, email, created_at, deactivated_at)"
         " VALUES (%s, 'default', %s, %s, %s, %s)",
         account, actor, f"{account}@x.example", OLD, deactivated_at)  # fmt: skip
    rows(dsn, "INSERT INTO credential (account_id, salt, hash, scrypt_n, scrypt_r, scrypt_p, set_at)"
         " VALUES (%s, decode(repeat('00', 16), 'hex'), decode(repeat('00', 32), 'hex'), 2, 8, 1, %s)",
         account, OLD)  # fmt: skip
    return account, actor


async def test_what_is_seven_years_old_goes_and_what_is_a_second_younger_stays(
    store: Database, dsn: str, retention: RetentionRun
) -> None:
    events(dsn, OLD, OLD + TICK, CUT - TICK, CUT, CUT + TICK, NOW - TICK)
    plan = {(due.chunk != "event", due.act.value): due.due for due in await retention.plan(NOW)}
    assert sum(plan.values()) == 3
    assert left(dsn) == [1, 2, 3, 4, 5, 6], "a plan changes nothing"
    said = await retention.run(NOW)
    assert left(dsn) == [4, 5, 6]
    by = {one["by"]: one for one in said["done"]}
    assert (by["chunk"]["removed"], by["rows"]["removed"], by["rows"]["after"]) == (2, 1, 0)
    assert said["oldest"]["event"] == "2026-06-16T12:00:00.000000Z"
    assert said["ledgers"] == {"stored": 3, "missing": 0, "quarantined": 0, "gone": 3}
    view = await ledger(store)
    assert (view.complete, view.gone, view.stored, view.last) == (True, 3, 3, 6)
    await clean(store, retention)


async def test_a_ledger_with_holes_lets_go_of_exactly_its_numbers(
    store: Database, dsn: str, retention: RetentionRun
) -> None:
    events(dsn, *[OLD + TICK * n for n in range(10)])
    rows(dsn, "DELETE FROM event WHERE seq IN (3, 7)")
    rows(dsn, "INSERT INTO ledger_gap (locker_id, epoch, from_seq, to_seq) VALUES (%s, %s, 3, 3)", BERLIN, EPOCH)
    rows(dsn, "UPDATE ledger_cursor SET missing = 1, quarantined = 1")
    quarantined(dsn, 7, OLD)
    await retention.run(NOW)
    assert left(dsn) == []
    numbers = rows(dsn, "SELECT numbers::text FROM ledger_gone")
    assert numbers == [("{[1,3),[4,11)}",)], "the quarantined one has lived seven years too"
    assert rows(dsn, "SELECT quarantined, missing, gone, stored FROM ledger_cursor") == [(0, 1, 9, 0)]
    assert (await ledger(store)).complete
    await clean(store, retention)


async def test_a_ledger_may_have_the_largest_numbers(dsn: str, retention: RetentionRun) -> None:
    """The sum of two of them is out of the range of either."""
    events(dsn, OLD, OLD + TICK)
    last = 2**63 - 600
    rows(dsn, "UPDATE event SET seq = seq + %s", last - 2)
    rows(dsn, "UPDATE ledger_cursor SET next_seq = %s, missing = %s", last + 1, last - 2)
    await retention.run(NOW)
    assert left(dsn) == []
    numbers = rows(dsn, "SELECT numbers::text FROM ledger_gone")
    assert numbers == [(f"{{[{last - 1},{last + 1})}}",)]


async def test_quarantine_is_emptied_before_it_goes(store: Database, dsn: str, retention: RetentionRun) -> None:
    month = NOW - timedelta(days=30)
    for seq, at in ((None, month - TICK), (None, month), (1, month - TICK), (2, month)):
        quarantined(dsn, seq, at)
    rows(dsn, "INSERT INTO ledger_cursor (locker_id, epoch, next_seq, quarantined) VALUES (%s, %s, 3, 2)",
         BERLIN, EPOCH)  # fmt: skip
    said = await retention.run(NOW)
    kept = rows(dsn, "SELECT seq, payload, detail FROM quarantine ORDER BY id")
    assert kept == [(None, b"text", "why"), (1, b"", ""), (2, b"text", "why")]
    assert {(one["by"], one["removed"]) for one in said["done"]} == {("rows", 1), ("emptied", 1)}
    assert (await ledger(store)).complete
    await clean(store, retention)


async def test_a_hold_on_half_a_chunk_keeps_exactly_its_rows(
    store: Database, dsn: str, retention: RetentionRun
) -> None:
    events(dsn, *[OLD + TICK * n for n in range(6)])
    events(dsn, OLD, OLD + TICK, locker=PARIS, tenant="acme")
    compressed = compress(dsn)
    holds, hold = Holds(store), uuid4()
    order = HoldOrder("Theft on 7 April", locker=BERLIN, since=OLD + TICK, before=OLD + TICK * 4)
    assert await holds.place(hold, order, by="anna", now=CUT + timedelta(days=9)) is None
    plan = [(due.due, due.held, due.act.value) for due in await retention.plan(NOW)]
    assert plan == [(8, 3, "rows")]
    said = await retention.run(NOW)
    assert (left(dsn), left(dsn, PARIS)) == ([2, 3, 4], [])
    assert said["holds"] == {str(hold): {"event": 3}}
    assert [(one["before"], one["removed"], one["after"]) for one in said["done"]] == [(8, 5, 3)]
    assert (await ledger(store)).complete
    found = await verdict(store, retention)
    assert found.findings == []
    assert "event: 3 rows below the cut-off were kept by holds" in found.notes
    assert await holds.release(hold, "Settled", by="bert", now=NOW + TICK) is Release.RELEASED
    assert await holds.release(hold, "Settled", by="bert", now=NOW + TICK) is Release.ENDED
    assert await holds.release(uuid4(), "Settled", by="bert", now=NOW + TICK) is Release.UNKNOWN
    await clean(store, retention)
    said = await retention.run(NOW + TICK * 2)
    assert left(dsn) == []
    assert [one["by"] for one in said["done"]] == ["chunk"]
    assert (await ledger(store)).complete
    await clean(store, retention)
    actions = rows(dsn, "SELECT action, who FROM audit WHERE action LIKE 'hold%%' ORDER BY id")
    assert actions == [("hold.placed", "anna"), ("hold.released", "bert")]
    assert (compressed > 0) == (rows(dsn, "SELECT to_regclass('timescaledb_information.chunks')") != [(None,)])


async def test_another_tenant_keeps_less_with_a_reason(store: Database, dsn: str, tmp_path: Path) -> None:
    retention = build(store, tmp_path, '\n[[exception]]\ntenant = "acme"\ncategory = "event"\n'
                      'period = "5 years"\nreason = "Works agreement"\n')  # fmt: skip
    five = datetime(2028, 6, 16, 12, tzinfo=UTC)
    events(dsn, OLD, CUT - TICK, CUT + TICK, five - TICK, five)
    events(dsn, OLD, CUT - TICK, CUT + TICK, five - TICK, five, locker=PARIS, tenant="acme")
    said = await retention.run(NOW)
    assert (left(dsn), left(dsn, PARIS)) == ([3, 4, 5], [5])
    rules = [(one["tenant"], one["reason"]) for one in said["cut_offs"] if one["category"] == "event"]
    assert rules == [(None, None), ("acme", "Works agreement")]
    assert (await ledger(store)).complete
    assert (await ledger(store, PARIS)).complete
    await clean(store, retention)


async def test_accounts_go_three_years_after_their_end_and_active_ones_stay(
    store: Database, dsn: str, tmp_path: Path
) -> None:
    config = Config(
        retention=RetentionSettings(directory=str(tmp_path / "retention"), key_file=str(tmp_path / "key.pem"))
    )
    retention = build_retention(config, store, "hub")
    three = datetime(2030, 6, 16, 12, tzinfo=UTC)
    gone, their_actor = person(dsn, three - TICK)
    closed, closed_actor = person(dsn, three)
    active, actor = person(dsn, None)
    # Two rules at once: of whom three years are over, events go that are younger than seven years; of whom they are
    # not, and of the active one, only those that are older.
    events(dsn, CUT + TICK, CUT + TICK * 2, actor=their_actor)
    events(dsn, CUT - TICK, CUT + TICK, first=3, actor=actor)
    events(dsn, CUT - TICK, CUT, first=5, actor=closed_actor)
    said = await retention.run(NOW)
    assert left(dsn) == [4, 6]
    assert {account for (account,) in rows(dsn, "SELECT id FROM account")} == {closed, active}
    assert rows(dsn, "SELECT count(*) FROM credential") == [(2,)]
    assert [one["removed"] for one in said["done"] if one["category"] == "account"] == [1]
    assert str(gone) not in str(said)
    view = await ledger(store)
    assert (view.complete, view.gone) == (True, 4)
    await clean(store, retention)


async def test_what_was_collected_on_29_february_goes_with_the_first_of_march(
    store: Database, dsn: str, retention: RetentionRun
) -> None:
    leap_day, march = datetime(2028, 2, 29, tzinfo=UTC), datetime(2028, 3, 1, tzinfo=UTC)
    events(dsn, leap_day - TICK, leap_day, march - TICK, march, march + TICK)
    for now, stay in (
        (datetime(2035, 2, 28, tzinfo=UTC), [1, 2, 3, 4, 5]),
        (datetime(2035, 2, 28, 23, 59, 59, tzinfo=UTC), [1, 2, 3, 4, 5]),
        (datetime(2035, 3, 1, tzinfo=UTC), [4, 5]),
        (datetime(2035, 3, 1, 0, 0, 1, tzinfo=UTC), [5]),
    ):
        await retention.run(now)
        assert left(dsn) == stay, now
    await clean(store, retention)


async def test_a_cut_off_on_29_february_waits_at_the_first_of_march(
    store: Database, dsn: str, retention: RetentionRun
) -> None:
    march = datetime(2029, 3, 1, tzinfo=UTC)
    events(dsn, march - TICK, march, march + TICK)
    for now in (datetime(2036, 2, 29, tzinfo=UTC), datetime(2036, 2, 29, 23, 59, 59, tzinfo=UTC)):
        await retention.run(now)
        assert left(dsn) == [2, 3], now
    await clean(store, retention)


async def test_every_other_category_goes_by_its_own_clock(
    store: Database, dsn: str, retention: RetentionRun
) -> None:
    def around(at: datetime) -> tuple[datetime, datetime]:
        return at - TICK, at

    for at in around(NOW.replace(year=2032, month=5)):
        rows(dsn, "INSERT INTO reading (sampled_at, received_at, stored_at, locker_id) VALUES (%s, %s, %s, %s)",
             at, at, at, BERLIN)  # fmt: skip
    for at in around(CUT):
        rows(dsn, "INSERT INTO command (id, locker_id, kind, accepted_at, deadline_ms, state, late, stages_ms)"
             " VALUES (%s, %s, 'open', %s, 9, 'succeeded', false, '{}')", uuid4(), BERLIN, at)  # fmt: skip
        job = uuid4()
        rows(dsn, "INSERT INTO job (id, kind, reason, filter, request_sha256, created_at, created_by, expires_s,"
             " rate_per_minute, canaries, abort_share, abort_min_count, targets, openings, state, ended_at)"
             " VALUES (%s, 'open', 'r', '{}', '', %s, 'anna', 9, 9, 0, 1, 1, 1, 0, 'done', %s)",
             job, at, at)  # fmt: skip
        rows(dsn, "INSERT INTO job_target (job_id, place, locker_id, command_id) VALUES (%s, 0, %s, %s)",
             job, BERLIN, uuid4())  # fmt: skip
        rows(dsn, "INSERT INTO reading_day SELECT (jsonb_populate_record(NULL::reading_day, (SELECT"
             " jsonb_object_agg(column_name, 1) FROM information_schema.columns WHERE table_name = 'reading_day'"
             " AND data_type = 'integer') || jsonb_build_object('bucket', %s::timestamptz, 'locker_id', %s::text)"
             ")).*",
             at, BERLIN)  # fmt: skip
    for at in around(datetime(2030, 6, 16, 12, tzinfo=UTC)):
        rows(dsn, "INSERT INTO rights_request (id, tenant_id, kind, by_agent, state, received_at, received_by,"
             " deadline_at, answered_at, answered_by) VALUES (%s, 'default', 'access', false, 'done', %s, 'a', %s,"
             " %s, 'a')", uuid4(), OLD, OLD, at)  # fmt: skip
    for number, at in enumerate(around(CUT)):
        alarm(dsn, at, number)
        rows(dsn, "INSERT INTO maintenance (id, site, starts_at, ends_at, why, planned_by, planned_at)"
             " VALUES (%s, 'x', %s, %s, 'w', 'anna', %s)", uuid4(), OLD, at, OLD)  # fmt: skip
    alarm(dsn, None, 9)
    holds = Holds(store)
    await holds.place(uuid4(), HoldOrder("x", locker=PARIS, tenant="acme", until=CUT + TICK), by="a", now=OLD)
    plan = {due.table: due.due for due in await retention.plan(NOW)}
    assert plan == {
        "reading": 1, "command": 1, "job": 1, "reading_day": 1, "rights_request": 1, "audit": 1, "alarm": 1,
        "maintenance": 1,
    }  # fmt: skip
    said = await retention.run(NOW)
    assert rows(dsn, "SELECT count(*) FROM alarm") == rows(dsn, "SELECT count(*) FROM alarm_step") == [(2,)]
    for table in ("reading", "command", "job", "job_target", "reading_day", "rights_request", "maintenance"):
        assert rows(dsn, f"SELECT count(*) FROM {table}") == [(1,)], table
    assert {one["table"]: one["removed"] for one in said["done"]} == plan
    assert said["audit"]["rows"] == 1
    assert (await verify_audit(store)).faults == []
    await clean(store, retention)


def alarm(dsn: str, closed_at: datetime | None, number: int, locker: str = BERLIN) -> None:
    made = uuid4()
    state = "active_unacked" if closed_at is None else "normal"
    rows(dsn, "INSERT INTO alarm (id, type, severity, tenant_id, locker_id, door, place, rule, state, opened_at,"
         " began_at, raised_at, last_at, closed_at, count) VALUES (%s, 'tamper', 'high', 'default', %s, %s, 'p',"
         " 'r', %s, %s, %s, %s, %s, %s, 1)",
         made, locker, number + 1, state, OLD, OLD, OLD, OLD, closed_at)  # fmt: skip
    rows(dsn, "INSERT INTO alarm_step (id, alarm_id, at, what, state) VALUES (%s, %s, %s, 'raised', %s)",
         uuid4(), made, OLD, state)  # fmt: skip


async def test_a_hold_on_a_locker_keeps_its_alarms(store: Database, dsn: str, retention: RetentionRun) -> None:
    alarm(dsn, CUT - TICK, 1)
    holds, hold = Holds(store), uuid4()
    await holds.place(hold, HoldOrder("Theft", locker=BERLIN, tenant="default"), by="anna", now=OLD)
    (due,) = [due for due in await retention.plan(NOW) if due.table == "alarm"]
    assert (due.due, due.held) == (1, 1)
    await retention.run(NOW)
    assert rows(dsn, "SELECT count(*) FROM alarm") == [(1,)]
    await clean(store, retention)


async def test_a_hold_on_a_person_keeps_what_they_asked_for(
    store: Database, dsn: str, retention: RetentionRun
) -> None:
    (held, _), (free, _) = person(dsn, None), person(dsn, None)
    for account in (held, held, free):
        request = uuid4()
        rows(dsn, "INSERT INTO rights_request (id, tenant_id, account_id, kind, by_agent, state, received_at,"
             " received_by, deadline_at, answered_at, answered_by) VALUES (%s, 'default', %s, 'access', false,"
             " 'done', %s, 'a', %s, %s, 'a')", request, account, OLD, OLD, OLD)  # fmt: skip
        rows(dsn, "INSERT INTO rights_check VALUES (%s, 'identity', 'recorded', 'passport', %s, 'a')", request, OLD)
    holds, hold = Holds(store), uuid4()
    assert await holds.place(hold, HoldOrder("A lawsuit", account=held), by="anna", now=CUT) is None
    (due,) = [one for one in await retention.plan(NOW) if one.table == "rights_request"]
    assert (due.due, due.held) == (3, 2)
    said = await retention.run(NOW)
    assert [one["removed"] for one in said["done"] if one["table"] == "rights_request"] == [1]
    assert rows(dsn, "SELECT account_id FROM rights_request") == [(held,), (held,)]
    assert rows(dsn, "SELECT count(*) FROM rights_check") == [(2,)]
    await clean(store, retention)
    await holds.release(hold, "Settled", by="anna", now=NOW + TICK)
    await retention.run(NOW + TICK * 2)
    assert rows(dsn, "SELECT count(*) FROM rights_request") == [(0,)]
    await clean(store, retention)


async def test_one_person_who_cannot_be_erased_does_not_keep_the_others(
    store: Database, dsn: str, tmp_path: Path
) -> None:
    stuck, *others = [person(dsn, OLD - timedelta(days=365 * 9) + TICK * n)[0] for n in range(3)]
    asked: list[UUID] = []

    async def erase(account: UUID, _: datetime) -> bool:
        asked.append(account)
        if account == stuck:
            raise ErasureIncomplete("something of them is left")
        return True

    config = RetentionSettings(directory=str(tmp_path / "retention"), key_file=str(tmp_path / "key.pem"))
    failing = RetentionRun(store, config, {"id": "hub", "version": "0"}, erase=erase)
    with pytest.raises(HubError, match="account: 1 of 3 people are not erased: something of them is left"):
        await failing.run(NOW)
    assert asked == [stuck, *others]
    newest = await failing.proofs.newest()
    assert newest is not None
    said = orjson.loads(bytes(newest["proof"]))["manifest"]
    assert (said["outcome"], [one["removed"] for one in said["done"]]) == ("partial", [2])
    assert rows(dsn, "SELECT count(*) FROM event WHERE occurred_at < %s", CUT) == [(0,)]


async def test_a_hold_that_comes_after_the_decision_is_seen(
    store: Database, dsn: str, retention: RetentionRun
) -> None:
    events(dsn, OLD, OLD + TICK)
    (series,) = [one for one in SERIES if one.table == "event"]
    cut_offs = (await retention.policy()).cut_offs(Category.EVENT, NOW)
    chunks = await retention.store.series.chunks(series)
    (chunk,) = [one for one in chunks if one.lower and one.upper and one.lower <= OLD < one.upper]
    number = await retention.proofs.begin(NOW, {})
    # What the run knew: nothing in there is held.
    scope = SeriesScope(number, series, chunk, cut_offs, NOW, held=False)
    await Holds(store).place(uuid4(), HoldOrder("Theft", since=OLD, before=OLD + TICK), by="anna", now=CUT)
    assert await retention.store.series.drop(scope) is None
    assert left(dsn) == [1, 2]
    assert await retention.store.series.delete(scope, [BERLIN]) == 1
    assert left(dsn) == [1]
    assert (await ledger(store)).complete
