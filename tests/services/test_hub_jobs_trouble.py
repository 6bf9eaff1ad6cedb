"""Jobs under trouble: hubs that stop, databases that are away, two hubs at once; and no door opens twice."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest

from hub.core.jobs import JobState, JobStep, Objection, TargetState
from hub.core.targets import Target
from hub.errors import StoreUnavailable
from hub.store.database import Database
from hub.store.jobs import JobChange, JobLedger, JobRow, JobStore, LeaseLost, Result
from tests.hub.boxes import (
    ALL,
    ALONE,
    BRIEF,
    Box,
    arrived,
    boxes,
    call,
    ended,
    fleet,
    make,
    never_twice,
    rounds,
    show,
)
from tests.hub.scene import (
    LOCKERS,
    eventually,
    fresh_database,
    rows,
    scene,
)
from tests.services.conftest import Cluster, MosquittoBroker

pytestmark = pytest.mark.services


@pytest.fixture
def dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as name:
        yield name


async def test_a_hub_that_is_started_again_goes_on_and_opens_no_door_twice(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with boxes(mosquitto_broker) as lockers:
        async with (
            scene(mosquitto_broker, dsn, tmp_path, **BRIEF, jobs_in_flight_max=2) as hub,
            fleet(hub, lockers),
        ):
            lockers[1].answers.clear()
            job = await make(hub, abort_min_count=100)
            paused = await make(hub, abort_min_count=100)
            await call(hub, "post", "pause", paused)
            await eventually(lambda: has(lockers[1], 2), "two commands under way")
        # The first hub is gone with commands that nobody has answered. One more row says `sent`, but its command
        # never left: the hub had died between the two. And of one that did, nothing else had been written yet.
        rows(dsn, "UPDATE job_target SET state = 'sent', sent_at = now() WHERE job_id = %s AND place = 6", job)
        lost = lockers[1].arrived[0]
        assert rows(dsn, "SELECT state FROM job_target WHERE command_id = %s", lost) in (
            [("sent",)],
            [("timed_out",)],
        )
        rows(dsn, "UPDATE job_target SET state = 'sent', settled_at = NULL WHERE command_id = %s", lost)
        rows(dsn, "DELETE FROM command WHERE id = %s", lost)
        lockers[1].answers.set()
        async with (
            scene(mosquitto_broker, dsn, tmp_path, **ALONE, jobs_in_flight_max=2) as hub,
            fleet(hub, lockers),
        ):
            counts = await ended(hub, job, "done")
            never_twice(lockers)
            assert counts["succeeded"] + counts.get("timed_out", 0) + counts.get("unknown", 0) == ALL
            assert target_state(dsn, lost) == "succeeded"
            assert lockers[1].arrived.count(lost) == 2
            assert rows(dsn, "SELECT state FROM job_target WHERE job_id = %s AND place = 6", job) == [
                ("succeeded",)
            ]
            assert (await show(hub, paused))["state"] == "paused"


async def has(box: Box, commands: int) -> bool:
    return len(box.arrived) >= commands


def target_state(dsn: str, command: UUID) -> str:
    return str(rows(dsn, "SELECT state FROM job_target WHERE command_id = %s", command)[0][0])


async def test_what_nobody_can_tell_is_unknown(mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path) -> None:
    async with boxes(mosquitto_broker) as lockers:
        async with scene(mosquitto_broker, dsn, tmp_path, **ALONE) as hub, fleet(hub, lockers):
            job = await make(hub)
            await ended(hub, job, "done")
        rows(dsn, "UPDATE job SET state = 'paused' WHERE id = %s", job)
        rows(dsn, "UPDATE job_target SET state = 'sent' WHERE job_id = %s AND place = 0", job)
        rows(dsn, "DELETE FROM command")
        async with scene(mosquitto_broker, dsn, tmp_path, **ALONE) as hub, fleet(hub, lockers):
            # A job that is paused sends nothing, also not to ask.
            assert await ended(hub, job, "done") == {"succeeded": ALL - 1, "unknown": 1}
            assert await arrived(lockers, ALL)


async def test_the_ceiling_holds_over_jobs_and_restarts(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    settings = {**ALONE, "jobs_openings_per_minute_max": 3}
    async with boxes(mosquitto_broker) as lockers:
        async with scene(mosquitto_broker, dsn, tmp_path, **settings) as hub, fleet(hub, lockers):
            jobs = [await make(hub, filter={"lockers": [one], "doors": "all"}) for one in LOCKERS]
            await eventually(lambda: arrived(lockers, 3), "three openings")
            await rounds(hub, 15)
            assert await arrived(lockers, 3)
        async with scene(mosquitto_broker, dsn, tmp_path, **settings) as hub, fleet(hub, lockers):
            await rounds(hub, 15)
            assert await arrived(lockers, 3)
            # It is for openings: what blinks may go on.
            assert await ended(hub, await make(hub, kind="locate", filter={}), "done") == {
                "succeeded": len(LOCKERS)
            }
            for job in jobs:
                assert (await show(hub, job))["state"] == "running"
        never_twice(lockers)


async def test_while_the_database_is_away_nothing_is_sent(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    name = dsn.rpartition("/")[2]
    elsewhere = dsn.replace(name, "postgres")
    async with (
        boxes(mosquitto_broker) as lockers,
        scene(mosquitto_broker, dsn, tmp_path, **ALONE, jobs_in_flight_max=1) as hub,
        fleet(hub, lockers),
    ):
        for box in lockers:
            box.answers.clear()
        job = await make(hub)
        await eventually(lambda: arrived(lockers, 1), "the first command")
        with psycopg.connect(elsewhere, autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            for box in lockers:
                box.answers.set()
            await lockers[0].answer(lockers[0].arrived[0])

            async def noticed() -> bool:
                status, _ = await hub.get("/api/v1/jobs")
                return status == 503

            await eventually(noticed, "503 for jobs")
            assert await arrived(lockers, 1)
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        assert await ended(hub, job, "done") == {"succeeded": ALL}
        never_twice(lockers)


async def test_a_hub_without_the_lease_waits(mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path) -> None:
    def lend(until: str) -> None:
        rows(dsn, "UPDATE job_lease SET hub = gen_random_uuid(), until = now() + %s::interval", until)

    lend("1 hour")
    async with (
        boxes(mosquitto_broker) as lockers,
        scene(mosquitto_broker, dsn, tmp_path, **ALONE, jobs_in_flight_max=1) as hub,
        fleet(hub, lockers),
    ):
        lockers[1].answers.clear()
        job = await make(hub)
        assert hub.hub.jobs.rounds == 0
        assert await arrived(lockers, 0)
        lend("-1 second")
        # Now it has the lease, until another hub takes it away with a command under way.
        await eventually(lambda: arrived(lockers, 2), "two commands")
        lend("1 hour")
        lockers[1].answers.set()
        await lockers[1].answer(lockers[1].arrived[0])

        async def gave_up() -> bool:
            return (await hub.metrics())['lockerhub_jobs{state="running"}'] == 0

        await eventually(gave_up, "no jobs at this hub")
        assert await arrived(lockers, 2)
        lend("-1 second")
        assert await ended(hub, job, "done") == {"succeeded": ALL}
        never_twice(lockers)


async def test_one_hub_at_a_time_writes(dsn: str) -> None:
    store = Database(dsn, connections_max=4, statement_timeout_ms=10_000, connect_timeout_s=5)
    async with store:
        jobs, mine, theirs = JobStore(store), uuid4(), uuid4()
        at, job = datetime.now(UTC), uuid4()
        row = JobRow(
            id=job, kind="open", args=None, reason="why", filter={}, request_sha256=b"", created_at=at,
            created_by="anna", approval_until=None, expires_s=60, rate_per_minute=1, canaries=0, abort_share=1.0,
            abort_min_count=1, targets=2, openings=2, state=JobState.RUNNING,
        )  # fmt: skip
        targets = [(Target("berlin-01", door), uuid4()) for door in (1, 2)]
        await jobs.add(lambda *_: row, job=job, created_by="anna", since=at, targets=targets)
        assert await jobs.take_lease(mine, 60)
        assert not await jobs.take_lease(theirs, 60)
        writer, other = JobLedger(store, mine, 60), JobLedger(store, theirs, 60)
        with pytest.raises(LeaseLost):
            await other.send(job, [0], [], at)
        assert await writer.send(job, [0], [], at)
        # The same target twice is somebody's mistake, and nothing is written.
        with pytest.raises(LeaseLost):
            await writer.send(job, [0, 1], [], at)
        counts = await jobs.counts(job)
        assert {state: count for state, count in counts.items() if count} == {"pending": 1, "sent": 1}
        await jobs.release_lease(mine)
        assert await jobs.take_lease(theirs, 60)
        for write in (
            writer.settle(job, [Result(0, TargetState.SUCCEEDED)], [], at),
            writer.send_again(job, 0),
            writer.end(job, JobState.RUNNING, JobState.DONE, "why", at),
        ):
            with pytest.raises(StoreUnavailable):
                await write
        # After a person's pause nothing is sent, also if the runner does not know of it yet.
        moved = await jobs.step(job, JobStep.PAUSE, "anna", at)
        assert isinstance(moved, JobChange)
        assert not await other.send(job, [1], [], at)
        assert not await other.send_again(job, 0)
        assert not await other.end(job, JobState.RUNNING, JobState.DONE, "why", at)
        assert await jobs.step(job, JobStep.PAUSE, "anna", at) is Objection.JOB_STATE
        assert await jobs.step(uuid4(), JobStep.PAUSE, "anna", at) is None
        await other.settle(job, [], [0], at)
        moved = await jobs.step(job, JobStep.CANCEL, "ben", at)
        assert isinstance(moved, JobChange)
        assert moved.cancelled == 2
