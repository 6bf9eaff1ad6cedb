"""The boards' own record: each pulse and each movement of a door, whoever caused it."""

import asyncio
import json
import os
from pathlib import Path
from random import Random

from edge_agent.boards import kerong_cu16 as cu16
from faults.cabinets import KEY_DOORS, Attention, Cabinet

DEADLINE_S = 20.0


async def recorded(path: Path, what: str, cabinet: Cabinet, *, busy: bool = False) -> dict[str, int]:
    """The first record of one kind, while people come by."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(DEADLINE_S):
        while True:
            cabinet.tick(loop.time(), busy=busy)
            for line in (await asyncio.to_thread(path.read_text)).splitlines():
                record = json.loads(line)
                if record["what"] == what:
                    return {"door": record["door"], "t": record["t"]}
            await asyncio.sleep(0.01)


async def test_a_pulse_and_what_follows_are_written_down(tmp_path: Path) -> None:
    cabinet = Cabinet("a", 20, tmp_path, Random(1))
    line = os.open(cabinet.port, os.O_RDWR | os.O_NOCTTY)
    path = tmp_path / "a.jsonl"
    os.write(line, cu16.unlock_request(1, 2))
    pulse = await recorded(path, "pulse", cabinet)
    assert pulse["door"] == 19, "the third lock of the second board"
    os.write(line, cu16.status_request(1))
    opened = await recorded(path, "opened", cabinet)
    closed = await recorded(path, "closed", cabinet)
    assert opened["door"] == closed["door"] == 19
    assert pulse["t"] <= opened["t"] < closed["t"]
    os.close(line)
    cabinet.close()


def test_boards_that_were_put_aside_do_not_know_when_a_frame_came() -> None:
    attention = Attention()
    assert [attention.look(t) for t in (1000, 1050, 1250)] == [0, 0, 0]
    assert attention.look(3250) == 2000
    assert attention.look(3270) == 2020, "what is read at once may have come in that time as well"
    assert attention.look(3271) == 0


async def test_people_open_doors_by_key_and_shut_them(tmp_path: Path) -> None:
    cabinet = Cabinet("a", 16, tmp_path, Random(1))
    opened = await recorded(tmp_path / "a.jsonl", "opened", cabinet, busy=True)
    assert opened["door"] > 16 - KEY_DOORS
    closed = await recorded(tmp_path / "a.jsonl", "closed", cabinet)
    assert closed["door"] > 16 - KEY_DOORS
    assert "pulse" not in (tmp_path / "a.jsonl").read_text()
    cabinet.close()
