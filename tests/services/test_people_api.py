"""Accounts, transactions, codes and rights over HTTP on a real database; every answer keeps the contract."""

import asyncio
import csv
import io
import json
import logging
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import psycopg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from hub.api.auth import Auth
from hub.api.barred import refusing_barred
from hub.api.routes import Route, answer
from hub.api.server import application
from hub.config.settings import HttpSettings
from hub.errors import PeopleError
from hub.metrics import Metrics
from hub.people.watch import PeopleWatch
from hub.store.database import Database
from hub.store.people import AccountStore
from hub.store.tenants import TenantChange, set_tenant
from hub.store.transactions import Transactions
from tests.hub.api.serving import Served, locker, served
from tests.hub.contract import Contract
from tests.hub.people.persons import BY, EMAIL, NAME, PASSWORD, add_events, found_in, person, switch_on
from tests.hub.scene import eventually, fresh_database, register, rows
from tests.services.conftest import Cluster

TOKENS = "anna:anna-has-a-token\nmachine.kiosk:kiosk-has-a-token\n"


@pytest.fixture(scope="module")
def module_dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as dsn:
        asyncio.run(register(dsn, ["berlin-01"]))
        yield dsn


@pytest.fixture
def dsn(module_dsn: str) -> str:
    tables = (
        "access_code, rating, transaction, badge, credential, notice_acceptance, notice, rights_check,"
        " rights_request, account, erasure_locker, erasure, command, event, ledger_cursor, ledger_gone"
    )
    rows(module_dsn, f"TRUNCATE {tables}")
    rows(module_dsn, "UPDATE tenant SET badges = false, codes = false, transactions = false")
    return module_dsn


@pytest.fixture
async def store(dsn: str) -> AsyncIterator[Database]:
    async with Database(dsn, connections_max=4, statement_timeout_ms=10_000, connect_timeout_s=5) as store:
        yield store


class Api:
    """Asks, and holds each answer against the contract."""

    def __init__(self, hub: Served, contract: Contract) -> None:
        self._hub = hub
        self._contract = contract

    async def ask(self, method: str, template: str, *ids: object, token: str = "anna", **body: Any) -> Any:  # noqa: ANN401
        path, rest = template, list(ids)
        while "{" in path:
            path = path[: path.index("{")] + str(rest.pop(0)) + path[path.index("}") + 1 :]
        headers = {"Authorization": f"Bearer {token}-has-a-token"}
        path += str(body.pop("query", ""))
        json_body = None if method == "get" else body
        async with self._hub.http.request(method, path, json=json_body, headers=headers) as response:
            answer = await response.json(content_type=None) if response.status != 204 else None
            if response.status != 204:
                self._contract.check(method, template, response.status, response.content_type, answer)
            return response.status, answer

    async def post(self, template: str, *ids: object, **body: Any) -> Any:  # noqa: ANN401
        return await self.ask("post", template, *ids, **body)

    async def get(self, template: str, *ids: object, query: str = "") -> Any:  # noqa: ANN401
        return await self.ask("get", template, *ids, query=query)

    async def raw(self, path: str) -> tuple[int, str, bytes]:
        headers = {"Authorization": "Bearer anna-has-a-token"}
        async with self._hub.http.post(path, headers=headers) as response:
            return response.status, response.content_type, await response.read()


@asynccontextmanager
async def api(dsn: str, folder: Path) -> AsyncIterator[Api]:
    (folder / "tokens").write_text(TOKENS)
    http = HttpSettings(token_file=str(folder / "tokens"))
    async with served(folder, http=http, dsn=dsn, lockers=[locker("berlin-01")]) as hub:
        yield Api(hub, await Contract.of(hub.http))


@pytest.fixture(autouse=True)
def _own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Keys and the journal are where the hub is started.
    monkeypatch.chdir(tmp_path)


ACCOUNTS = "/api/v1/accounts"
ACCOUNT = "/api/v1/accounts/{account}"
TRANSACTION = "/api/v1/transactions/{transaction}"
REQUEST = "/api/v1/rights/{request}"


