"""Which orders are obeyed, and that the first reason to refuse is the one that is told."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from msgspec import structs

from edge_agent.core.orders import (
    AHEAD_MS_MAX,
    Accept,
    Cancel,
    Configure,
    Earlier,
    Forget,
    Locate,
    Reject,
    Repeat,
    Restart,
    Situation,
    Verdict,
    fingerprint,
    judge,
    leaves_trace,
    too_late,
)
from wire.messages import DURABLE_KINDS, Clock, Command, CommandKind, CommandState, Reply
from wire.refusals import AgentRefusal

BOOT = UUID(int=5)
SITUATION = Situation("berlin-01", BOOT, 1000, lambda door: door <= 16, lambda door: door != 9)
GOOD = Command(v=1, id=UUID(int=1), locker="berlin-01", kind="open", boot=BOOT, not_after=1000, door=3, sig=b"good")
REPLY = Reply(v=1, boot=BOOT, t=1, at=1, clock=Clock.SYNCED, id=GOOD.id, state=CommandState.SUCCEEDED)


def read_settings(args: Mapping[str, object]) -> tuple[dict[str, float], tuple[str, ...]]:
    return {name: 5 for name in args if name == "good"}, tuple(name for name in args if name != "good")


def verdict(
    command: Command, *, retained: bool = False, earlier: Earlier | None = None, beacon: bool = False
) -> Verdict:
    return judge(
        command,
        retained=retained,
        verify=lambda c: c.sig == b"good",
        earlier=lambda _: earlier,
        situation=replace(SITUATION, has_beacon=beacon, read_settings=read_settings),
    )


def test_whom_to_forget_is_named_as_in_events() -> None:
    assert verdict(structs.replace(GOOD, kind="forget", door=None, args={"actor": str(GOOD.id)})) == Forget(GOOD.id)


def test_a_good_command_is_obeyed() -> None:
    assert verdict(GOOD) == Accept(3)
    assert verdict(structs.replace(GOOD, not_after=1000 + AHEAD_MS_MAX)) == Accept(3)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"locker": "berlin-02"}, AgentRefusal.WRONG_LOCKER),
        ({"sig": b"bad"}, AgentRefusal.BAD_SIGNATURE),
        ({"boot": uuid4()}, AgentRefusal.WRONG_BOOT),
        ({"not_after": 999}, AgentRefusal.EXPIRED),
        ({"not_after": 1000 + AHEAD_MS_MAX + 1}, AgentRefusal.TOO_FAR_AHEAD),
        ({"kind": "restart", "not_after": 10**11}, AgentRefusal.TOO_FAR_AHEAD),
        (
            {"kind": "cancel", "args": {"command": str(UUID(int=2))}, "not_after": 10**11},
            AgentRefusal.TOO_FAR_AHEAD,
        ),
        ({"kind": "explode"}, AgentRefusal.UNKNOWN_KIND),
        ({"kind": "locate"}, AgentRefusal.NOT_EQUIPPED),
        ({"kind": "locate", "door": 17}, AgentRefusal.UNKNOWN_DOOR),
        ({"door": 17}, AgentRefusal.UNKNOWN_DOOR),
        ({"door": None}, AgentRefusal.UNKNOWN_DOOR),
        ({"door": 9}, AgentRefusal.BOARD_OFFLINE),
        ({"kind": "configure"}, AgentRefusal.BAD_SETTINGS),
        ({"kind": "cancel"}, AgentRefusal.BAD_ARGS),
        ({"kind": "cancel", "args": {"command": "x"}}, AgentRefusal.BAD_ARGS),
        ({"kind": "cancel", "args": {"command": 5}}, AgentRefusal.BAD_ARGS),
        ({"kind": "cancel", "args": {"command": str(UUID(int=2))}, "not_after": 0}, AgentRefusal.EXPIRED),
        ({"kind": "restart", "boot": uuid4()}, AgentRefusal.WRONG_BOOT),
        *(
            ({"kind": "forget", "args": args}, AgentRefusal.BAD_ARGS)
            for args in (
                None,
                {},
                {"actor": 5},
                {"actor": "anna"},
                {"actor": UUID(int=3).hex},
                {"person": str(UUID(int=3))},
                {"actor": str(UUID(int=3)), "also": 1},
                {"actor": str(UUID(int=0xA << 124)).upper()},
            )
        ),
    ],
)
def test_a_bad_command_is_refused_with_its_reason(change: dict[str, Any], reason: AgentRefusal) -> None:
    assert verdict(structs.replace(GOOD, **change)) == Reject(reason)


@pytest.mark.parametrize("door", [None, 3])
def test_a_locker_with_a_beacon_is_located(door: int | None) -> None:
    assert verdict(structs.replace(GOOD, kind="locate", door=door), beacon=True) == Locate()
    assert verdict(structs.replace(GOOD, kind="locate", not_after=0), beacon=True) == Reject(AgentRefusal.EXPIRED)


def test_a_retained_command_is_refused_however_good() -> None:
    assert verdict(GOOD, retained=True) == Reject(AgentRefusal.RETAINED)


ORDER: list[tuple[dict[str, Any], AgentRefusal]] = [
    ({"locker": "berlin-02"}, AgentRefusal.WRONG_LOCKER),
    ({"sig": b"bad"}, AgentRefusal.BAD_SIGNATURE),
    ({"boot": UUID(int=6)}, AgentRefusal.WRONG_BOOT),
    ({"not_after": 0}, AgentRefusal.EXPIRED),
    ({"kind": "explode"}, AgentRefusal.UNKNOWN_KIND),
    ({"door": 9}, AgentRefusal.BOARD_OFFLINE),
]


@pytest.mark.parametrize("first", range(len(ORDER)))
def test_of_many_reasons_the_first_is_told(first: int) -> None:
    changes: dict[str, Any] = {}
    for change, _ in ORDER[first:]:
        changes |= change
    assert verdict(structs.replace(GOOD, **changes)) == Reject(ORDER[first][1])


@pytest.mark.parametrize("reply", [REPLY, None])
def test_a_repeated_id_gets_its_first_answer_whatever_has_changed(reply: Reply | None) -> None:
    late = structs.replace(GOOD, boot=uuid4(), not_after=0, sig=b"good")
    for known in (fingerprint(GOOD), None):
        assert verdict(late, earlier=Earlier(known, reply)) == Repeat(reply)


@pytest.mark.parametrize(
    "change", [{"kind": "locate"}, {"door": 4}, {"args": {"a": 1}}, {"actor": UUID(int=9)}, {"reason": "other"}]
)
@pytest.mark.parametrize("reply", [REPLY, None])
def test_an_id_that_comes_with_another_order_is_refused(change: dict[str, Any], reply: Reply | None) -> None:
    earlier = Earlier(fingerprint(GOOD), reply)
    assert verdict(structs.replace(GOOD, **change), earlier=earlier) == Reject(AgentRefusal.ID_REUSED)


def test_the_order_of_arguments_makes_no_other_order() -> None:
    one, other = (structs.replace(GOOD, args=args) for args in ({"a": 1, "b": 2}, {"b": 2, "a": 1}))
    assert fingerprint(one) == fingerprint(other)


def test_durable_kinds_and_cancel_are_obeyed() -> None:
    configure = structs.replace(GOOD, kind="configure", door=None, args={"good": 5})
    assert verdict(configure) == Configure({"good": 5})
    wrong = structs.replace(configure, args={"good": 5, "a": 1, "b": 2})
    assert verdict(wrong) == Reject(AgentRefusal.BAD_SETTINGS, ("a", "b"))
    assert verdict(structs.replace(GOOD, kind="restart", door=None)) == Restart()
    cancel = structs.replace(GOOD, kind="cancel", door=None, args={"command": str(UUID(int=2))})
    assert verdict(cancel) == Cancel(UUID(int=2))


@pytest.mark.parametrize("kind", [*CommandKind, "explode"])
@pytest.mark.parametrize("reason", AgentRefusal)
def test_only_what_is_final_leaves_a_trace(kind: str, reason: AgentRefusal) -> None:
    forged = {"version", "retained", "wrong_locker", "bad_signature", "id_reused"}
    of_delivery = kind in DURABLE_KINDS and reason in {"expired", "too_far_ahead", "wrong_boot"}
    assert leaves_trace(structs.replace(GOOD, kind=kind), reason) is not (
        kind == "cancel" or reason in forged or of_delivery
    )


def test_a_forged_repetition_learns_nothing() -> None:
    forged = structs.replace(GOOD, sig=b"bad")
    assert verdict(forged, earlier=Earlier(fingerprint(GOOD), REPLY)) == Reject(AgentRefusal.BAD_SIGNATURE)


def test_the_deadline_itself_is_in_time() -> None:
    assert not too_late(GOOD, 1000)
    assert too_late(GOOD, 1001)
