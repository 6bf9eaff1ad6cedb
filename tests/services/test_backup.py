"""Yesterday's copy is put back by the commands of docs/backup.md, and the world is caught up with."""

import asyncio
import os
import re
import sys
from datetime import datetime, timedelta
from pathlib import Path
from textwrap import dedent
from uuid import UUID, uuid4

import psycopg
import pytest

from hub import clock
from hub.core.people.erasing import Cause
from hub.people.service import erasing
from hub.retention.build import build_retention
from hub.retention.verification import verify
from hub.store.binary_copy import event_rows
from hub.store.ledgers import Ledgers
from hub.store.migrate import check, migrate
from hub.store.people import AccountStore, By
from hub.store.rows import EventUnit
from tests.hub.scene import Scene, agent, eventually, fresh_database, online, rows, scene
from tests.services.conftest import (
    ROOT,
    Cluster,
    MosquittoBroker,
    cluster,
    give_away,
    postgres_programs,
    served,
)
from wire.messages import Clock, Event, EventBatch

pytestmark = pytest.mark.services

DOCUMENT = (ROOT / "docs" / "backup.md").read_text()
BACKUPS = "/var/backups/lockerhub"
FORMS = {"plain_postgres": "restore-plain", "timescaledb": "restore-timescaledb"}


def commands(name: str, language: str = "sh") -> str:
    """Return a block of the document."""
    found = re.findall(rf"^( *)```{language} {name}\n(.*?)^ *```$", DOCUMENT, re.DOTALL | re.MULTILINE)
    assert len(found) == 1, f"docs/backup.md has one block `{language} {name}`"
    return dedent(found[0][1])


def settings_in(name: str, folder: Path) -> dict[str, str]:
    """Return the settings of a block, with a folder of the test's in place of the document's."""
    lines = [line.partition(" = ") for line in commands(name, "ini").splitlines()]
    return {key: value.strip("'").replace(BACKUPS, str(folder)) for key, _, value in lines}