async def test_an_account_from_its_beginning_to_its_end(dsn: str, tmp_path: Path) -> None:
    async with api(dsn, tmp_path) as hub:
        status, berta = await hub.post(ACCOUNTS, email=f"  {EMAIL} ", name=NAME)
        assert (status, berta["email"], berta["has_credential"]) == (201, EMAIL, False)
        # One address, however it is written: in capitals, or with the dots of ü apart.
        for same in (EMAIL.upper(), EMAIL.replace("ü", "u\u0308")):
            assert (await hub.post(ACCOUNTS, email=same))[0] == 409
        for wrong in ("berta", "@example.org", "a@b@c", "a b@c.de", "a@.de", "x" * 250 + "@c.de"):
            status, problem = await hub.post(ACCOUNTS, email=wrong)
            assert (status, problem["code"]) == (422, "email_wrong")
            assert wrong not in problem["detail"]
        other = (await hub.post(ACCOUNTS, email="carla@example.org"))[1]

        found = await hub.post(f"{ACCOUNTS}/search", email=EMAIL.lower())
        assert [one["id"] for one in found[1]["items"]] == [berta["id"]]
        assert len((await hub.post(f"{ACCOUNTS}/search", part="EXAMPLE.org", limit=1))[1]["items"]) == 1
        page = (await hub.get(ACCOUNTS))[1]
        assert {one["id"] for one in page["items"]} == {berta["id"], other["id"]}

        assert (await hub.post(f"{ACCOUNT}/rectify", berta["id"], email="carla@EXAMPLE.org"))[0] == 409
        status, right = await hub.post(f"{ACCOUNT}/rectify", berta["id"], name="Berta M.")
        assert (status, right["name"], right["email"]) == (200, "Berta M.", EMAIL)

        assert (await hub.post(f"{ACCOUNT}/credential", berta["id"], password="too short"))[0] == 400
        assert (await hub.post(f"{ACCOUNT}/credential", berta["id"], password=PASSWORD))[0] == 204
        assert (await hub.get(ACCOUNT, berta["id"]))[1]["has_credential"]

        closed = (await hub.post(f"{ACCOUNT}/deactivate", berta["id"]))[1]["deactivated_at"]
        # Closing it again does not begin the three years anew.
        assert (await hub.post(f"{ACCOUNT}/deactivate", berta["id"]))[1]["deactivated_at"] == closed
        assert (await hub.post(f"{ACCOUNT}/credential", berta["id"], password=PASSWORD))[1][
            "code"
        ] == "account_closed"
        assert (await hub.post(f"{ACCOUNT}/reactivate", berta["id"]))[1]["deactivated_at"] is None

        assert (await hub.get(ACCOUNT, uuid4()))[1]["code"] == "account_unknown"
        assert (await hub.get(ACCOUNT, "nonsense"))[1]["code"] == "account_unknown"
        audit = (await hub.get("/api/v1/audit"))[1]["items"]
    actions = [one["action"] for one in audit if one["subject"] == f"account:{berta['id']}"]
    assert actions == [
        "account.reactivate", "account.deactivate", "account.show", "credential.set", "account.rectify",
        "account.create",
    ]  # fmt: skip
    assert all(one["who"] == "anna" for one in audit)
    # In the account, and nowhere else: neither in the audit nor in what was looked for.
    assert set(found_in(dsn, [EMAIL, "Berta"])) == {"account.email", "account.email_key", "account.name"}


async def test_machines_do_not_look_at_people(dsn: str, tmp_path: Path) -> None:
    async with api(dsn, tmp_path) as hub:
        for method, path in (("get", ACCOUNTS), ("get", "/api/v1/audit"), ("get", "/api/v1/rights")):
            status, problem = await hub.ask(method, path, token="kiosk")
            assert (status, problem["code"]) == (403, "person_needed")


