"""One history, end to end: lockers with disks of their own, a hub, and a database that may be put back."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import orjson
import pytest

from hub.keys import make_key
from tests.hub.contract import Contract
from tests.hub.scene import Agent, Scene, agent, eventually, fresh_database, online, register, rows, scene
from tests.services.conftest import Cluster, MosquittoBroker, free_port, postgres_programs
from wire.messages import CHAIN_START, MESSAGE_BYTES_MAX, Event, EventBatch, Receipt, encode
from wire.topics import Channel, topic_of

pytestmark = pytest.mark.services


@pytest.fixture
def dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as name:
        yield name


def opened(door: int = 1, **changed: Any) -> Event:  # noqa: ANN401 - fields of Event
    return Event(t=1, at=1, kind="door.opened", door=door, **changed)


@dataclass
class Disk:
    """A locker's ledger as it is on its disk, and what the protocol makes of receipts."""

    agent: Agent
    events: list[Event] = field(default_factory=list)
    oldest: int = 1
    confirmed: int = 0

    @property
    def epoch(self) -> UUID:
        return self.agent.epoch

    @property
    def last(self) -> int:
        return len(self.events)

    def chain(self, seq: int) -> str:
        digest = CHAIN_START
        for event in self.events[:seq]:
            digest = sha256(digest.encode() + repr(event).encode()).hexdigest()[:16]
        return digest

    def write(self, *events: Event) -> None:
        self.events += events

    def batch(self, first: int, last: int) -> EventBatch:
        return EventBatch(
            **self.agent.up(), epoch=self.epoch, first=first, oldest=self.oldest, prev=self.chain(first - 1),
            chain=self.chain(last), events=self.events[first - 1 : last],
        )  # fmt: skip

    async def send(self, first: int | None = None, last: int | None = None) -> Receipt:
        """Send what is not confirmed, or these numbers, and return the answer."""
        first = max(first or self.confirmed + 1, self.oldest)
        await self.agent.publish(Channel.EVENTS, encode(self.batch(first, last or self.last)))
        while (receipt := await self.agent.receipt()).epoch != self.epoch:
            pass
        return receipt

    async def drain(self) -> None:
        """Send until all is confirmed; a fork is none of this locker's."""
        first = None
        while self.confirmed < self.last:
            receipt = await self.send(first)
            assert not receipt.fork
            if receipt.expected is not None:
                first = receipt.expected
            else:
                assert receipt.upto is not None
                assert receipt.chain == self.chain(receipt.upto)
                self.confirmed, first = receipt.upto, None

    def prune(self, before: int) -> None:
        self.oldest = before


async def numbers(one: Scene, epoch: UUID) -> list[int]:
    found = await asyncio.to_thread(rows, one.dsn, "SELECT seq FROM event WHERE epoch = %s ORDER BY seq", epoch)
    return [seq for (seq,) in found]


def verify(dsn: str) -> tuple[int, dict[str, Any]]:
    """Return (exit status, report) of `hub ledger verify --json`."""
    command = [str(Path(sys.executable).with_name("hub")), "ledger", "verify", "--json"]
    done = subprocess.run(command, env={**os.environ, "HUB_DATABASE_DSN": dsn}, capture_output=True, check=False)
    return done.returncode, orjson.loads(done.stdout)


