"""KERONG KR-CU16 lock boards, byte by byte (manufacturer's protocol V1.6); no I/O.

    host to board   02 ADDR CMD 03 SUM            30 status, 31 unlock, 32 status of all, 33 unlock all
                    02 ADDR 39|40 DATA 03 SUM     39 delayed unlock, 40 baud
                    02 ADDR 37 HI LO 03 SUM       37 pulse time in 10 ms units (0000 asks)
    board to host   02 ADDR RSP D1 D2 D3 D4 03 SUM   35 status, 36 status in answer to 32, 38 pulse time

ADDR is board * 16 + lock, both from 0; SUM is the low byte of the sum of all before it. D1 and D2 are the hooks
of locks 1-8 and 9-16 (lowest lock in bit 0), D3 and D4 their item sensors. Data bytes may look like 02 or 03, so
a frame is known by its length, its 03 at index 7 and its sum. The OTA command B5, which wipes a board's
firmware, has no encoder here.
"""

from typing import Final, NamedTuple

BOARDS_MAX: Final = 10
LOCKS: Final = 16
EVERY_BOARD: Final = 0xF0

STATUS: Final = 0x30
UNLOCK: Final = 0x31
STATUS_OF_ALL: Final = 0x32
UNLOCK_ALL: Final = 0x33
PULSE_TIME: Final = 0x37

STATUS_REPLY: Final = 0x35
STATUS_OF_ALL_REPLY: Final = 0x36
PULSE_TIME_REPLY: Final = 0x38

PULSE_UNIT_MS: Final = 10
PULSE_MS_MAX: Final = 60_000

_STX: Final = 0x02
_ETX: Final = 0x03
_REPLY_BYTES: Final = 9
_REPLIES: Final = frozenset((STATUS_REPLY, STATUS_OF_ALL_REPLY, PULSE_TIME_REPLY, 0x39, 0x40))
_REQUEST_BYTES: Final = {
    STATUS: 5, UNLOCK: 5, STATUS_OF_ALL: 5, UNLOCK_ALL: 5, 0x39: 6, 0x40: 6, PULSE_TIME: 7,
}  # fmt: skip
_KIND_AT: Final = 2


class StatusFrame(NamedTuple):
    """A board's answer: which board, which kind of answer, and its four data bytes."""

    board: int
    kind: int
    data: bytes

    @property
    def hooks(self) -> int:
        """The hook bits of a status, lock 1 in bit 0, as the board sends them (polarity is its wiring's)."""
        return self.data[0] | self.data[1] << 8

    @property
    def items(self) -> int:
        """The item bits of a status, lock 1 in bit 0; 1 is an item."""
        return self.data[2] | self.data[3] << 8

    @property
    def pulse_ms(self) -> int:
        """The pulse time of a pulse-time answer."""
        return (self.data[2] << 8 | self.data[3]) * PULSE_UNIT_MS


class Request(NamedTuple):
    """What a host asks: board (15 for every board), lock from 0, command, and its data bytes."""

    board: int
    lock: int
    command: int
    data: bytes


def status_request(board: int) -> bytes:
    """Ask one board (0-9) for its status."""
    return _framed(bytes((_STX, _address(board, 0), STATUS, _ETX)))


def unlock_request(board: int, lock: int) -> bytes:
    """Tell one board (0-9) to pulse one lock (0-15). The specification documents no answer to it."""
    return _framed(bytes((_STX, _address(board, lock), UNLOCK, _ETX)))


def status_of_all_request() -> bytes:
    """Ask every board for its status; each answers with a frame of its own."""
    return _framed(bytes((_STX, EVERY_BOARD, STATUS_OF_ALL, _ETX)))


def pulse_time_request(board: int, set_ms: int | None = None) -> bytes:
    """Ask one board for its pulse time, or set it (10 to 60,000 ms; then leave it alone for 500 ms)."""
    if set_ms is not None and not PULSE_UNIT_MS <= set_ms <= PULSE_MS_MAX:
        raise ValueError(f"a pulse of {set_ms} ms; {PULSE_UNIT_MS} to {PULSE_MS_MAX} ms can be set")
    units = 0 if set_ms is None else set_ms // PULSE_UNIT_MS
    return _framed(bytes((_STX, _address(board, 0), PULSE_TIME, units >> 8, units & 0xFF, _ETX)))


def status_reply(board: int, hooks: int, items: int, *, kind: int = STATUS_REPLY) -> bytes:
    """What a board answers to a status request; bits as in Frame."""
    data = (hooks & 0xFF, hooks >> 8 & 0xFF, items & 0xFF, items >> 8 & 0xFF)
    return _framed(bytes((_STX, _address(board, 0), kind, *data, _ETX)))


