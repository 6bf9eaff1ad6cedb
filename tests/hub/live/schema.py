"""Frames held against the AsyncAPI document: nothing missing, nothing that it does not name."""

from functools import cache
from typing import Any

import orjson
from jsonschema import Draft7Validator, FormatChecker

from hub.api.asyncapi import live_document


def check_frame(frame: dict[str, Any]) -> None:
    """Fail for a frame that is not as the document says."""
    name = frame["type"]
    if name in {"snapshot", "diff"}:
        name = f"{frame['view'].partition(':')[0]}_{name}"
    if isinstance(frame.get("data"), dict) and "lockers" in frame["data"]:
        # A validator in Python takes its time; the first ones say it all.
        lockers = frame["data"]["lockers"]
        shown = lockers[:10] if isinstance(lockers, list) else lockers
        frame = {**frame, "data": {**frame["data"], "lockers": shown}}
    errors = [f"{error.json_path}: {error.message[:300]}" for error in _validator(name).iter_errors(frame)]
    assert not errors, (name, errors)


@cache
def _document() -> dict[str, Any]:
    return strict(orjson.loads(live_document("0.0.0")))  # type: ignore[no-any-return]


@cache
def _validator(name: str) -> Draft7Validator:
    schema = {**_document()["components"]["messages"][name]["payload"], "components": _document()["components"]}
    return Draft7Validator(schema, format_checker=FormatChecker())


def strict(schema: Any) -> Any:  # noqa: ANN401 - any JSON
    """Let objects have no other fields than those that are named."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    told = {name: strict(one) for name, one in schema.items()}
    if "properties" in told and told.get("type") == "object":
        told["additionalProperties"] = False
    return told
