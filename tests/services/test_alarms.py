"""Alarms with a real broker and a real database: raised, written, acted on, taken over, exported."""

import asyncio
import csv
import io
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest

from hub.core.alarms.transitions import Transition
from tests.hub.scene import Agent, Scene, boot_ms, eventually, fresh_database, online, rows, scene
from tests.services.conftest import Cluster, MosquittoBroker
from tests.services.locked import locked
from wire.messages import Event, EventBatch, Sample, encode
from wire.topics import Channel

pytestmark = pytest.mark.services
BERLIN = "berlin-01"


@pytest.fixture
def dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as name:
        yield name


def event(kind: str, door: int | None = None, **data: Any) -> Event:  # noqa: ANN401 - JSON
    return Event(t=boot_ms(), at=1, kind=kind, door=door, data=data or None)


async def alarms(hub: Scene, query: str = "") -> list[dict[str, Any]]:
    status, body = await hub.get(f"/api/v1/alarms{query}")
    assert status == 200, body
    return list(body["items"])


async def one(hub: Scene, kind: str, query: str = "", **wanted: object) -> dict[str, Any]:
    async def look() -> list[dict[str, Any]]:
        found = [one for one in await alarms(hub, query) if one["type"] == kind]
        return [one for one in found if all(one[name] == value for name, value in wanted.items())]

    return (await eventually(look, f"{kind} {wanted}"))[0]


async def act(hub: Scene, what: str, **body: object) -> dict[str, Any]:
    status, answer = await hub.post(f"/api/v1/alarms/{what}", json=body)
    assert status == 200, answer
    return dict(answer)


@asynccontextmanager
async def quiet(broker: MosquittoBroker, dsn: str, folder: Path) -> AsyncIterator[tuple[Scene, Agent]]:
    async with scene(broker, dsn, folder, alarms_follow_s=0.1) as hub, online(hub) as locker:
        yield hub, locker


@pytest.mark.parametrize("kind", ["plain_postgres", "timescaledb"])
async def test_from_the_locker_to_the_operator_and_to_its_end(
    kind: str, request: pytest.FixtureRequest, mosquitto_broker: MosquittoBroker, tmp_path: Path
) -> None:
    cluster: Cluster = request.getfixturevalue(kind)
    with fresh_database(cluster) as dsn:
        async with quiet(mosquitto_broker, dsn, tmp_path) as (hub, locker):
            await locker.events(1, [event("door.opened", 3), event("door.forced", 3)])
            alarm = await one(hub, "door.forced")
            assert (alarm["state"], alarm["where"], alarm["what"], alarm["severity"]) == (
                "active_unacked", "Testville, berlin-01, door 3", "Door 3 was opened by force", "critical",
            )  # fmt: skip
            assert (await hub.locker(BERLIN))["alarms"] == {"critical": 1, "high": 0, "medium": 0, "low": 0}
            between = datetime.now(UTC)
            done = await act(hub, "acknowledge", ids=[alarm["id"]], note="on my way")
            assert done == {"done": 1, "skipped": []}
            done = await act(hub, "acknowledge", ids=[alarm["id"]])
            assert done == {"done": 0, "skipped": [{"id": alarm["id"], "why": "already_acked"}]}
            await locker.events(3, [event("door.closed", 3)])
            closed = await one(hub, "door.forced", "?open=false")
            assert (closed["id"], closed["state"], closed["acked_by"]) == (alarm["id"], "normal", "local")
            assert await alarms(hub) == []
            status, detail = await hub.get(f"/api/v1/alarms/{alarm['id']}")
            assert status == 200
            steps = [(step["who"], step["what"], step["note"]) for step in detail["steps"]]
            assert steps == [
                (None, "raised", None), ("local", "acked", "on my way"), (None, "cleared", None),
                (None, "closed", None),
            ]  # fmt: skip
            then = await one(hub, "door.forced", f"?at={between.isoformat().replace('+', '%2B')}")
            assert (then["state"], then["acked_by"], then["cleared_at"]) == ("active_unacked", None, None)
            _, audit = await hub.get("/api/v1/audit?action=alarm.acked")
            assert [(row["who"], row["subject"], row["detail"]) for row in audit["items"]] == [
                ("local", f"alarm:{alarm['id']}", {"alarms": 1})
            ]
            async with hub.http.get("/api/v1/export/alarms") as response:
                table = list(csv.DictReader(io.StringIO(await response.text())))
            assert [(row["type"], row["state"], row["acked_by"]) for row in table] == [
                ("door.forced", "normal", "local")
            ]
            found = await hub.metrics()
            assert found['lockerhub_alarms_raised_total{type="door.forced"}'] == 1


