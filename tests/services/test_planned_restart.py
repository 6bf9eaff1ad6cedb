"""A planned restart: balancers are warned, whoever waits is answered, and nobody waits for what cannot come."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.hub.asking import OPEN, PATH
from tests.hub.scene import WAIT_S, Scene, agent, eventually, fresh_database, obedient, online, scene
from tests.services.conftest import Cluster, MosquittoBroker
from wire.messages import decode_hub_state

pytestmark = pytest.mark.services

LONG_S = 600


@pytest.fixture
def dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as name:
        yield name


async def opened(http: aiohttp.ClientSession, url: str, wait: str) -> tuple[int, Any]:
    async with http.post(f"{url}{PATH}", params={"wait": wait}, json=OPEN) as response:
        return response.status, await response.json(content_type=None)


def url_of(hub: Scene) -> str:
    return f"http://127.0.0.1:{hub.config.http.port}"


async def test_a_lame_duck_serves_on_and_says_that_it_is_not_ready(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    up: asyncio.Future[Scene] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()

    async def serve() -> None:
        async with scene(mosquitto_broker, dsn, tmp_path, service_lame_duck_s=LONG_S) as hub:
            up.set_result(hub)
            await stop.wait()

    task = asyncio.create_task(serve())
    try:
        hub = await up
        async with aiohttp.ClientSession() as http, online(hub) as locker, obedient(hub, locker):

            async def ready() -> tuple[int, Any]:
                async with http.get(f"{url_of(hub)}/readyz") as response:
                    return response.status, await response.json()

            assert (await ready())[0] == 200
            stop.set()
            status, said = await eventually(lambda: _if_not_ready(ready), "a hub that is not ready") or (0, {})
            assert (status, said["ready"], said["checks"]) == (
                503, False, {"hub": "draining: this hub is about to stop"},
            )  # fmt: skip
            status, answer = await opened(http, url_of(hub), "pulse")
            assert (status, answer["state"]) == (200, "succeeded")
            async with http.get(f"{url_of(hub)}/healthz") as response:
                assert response.status == 200
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _if_not_ready(ready: Any) -> tuple[int, Any] | None:  # noqa: ANN401 - a function of the test's own
    status, said = await ready()
    return None if status == 200 else (status, said)


async def test_who_waits_for_a_door_is_answered_with_what_is_known(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with aiohttp.ClientSession() as http:
        async with (
            scene(mosquitto_broker, dsn, tmp_path, http_wait_s_max=LONG_S) as hub,
            online(hub) as locker,
            obedient(hub, locker) as got,
        ):
            waiting = asyncio.create_task(opened(http, url_of(hub), "opened"))

            async def succeeded() -> str | None:
                path = f"/api/v1/commands/{got[0].id}" if got else "/healthz"
                return str(got[0].id) if (await hub.get(path))[1].get("state") == "succeeded" else None

            command = await eventually(succeeded, "a pulse")
        # The pulse was sent, and no door was seen: without an answer the request would have been cut off.
        status, answer = await waiting
    assert (status, answer["id"], answer["state"], answer["outcome"]) == (202, command, "succeeded", None)


async def test_a_locker_that_is_silent_holds_nobody_up(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with aiohttp.ClientSession() as http:
        async with (
            scene(mosquitto_broker, dsn, tmp_path, http_wait_s_max=LONG_S, service_settle_s=0.1) as hub,
            agent(mosquitto_broker) as locker,
        ):
            await locker.presence()

            async def there() -> bool:
                return bool((await hub.locker("berlin-01"))["state"] == "online")

            await eventually(there, "an online locker")
            waiting = asyncio.create_task(opened(http, url_of(hub), "pulse"))
            await locker.command()
        status, answer = await waiting
    assert (status, answer["state"]) == (202, "sent")


async def test_a_small_fleet_comes_back_at_once(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with scene(mosquitto_broker, dsn, tmp_path, service_spread_s=5) as hub, online(hub) as locker:
        state = decode_hub_state(await asyncio.wait_for(locker.hub_states.get(), WAIT_S))
        assert state.spread_s == len(hub.hub.fleet.lockers) / 1000
