"""A line to the broker that can be cut: what a locker with a bad uplink lives behind in a simulated fleet."""

import asyncio
import contextlib
from types import TracebackType
from typing import Any, Final, Self

_READ_BYTES: Final = 65_536


class UplinkRelay:
    """Passes connections on to a host, on a free port of this machine, until it is cut."""

    def __init__(self, host: str, port: int) -> None:
        self.port = 0
        self._to = (host, port)
        self._server: asyncio.Server | None = None
        self._cut = False
        self._open: set[asyncio.StreamWriter] = set()
        self._passing: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        """Listen."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close everything."""
        if self._server is not None:
            self._server.close()
        self.cut()
        if self._passing:
            await asyncio.wait(set(self._passing))

    def cut(self) -> None:
        """Break all connections, and every one that comes until `mend`."""
        self._cut = True
        for writer in self._open:
            writer.transport.abort()

    def mend(self) -> None:
        """Pass on again."""
        self._cut = False

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._cut:
            writer.transport.abort()
            return
        if (task := asyncio.current_task()) is not None:
            self._passing.add(task)
            task.add_done_callback(self._passing.discard)
        ends = [writer]
        self._open.add(writer)
        try:
            far_reader, far = await asyncio.open_connection(*self._to)
            ends.append(far)
            self._open.add(far)
            if writer.is_closing():
                # Cut while it was being connected.
                far.transport.abort()
            async with asyncio.TaskGroup() as group:
                group.create_task(_pass(reader, far), name="relay up")
                group.create_task(_pass(far_reader, writer), name="relay down")
        except* OSError:
            # Each side learns it from its own end of the line.
            for end in ends:
                end.transport.abort()
        finally:
            for end in ends:
                self._open.discard(end)
                end.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_READ_BYTES):
        writer.write(data)
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()
