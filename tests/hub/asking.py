"""Asking a running hub for commands, and holding its answers against the documented contract."""

import asyncio
from typing import Any

from tests.hub.contract import Contract
from tests.hub.scene import Agent, Scene, boot_ms, eventually
from wire.messages import Command, CommandState, Event, Stages

OPEN = {"kind": "open", "door": 3}
PATH = "/api/v1/lockers/berlin-01/commands"
BRIEF: dict[str, Any] = {"commands_open_deadline_ms": 1000}
"""For tests that leave a command in flight: a stopping hub waits for it."""
_ASKED_MAX = 10
RETRIED = {"rate_limited", "broker_unavailable", "hub_busy", "draining", "too_late", "database_unavailable"}


class Opener:
    """A locker whose doors open: it replies, and its ledger tells what the sensor saw."""

    def __init__(self, locker: Agent, *kinds: str) -> None:
        self.locker = locker
        self.kinds = kinds or ("door.opened",)
        self.next_seq = 1

    async def __call__(self, command: Command) -> None:
        stages = Stages(received_t=boot_ms(), started_us=100, pulsed_us=200, replied_us=250)
        await self.locker.reply(command.id, CommandState.SUCCEEDED, stages=stages)
        saw = [Event(t=1, at=1, kind=kind, door=command.door, command=command.id) for kind in self.kinds]
        await self.locker.events(self.next_seq, saw)
        self.next_seq += len(saw)


async def ask(hub: Scene, body: object = OPEN, path: str = PATH, **options: Any) -> tuple[int, Any]:  # noqa: ANN401
    """Ask for a command, and hold the answer against the documented contract.

    A hub that a busy machine made stand still for a second refuses what may have waited; then it is asked again, as
    its answer says.
    """
    for _ in range(_ASKED_MAX):
        status, answer, again_after_s = await _asked(hub, body, path, options)
        if answer.get("code") != "too_late":
            return status, answer
        await asyncio.sleep(again_after_s)
    raise AssertionError(f"the hub was too late {_ASKED_MAX} times")


async def _asked(hub: Scene, body: object, path: str, options: dict[str, Any]) -> tuple[int, Any, float]:
    async with hub.http.post(path, json=body, **options) as response:
        answer = await response.json(content_type=None)
        contract = await Contract.of(hub.http)
        contract.check("post", "/api/v1/lockers/{locker}/commands", response.status, response.content_type, answer)
        assert ("Retry-After" in response.headers) == (answer.get("code") in RETRIED)
        return response.status, answer, float(response.headers.get("Retry-After", 0))


async def cancel(hub: Scene, command: str) -> tuple[int, Any]:
    """Ask that a command is never begun."""
    async with hub.http.post(f"/api/v1/commands/{command}/cancel") as response:
        answer = await response.json(content_type=None)
        contract = await Contract.of(hub.http)
        contract.check("post", "/api/v1/commands/{command}/cancel", response.status, response.content_type, answer)
        return response.status, answer


async def state_of(hub: Scene, command: str, state: str) -> dict[str, Any]:
    """Wait until a command is in a state; return it."""

    async def look() -> dict[str, Any]:
        status, body = await hub.get(f"/api/v1/commands/{command}")
        (await Contract.of(hub.http)).check("get", "/api/v1/commands/{command}", status, "application/json", body)
        return body if body["state"] == state else {}

    return await eventually(look, f"a command that is {state}")
