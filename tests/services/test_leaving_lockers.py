"""Lockers that are disabled for a while, and those that leave for good, beside a running hub and a real broker."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiomqtt
import psycopg
import pytest
from typer.testing import CliRunner, Result

from hub.cli.main import app
from hub.config.secrets import read_secret
from hub.store.registry import REMOVED_WHY
from tests.hub.scene import Agent, Scene, agent, eventually, fresh_database, rows, scene
from tests.services.conftest import Cluster, MosquittoBroker, mosquitto
from wire.messages import Event
from wire.topics import Channel, topic_of

pytestmark = pytest.mark.services

ONE = "/api/v1/lockers/berlin-01"


@pytest.fixture(scope="module")
def broker() -> Iterator[MosquittoBroker]:
    with mosquitto() as running:
        yield running


@pytest.fixture
def dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as name:
        yield name


async def hub_locker(dsn: str, *arguments: str, typed: str | None = None) -> Result:
    environment = {"HUB_DATABASE_DSN": dsn, "HUB_LOG_LEVEL": "error"}
    return await asyncio.to_thread(CliRunner().invoke, app, ["locker", *arguments], env=environment, input=typed)


async def asked(hub: Scene, method: str, path: str, body: object = None) -> tuple[int, Any]:
    async with hub.http.request(method, path, json=body) as response:
        return response.status, await response.json(content_type=None)


async def shows(hub: Scene, **expected: object) -> bool:
    _, found = await hub.get("/api/v1/lockers/berlin-01")
    return all(found.get(name) == value for name, value in expected.items())


async def opened(locker: Agent, first: int) -> None:
    await locker.events(first, [Event(t=locker.up()["t"], at=1, kind="door.opened", door=1)])


async def retained(broker: MosquittoBroker, locker: str) -> list[bytes]:
    """Return what the broker has kept of a locker's presence. No hub runs: this is its account."""
    found: list[bytes] = []
    marker = topic_of(locker, Channel.RECEIPTS)
    password = read_secret(str(broker.hub_password_file), "hub")
    async with aiomqtt.Client(
        broker.host,
        broker.port,
        username=broker.ingest_username,
        password=password,
        identifier=uuid4().hex,
    ) as client:
        await client.subscribe(topic_of(locker, Channel.PRESENCE), qos=1)
        await client.subscribe(marker, qos=1)
        await client.publish(marker, b"done", qos=1)
        async for message in client.messages:
            if message.topic.matches(marker):
                return found
            assert isinstance(message.payload, bytes)
            found.append(message.payload)
    raise AssertionError("the marker never came")


async def cleared(hub: Scene) -> bool:
    """Say whether the hub has met its own word that nothing is kept, behind the one presence that it had met."""
    return (await hub.metrics())['lockerhub_intake_messages_total{channel="presence"}'] == 2


