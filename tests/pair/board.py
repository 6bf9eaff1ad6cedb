"""A lock board with its doors, on the agent's real bus: real frames, and the truth of each pulse."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from edge_agent.boards import kerong_cu16 as cu16
from edge_agent.boards.link import BoardLinkError, OnBytes, OnLost
from tests.pair.process import Process, running
from tests.pair.world import World

_ANSWER_MS: Final = (3.0, 8.0)
_OPENS_MS: Final = (30.0, 120.0)


@dataclass(slots=True, eq=False)
class Board:
    """What stands in the locker's cabinet. It goes on when its computer does not.

    `on_pulse` hears of each pulse and its door, at the moment at which the frame was written.
    """

    world: World
    name: str
    locks: int
    jams: bool = False
    on_pulse: Callable[[int], None] = lambda _: None
    hooks: int = 0
    items: int = 0
    _parser: cu16.RequestParser = field(default_factory=cu16.RequestParser)

    def __post_init__(self) -> None:
        """Begin with all doors shut."""
        self.hooks = (1 << self.locks) - 1

    def turn_key(self, door: int) -> None:
        """Open a door from outside."""
        self.hooks &= ~(1 << (door - 1))

    def push_shut(self, door: int) -> None:
        """Shut a door."""
        self.hooks |= 1 << (door - 1)

    def move_item(self, door: int) -> None:
        """Put an item in, or take it out."""
        self.items ^= 1 << (door - 1)

    def line(self, port: str, baud: int) -> "Line":
        """Make the line to this board, for the process that runs."""
        del baud
        return Line(self, port, running())

    def receive(self, data: bytes) -> bytes:
        """Take what came over the line, and answer."""
        answer = b""
        for request in self._parser.feed(data):
            if request.command == cu16.STATUS:
                answer += cu16.status_reply(0, self.hooks, self.items)
            elif request.command == cu16.UNLOCK:
                self._pulse(request.lock + 1)
        return answer

    def _pulse(self, door: int) -> None:
        self.on_pulse(door)
        if not self.jams:
            self.world.at(self.world.now_ns + self.world.latency(*_OPENS_MS), self.turn_key, door)


class Line:
    """What `edge_agent.boards.link.Link` promises."""

    def __init__(self, board: Board, name: str, process: Process) -> None:
        self.name = name
        self._board = board
        self._process = process
        self._on_bytes: OnBytes | None = None

    def open(self, on_bytes: OnBytes, on_lost: OnLost) -> None:
        del on_lost
        self._on_bytes = on_bytes

    def write(self, data: bytes) -> None:
        if self._on_bytes is None:
            raise BoardLinkError(f"{self.name} is not open")
        if not self._process.alive:
            return
        answer = self._board.receive(data)
        world = self._board.world
        if data[2] == cu16.UNLOCK:
            world.passes(self._process.name, "pulse")
        if answer:
            world.at(world.now_ns + world.latency(*_ANSWER_MS), self._process.hand_in, self._heard, answer)

    def close(self) -> None:
        self._on_bytes = None

    def _heard(self, data: bytes) -> None:
        if self._on_bytes is not None:
            self._on_bytes(data)
