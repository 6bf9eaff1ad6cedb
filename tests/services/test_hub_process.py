"""`hub run` as a process: it starts or says why not, and stops without losing what it receipted."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from hub.keys import make_key
from tests.hub.scene import LOCKERS, Agent, agent, eventually, fresh_database, register, rows
from tests.services.conftest import Cluster, MosquittoBroker, free_port
from wire.messages import Event

pytestmark = pytest.mark.services

STOP_S_MAX = 10.0


@pytest.fixture
def dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as name:
        yield name


def environment(broker: MosquittoBroker, dsn: str, folder: Path, port: int) -> dict[str, str]:
    key_file = folder / "command_key.pem"
    if not key_file.exists():
        make_key(key_file)
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("HUB_")},
        "HUB_MQTT_PORT": str(broker.port),
        "HUB_MQTT_PASSWORD_FILE": str(broker.hub_password_file),
        "HUB_DATABASE_DSN": dsn,
        "HUB_HTTP_PORT": str(port),
        "HUB_COMMANDS_KEY_FILE": str(key_file),
        "HUB_RETENTION_DIRECTORY": str(folder / "retention"),
        "HUB_RETENTION_KEY_FILE": str(folder / "retention_key.pem"),
    }


@asynccontextmanager
async def hub_process(
    settings: dict[str, str], *arguments: str, shell: str | None = None, pass_fds: Sequence[int] = ()
) -> AsyncIterator[asyncio.subprocess.Process]:
    command = [sys.executable, "-m", "hub", "run", *arguments]
    if shell is not None:
        command = ["bash", "-c", shell, "hub", *command]
    process = await asyncio.create_subprocess_exec(
        *command, env=settings, stderr=asyncio.subprocess.PIPE, pass_fds=pass_fds
    )
    try:
        async with aiohttp.ClientSession() as http:
            url = f"http://127.0.0.1:{settings['HUB_HTTP_PORT']}/readyz"

            async def ready() -> bool:
                assert process.returncode is None
                try:
                    async with http.get(url) as response:
                        return response.status == 200
                except aiohttp.ClientConnectionError:
                    return False

            await eventually(ready, "a ready hub")
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def pour(locker: Agent, stop: asyncio.Event) -> None:
    """Single-event messages as fast as they go, up to far more than the hub will take."""
    seq = 0
    while not stop.is_set():
        seq += 1
        await locker.events(seq, [Event(t=1, at=1, kind="door.opened", door=1)])


def receipted(locker: Agent) -> int:
    upto = 0
    while not locker.receipts.empty():
        upto = max(upto, locker.receipts.get_nowait().upto or 0)
    return upto


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
async def test_stopped_under_load_it_keeps_what_it_receipted(
    sign: signal.Signals, mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    await register(dsn, LOCKERS)
    settings = environment(mosquitto_broker, dsn, tmp_path, free_port())
    stop = asyncio.Event()
    async with agent(mosquitto_broker, "berlin-01") as one, agent(mosquitto_broker, "paris-02") as other:
        async with hub_process(settings) as process:
            pouring = asyncio.gather(pour(one, stop), pour(other, stop))
            confirmed = {
                locker.locker: max([(await locker.receipt()).upto or 0 for _ in range(20)])
                for locker in (one, other)
            }
            started = time.monotonic()
            process.send_signal(sign)
            _, log = await asyncio.wait_for(process.communicate(), STOP_S_MAX)
            assert time.monotonic() - started < STOP_S_MAX
            assert process.returncode == 0, log.decode()[-2000:]
            stop.set()
            await pouring
        for locker in (one, other):
            ((stored, newest),) = rows(
                dsn, "SELECT count(*), max(seq) FROM event WHERE locker_id = %s", locker.locker
            )
            assert stored == newest
            assert newest >= max(confirmed[locker.locker], receipted(locker)) > 0
            assert rows(dsn, "SELECT next_seq FROM ledger_cursor WHERE locker_id = %s", locker.locker) == [
                (newest + 1,)
            ]
        # The next hub goes on where this one stopped.
        async with hub_process(settings) as process:
            ((newest,),) = rows(dsn, "SELECT max(seq) FROM event WHERE locker_id = 'berlin-01'")
            await one.events(newest, [Event(t=1, at=1, kind="door.opened", door=1)] * 2)
            assert (await one.receipt()).upto == newest + 1
            process.send_signal(sign)
            assert await asyncio.wait_for(process.wait(), STOP_S_MAX) == 0


def run(settings: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "hub", *arguments],
        env=settings,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_what_cannot_start_says_why(
    mosquitto_broker: MosquittoBroker, plain_postgres: Cluster, dsn: str, tmp_path: Path
) -> None:
    good = environment(mosquitto_broker, dsn, tmp_path, free_port())
    bad = [
        ({"HUB_DATABASE_DSN": plain_postgres.dsn("postgres")}, "`hub migrate` applies them"),
        ({"HUB_DATABASE_DSN": "postgresql://hub:hunter2@127.0.0.1:1/x"}, "port 1 failed"),
        ({"HUB_COMMANDS_KEY_FILE": str(tmp_path / "nothing")}, "`hub key make"),
        ({"HUB_HTTP_PORT": str(plain_postgres.port)}, f"cannot listen on 127.0.0.1:{plain_postgres.port}"),
        ({"HUB_MQTT_PASSWORD_FILE": str(tmp_path / "nothing")}, "mqtt.password_file: cannot read"),
        ({"HUB_MQTT_HOTS": "x"}, "did you mean HUB_MQTT_HOST?"),
    ]
    for changed, words in bad:
        ended = run({**good, **changed}, "run")
        assert ended.returncode == 1, ended
        assert words in ended.stderr
        assert ended.stdout == ""
        assert "Traceback" not in ended.stderr
        assert "hunter2" not in ended.stderr


def test_the_registry_from_the_command_line(mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path) -> None:
    settings = environment(mosquitto_broker, dsn, tmp_path, free_port())
    assert run(settings, "check-config").returncode == 0
    assert run(settings, "migrate").stdout.startswith("the schema is at ")
    assert run(settings, "locker", "add", "berlin-01", "--name", "Berlin, lobby", "--doors", "5").returncode == 0
    again = run(settings, "locker", "add", "berlin-01")
    assert (again.returncode, again.stdout) == (1, "")
    assert "already in the registry" in again.stderr
    assert run(settings, "locker", "add", "Berlin").returncode == 2
    shown = run(settings, "locker", "show", "berlin-01", "--json")
    assert '"name":"Berlin, lobby"' in shown.stdout
    assert shown.stdout.count('"number"') == 5
    assert run(settings, "locker", "show", "nowhere").returncode == 1
    assert "berlin-01" in run(settings, "locker", "list").stdout
    assert run(settings, "nothing").returncode == 2
