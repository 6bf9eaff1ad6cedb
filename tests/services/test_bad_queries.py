"""Every query parameter of every route, with values that nobody means: refused with a sentence, never a 5xx."""

import asyncio
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

import pytest

from tests.hub.api.serving import Served, locker, served
from tests.hub.contract import Contract
from tests.hub.scene import fresh_database, register
from tests.services.conftest import Cluster

IDS: Final = {"locker": "berlin-01", "version": "1", "run": "1"}
SOME: Final = str(UUID(int=7))

TIMES: Final = (
    "2026-11-20T08:00:00", "2026-11-20", "2026-11-20T08:00:00.5", "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00", "1969-12-31T23:59:59Z", "2200-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z",
    "9999-12-31T23:59:59-14:00", "2026-02-30T00:00:00Z", "2026-11-20T25:00:00Z", "0.5", "1e9", "1795000000",
    "-1", "now", "", "\0", "10000-01-01T00:00:00Z",
)  # fmt: skip
"""None of these is a time that is meant."""
ANYTHING: Final = (
    "", "\0", "a\0b", "x" * 5000, "e\u0301", "\u202e", "-1", "0", "1e400", "nan", "inf", "true", "null", "0.5",
    str(2**31), str(2**63), str(10**30), "%", "'", "\\", "[]", "2026-11-20T08:00:00Z", SOME,
)  # fmt: skip
VALUES: Final[tuple[object, ...]] = (
    ["2026-11-20T00:00:00", SOME], ["0001-01-01T00:00:00+14:00", SOME], ["9999-12-31T23:59:59-14:00", SOME],
    ["2026-11-20T00:00:00Z", SOME, 1], ["2026-11-20T00:00:00Z"], [], None, 0.5, {}, [SOME, SOME], [1, SOME],
    ["2026-11-20T00:00:00Z", "\0"], "\ud800", "a\0b", 10**30, -(10**30),
)  # fmt: skip
"""What stands in cursors that no list wrote."""
LISTS: Final = (
    "accounts", "alarms", "audit", "commands", "events", "holds", "jobs", "ledgers", "lockers", "maintenance",
    "notifications", "proofs", "rights", "targets", "telemetry", "transactions",
)  # fmt: skip


@pytest.fixture
def dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as dsn:
        asyncio.run(register(dsn, ["berlin-01"]))
        yield dsn


def cursors() -> Iterator[str]:
    for value in VALUES:
        for name in LISTS:
            text = str([name, value]).replace("'", '"').replace("None", "null").replace("\\x00", "\\u0000")
            yield urlsafe_b64encode(text.encode("utf-8", "surrogatepass")).decode().rstrip("=")


def parameters(document: dict[str, Any]) -> Iterator[tuple[str, str, str, bool]]:
    """Yield the method, the path with ids in it, the name, and whether it is a time, of each query parameter."""
    for path, operations in document["paths"].items():
        filled = path
        while "{" in filled:
            name = filled[filled.index("{") + 1 : filled.index("}")]
            filled = filled.replace("{" + name + "}", IDS.get(name, SOME))
        for method, operation in operations.items():
            for one in operation.get("parameters", []):
                if one["in"] == "query":
                    yield method, filled, one["name"], "date-time" in str(one["schema"])


async def status_of(hub: Served, method: str, path: str) -> int:
    async with hub.http.request(method, path, json={} if method == "post" else None) as response:
        await response.read()
        return response.status


async def test_no_value_of_a_parameter_is_an_error_of_the_hub(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wrong: list[str] = []
    asked = times = lists = 0
    async with served(tmp_path, dsn=dsn, lockers=[locker("berlin-01")], patience_s=60) as hub:
        document = (await Contract.of(hub.http)).document
        for method, path, name, is_time in parameters(document):
            asked += 1
            times += is_time
            lists += name == "cursor"
            if name == "cursor":
                values: Any = [*cursors()] if path.count("/") < 5 else [*cursors()][:: len(LISTS) - 1]
            else:
                values = TIMES if is_time else ANYTHING
            for value in values:
                status = await status_of(hub, method, f"{path}?{name}={quote(value, safe='')}")
                if status >= 500 or ((is_time or name == "cursor") and status not in {400, 404}):
                    wrong.append(f"{method} {path}?{name}={value[:60]!r}: {status}")
    assert not wrong, "\n".join(wrong)
    assert asked > 100
    assert times > 20
    assert lists > 15


async def test_no_id_in_a_path_is_an_error_of_the_hub(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wrong: list[str] = []
    async with served(tmp_path, dsn=dsn, lockers=[locker("berlin-01")], patience_s=60) as hub:
        document = (await Contract.of(hub.http)).document
        for path, operations in document["paths"].items():
            if "{" not in path:
                continue
            before, after = path.split("{", maxsplit=1)
            for value in ("%00", "%FF", "é", "x" * 300, "-1", str(10**30), "0.5", "%2e%2e", "nan", "\u202e"):
                filled = (
                    before
                    + quote(value, safe="%")
                    + after[after.index("}") + 1 :].replace("{", "").replace("}", "")
                )
                for method in operations:
                    status = await status_of(hub, method, filled)
                    if status >= 500:
                        wrong.append(f"{method} {filled[:80]}: {status}")
    assert not wrong, "\n".join(wrong)
