"""Jobs, from the HTTP request to lockers that obey: canaries, aborts, and people who step in."""

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest

from tests.hub.boxes import (
    ALL,
    ALONE,
    ORDER,
    arrived,
    boxes,
    call,
    counted,
    ended,
    fleet,
    make,
    rounds,
    show,
)
from tests.hub.scene import (
    DOORS,
    LOCKERS,
    Scene,
    eventually,
    fresh_database,
    rows,
    scene,
)
from tests.services.conftest import Cluster, MosquittoBroker
from wire.messages import CommandState

pytestmark = pytest.mark.services


ANNA, BEN = {"Authorization": "Bearer anna has a token"}, {"Authorization": "Bearer ben has another"}
MACHINE = {"Authorization": "Bearer x is a machine"}


@pytest.fixture
def dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as name:
        yield name


async def test_every_door_opens_once(mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path) -> None:
    async with (
        boxes(mosquitto_broker) as lockers,
        scene(mosquitto_broker, dsn, tmp_path, **ALONE) as hub,
        fleet(hub, lockers),
    ):
        job = await make(hub, canary={"count": 2})
        assert await ended(hub, job, "done") == {"succeeded": ALL}
        assert [box.opened for box in lockers] == [Counter(range(1, DOORS + 1))] * len(LOCKERS)
        body = await show(hub, job)
        assert [(one["state"], one["operator"]) for one in body["steps"]] == [("done", None), ("running", "local")]
        assert (body["created_by"], body["approval"], body["why"]) == ("local", None, "Every target is settled.")
        first = await call(hub, "get", "targets", job, query="?limit=3")
        rest = await call(hub, "get", "targets", job, query=f"?cursor={first[1]['next_cursor']}&state=succeeded")
        items = first[1]["items"] + rest[1]["items"]
        assert [one["locker"] for one in items] == list(LOCKERS) * DOORS
        assert rest[1]["next_cursor"] is None
        assert sorted(UUID(one["command"]) for one in items) == sorted(
            one for box in lockers for one in box.journal
        )
        for one in items:
            status, command = await hub.get(f"/api/v1/commands/{one['command']}")
            assert (status, command["reason"], command["door"]) == (200, "cleaning", one["door"])
        found = await hub.metrics()
        assert found['lockerhub_job_targets_total{kind="open",state="succeeded"}'] == ALL
        assert found['lockerhub_job_targets_total{kind="open",state="sent"}'] == ALL
        listed = await call(hub, "get", "list")
        assert [one["id"] for one in listed[1]["items"]] == [job]
        told = cli(dsn, "show", job, "--json")
        assert (told["state"], told["counts"]["succeeded"], told["not_well"]) == ("done", ALL, [])
        assert [one["id"] for one in cli(dsn, "list", "--state", "done", "--json")] == [job]


def cli(dsn: str, *words: str) -> Any:  # noqa: ANN401 - JSON
    environment = {**os.environ, "HUB_DATABASE_DSN": dsn}
    return orjson.loads(subprocess.check_output([sys.executable, "-m", "hub", "job", *words], env=environment))


async def test_canaries_stop_a_bad_job(mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path) -> None:
    async with (
        boxes(mosquitto_broker) as lockers,
        scene(mosquitto_broker, dsn, tmp_path, **ALONE) as hub,
        fleet(hub, lockers),
    ):
        lockers[1].ends_as = CommandState.FAILED
        job = await make(hub, canary={"count": 2}, abort_share=0.5)
        assert await ended(hub, job, "aborted") == {"succeeded": 1, "failed": 1, "cancelled": ALL - 2}
        assert (await show(hub, job))["why"] == "1 of 2 canaries failed."
        await rounds(hub)
        assert [len(box.arrived) for box in lockers] == [1, 1]


async def test_failures_stop_a_job(mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path) -> None:
    async with (
        boxes(mosquitto_broker) as lockers,
        scene(mosquitto_broker, dsn, tmp_path, **ALONE, jobs_in_flight_max=1) as hub,
        fleet(hub, lockers),
    ):
        lockers[0].ends_as = CommandState.REJECTED
        job = await make(hub, abort_share=0.5, abort_min_count=2)
        # berlin, paris, berlin: two of three.
        assert await ended(hub, job, "aborted") == {"succeeded": 1, "rejected": 2, "cancelled": ALL - 3}
        assert sum(len(box.arrived) for box in lockers) == 3


