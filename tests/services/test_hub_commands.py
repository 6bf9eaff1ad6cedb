"""Commands, from the HTTP request to a locker that judges them: every refusal and ending, never late or twice."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.hub.asking import OPEN, PATH, Opener, ask, state_of
from tests.hub.scene import (
    Scene,
    agent,
    boot_ms,
    eventually,
    fresh_database,
    obedient,
    online,
    rows,
    scene,
    two_online,
)
from tests.services.conftest import Cluster, MosquittoBroker, free_port
from wire.messages import CommandState, Event, Sample

pytestmark = pytest.mark.services


@pytest.fixture
def dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as name:
        yield name


async def test_wait_for_the_pulse_and_for_the_open_door(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path) as hub, online(hub) as locker:
        async with obedient(hub, locker) as got:
            actor = str(uuid4())
            status, answer = await ask(
                hub, {**OPEN, "reason": "hand-over", "actor": actor, "args": {"ms": 5}}, params={"wait": "pulse"}
            )
            assert (status, answer["state"], answer["outcome"], answer["late"]) == (200, "succeeded", None, False)
            stages = answer["stages_ms"]
            assert list(stages) == ["published", "received", "started", "pulsed", "replied"]
            assert list(stages.values()) == sorted(stages.values())
            (sent,) = got
            assert (str(sent.id), sent.door, sent.reason, str(sent.actor), sent.args) == (
                answer["id"], 3, "hand-over", actor, {"ms": 5},
            )  # fmt: skip
        async with obedient(hub, locker, Opener(locker)):
            status, answer = await ask(hub, params={"wait": "opened"})
            assert (status, answer["state"], answer["outcome"]) == (200, "succeeded", "opened")
            assert answer["stages_ms"]["opened"] > 0
        found = await hub.metrics()
        assert found['lockerhub_command_requests_total{kind="open",result="accepted"}'] == 2
        assert found['lockerhub_command_states_total{kind="open",state="succeeded"}'] == 2
        assert found['lockerhub_command_outcomes_total{outcome="opened"}'] == 1
        assert found["lockerhub_commands_in_flight"] == 0


async def test_without_wait_the_answer_is_202_at_once(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path) as hub, online(hub) as locker:
        status, answer = await ask(hub, {"kind": "locate"})
        assert (status, answer["state"]) == (202, "sent")
        await locker.reply((await locker.command()).id, CommandState.ACCEPTED)
        await state_of(hub, answer["id"], "accepted")
        await locker.reply(UUID(answer["id"]), CommandState.FAILED, "the board does not answer")
        ended = await state_of(hub, answer["id"], "failed")
        assert ended["detail"] == "the board does not answer"
        # A second reply changes nothing.
        await locker.reply(UUID(answer["id"]), CommandState.SUCCEEDED)
        status, other = await ask(hub)
        await locker.reply(UUID(other["id"]), CommandState.SUCCEEDED)
        await state_of(hub, other["id"], "succeeded")
        assert (await state_of(hub, answer["id"], "failed"))["detail"] == "the board does not answer"


async def test_a_door_that_did_not_open_ends_the_wait_too(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path) as hub, online(hub) as locker:
        async with obedient(hub, locker, Opener(locker, "door.open_not_detected", "door.opened", "door.closed")):
            _, answer = await ask(hub, params={"wait": "opened"})
            assert answer["outcome"] in {"open_not_detected", "opened", "closed"}

            async def closed() -> bool:
                _, body = await hub.get(f"/api/v1/commands/{answer['id']}")
                return bool(body["outcome"] == "closed")

            await eventually(closed, "the door closed")
        async with obedient(hub, locker, lambda one: locker.reply(one.id, CommandState.UNKNOWN)):
            status, answer = await ask(hub, params={"wait": "opened"})
            assert (status, answer["state"]) == (200, "unknown")


async def test_a_wait_ends_when_its_time_is_up(mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path, http_wait_s_max=0.05) as hub, online(hub) as locker:
        status, answer = await ask(hub, params={"wait": "pulse"})
        assert (status, answer["state"]) == (202, "sent")
        assert str((await locker.command()).id) == answer["id"]


async def test_refusals(mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path) as hub:
        status, answer = await ask(hub)
        assert (status, answer["code"]) == (409, "locker_offline")
        assert answer["detail"] == "berlin-01 has not been heard; nothing is queued for it."
        async with online(hub) as locker:
            await online_refusals(hub)
            await locker.presence(online=False)

            async def offline() -> bool:
                status, answer = await ask(hub)
                return bool(
                    (status, answer["code"]) == (409, "locker_offline") and "last heard" in answer["detail"]
                )

            async with asyncio.timeout(10):
                async with obedient(hub, locker):
                    await eventually(offline, "offline")


async def online_refusals(hub: Scene) -> None:
    expected: list[tuple[object, str, int, str]] = [
        (OPEN, "/api/v1/lockers/nowhere-03/commands", 404, "locker_unknown"),
        (OPEN, "/api/v1/lockers/BERLIN/commands", 404, "locker_unknown"),
        (OPEN, "/api/v1/lockers/%2e%2e%2fadmin/commands", 404, "locker_unknown"),
        ({"kind": "open", "door": 99}, PATH, 404, "door_unknown"),
        ({"kind": "locate", "door": 99}, PATH, 404, "door_unknown"),
        ({"kind": "open"}, PATH, 422, "bad_command"),
        ({"kind": "explode"}, PATH, 422, "bad_command"),
        ({"kind": "open", "door": 0}, PATH, 422, "bad_command"),
        ({"kind": "open", "door": "3"}, PATH, 422, "bad_command"),
        ({"kind": "open", "door": True}, PATH, 422, "bad_command"),
        ({"kind": "open", "door": 1, "dooor": 1}, PATH, 422, "bad_command"),
        ({"kind": "open", "door": 1, "reason": "x" * 201}, PATH, 422, "bad_command"),
        ({"kind": "open", "door": 1, "reason": "a\nb"}, PATH, 422, "bad_command"),
        ({"kind": "open", "door": 1, "actor": "anna"}, PATH, 422, "bad_command"),
        ({"kind": "open", "door": 1, "args": {"a": [1]}}, PATH, 422, "bad_command"),
        ([], PATH, 422, "bad_command"),
        (None, PATH, 415, "not_json"),
        (OPEN, f"{PATH}?wait=for+it", 400, "bad_request"),
        (OPEN, f"{PATH}?waitt=pulse", 400, "bad_request"),
        (OPEN, f"{PATH}?wait=pulse&wait=opened", 400, "bad_request"),
        ({"kind": "open", "door": 1, "reason": "x" * 100_000}, PATH, 413, "too_large"),
    ]
    for body, path, status, code in expected:
        answered, answer = await ask(hub, body, path)
        assert (answered, answer["code"]) == (status, code), (body, path, answer)
        assert answer["detail"]


async def test_a_door_out_of_service_is_not_opened(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path) as hub, online(hub) as locker:
        rows(dsn, "UPDATE door SET in_service = false, service_reason = 'bent' WHERE number = 3")

        async def out() -> bool:
            return bool((await hub.locker("berlin-01"))["doors"][2]["service"] == "out")

        await eventually(out, "the change in the registry")
        status, answer = await ask(hub)
        assert (status, answer["code"], answer["detail"]) == (
            409,
            "door_out_of_service",
            "Door 3 is out of service: bent.",
        )
        assert (await ask(hub, {"kind": "locate", "door": 3}))[0] == 202
        assert (await locker.command()).kind == "locate"


async def test_one_command_a_door_at_a_time(mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path) as hub, online(hub) as locker:
        _, first = await ask(hub)
        status, answer = await ask(hub)
        assert (status, answer["code"]) == (409, "door_busy")
        assert (await ask(hub, {"kind": "open", "door": 2}))[0] == 202
        await locker.reply(UUID(first["id"]), CommandState.SUCCEEDED)
        await state_of(hub, first["id"], "succeeded")
        assert (await ask(hub))[0] == 202
        assert [(await locker.command()).door for _ in range(3)] == [3, 2, 3]


async def test_too_many_commands_are_refused_with_a_time_to_come_again(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with (
        scene(mosquitto_broker, dsn, tmp_path, commands_per_locker_per_minute=1) as hub,
        online(hub) as locker,
        obedient(hub, locker),
    ):
        answers = [await ask(hub, {"kind": "locate"}) for _ in range(11)]
        assert [status for status, _ in answers] == [202] * 10 + [429]
        assert answers[-1][1]["code"] == "rate_limited"


async def test_a_hub_with_too_many_in_flight_is_busy(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path, commands_in_flight_max=1) as hub, online(hub) as locker:
        _, first = await ask(hub)
        status, answer = await ask(hub, {"kind": "open", "door": 1})
        assert (status, answer["code"]) == (503, "hub_busy")
        await locker.reply(UUID(first["id"]), CommandState.SUCCEEDED)
        await state_of(hub, first["id"], "succeeded")


async def test_a_repeated_key_is_the_same_command_and_never_two(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with (
        scene(mosquitto_broker, dsn, tmp_path) as hub,
        online(hub) as locker,
        obedient(hub, locker) as got,
    ):
        key = {"Idempotency-Key": "parcel 4711"}
        answers = await asyncio.gather(*(ask(hub, headers=key, params={"wait": "pulse"}) for _ in range(5)))
        assert {(status, answer["id"], answer["state"]) for status, answer in answers} == {
            (200, answers[0][1]["id"], "succeeded")
        }
        status, answer = await ask(hub, {"kind": "open", "door": 2}, headers=key)
        assert (status, answer["code"]) == (422, "idempotency_key_reused")
        assert [str(one.id) for one in got] == [answers[0][1]["id"]]
        for bad in ("", "x" * 201):
            status, answer = await ask(hub, headers={"Idempotency-Key": bad})
            assert (status, answer["code"]) == (400, "bad_request")
    async with scene(mosquitto_broker, dsn, tmp_path) as hub, online(hub) as locker:
        # The next hub knows it, and what it was for.
        status, answer = await ask(hub, headers=key, params={"wait": "pulse"})
        assert (status, answer["id"], answer["state"]) == (200, answers[0][1]["id"], "succeeded")
        status, answer = await ask(hub, {"kind": "open", "door": 2}, headers=key)
        assert (status, answer["code"]) == (422, "idempotency_key_reused")
        assert locker.commands.empty()


FAST: dict[str, Any] = {"commands_open_budget_ms": 50, "commands_open_deadline_ms": 100, "commands_grace_ms": 50}


async def test_a_late_reply_still_settles(mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path, **FAST) as hub, online(hub) as locker:
        status, answer = await ask(hub, params={"wait": "pulse"})
        assert (status, answer["state"], answer["late"]) == (200, "timed_out", False)
        # The door is free again: what was sent can no longer act.
        assert (await ask(hub))[0] == 202
        await locker.reply(UUID(answer["id"]), CommandState.SUCCEEDED)
        ended = await state_of(hub, answer["id"], "succeeded")
        assert ended["late"] is True
        budget = 'lockerhub_command_budget_missed_total{command_class="instant",stage="replied"}'
        assert (await hub.metrics())[budget] == 1


async def test_a_deadline_that_has_passed_on_the_lockers_clock_opens_nothing(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    """Its presence was ten seconds on the way: the hub's idea of its clock is early, which is the safe side."""
    async with (
        scene(mosquitto_broker, dsn, tmp_path) as hub,
        online(hub, behind_ms=10_000) as locker,
        obedient(hub, locker) as got,
    ):
        status, answer = await ask(hub, params={"wait": "opened"})
        assert (status, answer["state"], answer["detail"]) == (200, "rejected", "too late")
        assert got[0].not_after < boot_ms()