async def test_what_the_customer_has_not_asked_for_is_not_taken(store: Database, dsn: str, tmp_path: Path) -> None:
    async with api(dsn, tmp_path) as hub:
        berta = (await hub.post(ACCOUNTS, email=EMAIL))[1]["id"]
        wanted = {"account": berta, "kind": "repair", "locker": "berlin-01"}
        for path, body in ((f"{ACCOUNTS}/{berta}/badges", {"number": "1"}), ("/api/v1/transactions", wanted)):
            template = path.replace(berta, "{account}")
            status, problem = await hub.post(template, berta, **body)
            assert (status, problem["code"]) == (422, "feature_off")
            assert "hub tenant set" in problem["detail"]
        status, problem = await hub.post("/api/v1/codes/check", code="7QK4MZ0RPD")
        assert (status, problem["code"]) == (422, "feature_off")
        await set_tenant(store, TenantChange(transactions=True), BY)
        transaction = (await hub.post("/api/v1/transactions", **wanted))[1]["id"]
        status, problem = await hub.post(f"{TRANSACTION}/codes", transaction)
        assert (status, problem["code"]) == (422, "feature_off")
    assert rows(dsn, "SELECT count(*) FROM badge") == rows(dsn, "SELECT count(*) FROM access_code") == [(0,)]


