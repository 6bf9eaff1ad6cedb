"""One viewer: what waits for it, and which of its views have to start again."""

from collections import deque
from typing import Final, Protocol

from hub.live.frames import LiveFrame
from hub.operators import Role

BUFFER_BYTES_MAX: Final = 65_536
"""Above it a connection is given nothing more. Each write may be larger, so that and one write are the limit."""
FRAMES_BYTES_MAX: Final = 8_388_608
"""What may wait for one viewer, whatever the number of its frames."""
_PROGRESS_BYTES_MIN: Final = 16_384
"""Who takes less than this in the time to send is as good as gone."""


class Outlet(Protocol):
    """A connection to write to without waiting."""

    @property
    def is_open(self) -> bool:
        """Whether it takes data frames."""
        ...

    @property
    def deflates(self) -> bool:
        """Whether compression was agreed on."""
        ...

    @property
    def buffered_bytes(self) -> int:
        """What was written and the other side has not taken."""
        ...

    def write(self, data: bytes) -> None:
        """Write whole frames."""
        ...

    def cut(self) -> None:
        """End the connection without a word."""
        ...


class Viewer:
    """One websocket.

    Frames wait in one bounded queue while the connection does not take them. When it is full the viewer is behind:
    the queue is emptied, and each of its views starts again with a snapshot once there is room. A snapshot itself
    never waits in the queue; it is made when it can go out.
    """

    def __init__(
        self, number: int, outlet: Outlet, role: Role, frames_max: int, bytes_max: int = FRAMES_BYTES_MAX
    ) -> None:
        self.number = number
        self.role = role
        self.outlet = outlet
        self.views: set[str] = set()
        self.behind: set[str] = set()
        """Views that start again."""
        self.due: set[str] = set()
        """Views whose first snapshot is still to be sent."""
        self.resyncs = 0
        self.written_bytes = 0
        self._frames: deque[LiveFrame] = deque()
        self._frames_max = frames_max
        self._frames_bytes = 0
        self._bytes_max = bytes_max
        self._stuck_since_s: float | None = None
        self._stuck_bytes = 0

    @property
    def queued(self) -> int:
        """How many frames wait."""
        return len(self._frames)

    @property
    def is_lagging(self) -> bool:
        """Whether anything waits for the connection."""
        return bool(self._frames or self.behind or self.due)

    @property
    def has_room(self) -> bool:
        """Whether a frame of any size may be written now."""
        return not self._frames and self.outlet.buffered_bytes <= BUFFER_BYTES_MAX

    def push(self, frame: LiveFrame, view: str | None = None) -> bool:
        """Queue a frame. Returns False when the queue was full, was emptied, and the viewer is now behind."""
        if view is not None and (view in self.behind or view in self.due):
            return True
        size = len(frame.payload)
        if len(self._frames) >= self._frames_max or (self._frames and self._frames_bytes + size > self._bytes_max):
            self._clear()
            self.behind |= self.views - self.due
            return False
        self._frames.append(frame)
        self._frames_bytes += size
        return True

    def forget(self, view: str) -> None:
        """Let go of a view."""
        self.views.discard(view)
        self.behind.discard(view)
        self.due.discard(view)

    def pump(self) -> None:
        """Write what waits, as long as the connection has room."""
        frames, outlet = self._frames, self.outlet
        if not outlet.is_open:
            self._clear()
            return
        while frames and outlet.buffered_bytes <= BUFFER_BYTES_MAX:
            data = self._pop().wire(deflate=outlet.deflates)
            if frames:
                parts, size = [data], len(data)
                while frames and size <= BUFFER_BYTES_MAX:
                    part = self._pop().wire(deflate=outlet.deflates)
                    parts.append(part)
                    size += len(part)
                data = b"".join(parts)
            self.written_bytes += len(data)
            outlet.write(data)

    def _pop(self) -> LiveFrame:
        frame = self._frames.popleft()
        self._frames_bytes -= len(frame.payload)
        return frame

    def _clear(self) -> None:
        self._frames.clear()
        self._frames_bytes = 0

    def is_stuck(self, now_s: float, timeout_s: float) -> bool:
        """Say whether it took next to nothing for so long. Call it from time to time while it has no room."""
        left = self.outlet.buffered_bytes
        if left <= BUFFER_BYTES_MAX:
            self._stuck_since_s = None
            return False
        # Counted from what was written: the buffer of one who reads may well be as full as before.
        taken = self.written_bytes - left
        if self._stuck_since_s is None or taken - self._stuck_bytes >= _PROGRESS_BYTES_MIN:
            self._stuck_since_s, self._stuck_bytes = now_s, taken
            return False
        return now_s - self._stuck_since_s >= timeout_s
