"""Time travel on real databases: the fleet at a moment, held against the live fleet that heard the same."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import pytest
from psycopg.types.json import Jsonb

from hub.core.fleet import Fleet
from hub.store.database import Database
from tests.hub.api.serving import Served, locker, served
from tests.hub.contract import Contract
from tests.hub.scene import fresh_database
from tests.services.conftest import Cluster
from tests.services.past import clear
from wire.messages import Event

pytestmark = pytest.mark.services

BASE = datetime(2026, 3, 2, 9, tzinfo=UTC)
FLEET = [locker("berlin-01", "Berlin"), locker("paris-02", "Paris"), locker("quiet-03", "Paris")]
EPOCH = UUID(int=1)


@pytest.fixture(params=["plain_postgres", "timescaledb"], scope="module")
def dsn(request: pytest.FixtureRequest) -> Iterator[str]:
    cluster: Cluster = request.getfixturevalue(request.param)
    with fresh_database(cluster) as name:
        yield name


@pytest.fixture
async def store(dsn: str) -> AsyncIterator[Database]:
    async with Database(dsn, connections_max=4, statement_timeout_ms=5000, connect_timeout_s=5) as made:
        await clear(made)
        async with made.transaction() as conn:
            await conn.execute("TRUNCATE ledger_cursor")
            await conn.execute("DELETE FROM locker")
            for spec in FLEET:
                await conn.execute(
                    "INSERT INTO locker (id, name, created_at) VALUES (%s, %s, %s)",
                    (spec.id, spec.name, BASE - timedelta(days=30)),
                )
        yield made


@pytest.fixture
async def hub(dsn: str, store: Database, tmp_path: Path) -> AsyncIterator[Served]:
    await store.ping()
    async with served(tmp_path, lockers=FLEET, dsn=dsn) as running:
        yield running


class Ledger:
    """Writes one locker's events as the hub stores them; what came late has a receipt of its own."""

    def __init__(self, store: Database, name: str, epoch: UUID = EPOCH) -> None:
        self.store, self.name, self.epoch, self.seq = store, name, epoch, 0

    async def say(
        self,
        at: datetime,
        kind: str,
        door: int | None = None,
        data: object = None,
        received: datetime | None = None,
    ) -> None:
        self.seq += 1
        async with self.store.transaction() as conn:
            await conn.execute(
                "INSERT INTO event (occurred_at, received_at, tenant_id, locker_id, epoch, seq, kind, door, clock,"
                " stamped_at, data) VALUES (%s, %s, 'default', %s, %s, %s, %s, %s, 'synced', %s, %s)",
                (at, received or at, self.name, self.epoch, self.seq, kind, door, at,
                 None if data is None else Jsonb(data)),
            )  # fmt: skip
            await conn.execute(
                "INSERT INTO ledger_cursor (locker_id, epoch, next_seq) VALUES (%s, %s, %s)"
                " ON CONFLICT (locker_id, epoch) DO UPDATE SET next_seq = excluded.next_seq",
                (self.name, self.epoch, self.seq + 1),
            )


async def sampled(store: Database, name: str, at: datetime, received: datetime | None = None) -> None:
    async with store.transaction() as conn:
        await conn.execute(
            "INSERT INTO reading (sampled_at, received_at, locker_id, cpu_pct) VALUES (%s, %s, %s, 1)",
            (at, received or at, name),
        )


async def asked(hub: Served, path: str, at: object, status: int = 200) -> Any:  # noqa: ANN401 - JSON
    told = at.isoformat() if isinstance(at, datetime) else str(at)
    async with hub.http.get(f"/api/v1/history/{path}", params={"at": told}) as response:
        body = await response.json(content_type=None)
        assert response.status == status, body
        template = "/api/v1/history/fleet" if path == "fleet" else "/api/v1/history/lockers/{locker}"
        (await Contract.of(hub.http)).check("get", template, status, response.content_type, body)
        return body


async def fleet(hub: Served, at: datetime) -> dict[str, Any]:
    return {one["id"]: one for one in (await asked(hub, "fleet", at))["lockers"]}


