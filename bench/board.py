"""`python -m bench.board BOARDS`: simulated boards on one pseudo-terminal, and somebody who shuts doors.

Prints the terminal's path, then answers until SIGTERM. A process of its own, so that no load delays its answers.
"""

import asyncio
import signal
import sys
import time
from random import Random
from typing import Final

from edge_agent.simulator.board_terminal import BoardTerminal
from edge_agent.simulator.cu16_board import SimulatedCu16

LOCKS: Final = 16
_SHUT_EVERY_S: Final = 0.02


async def serve(count: int) -> None:
    """Answer as so many boards, addresses from 0, until SIGTERM. An open door is shut as soon as it holds."""
    boards = [SimulatedCu16(address, LOCKS, Random(address)) for address in range(count)]
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    def respond(data: bytes) -> bytes:
        now_ms = _now_ms()
        return b"".join(board.receive(data, now_ms) for board in boards)

    terminal = BoardTerminal(respond)
    print(terminal.port, flush=True)
    try:
        while not stop.is_set():
            for board in boards:
                for lock in range(LOCKS):
                    board.push_shut(lock, _now_ms())
            await asyncio.sleep(_SHUT_EVERY_S)
    finally:
        terminal.close()


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
