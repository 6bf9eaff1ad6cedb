"""The OpenAPI document: well formed, complete, and every schema in it is one."""

import re
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from hub.api.problems import TITLES
from tests.hub.api.serving import locker, served
from tests.hub.contract import Contract

ROOT = Path(__file__).parents[3]
METHODS = {"get", "post", "put", "patch", "delete"}


async def fetched(tmp_path: Path) -> dict[str, Any]:
    async with served(tmp_path) as hub:
        return (await Contract.of(hub.http)).document


def references(value: object) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [one for part in value.values() for one in references(part)]
    return [one for part in value for one in references(part)] if isinstance(value, list) else []


async def test_it_has_the_shape_of_openapi_3_1(tmp_path: Path) -> None:
    document = await fetched(tmp_path)
    assert re.fullmatch(r"3\.1\.\d+", document["openapi"])
    assert {"title", "version", "license"} <= document["info"].keys()
    assert document.keys() == {"openapi", "info", "paths", "components"}
    seen = set()
    for path, item in document["paths"].items():
        assert path.startswith("/")
        assert item.keys() <= METHODS
        for operation in item.values():
            assert operation["summary"]
            assert operation["operationId"] not in seen
            seen.add(operation["operationId"])
            in_path = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
            assert in_path == set(re.findall(r"\{(\w+)\}", path))
            for parameter in operation.get("parameters", []):
                Draft202012Validator.check_schema(parameter["schema"])
                assert parameter["in"] != "path" or parameter["required"] is True
            assert operation["responses"]
            for status, response in operation["responses"].items():
                assert re.fullmatch(r"[2-5]\d\d", status)
                assert response["description"]
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


async def test_every_reference_leads_somewhere_and_every_schema_is_used(tmp_path: Path) -> None:
    document = await fetched(tmp_path)
    found = set(references(document))
    prefix = "#/components/schemas/"
    assert {one.removeprefix(prefix) for one in found} == document["components"]["schemas"].keys()
    used = {
        name
        for item in document["paths"].values()
        for one in item.values()
        for part in one.get("security", [])
        for name in part
    }
    assert used == document["components"]["securitySchemes"].keys()


async def test_every_route_of_the_reference_is_in_it_and_the_other_way_round(tmp_path: Path) -> None:
    document = await fetched(tmp_path)
    text = (ROOT / "docs" / "api.md").read_text()
    written = {
        (method, re.sub(r"\?.*", "", path))
        for method, path in re.findall(r"`(GET|POST|PUT|PATCH|DELETE) (/api/[^` ]+)", text)
    }
    served_paths = {
        (method.upper(), re.sub(r"\{\w+\}", "{id}", path))
        for path, item in document["paths"].items()
        for method in item
        if path.startswith("/api/")
    }
    # The reference tells of signing out in the same sentence as of signing in.
    assert served_paths - {("DELETE", "/api/v1/session")} == written
    assert "`DELETE` ends it" in text
    assert {"/healthz", "/readyz", "/openapi.json"} <= document["paths"].keys()


async def test_every_code_of_the_reference_exists_with_its_status() -> None:
    text = (ROOT / "docs" / "api.md").read_text()
    table = re.findall(r"^\| ([\d /]+) \| (`.*) \|$", text, re.MULTILINE)
    assert table
    for statuses, cells in table:
        for status, names in zip(statuses.split(" / "), cells.split(" / "), strict=len(statuses) > 3):
            for name in re.findall(r"`([a-z_]+)`", names):
                assert TITLES[name][0] == int(status), name


async def test_answers_without_a_database_keep_the_contract(tmp_path: Path) -> None:
    async with served(tmp_path, lockers=[locker("berlin-01")]) as hub:
        contract = await Contract.of(hub.http)
        asked = [
            ("get", "/api/v1/lockers", "/api/v1/lockers", 200),
            ("get", "/api/v1/lockers", "/api/v1/lockers?limit=0", 400),
            ("get", "/api/v1/lockers/{locker}", "/api/v1/lockers/berlin-01", 503),
            ("get", "/api/v1/lockers/{locker}", "/api/v1/lockers/nowhere", 404),
            ("get", "/api/v1/lockers/{locker}/events", "/api/v1/lockers/berlin-01/events?door=0", 400),
            ("get", "/api/v1/lockers/{locker}/telemetry", "/api/v1/lockers/berlin-01/telemetry", 503),
            ("get", "/api/v1/commands/{command}", "/api/v1/commands/x", 404),
            ("get", "/api/v1/session", "/api/v1/session", 200),
            ("post", "/api/v1/session", "/api/v1/session", 415),
        ]
        for method, path, url, status in asked:
            async with hub.http.request(method, url) as response:
                body = await response.json(content_type=None)
                assert response.status == status, (url, body)
                contract.check(method, path, status, response.content_type, body)
