"""Print what happens at all lockers, live. Needs aiohttp.

python examples/watch_events.py http://127.0.0.1:8080
"""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp


async def events(hub: str, token: str | None = None) -> AsyncGenerator[dict[str, Any], None]:
    """Yield events as they come, oldest first, for as long as the connection lasts.

    Each frame has a number. One that is missing, or a `resync`, means that this viewer was too slow: the hub begins
    again with a snapshot, and what happened between is asked for over HTTP (`GET /api/v1/events`).
    """
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession(headers=headers) as session, session.ws_connect(f"{hub}/live") as viewer:
        await viewer.send_json({"type": "subscribe", "view": "events"})
        async for message in viewer:
            frame = message.json()
            if frame["type"] == "error":
                raise RuntimeError(frame["detail"])
            if frame["type"] == "diff":
                for event in reversed(frame["data"]["events"]):
                    yield event


async def main(hub: str) -> None:
    """Print until the hub hangs up."""
    async for event in events(hub, os.environ.get("HUB_TOKEN")):
        door = f" door {event['door']}" if event["door"] is not None else ""
        print(event["occurred_at"], event["locker"] + door, event["kind"], flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
