"""The wall clock of one process: it follows its file, and does not hold up the process's threads."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from faults.wall import HOUR_S, WallClock

# One thread never gives Python's lock away by itself, the other one wants it again and again. `syscr` counts calls
# of read(2), of which each look at the file is one.
HANDING_ON = """
import json, os, sys, threading, time
def reads():
    return int(next(line for line in open("/proc/self/io") if line.startswith("syscr")).split()[1])
def wants():
    for _ in range(20):
        os.stat("/")
wanting = threading.Thread(target=wants)
before, began_ns = reads(), time.monotonic_ns()
wanting.start()
while wanting.is_alive():
    pass
print(json.dumps({"waits_max": (time.monotonic_ns() - began_ns) / 1e9 / sys.getswitchinterval(),
    "reads": reads() - before, "wall_s": time.time()}))
"""


@pytest.fixture
def wall(tmp_path: Path) -> WallClock:
    wall = WallClock(tmp_path / "wall")
    if not wall.there:
        assert os.environ.get("CI") != "true", "CI=true, and libfaketime is not installed"
        pytest.skip("libfaketime is not installed; scripts/faults says how to get it")
    return wall


@pytest.mark.parametrize("offset_s", [-100 * HOUR_S, 100 * HOUR_S])
def test_threads_hand_pythons_lock_on_and_look_at_the_wall_once_a_wait(wall: WallClock, offset_s: int) -> None:
    wall.set(offset_s)
    done = subprocess.run(
        [sys.executable, "-c", HANDING_ON], env={**os.environ, **wall.environment}, capture_output=True, check=True
    )
    seen = json.loads(done.stdout)
    # Its clock takes the place of one that the whole suite was started with.
    true = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    now_s = float(subprocess.run(["date", "+%s"], env=true, capture_output=True, check=True).stdout)
    assert abs(seen["wall_s"] - now_s - offset_s) < HOUR_S, "the clock is not set at all"
    assert seen["reads"] <= 2 * seen["waits_max"] + 20, "a wait for the lock ends before its time, and spins"
