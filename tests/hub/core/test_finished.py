"""What a ledger says of a command's end, and what it cannot say."""

from typing import Any
from uuid import UUID

import pytest

from hub.core.commands import CommandClass, CommandReply, CommandStatus, Order
from hub.core.finished import read_finished
from wire.messages import Event, Stages

ID = UUID(int=7)
COMMAND: dict[str, Any] = {
    "v": 1, "id": str(ID), "locker": "berlin-01", "kind": "open", "boot": str(UUID(int=9)), "not_after": 5,
    "door": 3, "actor": str(UUID(int=4)), "reason": "hand-over",
}  # fmt: skip
SUCCEEDED: dict[str, Any] = {
    "command": COMMAND,
    "state": "succeeded",
    "stages": {"received_t": 5, "pulsed_us": 900},
}


def finished(data: dict[str, Any] | None) -> Event:
    return Event(t=1, at=1, kind="command.finished", command=ID, data=data)


def test_the_whole_command_and_its_end() -> None:
    told = read_finished("berlin-01", finished(SUCCEEDED))
    assert told is not None
    assert (told.id, told.command_class, told.undelivered) == (ID, CommandClass.INSTANT, False)
    assert told.order == Order("berlin-01", "open", 3, UUID(int=4), "hand-over")
    assert told.word == CommandReply(CommandStatus.SUCCEEDED, None, Stages(received_t=5, pulsed_us=900))


@pytest.mark.parametrize(
    ("kind", "state", "reason", "expected", "undelivered"),
    [
        ("configure", "rejected", "cancelled", CommandStatus.CANCELLED, False),
        ("configure", "rejected", "expired", CommandStatus.REJECTED, True),
        ("restart", "rejected", "wrong_boot", CommandStatus.REJECTED, True),
        ("restart", "rejected", "busy", CommandStatus.REJECTED, False),
        ("restart", "unknown", "restarted", CommandStatus.UNKNOWN, False),
        ("open", "rejected", "expired", CommandStatus.REJECTED, False),
        ("open", "failed", "cancelled", CommandStatus.FAILED, False),
        ("sing", "rejected", "unknown_kind", CommandStatus.REJECTED, False),
    ],
)
def test_every_end(kind: str, state: str, reason: str, expected: CommandStatus, undelivered: bool) -> None:  # noqa: FBT001
    args = {"args": {"doors.left_open_s": 60}}
    data = {"command": {**COMMAND, **args, "kind": kind}, "state": state, "reason": reason}
    told = read_finished("berlin-01", finished(data))
    assert told is not None
    assert (told.word.state, told.word.detail, told.undelivered) == (expected, reason, undelivered)
    assert told.order.args == {"doors.left_open_s": 60}
    assert (told.command_class is CommandClass.DURABLE) is (kind in {"configure", "restart"})


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        {"command": COMMAND},
        {"state": "succeeded"},
        {"command": "an older form", "state": "succeeded"},
        {"command": {**COMMAND, "id": "7"}, "state": "succeeded"},
        {"command": {**COMMAND, "door": 0}, "state": "succeeded"},
        {"command": COMMAND, "state": "danced"},
        {"command": COMMAND, "state": "accepted"},
        {"command": {**COMMAND, "locker": "paris-02"}, "state": "rejected", "reason": "wrong_locker"},
        {"command": {**COMMAND, "kind": "cancel"}, "state": "succeeded"},
    ],
)
def test_what_says_nothing_of_a_command(data: dict[str, Any] | None) -> None:
    assert read_finished("berlin-01", finished(data)) is None