def pulse_time_reply(board: int, pulse_ms: int) -> bytes:
    """What a board answers to a pulse-time request."""
    units = pulse_ms // PULSE_UNIT_MS
    data = (0, 0, units >> 8 & 0xFF, units & 0xFF)
    return _framed(bytes((_STX, _address(board, 0), PULSE_TIME_REPLY, *data, _ETX)))


class Parser:
    """Finds board answers in a stream of bytes, whatever stands between them.

    A byte that starts no frame is skipped and counted; echoes of host frames are passed over. What is kept
    between two calls is never longer than an unfinished frame, 8 bytes.
    """

    def __init__(self) -> None:
        self.skipped_bytes = 0
        """Bytes that belonged to no frame."""
        self.checksum_errors = 0
        """Stretches framed like an answer whose sum is wrong."""
        self.echoes = 0
        """Host frames that came back."""
        self._kept = b""

    def feed(self, data: bytes) -> list[StatusFrame]:
        """Take what the line brought and return the answers that it completes, in order."""
        if self._kept:
            data = self._kept + data
        frames: list[StatusFrame] = []
        at = 0
        while at < len(data):
            length = self._reply_at(data, at)
            if length == _REPLY_BYTES:
                frames.append(StatusFrame(data[at + 1] >> 4, data[at + 2], data[at + 3 : at + 7]))
                at += length
                continue
            echo = _request_length(data, at)
            if echo > 0 and length != _UNFINISHED:
                self.echoes += 1
                at += echo
                continue
            if _UNFINISHED in (length, echo):
                break
            self.skipped_bytes += 1
            at += 1
        self._kept = data[at:]
        return frames

    def reset(self) -> None:
        """Forget an unfinished frame: the line was quiet for so long that its rest will not come."""
        self.skipped_bytes += len(self._kept)
        self._kept = b""

    def _reply_at(self, data: bytes, at: int) -> int:
        if data[at] != _STX:
            return _NO_FRAME
        available = len(data) - at
        if available <= _KIND_AT:
            return _UNFINISHED
        if data[at + _KIND_AT] not in _REPLIES:
            return _NO_FRAME
        if available < _REPLY_BYTES:
            return _UNFINISHED
        if data[at + 7] != _ETX:
            return _NO_FRAME
        if sum(data[at : at + 8]) & 0xFF != data[at + 8]:
            self.checksum_errors += 1
            return _NO_FRAME
        return _REPLY_BYTES


class RequestParser:
    """Finds host frames in a stream of bytes: a board's side of the line."""

    def __init__(self) -> None:
        self.skipped_bytes = 0
        self._kept = b""

    def feed(self, data: bytes) -> list[Request]:
        """Take what the line brought and return the requests that it completes, in order."""
        data = self._kept + data
        requests: list[Request] = []
        at = 0
        while at < len(data):
            length = _request_length(data, at)
            if length == _UNFINISHED:
                break
            if length == _NO_FRAME:
                self.skipped_bytes += 1
                at += 1
                continue
            address = data[at + 1]
            requests.append(Request(address >> 4, address & 0xF, data[at + 2], data[at + 3 : at + length - 2]))
            at += length
        self._kept = data[at:]
        return requests


_NO_FRAME: Final = 0
_UNFINISHED: Final = -1


def _request_length(data: bytes, at: int) -> int:
    """Return the length of the host frame at `at`, _NO_FRAME, or _UNFINISHED if more bytes must decide."""
    if data[at] != _STX:
        return _NO_FRAME
    available = len(data) - at
    if available <= _KIND_AT:
        return _UNFINISHED
    length = _REQUEST_BYTES.get(data[at + _KIND_AT], _NO_FRAME)
    if available < length:
        return _UNFINISHED
    if length == _NO_FRAME:
        return _NO_FRAME
    framed = data[at + length - 2] == _ETX and sum(data[at : at + length - 1]) & 0xFF == data[at + length - 1]
    return length if framed else _NO_FRAME


def _address(board: int, lock: int) -> int:
    if not 0 <= board < BOARDS_MAX:
        raise ValueError(f"board {board}; a bus has boards 0 to {BOARDS_MAX - 1}")
    if not 0 <= lock < LOCKS:
        raise ValueError(f"lock {lock}; a CU16 has locks 0 to {LOCKS - 1}")
    return board << 4 | lock


def _framed(body: bytes) -> bytes:
    return body + bytes((sum(body) & 0xFF,))