async def test_each_sensor_of_a_door_has_an_alarm_of_its_own_across_hubs(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path) as hub, online(hub) as locker:
        await locker.events(1, [event("sensor.fault", 3, sensor=sensor) for sensor in ("hook", "item")])
        epoch = locker.epoch
        stored = "SELECT sensor, state FROM alarm ORDER BY sensor"

        async def both() -> bool:
            return await asyncio.to_thread(rows, dsn, stored) == [
                ("hook", "active_unacked"), ("item", "active_unacked"),
            ]  # fmt: skip

        await eventually(both, "an alarm of each")
    async with scene(mosquitto_broker, dsn, tmp_path) as hub, online(hub, epoch=epoch) as locker:
        await locker.events(3, [event("sensor.ok", 3, sensor="item")])

        async def one_of_them() -> bool:
            return await asyncio.to_thread(rows, dsn, stored) == [
                ("hook", "active_unacked"), ("item", "cleared_unacked"),
            ]  # fmt: skip

        await eventually(one_of_them, "the end of one")


async def test_a_new_hub_takes_over_and_raises_nothing_twice(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    # Its events are not stored, so the locker is told nothing of it, and says all of it again.
    async with (
        locked(dsn, "event"),
        scene(mosquitto_broker, dsn, tmp_path, service_drain_s=0.2) as hub,
        online(hub) as locker,
    ):
        await locker.events(1, [event("door.forced", 3), event("tamper.on")])
        first = await one(hub, "tamper")
        await act(hub, "shelve", ids=[first["id"]], minutes=60, why="it is known")
        epoch = locker.epoch
    async with scene(mosquitto_broker, dsn, tmp_path) as hub, online(hub, epoch=epoch) as locker:
        await locker.events(1, [event("door.forced", 3), event("tamper.on"), event("sensor.fault", 1)])
        await one(hub, "sensor.fault")
        forced, tamper = await one(hub, "door.forced"), await one(hub, "tamper")
        assert (tamper["id"], tamper["count"], tamper["suppressed"]) == (first["id"], 1, "shelved")
        assert tamper["shelved"]["why"] == "it is known"
        assert (forced["count"], forced["state"]) == (1, "active_unacked")

        async def three() -> bool:
            return await asyncio.to_thread(rows, dsn, "SELECT count(*) FROM alarm") == [(3,)]

        await eventually(three, "three rows")
        await locker.events(4, [event("tamper.off")])
        await one(hub, "tamper", state="cleared_unacked")


async def test_what_a_hub_stored_and_did_not_live_to_tell(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path):
        pass
    rows(dsn, "INSERT INTO event (occurred_at, received_at, tenant_id, locker_id, epoch, seq, kind, door, clock,"
         " stamped_at) VALUES (now(), now(), 'default', %s, %s, 1, 'door.forced', 2, 'synced', now())",
         BERLIN, uuid4())  # fmt: skip
    async with scene(mosquitto_broker, dsn, tmp_path) as hub:
        assert (await one(hub, "door.forced"))["door"] == 2


async def test_events_do_not_wait_for_alarms_and_nothing_is_lost_when_the_table_is_back(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with quiet(mosquitto_broker, dsn, tmp_path) as (hub, locker):
        async with locked(dsn, "alarm"):
            for number in range(1, 20, 2):
                await locker.events(number, [event("door.forced", 1), event("door.closed", 1)])
                assert (await locker.receipt()).upto == number + 1
            alarm = await one(hub, "door.forced", state="cleared_unacked", count=10)
            assert rows(dsn, "SELECT count(*) FROM event") == [(20,)]

        async def written() -> bool:
            query = "SELECT state, count FROM alarm WHERE id = %s"
            return await asyncio.to_thread(rows, dsn, query, UUID(alarm["id"])) == [("cleared_unacked", 10)]

        await eventually(written, "the alarm is written")
        found = await hub.metrics()
        assert found["lockerhub_alarms_unwritten"] == 0
        steps = rows(dsn, "SELECT what FROM alarm_step ORDER BY number")
        assert [step for (step,) in steps] == ["raised", "cleared"] * 10


async def test_acts_on_many_skip_what_they_do_not_apply_to(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with quiet(mosquitto_broker, dsn, tmp_path) as (hub, locker):
        await locker.events(1, [event("door.forced", door) for door in (1, 2, 3)] + [event("tamper.on")])
        tamper = await one(hub, "tamper")
        assert await act(hub, "acknowledge", ids=[tamper["id"]]) == {"done": 1, "skipped": []}
        done = await act(hub, "acknowledge", filter={"locker": BERLIN})
        assert (done["done"], done["skipped"]) == (3, [{"id": tamper["id"], "why": "already_acked"}])
        unknown = str(uuid4())
        done = await act(hub, "unacknowledge", ids=[unknown, tamper["id"], tamper["id"]])
        assert done == {"done": 1, "skipped": [{"id": unknown, "why": "unknown"}]}
        assert (await act(hub, "unshelve", filter={}))["done"] == 0
        assert (await act(hub, "shelve", filter={"type": "door.forced", "state": "active_acked"}, minutes=1,
                          why="known"))["done"] == 3  # fmt: skip
        assert [item["type"] for item in await alarms(hub, "?suppressed=none")] == ["tamper"]
        assert len(await alarms(hub, "?suppressed=shelved&severity=critical,low")) == 3
        assert (await act(hub, "unshelve", filter={"door": 1, "locker": BERLIN}))["done"] == 1
        first = await hub.get("/api/v1/alarms?limit=3")
        rest = await hub.get(f"/api/v1/alarms?limit=3&cursor={first[1]['next_cursor']}")
        assert len({item["id"] for item in first[1]["items"] + rest[1]["items"]}) == 4
        _, health = await hub.get("/api/v1/alarms/health")
        assert (health["open"], health["unacked"], health["rate_10min"]) == (2, 1, 5)
        assert health["suppressed"] == {"shelved": 2, "maintenance": 0, "out_of_service": 0, "folded": 0}
        _, audit = await hub.get("/api/v1/audit?action=alarm.shelved")
        assert audit["items"][0]["detail"] == {"alarms": 3, "minutes": 1}


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("state=open", "state"), ("severity=urgent", "severity"), ("type=door.forcd", "did you mean door.forced"),
        ("type=", "type"), ("suppressed=no", "suppressed"), ("door=1", "door"), ("door=x", "door"),
        ("limit=0", "limit"),
        ("since=yesterday", "since"), ("since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", "since"),
        ("at=2099-01-01T00:00:00Z", "at"), ("at=2026-01-01T00:00:00Z&open=false", "at"), ("colour=red", "colour"),
        ("cursor=x", "cursor"), ("open=maybe", "open"),
    ],
)  # fmt: skip
async def test_a_filter_that_is_nonsense_is_named(
    query: str, name: str, mosquitto_broker: MosquittoBroker, nothing: Scene
) -> None:
    del mosquitto_broker
    status, body = await nothing.get(f"/api/v1/alarms?{query}")
    assert (status, body["code"]) == (400, "bad_request")
    assert name in body["detail"]


@pytest.fixture
async def nothing(mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene(mosquitto_broker, dsn, tmp_path) as hub:
        yield hub


async def test_bodies_that_are_nonsense_are_refused(nothing: Scene) -> None:
    for what, body in (
        ("acknowledge", {}), ("acknowledge", {"ids": [], "note": "x"}), ("acknowledge", {"ids": ["x"]}),
        ("acknowledge", {"filter": {"state": "x"}}), ("acknowledge", {"filter": {"limit": 3}}),
        ("acknowledge", {"ids": [str(uuid4())], "filter": {}}), ("shelve", {"filter": {}, "minutes": 5}),
        ("shelve", {"filter": {}, "minutes": 0, "why": "x"}),
        ("shelve", {"filter": {}, "minutes": 1441, "why": "x"}),
        ("shelve", {"filter": {}, "minutes": 5, "why": ""}), ("acknowledge", {"filter": {}, "note": "x" * 201}),
    ):  # fmt: skip
        status, answer = await nothing.post(f"/api/v1/alarms/{what}", json=body)
        assert (status, answer["code"]) == (400, "bad_request"), body
    for path in (f"/api/v1/alarms/{uuid4()}", "/api/v1/alarms/x"):
        assert (await nothing.get(path))[1]["code"] == "alarm_unknown"


async def test_maintenance_is_told_to_nobody(mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path) -> None:
    async with quiet(mosquitto_broker, dsn, tmp_path) as (hub, locker):
        await locker.events(1, [event("door.forced", 3)])
        await one(hub, "door.forced")
        ends = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        status, window = await hub.post(
            "/api/v1/maintenance", json={"locker": BERLIN, "ends_at": ends, "why": "new cables"}
        )
        assert (status, window["state"], window["by"]) == (201, "running", "local")
        assert (await one(hub, "door.forced"))["suppressed"] == "maintenance"
        shown = await hub.locker(BERLIN)
        assert (shown["maintenance"], shown["alarms"]["critical"]) == (True, 0)
        await locker.events(2, [event("door.closed", 3), event("door.forced", 2)])
        assert (await one(hub, "door.forced", door=2))["suppressed"] == "maintenance"
        _, listed = await hub.get("/api/v1/maintenance?limit=1")
        assert [item["id"] for item in listed["items"]] == [window["id"]]
        status, ended = await hub.post(f"/api/v1/maintenance/{window['id']}/end")
        assert (status, ended["state"]) == (200, "ended")
        assert (await hub.post(f"/api/v1/maintenance/{window['id']}/end"))[0] == 200
        assert (await one(hub, "door.forced"))["suppressed"] is None
        assert (await hub.locker(BERLIN))["alarms"]["critical"] == 1
        assert (await hub.get("/api/v1/maintenance"))[1]["items"] == []
        assert len((await hub.get("/api/v1/maintenance?all=true"))[1]["items"]) == 1
        _, audit = await hub.get("/api/v1/audit")
        assert [row["action"] for row in audit["items"]] == ["maintenance.end", "maintenance.plan"]
        past = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
        for body, code in (
            ({"ends_at": ends, "why": "x"}, "bad_request"),
            ({"site": "Nowhere", "ends_at": ends, "why": "x"}, "bad_request"),
            ({"site": "Testville", "door": 1, "ends_at": ends, "why": "x"}, "bad_request"),
            ({"locker": "nowhere-03", "ends_at": ends, "why": "x"}, "locker_unknown"),
            ({"locker": BERLIN, "door": 99, "ends_at": ends, "why": "x"}, "door_unknown"),
            ({"locker": BERLIN, "ends_at": past, "why": "x"}, "bad_request"),
            ({"locker": BERLIN, "starts_at": past, "ends_at": past, "why": "x"}, "bad_request"),
            ({"locker": BERLIN, "starts_at": "2020-01-01T00:00:00Z", "ends_at": past, "why": "x"}, "bad_request"),
            ({"locker": BERLIN, "ends_at": "2099-01-01T00:00:00Z", "why": "x"}, "bad_request"),
            (
                {"site": "Testville", "starts_at": "2098-12-31T00:00:00Z", "ends_at": "2099-01-01T00:00:00Z",
                 "why": "x"},
                "bad_request",
            ),
        ):  # fmt: skip
            assert (await hub.post("/api/v1/maintenance", json=body))[1]["code"] == code, body
        for unknown in (uuid4(), "x"):
            assert (await hub.post(f"/api/v1/maintenance/{unknown}/end"))[1]["code"] == "maintenance_unknown"


async def test_readings_raise_alarms_too(mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path) -> None:
    own = tmp_path / "rules.toml"
    own.write_text(
        'version = "mine"\n[[rule]]\nid = "hot"\ntype = "temperature.high"\nseverity = "high"\n'
        'condition = { kind = "level", of = "temperature_c", above = 30 }\n'
    )
    async with scene(mosquitto_broker, dsn, tmp_path, alarms_rules_file=own) as hub, online(hub) as locker:
        await locker.telemetry([Sample(t=boot_ms(), temperature_c=31.5)])
        alarm = await one(hub, "temperature.high")
        assert (alarm["value"], alarm["limit"], alarm["unit"], alarm["rule"]) == (31.5, 30, "°C", "hot")
        await locker.telemetry([Sample(t=boot_ms(), temperature_c=29)])
        await one(hub, "temperature.high", state="cleared_unacked")
        _, rules = await hub.get("/api/v1/alarms/rules")
        assert (rules["version"], rules["items"][0]["condition"]["kind"]) == ("mine", "level")


async def test_the_command_line_lists_and_acknowledges_and_the_hub_follows(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    def hub_says(*arguments: str, status: int = 0) -> Any:  # noqa: ANN401 - JSON
        done = subprocess.run(
            [sys.executable, "-m", "hub", "alarm", *arguments, "--json"],
            env={**os.environ, "HUB_DATABASE_DSN": dsn}, check=False, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == status, done.stderr
        return orjson.loads(done.stdout)

    heard: list[str] = []
    async with quiet(mosquitto_broker, dsn, tmp_path) as (hub, locker):
        hub.hub.alarms.listen(lambda transition: heard.append(transition.what))
        await locker.events(1, [event("door.forced", 3)])
        alarm = await one(hub, "door.forced")

        async def listed() -> list[dict[str, Any]]:
            return list(await asyncio.to_thread(hub_says, "list"))

        assert [item["id"] for item in await eventually(listed, "the row")] == [alarm["id"]]
        acked = await asyncio.to_thread(hub_says, "ack", alarm["id"], "--by", "anna", "--note", "seen")
        assert acked == {"done": [alarm["id"]], "skipped": []}
        shown = await one(hub, "door.forced", state="active_acked")
        assert (shown["acked_by"], shown["ack_note"], heard) == ("anna", "seen", ["raised", "acked"])
        again = await asyncio.to_thread(hub_says, "ack", alarm["id"], "--by", "anna", status=1)
        assert again["skipped"] == [{"id": alarm["id"], "why": "already_acked"}]
        assert (await asyncio.to_thread(hub_says, "rules"))["version"] == "2026.2"


async def test_while_the_hub_itself_has_just_come_back_nobody_is_taken_for_lost(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    own = tmp_path / "rules.toml"
    own.write_text(
        'version = "mine"\n'
        '[[rule]]\nid = "gone"\ntype = "locker.offline"\nseverity = "high"\n'
        'condition = { kind = "no_data", of = "locker" }\n'
    )
    settings: dict[str, Any] = {"alarms_rules_file": own, "alarms_reconnect_s": 3600}
    async with scene(mosquitto_broker, dsn, tmp_path, **settings) as hub, online(hub) as locker:
        await locker.presence(online=False)

        async def away() -> bool:
            return bool((await hub.locker(BERLIN))["state"] == "offline")

        await eventually(away, "the locker is away")
        hub.hub.alarms.turn()
        assert await alarms(hub) == []


async def test_a_locker_that_goes_and_comes_and_one_whose_ledger_has_a_gap(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    own = tmp_path / "rules.toml"
    own.write_text(
        'version = "mine"\n'
        '[[rule]]\nid = "gone"\ntype = "locker.offline"\nseverity = "high"\n'
        'condition = { kind = "no_data", of = "locker" }\n'
        '[[rule]]\nid = "gap"\ntype = "ledger.gap"\nseverity = "high"\n'
        'condition = { kind = "simple", on = ["hub.ledger_gap"], quiet_s = 3600 }\n'
        '[[rule]]\nid = "cloned"\ntype = "ledger.cloned"\nseverity = "critical"\n'
        'condition = { kind = "simple", on = ["hub.ledger_fork"], quiet_s = 3600 }\n'
    )
    heard: list[str] = []

    def broken(transition: Transition) -> None:
        heard.append(transition.what)
        raise RuntimeError("a defect")

    settings: dict[str, Any] = {"alarms_rules_file": own, "alarms_reconnect_s": 0.1}
    async with scene(mosquitto_broker, dsn, tmp_path, **settings) as hub, online(hub) as locker:
        hub.hub.alarms.listen(broken)
        await locker.presence(online=False)
        gone = await one(hub, "locker.offline")
        assert (gone["door"], gone["state"], heard) == (None, "active_unacked", ["raised"])
        await locker.presence(session=2)
        await one(hub, "locker.offline", state="cleared_unacked")
        await locker.events(5, [event("door.opened", 1)], oldest=5)
        assert (await one(hub, "ledger.gap"))["what"] == "The locker has lost events for good"
        assert (await hub.metrics())['lockerhub_alarms_dropped_total{what="listener"}'] == len(heard) == 3
        for chain in ("a" * 16, "b" * 16):
            message = EventBatch(
                **locker.up(), epoch=locker.epoch, first=6, events=[event("door.closed", 1)], chain=chain
            )
            await locker.publish(Channel.EVENTS, encode(message))
        await one(hub, "ledger.cloned")
