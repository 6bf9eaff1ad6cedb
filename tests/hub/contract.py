"""/openapi.json as a judge of every real answer."""

from dataclasses import dataclass
from typing import Any, Self
from weakref import WeakKeyDictionary

import aiohttp
from jsonschema import Draft202012Validator

# What any request may meet before it reaches its route.
EVERYWHERE = {400, 401, 403, 405, 413}

_known: WeakKeyDictionary[aiohttp.ClientSession, dict[str, Any]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Contract:
    """The document of a running hub."""

    document: dict[str, Any]

    @classmethod
    async def of(cls, http: aiohttp.ClientSession) -> Self:
        """Return the contract of the hub behind a session, which is asked for it once."""
        if http not in _known:
            async with http.get("/openapi.json") as response:
                assert response.status == 200
                _known[http] = await response.json()
        return cls(_known[http])

    def check(self, method: str, path: str, status: int, content_type: str, body: object) -> None:
        """Assert that the answer is one that the document promises."""
        responses = self.document["paths"][path][method]["responses"]
        problem = "application/problem+json"
        if str(status) not in responses and status in EVERYWHERE:
            schema = {"$ref": "#/components/schemas/ProblemView"}
            assert content_type == problem
        else:
            assert str(status) in responses, f"{method} {path} does not document {status}: {body}"
            content = responses[str(status)].get("content", {})
            assert list(content) == [content_type]
            schema = content[content_type]["schema"]
        self.validate(schema, body)
        if content_type == problem:
            assert isinstance(body, dict)
            assert body["status"] == status
            promised = responses.get(str(status), {}).get("description")
            assert promised is None or f"`{body['code']}`" in promised, f"{method} {path} {status} {body['code']}"

    def validate(self, schema: dict[str, Any], value: object) -> None:
        whole = {**schema, "components": self.document["components"]}
        Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(value)
