"""The line to lock boards: a serial port (or a pseudo-terminal), or memory with the same bytes."""

import asyncio
import os
from collections.abc import Callable
from typing import Final, Protocol

import serial

_READ_BYTES: Final = 4096

OnBytes = Callable[[bytes], None]
OnLost = Callable[[str], None]


class BoardLinkError(OSError):
    """The line could not be opened or written; the text says why."""


class BoardLink(Protocol):
    """One line. Bytes and its loss are told by callbacks on the event loop, never from inside a call."""

    name: str

    def open(self, on_bytes: OnBytes, on_lost: OnLost) -> None:
        """Open the line. Raises LinkError. `on_lost` is called at most once for each open."""

    def write(self, data: bytes) -> None:
        """Write a whole frame or raise LinkError; it does not wait."""

    def close(self) -> None:
        """Close the line; harmless when it is not open."""


class SerialLink:
    """A serial port, 8N1, for this process alone. A pseudo-terminal is opened the same way."""

    def __init__(self, port: str, baud: int) -> None:
        self.name = port
        self._baud = baud
        self._port: serial.Serial | None = None
        self._fd = -1

    def open(self, on_bytes: OnBytes, on_lost: OnLost) -> None:
        """Open and configure the port; what it still held from before is thrown away."""
        try:
            port = serial.Serial(self.name, self._baud, timeout=0, exclusive=True)
            port.reset_input_buffer()
        except (OSError, ValueError) as error:
            raise BoardLinkError(f"{self.name} cannot be opened: {error}") from None
        self._port, self._fd = port, port.fileno()
        os.set_blocking(self._fd, False)
        fd = self._fd

        def readable() -> None:
            try:
                data = os.read(fd, _READ_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                self._lost(on_lost, f"{self.name}: {error.strerror}")
                return
            if data:
                on_bytes(data)
            else:
                self._lost(on_lost, f"{self.name} was hung up")

        asyncio.get_running_loop().add_reader(fd, readable)

    def write(self, data: bytes) -> None:
        """Write one frame. A port that takes only a part of it counts as broken: half a frame does nothing."""
        if self._fd < 0:
            raise BoardLinkError(f"{self.name} is not open")
        try:
            written = os.write(self._fd, data)
        except OSError as error:
            raise BoardLinkError(f"{self.name} cannot be written: {error.strerror}") from None
        if written != len(data):
            raise BoardLinkError(f"{self.name} took {written} of {len(data)} bytes")

    def close(self) -> None:
        """Give the port back."""
        if self._port is None:
            return
        asyncio.get_running_loop().remove_reader(self._fd)
        self._port.close()
        self._port, self._fd = None, -1

    def _lost(self, on_lost: OnLost, why: str) -> None:
        self.close()
        on_lost(why)


class MemoryLink:
    """A line to boards in this process: `respond` gets what the host wrote and returns what boards say."""

    def __init__(self, name: str, respond: Callable[[bytes], bytes]) -> None:
        self.name = name
        self._respond = respond
        self._on_bytes: OnBytes | None = None

    def open(self, on_bytes: OnBytes, on_lost: OnLost) -> None:  # noqa: ARG002 - memory is never lost
        """Connect."""
        self._on_bytes = on_bytes

    def write(self, data: bytes) -> None:
        """Hand the bytes to the boards; their answer comes in the loop's next round."""
        if self._on_bytes is None:
            raise BoardLinkError(f"{self.name} is not open")
        answer = self._respond(data)
        if answer:
            asyncio.get_running_loop().call_soon(self._deliver, answer)

    def close(self) -> None:
        """Disconnect."""
        self._on_bytes = None

    def _deliver(self, answer: bytes) -> None:
        if self._on_bytes is not None:
            self._on_bytes(answer)
