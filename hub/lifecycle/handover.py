"""Hand the listening sockets of a running hub to the one that takes its place.

The running hub listens on a Unix socket. The next one connects to it when it starts, is given the listening
sockets themselves (SCM_RIGHTS), makes itself ready, and says so; then the running hub drains, gives its lease back
and ends. Both have the same sockets, so no connection is ever refused: whoever connects while neither of them
serves waits in the kernel's queue. A next hub that dies before it is ready changes nothing.
"""

import asyncio
import logging
import os
import socket
import stat
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from hub.errors import ConfigError

_log = logging.getLogger(__name__)

_SETTING: Final = "service.handover_socket"
_HELLO: Final = b"lockerhub handover 1\n"
_READY: Final = b"ready\n"
_SOCKETS_MAX: Final = 16
_ANSWER_S: Final = 5.0
_LISTEN_FDS_START: Final = 3
"""Where systemd puts sockets: sd_listen_fds(3)."""


class Predecessor:
    """The running hub, as the next one sees it."""

    def __init__(self, link: socket.socket, listeners: list[socket.socket]) -> None:
        self._link = link
        self.listeners = listeners
        """The sockets that it listens on, and now this process too."""

    def relieve(self) -> None:
        """Say that this hub is ready: the other one drains now, gives its lease back and ends."""
        # An error is as good as an answer here: there is nobody any more, and the lease says so too.
        with suppress(OSError):
            self._link.send(_READY)

    def close(self) -> None:
        """Let the running hub go on alone, if it was not relieved."""
        self._link.close()


def find_predecessor(path: str) -> Predecessor | None:
    """Ask the hub that runs for its sockets; None if there is none. Raises ConfigError if it gives none."""
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    link.settimeout(_ANSWER_S)
    try:
        link.connect(path)
    except (FileNotFoundError, ConnectionRefusedError):
        link.close()
        return None
    except OSError as error:
        link.close()
        raise ConfigError(f"{_SETTING}: cannot use {path}: {error.strerror or error}") from None
    try:
        hello, descriptors, _, _ = socket.recv_fds(link, len(_HELLO), _SOCKETS_MAX)
    except OSError as error:
        link.close()
        raise ConfigError(f"{_SETTING}: the hub at {path} does not answer: {error.strerror or error}") from None
    listeners = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    if hello != _HELLO or not listeners:
        link.close()
        raise ConfigError(f"{_SETTING}: what answers at {path} hands no sockets over: is it a hub?")
    for one in (link, *listeners):
        one.settimeout(0)
    return Predecessor(link, listeners)


def inherited_listeners(environment: Mapping[str, str]) -> list[socket.socket]:
    """Return the sockets that the service manager listens on for this process (LISTEN_FDS); none without one."""
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(environment.get("LISTEN_FDS", "0"))
    listeners = []
    for descriptor in range(_LISTEN_FDS_START, _LISTEN_FDS_START + count):
        os.set_inheritable(descriptor, False)  # noqa: FBT003 - it takes no keywords
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            raise ConfigError(
                f"LISTEN_FDS: descriptor {descriptor} is no socket; a .socket unit names ListenStream="
            )
        listener = socket.socket(fileno=descriptor)
        if listener.type != socket.SOCK_STREAM or listener.family == socket.AF_UNIX:
            raise ConfigError("LISTEN_FDS: the hub serves HTTP over TCP: ListenStream=127.0.0.1:8080, for example")
        listener.settimeout(0)
        listeners.append(listener)
    return listeners


class Handover:
    """The running hub's side: gives its sockets to whoever may open the Unix socket, and ends when that is ready.

    Args:
        path: of the Unix socket. Its mode lets only this user in. None: there is no handover.
        listeners: what is handed over.
        relieved: called once the next hub is ready.
    """

    def __init__(self, path: str | None, listeners: Sequence[socket.socket], relieved: Callable[[], None]) -> None:
        self._path = None if path is None else Path(path)
        self._listeners = listeners
        self._relieved = relieved
        self._successor: socket.socket | None = None
        self._server: socket.socket | None = None

    @property
    def under_way(self) -> bool:
        """Whether another hub is ready to take this one's place."""
        return self._successor is not None

    def __enter__(self) -> Self:
        """Take the place of whoever listened there before. Raises ConfigError if that is not possible."""
        if self._path is None:
            return self
        server = self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        beside = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            beside.unlink(missing_ok=True)
            server.bind(str(beside))
            beside.chmod(0o600)
            server.listen(1)
            # Never for a moment without one: a hub that starts meanwhile finds the old one, or this one.
            beside.rename(self._path)
        except OSError as error:
            server.close()
            raise ConfigError(f"{_SETTING}: cannot listen at {self._path}: {error.strerror or error}") from None
        server.settimeout(0)
        return self

    def __exit__(self, *_: object) -> None:
        """Listen no more. The file stays for the next hub's, where there is one."""
        if self._server is not None and self._path is not None:
            self._server.close()
            if self._successor is not None:
                self._successor.close()
            else:
                with suppress(OSError):
                    self._path.unlink()

    async def run(self) -> None:
        """Hand over to one after another until one is ready; until cancelled."""
        loop = asyncio.get_running_loop()
        while self._server is not None and self._successor is None:
            link, _ = await loop.sock_accept(self._server)
            try:
                link.settimeout(0)
                socket.send_fds(link, [_HELLO], [listener.fileno() for listener in self._listeners])
                said = await loop.sock_recv(link, len(_READY))
            except OSError as error:
                said = b""
                _log.warning("A hub that wanted to take over is gone", extra={"error": str(error)})
            if said == _READY:
                self._successor = link
                _log.info("Another hub takes over")
                self._relieved()
            else:
                link.close()
        await asyncio.Event().wait()
