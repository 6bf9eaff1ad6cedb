"""What outlives a restart of the hub, and pages of a moment while things happen."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from hub.metrics import Metrics
from hub.tasks import Supervisor
from tests.hub.scene import Agent, Scene, agent, eventually, fresh_database, online, rows, scene
from tests.services.conftest import Cluster, MosquittoBroker, mosquitto
from tests.services.test_alarms import BERLIN, alarms, event, one, quiet

pytestmark = pytest.mark.services


@pytest.fixture
def dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as name:
        yield name


def stored(dsn: str, kind: str, *, ago_s: int, seq: int, epoch: UUID, door: int | None = None) -> None:
    """Let the hub before have stored an event."""
    rows(dsn, "INSERT INTO event (occurred_at, received_at, tenant_id, locker_id, epoch, seq, kind, door, clock,"
         " stamped_at) VALUES (now() - %s * interval '1 s', now() - %s * interval '1 s', 'default', %s, %s, %s, %s,"
         " %s, 'synced', now())", ago_s, ago_s, BERLIN, epoch, seq, kind, door)  # fmt: skip


async def test_a_delay_and_a_count_that_began_before_a_restart_go_on(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    own = tmp_path / "rules.toml"
    own.write_text(
        'version = "mine"\n'
        '[[rule]]\nid = "open"\ntype = "door.left_open"\nseverity = "low"\n'
        'condition = { kind = "duration", on = ["door.opened"], off = ["door.closed"], for_s = 600 }\n'
        '[[rule]]\nid = "jam"\ntype = "door.jammed"\nseverity = "high"\n'
        'condition = { kind = "repeating", on = ["door.open_not_detected"], off = ["door.opened"], count = 3,'
        " within_s = 900 }\n"
        '[[rule]]\nid = "many"\ntype = "mass_opening"\nseverity = "high"\n'
        'condition = { kind = "repeating", on = ["door.opened"], each = "door", count = 2, within_s = 60 }\n'
    )
    settings: dict[str, Any] = {"alarms_rules_file": own, "alarms_reconnect_s": 0.1}
    async with scene(mosquitto_broker, dsn, tmp_path, **settings):
        pass
    epoch = uuid4()
    stored(dsn, "door.opened", ago_s=620, seq=1, epoch=epoch, door=1)
    stored(dsn, "door.opened", ago_s=610, seq=2, epoch=epoch, door=2)
    stored(dsn, "door.open_not_detected", ago_s=400, seq=3, epoch=epoch, door=4)
    stored(dsn, "door.open_not_detected", ago_s=300, seq=4, epoch=epoch, door=4)
    stored(dsn, "door.closed", ago_s=200, seq=5, epoch=epoch, door=2)
    async with scene(mosquitto_broker, dsn, tmp_path, **settings) as hub, online(hub, epoch=epoch) as locker:
        left_open = await one(hub, "door.left_open")
        assert (left_open["door"], (await one(hub, "mass_opening"))["value"]) == (1, 2)
        assert await alarms(hub, "?type=door.jammed") == []
        await locker.events(6, [event("door.open_not_detected", 4)], oldest=6)
        assert (await one(hub, "door.jammed"))["value"] == 3
    async with scene(mosquitto_broker, dsn, tmp_path, **settings) as hub, online(hub, epoch=epoch) as locker:
        assert {item["type"]: item["count"] for item in await alarms(hub)} == {
            "door.left_open": 1, "door.jammed": 1, "mass_opening": 1,
        }  # fmt: skip
        await locker.events(7, [event("door.closed", 1), event("door.opened", 4)], oldest=7)
        await one(hub, "door.left_open", state="cleared_unacked")
        await one(hub, "door.jammed", state="cleared_unacked")


async def test_pages_of_a_moment_lose_and_repeat_nothing(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with quiet(mosquitto_broker, dsn, tmp_path) as (hub, locker):
        kinds = ["door.forced", "door.left_open", "door.jammed", "sensor.fault"]
        await locker.events(1, [event(kind, door) for door in (1, 2, 3) for kind in kinds])

        async def written() -> bool:
            return await asyncio.to_thread(rows, dsn, "SELECT count(*) FROM alarm") == [(12,)]

        await eventually(written, "twelve rows")
        at = datetime.now(UTC)
        query = f"?limit=2&at={at.isoformat().replace('+', '%2B')}"
        whole = [item["id"] for item in await alarms(hub, query.replace("limit=2", "limit=100"))]
        seen: list[str] = []
        cursor, number = "", 13
        while True:
            _, page = await hub.get(f"/api/v1/alarms{query}{cursor}")
            seen += [item["id"] for item in page["items"]]
            assert all(datetime.fromisoformat(item["raised_at"]) <= at for item in page["items"])
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
            # Between two pages some end, and come again.
            door = number % 3 + 1
            await locker.events(number, [event("door.closed", door), event("door.forced", door)])
            number += 2

            async def again(least: int = number) -> bool:
                found = await asyncio.to_thread(rows, dsn, "SELECT max(seq) FROM alarm")
                return bool(found[0][0] >= least - 1)

            await eventually(again, "what came between is written")
        assert seen == whole
        assert len(set(seen)) == 12


async def test_a_restart_within_maintenance_pages_nobody(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with quiet(mosquitto_broker, dsn, tmp_path) as (hub, locker):
        ends = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        begin = {"locker": BERLIN, "ends_at": ends, "why": "cables"}
        status, _ = await hub.post("/api/v1/maintenance", json=begin)
        assert status == 201
        await locker.events(1, [event("door.forced", 3)])
        await one(hub, "door.forced", suppressed="maintenance")
    async with quiet(mosquitto_broker, dsn, tmp_path) as (hub, _):
        await one(hub, "door.forced", suppressed="maintenance")
        assert (await hub.metrics()).get('lockerhub_alarms_raised_total{type="door.forced"}', 0) == 0


async def test_a_broker_that_is_frozen_is_one_alarm_and_then_whoever_stays_away(dsn: str, tmp_path: Path) -> None:
    own = tmp_path / "rules.toml"
    own.write_text(
        'version = "mine"\n'
        '[[rule]]\nid = "gone"\ntype = "locker.offline"\nseverity = "high"\n'
        'condition = { kind = "no_data", of = "locker" }\n'
        '[[rule]]\nid = "deaf"\ntype = "broker.offline"\nseverity = "critical"\n'
        'condition = { kind = "no_data", of = "broker" }\n'
    )
    settings: dict[str, Any] = {
        "alarms_rules_file": own, "alarms_reconnect_s": 2, "intake_silent_after_s": 6, "mqtt_keepalive_s": 2,
        "mqtt_connect_timeout_s": 1, "mqtt_reconnect_s_max": 0.5,
    }  # fmt: skip
    told: list[tuple[str, str, str | None]] = []
    with mosquitto() as broker:
        async with (
            scene(broker, dsn, tmp_path, **settings) as hub,
            agent(broker, BERLIN) as one,
            agent(broker, "paris-02") as other,
        ):
            async with speaking(one, other):
                await eventually(lambda: _all_well(hub), "both lockers, and no alarm of the start")
                hub.hub.alarms.listen(
                    lambda change: told.append((change.what, change.alarm.type, change.alarm.locker))
                )
            broker.process.send_signal(signal.SIGSTOP)
            await eventually(lambda: _told(told, "raised", "broker.offline"), "the outage")
            await eventually(lambda: _unreachable(hub), "nobody can be reached")
            broker.process.send_signal(signal.SIGCONT)
            async with speaking(one):
                await eventually(lambda: _told(told, "raised", "locker.offline"), "who stays away")
    assert told[:3] == [
        ("raised", "broker.offline", None), ("cleared", "broker.offline", None),
        ("raised", "locker.offline", "paris-02"),
    ]  # fmt: skip


@asynccontextmanager
async def speaking(*lockers: Agent) -> AsyncIterator[None]:
    """Let lockers be heard again and again."""

    async def speak() -> None:
        while True:
            for locker in lockers:
                await locker.presence()
            await asyncio.sleep(0.2)

    async with Supervisor(Metrics("0")).running({"speak": speak}, endless=True):
        yield


async def _all_well(hub: Scene) -> bool:
    there = all(one.reachable for one in hub.hub.fleet.lockers.values())
    return there and not any(one.active for one in hub.hub.alarms.open_alarms())


async def _unreachable(hub: Scene) -> bool:
    return not any(one.reachable for one in hub.hub.fleet.lockers.values())


async def _told(told: list[tuple[str, str, str | None]], what: str, kind: str) -> bool:
    return any(one[:2] == (what, kind) for one in told)