async def shell(script: str, settings: dict[str, str]) -> str:
    """Run a block as it stands; return what it said."""
    programs = [str(Path(sys.executable).parent), str(postgres_programs()), os.environ["PATH"]]
    process = await asyncio.create_subprocess_exec(
        "bash", "-euo", "pipefail", "-c", script, cwd=ROOT,
        env={**os.environ, **settings, "PATH": os.pathsep.join(programs)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    assert process.returncode == 0, f"{script}\nended with {process.returncode}:\n{said.decode()}"
    return said.decode()


def settings_of(one: Scene, dsn: str, backup: Path) -> dict[str, str]:
    where = psycopg.conninfo.conninfo_to_dict(dsn)
    retention = one.config.retention
    return {
        "PGHOST": str(where["host"]), "PGPORT": str(where["port"]), "PGUSER": str(where["user"]),
        "DATABASE": str(where["dbname"]), "BACKUP": str(backup), "RETENTION": retention.directory,
        "HUB_DATABASE_DSN": dsn, "HUB_RETENTION_DIRECTORY": retention.directory,
        "HUB_RETENTION_KEY_FILE": retention.key_file, "HUB_COMMANDS_KEY_FILE": str(one.key_file),
    }  # fmt: skip


def opened(actor: UUID | None = None) -> Event:
    return Event(t=1, at=1, kind="door.opened", door=1, actor=actor)


async def store_old_event(one: Scene, at: datetime) -> None:
    key, at_ms = ("paris-02", uuid4()), int(at.timestamp() * 1000)
    now_ms = clock.wall_ms()
    batch = EventBatch(
        v=1, boot=key[1], t=1, at=at_ms, clock=Clock.SYNCED, epoch=key[1], first=1, events=[opened()]
    )
    made = event_rows(batch, skip=0, tenant="default", locker=key[0], occurred=[at_ms], received_ms=now_ms)
    await Ledgers(one.hub.store).write_events([EventUnit(key, 1, 2, made, None, now_ms, "t", b"", 1)])


async def retained(dsn: str) -> bool:
    """Say whether the hub has run retention and moved rows to their partitions, as it does when it starts."""
    done = "SELECT task FROM upkeep WHERE task IN ('retention', 'partitions') AND succeeded_at IS NOT NULL"
    return len(await asyncio.to_thread(rows, dsn, done)) == 2


def events_of(dsn: str, actor: UUID) -> int:
    return int(rows(dsn, "SELECT count(*) FROM event WHERE actor_id = %s", actor)[0][0])


@pytest.mark.parametrize("form", FORMS)
async def test_yesterdays_copy(
    form: str, mosquitto_broker: MosquittoBroker, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    database: Cluster = request.getfixturevalue(form)
    backup = tmp_path / "backup"
    backup.mkdir()
    by = By("ada", clock.wall())
    with fresh_database(database) as dsn, fresh_database(database) as other:
        async with scene(mosquitto_broker, dsn, tmp_path) as hub, online(hub) as locker:
            await eventually(lambda: retained(dsn), "the first run of retention")
            person = await AccountStore(hub.hub.store).create("ada@example.com", "Ada", by)
            await store_old_event(hub, clock.wall() - timedelta(days=8 * 366))
            await locker.events(1, [opened(person["actor"]), opened(), opened(person["actor"])])
            assert (await locker.receipt()).upto == 3
            await shell(commands("save") + commands("save-directory"), settings_of(hub, dsn, backup))
            # What the backup does not know.
            await locker.events(4, [opened(person["actor"]), opened()])
            assert (await locker.receipt()).upto == 5
            eraser = erasing(hub.config, hub.hub.store).eraser
            await eraser.erase(person["id"], cause=Cause.REQUEST, by="ada", now=clock.wall())
            assert events_of(dsn, person["actor"]) == 0
            proof = await build_retention(hub.config, hub.hub.store, "test").run(clock.wall())
            # The hub's upkeep may have counted the old event's hour meanwhile, and the count goes with it.
            removed = [(done["table"], done["removed"]) for done in proof["done"]]
            assert removed in ([("event", 1)], [("event", 1), ("door_hour", 1)])
        # The disaster: `other` is what the next one is called.
        restored = settings_of(hub, other, backup)
        rows(database.dsn("postgres"), f"DROP DATABASE {restored['DATABASE']} WITH (FORCE)")
        await shell(commands(FORMS[form]), restored)
        assert events_of(other, person["actor"]) == 2
        assert "proof 2 is only a file" in await shell(commands("check"), restored)
        assert events_of(other, person["actor"]) == 0
        assert rows(other, "SELECT 1 FROM account") == []
        await shell(commands("settle"), restored)
        async with scene(mosquitto_broker, other, tmp_path) as hub:
            async with agent(mosquitto_broker, epoch=locker.epoch) as again:
                await again.presence()
                await again.events(6, [opened()])
                assert (await again.receipt()).expected == 4
                await again.events(4, [opened(person["actor"]), opened(), opened()])
                assert (await again.receipt()).upto == 6
            await erasing(hub.config, hub.hub.store).eraser.sweep(clock.wall())
            assert events_of(other, person["actor"]) == 0
            retention = build_retention(hub.config, hub.hub.store, "test")
            key = await retention.key()
            assert (await verify(hub.hub.store, retention, [key.public])).findings == []
        await shell(commands("verify"), restored)


async def test_a_moment_before_a_mistake(timescaledb: Cluster, open_dir: Path) -> None:
    assert timescaledb.port, "it is installed"
    programs = postgres_programs()
    extension = {"shared_preload_libraries": "timescaledb", "timescaledb.telemetry_level": "off"}
    backups, data = open_dir / "backups", open_dir / "again" / "data"
    for folder in (backups / "wal", data):
        folder.mkdir(parents=True)
    give_away(backups)

    def insert(dsn: str, seq: int) -> None:
        rows(dsn, "INSERT INTO event (occurred_at, received_at, tenant_id, locker_id, epoch, seq, kind, clock,"
             " stamped_at) VALUES (now() - %s * interval '100 days', now(), 'default', 'berlin-01',"
             " '00000000-0000-0000-0000-000000000007', %s, 'door.opened', 'synced', now())", seq, seq)  # fmt: skip

    with cluster(programs, {**extension, **settings_in("archive", backups)}) as running:
        dsn = running.dsn("postgres")
        migrate(dsn)
        insert(dsn, 1)
        insert(dsn, 2)
        rows(dsn, "SELECT compress_chunk(c) FROM show_chunks('event') c")
        where = {"PGHOST": "127.0.0.1", "PGPORT": str(running.port), "PGUSER": "lockerhub"}
        await shell(commands("base-backup").replace(BACKUPS, str(backups)), where)
        insert(dsn, 3)
        ((before,),) = rows(dsn, "SELECT clock_timestamp()")
        rows(dsn, "DELETE FROM event")
        ((last,),) = rows(dsn, "SELECT pg_walfile_name(pg_switch_wal())")

        async def archived() -> bool:
            return await asyncio.to_thread((backups / "wal" / last).exists)

        await eventually(archived, "the last WAL in the archive")
    (base,) = backups.glob("base-*/base.tar.gz")
    await shell(f"tar -xzf {base} -C {data}", {})
    (data / "recovery.signal").touch()
    give_away(data.parent)
    data.chmod(0o700)
    recover = {**settings_in("recover", backups), "recovery_target_time": before.isoformat()}
    with served(programs, data.parent, {**extension, **recover}) as running:
        dsn = running.dsn("postgres")

        async def open_again() -> bool:
            return await asyncio.to_thread(rows, dsn, "SELECT pg_is_in_recovery()") == [(False,)]

        await eventually(open_again, "the end of the recovery")
        assert rows(dsn, "SELECT seq FROM event ORDER BY seq") == [(1,), (2,), (3,)]
        assert (migrate(dsn).applied, check(dsn)) == ((), 0)
        insert(dsn, 4)