async def test_the_past_is_what_the_live_fleet_showed(hub: Served, store: Database) -> None:
    draw = Random(4)
    live = Fleet(silent_after_ms=45_000)
    live.load(FLEET)
    ledgers = {name: Ledger(store, name) for name in ("berlin-01", "paris-02")}
    moment = BASE
    for _ in range(60):
        moment += timedelta(seconds=draw.choice([1, 5, 30, 50]))
        name = draw.choice(list(ledgers))
        door = draw.randint(1, 3)
        kind, of, data = draw.choice(
            [
                ("door.opened", door, None),
                ("door.closed", door, None),
                ("occupancy.changed", door, {"occupied": draw.random() < 0.5}),
                ("board.offline", None, {"board": 1, "doors": [1, 2]}),
                ("snapshot", None, {"doors": [[one, draw.choice(["open", "closed"]), True] for one in (1, 2, 3)]}),
            ]
        )
        now_ms = moment.timestamp() * 1000
        await ledgers[name].say(moment, kind, of, data)
        live.sweep(now_ms=now_ms, at=moment)
        live.heard(name, now_ms=now_ms, at=moment)
        live.event(name, Event(t=0, at=0, kind=kind, door=of, data=data), at=moment)
        shown = await fleet(hub, moment)
        for known in live.lockers.values():
            then = shown[known.spec.id]
            assert (then["state"], then["door_counts"]) == (known.state.value, known.door_counts())
        one = (await asked(hub, f"lockers/{name}", moment))["locker"]
        assert (one["state"], one["door_counts"]) == (shown[name]["state"], shown[name]["door_counts"])
        assert [(door["state"], door["last_known"], door["occupied"]) for door in one["doors"]] == [
            (live.lockers[name].door_state(door).value, door.known.value, door.occupied)
            for _, door in sorted(live.lockers[name].doors.items())
        ]
    assert (await fleet(hub, moment))["quiet-03"]["state"] == "never_seen"


async def test_what_came_later_was_not_known_to_be_there(hub: Served, store: Database) -> None:
    ledger = Ledger(store, "berlin-01")
    await ledger.say(BASE, "door.closed", 1)
    # A night without a link: the events are of then, and the hub had them in the morning.
    night, morning = BASE + timedelta(hours=1), BASE + timedelta(hours=9)
    await ledger.say(night, "door.opened", 1, received=morning)
    await sampled(store, "berlin-01", night, received=morning)
    then = (await fleet(hub, night))["berlin-01"]
    assert (then["state"], then["door_counts"]["unknown"]) == ("offline", 3)
    assert datetime.fromisoformat(then["last_seen_at"]) == BASE
    assert datetime.fromisoformat(then["state_changed_at"]) == BASE + timedelta(seconds=45)
    one = (await asked(hub, "lockers/berlin-01", night))["locker"]
    assert (one["doors"][0]["state"], one["doors"][0]["last_known"]) == ("unknown", "open")


async def test_telemetry_keeps_a_locker_online_and_a_farewell_ends_it(hub: Served, store: Database) -> None:
    ledger = Ledger(store, "berlin-01")
    await ledger.say(BASE, "snapshot", None, {"doors": [[1, "closed", True], [2, "open", False]]})
    await sampled(store, "berlin-01", BASE + timedelta(hours=2))
    shown = (await fleet(hub, BASE + timedelta(hours=2, seconds=20)))["berlin-01"]
    assert (shown["state"], shown["state_changed_at"]) == ("online", None)
    assert shown["door_counts"] == {"total": 3, "open": 1, "closed": 1, "unknown": 1, "out_of_service": 0}
    assert (shown["agent"], shown["session"], shown["boards"]) == (None, None, None)
    await ledger.say(BASE + timedelta(hours=2, seconds=30), "agent.stopping")
    shown = (await fleet(hub, BASE + timedelta(hours=2, seconds=31)))["berlin-01"]
    assert (shown["state"], shown["door_counts"]["unknown"]) == ("offline", 3)
    # Of a day before it is known only that there was something.
    later = await asked(hub, "fleet", BASE + timedelta(days=9))
    assert {one["id"]: one["state"] for one in later["lockers"]}["berlin-01"] == "offline"
    assert datetime.fromisoformat(later["known_since"]) == BASE + timedelta(days=9) - timedelta(hours=7)


async def test_a_locker_has_its_events_and_commands_of_then(hub: Served, store: Database) -> None:
    ledger = Ledger(store, "berlin-01")
    for minute in range(60):
        await ledger.say(BASE + timedelta(minutes=minute), "door.opened", 1)
    body = await asked(hub, "lockers/berlin-01", BASE + timedelta(minutes=54))
    assert [event["seq"] for event in body["events"]] == list(range(55, 5, -1))
    assert body["locker"]["commands"] == []


