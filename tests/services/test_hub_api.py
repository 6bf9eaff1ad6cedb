"""The API and the live page's link of a running hub: every answer keeps the documented contract."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.hub.contract import Contract
from tests.hub.scene import Scene, fresh_database, obedient, online, scene
from tests.services.conftest import Cluster, MosquittoBroker
from wire.messages import Event, Sample

pytestmark = pytest.mark.services


@pytest.fixture
def dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as name:
        yield name


async def checked(hub: Scene, path: str, url: str, status: int = 200) -> dict[str, Any]:
    """GET, and hold the answer against the contract."""
    contract = await Contract.of(hub.http)
    async with hub.http.get(url) as response:
        body = await response.json(content_type=None)
        assert response.status == status, body
        contract.check("get", path, response.status, response.content_type, body)
        assert isinstance(body, dict)
        return body


async def walk(hub: Scene, path: str, url: str) -> list[dict[str, Any]]:
    """All items of all pages."""
    found: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await checked(hub, path, url + (f"&cursor={cursor}" if cursor else ""))
        found += page["items"]
        cursor = page["next_cursor"]
    return found


EVENTS = "/api/v1/lockers/{locker}/events"
TELEMETRY = "/api/v1/lockers/{locker}/telemetry"


async def test_what_was_stored_is_shown_page_by_page(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path) as hub, online(hub) as locker, obedient(hub, locker):
        now = locker.up()["t"]
        kinds = ["door.opened", "door.closed", "tamper.on"]
        events = [
            Event(t=now - 100 * n, at=1, kind=kinds[n % 3], door=n % 2 + 1, data={"n": n, "deep": [{"ä": None}]})
            for n in range(12)
        ]
        await locker.events(1, events)
        assert (await locker.receipt()).upto == 12
        url = "/api/v1/lockers/berlin-01/events?"
        pages = await walk(hub, EVENTS, f"{url}limit=5")
        # Event n occurred 100 ms before event n - 1.
        assert [item["seq"] for item in pages] == list(range(1, 13))
        assert pages == await walk(hub, EVENTS, f"{url}limit=1000")
        assert [item["data"] for item in pages] == [event.data for event in events]
        assert {item["kind"] for item in await walk(hub, EVENTS, f"{url}kind=tamper.on")} == {"tamper.on"}
        assert {item["door"] for item in await walk(hub, EVENTS, f"{url}door=2&limit=2")} == {2}
        since, until = pages[5]["occurred_at"], pages[3]["occurred_at"]
        assert [item["seq"] for item in await walk(hub, EVENTS, f"{url}since={since}&until={until}")] == [5, 6]

        await locker.telemetry([Sample(t=now - n, temperature_c=float(n), extra={"lux": 1.5}) for n in range(7)])
        async with asyncio.timeout(10):
            while len(readings := await walk(hub, TELEMETRY, "/api/v1/lockers/berlin-01/telemetry?limit=3")) < 7:
                pass
        assert [item["temperature_c"] for item in readings] == [0, 1, 2, 3, 4, 5, 6]

        async with hub.http.post(
            "/api/v1/lockers/berlin-01/commands?wait=pulse", json={"kind": "open", "door": 1}
        ) as response:
            command = await response.json()
        detail = await checked(hub, "/api/v1/lockers/{locker}", "/api/v1/lockers/berlin-01")
        assert [one["id"] for one in detail["commands"]] == [command["id"]]
        assert detail["door_counts"]["total"] == len(detail["doors"]) == 4
        listed = await checked(hub, "/api/v1/lockers", "/api/v1/lockers?state=online")
        assert [one["id"] for one in listed["items"]] == ["berlin-01"]
        assert listed["items"][0] == {key: detail[key] for key in listed["items"][0]}


async def test_an_event_reaches_the_viewers_once(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with (
        scene(mosquitto_broker, dsn, tmp_path, live_diff_interval_ms=1) as hub,
        online(hub) as locker,
        hub.http.ws_connect("/live") as socket,
    ):
        await locker.events(1, [Event(t=1, at=1, kind="door.opened", door=1)])
        assert (await locker.receipt()).upto == 1
        views = ("events", "events:berlin-01", "locker:berlin-01", "fleet")
        for view in views:
            await socket.send_json({"type": "subscribe", "view": view})
        snapshots: dict[str, Any] = {}
        while len(snapshots) < len(views):
            frame = await socket.receive_json(timeout=10)
            if frame["type"] == "snapshot":
                snapshots[frame["view"]] = frame["data"]
        contract = await Contract.of(hub.http)
        for view in ("events", "events:berlin-01"):
            assert [event["seq"] for event in snapshots[view]["events"]] == [1]
            contract.validate({"$ref": "#/components/schemas/EventView"}, snapshots[view]["events"][0])
        contract.validate({"$ref": "#/components/schemas/LockerDetail"}, snapshots["locker:berlin-01"])
        contract.validate({"$ref": "#/components/schemas/LockerView"}, snapshots["fleet"]["lockers"][0])
        assert snapshots["locker:berlin-01"]["doors"][0]["state"] == "open"
        # Stored twice over the wire, shown once.
        for _ in range(2):
            await locker.events(2, [Event(t=1, at=1, kind="door.closed", door=1)])
            assert (await locker.receipt()).upto == 2
        await locker.events(3, [Event(t=1, at=1, kind="tamper.on")])
        seen: dict[str, list[int]] = {"events": [], "events:berlin-01": []}
        doors: list[str] = []
        while any(3 not in numbers for numbers in seen.values()):
            frame = await socket.receive_json(timeout=10)
            if frame["view"] in seen:
                seen[frame["view"]] += [event["seq"] for event in reversed(frame["data"]["events"])]
            doors += [door["state"] for door in frame["data"].get("doors", [])]
        assert seen == {"events": [2, 3], "events:berlin-01": [2, 3]}
        assert doors[-1] == "closed"


async def test_viewers_are_told_when_the_hub_stops(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with aiohttp.ClientSession() as http:
        async with scene(mosquitto_broker, dsn, tmp_path) as hub:
            socket = await http.ws_connect(f"http://127.0.0.1:{hub.config.http.port}/live")
            assert (await socket.receive_json(timeout=10))["type"] == "hello"
            reading = asyncio.create_task(socket.receive(timeout=20), name="viewer")
        await reading
        assert socket.close_code == 1012
