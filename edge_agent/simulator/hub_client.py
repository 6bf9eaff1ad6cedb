"""Asking the hub to open doors, as a kiosk or an app does: the only module of the agent's side that speaks HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4

import aiohttp

_TIMEOUT_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class OpenResponse:
    """The hub's answer. `code` is the problem's code, or `unreachable`, where `command` is None."""

    status: int
    code: str
    command: dict[str, Any] | None

    @property
    def accepted(self) -> bool:
        """Whether the hub took the command."""
        return self.command is not None


class HubClient:
    """One client of the hub's API, from `hub_client`."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url.rstrip("/")

    async def open_door(
        self, locker: str, door: int, *, actor: UUID, reason: str, key: UUID | None = None
    ) -> OpenResponse:
        """Order a door open and wait for its sensor. `key` makes a repetition of the same wish harmless."""
        body = {"kind": "open", "door": door, "actor": str(actor), "reason": reason}
        try:
            async with self._session.post(
                f"{self._url}/api/v1/lockers/{locker}/commands",
                params={"wait": "opened"},
                headers={"Idempotency-Key": str(key or uuid4())},
                json=body,
            ) as response:
                told = await response.json(content_type=None)
                if response.status in {200, 202} and isinstance(told, dict):
                    return OpenResponse(response.status, "", told)
                code = told.get("code", "") if isinstance(told, dict) else ""
                return OpenResponse(response.status, str(code) or f"http_{response.status}", None)
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return OpenResponse(0, "unreachable", None)


@asynccontextmanager
async def hub_client(url: str, token: str | None, *, connections_max: int) -> AsyncIterator[HubClient]:
    """Open a client; `token` is what the hub's token file holds, None where it needs none."""
    async with aiohttp.ClientSession(
        headers={} if token is None else {"Authorization": f"Bearer {token}"},
        timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
        connector=aiohttp.TCPConnector(limit=connections_max),
    ) as session:
        yield HubClient(session, url)
