"""When a task is due: after its period, sooner after a failure, at once where the clock says nonsense."""

import pytest

from hub.core.task_schedule import RETRY_S, TaskAges, due_in_s

DAY = 86_400.0


@pytest.mark.parametrize(
    ("ages", "every_s", "expected"),
    [
        (TaskAges(None, None), DAY, 0),
        (TaskAges(0, None), DAY, DAY),
        (TaskAges(DAY - 1, None), DAY, 1),
        (TaskAges(DAY, None), DAY, 0),
        (TaskAges(9 * DAY, None), DAY, 0),
        # A run that did not succeed counts more than a success before it, and is soon tried again.
        (TaskAges(DAY, 0), DAY, RETRY_S),
        (TaskAges(None, RETRY_S - 1), DAY, 1),
        (TaskAges(None, RETRY_S), DAY, 0),
        (TaskAges(None, 0), 60, 60),
        # A clock that was put back.
        (TaskAges(-1, None), DAY, 0),
        (TaskAges(-1, -1), DAY, 0),
        (TaskAges(60, -1), DAY, DAY - 60),
    ],
)
def test_due(ages: TaskAges, every_s: float, expected: float) -> None:
    assert due_in_s(ages, every_s) == expected
