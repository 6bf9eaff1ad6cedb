"""Lockers over HTTP: pages, filters, and what is wrong with a query."""

from pathlib import Path

import pytest

from hub.api.problems import TITLES
from hub.core.commands import CommandRefusal
from tests.hub.api.serving import Served, locker, served

FLEET = [locker("berlin-01", "Berlin"), locker("berlin-02", "Berlin"), locker("köln".replace("ö", "o"), "Köln")]


async def ids(hub: Served, **query: str) -> list[str]:
    async with hub.http.get("/api/v1/lockers", params=query) as response:
        assert response.status == 200
        return [item["id"] for item in (await response.json())["items"]]


async def test_filters(tmp_path: Path) -> None:
    async with served(tmp_path, lockers=FLEET) as hub:
        assert await ids(hub) == ["berlin-01", "berlin-02", "koln"]
        assert await ids(hub, site="Berlin") == ["berlin-01", "berlin-02"]
        assert await ids(hub, site="berlin") == []
        assert await ids(hub, q="KÖLN") == ["koln"]
        assert await ids(hub, q="-02") == ["berlin-02"]
        assert await ids(hub, q="%") == []
        assert await ids(hub, state="never_seen") == ["berlin-01", "berlin-02", "koln"]
        assert await ids(hub, state="online") == []


async def test_pages_follow_each_other_without_a_hole(tmp_path: Path) -> None:
    names = [f"l-{number:02d}" for number in range(7)]
    async with served(tmp_path, lockers=[locker(name) for name in reversed(names)]) as hub:
        found, cursor = [], ""
        for expected in (3, 3, 1):
            query = {"limit": "3", **({"cursor": cursor} if cursor else {})}
            async with hub.http.get("/api/v1/lockers", params=query) as response:
                page = await response.json()
            assert len(page["items"]) == expected
            found += [item["id"] for item in page["items"]]
            cursor = page["next_cursor"]
        assert found == names
        assert cursor is None


BAD_QUERIES = [
    "limit=0", "limit=-1", "limit=1001", "limit=many", "limit=", "limit=99999999999999999999",
    "state=asleep", "q=" + "x" * 101, "cursor=!", "cursor=bm90IG91cnM", "cursor=%C3%A4", "cursor=NQ",
    "offset=5", "limit=1&limit=2", "site=a&site=b",
]  # fmt: skip


@pytest.mark.parametrize("query", BAD_QUERIES)
async def test_bad_queries_are_told_what_is_wrong(tmp_path: Path, query: str) -> None:
    async with served(tmp_path, lockers=FLEET) as hub, hub.http.get(f"/api/v1/lockers?{query}") as response:
        body = await response.json(content_type=None)
        assert (response.status, body["code"]) == (400, "bad_request")
        assert body["detail"]


BAD_SPANS = [
    "since=yesterday", "since=2026-11-20", "since=2026-11-20T08:00:00", "since=1e18", "until=0",
    "since=2016-12-31T23:59:61Z", "until=10000-01-01T00:00:00Z",
    "since=2026-11-20T09:00:00Z&until=2026-11-20T08:00:00Z",
    "since=2026-11-20T09:00:00Z&until=2026-11-20T09:00:00Z",
]  # fmt: skip


@pytest.mark.parametrize("span", BAD_SPANS)
@pytest.mark.parametrize("what", ["events", "telemetry"])
async def test_bad_spans(tmp_path: Path, what: str, span: str) -> None:
    async with (
        served(tmp_path, lockers=FLEET) as hub,
        hub.http.get(f"/api/v1/lockers/berlin-01/{what}?{span}") as response,
    ):
        body = await response.json(content_type=None)
        assert (response.status, body["code"]) == (400, "bad_request")


@pytest.mark.parametrize("query", ["door=0", "door=1000", "door=x", "kind=Door", "kind=%00", "kind=a.b.c"])
async def test_bad_event_filters(tmp_path: Path, query: str) -> None:
    async with (
        served(tmp_path, lockers=FLEET) as hub,
        hub.http.get(f"/api/v1/lockers/berlin-01/events?{query}") as response,
    ):
        assert (response.status, (await response.json(content_type=None))["code"]) == (400, "bad_request")


@pytest.mark.parametrize("name", ["nowhere", "BERLIN-01", "berlin-01%00", "%ff", "'; DROP TABLE event"])
async def test_a_locker_that_is_not_there(tmp_path: Path, name: str) -> None:
    async with served(tmp_path, lockers=FLEET) as hub:
        for path in ("", "/events", "/telemetry"):
            async with hub.http.get(f"/api/v1/lockers/{name}{path}") as response:
                body = await response.json(content_type=None)
                assert (response.status, body["code"]) == (404, "locker_unknown")


async def test_without_the_database_the_fleet_is_shown_and_its_history_is_not(tmp_path: Path) -> None:
    async with served(tmp_path, lockers=FLEET) as hub:
        assert len(await ids(hub)) == 3
        for path in ("/events", ""):
            async with hub.http.get(f"/api/v1/lockers/berlin-01{path}") as response:
                body = await response.json(content_type=None)
                assert (response.status, body["code"]) == (503, "database_unavailable")
                assert response.headers["Retry-After"] == "2"
        async with hub.http.get("/readyz") as response:
            assert response.status == 503
            assert (await response.json())["ready"] is False
        async with hub.http.get("/healthz") as response:
            assert (response.status, (await response.json())["status"]) == (200, "ok")


async def test_what_is_not_there_and_what_does_not_apply(tmp_path: Path) -> None:
    async with served(tmp_path) as hub:
        async with hub.http.get("/api/v2/lockers") as response:
            assert (response.status, (await response.json(content_type=None))["code"]) == (404, "not_found")
        async with hub.http.put("/api/v1/lockers") as response:
            assert response.status == 405
            assert response.headers["Allow"] == "GET"
            assert (await response.json(content_type=None))["code"] == "method_not_allowed"
        async with hub.http.get("/static/%2e%2e/%2e%2e/pyproject.toml") as response:
            assert response.status == 404


async def test_the_page_is_served_with_its_policy_and_validated_by_hash(tmp_path: Path) -> None:
    async with served(tmp_path) as hub:
        async with hub.http.get("/lockers/berlin-01") as response:
            assert response.content_type == "text/html"
            assert "default-src 'none'" in response.headers["Content-Security-Policy"]
            tag = response.headers["ETag"]
        async with hub.http.get("/", headers={"If-None-Match": tag}) as response:
            assert response.status == 304
        async with hub.http.get("/static/icon.svg") as response:
            assert response.content_type == "image/svg+xml"


def test_every_refusal_of_a_command_has_an_answer() -> None:
    for refusal in CommandRefusal:
        status, title = TITLES[refusal]
        assert 400 <= status < 600
        assert title