async def test_people_pause_resume_and_cancel(mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path) -> None:
    async with (
        boxes(mosquitto_broker) as lockers,
        scene(mosquitto_broker, dsn, tmp_path, **ALONE, jobs_in_flight_max=1) as hub,
        fleet(hub, lockers),
    ):
        first, second = lockers
        first.answers.clear()
        second.answers.clear()
        job = await make(hub)
        await eventually(lambda: arrived(lockers, 1), "the first command")
        status, body = await call(hub, "post", "pause", job)
        assert (status, body["state"]) == (200, "paused")
        assert (await call(hub, "post", "pause", job))[1]["code"] == "job_state"
        # What was sent goes on.
        await first.answer(first.arrived[0])
        await counted(hub, job, succeeded=1, pending=ALL - 1)
        await rounds(hub)
        assert await arrived(lockers, 1)
        assert (await call(hub, "post", "resume", job))[1]["state"] == "running"
        await eventually(lambda: arrived(lockers, 2), "the second command")
        status, body = await call(hub, "post", "cancel", job)
        assert (status, body["state"], body["counts"]["sent"]) == (200, "cancelled", 1)
        await second.answer(second.arrived[0])
        assert await ended(hub, job, "cancelled") == {"succeeded": 2, "cancelled": ALL - 2}
        await rounds(hub)
        assert await arrived(lockers, 2)
        assert [one["state"] for one in (await show(hub, job))["steps"]] == [
            "cancelled", "running", "paused", "running",
        ]  # fmt: skip


@asynccontextmanager
async def two_people(broker: MosquittoBroker, dsn: str, folder: Path, **settings: Any) -> AsyncIterator[Scene]:  # noqa: ANN401
    (folder / "tokens").write_text("anna:anna has a token\nben:ben has another\nmachine.x:x is a machine\n")
    settings = {"commands_open_deadline_ms": 10_000, **settings}
    async with scene(broker, dsn, folder, http_token_file=folder / "tokens", **settings) as hub:
        hub.http.headers.update(ANNA)
        yield hub


async def test_many_doors_need_a_second_person(mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path) -> None:
    async with (
        boxes(mosquitto_broker) as lockers,
        two_people(mosquitto_broker, dsn, tmp_path, jobs_openings_without_approval_max=5) as hub,
        fleet(hub, lockers),
    ):
        job = await make(hub)
        body = await show(hub, job)
        assert (body["state"], body["created_by"], body["approval"]["by"]) == ("waiting_approval", "anna", None)
        status, answer = await call(hub, "post", "approve", job)
        assert (status, answer["code"]) == (403, "second_person_needed")
        status, answer = await call(hub, "post", "approve", job, headers=MACHINE)
        assert (status, answer["code"]) == (403, "second_person_needed")
        await rounds(hub)
        assert await arrived(lockers, 0)
        status, answer = await call(hub, "post", "approve", job, headers=BEN)
        assert (status, answer["state"], answer["approval"]["by"]) == (200, "running", "ben")
        assert await ended(hub, job, "done") == {"succeeded": ALL}
        # Few doors need nobody; but many small jobs count together, for each operator alone.
        few = {"doors": [1], "lockers": ["berlin-01"]}
        for _ in range(5):
            assert await ended(hub, await make(hub, filter=few), "done") == {"succeeded": 1}
        sixth = await make(hub, filter=few)
        assert (await show(hub, sixth))["state"] == "waiting_approval"
        assert (await call(hub, "post", "reject", sixth, headers=BEN))[1]["state"] == "rejected"
        status, other = await call(hub, "post", "create", json={**ORDER, "filter": few}, headers=BEN)
        assert (status, other["state"]) == (201, "running")
        # What opens nothing needs nobody.
        assert (await show(hub, await make(hub, kind="locate", filter={})))["state"] == "running"


async def test_an_approval_has_its_time(mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path) -> None:
    async with two_people(mosquitto_broker, dsn, tmp_path, jobs_approval_s=0.2) as hub:
        job = await make(hub)
        assert await ended(hub, job, "expired") == {"cancelled": ALL}
        assert (await show(hub, job))["why"] == "Nobody approved it in time."
        assert (await call(hub, "post", "approve", job, headers=BEN))[1]["code"] == "job_state"


async def test_where_there_is_no_second_person(mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path) as hub:
        status, answer = await call(hub, "post", "create", json=ORDER)
        assert (status, answer["code"]) == (409, "no_second_person")
        assert "http.token_file" in answer["detail"]
        assert (await call(hub, "get", "list"))[1]["items"] == []
        status, plan = await call(hub, "post", "create", json={**ORDER, "dry_run": True})
        assert (status, plan["targets"], plan["openings"], plan["approval_needed"]) == (200, ALL, ALL, True)
        assert plan["why_not"] == {"locker_offline": ALL}
        assert len(plan["items"]) == ALL


