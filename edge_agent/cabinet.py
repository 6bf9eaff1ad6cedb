"""The cabinet: its boards on their lines, and every door by its number."""

import logging
from collections.abc import Callable
from uuid import UUID

from edge_agent.boards.bus import Bus, Listener, Timing
from edge_agent.boards.link import BoardLink
from edge_agent.clock import BootClock
from edge_agent.config import BoardSettings, Config, DoorSettings
from edge_agent.core.doors import BoardDoors, DoorRules, DoorStatus, Note
from edge_agent.core.feedback import Feedback

log = logging.getLogger(__name__)

MakeLink = Callable[[str, int], BoardLink]
"""Makes the line of a port at a baud rate."""


class Cabinet:
    """All doors of one locker. `on_notes` gets what happens, `on_boards` that a board came or went."""

    def __init__(
        self,
        config: Config,
        clock: BootClock,
        make_link: MakeLink,
        on_notes: Callable[[list[Note]], object],
        on_boards: Callable[[], None],
    ) -> None:
        self._clock = clock
        rules = _rules(config.doors)
        ports: dict[str, list[tuple[int, BoardSettings]]] = {}
        for number, board in enumerate(config.boards, start=1):
            ports.setdefault(board.port, []).append((number, board))
        self._lines = [
            _Line(port, boards, config, rules, clock, make_link, on_notes, on_boards)
            for port, boards in ports.items()
        ]
        self._of_door = {
            door: (line, board) for line in self._lines for board in line.boards for door in board.doors
        }

    def follow(self, doors: DoorSettings) -> None:
        """Watch the doors by other settings from now on."""
        rules = _rules(doors)
        for line in self._lines:
            line.follow(doors, rules)

    def start(self) -> None:
        """Open the lines and poll."""
        for line in self._lines:
            line.bus.start()

    def stop(self) -> None:
        """Stop polling and close the lines."""
        for line in self._lines:
            line.bus.stop()

    @property
    def boards_online(self) -> int:
        """How many boards answer."""
        return sum(board.watch.online for line in self._lines for board in line.boards)

    @property
    def line_errors(self) -> int:
        """Everything that went wrong on the lines since start: sums, resyncs, timeouts, strays, losses."""
        total = 0
        for line in self._lines:
            counters, parser = line.bus.counters, line.bus.parser
            total += counters.timeouts + counters.strays + counters.losses
            total += parser.checksum_errors + parser.skipped_bytes
        return total

    def views(self) -> list[DoorStatus]:
        """Return what is known of each door, by number."""
        views = [view for line in self._lines for board in line.boards for view in board.watch.views()]
        return sorted(views, key=lambda view: view.number)

    def view(self, door: int) -> DoorStatus:
        """Return what is known of one door."""
        return self._of_door[door][1].watch.view(door)

    def has(self, door: int) -> bool:
        """Whether the door is on one of the boards."""
        return door in self._of_door

    def answers(self, door: int) -> bool:
        """Whether the door's board answers."""
        return self._of_door[door][1].watch.online

    async def unlock(self, door: int, gate: Callable[[], bool], command: UUID | None, actor: UUID | None) -> bool:
        """Pulse a door's lock before the next poll; see `Bus.unlock`. Its opening then is this command's."""
        line, board = self._of_door[door]
        fired = await line.bus.unlock(board.address, door - board.watch.first_door, gate)
        if fired:
            board.watch.pulsed(door, command, actor, self._clock.t())
        return fired


class _WatchedBoard:
    def __init__(self, number: int, board: BoardSettings, rules: DoorRules) -> None:
        self.address = board.address
        self.inverted = 0 if board.locked_bit else (1 << board.locks) - 1
        self.doors = range(board.first_door, board.first_door + board.locks)
        self.watch = BoardDoors(board.first_door, board.locks, rules, item_sensor=board.item_sensor, board=number)
        self._feedback = Feedback(board.first_door, board.locks, item_sensor=board.item_sensor)

    def observe(self, hooks: int, items: int, now_ms: int) -> list[Note]:
        """Take one reading and return all that it means."""
        notes = self.watch.observe(hooks, items, now_ms)
        if notes:
            notes = [*notes, *self._feedback.follow(notes)]
        return [*notes, *told] if (told := self._feedback.observe(hooks, items, now_ms)) else notes

    def is_gone(self, notes: list[Note]) -> list[Note]:
        """Note that the board is out of reach, if that is what `notes` come to; returns them."""
        if not self.watch.online:
            self._feedback.gone()
        return notes


class _Line(Listener):
    """One bus and the boards on it."""

    def __init__(
        self,
        port: str,
        boards: list[tuple[int, BoardSettings]],
        config: Config,
        rules: DoorRules,
        clock: BootClock,
        make_link: MakeLink,
        on_notes: Callable[[list[Note]], object],
        on_boards: Callable[[], None],
    ) -> None:
        self.boards = [_WatchedBoard(number, board, rules) for number, board in boards]
        self._by_address = {board.address: board for board in self.boards}
        self._clock = clock
        self._on_notes = on_notes
        self._on_boards = on_boards
        self._answer_timeout_ms = max(board.answer_timeout_ms for _, board in boards)
        link = make_link(port, boards[0][1].baud)
        self.bus = Bus(link, list(self._by_address), self._timing(config.doors), self)

    def follow(self, doors: DoorSettings, rules: DoorRules) -> None:
        """Go by other settings from now on."""
        self.bus.follow(self._timing(doors))
        for board in self.boards:
            board.watch.follow(rules)

    def status(self, board: int, hooks: int, items: int) -> None:
        """See `Listener`."""
        watched = self._by_address[board]
        was_online = watched.watch.online
        if not was_online:
            self.bus.set_silent(board, silent=False)
        self._tell(watched, watched.observe(hooks ^ watched.inverted, items, self._clock.t()), was_online)

    def silent(self, board: int) -> None:
        """See `Listener`."""
        watched = self._by_address[board]
        was_online = watched.watch.online
        self._tell(watched, watched.is_gone(watched.watch.silent(self._clock.t())), was_online)

    def gone(self, board: int) -> None:
        """See `Listener`."""
        watched = self._by_address[board]
        was_online = watched.watch.online
        self._tell(watched, watched.is_gone(watched.watch.gone(self._clock.t())), was_online)

    def _timing(self, doors: DoorSettings) -> Timing:
        return Timing(
            poll_ms=doors.poll_ms, answer_timeout_ms=self._answer_timeout_ms, fast_for_ms=doors.open_detect_ms
        )

    def _tell(self, watched: _WatchedBoard, notes: list[Note], was_online: bool) -> None:  # noqa: FBT001
        if not notes:
            return
        self._on_notes(notes)
        online = watched.watch.online
        if not online:
            self.bus.set_silent(watched.address, silent=True)
        if online != was_online:
            level, text = (logging.INFO, "answers") if online else (logging.WARNING, "does not answer")
            log.log(level, "board %s", text, extra={"board": watched.address})
            self._on_boards()


def _rules(doors: DoorSettings) -> DoorRules:
    return DoorRules(
        debounce_reads=doors.debounce_reads,
        open_detect_ms=doors.open_detect_ms,
        left_open_ms=doors.left_open_s * 1000,
        board_silent_polls=doors.board_silent_polls,
    )
