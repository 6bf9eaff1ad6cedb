"""Retention and holds as people use them: over HTTP, and from the command line."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from typer.testing import CliRunner, Result

from hub.api.auth import Auth
from hub.api.retention import retention_routes
from hub.api.server import application
from hub.cli.main import app
from hub.config.settings import Config, DatabaseSettings, HttpSettings, RetentionSettings
from hub.errors import ConfigError, HubError
from hub.masking import Secret
from hub.metrics import Metrics
from hub.retention.build import build_service
from hub.retention.service import RetentionService
from hub.store.database import Database
from hub.store.task_runs import advisory_lock
from tests.hub.scene import eventually, fresh_database, rows
from tests.services.conftest import Cluster

pytestmark = pytest.mark.services

TOKENS = "anna:0123456789ab\nmachine.prometheus:ba9876543210\n"
PERSON = {"Authorization": "Bearer 0123456789ab"}
MACHINE = {"Authorization": "Bearer ba9876543210"}
NOW = datetime.now(UTC)
OLD = NOW.replace(day=1) - timedelta(days=366 * 8)


@pytest.fixture
def dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as name:
        rows(name, "INSERT INTO locker (id, name) VALUES ('berlin-01', 'b')")
        for seq, at in enumerate((OLD, OLD + timedelta(hours=1), NOW), 1):
            rows(name, "INSERT INTO event (occurred_at, received_at, tenant_id, locker_id, epoch, seq, kind, clock,"
                 " stamped_at) VALUES (%s, %s, 'default', 'berlin-01', '00000000-0000-0000-0000-000000000007', %s,"
                 " 'door.opened', 'synced', %s)", at, at, seq, at)  # fmt: skip
        rows(name, "INSERT INTO ledger_cursor (locker_id, epoch, next_seq)"
             " VALUES ('berlin-01', '00000000-0000-0000-0000-000000000007', 4)")  # fmt: skip
        yield name


class Api:
    def __init__(self, http: aiohttp.ClientSession, service: RetentionService, metrics: Metrics) -> None:
        self.http = http
        self.service = service
        self.metrics = metrics

    async def get(self, path: str) -> tuple[int, Any]:
        async with self.http.get(f"/api/v1/{path}", headers=PERSON) as response:
            return response.status, await response.json(content_type=None)

    async def post(self, path: str, body: object = None, headers: dict[str, str] = PERSON) -> tuple[int, Any]:
        async with self.http.post(f"/api/v1/{path}", headers=headers, json=body) as response:
            return response.status, await response.json(content_type=None)

    def metric(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"lockerhub_{name}", labels)


@asynccontextmanager
async def api(dsn: str, folder: Path, *, trusted: Sequence[str] = ()) -> AsyncIterator[Api]:
    (folder / "tokens").write_text(TOKENS)
    http = HttpSettings(token_file=str(folder / "tokens"))
    config = Config(
        http=http, database=DatabaseSettings(dsn=Secret(dsn)),
        retention=RetentionSettings(
            directory=str(folder / "retention"), key_file=str(folder / "key.pem"), trusted_key_files=list(trusted)
        ),
    )  # fmt: skip
    metrics = Metrics("0")
    async with Database(dsn, connections_max=4, statement_timeout_ms=20_000, connect_timeout_s=5) as store:
        service = build_service(config, store, "hub", metrics)
        routes = retention_routes(service, store)
        task = asyncio.create_task(service.run(), name="retention")
        async with (
            TestServer(application(routes, Auth(http), metrics, http), host="127.0.0.1") as server,
            aiohttp.ClientSession(str(server.make_url(""))) as client,
        ):
            yield Api(client, service, metrics)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_run_is_asked_for_and_proved(dsn: str, tmp_path: Path) -> None:
    async with api(dsn, tmp_path) as hub:
        status, plan = await hub.get("retention/plan")
        assert (status, plan["rows"]) == (200, 2)
        status, state = await hub.get("retention")
        assert (status, state["running"], state["last"], state["last_complete_at"]) == (200, False, None, None)
        assert state["policy"]["keep"]["event"] == "7 years"
        assert (await hub.post("retention/run", headers=MACHINE))[1]["code"] == "person_needed"
        status, asked = await hub.post("retention/run")
        assert (status, asked) == (202, {"asked": True, "after": 0})

        async def proved() -> Any:  # noqa: ANN401 - JSON
            return (await hub.get("retention/proofs/1"))[1].get("manifest")

        manifest = await eventually(proved, "the proof")
        assert (manifest["outcome"], manifest["by"]) == ("complete", "operator")
        status, verdict = await hub.get("retention/verdict")
        assert (status, verdict["proofs"], verdict["findings"], verdict["notes"]) == (200, 1, [], [])
        status, page = await hub.get("retention/proofs?limit=1")
        assert (status, page["next_cursor"], page["items"][0]["removed"]) == (200, None, {"event": 2})
        assert page["items"][0]["manifest"] is None
        for number in ("2", "x", "9" * 30):
            assert (await hub.get(f"retention/proofs/{number}"))[1]["code"] == "proof_unknown"
        await hub.service.task().run()
        status, page = await hub.get("retention/proofs?limit=1")
        assert page["items"][0]["number"] == 2
        status, page = await hub.get(f"retention/proofs?limit=1&cursor={page['next_cursor']}")
        assert (page["items"][0]["number"], page["next_cursor"]) == (1, None)
        state = (await hub.get("retention"))[1]
        assert (state["last"]["number"], state["last_complete_at"]) == (2, state["last"]["ended_at"])
        await hub.service.look(NOW)
        assert hub.metric("retention_removed_rows_total", category="event", by="rows") == 2
        assert hub.metric("retention_runs_total", result="complete") == 2
        oldest, cut = (
            hub.metric(f"retention_{name}_timestamp_seconds", category="event") for name in ("oldest", "cut_off")
        )
        assert oldest == pytest.approx(NOW.timestamp())
        assert cut is not None
        assert cut < NOW.timestamp() - 6.9 * 365 * 86_400


async def test_the_verdict_names_what_is_not_as_the_proofs_say(dsn: str, tmp_path: Path) -> None:
    async with api(dsn, tmp_path) as hub:
        status, verdict = await hub.get("retention/verdict")
        assert (status, verdict["proofs"], verdict["findings"]) == (200, 0, [])
        assert verdict["notes"] == ["no run has gone through yet, so there is nothing to hold the data against"]
        await hub.service.task().run()
        file = tmp_path / "retention" / "proofs" / "000001.json"
        file.write_bytes(file.read_bytes().replace(b"complete", b"complote"))
        status, verdict = await hub.get("retention/verdict")
        assert (status, len(verdict["findings"])) == (200, 1)
        assert "proof 1" in verdict["findings"][0]


async def test_a_key_that_was_replaced_still_counts_where_it_is_named(dsn: str, tmp_path: Path) -> None:
    async with api(dsn, tmp_path) as hub:
        await hub.service.task().run()
    for file in ("key.pem", "key.pub.pem"):
        (tmp_path / file).rename(tmp_path / f"old-{file}")
    async with api(dsn, tmp_path) as hub:
        findings = (await hub.get("retention/verdict"))[1]["findings"]
        assert "proof 1 in the table: its signature is not that of a key that is trusted" in findings[0]
    async with api(dsn, tmp_path, trusted=[str(tmp_path / "old-key.pub.pem")]) as hub:
        assert (await hub.get("retention/verdict"))[1]["findings"] == []
    with pytest.raises(ConfigError, match=r"nowhere\.pem"):
        async with api(dsn, tmp_path, trusted=["nowhere.pem"]):
            pass


async def test_of_two_runs_the_second_is_refused(dsn: str, tmp_path: Path) -> None:
    async with api(dsn, tmp_path) as hub, api(dsn, tmp_path) as other:
        store = Database(dsn, connections_max=2, statement_timeout_ms=9000, connect_timeout_s=5)
        async with store, advisory_lock(store, "retention") as got:
            assert got
            assert (await hub.get("retention"))[1]["running"] is True
            assert (await other.post("retention/run"))[1]["code"] == "retention_running"


async def test_a_failed_run_is_counted_and_the_next_one_goes_on(dsn: str, tmp_path: Path) -> None:
    async with api(dsn, tmp_path) as hub:
        (tmp_path / "retention").write_text("a file where the directory should be")
        with pytest.raises(HubError, match="the proof cannot be written"):
            await hub.service.task().run()
        assert hub.metric("retention_runs_total", result="failed") == 1
        assert rows(dsn, "SELECT count(*) FROM retention_run WHERE sealed_at IS NULL") == [(1,)]
        (tmp_path / "retention").unlink()
        assert (await hub.service.task().run())["number"] == 2
        outcomes = [proof["outcome"] for proof in (await hub.get("retention/proofs"))[1]["items"]]
        assert outcomes == ["complete", "interrupted"]


async def test_holds_are_placed_listed_and_released_by_people(dsn: str, tmp_path: Path) -> None:
    async with api(dsn, tmp_path) as hub:
        order = {"why": "Theft", "locker": "berlin-01", "since": OLD.isoformat()}
        assert (await hub.post("holds", order, MACHINE))[1]["code"] == "person_needed"
        status, hold = await hub.post("holds", order)
        assert (status, hold["active"], hold["placed_by"], hold["locker"]) == (201, True, "anna", "berlin-01")
        until = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        status, other = await hub.post("holds", {"why": "Theft", "locker": "berlin-01", "until": until})
        assert (status, (await hub.get("retention/plan"))[1]["rows"]) == (201, 0)
        await hub.service.look(NOW)
        assert hub.metric("legal_holds") == 2
        assert hub.metric("retention_oldest_timestamp_seconds", category="event") == pytest.approx(NOW.timestamp())
        status, page = await hub.get("holds?limit=1")
        assert (status, [one["id"] for one in page["items"]]) == (200, [other["id"]])
        status, page = await hub.get(f"holds?limit=1&cursor={page['next_cursor']}")
        assert ([one["id"] for one in page["items"]], page["next_cursor"]) == ([hold["id"]], None)
        path = f"holds/{hold['id']}/release"
        assert (await hub.post(path, {"why": " "}))[1]["code"] == "bad_hold"
        assert (await hub.post(path, {"why": "Settled"}, MACHINE))[1]["code"] == "person_needed"
        status, released = await hub.post(path, {"why": "Settled"})
        assert (status, released["active"], released["released_by"]) == (200, False, "anna")
        assert (await hub.post(path, {"why": "Settled"}))[1]["code"] == "hold_ended"
        assert len((await hub.get("holds"))[1]["items"]) == 1
        assert len((await hub.get("holds?all=true"))[1]["items"]) == 2
        for unknown in (str(uuid4()), "x"):
            assert (await hub.post(f"holds/{unknown}/release", {"why": "S"}))[1]["code"] == "hold_unknown"
        for wrong, why in (
            ({"why": "T"}, "names nothing"),
            ({"locker": "berlin-01"}, "missing required field `why`"),
            ({"why": "T", "locker": "berlin-99"}, "no locker 'berlin-99'"),
            ({"why": "T", "account": str(uuid4())}, "no account"),
            ({"why": "T", "transaction": str(uuid4())}, "no transaction"),
            ({"why": "T", "locker": "berlin-01", "tenant": "acme"}, "no tenant 'acme'"),
            ({"why": "T", "since": "2026-01-01T00:00:00"}, "timezone"),
            ({"why": "T", "since": "2026-01-02T00:00:00Z", "before": "2026-01-01T00:00:00Z"}, "wrong order"),
            ({"why": "T", "since": "0001-01-01T00:00:00+14:00"}, "outside of the years"),
            ({"why": "T", "before": "9999-12-31T23:59:59-12:00"}, "outside of the years"),
            ({"why": "T", "locker": "berlin-01", "until": "9999-12-31T23:59:59-12:00"}, "outside of the years"),
        ):
            status, problem = await hub.post("holds", wrong)
            assert (status, problem["code"]) == (422, "bad_hold")
            assert why in problem["detail"]
        # One that could not be read back would have stopped all of it.
        assert (await hub.get("retention/plan"))[0] == 200


def hub_command(dsn: str, folder: Path, *arguments: str) -> Result:
    environment = {
        "HUB_DATABASE_DSN": dsn, "HUB_RETENTION_DIRECTORY": str(folder / "retention"),
        "HUB_RETENTION_KEY_FILE": str(folder / "key.pem"), "HUB_LOG_LEVEL": "error",
    }  # fmt: skip
    return CliRunner().invoke(app, arguments, env=environment)


def test_the_command_line_plans_runs_verifies_and_shows(dsn: str, tmp_path: Path) -> None:
    def hub(*arguments: str, status: int = 0) -> str:
        done = hub_command(dsn, tmp_path, *arguments)
        assert done.exit_code == status, (done.output, done.exception)
        return done.output

    assert "2 rows would go" in hub("retention", "plan")
    assert json.loads(hub("retention", "plan", "--json", "--now", "2000-01-01"))["due"] == []
    assert "--now is of the year 3, and" in hub("retention", "plan", "--now", "0003-01-01", status=2)
    hold = hub("hold", "add", "--why", "Theft", "--locker", "berlin-01", "--before", f"{OLD:%Y-%m-%d}").strip()
    assert "before" in hub("hold", "list")
    assert f"released {hold}" in hub("hold", "release", hold, "--why", "Settled")
    assert "has ended already" in hub("hold", "release", hold, "--why", "Settled", status=1)
    assert "there is no hold" in hub("hold", "release", str(uuid4()), "--why", "Settled", status=1)
    assert "There is no reason" in hub("hold", "release", hold, "--why", "", status=1)
    assert "There is no locker" in hub("hold", "add", "--why", "T", "--locker", "x", status=1)
    assert [one["active"] for one in json.loads(hub("hold", "list", "--all", "--json"))] == [False]
    assert "ended" in hub("hold", "list", "--all")
    assert json.loads(hub("hold", "add", "--why", "T", "--since", f"{NOW:%Y-%m-%d}", "--json"))["id"]
    assert "proof 1: 2 rows went" in hub("retention", "run")
    assert json.loads(hub("retention", "run", "--json"))["number"] == 2
    assert "2 proofs, 0 findings" in hub("retention", "verify")
    assert "complete" in hub("retention", "proofs")
    assert [one["number"] for one in json.loads(hub("retention", "proofs", "--json"))] == [2, 1]
    file = tmp_path / "retention" / "proofs" / "000001.json"
    assert hub("retention", "proofs", "1") == file.read_text()
    assert "there is no proof 9" in hub("retention", "proofs", "9", status=1)
    assert "\n0 rows would go" in hub("retention", "plan")
    assert "1 stored, 0 quarantined, 0 declared missing, 2 gone by a rule" in hub("ledger", "verify")
    file.unlink()
    assert "proof 1 has no file" in hub("retention", "verify", status=1)
    assert json.loads(hub("retention", "verify", "--json", status=1))["findings"] == ["proof 1 has no file"]
    assert "000001.json" in hub("retention", "proofs", "--restore-files")
    assert "0 findings" in hub("retention", "verify")
    assert rows(dsn, "SELECT count(*) FROM audit WHERE action = 'retention.files_restored'") == [(1,)]


async def test_the_command_line_waits_for_no_run_of_another(dsn: str, tmp_path: Path) -> None:
    async with (
        Database(dsn, connections_max=2, statement_timeout_ms=9000, connect_timeout_s=5) as store,
        advisory_lock(store, "retention") as got,
    ):
        assert got
        done = await asyncio.to_thread(hub_command, dsn, tmp_path, "retention", "run")
    assert isinstance(done.exception, HubError)
    assert "is being run already" in str(done.exception)
