"""Readiness checks: all at once, each with its sentence."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from hub.errors import HubError

Check = Callable[[], Awaitable[None]]
"""Raises an exception whose text says what is wrong."""

_TIMEOUT_S: Final = 2.0


async def run_checks(checks: Mapping[str, Check]) -> dict[str, str]:
    """Run all at once. Returns what each says: `ok`, or a sentence."""
    said = await asyncio.gather(*(_run(check) for check in checks.values()))
    return dict(zip(checks, said, strict=True))


async def _run(check: Check) -> str:
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await check()
    except TimeoutError:
        return f"no answer within {_TIMEOUT_S:g} s"
    except (HubError, ConnectionError) as error:
        return str(error)
    return "ok"