async def test_a_deadline_is_never_after_the_promised_time(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with (
        scene(mosquitto_broker, dsn, tmp_path) as hub,
        online(hub) as locker,
        obedient(hub, locker) as got,
    ):
        for _ in range(10):
            await ask(hub, {"kind": "locate"}, params={"wait": "pulse"})
            assert got[-1].not_after <= boot_ms() + hub.config.commands.open_deadline_ms


async def test_a_forged_clock_makes_no_deadline_late(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    """Somebody on the line adds hours to what a locker says of its boot clock, over every link there is."""
    async with (
        scene(mosquitto_broker, dsn, tmp_path) as hub,
        online(hub) as locker,
        obedient(hub, locker) as got,
    ):
        locker.behind_ms = -6 * 3_600_000
        await locker.presence(session=2)
        await locker.telemetry([Sample(t=1)])
        await locker.events(1, [Event(t=boot_ms(), at=1, kind="tamper.on")])
        await locker.reply(uuid4(), CommandState.FAILED)

        async def all_noticed() -> bool:
            return (await hub.metrics())["lockerhub_clock_leaps_total"] == 4

        await eventually(all_noticed, "four messages that are not possible")
        locker.behind_ms = 0
        _, answer = await ask(hub, params={"wait": "pulse"})
        assert answer["state"] == "succeeded"
        assert got[-1].not_after <= boot_ms() + hub.config.commands.open_deadline_ms
        # And what the forged messages brought did not happen six hours ago.
        query = "SELECT extract(epoch FROM received_at - occurred_at), time_source FROM event"
        assert rows(dsn, query) == [(0, "receipt")]
        ((age_s, source),) = rows(dsn, query.replace("occurred_at", "sampled_at").replace("event", "reading"))
        assert source == "order"
        assert 0 <= age_s < 60


async def test_another_boot_is_told_apart(mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path) as hub, online(hub) as locker, obedient(hub, locker):
        locker.boot = uuid4()
        status, answer = await ask(hub, params={"wait": "pulse"})
        assert (status, answer["state"], answer["detail"]) == (200, "rejected", "of another boot")
        # The refusal itself carried the new boot.
        _, answer = await ask(hub, params={"wait": "pulse"})
        assert answer["state"] == "succeeded"


async def test_a_reply_of_another_locker_settles_nothing(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with two_online(mosquitto_broker, dsn, tmp_path) as (hub, locker, other):
        _, answer = await ask(hub)
        await other.reply(UUID(answer["id"]), CommandState.SUCCEEDED)
        await other.events(1, [Event(t=1, at=1, kind="door.opened", door=3, command=UUID(answer["id"]))])
        assert (await other.receipt()).upto == 1
        assert (await state_of(hub, answer["id"], "sent"))["outcome"] is None
        await locker.reply(UUID(answer["id"]), CommandState.SUCCEEDED)
        await state_of(hub, answer["id"], "succeeded")


async def test_a_command_is_found_in_the_database_after_a_restart(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path) as hub, online(hub) as locker:
        async with obedient(hub, locker, Opener(locker)):
            _, answer = await ask(hub, params={"wait": "opened"})
        before = await state_of(hub, answer["id"], "succeeded")
    async with scene(mosquitto_broker, dsn, tmp_path) as hub:
        assert await state_of(hub, answer["id"], "succeeded") == before
        assert [one["id"] for one in (await hub.locker("berlin-01"))["commands"]] == [answer["id"]]
        for unknown in (str(uuid4()), "nothing"):
            status, refused = await hub.get(f"/api/v1/commands/{unknown}")
            assert (status, refused["code"]) == (404, "command_unknown")


async def test_a_draining_hub_takes_no_commands(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path) as hub, online(hub):
        await hub.hub.instant.drain(1)
        status, answer = await ask(hub)
        assert (status, answer["code"]) == (503, "draining")


class Wire:
    """What lies between the hub and the broker, to be cut."""

    def __init__(self, broker: MosquittoBroker) -> None:
        self.port = free_port()
        self._broker = broker
        self._server: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._join, "127.0.0.1", self.port)

    async def cut(self) -> None:
        assert self._server is not None
        self._server.close()
        for end in list(self._ends):
            end.transport.abort()
        await self._server.wait_closed()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._broker.host, self._broker.port)
        self._ends |= {writer, back}
        with contextlib.suppress(ConnectionError):
            await asyncio.gather(self._carry(reader, back), self._carry(there, writer))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.transport.abort()
        self._ends.discard(writer)


async def test_without_the_broker_commands_are_refused_and_the_link_comes_back(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    between = Wire(mosquitto_broker)
    await between.mend()
    async with scene(mosquitto_broker, dsn, tmp_path, mqtt_port=between.port) as hub, online(hub) as locker:
        await between.cut()

        async def cut() -> bool:
            return bool((await ask(hub))[1].get("code") == "broker_unavailable")

        await eventually(cut, "503")
        status, ready = await hub.get("/readyz")
        assert (status, ready["checks"]["database"]) == (503, "ok")
        assert "link to the broker is down" in ready["checks"]["broker"]
        assert locker.commands.qsize() <= 1
        await between.mend()

        async def mended() -> bool:
            return (await hub.get("/readyz"))[0] == 200

        await eventually(mended, "both links")
        while not locker.commands.empty():
            locker.commands.get_nowait()
        async with obedient(hub, locker):
            status, answer = await ask(hub, {"kind": "locate"}, params={"wait": "pulse"})
            assert (status, answer["state"]) == (200, "succeeded")
        connects = await hub.metrics()
        assert connects['lockerhub_mqtt_connects_total{link="command"}'] == 2
    await between.cut()


async def test_bad_replies_are_quarantined(mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path) -> None:
    async with (
        scene(mosquitto_broker, dsn, tmp_path) as hub,
        online(hub) as locker,
        agent(mosquitto_broker, "nowhere-03") as stranger,
    ):
        topic = "lh/v1/zz/berlin-01/replies"
        await locker.client.publish(topic, b"{}", qos=1)
        await stranger.reply(uuid4(), CommandState.SUCCEEDED)
        assert [row[0] for row in await eventually(lambda: hub.quarantined(topic), topic)] == ["topic"]
        found = await eventually(
            lambda: asyncio.to_thread(
                rows, dsn, "SELECT reason FROM quarantine WHERE topic LIKE %s", "%nowhere-03/replies"
            ),
            "the stranger's reply",
        )
        assert found == [("locker_unknown",)]
