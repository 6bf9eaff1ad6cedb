"""Files over HTTP and on the command line: whole, filtered, bounded, and broken in a way that shows."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
import pytest
from typer.testing import CliRunner

from hub.cli.export import export_app
from hub.config.settings import ExportSettings
from hub.store.database import Database
from tests.hub.api.serving import Served, locker, served
from tests.hub.scene import eventually, fresh_database
from tests.services.conftest import Cluster
from tests.services.past import Told, clear, count_all, write

pytestmark = pytest.mark.services

BASE = datetime(2024, 3, 2, 9, tzinfo=UTC)
SPAN = {"since": "2024-03-01T00:00:00Z", "until": "2024-04-01T00:00:00Z"}
PATH = "/api/v1/export/events"
PAGE = 10


# What differs between the databases is read by the same statements as in test_history.py.
@pytest.fixture(scope="module")
def dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as name:
        yield name


@pytest.fixture
async def store(dsn: str) -> AsyncIterator[Database]:
    async with Database(dsn, connections_max=4, statement_timeout_ms=5000, connect_timeout_s=5) as made:
        await clear(made)
        yield made


@pytest.fixture
async def hub(dsn: str, store: Database, tmp_path: Path) -> AsyncIterator[Served]:
    await store.ping()
    exports = ExportSettings(running_max=1, rows_max=5000, page_rows_max=PAGE, send_timeout_s=30)
    async with served(tmp_path, lockers=[locker("berlin-01", "Berlin")], dsn=dsn, exports=exports) as running:
        yield running


async def text(hub: Served, path: str = PATH, **query: object) -> str:
    async with hub.http.get(
        path, params={**SPAN, **{name: str(value) for name, value in query.items()}}
    ) as response:
        body = await response.text(encoding="utf-8")
        assert response.status == 200, body
        return body


def table(body: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(body, newline=""), strict=True))


def lines(body: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in body.splitlines()]


def openings(count: int, text: str | None = None) -> list[Told]:
    return [
        Told(n, "berlin-01", 1 + n % 2, "door.opened", BASE + timedelta(seconds=n // 3), text=text)
        for n in range(count)
    ]


async def metric(hub: Served, name: str) -> float:
    async with hub.http.get("/metrics") as response:
        for line in (await response.text()).splitlines():
            if line.startswith(f"{name} "):
                return float(line.rpartition(" ")[2])
    return 0.0


async def ended(hub: Served, end: str) -> float:
    """Return how many exports of events ended so."""
    return await metric(hub, f'lockerhub_exports_total{{end="{end}",what="events"}}')


async def test_a_file_of_many_pages_is_whole_in_both_forms(hub: Served, store: Database) -> None:
    await write(store, openings(37))
    newest_first = [str(n) for n in sorted(range(37), key=lambda n: (n // 3, n), reverse=True)]
    found = table(await text(hub))
    assert [row["seq"] for row in found] == newest_first
    assert found[0]["occurred_at"] == "2024-03-02T09:00:12Z"
    *rows, end = lines(await text(hub, format="ndjson"))
    assert [str(row["seq"]) for row in rows] == newest_first
    assert end == {"end": True, "rows": 37, "cut": False}
    assert await ended(hub, "done") == 2
    assert await metric(hub, 'lockerhub_export_rows_total{what="events"}') == 74
    assert (await text(hub, door=2, locker="berlin-01", format="ndjson")).count("\n") == 18 + 1


async def test_an_empty_file_has_its_columns_and_its_end(hub: Served) -> None:
    assert await text(hub) == (
        "locker,epoch,seq,kind,door,occurred_at,received_at,clock,actor,command,transaction,data\r\n"
    )
    assert lines(await text(hub, format="ndjson")) == [{"end": True, "rows": 0, "cut": False}]


async def test_a_file_is_cut_at_its_limit_and_says_so(hub: Served, store: Database) -> None:
    await write(store, openings(2 * PAGE + 5))
    for rows_max in (PAGE - 1, PAGE, 2 * PAGE + 4):
        *rows, end = lines(await text(hub, format="ndjson", rows_max=rows_max))
        assert (len(rows), end) == (rows_max, {"end": True, "rows": rows_max, "cut": True})
    assert await ended(hub, "cut") == 3
    assert lines(await text(hub, format="ndjson", rows_max=2 * PAGE + 5))[-1]["cut"] is False


async def test_a_file_is_named_and_marked(hub: Served, store: Database) -> None:
    await write(store, [Told(1, "berlin-01", 1, "door.opened", BASE, text="=1+1")])
    async with hub.http.get(PATH, params={**SPAN, "bom": "true"}) as response:
        assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
        assert response.headers["Content-Disposition"] == (
            'attachment; filename="lockerhub-events-20240301T000000Z-20240401T000000Z.csv"'
        )
        assert response.headers["Lockerhub-Rows-Max"] == "5000"
        assert (await response.read()).startswith(b"\xef\xbb\xbflocker,")


async def test_statistics_telemetry_commands_and_quarantine_are_files_too(hub: Served, store: Database) -> None:
    await write(store, openings(2))
    await count_all(store)
    async with store.transaction() as conn:
        for second in (0, 0, 0, 1):
            await conn.execute(
                "INSERT INTO reading (sampled_at, received_at, locker_id, temperature_c, extra)"
                " VALUES (%(at)s, %(at)s, 'berlin-01', -4.5, '{\"=a\": 1}')",
                {"at": BASE + timedelta(seconds=second)},
            )
        await conn.execute(
            "INSERT INTO command (id, locker_id, kind, accepted_at, deadline_ms, state, late, reason, stages_ms)"
            " SELECT gen_random_uuid(), 'berlin-01', 'open', %(at)s + n * interval '1 second', 1, 'succeeded',"
            " false, '@reason', '{}' FROM generate_series(1, 12) n",
            {"at": BASE},
        )
        await conn.execute(
            "INSERT INTO command (id, locker_id, class, kind, args, accepted_at, expires_at, deadline_ms, state,"
            " late, stages_ms) VALUES (gen_random_uuid(), 'berlin-01', 'durable', 'forget',"
            " '{\"actor\": \"anna\"}', %(at)s, %(at)s, 1, 'sent', false, '{}')",
            {"at": BASE},
        )
        await conn.execute(
            "INSERT INTO quarantine (received_at, topic, reason, detail, payload, payload_bytes)"
            " SELECT %(at)s, 't', 'r', '-d', 'secret', 6 FROM generate_series(1, 11)",
            {"at": BASE},
        )
    counts = table(await text(hub, "/api/v1/export/statistics"))
    assert [(row["door"], row["openings"], row["occupied_after"]) for row in counts] == [
        ("1", "1", ""),
        ("2", "1", ""),
    ]
    readings = table(await text(hub, "/api/v1/export/telemetry", locker="berlin-01"))
    assert [row["temperature_c"] for row in readings] == ["-4.5"] * 4
    assert readings[0]["extra"] == '{"=a":1}'
    commands = table(await text(hub, "/api/v1/export/commands"))
    assert [row["reason"] for row in commands] == ["'@reason"] * 12 + [""]
    assert len({row["id"] for row in commands}) == 13
    assert (commands[-1]["kind"], commands[-1]["args"]) == ("forget", "")
    assert table(await text(hub, "/api/v1/export/commands", state="failed")) == []
    until = (BASE + timedelta(seconds=3)).isoformat()
    assert len(table(await text(hub, "/api/v1/export/commands", until=until))) == 3
    quarantined = await text(hub, "/api/v1/export/quarantine")
    assert "secret" not in quarantined
    assert [row["detail"] for row in table(quarantined)] == ["'-d"] * 11


@pytest.mark.parametrize(
    ("path", "query"),
    [
        (PATH, {"format": "xlsx"}),
        (PATH, {"rows_max": 0}),
        (PATH, {"bom": "perhaps"}),
        (PATH, {"door": 1}),
        (PATH, {"since": "2024-05-01T00:00:00Z"}),
        ("/api/v1/export/telemetry", {}),
        ("/api/v1/export/commands", {"state": "asleep"}),
        ("/api/v1/export/statistics", {"site": "Atlantis"}),
    ],
)
async def test_what_makes_no_sense_is_no_file(hub: Served, path: str, query: dict[str, object]) -> None:
    async with hub.http.get(
        path, params={**SPAN, **{name: str(value) for name, value in query.items()}}
    ) as response:
        assert (response.status, (await response.json(content_type=None))["code"]) == (400, "bad_request")


async def test_a_client_of_http_1_0_gets_no_file(hub: Served) -> None:
    answer = await hub.raw(f"GET {PATH} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
    assert b" 400 " in answer.split(b"\r\n", 1)[0]
    assert b"HTTP/1.1" in answer


async def begun(hub: Served) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Begin a file, and read no more than its begin: the hub waits for us in its middle."""
    reader, writer = await asyncio.open_connection(hub.host, hub.port, limit=1024)
    query = "&".join(f"{name}={value}" for name, value in SPAN.items())
    writer.write(f"GET {PATH}?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    await writer.drain()
    assert b" 200 " in await reader.readline()
    return reader, writer


BIG = "x" * 4000
MANY = 4000
"""More than the kernel takes for a client that does not read."""


async def test_one_more_than_allowed_is_told_to_come_again(hub: Served, store: Database) -> None:
    await write(store, openings(MANY, BIG))
    _, writer = await begun(hub)
    async with hub.http.get(PATH, params=SPAN) as response:
        assert (response.status, (await response.json(content_type=None))["code"]) == (503, "too_many_exports")
        assert response.headers["Retry-After"] == "10"
    # Whoever goes leaves the place to the next one.
    writer.close()

    async def free() -> bool:
        return await metric(hub, "lockerhub_exports_running") == 0

    await eventually(free, "the export's end")
    assert await ended(hub, "gone") == 1
    assert (await text(hub, rows_max=1)).count("\r\n") == 2


async def test_a_file_that_breaks_in_the_middle_cannot_be_taken_for_a_whole_one(
    hub: Served, store: Database, dsn: str
) -> None:
    await write(store, openings(MANY, BIG))
    database = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
    with psycopg.connect(dsn.replace(str(database), "postgres"), autocommit=True) as admin:
        async with hub.http.get(PATH, params=SPAN) as response:
            await response.content.readexactly(1000)
            admin.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false".encode())
            try:
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (database,)
                )
                with pytest.raises(aiohttp.ClientError):
                    await response.content.read()
            finally:
                admin.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS true".encode())
    assert await ended(hub, "failed") == 1