async def test_a_code_lives_no_longer_than_its_transaction(
    store: Database, dsn: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await switch_on(store)
    async with api(dsn, tmp_path) as hub:
        berta = (await hub.post(ACCOUNTS, email=EMAIL))[1]
        wanted: dict[str, Any] = {"account": berta["id"], "kind": "collect_asset", "locker": "berlin-01", "door": 2}
        for wrong, code in (({"kind": "steal"}, "kind_unknown"), ({"door": 9}, "door_unknown")):
            assert (await hub.post("/api/v1/transactions", **{**wanted, **wrong}))[1]["code"] == code
        codes, one = [], ""
        for end in ("completed", "cancelled", "abandoned", None):
            one = (await hub.post("/api/v1/transactions", **wanted, expires_s=60))[1]["id"]
            status, issued = await hub.post(f"{TRANSACTION}/codes", one)
            assert status == 201
            codes.append(issued["code"])
            shown = f" {issued['code'][:5].lower()}-{issued['code'][5:]}".replace("0", "o")
            status, opens = await hub.post("/api/v1/codes/check", code=shown)
            assert (status, opens["transaction"], opens["door"], opens["actor"]) == (200, one, 2, berta["actor"])
            if end is None:
                expired = await Transactions(store).expire(BY.at + timedelta(days=3650))
                assert expired == {"transactions": 1, "codes": 0}
            else:
                assert (await hub.post(f"{TRANSACTION}/end", one, state=end))[1]["state"] == end
                assert (await hub.post(f"{TRANSACTION}/end", one, state=end))[0] == 200
                another = "completed" if end != "completed" else "cancelled"
                assert (await hub.post(f"{TRANSACTION}/end", one, state=another))[0] == 409
            status, problem = await hub.post("/api/v1/codes/check", code=issued["code"])
            assert (status, problem["code"]) == (404, "code_unknown")
            assert (await hub.post(f"{TRANSACTION}/codes", one))[1]["code"] == "transaction_state"
            assert rows(dsn, "SELECT count(*) FROM access_code") == [(0,)]
        assert (await hub.post(f"{TRANSACTION}/rating", one, score=4))[0] == 204
        listed = (await hub.get("/api/v1/transactions"))[1]["items"]
        assert [item["state"] for item in listed] == ["expired", "abandoned", "cancelled", "completed"]
        assert listed[0]["rating"] == 4
        too_long = (await hub.post(f"{TRANSACTION}/codes", one, expires_s=10**7))[1]
        assert too_long["code"] == "bad_code"
    assert found_in(dsn, codes) == {}
    assert not any(code in caplog.text for code in codes)


async def test_a_restricted_person_is_kept_and_not_used(store: Database, dsn: str, tmp_path: Path) -> None:
    await switch_on(store)
    async with api(dsn, tmp_path) as hub:
        berta = await person(store)
        assert (await hub.post(f"{ACCOUNT}/restrict", berta.account, why="a dispute"))[0] == 200
        assert (await hub.get(ACCOUNTS))[1]["items"] == []
        assert (await hub.get("/api/v1/transactions"))[1]["items"] == []
        assert (await hub.get(ACCOUNT, berta.account))[1]["restricted_why"] == "a dispute"
        wanted = {"account": str(berta.account), "kind": "repair", "locker": "berlin-01"}
        assert (await hub.post("/api/v1/transactions", **wanted))[1]["code"] == "account_restricted"
        assert (await hub.post(f"{TRANSACTION}/codes", berta.transaction))[1]["code"] == "account_restricted"
        watch = PeopleWatch(store, metrics := Metrics("0"), 1.0)
        await watch.look()
        assert watch.is_barred(berta.actor)
        assert not watch.is_barred(uuid4())
        assert metrics.registry.get_sample_value("lockerhub_rights_requests", {"state": "open"}) == 1
        await hub.post(f"{ACCOUNT}/unrestrict", berta.account)
        await watch.look()
        assert not watch.is_barred(berta.actor)


async def test_no_command_carries_the_name_of_somebody_who_is_barred() -> None:
    barred = uuid4()

    async def serve(request: web.Request) -> web.StreamResponse:
        return answer({"took": (await request.read()).decode()})

    command, other = "/api/v1/lockers/{locker}/commands", "/api/v1/other"
    routes = refusing_barred(
        [Route("POST", path, "", serve) for path in (command, other)], lambda one: one == barred
    )
    auth = Auth(HttpSettings())
    app = application(routes, auth, Metrics("0"), HttpSettings())
    async with TestServer(app, host="127.0.0.1") as server, aiohttp.ClientSession(str(server.make_url(""))) as http:

        async def post(path: str, text: str) -> int:
            async with http.post(path, data=text) as response:
                return response.status

        by_barred = f'{{"kind": "open", "door": 1, "actor": "{barred}"}}'
        assert await post("/api/v1/lockers/berlin-01/commands", by_barred) == 409
        assert await post(other, by_barred) == 200
        # What else is wrong with a body is the route's to say.
        for text in ("nonsense", "{}", f'{{"actor": "{uuid4()}"}}', '{"actor": 5}'):
            assert await post("/api/v1/lockers/berlin-01/commands", text) == 200


async def verified(hub: Api, account: UUID, kind: str) -> str:
    status, request = await hub.post("/api/v1/rights", account=str(account), kind=kind)
    assert status == 201
    status, request = await hub.post(f"{REQUEST}/checks", request["id"], note="passport")
    assert (status, request["state"]) == (200, "identity_checked")
    return str(request["id"])


async def test_a_copy_for_the_person_has_everything_and_no_secret(
    store: Database, dsn: str, tmp_path: Path
) -> None:
    await switch_on(store)
    berta = await person(store)
    await AccountStore(store).rectify(berta.account, email=None, name='=HYPERLINK("x")', by=BY)
    add_events(dsn, "berlin-01", [berta.actor, None] * 2)
    async with api(dsn, tmp_path) as hub:
        request = (await hub.post("/api/v1/rights", account=str(berta.account), kind="access"))[1]["id"]
        # Not before it is known who asks.
        assert (await hub.raw(f"/api/v1/rights/{request}/export"))[0] == 409
        status, problem = await hub.post(f"{REQUEST}/checks", request, password="it is not this one")
        assert (status, problem["code"]) == (409, "identity_unverified")
        assert (await hub.post(f"{REQUEST}/checks", request, password=PASSWORD))[1]["state"] == "identity_checked"
        status, kind, archive = await hub.raw(f"/api/v1/rights/{request}/export")
        assert (status, kind) == (200, "application/zip")
        assert (await hub.get(REQUEST, request))[1]["state"] == "done"
        # It is answered, once.
        assert (await hub.raw(f"/api/v1/rights/{request}/export"))[0] == 409
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        manifest = json.loads(file.read("manifest.json"))
        assert set(file.namelist()) == {*manifest["files"], "manifest.json"}
        for name, about in manifest["files"].items():
            text = file.read(name).decode("utf-8-sig")
            count = (
                len(json.loads(text))
                if name.endswith("json")
                else max(0, len(list(csv.reader(io.StringIO(text)))) - 1)
            )
            assert count == about["rows"], name
        counts = {
            name.removesuffix(".json"): one["rows"] for name, one in manifest["files"].items() if "json" in name
        }
        assert counts.pop("audit") > 5
        assert counts == {
            "account": 1, "credential": 1, "badges": 1, "transactions": 2, "ratings": 1, "codes": 1,
            "acceptances": 1, "requests": 2, "checks": 2, "commands": 1, "events": 2,
        }  # fmt: skip
        assert json.loads(file.read("account.json"))[0]["email"] == EMAIL
        assert list(json.loads(file.read("credential.json"))[0]) == ["set_at"]
        (row,) = csv.DictReader(io.StringIO(file.read("account.csv").decode("utf-8-sig")))
        assert row["name"] == '\'=HYPERLINK("x")'


async def test_an_agent_needs_a_permission_and_an_identity(store: Database, dsn: str, tmp_path: Path) -> None:
    await switch_on(store)
    berta = await person(store)
    async with api(dsn, tmp_path) as hub:
        body = {"account": str(berta.account), "kind": "erasure", "by_agent": True}
        request = (await hub.post("/api/v1/rights", **body))[1]["id"]
        for what in ("identity", "agent_permission"):
            after = (await hub.post(f"{REQUEST}/checks", request, what=what, note="seen"))[1]
            assert after["state"] == "received"
            status, problem = await hub.post(f"{REQUEST}/carry-out", request)
            assert (status, problem["code"]) == (409, "identity_unverified")
            assert "agent_identity" in problem["detail"]
        assert (await hub.post(f"{REQUEST}/answer", request, state="done", answer="ok"))[0] == 409
        status, refused = await hub.post(f"{REQUEST}/answer", request, state="refused", answer="who are you?")
        assert (status, refused["state"]) == (200, "refused")
        own = (await hub.post("/api/v1/rights", account=str(berta.account), kind="erasure"))[1]["id"]
        status, problem = await hub.post(f"{REQUEST}/checks", own, what="agent_identity", note="seen")
        assert (status, problem["code"]) == (422, "check_unfit")


async def test_each_right_is_carried_out_and_answered(store: Database, dsn: str, tmp_path: Path) -> None:
    await switch_on(store)
    berta = await person(store)
    async with api(dsn, tmp_path) as hub:
        right = await verified(hub, berta.account, "rectification")
        assert (await hub.post(f"{REQUEST}/carry-out", right))[0] == 400
        assert (await hub.post(f"{REQUEST}/carry-out", right, name="B."))[1]["state"] == "done"
        withdrawn = await verified(hub, berta.account, "withdrawal")
        assert (await hub.post(f"{REQUEST}/carry-out", withdrawn))[1]["state"] == "done"
        assert rows(dsn, "SELECT count(*) FROM notice_acceptance WHERE withdrawn_at IS NOT NULL") == [(1,)]
        for kind in ("objection", "restriction"):
            request = await verified(hub, berta.account, kind)
            assert (await hub.post(f"{REQUEST}/carry-out", request, why="asked"))[1]["state"] == "done"
        assert (await hub.get(ACCOUNT, berta.account))[1]["restricted_at"] is not None
        gone = await verified(hub, berta.account, "erasure")
        status, answered = await hub.post(f"{REQUEST}/carry-out", gone)
        assert (status, answered["state"], answered["account"]) == (200, "done", None)
        assert answered["answer"].startswith("Erased:")
        assert (await hub.get(ACCOUNT, berta.account))[0] == 404
        child = await person(store, badge="2", code="ABCDEFGHJK")
        status, erased = await hub.post(f"{ACCOUNT}/erase-child", child.account)
        assert (status, erased["partly"]) == (200, False)


async def test_what_is_overdue_shows(store: Database, dsn: str, tmp_path: Path) -> None:
    async with api(dsn, tmp_path) as hub:
        berta = (await hub.post(ACCOUNTS, email=EMAIL))[1]["id"]
        body = {"account": berta, "kind": "access", "received_at": "2026-01-31T12:00:00Z"}
        status, request = await hub.post("/api/v1/rights", **body)
        # There is no 31 February: it is due with the end of the month.
        assert (status, request["deadline_at"]) == (201, "2026-03-01T00:00:00Z")
        await hub.post("/api/v1/rights", account=berta, kind="access")
        overdue = (await hub.get("/api/v1/rights", query="?overdue=true"))[1]["items"]
        assert [one["id"] for one in overdue] == [request["id"]]
        late = {**body, "received_at": "2999-01-31T12:00:00Z"}
        assert (await hub.post("/api/v1/rights", **late))[0] == 400
    watch = PeopleWatch(store, metrics := Metrics("0"), 1.0)
    await watch.look()
    value = metrics.registry.get_sample_value
    assert value("lockerhub_rights_requests", {"state": "overdue"}) == 1
    assert value("lockerhub_rights_requests", {"state": "open"}) == 2


async def test_notices_stay_and_are_accepted(dsn: str, tmp_path: Path) -> None:
    async with api(dsn, tmp_path) as hub:
        berta = (await hub.post(ACCOUNTS, email=EMAIL))[1]["id"]
        for version in (1, 2):
            body = {"body": f"version {version}", "effective_at": "2026-12-01T00:00:00Z"}
            assert (await hub.post("/api/v1/notices", **body))[1]["version"] == version
        assert [one["version"] for one in (await hub.get("/api/v1/notices"))[1]["items"]] == [2, 1]
        assert (await hub.get("/api/v1/notices/{version}", 1))[1]["body"] == "version 1"
        for wrong in ("3", "x", "9" * 12):
            assert (await hub.get("/api/v1/notices/{version}", wrong))[1]["code"] == "notice_unknown"
        late = {"body": "version 3", "effective_at": "9999-12-31T23:59:59-12:00"}
        assert (await hub.post("/api/v1/notices", **late))[0] == 400
        assert len((await hub.get("/api/v1/notices"))[1]["items"]) == 2, "what could not be read back is not there"
        accept = "/api/v1/accounts/{account}/notices/{version}"
        for _ in range(2):
            assert (await hub.post(accept, berta, 2))[0] == 204
    assert rows(dsn, "SELECT version FROM notice_acceptance") == [(2,)]


async def test_a_feature_goes_off_with_what_is_stored_of_it(store: Database, dsn: str) -> None:
    await switch_on(store)
    await person(store)
    with pytest.raises(PeopleError, match="2 transactions are stored"):
        await set_tenant(store, TenantChange(transactions=False), BY)
    done = await set_tenant(store, TenantChange(transactions=False, badges=False), BY, delete_stored=True)
    assert done["stored"] == {"badges": 0, "codes": 0, "transactions": 0}
    assert done["codes"] is True
    assert rows(dsn, "SELECT count(*) FROM rating") == [(0,)]


async def test_a_feature_that_goes_off_waits_for_a_hold_that_is_being_placed(store: Database, dsn: str) -> None:
    await switch_on(store)
    berta = await person(store)
    waits = "SELECT 1 FROM pg_locks WHERE relation = 'legal_hold'::regclass AND NOT granted"

    async def waiting() -> bool:
        return bool(await asyncio.to_thread(rows, dsn, waits))

    async with await psycopg.AsyncConnection.connect(dsn) as placing:
        await placing.execute(
            "INSERT INTO legal_hold (id, tenant_id, account_id, actor_id, why, placed_by, placed_at)"
            " VALUES (gen_random_uuid(), 'default', %s, %s, 'a lawsuit', 'anna', now())",
            (berta.account, berta.actor),
        )
        going = asyncio.create_task(set_tenant(store, TenantChange(badges=False), BY, delete_stored=True))
        await eventually(waiting, "the end of the feature waits for the hold")
        await placing.commit()
        await going
    assert rows(dsn, "SELECT count(*) FROM badge") == [(1,)]
