"""Waiting: for a condition, with a deadline, and a sentence for when it does not come."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Final

from faults.errors import FaultsError

_LOOK_S: Final = 0.02


async def until(condition: Callable[[], bool | Awaitable[bool]], seconds: float, what: str) -> float:
    """Return once the condition holds; how many seconds that took. Raises FaultsError when the time is over."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while True:
        holds = condition()
        if inspect.isawaitable(holds):
            holds = await holds
        if holds:
            return loop.time() - began
        if loop.time() - began > seconds:
            raise FaultsError(f"after {seconds:g} s still not: {what}")
        await asyncio.sleep(_LOOK_S)
