"""Live views of a whole hub: a locker's messages as they come and go, and what only the database knows."""

from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from hub.store.commands import add_forgets
from hub.store.database import Database
from tests.hub.live.watching import Watch
from tests.hub.scene import Scene, eventually, fresh_database, obedient, online, rows, scene
from tests.services.conftest import Cluster, MosquittoBroker
from wire.messages import CommandKind, Event, Sample
from wire.topics import Channel

pytestmark = pytest.mark.services


@pytest.fixture
def dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as name:
        yield name


async def watching(stack: AsyncExitStack, hub: Scene, view: str) -> tuple[Watch, Any]:
    """Somebody who has a view, and its snapshot's data."""
    watch = Watch(await stack.enter_async_context(hub.http.ws_connect("/live")))
    await watch.say("subscribe", view)
    return watch, (await watch.until("snapshot", view))["data"]


async def messages_until(
    watch: Watch, found: list[tuple[str, str, str]], wanted: set[tuple[str, str, str]]
) -> None:
    while not wanted <= set(found):
        data = (await watch.until("diff"))["data"]
        assert data["skipped"] == 0
        found += [(one["direction"], one["channel"], one["verdict"]) for one in data["messages"]]
        shown.extend(data["messages"])


shown: list[dict[str, Any]] = []


async def test_every_message_of_a_watched_locker_is_shown_with_what_became_of_it(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    shown.clear()
    async with (
        AsyncExitStack() as stack,
        scene(mosquitto_broker, dsn, tmp_path) as hub,
        online(hub) as one,
        online(hub, "paris-02") as other,
    ):
        watch, data = await watching(stack, hub, "tail:berlin-01")
        assert data == {"messages": []}, "nothing is kept while nobody watches"
        found: list[tuple[str, str, str]] = []
        opened = [Event(t=1, at=1, kind="door.opened", door=1)]
        await other.events(1, opened)
        await one.events(1, opened)
        await messages_until(watch, found, {("in", "events", "taken"), ("out", "receipts", "sent")})
        await one.events(1, opened)
        await messages_until(watch, found, {("in", "events", "duplicate")})
        await one.events(9, opened)
        await messages_until(watch, found, {("in", "events", "deferred")})
        await one.publish(Channel.EVENTS, b'{"v": 1, "boot')
        await messages_until(watch, found, {("in", "events", "quarantined:malformed")})
        await one.telemetry([Sample(t=1, temperature_c=21.5)])
        await messages_until(watch, found, {("in", "telemetry", "taken")})
        await one.telemetry([Sample(t=1, temperature_c=21.5)])
        await messages_until(watch, found, {("in", "telemetry", "duplicate")})
        async with obedient(hub, one):
            status, _ = await hub.post(
                "/api/v1/lockers/berlin-01/commands?wait=pulse", json={"kind": "open", "door": 2, "reason": "test"}
            )
            assert status == 200
            await messages_until(watch, found, {("out", "commands", "sent"), ("in", "replies", "taken")})
        assert {message["topic"].split("/")[3] for message in shown} == {"berlin-01"}
        assert [message["n"] for message in shown] == list(range(1, len(shown) + 1))
        _, data = await watching(stack, hub, "tail:berlin-01")
        assert data["messages"] == shown


async def test_whom_a_forget_is_about_is_shown_to_nobody_who_watches(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    who = str(uuid4())
    shown.clear()
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(scene(mosquitto_broker, dsn, tmp_path))
        watch, _ = await watching(stack, hub, "tail:berlin-01")
        store = Database(dsn, connections_max=1, statement_timeout_ms=10_000, connect_timeout_s=5)
        async with store, store.transaction() as conn:
            now = datetime.now(UTC)
            until = now + timedelta(days=1)
            assert (
                await add_forgets(conn, ["berlin-01"], UUID(who), now=now, expires_at=until, deadline_ms=10_000)
                == 1
            )
        one = await stack.enter_async_context(online(hub))
        command = await one.command()
        assert command.kind == CommandKind.FORGET
        assert (command.args or {})["actor"] == who
        found: list[tuple[str, str, str]] = []
        await messages_until(watch, found, {("out", "commands", "sent")})
        (told,) = [message for message in shown if message["channel"] == "commands"]
        assert '"kind":"forget"' in told["payload"]
        assert who not in told["payload"]


async def test_what_only_the_database_knows_is_shown_too(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(scene(mosquitto_broker, dsn, tmp_path))
        one = await stack.enter_async_context(online(hub))
        async with obedient(hub, one):
            _, first = await hub.post(
                "/api/v1/lockers/berlin-01/commands?wait=pulse", json={"kind": "open", "door": 1, "reason": "x"}
            )

        async def stored() -> bool:
            return bool(rows(dsn, "SELECT 1 FROM command WHERE state = 'succeeded'"))

        await eventually(stored, "the command in its table")
        await stack.aclose()
        # Another hub: what was before comes from the tables.
        hub = await stack.enter_async_context(scene(mosquitto_broker, dsn, tmp_path))
        watch, data = await watching(stack, hub, "commands")
        assert [(command["id"], command["state"]) for command in data["commands"]] == [(first["id"], "succeeded")]
        jobs, data = await watching(stack, hub, "jobs")
        assert data == {"jobs": []}
        body = {
            "kind": "restart", "reason": "update", "filter": {"site": "Testville"}, "rate_per_minute": 60,
            "canary": {"count": 0},
        }  # fmt: skip
        status, job = await hub.post("/api/v1/jobs", json=body)
        assert status == 201
        told: dict[str, Any] = {}
        while told.get("id") != job["id"] or sum(told["counts"].values()) != 2:
            (told,) = (await jobs.until("diff"))["data"]["jobs"]
        assert told["targets"] == 2
        health, data = await watching(stack, hub, "health")
        assert data["ready"] is True
        assert data["checks"] == {"database": "ok", "broker": "ok", "tasks": "ok"}
        assert {link["name"] for link in data["links"] if link["connected"]} == {"ingest", "telemetry", "command"}
        while not any(task["task"] == "retention" for task in data["upkeep"]):
            data = (await health.until("diff"))["data"]
        assert data["viewers"]["count"] == 3
        alarms, data = await watching(stack, hub, "alarms")
        assert data["total"] == len(data["alarms"])
        _, data = await watching(stack, hub, "summary")
        assert sum(data["lockers"][state] for state in ("online", "offline", "never_seen")) == 2
        del watch, alarms
