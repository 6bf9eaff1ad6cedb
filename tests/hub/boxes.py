"""Lockers with a journal, and the way to ask a hub about jobs."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import UUID

from hub.core.jobs import JobStep
from tests.hub.contract import Contract
from tests.hub.scene import DOORS, LOCKERS, Agent, Scene, agent, boot_ms, eventually, obedient
from tests.services.conftest import MosquittoBroker
from wire.messages import Command, CommandState, Stages

ALL = len(LOCKERS) * DOORS
ORDER: dict[str, Any] = {
    "kind": "open",
    "reason": "cleaning",
    "filter": {"doors": "all"},
    "rate_per_minute": 6000,
    "canary": {"count": 0},
}
ALONE: dict[str, Any] = {
    "jobs_openings_without_approval_max": 1000,
    "jobs_openings_per_minute_max": 1000,
    "jobs_arrival_s": 5,
    "jobs_unsure_s": 2,
    "commands_open_deadline_ms": 10_000,
}
"""Nobody is needed beside the one who asks, and a busy machine is no reason for a command to fail."""
BRIEF: dict[str, Any] = {**ALONE, "commands_open_deadline_ms": 2000}
"""For a hub that is stopped while commands are under way: it waits for them."""
PATHS = {
    "show": "/api/v1/jobs/{job}",
    "targets": "/api/v1/jobs/{job}/targets",
    **{step.value: f"/api/v1/jobs/{{job}}/{step.value}" for step in JobStep},
}


class Box:
    """A locker with a journal: it opens a door once for an id, and answers a repeated one from what it wrote."""

    def __init__(self, locker: Agent) -> None:
        self.locker = locker
        self.opened: Counter[int | None] = Counter()
        self.journal: dict[UUID, CommandState] = {}
        self.arrived: list[UUID] = []
        self.ends_as = CommandState.SUCCEEDED
        self.answers = asyncio.Event()
        """While it is not set, the locker does what it is told and says nothing."""
        self.answers.set()

    async def __call__(self, command: Command) -> None:
        self.arrived.append(command.id)
        if command.id not in self.journal:
            self.journal[command.id] = self.ends_as
            self.opened[command.door] += self.ends_as is CommandState.SUCCEEDED
        if self.answers.is_set():
            await self.answer(command.id)

    async def answer(self, command: UUID) -> None:
        stages = Stages(received_t=boot_ms(), started_us=100, pulsed_us=200, replied_us=250)
        await self.locker.reply(command, self.journal[command], stages=stages)


@asynccontextmanager
async def fleet(hub: Scene, boxes: list[Box]) -> AsyncIterator[None]:
    """Let lockers that are connected be seen by a hub, and obey it."""
    async with AsyncExitStack() as stack:
        for box in boxes:
            await stack.enter_async_context(obedient(hub, box.locker, box))
            await box.locker.presence()
            await eventually(lambda box=box: online_now(hub, box), f"{box.locker.locker} online")  # type: ignore[misc]
        yield


async def online_now(hub: Scene, box: Box) -> bool:
    return bool((await hub.locker(box.locker.locker))["state"] == "online")


@asynccontextmanager
async def boxes(broker: MosquittoBroker) -> AsyncIterator[list[Box]]:
    """Connect all lockers; hubs may come and go."""
    async with AsyncExitStack() as stack:
        yield [Box(await stack.enter_async_context(agent(broker, one))) for one in LOCKERS]


async def call(hub: Scene, method: str, name: str, job: str = "", **options: Any) -> tuple[int, Any]:  # noqa: ANN401
    """Ask something about jobs, and hold the answer against the documented contract."""
    path = PATHS.get(name, "/api/v1/jobs")
    query = options.pop("query", "")
    async with hub.http.request(method, path.format(job=job) + query, **options) as response:
        body = await response.json(content_type=None)
        contract = await Contract.of(hub.http)
        contract.check(method, path, response.status, response.content_type, body)
        return response.status, body


async def make(hub: Scene, **changed: Any) -> str:  # noqa: ANN401 - JSON
    status, body = await call(hub, "post", "create", json={**ORDER, **changed})
    assert status == 201, body
    return str(body["id"])


async def show(hub: Scene, job: str) -> Any:  # noqa: ANN401 - JSON
    status, body = await call(hub, "get", "show", job)
    assert status == 200
    return body


async def ended(hub: Scene, job: str, state: str) -> dict[str, Any]:
    """Wait until a job is in a state, and nothing of it is under way; return what is not zero of its counts."""

    async def look() -> dict[str, Any]:
        body = await show(hub, job)
        assert body["state"] in {state, "running", "paused", "waiting_approval"}, body
        still = body["counts"]["sent"] or body["state"] != state
        return {} if still else body

    body = await eventually(look, f"a job that is {state}")
    return {name: count for name, count in body["counts"].items() if count}


async def counted(hub: Scene, job: str, **wanted: int) -> None:
    async def look() -> bool:
        counts = (await show(hub, job))["counts"]
        return all(counts[name] == count for name, count in wanted.items())

    await eventually(look, f"a job with {wanted}")


async def rounds(hub: Scene, count: int = 5) -> None:
    """Let the runner look at its jobs so many times."""
    until = hub.hub.jobs.rounds + count

    async def look() -> bool:
        return hub.hub.jobs.rounds >= until

    await eventually(look, f"{count} rounds of the runner")


async def arrived(lockers: list[Box], count: int) -> bool:
    return sum(len(box.arrived) for box in lockers) == count


def never_twice(lockers: list[Box]) -> None:
    assert all(times == 1 for box in lockers for times in box.opened.values())
