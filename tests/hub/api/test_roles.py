"""Who may call what: the whole table, each role at each kind of route, and what the document says of it."""

import re
from pathlib import Path

import aiohttp
import pytest

from hub.api.page import VIEWS
from hub.config.settings import HttpSettings
from hub.operators import Role
from tests.hub.api.serving import locker, served
from tests.hub.contract import Contract

TOKENS = {Role.VIEWER: "vera's token", Role.OPERATOR: "otto's token", Role.ADMIN: "adam's token"}
TABLE = """
-        GET    /static/{}  /favicon.ico  /healthz  /readyz  /openapi.json  /asyncapi.json  /api/v1/session
-        POST   /api/v1/session
-        DELETE /api/v1/session
viewer   GET    /live  /metrics  /api/v1/health
viewer   GET    /api/v1/lockers  /api/v1/lockers/{}  /api/v1/lockers/{}/events  /api/v1/lockers/{}/telemetry
viewer   GET    /api/v1/lockers/{}/telemetry/plot  /api/v1/lockers/{}/ledger  /api/v1/ledger  /api/v1/events
viewer   GET    /api/v1/commands  /api/v1/commands/{}  /api/v1/jobs  /api/v1/jobs/{}  /api/v1/jobs/{}/targets
viewer   GET    /api/v1/statistics  /api/v1/export/events  /api/v1/export/telemetry  /api/v1/export/statistics
viewer   GET    /api/v1/export/commands  /api/v1/export/quarantine
viewer   GET    /api/v1/export/alarms
viewer   GET    /api/v1/history/fleet  /api/v1/history/lockers/{}
viewer   GET    /api/v1/alarms  /api/v1/alarms/{}  /api/v1/alarms/health  /api/v1/alarms/rules
viewer   GET    /api/v1/maintenance
operator POST   /api/v1/alarms/acknowledge  /api/v1/alarms/unacknowledge  /api/v1/alarms/shelve
operator POST   /api/v1/alarms/unshelve  /api/v1/maintenance  /api/v1/maintenance/{}/end
viewer   GET    /api/v1/retention  /api/v1/retention/plan  /api/v1/retention/proofs  /api/v1/retention/proofs/{}
viewer   GET    /api/v1/retention/verdict
operator POST   /api/v1/lockers/{}/commands  /api/v1/commands/{}/cancel
operator POST   /api/v1/jobs  /api/v1/jobs/{}/approve  /api/v1/jobs/{}/reject  /api/v1/jobs/{}/cancel
operator POST   /api/v1/jobs/{}/pause  /api/v1/jobs/{}/resume
viewer   GET    /api/v1/lockers/{}/label.svg
operator PUT    /api/v1/lockers/{}/doors/{}/service
admin    PATCH  /api/v1/lockers/{}
admin    DELETE /api/v1/lockers/{}
admin    POST   /api/v1/lockers/{}/disable  /api/v1/lockers/{}/enable
viewer   GET    /api/v1/notifications  /api/v1/notifications/channels
operator POST   /api/v1/notifications/channels/{}/test
operator GET    /api/v1/audit  /api/v1/transactions  /api/v1/transactions/{}  /api/v1/transaction-kinds
admin    POST   /api/v1/retention/run  /api/v1/holds  /api/v1/holds/{}/release
admin    GET    /api/v1/holds
operator POST   /api/v1/transactions  /api/v1/transactions/{}/end  /api/v1/transactions/{}/rating
operator POST   /api/v1/transactions/{}/codes  /api/v1/codes/check
admin    GET    /api/v1/accounts  /api/v1/accounts/{}  /api/v1/accounts/{}/badges
admin    GET    /api/v1/notices  /api/v1/notices/{}
admin    POST   /api/v1/accounts  /api/v1/accounts/search  /api/v1/accounts/{}/rectify
admin    POST   /api/v1/accounts/{}/deactivate
admin    POST   /api/v1/accounts/{}/reactivate  /api/v1/accounts/{}/restrict  /api/v1/accounts/{}/unrestrict
admin    POST   /api/v1/accounts/{}/erase-child  /api/v1/accounts/{}/credential  /api/v1/accounts/{}/badges
admin    DELETE /api/v1/accounts/{}/badges/{}
admin    POST   /api/v1/notices  /api/v1/accounts/{}/notices/{}
admin    GET    /api/v1/rights  /api/v1/rights/{}
admin    POST   /api/v1/rights  /api/v1/rights/{}/checks  /api/v1/rights/{}/export  /api/v1/rights/{}/carry-out
admin    POST   /api/v1/rights/{}/answer
"""


