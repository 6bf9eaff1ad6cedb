"""Requests about jobs that are refused before anything is made, and what they are told."""

from pathlib import Path
from typing import Any

import pytest

from hub.core.fleet import DoorSpec
from tests.hub.api.serving import locker, served
from tests.hub.contract import Contract

GOOD: dict[str, Any] = {"kind": "locate", "reason": "looking", "filter": {}, "rate_per_minute": 10}
OPEN = {**GOOD, "kind": "open", "filter": {"doors": "all"}}
LARGE = DoorSpec(1, "1", "L", 1, 1)


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in GOOD.items() if name != key}


REFUSED: list[tuple[object, int, str, str]] = [
    ([], 422, "bad_job", "The body"),
    (without("reason"), 422, "bad_job", "reason"),
    (without("filter"), 422, "bad_job", "filter"),
    (without("rate_per_minute"), 422, "bad_job", "rate_per_minute"),
    ({**GOOD, "reason": ""}, 422, "bad_job", "reason"),
    ({**GOOD, "reason": "   "}, 422, "bad_job", "reason"),
    ({**GOOD, "reason": "a\nb"}, 422, "bad_job", "reason"),
    ({**GOOD, "reason": "x" * 201}, 422, "bad_job", "reason"),
    ({**GOOD, "kind": "explode"}, 422, "bad_job", "kind"),
    ({**GOOD, "kind": "cancel"}, 422, "bad_job", "kind"),
    ({**GOOD, "rate_per_minute": 0}, 422, "bad_job", "rate_per_minute"),
    ({**GOOD, "rate_per_minute": 6001}, 422, "bad_job", "rate_per_minute"),
    ({**GOOD, "abort_share": 0}, 422, "bad_job", "abort_share"),
    ({**GOOD, "abort_share": 1.1}, 422, "bad_job", "abort_share"),
    ({**GOOD, "abort_min_count": 0}, 422, "bad_job", "abort_min_count"),
    ({**GOOD, "expires_s": 9}, 422, "bad_job", "expires_s"),
    ({**GOOD, "dryrun": True}, 422, "bad_job", "dryrun"),
    ({**GOOD, "canary": {}}, 422, "bad_job", "either `count` or `share`"),
    ({**GOOD, "canary": {"count": 1, "share": 0.1}}, 422, "bad_job", "either `count` or `share`"),
    ({**GOOD, "canary": {"count": -1}}, 422, "bad_job", "count"),
    ({**GOOD, "canary": {"share": 0}}, 422, "bad_job", "share"),
    ({**GOOD, "filter": {"lockers": []}}, 422, "bad_job", "lockers"),
    ({**GOOD, "filter": {"doors": "some"}}, 422, "bad_job", "doors"),
    ({**GOOD, "filter": {"doors": []}}, 422, "bad_job", "doors"),
    ({**GOOD, "filter": {"doors": [0]}}, 422, "bad_job", "doors"),
    ({**GOOD, "filter": {"doors": {"size": "XXL"}}}, 422, "bad_job", "size"),
    ({**GOOD, "filter": {"door": 1}}, 422, "bad_job", "door"),
    ({**GOOD, "args": {"a": 1}}, 422, "bad_job", "`configure`, and nothing else, needs `args`"),
    ({**GOOD, "kind": "configure"}, 422, "bad_job", "needs `args`"),
    ({**GOOD, "kind": "configure", "args": {}}, 422, "bad_job", "needs `args`"),
    ({**GOOD, "kind": "configure", "args": {"a": [1]}}, 422, "bad_job", "args"),
    ({**GOOD, "kind": "restart", "filter": {"doors": "all"}}, 422, "bad_job", "`restart` is for whole lockers"),
    ({**OPEN, "filter": {}}, 422, "bad_job", "`open` needs `filter.doors`"),
    ({**GOOD, "filter": {"lockers": ["berlin-01", "nowhere"]}}, 404, "locker_unknown", "'nowhere'"),
    ({**GOOD, "filter": {"site": "Nowhere"}}, 422, "no_targets", "No locker"),
    ({**OPEN, "filter": {"doors": [99]}}, 422, "no_targets", "none of their doors"),
    ({**OPEN, "filter": {"doors": {"size": "XL"}}}, 422, "no_targets", "none of their doors"),
    (None, 415, "not_json", "application/json"),
    ({**GOOD, "filter": {"lockers": ["x" * 32] * 5000}}, 413, "too_large", ""),
    # All is well, but the database of this hub is away.
    (GOOD, 503, "database_unavailable", ""),
    ({**OPEN, "filter": {"doors": {"size": "L"}, "q": "PARIS"}}, 503, "database_unavailable", ""),
    ({**GOOD, "kind": "configure", "args": {"doors.left_open_s": 9}}, 503, "database_unavailable", ""),
    ({**GOOD, "dry_run": True}, 503, "database_unavailable", ""),
]  # fmt: skip


async def test_refusals(tmp_path: Path) -> None:
    lockers = [locker("berlin-01"), locker("paris-02", doors=(LARGE,))]
    async with served(tmp_path, lockers=lockers) as hub:
        contract = await Contract.of(hub.http)
        for body, status, code, detail in REFUSED:
            async with hub.http.post("/api/v1/jobs", json=body) as response:
                answer = await response.json(content_type=None)
                contract.check("post", "/api/v1/jobs", response.status, response.content_type, answer)
                assert (response.status, answer["code"]) == (status, code), (body, answer)
                assert detail in answer["detail"], (body, answer)


@pytest.mark.parametrize("key", ["", "x" * 201])
async def test_keys_that_are_none(tmp_path: Path, key: str) -> None:
    async with (
        served(tmp_path, lockers=[locker("berlin-01")]) as hub,
        hub.http.post("/api/v1/jobs", json=GOOD, headers={"Idempotency-Key": key}) as response,
    ):
        assert (response.status, (await response.json(content_type=None))["code"]) == (400, "bad_request")


async def test_ids_that_are_none_and_cursors_of_others(tmp_path: Path) -> None:
    async with served(tmp_path) as hub:
        contract = await Contract.of(hub.http)
        asked = [
            ("get", "/api/v1/jobs/{job}", "/api/v1/jobs/x", 404),
            ("get", "/api/v1/jobs/{job}/targets", "/api/v1/jobs/x/targets", 404),
            ("post", "/api/v1/jobs/{job}/approve", "/api/v1/jobs/x/approve", 404),
            ("get", "/api/v1/jobs", "/api/v1/jobs?state=asleep", 400),
            ("get", "/api/v1/jobs", "/api/v1/jobs?limit=1001", 400),
            ("get", "/api/v1/jobs", "/api/v1/jobs?cursor=x", 400),
            ("get", "/api/v1/jobs/{job}/targets", "/api/v1/jobs/x/targets?state=asleep", 400),
            ("get", "/api/v1/jobs", "/api/v1/jobs", 503),
        ]
        for method, path, url, status in asked:
            async with hub.http.request(method, url) as response:
                body = await response.json(content_type=None)
                assert response.status == status, (url, body)
                contract.check(method, path, status, response.content_type, body)
