"""The boards' end of a pseudo-terminal: what a simulated board has instead of a cable."""

import asyncio
import contextlib
import os
import pty
import tty
from collections.abc import Callable

_READ_BYTES = 4096


class BoardTerminal:
    """A pseudo-terminal whose other end, at the path `port`, can be opened like a serial port.

    `respond` gets what was written there and returns the answer. Open and close it on the event loop.
    """

    def __init__(self, respond: Callable[[bytes], bytes]) -> None:
        self._respond = respond
        # The far end stays open here as well: a terminal that nobody holds hangs up.
        self._near, self._far = pty.openpty()
        tty.setraw(self._far)
        os.set_blocking(self._near, False)
        self.port = os.ttyname(self._far)
        asyncio.get_running_loop().add_reader(self._near, self._readable)

    def close(self) -> None:
        """Hang up."""
        asyncio.get_running_loop().remove_reader(self._near)
        os.close(self._near)
        os.close(self._far)

    def _readable(self) -> None:
        try:
            data = os.read(self._near, _READ_BYTES)
        except OSError:
            return
        answer = self._respond(data)
        if answer:
            # A terminal that nobody reads is full some day; a real line would lose these bytes too.
            with contextlib.suppress(BlockingIOError):
                os.write(self._near, answer)
