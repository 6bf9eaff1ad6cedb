"""What only one can have: a door, a code, an Idempotency-Key; asked for at once, over HTTP on a real database."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from hub import store as hub_store
from hub.config.settings import HttpSettings
from hub.store.alarms import WINDOWS_MAX
from hub.store.database import Database
from hub.store.people import By
from hub.store.transactions import NewTransaction, Transactions
from tests.hub.api.serving import Served, locker, served
from tests.hub.contract import Contract
from tests.hub.people.persons import BY, switch_on
from tests.hub.scene import fresh_database, register, rows
from tests.services.conftest import Cluster

TOKENS = "anna:anna-has-a-token\nbob:bob-has-a-token\n"
TRANSACTIONS = "/api/v1/transactions"
CHECK = "/api/v1/codes/check"
COMMANDS = "/api/v1/lockers/berlin-01/commands"
TEMPLATE = "/api/v1/lockers/{locker}/commands"


@pytest.fixture
def dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as dsn:
        asyncio.run(register(dsn, ["berlin-01", "berlin-02"]))
        yield dsn


@pytest.fixture
async def store(dsn: str) -> AsyncIterator[Database]:
    async with Database(dsn, connections_max=4, statement_timeout_ms=10_000, connect_timeout_s=5) as store:
        yield store


@pytest.fixture
async def hub(dsn: str, store: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    await switch_on(store)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tokens").write_text(TOKENS)
    lockers = [locker("berlin-01"), locker("berlin-02")]
    http = HttpSettings(token_file=str(tmp_path / "tokens"))
    async with served(tmp_path, http=http, dsn=dsn, lockers=lockers, patience_s=60) as hub:
        yield hub


async def post(
    hub: Served, path: str, body: dict[str, Any], *, who: str = "anna", key: str | None = None
) -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {who}-has-a-token"} | ({} if key is None else {"Idempotency-Key": key})
    async with hub.http.post(path, json=body, headers=headers) as response:
        answer = await response.json(content_type=None)
        template = TEMPLATE if path == COMMANDS else path
        if "{" not in template and "/transactions/" not in template:
            (await Contract.of(hub.http)).check("post", template, response.status, response.content_type, answer)
        return response.status, answer


async def account(hub: Served, email: str = "berta@example.org") -> str:
    return str((await post(hub, "/api/v1/accounts", {"email": email}))[1]["id"])


async def code(hub: Served, transaction: str) -> str:
    return str((await post(hub, f"{TRANSACTIONS}/{transaction}/codes", {}))[1]["code"])


async def test_of_many_who_want_a_door_at_once_one_has_it(hub: Served, dsn: str) -> None:
    berta = await account(hub)
    wanted: dict[str, Any] = {"account": berta, "kind": "collect_asset", "locker": "berlin-01", "door": 3}
    answers = await asyncio.gather(*(post(hub, TRANSACTIONS, wanted) for _ in range(8)))
    assert Counter(status for status, _ in answers) == {201: 1, 409: 7}
    refused = next(answer for status, answer in answers if status == 409)
    assert refused["code"] == "door_taken"
    assert "Door 3 of berlin-01" in refused["detail"]
    assert rows(dsn, "SELECT count(*) FROM transaction WHERE state = 'open'") == [(1,)]
    # Another door, another locker's same door, and no door at all are nobody's.
    for other in ({"door": 2}, {"locker": "berlin-02"}, {"door": None}, {"door": None}):
        assert (await post(hub, TRANSACTIONS, {**wanted, **other}))[0] == 201
    (held,) = [answer["id"] for status, answer in answers if status == 201]
    assert (await post(hub, f"{TRANSACTIONS}/{held}/end", {"state": "completed"}))[0] == 200
    assert (await post(hub, TRANSACTIONS, wanted))[0] == 201


async def test_a_transaction_that_is_over_keeps_nobody_out(hub: Served, store: Database) -> None:
    """Between its end and the task that looks for such ones the door is free already."""
    berta = await account(hub)
    transactions = Transactions(store)
    new = NewTransaction(UUID(berta), "repair", "berlin-01", 1, BY.at + timedelta(minutes=1))
    first = await transactions.open(new, BY)
    later = By(BY.who, BY.at + timedelta(minutes=1))
    await transactions.open(NewTransaction(UUID(berta), "repair", "berlin-01", 1, None), later)
    assert (await transactions.transaction(first["id"]))["state"] == "expired"


async def test_of_many_who_come_with_a_code_at_once_one_has_it(hub: Served, dsn: str) -> None:
    berta = await account(hub)
    wanted = {"account": berta, "kind": "collect_asset", "locker": "berlin-01", "door": 3}
    transaction = (await post(hub, TRANSACTIONS, wanted))[1]["id"]
    shown = await code(hub, transaction)
    answers = await asyncio.gather(*(post(hub, CHECK, {"code": shown}) for _ in range(8)))
    assert Counter(status for status, _ in answers) == {200: 1, 404: 7}
    assert {answer["code"] for status, answer in answers if status == 404} == {"code_unknown"}
    assert rows(dsn, "SELECT taken_at IS NOT NULL FROM access_code") == [(True,)]
    # What was spent in vain is not the end of the transaction.
    assert (await post(hub, CHECK, {"code": await code(hub, transaction)}))[0] == 200


async def test_the_same_key_has_the_same_answer_and_nobody_elses(hub: Served) -> None:
    berta = await account(hub)
    wanted: dict[str, Any] = {"account": berta, "kind": "collect_asset", "locker": "berlin-01", "door": 3}
    one = await code(hub, (await post(hub, TRANSACTIONS, wanted))[1]["id"])
    two = await code(hub, (await post(hub, TRANSACTIONS, {**wanted, "door": 2}))[1]["id"])
    answers = await asyncio.gather(*(post(hub, CHECK, {"code": one}, key="kiosk 1") for _ in range(4)))
    assert [status for status, _ in answers] == [200] * 4
    assert all(answer == answers[0][1] for _, answer in answers)
    assert (await post(hub, CHECK, {"code": one}, key="kiosk 2"))[0] == 404
    assert (await post(hub, CHECK, {"code": one}, key="kiosk 1", who="bob"))[0] == 404
    assert (await post(hub, CHECK, {"code": one}))[0] == 404
    # `check` orders the opening: two codes that came with one key are still two openings.
    status, second = await post(hub, CHECK, {"code": two}, key="kiosk 1")
    assert (status, second["door"]) == (200, 2)
    assert second["check"] != answers[0][1]["check"]


async def test_an_idempotency_key_belongs_to_its_caller(hub: Served) -> None:
    body = {"kind": "configure", "args": {"telemetry_interval_s": 30}}
    status, bobs = await post(hub, COMMANDS, body, who="bob", key="night settings")
    assert (status, bobs["by"]) == (202, "bob")
    assert (await post(hub, COMMANDS, body, who="bob", key="night settings"))[1]["id"] == bobs["id"]
    status, annas = await post(hub, COMMANDS, body, who="anna", key="night settings")
    assert (status, annas["by"]) == (202, "anna")
    assert annas["id"] != bobs["id"]
    # Nor is somebody told that the key was another's, by a refusal.
    assert (await post(hub, COMMANDS, {"kind": "restart"}, who="anna", key="night settings"))[0] == 422
    assert (await post(hub, COMMANDS, {"kind": "restart"}, who="bob", key="bob's alone"))[0] == 202
    assert (await post(hub, COMMANDS, body, who="anna", key="bob's alone"))[0] == 202


async def test_of_two_notices_at_once_each_is_a_version(hub: Served) -> None:
    body = {"body": "How we use your data", "effective_at": "2026-11-21T08:00:00Z"}
    answers = await asyncio.gather(*(post(hub, "/api/v1/notices", body) for _ in range(4)))
    assert [status for status, _ in answers] == [201] * 4, answers
    assert sorted((status, answer["version"]) for status, answer in answers) == [(201, n) for n in (1, 2, 3, 4)]


async def test_a_limit_of_windows_holds_for_those_who_plan_at_once(hub: Served, dsn: str) -> None:
    rows(
        dsn,
        "INSERT INTO maintenance (id, locker_id, starts_at, ends_at, why, planned_by, planned_at)"
        " SELECT gen_random_uuid(), 'berlin-01', now(), now() + interval '1 hour', 'x', 'anna', now()"
        " FROM generate_series(1, %s)",
        WINDOWS_MAX - 1,
    )
    ends_at = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    body = {"locker": "berlin-01", "ends_at": ends_at, "why": "a new lock"}
    answers = await asyncio.gather(*(post(hub, "/api/v1/maintenance", body) for _ in range(4)))
    assert sorted(status for status, _ in answers) == [201, 409, 409, 409]


async def test_doors_that_were_shared_before_are_the_oldest_ones(hub: Served, store: Database, dsn: str) -> None:
    berta = UUID(await account(hub))
    transactions = Transactions(store)
    opened = [
        await transactions.open(
            NewTransaction(berta, "repair", "berlin-01", door, None), By("anna", BY.at + timedelta(hours=hour))
        )
        for hour, door in enumerate((1, 2, None))
    ]
    rows(dsn, "DROP INDEX transaction_holds_door")
    rows(dsn, "UPDATE transaction SET door = 1")
    (migration,) = (Path(hub_store.__file__).parent / "migrations").glob("*_one_holder.sql")
    text = migration.read_text(encoding="utf-8").split("ALTER TABLE", maxsplit=1)[0]
    rows(dsn, text)
    doors = [(await transactions.transaction(one["id"]))["door"] for one in opened]
    assert doors == [1, None, None]
