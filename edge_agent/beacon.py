"""Making a locker easy to find: a LED of the machine that blinks, a command that beeps, or both.

A LED is a directory of Linux' LED class (Documentation/leds/leds-class.rst): the word in brackets in `trigger` says
what drives it now, and the trigger `timer` makes it blink.
"""

import asyncio
import contextlib
import logging
import re
from pathlib import Path
from typing import Final

from edge_agent.config import BeaconSettings

log = logging.getLogger(__name__)

_CURRENT: Final = re.compile(r"\[([^\]]+)\]")


class BeaconError(Exception):
    """The beacon could not be switched on; the text says why."""


class Beacon:
    """One locker's beacon. It goes off by itself; asked again meanwhile, it stays on for longer."""

    def __init__(self, config: BeaconSettings) -> None:
        self._led = None if config.led is None else Path(config.led)
        self._command = config.command
        self._seconds = config.seconds
        self._before: str | None = None
        self._off: asyncio.TimerHandle | None = None
        self._beep: asyncio.subprocess.Process | None = None

    @property
    def equipped(self) -> bool:
        """Whether this locker has anything to be located by."""
        return self._led is not None or bool(self._command)

    async def on(self) -> None:
        """Begin to blink and beep. Raises BeaconError."""
        try:
            if self._led is not None:
                self._blink(self._led)
            if self._command and self._beep is None:
                self._beep = await asyncio.create_subprocess_exec(
                    *self._command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL
                )
        except OSError as error:
            raise BeaconError(f"{error.filename or 'the beacon'}: {error.strerror}") from None
        if self._off is not None:
            self._off.cancel()
        self._off = asyncio.get_running_loop().call_later(self._seconds, self.off)

    def off(self) -> None:
        """Give the LED back to whatever drove it, and end the beeping."""
        if self._off is not None:
            self._off.cancel()
            self._off = None
        if self._beep is not None:
            with contextlib.suppress(ProcessLookupError):
                self._beep.terminate()
            self._beep = None
        if self._led is not None and self._before is not None:
            try:
                (self._led / "trigger").write_text(self._before)
            except OSError as error:
                log.warning("the beacon's LED stays as it is", extra={"why": str(error)})
            self._before = None

    def _blink(self, led: Path) -> None:
        trigger = led / "trigger"
        if self._before is None:
            current = _CURRENT.search(trigger.read_text())
            self._before = current.group(1) if current else "none"
        trigger.write_text("timer")
