"""How commands end: by reply or ledger, once; over a restart of the hub, a lost row, a cancellation."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from msgspec import structs

from tests.hub.asking import BRIEF, ask, cancel, state_of
from tests.hub.scene import boot_ms, eventually, fresh_database, obedient, online, rows, scene
from tests.services.conftest import Cluster, MosquittoBroker
from wire.messages import Command, CommandState, Event

pytestmark = pytest.mark.services


@pytest.fixture
def dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as name:
        yield name


async def test_a_key_whose_row_was_lost_is_answered_by_its_locker(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    key = {"Idempotency-Key": "parcel 4711"}
    async with scene(mosquitto_broker, dsn, tmp_path) as hub, online(hub) as locker, obedient(hub, locker):
        _, first = await ask(hub, headers=key, params={"wait": "pulse"})
    # Killed before the row was written: the locker's journal is all that knows the command.
    rows(dsn, "DELETE FROM command")
    async with scene(mosquitto_broker, dsn, tmp_path) as hub, online(hub) as locker:

        async def remember(command: Command) -> None:
            assert str(command.id) == first["id"]
            if command.door == 3:
                await locker.reply(command.id, CommandState.SUCCEEDED)
            else:
                await locker.reply(command.id, CommandState.REJECTED, "id_reused")

        other = {"kind": "open", "door": 2}
        async with obedient(hub, locker, remember):
            status, refused = await ask(hub, other, headers=key, params={"wait": "pulse"})
            assert (status, refused["code"]) == (422, "idempotency_key_reused")
            ended = await state_of(hub, first["id"], "rejected")
            assert (ended["detail"], ended["door"]) == ("id_reused", 2)
    rows(dsn, "DELETE FROM command")
    async with (
        scene(mosquitto_broker, dsn, tmp_path) as hub,
        online(hub) as locker,
        obedient(hub, locker, remember),
    ):
        status, again = await ask(hub, headers=key, params={"wait": "pulse"})
        assert (status, again["id"], again["state"]) == (200, first["id"], "succeeded")


async def test_what_was_in_flight_when_the_hub_was_stopped_can_still_be_settled(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path, **BRIEF) as hub, online(hub):
        _, answer = await ask(hub)
    # As after kill -9: the row says that it was sent, and nothing more.
    rows(dsn, "UPDATE command SET state = 'sent', accepted_at = now()")
    async with scene(mosquitto_broker, dsn, tmp_path, **BRIEF) as hub, online(hub) as locker:
        await state_of(hub, answer["id"], "timed_out")
        status, said = await ask(hub, {"kind": "open", "door": 3})
        assert status == 202, said
        await locker.reply(UUID(answer["id"]), CommandState.SUCCEEDED)
        assert (await state_of(hub, answer["id"], "succeeded"))["late"] is True


def finished(command: Command, state: str, reason: str | None = None) -> Event:
    """What the locker's ledger says of a command's end."""
    told = msgspec.to_builtins(command)
    told.pop("sig", None)
    data = {"command": told, "state": state, "stages": {"received_t": boot_ms(), "pulsed_us": 200}}
    if reason is not None:
        data["reason"] = reason
    return Event(
        t=1, at=1, kind="command.finished", door=command.door, command=command.id, actor=command.actor, data=data
    )


async def test_the_ledger_and_the_reply_settle_a_command_whichever_is_first(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path) as hub, online(hub) as locker:
        answers = []
        for place, door in enumerate((3, 4)):
            _, answer = await ask(hub, {"kind": "open", "door": door})
            command = await locker.command()
            if door == 3:
                await locker.events(place + 1, [finished(command, "succeeded")])
                answers.append(await state_of(hub, answer["id"], "succeeded"))
                await locker.reply(command.id, CommandState.FAILED, "second")
            else:
                await locker.reply(command.id, CommandState.SUCCEEDED)
                answers.append(await state_of(hub, answer["id"], "succeeded"))
                await locker.events(place + 1, [finished(command, "failed", "second")])
        assert {"pulsed", "replied"} <= answers[0]["stages_ms"].keys()
        assert (await locker.receipt()).upto == 1
        assert (await locker.receipt()).upto == 2
        for answer in answers:
            assert await state_of(hub, answer["id"], "succeeded") == answer
        found = await hub.metrics()
        assert found['lockerhub_command_from_ledger_total{what="settled"}'] == 1
        assert found['lockerhub_command_states_total{kind="open",state="succeeded"}'] == 2


async def test_a_command_that_no_hub_knows_is_written_from_its_ledger(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path) as hub, online(hub) as locker:
        told = Command(
            v=1, id=uuid4(), locker="berlin-01", kind="open", door=3, boot=uuid4(), not_after=5, reason="lost",
            actor=uuid4(), args={"ms": 5},
        )  # fmt: skip
        of_another = structs.replace(told, id=uuid4(), locker="paris-02")
        cancel = structs.replace(told, id=uuid4(), kind="cancel", args={"command": str(told.id)})
        await locker.events(
            1,
            [
                finished(told, "succeeded"),
                Event(t=1, at=1, kind="door.opened", door=3, command=told.id),
                Event(t=1, at=1, kind="door.closed", door=3, command=told.id),
                Event(t=1, at=1, kind="door.opened", door=3, command=told.id),
                finished(of_another, "rejected", "wrong_locker"),
                finished(cancel, "succeeded"),
                Event(t=1, at=1, kind="command.finished", command=uuid4(), data={"command": 5}),
            ],
        )
        assert (await locker.receipt()).upto == 7

        async def closed() -> dict[str, Any]:
            status, body = await hub.get(f"/api/v1/commands/{told.id}")
            return body if status == 200 and body["outcome"] == "closed" else {}

        body = await eventually(closed, "the row")
        assert (body["state"], body["class"], body["door"], body["reason"]) == ("succeeded", "instant", 3, "lost")
        assert (body["actor"], body["args"]) == (str(told.actor), {"ms": 5})
        assert [row[0] for row in rows(dsn, "SELECT id FROM command")] == [told.id]
        # Its door is free, nothing was sent, and nothing is in flight.
        assert locker.commands.empty()
        assert (await hub.metrics())["lockerhub_commands_in_flight"] == 0


async def test_cancel_in_flight_is_asked_once_and_told_by_the_reply(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path, **BRIEF) as hub, online(hub) as locker:
        _, answer = await ask(hub)
        await locker.command()
        for _ in range(2):
            status, body = await cancel(hub, answer["id"])
            assert (status, body["state"], body["cancel_requested"]) == (202, "sent", True)
        asked = await locker.command()
        assert (asked.kind, asked.args) == ("cancel", {"command": answer["id"]})
        await locker.reply(UUID(answer["id"]), CommandState.REJECTED, "cancelled")
        await state_of(hub, answer["id"], "cancelled")
        assert locker.commands.empty()
        status, body = await cancel(hub, answer["id"])
        assert (status, body["code"]) == (409, "already_settled")
        _, answer = await ask(hub)
        await state_of(hub, answer["id"], "timed_out")
        status, body = await cancel(hub, answer["id"])
        assert (status, body["code"]) == (409, "too_late")
        # One of long ago, of which this hub has the row only.
        await asyncio.to_thread(
            rows, dsn, "INSERT INTO command (id, locker_id, kind, accepted_at, deadline_ms, state, late, stages_ms)"
            " VALUES (%s, 'berlin-01', 'locate', '2026-01-01', 2000, 'timed_out', false, '{}')", UUID(int=5),
        )  # fmt: skip
        status, body = await cancel(hub, str(UUID(int=5)))
        assert (status, body["code"]) == (409, "too_late")


async def test_the_fleet_opens_so_many_doors_a_minute(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        scene(mosquitto_broker, dsn, tmp_path, commands_openings_fleet_per_minute=1) as hub,
        online(hub) as locker,
        obedient(hub, locker),
    ):
        answers = [await ask(hub, params={"wait": "pulse"}) for _ in range(12)]
        assert [status for status, _ in answers] == [200] * 10 + [429] * 2
        assert "openings_fleet_per_minute" in answers[-1][1]["detail"]
        # What opens no door is not held up.
        assert (await ask(hub, {"kind": "locate"}))[0] == 202
        assert (await hub.metrics())["lockerhub_command_openings_limited_total"] == 2
        assert sum("faster than the fleet may" in record.message for record in caplog.records) == 1