def table() -> dict[tuple[str, str], str]:
    rows: dict[tuple[str, str], str] = {}
    for line in TABLE.strip().splitlines():
        role, method, *paths = line.split()
        for path in paths:
            assert (method, path) not in rows
            rows[method, path] = role
    # The page is the same empty one for everybody; what it shows it has to ask for.
    return rows | {("GET", re.sub(r"\{[^}]*\}", "{}", view)): "-" for view in VIEWS}


async def test_every_route_needs_what_the_table_says(tmp_path: Path) -> None:
    async with served(tmp_path) as hub:
        found = {
            (route.method, re.sub(r"\{[^}]*\}", "{}", route.path)): str(route.needs or "-") for route in hub.routes
        }
    assert found == table()


async def test_the_document_says_the_role(tmp_path: Path) -> None:
    async with served(tmp_path) as hub:
        document = (await Contract.of(hub.http)).document
    rows = table()
    told = {
        (method.upper(), re.sub(r"\{[^}]*\}", "{}", path)): operation.get("x-role", "-")
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }
    assert told == {one: rows[one] for one in told}
    refusals = document["paths"]["/api/v1/jobs"]["post"]["responses"]["403"]["description"]
    assert "`role_needed`" in refusals


@pytest.fixture
def guarded(tmp_path: Path) -> HttpSettings:
    lines = [f"{role[0]}:{role}:{token}" for role, token in TOKENS.items()]
    (tmp_path / "tokens").write_text("\n".join(lines))
    return HttpSettings(token_file=str(tmp_path / "tokens"))


async def answered(http: aiohttp.ClientSession, role: Role, method: str, path: str) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {TOKENS[role]}"}
    async with http.request(method, path, headers=headers) as response:
        body = await response.json(content_type=None)
        return response.status, body.get("code", "")


@pytest.mark.parametrize(
    ("role", "method", "path", "may"),
    [
        (Role.VIEWER, "GET", "/api/v1/lockers", True),
        (Role.VIEWER, "POST", "/api/v1/lockers/berlin-01/commands", False),
        (Role.VIEWER, "POST", "/api/v1/jobs", False),
        (Role.VIEWER, "GET", "/api/v1/accounts", False),
        (Role.OPERATOR, "POST", "/api/v1/lockers/berlin-01/commands", True),
        (Role.OPERATOR, "GET", "/api/v1/accounts", False),
        (Role.OPERATOR, "POST", "/api/v1/retention/run", False),
        (Role.OPERATOR, "GET", "/api/v1/holds", False),
        (Role.ADMIN, "GET", "/api/v1/holds", True),
        (Role.ADMIN, "GET", "/api/v1/accounts", True),
    ],
)
async def test_a_role_that_is_too_low_is_told_so(
    tmp_path: Path, guarded: HttpSettings, role: Role, method: str, path: str, *, may: bool
) -> None:
    async with served(tmp_path, http=guarded, lockers=[locker("berlin-01")]) as hub:
        status, code = await answered(hub.http, role, method, path)
    assert (code != "role_needed") is may
    assert may or status == 403


async def test_a_refusal_names_the_role_that_is_needed_and_the_one_there_is(
    tmp_path: Path, guarded: HttpSettings
) -> None:
    async with served(tmp_path, http=guarded) as hub:
        headers = {"Authorization": f"Bearer {TOKENS[Role.VIEWER]}"}
        async with hub.http.post("/api/v1/jobs", headers=headers, json={}) as response:
            detail = (await response.json(content_type=None))["detail"]
    assert detail == "v has the role viewer, and this needs operator; http.token_file gives roles."


@pytest.mark.parametrize("role", list(Role))
async def test_a_session_tells_its_role_and_keeps_it(tmp_path: Path, guarded: HttpSettings, role: Role) -> None:
    async with served(tmp_path, http=guarded) as hub:
        async with hub.http.post("/api/v1/session", json={"token": TOKENS[role]}) as response:
            assert (await response.json())["role"] == role
            cookie = {"Cookie": f"lockerhub_session={response.cookies['lockerhub_session'].value}"}
        async with hub.http.get("/api/v1/session", headers=cookie) as response:
            assert (await response.json())["role"] == role
        async with hub.http.post("/api/v1/retention/run", headers=cookie) as response:
            assert ((await response.json(content_type=None))["code"] == "role_needed") is (role != Role.ADMIN)
