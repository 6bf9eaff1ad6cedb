"""A hub that takes another one's place on the same sockets: nobody is refused a connection."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from hub.errors import ConfigError
from hub.lifecycle.handover import Handover, find_predecessor, inherited_listeners
from tests.hub.scene import LOCKERS, eventually, fresh_database, register
from tests.services.conftest import Cluster, MosquittoBroker, free_port
from tests.services.test_hub_process import environment, hub_process, run

pytestmark = pytest.mark.services


@pytest.fixture
def dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as name:
        yield name


@asynccontextmanager
async def handing_over(path: Path) -> AsyncIterator[tuple[Handover, asyncio.Event, socket.socket]]:
    relieved = asyncio.Event()
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        Handover(str(path), [listener], relieved.set) as handover,
    ):
        task = asyncio.create_task(handover.run())
        try:
            yield handover, relieved, listener
        finally:
            task.cancel()
            await asyncio.wait([task])


async def test_the_next_hub_is_given_the_sockets_themselves(tmp_path: Path) -> None:
    path = tmp_path / "handover"
    async with handing_over(path) as (handover, relieved, listener):
        assert path.stat().st_mode & 0o777 == 0o600
        # One that dies before it is ready changes nothing.
        dead = await asyncio.to_thread(find_predecessor, str(path))
        assert dead is not None
        dead.close()
        predecessor = await asyncio.to_thread(find_predecessor, str(path))
        assert predecessor is not None
        (given,) = predecessor.listeners
        assert given.getsockname() == listener.getsockname()
        predecessor.relieve()
        async with asyncio.timeout(10):
            await relieved.wait()
        assert handover.under_way
        # The next one puts its own socket there, and the file stays when this one ends.
        with Handover(str(path), [given], lambda: None):
            assert path.is_socket()
        for one in (*dead.listeners, given):
            one.close()
        predecessor.close()


def test_where_no_hub_is_there_is_nothing_to_take_over(tmp_path: Path) -> None:
    path = tmp_path / "handover"
    assert find_predecessor(str(path)) is None
    with Handover(str(path), [], lambda: None):
        pass
    assert not path.exists()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    assert find_predecessor(str(path)) is None
    # What a hub that was killed has left is replaced.
    with Handover(str(path), [], lambda: None):
        assert path.is_socket()
    with pytest.raises(ConfigError, match=r"service\.handover_socket: cannot listen at"):
        Handover(str(tmp_path / "missing" / "x"), [], lambda: None).__enter__()


def test_only_sockets_of_this_process_are_taken_from_the_service_manager() -> None:
    assert inherited_listeners({}) == []
    assert inherited_listeners({"LISTEN_PID": "1", "LISTEN_FDS": "1"}) == []
    assert inherited_listeners({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "0"}) == []


def test_takeover_needs_to_know_where(mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path) -> None:
    done = run(environment(mosquitto_broker, dsn, tmp_path, free_port()), "run", "--takeover")
    assert (done.returncode, "needs service.handover_socket" in done.stderr) == (1, True)


async def test_one_hub_after_another_serves_the_same_port(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    await register(dsn, LOCKERS)
    port = free_port()
    settings = environment(mosquitto_broker, dsn, tmp_path, port)
    settings["HUB_SERVICE_HANDOVER_SOCKET"] = str(tmp_path / "handover")
    refused: list[Exception] = []
    done = asyncio.Event()

    async def connect_all_the_time() -> None:
        """Each with a connection of its own: one that is refused is the fault that this is about."""
        while not done.is_set():
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError as error:
                refused.append(error)
            else:
                writer.close()
            await asyncio.sleep(0.005)

    async with hub_process(settings) as old:
        connecting = asyncio.create_task(connect_all_the_time())
        async with hub_process(settings, "--takeover") as new, aiohttp.ClientSession() as http:
            _, said = await asyncio.wait_for(old.communicate(), 15)
            assert old.returncode == 0
            assert b"Another hub takes over" in said

            async def served() -> bool:
                async with http.get(f"http://127.0.0.1:{port}/readyz") as response:
                    return response.status == 200

            await eventually(served, "the next hub")
            done.set()
            await connecting
            assert refused == []
            new.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(new.wait(), 15) == 0
    assert not (tmp_path / "handover").exists()


async def test_sockets_of_the_service_manager_are_served(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
        settings = environment(mosquitto_broker, dsn, tmp_path, port)
        # As systemd does it: the socket is descriptor 3, and the variable names the process itself.
        shell = f'exec 3<&{listener.fileno()} {listener.fileno()}<&-; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"'
        async with hub_process(settings, shell=shell, pass_fds=(listener.fileno(),)) as process:
            process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(process.communicate(), 15)
            assert process.returncode == 0
        # Who connects while no hub runs waits for the next one.
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