async def test_alarms_and_maintenance_are_those_of_then(hub: Served, store: Database) -> None:
    ledger = Ledger(store, "berlin-01")
    await ledger.say(BASE, "door.closed", 1)
    minute = timedelta(minutes=1)
    insert = (
        "INSERT INTO alarm (id, type, severity, tenant_id, site, locker_id, door, place, rule, state, opened_at,"
        " began_at, raised_at, last_at, cleared_at, closed_at, count) VALUES (%s, %s, %s, 'default', 'Berlin',"
        " 'berlin-01', %s, 'there', 'rule', %s, %s, %s, %s, %s, %s, %s, 1)"
    )
    forced, gone = BASE + 2 * minute, BASE + timedelta(seconds=10)
    async with store.transaction() as conn:
        await conn.execute("TRUNCATE alarm CASCADE")
        await conn.execute(
            insert, (UUID(int=1), "door.forced", "critical", 1, "normal", *[forced] * 4, *[forced + 5 * minute] * 2)
        )
        await conn.execute(
            insert,
            (UUID(int=2), "locker.offline", "high", None, "active_unacked", gone + minute, gone, gone + minute,
             gone + minute, None, None),
        )  # fmt: skip
        await conn.execute(
            "INSERT INTO maintenance (id, site, starts_at, ends_at, why, planned_by, planned_at)"
            " VALUES (%s, 'Paris', %s, %s, 'paint', 'anna', %s)",
            (UUID(int=3), BASE + minute, BASE + 9 * minute, BASE),
        )
    # It had said goodbye: silence alone would have told that half a minute later.
    shown = await fleet(hub, gone + timedelta(seconds=1))
    assert (shown["berlin-01"]["state"], datetime.fromisoformat(shown["berlin-01"]["state_changed_at"])) == (
        "offline",
        gone,
    )
    assert shown["berlin-01"]["alarms"] == {"critical": 0, "high": 0, "medium": 0, "low": 0}
    assert {name: one["maintenance"] for name, one in shown.items()} == dict.fromkeys(shown, False)
    body = await asked(hub, "lockers/berlin-01", BASE + 3 * minute)
    assert [alarm["type"] for alarm in body["alarms"]] == ["door.forced", "locker.offline"]
    shown = await fleet(hub, BASE + 3 * minute)
    assert shown["berlin-01"]["alarms"] == body["locker"]["alarms"]
    assert (shown["berlin-01"]["alarms"]["critical"], shown["berlin-01"]["alarms"]["high"]) == (1, 1)
    assert {name for name, one in shown.items() if one["maintenance"]} == {"paris-02", "quiet-03"}
    # Heard again, whatever the alarm says.
    await sampled(store, "berlin-01", BASE + 4 * minute)
    assert (await fleet(hub, BASE + 4 * minute))["berlin-01"]["state"] == "online"
    async with store.transaction() as conn:
        await conn.execute("TRUNCATE alarm, maintenance CASCADE")


async def test_a_locker_that_came_later_was_not_there(hub: Served, store: Database) -> None:
    await Ledger(store, "berlin-01").say(BASE, "door.opened", 1)
    async with store.transaction() as conn:
        await conn.execute("UPDATE locker SET created_at = %s WHERE id <> 'berlin-01'", (BASE + timedelta(days=1),))
    assert set(await fleet(hub, BASE + timedelta(minutes=1))) == {"berlin-01"}
    assert set(await fleet(hub, BASE + timedelta(days=1))) == {"berlin-01", "paris-02", "quiet-03"}


async def test_moments_that_make_no_sense_are_refused_with_a_sentence(hub: Served, store: Database) -> None:
    async def why(at: object) -> str:
        said = await asked(hub, "fleet", at, 400)
        assert said["code"] == "bad_request"
        return str(said["detail"])

    assert await why(BASE) == "Nothing is stored yet, so there is no past to show."
    await Ledger(store, "berlin-01").say(BASE, "door.opened", 1)
    assert "is before the first event that is kept (2026-03-02T09:00:00Z)" in await why(BASE - timedelta(days=2))
    assert "is still to come" in await why(datetime.now(UTC) + timedelta(hours=1))
    assert "before the year 2000" in await why("1970-01-01T00:00:00Z")
    assert "outside of the years" in await why("0001-01-01T00:00:00+14:00")
    for nonsense in ("yesterday", "2026-03-02T09:00:00", "2026-03-02", ""):
        assert "$.at" in await why(nonsense)
    async with hub.http.get("/api/v1/history/fleet") as response:
        assert (response.status, (await response.json(content_type=None))["code"]) == (400, "bad_request")
    assert (await asked(hub, "lockers/nobody", BASE, 404))["code"] == "locker_unknown"
    assert (
        "before the first event" in (await asked(hub, "lockers/berlin-01", BASE - timedelta(days=2), 400))["detail"]
    )
