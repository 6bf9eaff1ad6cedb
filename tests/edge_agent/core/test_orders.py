"""Which orders are obeyed, and that the first reason to refuse is the one that is told."""

from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from msgspec import structs

from edge_agent.core.orders import Accept, Locate, Refusal, Reject, Repeat, Situation, judge, too_late
from wire.messages import Clock, Command, CommandState, Reply

BOOT = UUID(int=5)
SITUATION = Situation("berlin-01", BOOT, 1000, lambda door: door <= 16, lambda door: door != 9)
GOOD = Command(v=1, id=UUID(int=1), locker="berlin-01", kind="open", boot=BOOT, not_after=1000, door=3, sig=b"good")
REPLY = Reply(v=1, boot=BOOT, t=1, at=1, clock=Clock.SYNCED, id=GOOD.id, state=CommandState.SUCCEEDED)


def verdict(
    command: Command, *, retained: bool = False, earlier: Repeat | None = None, beacon: bool = False
) -> Accept | Locate | Reject | Repeat:
    return judge(
        command,
        retained=retained,
        verify=lambda c: c.sig == b"good",
        earlier=lambda _: earlier,
        situation=replace(SITUATION, has_beacon=beacon),
    )


def test_a_good_command_is_obeyed() -> None:
    assert verdict(GOOD) == Accept(3)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"locker": "berlin-02"}, Refusal.WRONG_LOCKER),
        ({"sig": b"bad"}, Refusal.BAD_SIGNATURE),
        ({"boot": uuid4()}, Refusal.WRONG_BOOT),
        ({"not_after": 999}, Refusal.EXPIRED),
        ({"kind": "explode"}, Refusal.UNKNOWN_KIND),
        ({"kind": "locate"}, Refusal.NOT_EQUIPPED),
        ({"kind": "locate", "door": 17}, Refusal.UNKNOWN_DOOR),
        ({"door": 17}, Refusal.UNKNOWN_DOOR),
        ({"door": None}, Refusal.UNKNOWN_DOOR),
        ({"door": 9}, Refusal.BOARD_OFFLINE),
    ],
)
def test_a_bad_command_is_refused_with_its_reason(change: dict[str, Any], reason: Refusal) -> None:
    assert verdict(structs.replace(GOOD, **change)) == Reject(reason)


@pytest.mark.parametrize("door", [None, 3])
def test_a_locker_with_a_beacon_is_located(door: int | None) -> None:
    assert verdict(structs.replace(GOOD, kind="locate", door=door), beacon=True) == Locate()
    assert verdict(structs.replace(GOOD, kind="locate", not_after=0), beacon=True) == Reject(Refusal.EXPIRED)


def test_a_retained_command_is_refused_however_good() -> None:
    assert verdict(GOOD, retained=True) == Reject(Refusal.RETAINED)


ORDER: list[tuple[dict[str, Any], Refusal]] = [
    ({"locker": "berlin-02"}, Refusal.WRONG_LOCKER),
    ({"sig": b"bad"}, Refusal.BAD_SIGNATURE),
    ({"boot": UUID(int=6)}, Refusal.WRONG_BOOT),
    ({"not_after": 0}, Refusal.EXPIRED),
    ({"kind": "explode"}, Refusal.UNKNOWN_KIND),
    ({"door": 9}, Refusal.BOARD_OFFLINE),
]


@pytest.mark.parametrize("first", range(len(ORDER)))
def test_of_many_reasons_the_first_is_told(first: int) -> None:
    changes: dict[str, Any] = {}
    for change, _ in ORDER[first:]:
        changes |= change
    assert verdict(structs.replace(GOOD, **changes)) == Reject(ORDER[first][1])


@pytest.mark.parametrize("reply", [REPLY, None])
def test_a_repeated_id_gets_its_first_answer_whatever_has_changed(reply: Reply | None) -> None:
    late = structs.replace(GOOD, boot=uuid4(), not_after=0, door=99)
    assert verdict(late, earlier=Repeat(reply)) == Repeat(reply)


def test_a_forged_repetition_learns_nothing() -> None:
    forged = structs.replace(GOOD, sig=b"bad")
    assert verdict(forged, earlier=Repeat(REPLY)) == Reject(Refusal.BAD_SIGNATURE)


def test_the_deadline_itself_is_in_time() -> None:
    assert not too_late(GOOD, 1000)
    assert too_late(GOOD, 1001)
