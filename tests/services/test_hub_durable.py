"""Durable commands between a real broker and a real database: kept, delivered, resumed, expired, cancelled."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.hub.contract import Contract
from tests.hub.scene import Scene, boot_ms, eventually, fresh_database, online, rows, scene, two_online
from tests.services.conftest import Cluster, MosquittoBroker
from wire.messages import Command, CommandState, Event

pytestmark = pytest.mark.services

PATH = "/api/v1/lockers/berlin-01/commands"
CONFIGURE: dict[str, Any] = {"kind": "configure", "args": {"doors.left_open_s": 60}}
QUICK: dict[str, Any] = {"commands_durable_pause_ms_min": 100, "commands_durable_pause_ms_max": 200}


WHY = ["bad_settings: n", None, "bad_settings", None, "not in the mood"]


@pytest.fixture
def dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as name:
        yield name


async def ask(hub: Scene, body: object = CONFIGURE, **options: Any) -> tuple[int, Any]:  # noqa: ANN401 - JSON
    return await checked(hub, PATH, "/api/v1/lockers/{locker}/commands", json=body, **options)


async def cancel(hub: Scene, command: str) -> tuple[int, Any]:
    return await checked(hub, f"/api/v1/commands/{command}/cancel", "/api/v1/commands/{command}/cancel")


async def checked(hub: Scene, path: str, route: str, **options: Any) -> tuple[int, Any]:  # noqa: ANN401 - JSON
    """Ask, and hold the answer against the documented contract."""
    async with hub.http.post(path, **options) as response:
        answer = await response.json(content_type=None)
        (await Contract.of(hub.http)).check("post", route, response.status, response.content_type, answer)
        return response.status, answer


async def reaches(hub: Scene, command: str, state: str) -> dict[str, Any]:
    async def look() -> dict[str, Any]:
        _, body = await hub.get(f"/api/v1/commands/{command}")
        return body if body["state"] == state else {}

    return await eventually(look, f"a command that is {state}")


def stored(dsn: str, command: str) -> Any:  # noqa: ANN401 - a row
    query = "SELECT state, class, args, attempts, cancel_requested FROM command WHERE id = %s"
    return rows(dsn, query, UUID(command))[0]


async def test_it_waits_for_its_locker_and_is_signed_when_it_is_sent(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path) as hub:
        status, answer = await ask(hub)
        assert (status, answer["state"], answer["class"], answer["attempts"]) == (202, "queued", "durable", 0)
        assert stored(dsn, answer["id"]) == ("queued", "durable", CONFIGURE["args"], 0, False)
        async with online(hub) as locker:
            command = await locker.command()
            assert (str(command.id), command.kind, command.args) == (answer["id"], "configure", CONFIGURE["args"])
            assert command.boot == locker.boot
            assert boot_ms() < command.not_after <= boot_ms() + hub.config.commands.durable_deadline_ms
            assert stored(dsn, answer["id"])[0] == "sent"
            await locker.reply(command.id, CommandState.SUCCEEDED)
            ended = await reaches(hub, answer["id"], "succeeded")
            assert (ended["attempts"], ended["detail"], ended["late"]) == (1, None, False)
            assert ended["stages_ms"]["replied"] > 0
        found = await hub.metrics()
        assert found["lockerhub_commands_durable"] == 0
        assert found['lockerhub_command_deliveries_total{act="deliver",result="sent"}'] == 1
        assert found['lockerhub_command_states_total{kind="configure",state="succeeded"}'] == 1


async def test_it_is_sent_again_until_there_is_an_end(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path, **QUICK) as hub, online(hub) as locker:
        _, answer = await ask(hub, {"kind": "restart"})
        first = await locker.command()
        # A refusal of the delivery is no end, and neither is silence.
        await locker.reply(first.id, CommandState.REJECTED, "expired")
        second = await locker.command()
        await locker.reply(second.id, CommandState.REJECTED, "wrong_boot")
        third = await locker.command()
        assert first.id == second.id == third.id == UUID(answer["id"])
        assert first.not_after < second.not_after < third.not_after
        await locker.reply(third.id, CommandState.ACCEPTED)
        await reaches(hub, answer["id"], "accepted")
        assert (await locker.command()).id == third.id
        await locker.reply(third.id, CommandState.SUCCEEDED)
        assert (await reaches(hub, answer["id"], "succeeded"))["attempts"] >= 4


@pytest.mark.parametrize("left", ["queued", "sent", "accepted"])
async def test_the_next_hub_goes_on_from_whatever_state_it_was_left_in(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path, left: str
) -> None:
    key = {"Idempotency-Key": "night settings"}
    async with scene(mosquitto_broker, dsn, tmp_path) as hub:
        if left == "queued":
            _, answer = await ask(hub, headers=key)
        else:
            async with online(hub) as locker:
                _, answer = await ask(hub, headers=key)
                command = await locker.command()
                if left == "accepted":
                    await locker.reply(command.id, CommandState.ACCEPTED)
                await reaches(hub, answer["id"], left)
    async with scene(mosquitto_broker, dsn, tmp_path, **QUICK) as hub:
        assert (await reaches(hub, answer["id"], left))["accepted_at"] == answer["accepted_at"]
        # The key still stands for it, and for nothing else.
        status, again = await ask(hub, headers=key)
        assert (status, again["id"], again["state"]) == (202, answer["id"], left)
        status, other = await ask(hub, {"kind": "restart"}, headers=key)
        assert (status, other["code"]) == (422, "idempotency_key_reused")
        async with online(hub) as locker:
            assert str((await locker.command()).id) == answer["id"]
            await locker.reply(UUID(answer["id"]), CommandState.SUCCEEDED)
            await reaches(hub, answer["id"], "succeeded")
        status, again = await ask(hub, headers=key, params={"wait": "pulse"})
        assert (status, again["id"], again["state"]) == (200, answer["id"], "succeeded")
        assert len(rows(dsn, "SELECT id FROM command")) == 1


async def test_a_repeated_key_is_the_same_command_and_never_two(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    # Nothing is sent again by itself meanwhile, however slow the machine: what came would be of a repeated request.
    patient: dict[str, Any] = {"commands_durable_pause_ms_min": 60_000, "commands_durable_pause_ms_max": 60_000}
    async with scene(mosquitto_broker, dsn, tmp_path, **patient) as hub, online(hub) as locker:
        key = {"Idempotency-Key": "night settings"}
        answers = await asyncio.gather(*(ask(hub, headers=key) for _ in range(5)))
        assert {(status, answer["id"]) for status, answer in answers} == {(202, answers[0][1]["id"])}
        command = await locker.command()
        status, other = await ask(hub, {"kind": "open", "door": 3}, headers=key)
        assert (status, other["code"]) == (422, "idempotency_key_reused")
        await locker.reply(command.id, CommandState.SUCCEEDED)
        await reaches(hub, answers[0][1]["id"], "succeeded")
        # Its end is in the database only, and the key stands for it all the same.
        status, other = await ask(hub, {"kind": "restart"}, headers=key)
        assert (status, other["code"]) == (422, "idempotency_key_reused")
        assert locker.commands.empty()
        assert len(rows(dsn, "SELECT id FROM command")) == 1
        found = await hub.metrics()
        assert found['lockerhub_command_requests_total{kind="configure",result="accepted"}'] == 1
        assert found['lockerhub_command_requests_total{kind="configure",result="repeated"}'] == 4


async def test_another_lockers_word_ends_nothing(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with two_online(mosquitto_broker, dsn, tmp_path) as (hub, locker, other):
        _, answer = await ask(hub)
        await locker.command()
        await other.reply(UUID(answer["id"]), CommandState.FAILED)
        told = {"id": answer["id"], "locker": "paris-02", "kind": "configure"}
        forged = Event(
            t=1,
            at=1,
            kind="command.finished",
            command=UUID(answer["id"]),
            data={"command": told, "state": "failed"},
        )
        await other.events(1, [forged])
        assert (await other.receipt()).upto == 1
        await locker.reply(UUID(answer["id"]), CommandState.SUCCEEDED)
        await reaches(hub, answer["id"], "succeeded")


async def test_in_order_and_one_at_a_time(mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path, commands_durable_per_locker_max=5) as hub:
        asked = [(await ask(hub, {**CONFIGURE, "args": {"n": n}}))[1]["id"] for n in range(5)]
        status, answer = await ask(hub)
        assert (status, answer["code"]) == (409, "locker_queue_full")
        async with online(hub) as locker:
            got = []
            for n in range(5):
                command = await locker.command()
                assert locker.commands.empty()
                waiting = rows(dsn, "SELECT count(*) FROM command WHERE state = 'queued'")[0][0]
                assert waiting == 4 - n
                await locker.reply(command.id, CommandState.SUCCEEDED if n % 2 else CommandState.REJECTED, WHY[n])
                got.append(str(command.id))
            assert got == asked
            await reaches(hub, asked[-1], "rejected")
        status, listed = await hub.get("/api/v1/commands?class=durable&state=succeeded&locker=berlin-01")
        assert (status, [one["id"] for one in listed["items"]]) == (200, [asked[3], asked[1]])
        found = await hub.metrics()
        assert found['lockerhub_command_rejections_total{kind="configure",reason="bad_settings"}'] == 2
        assert found['lockerhub_command_rejections_total{kind="configure",reason="other"}'] == 1


async def test_pages_of_the_list(mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path, commands_durable_fleet_max=3) as hub:
        asked = [(await ask(hub))[1] for _ in range(3)]
        status, answer = await ask(hub)
        assert (status, answer["code"]) == (503, "hub_busy")
        ids: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            status, page = await hub.get(f"/api/v1/commands?limit=2{cursor and f'&cursor={cursor}'}")
            (await Contract.of(hub.http)).check("get", "/api/v1/commands", status, "application/json", page)
            ids += [one["id"] for one in page["items"]]
            cursor = page["next_cursor"]
        assert ids == [one["id"] for one in reversed(asked)]
        since = asked[1]["accepted_at"].replace("+", "%2B")
        assert len((await hub.get(f"/api/v1/commands?since={since}"))[1]["items"]) == 2
        for nothing in ("locker=paris-02", "class=instant", "state=sent"):
            assert (await hub.get(f"/api/v1/commands?{nothing}"))[1]["items"] == []
        for bad in ("state=asleep", "class=first", "cursor=%20"):
            assert (await hub.get(f"/api/v1/commands?{bad}"))[0] == 400


async def test_what_was_never_sent_expires(mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path) as hub:
        _, answer = await ask(hub, {**CONFIGURE, "expires_s": 1})
        ended = await reaches(hub, answer["id"], "expired")
        assert ended["detail"] == "its time was over before it could be sent"
        async with online(hub) as locker:
            _, other = await ask(hub, {"kind": "restart"})
            assert str((await locker.command()).id) == other["id"]


async def test_what_was_sent_expires_only_when_its_locker_says_so(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path, **QUICK) as hub, online(hub) as locker:
        _, answer = await ask(hub, {**CONFIGURE, "expires_s": 1.5})
        await locker.command()
        await locker.presence(online=False)

        async def told() -> dict[str, Any]:
            _, body = await hub.get(f"/api/v1/commands/{answer['id']}")
            return body if body["detail"] else {}

        body = await eventually(told, "its time to be over")
        assert (body["state"], "has not said" in body["detail"]) == ("sent", True)
        while not locker.commands.empty():
            assert locker.commands.get_nowait().kind == "configure"
        await locker.presence(session=2)
        first, second = await locker.command(), await locker.command()
        assert (first.kind, second.kind) == ("cancel", "cancel")
        assert first.args == second.args == {"command": answer["id"]}
        assert first.id != second.id
        await locker.reply(UUID(answer["id"]), CommandState.REJECTED, "cancelled")
        ended = await reaches(hub, answer["id"], "expired")
        assert ended["detail"] == "the locker confirms that it never began"


async def test_cancel_before_it_was_sent(mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path) as hub:
        _, answer = await ask(hub)
        status, cancelled = await cancel(hub, answer["id"])
        assert (status, cancelled["state"], cancelled["cancel_requested"]) == (200, "cancelled", True)
        assert stored(dsn, answer["id"])[0] == "cancelled"
        status, again = await cancel(hub, answer["id"])
        assert (status, again["code"]) == (409, "already_settled")
        for unknown in ("nothing", str(UUID(int=1))):
            status, refused = await cancel(hub, unknown)
            assert (status, refused["code"]) == (404, "command_unknown")
        async with online(hub) as locker:
            _, other = await ask(hub, {"kind": "restart"})
            assert str((await locker.command()).id) == other["id"]


@pytest.mark.parametrize("said", ["cancelled", "succeeded"])
async def test_cancel_after_it_was_sent(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path, said: str
) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path, **QUICK) as hub, online(hub) as locker:
        _, answer = await ask(hub)
        await locker.command()
        status, asked = await cancel(hub, answer["id"])
        assert (status, asked["state"], asked["cancel_requested"]) == (202, "sent", True)
        assert (await cancel(hub, answer["id"]))[0] == 202

        async def next_cancel() -> Command:
            while (command := await locker.command()).kind != "cancel":
                pass
            return command

        assert (await next_cancel()).args == (await next_cancel()).args == {"command": answer["id"]}
    # It was not answered before the hub was stopped; the next one asks again.
    async with scene(mosquitto_broker, dsn, tmp_path, **QUICK) as hub, online(hub) as locker:
        assert (await locker.command()).args == {"command": answer["id"]}
        if said == "cancelled":
            await locker.reply(UUID(answer["id"]), CommandState.REJECTED, "cancelled")
        else:
            await locker.reply(UUID(answer["id"]), CommandState.SUCCEEDED)
        await reaches(hub, answer["id"], said)
        status, again = await cancel(hub, answer["id"])
        assert (status, again["code"]) == (409, "already_settled" if said == "cancelled" else "too_late")


async def test_the_ledger_settles_it_too(mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path) as hub, online(hub) as locker:
        _, answer = await ask(hub)
        command = await locker.command()
        told = {"id": str(command.id), "locker": "berlin-01", "kind": "configure", "args": command.args}
        refused = {"command": told, "state": "rejected", "reason": "wrong_boot"}
        done = {"command": told, "state": "succeeded"}
        events = [
            Event(t=1, at=1, kind="command.finished", command=command.id, data=data) for data in (refused, done)
        ]
        await locker.events(1, events)
        assert (await reaches(hub, answer["id"], "succeeded"))["args"] == command.args


async def test_without_the_database_nothing_is_kept_or_sent(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    short: dict[str, Any] = {"database_connect_timeout_s": 1, "database_statement_timeout_ms": 1000}
    async with scene(mosquitto_broker, dsn, tmp_path, **QUICK, **short) as hub, online(hub) as locker:
        _, before = await ask(hub)
        await locker.command()
        database = dsn.rsplit("/", 1)[1]
        admin = dsn.replace(database, "postgres")
        await asyncio.to_thread(rows, admin, f"ALTER DATABASE {database} ALLOW_CONNECTIONS false")
        await asyncio.to_thread(
            rows, admin, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", database
        )
        key = {"Idempotency-Key": "again"}
        for _ in range(2):
            status, refused = await ask(hub, {"kind": "restart"}, headers=key)
            assert (status, refused["code"]) == (503, "database_unavailable")
        status, refused = await cancel(hub, before["id"])
        assert (status, refused["code"]) == (503, "database_unavailable")
        # What the locker says meanwhile is kept until it can be written.
        await locker.reply(UUID(before["id"]), CommandState.SUCCEEDED)
        await asyncio.to_thread(rows, admin, f"ALTER DATABASE {database} ALLOW_CONNECTIONS true")
        await reaches(hub, before["id"], "succeeded")

        async def taken() -> dict[str, Any]:
            status, answer = await ask(hub, {"kind": "restart"}, headers=key)
            return answer if status == 202 else {}

        answer = await eventually(taken, "the same request")
        while (command := await locker.command()).kind != "restart":
            pass
        assert str(command.id) == answer["id"]
        await locker.reply(command.id, CommandState.SUCCEEDED)
        await reaches(hub, answer["id"], "succeeded")
        assert len(rows(dsn, "SELECT id FROM command")) == 2


async def test_refusals(mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path) as hub:
        for bad in (
            {"kind": "configure"},
            {"kind": "configure", "args": {}},
            {"kind": "configure", "args": {"a": 2**64}},
            {"kind": "configure", "args": {"a": "\0"}},
            {"kind": "configure", "args": {"a": "x" * 5000}},
            {"kind": "restart", "door": 1},
            {"kind": "restart", "expires_s": 0},
            {"kind": "restart", "expires_s": 31 * 86_400},
            {"kind": "locate", "expires_s": 60},
            {"kind": "cancel", "args": {"command": str(UUID(int=1))}},
        ):
            status, answer = await ask(hub, bad)
            assert (status, answer["code"]) == (422, "bad_command"), bad
        nowhere = "/api/v1/lockers/nowhere-03/commands"
        async with hub.http.post(nowhere, json=CONFIGURE) as response:
            assert (response.status, (await response.json(content_type=None))["code"]) == (404, "locker_unknown")
        assert rows(dsn, "SELECT id FROM command") == []
