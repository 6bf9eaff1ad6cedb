"""The ledger's routes while there is no database: what is asked is checked first, and then the truth is told."""

from pathlib import Path

import pytest

from tests.hub.api.serving import locker, served

CASES = [
    ("/api/v1/ledger", 503, "database_unavailable"),
    ("/api/v1/ledger?locker=berlin-01&limit=1000", 503, "database_unavailable"),
    ("/api/v1/ledger?locker=Berlin", 400, "bad_request"),
    ("/api/v1/ledger?limit=1001", 400, "bad_request"),
    ("/api/v1/ledger?cursor=x", 400, "bad_request"),
    ("/api/v1/ledger?more=1", 400, "bad_request"),
    ("/api/v1/lockers/berlin-01/ledger", 503, "database_unavailable"),
    ("/api/v1/lockers/berlin-01/ledger?limit=101", 400, "bad_request"),
    ("/api/v1/lockers/berlin-01/ledger?locker=berlin-01", 400, "bad_request"),
    ("/api/v1/lockers/nowhere/ledger", 404, "locker_unknown"),
]


@pytest.mark.parametrize(("path", "status", "code"), CASES)
async def test_refusals(path: str, status: int, code: str, tmp_path: Path) -> None:
    async with served(tmp_path, lockers=[locker("berlin-01")]) as hub, hub.http.get(path) as response:
        assert (response.status, (await response.json())["code"]) == (status, code)
