"""An InfluxDB 2 (or what speaks its write API): the only module that imports its client.

The client's own batching is not used: it loses points where a server is away for long. Requests are made one at a
time, and their answers are read here, a bounded piece of each.
"""

import gzip
from asyncio import to_thread
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import orjson
from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync
from influxdb_client.service.buckets_service import BucketsService
from influxdb_client.service.write_service import WriteService

from hub.core.influx import Bucket, WriteResponse

_ANSWER_BYTES_MAX: Final = 65_536
_OK: Final = 200

# The client says that it has types, and has them only in part.
_Client: Any = InfluxDBClientAsync
_Writing: Any = WriteService
_Buckets: Any = BucketsService


class InfluxServer:
    """A client of one server, to be used as an asynchronous context.

    Args:
        url: where the API is; a path before /api/v2 may be part of it.
        token: sent as `Authorization: Token …`.
        org: the organization's name.
        timeout_s: for a whole request.
        ca_file: the authority that is trusted for https, instead of the system's.
        compress: whether lines are sent as gzip.
    """

    def __init__(
        self, url: str, token: str | None, org: str, *, timeout_s: float, ca_file: str | None, compress: bool
    ) -> None:
        self._url, self._token, self._org = url, token, org
        self._timeout_s, self._ca_file, self._compress = timeout_s, ca_file, compress
        self._client: Any = None

    async def __aenter__(self) -> Self:
        """Make the client; nothing is connected yet. Raises OSError if the authority's file cannot be used."""
        # A redirect could carry the token elsewhere. One connection: requests are made one after another.
        self._client = _Client(
            self._url, self._token, self._org, timeout=int(self._timeout_s * 1000), allow_redirects=False,
            ssl_ca_cert=self._ca_file, connection_pool_maxsize=1,
        )  # fmt: skip
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        if self._client is not None:
            await self._client.close()

    async def write(self, bucket: str, lines: bytes, precision: str) -> WriteResponse:
        """Send lines, separated by line breaks. Never raises for what server or network do."""
        options: dict[str, Any] = {}
        if self._compress:
            lines = await to_thread(gzip.compress, lines, 1)
            options["content_encoding"] = "gzip"
        service = _Writing(self._api())
        return await self._ask(
            service.post_write_async,
            org=self._org, bucket=bucket, body=lines, precision=precision,
            content_type="text/plain; charset=utf-8", **options,
        )  # fmt: skip

    async def bucket(self, name: str) -> Bucket | WriteResponse:
        """Look a bucket up; an Answer where the server does not say, has no such API, or has no such bucket."""
        service = _Buckets(self._api())
        answer = await self._ask(service.get_buckets_async, name=name, org=self._org)
        if answer.status != _OK:
            return answer
        try:
            found = next(one for one in orjson.loads(answer.text)["buckets"] if one["name"] == name)
            rules = [rule for rule in found.get("retentionRules", []) if rule.get("type", "expire") == "expire"]
            return Bucket(str(found["id"]), int(rules[0]["everySeconds"]) if rules else 0)
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError):
            return WriteResponse(404, "it does not answer as the buckets API of InfluxDB 2 does")
        except StopIteration:
            return WriteResponse(404, f"there is no bucket {name!r} that this token may see")

    async def keep_for(self, bucket: Bucket, retention_s: int) -> WriteResponse:
        """Set how long a bucket keeps its points."""
        service = _Buckets(self._api())
        change = {"retentionRules": [{"type": "expire", "everySeconds": retention_s}]}
        return await self._ask(
            service.patch_buckets_id_async, bucket_id=bucket.id, patch_bucket_request=change
        )  # fmt: skip

    def _api(self) -> Any:  # noqa: ANN401 - the client's own class, which has no types
        if self._client is None:
            raise RuntimeError("the client is used outside of its context")
        return self._client.api_client

    async def _ask(self, call: Any, **parameters: Any) -> WriteResponse:  # noqa: ANN401 - the client's
        # Without `_preload_content` the answer comes as it is, whatever its status and size.
        try:
            response: aiohttp.ClientResponse = await call(**parameters, _preload_content=False)
            async with response:
                text = await _beginning(response)
                return WriteResponse(response.status, text, response.headers.get("Retry-After"))
        except TimeoutError:
            return WriteResponse(0, f"no answer within {self._timeout_s:g} s")
        except (aiohttp.ClientError, OSError) as error:
            return WriteResponse(0, str(error) or type(error).__name__)


async def _beginning(response: aiohttp.ClientResponse) -> str:
    body = bytearray()
    while len(body) < _ANSWER_BYTES_MAX:
        piece = await response.content.read(_ANSWER_BYTES_MAX - len(body))
        if not piece:
            break
        body += piece
    else:
        # The rest is not read, so the connection cannot be used again.
        response.close()
    return body.decode(errors="replace")