def exported(dsn: str, *arguments: str) -> tuple[int, str, str]:
    """Run `hub export`; return its exit status, what it wrote, and what it said beside it."""
    ran = CliRunner().invoke(
        export_app, list(arguments), env={"HUB_DATABASE_DSN": dsn, "HUB_DATABASE_CONNECT_TIMEOUT_S": "1"}
    )
    return ran.exit_code, ran.stdout_bytes.decode(), ran.stderr


async def test_the_command_line_writes_the_same(hub: Served, store: Database, dsn: str, tmp_path: Path) -> None:
    await write(store, openings(25))
    await count_all(store)
    span = ("--since", SPAN["since"], "--until", SPAN["until"])
    status, out, said = await asyncio.to_thread(exported, dsn, "events", *span)
    assert (status, said) == (0, "25 rows\n")
    assert out == await text(hub)
    _, out, said = await asyncio.to_thread(exported, dsn, "events", *span, "--format", "ndjson", "--rows-max", "20")
    assert out == await text(hub, format="ndjson", rows_max=20)
    assert said == "20 rows; there are more\n"
    _, out, _ = await asyncio.to_thread(exported, dsn, "events", *span, "--locker", "berlin-01", "--door", "2")
    assert out == await text(hub, locker="berlin-01", door=2)
    for what in ("statistics", "commands", "alarms", "quarantine"):
        _, out, _ = await asyncio.to_thread(exported, dsn, what, *span)
        assert out == await text(hub, f"/api/v1/export/{what}")
    _, out, _ = await asyncio.to_thread(exported, dsn, "telemetry", "berlin-01", *span)
    assert out == await text(hub, "/api/v1/export/telemetry", locker="berlin-01")
    folder = tmp_path / "files"
    folder.mkdir()
    path = folder / "events.csv"
    status, out, _ = await asyncio.to_thread(exported, dsn, "events", *span, "--output", str(path))
    assert (status, out, path.read_bytes().decode()) == (0, "", await text(hub))
    assert await asyncio.to_thread(lambda: list(folder.iterdir())) == [path]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("events", "--since", "yesterday"), "is not a time"),
        (("events", "--since", "2026-11-20T08:00:00"), "says no offset"),
        (("events", "--since", "2026-11-20T08:00:00Z", "--until", "2026-11-20T08:00:00Z"), "is not before"),
        (("events", "--door", "1"), "--door needs --locker"),
        (("events", "--kind", "Door"), "is not a kind"),
        (("events", "--site", "Atlantis"), "at the site"),
        (("telemetry", "BERLIN"), "is not a locker id"),
    ],
)
async def test_the_command_line_says_what_makes_no_sense(
    store: Database, dsn: str, arguments: tuple[str, ...], told: str
) -> None:
    await store.ping()
    status, out, said = await asyncio.to_thread(exported, dsn, *arguments)
    assert (status, out) == (2, "")
    assert told in said


async def test_a_file_that_cannot_be_whole_is_not_there(store: Database, dsn: str, tmp_path: Path) -> None:
    await write(store, openings(3))
    status, _, said = await asyncio.to_thread(
        exported, dsn, "events", "--output", str(tmp_path / "no" / "where.csv")
    )
    assert (status, "cannot write" in said) == (1, True)
    path = tmp_path / "events.csv"
    away = "postgresql://nobody@127.0.0.1:1/nothing"
    status, _, _ = await asyncio.to_thread(exported, away, "events", "--output", str(path))
    assert (status, await asyncio.to_thread(lambda: list(tmp_path.iterdir()))) == (1, [])