async def test_receipts_say_whose_history_they_speak_of(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with agent(mosquitto_broker) as one:
        disk = Disk(one)
        disk.write(opened(1), opened(2))
        async with scene(mosquitto_broker, dsn, tmp_path):
            assert await disk.send() == Receipt(v=1, epoch=disk.epoch, upto=2, chain=disk.chain(2))
            assert await disk.send(1, 1) == Receipt(v=1, epoch=disk.epoch, upto=2, chain=disk.chain(2))
            # A batch that overlaps is asked for from where it can be checked.
            disk.write(opened(3))
            assert await disk.send(2) == Receipt(v=1, epoch=disk.epoch, expected=3)
            assert (await disk.send(3)).chain == disk.chain(3)
        # A hub that is started again knows it from the database.
        async with scene(mosquitto_broker, dsn, tmp_path):
            assert await disk.send(1) == Receipt(v=1, epoch=disk.epoch, upto=3, chain=disk.chain(3))


@pytest.mark.parametrize("hub_remembers", [True, False])
async def test_of_a_copied_disk_both_histories_are_kept_and_neither_confirms_the_other(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path, hub_remembers: bool  # noqa: FBT001
) -> None:  # fmt: skip
    async with scene(mosquitto_broker, dsn, tmp_path) as hub, online(hub) as one:
        original = Disk(one)
        original.write(opened(1), opened(2))
        await original.drain()
        copy = Disk(one, list(original.events), 1, 2)
        if not hub_remembers:
            # Another hub has stored the next event, and this one finds out by its commit.
            original.write(opened(3))
            rows(dsn, "UPDATE ledger_cursor SET next_seq = 4, chain = %s", original.chain(3))
        else:
            original.write(opened(3))
            await original.drain()
        copy.write(opened(4))
        answer = await copy.send(3)
        assert answer == Receipt(v=1, epoch=copy.epoch, fork=True)
        # The third event of the copy is nowhere, and that of the original is not touched.
        copied = rows(dsn, "SELECT count(*) FROM event WHERE door = 4")
        assert copied == [(0,)]
        metrics = await hub.metrics()
        assert metrics["lockerhub_ledger_forks_total"] == 1
        assert metrics['lockerhub_receipts_sent_total{kind="fork"}'] == 1
        assert (await hub.balanced())["deferred"] == 1
        # It forks: a new epoch, with what was not confirmed.
        again = Disk(one, copy.events[2:])
        one.epoch = uuid4()
        await again.drain()
        assert await numbers(hub, again.epoch) == [1]


async def test_the_whole_message_of_a_fork_is_kept_and_a_loop_does_not_fill_the_table(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path) as hub, online(hub) as one:
        original = Disk(one)
        original.write(opened(1))
        await original.drain()
        copy = Disk(one, [opened(2)])
        copy.write(*(opened(2, data={"note": "x" * 4000}) for _ in range(50)))
        batch = encode(copy.batch(1, copy.last))
        assert MESSAGE_BYTES_MAX > len(batch) > hub.config.intake.quarantine_payload_bytes_max
        # Its number 1 is another one, and is seen first.
        await one.publish(Channel.EVENTS, batch)
        assert (await one.receipt()).expected == 2
        batch = encode(copy.batch(2, copy.last))
        for _ in range(10):
            await one.publish(Channel.EVENTS, batch)
            assert (await one.receipt()).fork
        topic = topic_of("berlin-01", Channel.EVENTS)

        async def kept() -> bool:
            return len(await hub.quarantined(topic)) == 3

        await eventually(kept, "three copies of the message")
        assert all(
            (reason, message) == ("ledger_fork", batch) for reason, _, message, _ in await hub.quarantined(topic)
        )
        assert rows(dsn, "SELECT DISTINCT locker_id, epoch, seq FROM quarantine") == [
            ("berlin-01", one.epoch, None)
        ]
        errors = [record for record in caplog.records if record.levelname == "ERROR"]
        assert len(errors) == 3
        assert all("Two lockers write one ledger" in record.message for record in errors)
        assert (await hub.metrics())["lockerhub_ledger_forks_total"] == 10
        assert (await hub.balanced())["deferred"] == 10 * 50 + 51
        status, page = await hub.get("/api/v1/lockers/berlin-01/ledger")
        assert (status, page["items"][0]["forks"], page["items"][0]["complete"]) == (200, 3, True)


async def test_copies_of_forks_are_limited_by_locker_and_not_by_ledger(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path) as hub, online(hub) as one:
        for _ in range(5):
            one.epoch = uuid4()
            original = Disk(one)
            original.write(opened(1))
            await original.drain()
            copy = Disk(one, [opened(2)])
            copy.write(opened(3))
            await one.publish(Channel.EVENTS, encode(copy.batch(2, copy.last)))
            assert (await one.receipt()).fork
        topic = topic_of("berlin-01", Channel.EVENTS)

        async def kept() -> bool:
            return len(await hub.quarantined(topic)) == 3

        await eventually(kept, "three copies, of five ledgers")
        assert (await hub.metrics())["lockerhub_ledger_forks_total"] == 5


async def test_one_bad_event_does_not_hold_up_its_ledger(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path) as hub, online(hub) as one:
        disk = Disk(one)
        disk.write(opened(1), opened(2), opened(3))
        message = orjson.loads(encode(disk.batch(1, 3)))
        message["events"][1]["door"] = "two"
        await one.publish(Channel.EVENTS, orjson.dumps(message))
        receipt = await one.receipt()
        assert (receipt.upto, receipt.chain) == (3, disk.chain(3))
        assert await numbers(hub, disk.epoch) == [1, 3]
        [(reason, detail, text, _)] = await hub.quarantined(topic_of("berlin-01", Channel.EVENTS))
        assert (reason, orjson.loads(text)) == ("schema", message["events"][1])
        assert "door" in detail
        assert rows(dsn, "SELECT locker_id, epoch, seq FROM quarantine") == [("berlin-01", disk.epoch, 2)]
        books = await hub.balanced()
        assert (books["received"], books["stored"], books["quarantined"]) == (3, 2, 1)
        metrics = await hub.metrics()
        assert metrics['lockerhub_intake_quarantined_total{reason="schema"}'] == 1
        # The door that nobody could read is not shown, and its neighbours are.
        doors = {door["number"]: door["state"] for door in (await hub.locker("berlin-01"))["doors"]}
        assert (doors[1], doors[2], doors[3]) == ("open", "unknown", "open")
        # Said again it is a repeat, spoiled or not.
        await one.publish(Channel.EVENTS, orjson.dumps(message))
        assert (await one.receipt()).upto == 3
        assert (await hub.balanced())["duplicate"] == 3
    assert (await asyncio.to_thread(verify, dsn))[0] == 0


async def test_a_locker_that_sends_nonsense_on_and_on_does_not_fill_the_table(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with (
        scene(mosquitto_broker, dsn, tmp_path, intake_quarantine_per_locker_per_minute=5) as hub,
        online(hub) as one,
        online(hub, "paris-02") as other,
    ):
        for _ in range(20):
            await one.publish(Channel.EVENTS, b"{")
        await other.publish(Channel.EVENTS, b"{")

        async def counted() -> bool:
            return (await hub.balanced())["received"] == 21

        await eventually(counted, "all of it")
        books = await hub.balanced()
        assert (books["quarantined"], books["dropped"]) == (6, 15)
        assert (await hub.metrics())["lockerhub_quarantine_limited_total"] == 15
        await eventually(lambda: hub.quarantined(topic_of("paris-02", Channel.EVENTS)), "the neighbour's")
        assert len(await hub.quarantined(topic_of("berlin-01", Channel.EVENTS))) == 5


async def test_what_a_locker_gave_up_is_in_its_account(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with (
        scene(mosquitto_broker, dsn, tmp_path, service_ledger_watch_s=0.05) as hub,
        online(hub) as one,
        online(hub, "paris-02") as other,
    ):
        disk, neighbour = Disk(one), Disk(other)
        neighbour.write(opened())
        await neighbour.drain()
        disk.write(*[opened()] * 3)
        await disk.drain()
        # While the hub was away: 4 to 9 had to go, and four more were never written.
        disk.write(*[opened()] * 8)
        disk.prune(10)
        disk.write(
            Event(t=1, at=1, kind="outbox.gap", data={"from": 4, "to": 8, "reason": "outbox_full"}),
            Event(t=1, at=1, kind="outbox.gap", data={"events": 4, "reason": "disk_full"}),
        )
        await disk.drain()
        assert await numbers(hub, disk.epoch) == [1, 2, 3, 10, 11, 12, 13]
        contract = await Contract.of(hub.http)
        path = "/api/v1/lockers/{locker}/ledger"
        status, page = await hub.get("/api/v1/lockers/berlin-01/ledger")
        contract.check("get", path, status, "application/json", page)
        [ledger] = page["items"]
        assert (ledger["epoch"], ledger["last"], ledger["stored"]) == (str(disk.epoch), 13, 7)
        assert ledger["declared_list"] == [
            {"from_seq": 4, "to_seq": 8, "reason": "outbox_full"},
            {"from_seq": 9, "to_seq": 9, "reason": "unknown"},
        ]
        assert (ledger["declared"], ledger["given_up"], ledger["complete"]) == (6, 4, True)
        assert ledger["chain"] == disk.chain(13)

        async def summed() -> bool:
            found = await hub.metrics()
            states = ("stored", "missing", "quarantined")
            return [found.get(f'lockerhub_ledger_events{{state="{state}"}}') for state in states] == [8, 6, 0]

        await eventually(summed, "the sum over all ledgers")
        status, page = await hub.get("/api/v1/ledger?limit=1")
        contract.check("get", "/api/v1/ledger", status, "application/json", page)
        assert [(one["locker"], one["stored"], one["missing"]) for one in page["items"]] == [("berlin-01", 7, 6)]
        status, page = await hub.get(f"/api/v1/ledger?limit=1&cursor={page['next_cursor']}")
        assert [one["locker"] for one in page["items"]] == ["paris-02"]
        assert page["next_cursor"] is None
        status, page = await hub.get("/api/v1/ledger?locker=paris-02")
        assert [one["locker"] for one in page["items"]] == ["paris-02"]
        for bad in ("/api/v1/ledger?locker=UPPER", "/api/v1/ledger?cursor=x", "/api/v1/ledger?limit=0"):
            assert (await hub.get(bad))[0] == 400
        status, problem = await hub.get("/api/v1/lockers/nowhere/ledger")
        assert (status, problem["code"]) == (404, "locker_unknown")
    status_code, report = await asyncio.to_thread(verify, dsn)
    assert (status_code, report["ledgers"], report["declared"], report["given_up"]) == (0, 2, 6, 4)


@pytest.mark.parametrize("pruned", [False, True])
async def test_a_database_of_yesterday_gets_back_what_the_lockers_still_have(
    mosquitto_broker: MosquittoBroker, plain_postgres: Cluster, tmp_path: Path, pruned: bool  # noqa: FBT001
) -> None:  # fmt: skip
    with fresh_database(plain_postgres) as live, empty_database(plain_postgres) as restored:
        backup = tmp_path / "backup"
        async with agent(mosquitto_broker) as one:
            disk = Disk(one)
            async with scene(mosquitto_broker, live, tmp_path):
                disk.write(*(opened(door) for door in (1, 2, 3)))
                await disk.drain()
                # A dump of a hub that works.
                await asyncio.to_thread(dump, live, backup)
                disk.write(*(opened(door) for door in (4, 1, 2)))
                await disk.drain()
            await asyncio.to_thread(restore, restored, backup)
            disk.write(opened(3))
            if pruned:
                # It has kept less than a day of what was confirmed.
                disk.prune(6)
            async with scene(mosquitto_broker, restored, tmp_path) as hub:
                await disk.drain()
                kept = [1, 2, 3, 6, 7] if pruned else [1, 2, 3, 4, 5, 6, 7]
                assert await numbers(hub, disk.epoch) == kept
                status, page = await hub.get("/api/v1/lockers/berlin-01/ledger")
                assert status == 200
                [ledger] = page["items"]
                assert (ledger["complete"], ledger["last"], ledger["duplicates"]) == (True, 7, 0)
                lost = [{"from_seq": 4, "to_seq": 5, "reason": "unknown"}] if pruned else []
                assert ledger["declared_list"] == lost
        assert (await asyncio.to_thread(verify, restored))[0] == 0


@contextlib.contextmanager
def empty_database(cluster: Cluster) -> Iterator[str]:
    name = f"test_{uuid4().hex}"
    rows(cluster.dsn("postgres"), f"CREATE DATABASE {name} TEMPLATE template0")
    yield cluster.dsn(name)
    rows(cluster.dsn("postgres"), f"DROP DATABASE {name} WITH (FORCE)")


def dump(dsn: str, backup: Path) -> None:
    subprocess.run(
        [postgres_programs() / "pg_dump", "--format=custom", f"--file={backup}", dsn], check=True, timeout=60
    )


def restore(dsn: str, backup: Path) -> None:
    subprocess.run(
        [postgres_programs() / "pg_restore", "--exit-on-error", f"--dbname={dsn}", backup], check=True, timeout=60
    )


@pytest.mark.parametrize("point", ["before_commit", "after_commit", "after_receipt"])
async def test_a_hub_that_dies_anywhere_stores_once(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path, point: str
) -> None:
    """The second commit is the last thing that the first hub does, or almost does."""
    await register(dsn, ["berlin-01"])
    make_key(tmp_path / "command_key.pem")
    async with agent(mosquitto_broker) as one, hub_process(mosquitto_broker, dsn, tmp_path, point) as process:
        disk = Disk(one)
        disk.write(opened(1))
        await disk.drain()
        disk.write(opened(2), opened(3))
        await one.publish(Channel.EVENTS, encode(disk.batch(2, 3)))
        async with asyncio.timeout(20):
            assert await process.wait() == 137
        there = rows(dsn, "SELECT seq FROM event ORDER BY seq")
        assert there == ([(1,)] if point == "before_commit" else [(1,), (2,), (3,)])
        if point == "after_receipt":
            assert (await one.receipt()).upto == 3
        else:
            assert one.receipts.empty()
        async with scene(mosquitto_broker, dsn, tmp_path, lockers=[]) as hub:
            assert (await disk.send()).upto == 3
            assert await numbers(hub, disk.epoch) == [1, 2, 3]
    assert (await asyncio.to_thread(verify, dsn))[0] == 0


@asynccontextmanager
async def hub_process(
    broker: MosquittoBroker, dsn: str, folder: Path, point: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A hub of its own that dies at its second passage of a point."""
    port = free_port()
    settings = {
        "HUB_MQTT_PORT": broker.port, "HUB_MQTT_PASSWORD_FILE": broker.hub_password_file,
        "HUB_DATABASE_DSN": dsn, "HUB_HTTP_PORT": port, "HUB_COMMANDS_KEY_FILE": folder / "command_key.pem",
        "HUB_RETENTION_DIRECTORY": folder / "retention", "HUB_RETENTION_KEY_FILE": folder / "retention_key.pem",
        "LOCKERHUB_CRASH_AT": point, "LOCKERHUB_CRASH_AFTER": 2,
    }  # fmt: skip
    environment = {**os.environ, **{name: str(value) for name, value in settings.items()}}
    with (folder / "hub.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("hub"), "run", env=environment, stdout=log, stderr=log
        )
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:

            async def ready() -> bool:
                try:
                    async with http.get("/readyz") as response:
                        return response.status == 200
                except aiohttp.ClientError:
                    assert process.returncode is None, (folder / "hub.log").read_text()
                    return False

            await eventually(ready, "a hub that is ready")
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