async def test_what_cannot_be_done_is_left_out(mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path) -> None:
    async with (
        boxes(mosquitto_broker) as lockers,
        scene(mosquitto_broker, dsn, tmp_path, **{**ALONE, "jobs_arrival_s": 0}) as hub,
        fleet(hub, lockers[:1]),
    ):
        rows(dsn, "UPDATE door SET in_service = false WHERE number = 3")

        async def out() -> bool:
            return bool((await hub.locker("berlin-01"))["doors"][2]["service"] == "out")

        await eventually(out, "the change in the registry")
        job = await make(hub)
        assert await ended(hub, job, "done") == {"succeeded": DOORS - 1, "skipped": DOORS + 1}
        _, body = await call(hub, "get", "targets", job, query="?state=skipped")
        assert Counter((one["locker"], one["why"]) for one in body["items"]) == {
            ("paris-02", "locker_offline"): DOORS - 1,
            ("paris-02", "door_out_of_service"): 1,
            ("berlin-01", "door_out_of_service"): 1,
        }


async def test_a_door_that_is_busy_is_left_out_and_a_limit_is_waited_for(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with (
        boxes(mosquitto_broker) as lockers,
        scene(mosquitto_broker, dsn, tmp_path, **ALONE, commands_per_locker_per_minute=60) as hub,
        fleet(hub, lockers[:1]),
    ):
        path = "/api/v1/lockers/berlin-01/commands"
        lockers[0].answers.clear()
        status, busy = await hub.post(path, json={"kind": "open", "door": 2})
        assert status == 202
        while (await hub.post(path, json={"kind": "locate"}))[0] == 202:
            lockers[0].opened.clear()
        lockers[0].answers.set()
        job = await make(hub, filter={"lockers": ["berlin-01"], "doors": [1, 2]})
        assert await ended(hub, job, "done") == {"succeeded": 1, "skipped": 1}
        _, body = await call(hub, "get", "targets", job, query="?state=skipped")
        assert [(one["door"], one["why"]) for one in body["items"]] == [(2, "door_busy")]
        found = await hub.metrics()
        assert found['lockerhub_command_requests_total{kind="open",result="rate_limited"}'] >= 1
        assert UUID(busy["id"]) in lockers[0].arrived
        for command in lockers[0].arrived:
            await lockers[0].answer(command)


async def test_durable_kinds_wait_for_their_locker(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    order = {"kind": "configure", "args": {"doors.left_open_s": 60}, "filter": {}}
    async with (
        boxes(mosquitto_broker) as lockers,
        scene(mosquitto_broker, dsn, tmp_path, **ALONE) as hub,
        fleet(hub, lockers[:1]),
    ):
        job = await make(hub, **order)
        await counted(hub, job, succeeded=1, sent=1)
        async with fleet(hub, lockers[1:]):
            assert await ended(hub, job, "done") == {"succeeded": len(LOCKERS)}


async def test_a_key_is_one_job(mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path) -> None:
    async with two_people(mosquitto_broker, dsn, tmp_path) as hub:
        key = {"Idempotency-Key": "monday"}
        answers = await asyncio.gather(*(call(hub, "post", "create", json=ORDER, headers=key) for _ in range(4)))
        assert {(status, body["id"]) for status, body in answers} == {(201, answers[0][1]["id"])}
        status, body = await call(hub, "post", "create", json={**ORDER, "reason": "other"}, headers=key)
        assert (status, body["code"]) == (422, "idempotency_key_reused")
        status, body = await call(hub, "post", "create", json=ORDER, headers={**key, **BEN})
        assert (status, body["id"] == answers[0][1]["id"]) == (201, False)
        first = await call(hub, "get", "list", query="?limit=1&state=waiting_approval")
        rest = await call(hub, "get", "list", query=f"?cursor={first[1]['next_cursor']}")
        assert [one["id"] for one in first[1]["items"] + rest[1]["items"]] == [body["id"], answers[0][1]["id"]]


async def test_so_many_jobs_and_no_more(mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path) -> None:
    settings = {**ALONE, "jobs_arrival_s": 600, "jobs_active_max": 1, "jobs_targets_max": ALL - 1}
    async with scene(mosquitto_broker, dsn, tmp_path, **settings) as hub:
        few = {"lockers": ["berlin-01"], "doors": "all"}
        job = await make(hub, filter=few)
        status, answer = await call(hub, "post", "create", json={**ORDER, "filter": few})
        assert (status, answer["code"]) == (409, "too_many_jobs")
        # Nobody is online yet, and a hub that has just begun leaves nobody out for that.
        await rounds(hub)
        assert (await show(hub, job))["counts"]["pending"] == DOORS
        assert (await call(hub, "post", "cancel", job))[0] == 200
        await make(hub, filter=few)
        status, answer = await call(hub, "post", "create", json=ORDER)
        assert (status, answer["code"]) == (422, "too_many_targets")
