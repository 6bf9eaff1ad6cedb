"""The AsyncAPI document: valid, complete, and of the protocol that is spoken."""

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator

from hub.live.frames import PROTOCOL
from tests.hub.api.serving import served
from tests.hub.api.test_openapi import references

VENDOR = Path(__file__).parent / "vendor" / "asyncapi"


async def fetched(tmp_path: Path) -> dict[str, Any]:
    async with served(tmp_path) as hub, hub.http.get("/asyncapi.json") as response:
        assert response.status == 200
        document: dict[str, Any] = await response.json()
        return document


async def test_it_is_valid(tmp_path: Path) -> None:
    document = await fetched(tmp_path)
    validator = Draft7Validator(json.loads((VENDOR / "3.0.0-without-id.json").read_text()))
    assert [error.message for error in validator.iter_errors(document)] == []
    # The check finds something: an operation has to say of which channel it is.
    del document["operations"]["tell"]["channel"]
    assert not validator.is_valid(document)


async def test_every_reference_leads_somewhere_and_everything_is_used(tmp_path: Path) -> None:
    document = await fetched(tmp_path)
    found = set(references(document))
    for one in found:
        place: Any = document
        for step in one.removeprefix("#/").split("/"):
            place = place[step]
    for part in ("schemas", "messages"):
        assert {f"#/components/{part}/{name}" for name in document["components"][part]} <= found
    for schema in document["components"]["schemas"].values():
        Draft7Validator.check_schema(schema)


async def test_it_is_of_the_protocol_that_hello_tells(tmp_path: Path) -> None:
    document = await fetched(tmp_path)
    protocol = document["components"]["schemas"]["Hello"]["properties"]["protocol"]
    assert protocol == {"enum": [PROTOCOL]}
