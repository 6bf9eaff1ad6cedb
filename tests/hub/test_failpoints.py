"""The hub dies where it is told to, the n-th time, and nowhere else."""

import subprocess
import sys

import pytest

from hub.errors import ConfigError
from hub.failpoints import Failpoints, Point

PASS_TWICE = """
from hub.failpoints import Point, reached
for turn in range(2):
    for point in Point:
        print(turn, point, flush=True)
        reached(point)
"""


def run(**environment: str) -> tuple[int, int]:
    """Return (exit status, points begun) of a process that passes every point twice."""
    command = [sys.executable, "-c", PASS_TWICE]
    done = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=30)
    return done.returncode, len(done.stdout.splitlines())


def test_nothing_happens_where_nothing_is_asked() -> None:
    assert run() == (0, 6)


@pytest.mark.parametrize(("point", "place"), [(point.value, n) for n, point in enumerate(Point, 1)])
def test_it_dies_at_its_point(point: str, place: int) -> None:
    assert run(LOCKERHUB_CRASH_AT=point) == (137, place)
    assert run(LOCKERHUB_CRASH_AT=point, LOCKERHUB_CRASH_AFTER="2") == (137, place + 3)
    assert run(LOCKERHUB_CRASH_AT=point, LOCKERHUB_CRASH_AFTER="3") == (0, 6)


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"LOCKERHUB_CRASH_AT": "never"}, "known are before_commit, after_commit, after_receipt"),
        ({"LOCKERHUB_CRASH_AFTER": "0"}, "from 1 on"),
        ({"LOCKERHUB_CRASH_AFTER": "soon"}, "from 1 on"),
    ],
)
def test_what_it_does_not_know_is_told(environment: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Failpoints(environment)
