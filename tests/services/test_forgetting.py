"""Orders to forget somebody, between a real broker and a real database: kept for long, and naming nobody then."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

import hub.commands.durable
from hub.core.people.erasing import LOCKER_AWAY_MAX
from hub.store.commands import add_forgets
from hub.store.database import Database
from tests.hub.asking import state_of
from tests.hub.contract import Contract
from tests.hub.scene import Scene, eventually, fresh_database, online, rows, scene
from tests.services.conftest import Cluster, MosquittoBroker
from wire.messages import CommandState, Event

pytestmark = pytest.mark.services

Forget = Callable[[list[str], UUID, datetime], Awaitable[int]]

ANNA = uuid4()
QUICK: dict[str, Any] = {"commands_durable_pause_ms_min": 100, "commands_durable_pause_ms_max": 200}


@pytest.fixture
def dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as name:
        yield name


@pytest.fixture
async def forget(dsn: str) -> AsyncIterator[Forget]:
    """As another process does it, with connections of its own."""
    async with Database(dsn, connections_max=2, statement_timeout_ms=5000, connect_timeout_s=5) as store:

        async def forget(lockers: list[str], actor: UUID, at: datetime) -> int:
            async with store.transaction() as conn:
                return await add_forgets(
                    conn, lockers, actor, now=at, expires_at=at + LOCKER_AWAY_MAX, deadline_ms=10_000
                )

        yield forget


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub.commands.durable, "_LOOK_MS", 100.0)


def now() -> datetime:
    return datetime.now(UTC)


async def kept(dsn: str) -> list[tuple[Any, ...]]:
    """Locker, state and whom it names, of all orders to forget."""
    told = "locker_id, state, args ->> 'actor'"
    query = f"SELECT {told} FROM command WHERE kind = 'forget' ORDER BY locker_id, accepted_at"
    return [tuple(row) for row in await asyncio.to_thread(rows, dsn, query)]


async def becomes(dsn: str, *expected: tuple[str, str, str | None]) -> None:
    async def look() -> bool:
        return await kept(dsn) == list(expected)

    await eventually(look, f"orders that stand as {expected}")


async def shown(one: Scene) -> list[dict[str, Any]]:
    """What the API shows of all commands, in memory and from the table; none of it names anybody."""
    status, page = await one.get("/api/v1/commands")
    (await Contract.of(one.http)).check("get", "/api/v1/commands", status, "application/json", page)
    found = [*page["items"]]
    found += [(await one.get(f"/api/v1/commands/{item['id']}"))[1] for item in page["items"]]
    found += (await one.get("/api/v1/lockers/berlin-01"))[1]["commands"]
    assert str(ANNA) not in str(found)
    return [item for item in page["items"] if item["kind"] == "forget"]


async def test_what_another_process_wrote_is_sent_when_the_locker_is_there_and_then_names_nobody(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path, forget: Forget
) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path, **QUICK) as one:
        assert await forget(["berlin-01", "paris-02", "nowhere-09"], ANNA, now()) == 2
        # It may be asked again, as long as it was not sent.
        assert await forget(["berlin-01", "paris-02"], ANNA, now()) == 0
        async with online(one) as locker:
            sent = await locker.command()
            assert (sent.kind, sent.args, sent.actor, sent.door) == ("forget", {"actor": str(ANNA)}, None, None)
            # Refused for its delivery, it comes again; and what was confirmed since has to be told anew.
            await locker.reply(sent.id, CommandState.REJECTED, "expired")
            assert (await locker.command()).id == sent.id
            assert sorted(item["state"] for item in await shown(one)) == ["queued", "sent"]
            assert await forget(["berlin-01"], ANNA, now()) == 1
            # It is for nobody to stop, nor to ask for.
            async with one.http.post(f"/api/v1/commands/{sent.id}/cancel") as response:
                refused = await response.json(content_type=None)
                (await Contract.of(one.http)).check(
                    "post", "/api/v1/commands/{command}/cancel", response.status, response.content_type, refused
                )
            assert (response.status, refused["code"]) == (409, "not_cancellable")
            body = {"kind": "forget", "args": {"actor": str(ANNA)}}
            status, refused = await one.post("/api/v1/lockers/berlin-01/commands", json=body)
            assert (status, refused["code"]) == (422, "bad_command")
            await locker.reply(sent.id, CommandState.SUCCEEDED)
            second = await locker.command()
            while second.id == sent.id:
                second = await locker.command()
            # Its end may come by the ledger just as well.
            told = {"id": str(second.id), "locker": "berlin-01", "kind": "forget", "args": {"left_out": True}}
            data = {"command": told, "state": "succeeded"}
            await locker.events(1, [Event(t=1, at=1, kind="command.finished", command=second.id, data=data)])
            await becomes(
                dsn,
                ("berlin-01", "succeeded", None),
                ("berlin-01", "succeeded", None),
                ("paris-02", "queued", str(ANNA)),
            )
            assert {item["state"] for item in await shown(one)} == {"succeeded", "queued"}
            found = await one.metrics()
            assert found['lockerhub_command_states_total{kind="forget",state="succeeded"}'] == 2
            # A locker that leaves the registry takes its order with it.
            await asyncio.to_thread(rows, dsn, "DELETE FROM locker WHERE id = 'paris-02'")
            await becomes(
                dsn,
                ("berlin-01", "succeeded", None),
                ("berlin-01", "succeeded", None),
                ("paris-02", "expired", None),
            )


async def test_they_outlive_hubs_hold_up_nobody_and_end_with_their_time(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path, forget: Forget
) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path, **QUICK):
        pass
    actors = [UUID(int=number) for number in range(1, 26)]
    for place, actor in enumerate(actors):
        assert await forget(["berlin-01"], actor, now() + timedelta(microseconds=place)) == 1
    few: dict[str, Any] = {**QUICK, "commands_durable_per_locker_max": 1}
    async with scene(mosquitto_broker, dsn, tmp_path, **few) as one, online(one) as locker:
        first = await locker.command()
        assert first.args == {"actor": str(actors[0])}
        # Without an answer it waits, and nothing else does.
        body = {"kind": "configure", "args": {"doors.left_open_s": 60}}
        status, _ = await one.post("/api/v1/lockers/berlin-01/commands", json=body)
        assert status == 202
        while (command := await locker.command()).kind != "configure":
            assert command.id == first.id
        await locker.reply(command.id, CommandState.SUCCEEDED)
        await state_of(one, str(command.id), "succeeded")
    assert await kept(dsn) == [
        ("berlin-01", "queued" if place else "sent", str(actor)) for place, actor in enumerate(actors)
    ]
    query = "SELECT DISTINCT expires_at - accepted_at FROM command WHERE kind = 'forget'"
    assert await asyncio.to_thread(rows, dsn, query) == [(LOCKER_AWAY_MAX,)]
    await asyncio.to_thread(rows, dsn, "UPDATE command SET expires_at = now() WHERE kind = 'forget'")
    async with scene(mosquitto_broker, dsn, tmp_path, **QUICK) as one:
        await becomes(dsn, *[("berlin-01", "expired", None)] * len(actors))
        assert (await one.metrics())["lockerhub_commands_durable"] == 0
