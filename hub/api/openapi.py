"""The OpenAPI 3.1 document, generated from the routes and the types that they serve."""

import re
from typing import Any

import msgspec
import orjson

from hub.api.problems import TITLES, ProblemView
from hub.api.routes import Route
from hub.operators import Role

_PATH_PARAMETER = re.compile(r"\{(\w+)\}")
_EVERYWHERE = ("bad_request", "sign_in_needed", "foreign_origin", "foreign_host")
_MEANINGS = {202: "Still under way", 503: "Not ready"}
_TEXT = {
    "locker": "A locker's id.",
    "door": "A door's number.",
    "alarm": "An alarm's id.",
    "window": "The id of a time of maintenance.",
    "command": "A command's id.",
    "job": "A job's id.",
    "id": "A hold's id.",
    "number": "The number of a run.",
    "channel": "The name of a channel.",
    "account": "The account's id.",
    "badge": "The badge's id.",
    "request": "The id of what a person asked for.",
    "transaction": "The transaction's id.",
    "version": "The number of a version of the privacy notice.",
}


def document(routes: list[Route], version: str) -> bytes:
    """Return the document as JSON."""
    shown = [route for route in routes if route.documented]
    types: list[Any] = [ProblemView]
    for route in shown:
        types += [kind for kind in (route.query, route.body, *route.answers.values()) if kind is not None]
    unique = list(dict.fromkeys(types))
    _, components = msgspec.json.schema_components(unique, ref_template="#/components/schemas/{name}")
    queries = {route.query.__name__ for route in shown if route.query is not None}
    paths: dict[str, dict[str, Any]] = {}
    for route in shown:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, components)
    return orjson.dumps(
        {
            "openapi": "3.1.0",
            "info": {"title": "Lockerhub", "version": version, "license": {"name": "Apache-2.0"}},
            "paths": paths,
            "components": {
                "schemas": {name: schema for name, schema in components.items() if name not in queries},
                "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            },
        },
        option=orjson.OPT_INDENT_2,
    )


def _operation(route: Route, components: dict[str, Any]) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "description": _TEXT[name], "schema": {"type": "string"}}
        for name in _PATH_PARAMETER.findall(route.path)
    ]
    if route.query is not None:
        properties = components[route.query.__name__]["properties"]
        parameters += [{"name": name, "in": "query", "schema": schema} for name, schema in properties.items()]
    parameters += [
        {"name": name, "in": "header", "description": text, "schema": {"type": "string"}}
        for name, text in route.headers.items()
    ]
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": f"{route.method.lower()}{re.sub(r'[^a-z0-9]+', '_', route.path)}".rstrip("_"),
        "responses": _responses(route),
    }
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": _ref(route.body)}}}
    if route.needs is not None:
        operation["security"] = [{"token": []}]
        operation["x-role"] = route.needs
    return operation


def _responses(route: Route) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, kind in route.answers.items():
        responses[str(status)] = {"description": _MEANINGS.get(status, "OK")}
        if kind is not None:
            responses[str(status)]["content"] = {"application/json": {"schema": _ref(kind)}}
    if not route.answers:
        responses["200"] = {"description": "OK"}
    codes: dict[int, list[str]] = {}
    refusals = _EVERYWHERE if route.needs in {None, Role.VIEWER} else (*_EVERYWHERE, "role_needed")
    for code in (*refusals, *route.codes):
        codes.setdefault(TITLES[code][0], []).append(str(code))
    for status, names in codes.items():
        responses[str(status)] = {
            "description": ", ".join(f"`{name}`" for name in names),
            "content": {"application/problem+json": {"schema": _ref(ProblemView)}},
        }
    return dict(sorted(responses.items()))


def _ref(kind: type) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}