async def test_a_disabled_locker_is_neither_heard_nor_commanded_until_it_is_enabled(
    broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with scene(broker, dsn, tmp_path) as hub, agent(broker) as locker:
        await locker.presence()
        await eventually(lambda: shows(hub, state="online"), "the locker is there")
        status, shown = await asked(hub, "POST", f"{ONE}/disable", {"reason": "moved to the cellar"})
        assert (status, shown["disabled"], shown["state"]) == (200, "moved to the cellar", "offline")
        assert {door["state"] for door in shown["doors"]} == {"unknown"}
        _, listed = await hub.get("/api/v1/lockers")
        assert "berlin-01" in [one["id"] for one in listed["items"]]

        await opened(locker, 1)
        topic = topic_of("berlin-01", Channel.EVENTS)
        await eventually(lambda: quarantined(hub, topic), "what it says is in quarantine")
        ((reason, detail, _, _),) = await hub.quarantined(topic)
        assert (reason, "moved to the cellar" in detail) == ("locker_disabled", True)
        await locker.presence(session=2)
        for body in ({"kind": "open", "door": 1}, {"kind": "restart"}):
            status, problem = await asked(hub, "POST", f"{ONE}/commands", body)
            assert (status, problem["code"]) == (409, "locker_disabled")
            assert "moved to the cellar" in problem["detail"]
        assert await shows(hub, state="offline")
        assert hub.hub.alarms.open_alarms("berlin-01") == []

        # The command line says it as well, and the hub follows; what the locker kept comes then.
        assert (await hub_locker(dsn, "enable", "berlin-01")).exit_code == 0
        await eventually(lambda: shows(hub, disabled=None), "the hub has heard of it")
        await locker.presence(session=2)
        await opened(locker, 1)
        assert (await locker.receipt()).upto == 1
        await eventually(lambda: shows(hub, state="online"), "it is heard again")
    actions = [
        action for (action,) in rows(dsn, "SELECT action FROM audit WHERE action LIKE 'locker.%%' ORDER BY id")
    ]
    assert actions == ["locker.disable", "locker.enable"]


async def quarantined(hub: Scene, topic: str) -> bool:
    return bool(await hub.quarantined(topic))


async def test_a_locker_that_is_removed_leaves_its_history_and_nothing_else(
    broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with scene(broker, dsn, tmp_path, forget=False) as hub:
        async with agent(broker) as locker:
            await locker.presence()
            await opened(locker, 1)
            assert (await locker.receipt()).upto == 1
        status, command = await asked(hub, "POST", f"{ONE}/commands", {"kind": "restart"})
        assert status == 202

        wrong = await hub_locker(dsn, "remove", "berlin-01", typed="berlin-02\n")
        assert (wrong.exit_code, "nothing was removed" in wrong.output) == (1, True)
        done = await hub_locker(dsn, "remove", "berlin-01", typed="berlin-01\n")
        assert done.exit_code == 0, done.output
        assert "1 durable commands ended" in done.output

        async def is_unknown() -> bool:
            return (await hub.get(ONE))[0] == 404

        await eventually(is_unknown, "the hub follows")
        await eventually(lambda: cleared(hub), "its presence is cleared at the broker")

        async def has_ended() -> bool:
            _, found = await hub.get(f"/api/v1/commands/{command['id']}")
            return found["detail"] == REMOVED_WHY and found["state"] in {"cancelled", "unknown"}

        await eventually(has_ended, "the command that nobody will ever get has an end")
        _, events = await hub.get("/api/v1/events?locker=berlin-01")
        assert [one["kind"] for one in events["items"]] == ["door.opened"]

        refused = await hub_locker(dsn, "add", "berlin-01")
        assert (refused.exit_code, "removed before" in refused.output) == (1, True)
        with pytest.raises(psycopg.errors.UniqueViolation, match="the locker was removed"):
            rows(dsn, "INSERT INTO locker (id, name) VALUES ('berlin-01', 'by hand')")
        assert (await hub_locker(dsn, "add", "berlin-01", "--again")).exit_code == 0

        async def is_back() -> bool:
            return (await hub.get(ONE))[0] == 200

        await eventually(is_back, "it is in the registry again")
    assert await retained(broker, "berlin-01") == []


async def test_what_a_locker_left_at_the_broker_goes_when_a_hub_starts(
    broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with scene(broker, dsn, tmp_path, forget=False) as hub, agent(broker) as locker:
        await locker.presence()
        await eventually(lambda: shows(hub, state="online"), "the locker is there")
    assert (await hub_locker(dsn, "remove", "berlin-01", "--yes")).exit_code == 0
    assert len(await retained(broker, "berlin-01")) == 1
    async with scene(broker, dsn, tmp_path, lockers=["berlin-02"], forget=False) as hub:
        await eventually(lambda: cleared(hub), "its presence is cleared at the broker")
    assert await retained(broker, "berlin-01") == []


async def test_a_locker_with_open_transactions_is_not_removed(
    broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with scene(broker, dsn, tmp_path) as hub:
        rows(
            dsn,
            "WITH a AS (INSERT INTO account (id, tenant_id, actor_id, email, created_at)"
            " VALUES (gen_random_uuid(), 'default', gen_random_uuid(), 'b@example.org', now()) RETURNING id)"
            " INSERT INTO transaction (id, tenant_id, account_id, kind, locker_id, opened_at)"
            " SELECT gen_random_uuid(), 'default', id, 'repair', 'berlin-01', now() FROM a",
        )
        assert (await asked(hub, "DELETE", f"{ONE}?confirm=berlin-02"))[1]["code"] == "bad_request"
        status, problem = await asked(hub, "DELETE", f"{ONE}?confirm=berlin-01")
        assert (status, problem["code"]) == (409, "locker_in_use")
        assert "one transaction is open at berlin-01" in problem["detail"]
        rows(dsn, "UPDATE transaction SET state = 'completed', ended_at = now()")
        status, removed = await asked(hub, "DELETE", f"{ONE}?confirm=berlin-01")
        assert (status, removed) == (200, {"id": "berlin-01", "commands_ended": 0})
        assert (await hub.get(ONE))[0] == 404
