"""A steady stream of openings over the HTTP API, by callers who try again with the same key."""

import asyncio
import time
from dataclasses import dataclass
from random import Random
from typing import Any, Final
from uuid import UUID, uuid5

from faults.hubs import Hub
from faults.tap import boot_ms
from faults.waiting import until

DOOR_PAUSE_S: Final = 7.0
"""After the last try for a door, until it is asked for again: longer than deadline and grace, so that
a pulse of one order cannot be taken for the next one's."""
PATIENCE_S: Final = 3.0
"""How long a caller tries again for one opening."""
_TRY_AGAIN_S: Final = 0.15
_CALLERS: Final = UUID("7a1d5c5e-92a4-4a3e-9f7d-0f3a2a3f1c11")
_ACCEPTED: Final = (200, 202)


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one opening for its caller, who left at `left_t` of the boot clock; `began_s` is monotonic."""

    locker: str
    door: int
    began_s: float
    left_t: int
    took_ms: float
    status: int
    body: dict[str, Any]
    tries: int

    @property
    def state(self) -> str:
        """The state, or the refusal's code."""
        return str(self.body.get("state") or self.body.get("code"))


class Workload:
    """Openings at a rate, spread over lockers and doors. `start`, `stop`, and start again."""

    def __init__(self, hub: Hub, random: Random, lockers: dict[str, int], per_s: float) -> None:
        self.answers: list[Answer] = []
        self.told: dict[str, str] = {}
        """The newest state that a caller was told, by command."""
        self.hub = hub
        self.per_s = per_s
        self._random = random
        self._doors = {(name, door): 0.0 for name, doors in lockers.items() for door in range(1, doors + 1)}
        self._count = 0
        self._coming: asyncio.Task[None] | None = None
        self._calls: set[asyncio.Task[Answer | None]] = set()

    def start(self) -> None:
        """Let callers come."""
        if self._coming is None:
            self._coming = asyncio.create_task(self._come(), name="callers")

    async def stop(self) -> None:
        """Let nobody come any more, and wait for those who are there."""
        if self._coming is not None:
            self._coming.cancel()
            await asyncio.gather(self._coming, return_exceptions=True)
            self._coming = None
        while self._calls:
            await asyncio.wait(set(self._calls))

    def since(self, began_s: float) -> list[Answer]:
        """Return the answers to calls that began later."""
        return [answer for answer in self.answers if answer.began_s >= began_s]

    async def open(self, locker: str, door: int, *, patience_s: float = PATIENCE_S) -> Answer:
        """Ask for one door now, and again until there is an answer or patience ends."""
        self._count += 1
        key = str(uuid5(_CALLERS, f"{self._random.random()} {self._count}"))
        self._doors[locker, door] = time.monotonic() + patience_s
        began_s = time.monotonic()
        tries = 0
        while True:
            tries += 1
            status, body = await self.hub.ask(
                "POST",
                f"/api/v1/lockers/{locker}/commands?wait=pulse",
                json={"kind": "open", "door": door},
                headers={"Idempotency-Key": key},
            )
            if status in _ACCEPTED and "id" in body:
                self.told[body["id"]] = body["state"]
                break
            if time.monotonic() - began_s > patience_s:
                break
            await asyncio.sleep(_TRY_AGAIN_S)
        self._doors[locker, door] = time.monotonic()
        took_ms = (time.monotonic() - began_s) * 1000
        answer = Answer(locker, door, began_s, boot_ms(), took_ms, status, body, tries)
        self.answers.append(answer)
        return answer

    def free_door(self, locker: str | None = None) -> tuple[str, int] | None:
        """Return a door that was not asked for in a while."""
        now = time.monotonic()
        free = [
            place
            for place, asked in self._doors.items()
            if (asked == 0.0 or now - asked > DOOR_PAUSE_S) and locker in {None, place[0]}
        ]
        return self._random.choice(free) if free else None

    async def a_free_door(self, locker: str) -> tuple[str, int]:
        """Wait for a door of a locker that was not asked for in a while."""
        await until(lambda: self.free_door(locker) is not None, 2 * DOOR_PAUSE_S, f"a door of {locker} is free")
        place = self.free_door(locker)
        assert place is not None
        return place

    async def _come(self) -> None:
        while True:
            await asyncio.sleep(self._random.expovariate(self.per_s))
            place = self.free_door()
            if place is None:
                continue
            # Taken at once: the next caller comes before this one has begun.
            self._doors[place] = time.monotonic() + PATIENCE_S
            call = asyncio.create_task(self._call(*place), name=f"caller for {place[0]} {place[1]}")
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)

    async def _call(self, locker: str, door: int) -> Answer | None:
        return await self.open(locker, door)
