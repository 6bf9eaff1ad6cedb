"""Two hubs with one configuration: one is active, the other waits, and takes over when it is time."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import aiomqtt
import pytest

from hub.app import run
from hub.config.settings import Config, DatabaseSettings, MqttSettings, ServiceSettings, load
from hub.core.lease import Loss
from hub.errors import StepDown
from hub.lifecycle.lease import HubLease
from hub.masking import Secret
from hub.metrics import Metrics
from hub.tasks import end
from tests.hub.scene import LOCKERS, Scene, eventually, fresh_database, register, rows, scene
from tests.services.conftest import Cluster, MosquittoBroker, free_port, mosquitto
from tests.services.test_hub_process import environment, hub_process

pytestmark = pytest.mark.services
PATIENT_S = 15.0


@pytest.fixture
def dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as name:
        yield name


@pytest.fixture(scope="module")
def broker() -> Iterator[MosquittoBroker]:
    with mosquitto() as running:
        yield running


# The lease alone.


def lease(dsn: str, hub: UUID, *, ingest: str = "hub-ingest", lease_s: float = 600.0) -> HubLease:
    config = Config(
        mqtt=MqttSettings(ingest_username=ingest),
        database=DatabaseSettings(dsn=Secret(dsn)),
        service=ServiceSettings(lease_s=lease_s),
    )
    return HubLease(config, hub, Metrics("0"))


@asynccontextmanager
async def waiting(one: HubLease) -> AsyncIterator["asyncio.Task[bool]"]:
    task = asyncio.create_task(one.acquire(asyncio.Event()), name="standby")
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
        await one.close()


@asynccontextmanager
async def held(one: HubLease) -> AsyncIterator["asyncio.Task[None]"]:
    assert await one.acquire(asyncio.Event())
    task = asyncio.create_task(one.keep(), name="holder")
    try:
        yield task
    finally:
        await end([task])
        await one.close()


async def says(one: HubLease, words: str) -> None:
    async def said() -> bool:
        try:
            await one.check_standby()
        except Exception as error:  # noqa: BLE001 - whatever it is, it has a text
            return words in str(error)
        return False

    await eventually(said, words)


async def test_a_released_lease_is_taken_at_once(dsn: str) -> None:
    mine, theirs = uuid4(), uuid4()
    first, second = lease(dsn, mine), lease(dsn, theirs)
    async with held(first), waiting(second) as standby:
        await says(second, f"hub {mine} is active since ")
        assert not standby.done()
        await first.release()
        async with asyncio.timeout(PATIENT_S):
            assert await standby


async def test_hubs_with_accounts_of_their_own_are_active_together(dsn: str) -> None:
    async with held(lease(dsn, uuid4())), held(lease(dsn, uuid4(), ingest="hub2-ingest")):
        assert len(rows(dsn, "SELECT name FROM hub_lease WHERE holder IS NOT NULL")) == 2


async def test_an_expired_lease_is_taken_and_its_holder_steps_down(dsn: str) -> None:
    first, second = lease(dsn, uuid4(), lease_s=2.0), lease(dsn, uuid4())
    async with held(first) as holder, waiting(second) as standby:
        await says(second, "is active")
        # As if the holder had been cut off: it renews, but too late.
        rows(dsn, "UPDATE hub_lease SET expires_at = clock_timestamp() - interval '1 s', renewals = renewals + 1")
        async with asyncio.timeout(PATIENT_S):
            while not standby.done():
                rows(dsn, "UPDATE hub_lease SET expires_at = '-infinity' WHERE holder <> %s", second._hub)  # noqa: SLF001
                await asyncio.sleep(0.01)
            with pytest.raises(StepDown, match=f"hub {second._hub} is active"):  # noqa: SLF001
                await holder
        assert first.lost
        with pytest.raises(StepDown):
            await first.confirm(Loss.LATER)
        # What a hub that stepped down releases is not its own.
        await first.release()
        assert holder_of(dsn) == second._hub  # noqa: SLF001


def _cut(dsn: str, count: int = 1) -> None:
    query = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid IN (SELECT session_pid FROM hub_lease)"
    )
    assert rows(dsn, query) == [(True,)] * count


async def test_a_holder_that_lost_its_session_alone_comes_back_in_time(dsn: str) -> None:
    first, second = lease(dsn, uuid4()), lease(dsn, uuid4())
    async with held(first) as holder, waiting(second) as standby:
        await says(second, "is active")
        for _ in range(3):
            before = rows(dsn, "SELECT session_pid FROM hub_lease")
            _cut(dsn)

            async def back(before: list[Any] = before) -> bool:
                return rows(dsn, "SELECT session_pid FROM hub_lease") != before

            await eventually(back, "another session")
        assert not standby.done()
        assert not holder.done()


async def test_a_row_that_is_gone_is_made_again_by_its_holder(dsn: str) -> None:
    first = lease(dsn, uuid4())
    async with held(first):
        rows(dsn, "DELETE FROM hub_lease")
        await first.confirm(Loss.LATER)
        assert holder_of(dsn) is not None


# Whole hubs.


def settings(broker: MosquittoBroker, dsn: str, folder: Path, **changed: object) -> Config:
    environ = {
        name: value
        for name, value in environment(broker, dsn, folder, free_port()).items()
        if name.startswith("HUB_")
    }
    return load(None, {**environ, **{f"HUB_{name.upper()}": str(value) for name, value in changed.items()}})


class Ask:
    """Asks a hub that may be a standby."""

    def __init__(self, http: aiohttp.ClientSession, config: Config) -> None:
        self._http = http
        self._config = config

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._config.http.port}{path}"

    async def __call__(self, path: str) -> tuple[int, Any]:
        """Return status and body; status 0 while nobody listens."""
        try:
            async with self._http.get(self.url(path)) as response:
                return response.status, await response.json(content_type=None)
        except aiohttp.ClientConnectionError:
            return 0, None


def holder_of(dsn: str) -> UUID | None:
    ((holder,),) = rows(dsn, "SELECT holder FROM hub_lease")
    assert holder is None or isinstance(holder, UUID)
    return holder


@asynccontextmanager
async def another(config: Config) -> AsyncIterator[Ask]:
    """Run a hub that may have to wait; yields how to ask it."""
    stop = asyncio.Event()
    task = asyncio.create_task(run(config, stop), name="another hub")
    async with aiohttp.ClientSession() as http:
        ask = Ask(http, config)

        async def listens() -> bool:
            assert not task.done(), task.exception()
            return (await ask("/healthz"))[0] == 200

        try:
            await eventually(listens, "HTTP of the other hub")
            yield ask
        finally:
            stop.set()
            await asyncio.wait([task], timeout=PATIENT_S)
            await end([task])
    assert task.exception() is None


async def readiness(ask: Ask, wanted: int) -> Any:  # noqa: ANN401 - JSON
    async def is_so() -> Any:  # noqa: ANN401 - JSON
        status, body = await ask("/readyz")
        return body if status == wanted else None

    return await eventually(is_so, f"{wanted} from /readyz")


async def standby(ask: Ask, words: str) -> Any:  # noqa: ANN401 - JSON
    async def is_so() -> Any:  # noqa: ANN401 - JSON
        status, body = await ask("/readyz")
        return body if status == 503 and words in body["checks"].get("lease", "") else None

    return await eventually(is_so, words)


async def test_the_second_hub_waits_and_takes_over_from_one_that_stops(
    broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    await register(dsn, LOCKERS)
    async with AsyncExitStack() as stack:
        first = AsyncExitStack()
        ask_first = await first.enter_async_context(another(settings(broker, dsn, tmp_path)))
        await readiness(ask_first, 200)
        before = holder_of(dsn)
        ask = await stack.enter_async_context(another(settings(broker, dsn, tmp_path)))
        body = await standby(ask, f"standby: hub {before} is active since ")
        assert body["checks"]["database"] == "ok"
        status, problem = await ask("/api/v1/lockers")
        assert (status, problem["code"]) == (503, "standby")
        # The first one is left in peace, until it stops.
        assert (await ask_first("/readyz"))[0] == 200
        await first.aclose()
        await readiness(ask, 200)
        assert holder_of(dsn) not in {before, None}
    assert holder_of(dsn) is None


async def test_the_second_hub_takes_over_from_one_that_was_killed(
    broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    await register(dsn, LOCKERS)
    # The lease itself would last for ten minutes.
    process_settings = {**environment(broker, dsn, tmp_path, free_port()), "HUB_SERVICE_LEASE_S": "600"}
    async with hub_process(process_settings) as process, another(settings(broker, dsn, tmp_path)) as ask:
        await standby(ask, " is active since ")
        process.send_signal(signal.SIGKILL)
        await readiness(ask, 200)


async def test_a_hub_that_is_cut_off_from_the_database_gives_way_once(
    broker: MosquittoBroker, dsn: str, tmp_path: Path, plain_postgres: Cluster
) -> None:
    cable = Cable(plain_postgres.port)
    async with cable.laid():
        cut_off = dsn.replace(f":{plain_postgres.port}/", f":{cable.port}/")
        await register(dsn, LOCKERS)
        short = {"service_lease_s": 2, "service_drain_s": 0.1}
        async with another(settings(broker, cut_off, tmp_path, **short)) as ask_first:
            await readiness(ask_first, 200)
            first = holder_of(dsn)
            async with another(settings(broker, dsn, tmp_path, **short)) as ask_second:
                await standby(ask_second, f"standby: hub {first} is active")
                cable.silent.set()
                await readiness(ask_second, 200)
                second = holder_of(dsn)
                assert second != first
                # The broker told the first one that its sessions are another hub's, and it asks no more for them.
                await standby(ask_first, "standby: ")
                cable.silent.clear()
                await standby(ask_first, f"standby: hub {second} is active")
                await readiness(ask_second, 200)
                assert holder_of(dsn) == second
                async with aiohttp.ClientSession() as http, http.get(ask_second.url("/metrics")) as response:
                    text = await response.text()
                assert 'lockerhub_mqtt_connects_total{link="ingest"} 1.0' in text
            # Now that one stops, and the first one is there again.
            await readiness(ask_first, 200)


async def test_a_client_with_the_hubs_name_that_is_no_hub_does_not_take_its_place(
    broker: MosquittoBroker, dsn: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with scene(broker, dsn, tmp_path) as hub:
        before = holder_of(dsn)
        async with aiomqtt.Client(
            broker.host, broker.port, username="hub-ingest", password=broker.hub_password, identifier="hub-ingest"
        ):
            await eventually(lambda: _logged(caplog, "The ingest link to the broker was lost"), "the loss")
        await eventually(lambda: _ready(hub), "the link of the hub")
        assert holder_of(dsn) == before


async def _logged(caplog: pytest.LogCaptureFixture, words: str) -> bool:
    return words in caplog.text


async def _ready(hub: Scene) -> bool:
    return (await hub.get("/readyz"))[0] == 200


class Cable:
    """A TCP connection to the database that carries nothing while it is silent."""

    def __init__(self, port: int) -> None:
        self.silent = asyncio.Event()
        self.port = 0
        self._there = port
        self._ends: set[asyncio.StreamWriter] = set()
        self._joins: set[asyncio.Task[Any]] = set()

    @asynccontextmanager
    async def laid(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            self.silent.clear()
            for writer in list(self._ends):
                writer.transport.abort()
            await asyncio.wait(self._joins)
            await server.wait_closed()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._joins.add(task)
        there, back = await asyncio.open_connection("127.0.0.1", self._there)
        self._ends |= {writer, back}
        await asyncio.gather(self._carry(reader, back), self._carry(there, writer))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                while self.silent.is_set():  # noqa: ASYNC110 - a cable has no callback
                    await asyncio.sleep(0.01)
                writer.write(data)
                await writer.drain()
        writer.transport.abort()
        self._ends.discard(writer)
