"""The documents of the service: made once, whoever asks how often."""

import asyncio
import threading

import pytest
from aiohttp import web

from hub.api.service import ServiceRoutes
from hub.metrics import Metrics


class Maker:
    """Makes the document, and is told when to be ready."""

    def __init__(self) -> None:
        self.made_on: list[int] = []
        self.begun = asyncio.Event()
        self.go_on = threading.Event()
        self._loop = asyncio.get_running_loop()

    def __call__(self) -> bytes:
        self.made_on.append(threading.get_ident())
        self._loop.call_soon_threadsafe(self.begun.set)
        assert self.go_on.wait(20)
        return b'{"openapi": "3.1.0"}'


async def test_the_document_is_made_once_and_beside_the_loop() -> None:
    maker = Maker()
    routes = {route.path: route.serve for route in ServiceRoutes(Metrics("0.0.0"), {}, maker, "0.0.0").routes()}

    async def ask() -> bytes:
        request: web.Request = object()  # type: ignore[assignment] # nothing of it is looked at
        response = await routes["/openapi.json"](request)
        assert isinstance(response, web.Response)
        assert isinstance(response.body, bytes)
        return response.body

    asking = [asyncio.create_task(ask()) for _ in range(3)]
    await maker.begun.wait()
    asking[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking[0]
    maker.go_on.set()
    assert [*await asyncio.gather(*asking[1:]), await ask()] == [b'{"openapi": "3.1.0"}'] * 3
    assert len(maker.made_on) == 1
    assert threading.get_ident() not in maker.made_on
