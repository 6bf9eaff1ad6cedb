"""The past against the live fleet: both hear the same, and what is re-drawn is what was shown, at every moment."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.fleet import DoorSpec, DoorState, Fleet, Locker, LockerSpec, LockerState
from hub.core.past import DoorReport, Edges, Signs, door_counts_then, in_ledger_order, locker_then, stopped_at
from wire.messages import Event

START = datetime(2026, 11, 20, tzinfo=UTC)
SILENT = timedelta(seconds=45)
LOCKER = "berlin-01"
FIRST, SECOND = UUID(int=1), UUID(int=2)
SPEC = LockerSpec(
    LOCKER, "default", "Berlin", "Berlin", tuple(DoorSpec(one, str(one), "M", 1, one) for one in (1, 2, 3))
)

doors = st.integers(1, 4)
"""The fourth is a door that the locker does not have."""
states = st.sampled_from(["open", "closed", "unknown", "ajar"])
whole = st.lists(st.tuples(doors, states, st.sampled_from([True, False, None])).map(list), max_size=4)
kinds_and_data = st.one_of(
    st.tuples(st.sampled_from(["door.opened", "door.closed", "door.forced", "door.unlocked"]), doors, st.none()),
    st.tuples(
        st.just("occupancy.changed"), doors, st.sampled_from([{"occupied": True}, {"occupied": False}, None])
    ),
    st.tuples(st.just("snapshot"), st.none(), whole.map(lambda told: {"doors": told})),
    st.tuples(st.just("board.offline"), st.none(), st.lists(doors, max_size=3).map(lambda told: {"doors": told})),
    st.tuples(st.just("tamper.on"), st.none(), st.none()),
)
steps = st.lists(st.tuples(st.sampled_from([0, 1, 30, 45, 46, 90]), kinds_and_data), min_size=1, max_size=25)
"""How many seconds after the one before, and what."""


def look(locker: Locker) -> tuple[object, ...]:
    """What is shown of a locker, but for since when: the live fleet counts that from its own start."""
    return (
        locker.state,
        locker.heard_at,
        locker.door_counts(),
        [(number, locker.door_state(door), door.known, door.occupied) for number, door in locker.doors.items()],
    )


def ledger(given_steps: Iterable[tuple[int, tuple[str, int | None, Any]]]) -> list[DoorReport]:
    now, told = START, []
    for seq, (seconds, (kind, door, data)) in enumerate(given_steps, start=1):
        now += timedelta(seconds=seconds)
        told.append(DoorReport(FIRST, seq, now, kind, door, data))
    return told


def then(told: Iterable[DoorReport], at: datetime, **signs: Any) -> Locker:  # noqa: ANN401 - fields of Signs
    return locker_then(SPEC, told, Signs(**signs), at=at, silent_after=SILENT)


def edges_of(told: Iterable[DoorReport], epoch: UUID) -> list[Edges]:
    """Reduce events as the database does."""
    of_door: dict[int | None, dict[str, int]] = {}
    newest = {"seq": 0, "kind": "", "at": START}
    for one in (one for one in told if one.epoch == epoch):
        found = of_door.setdefault(one.door, {})
        found[one.kind] = max(found.get(one.kind, 0), one.seq)
        if one.seq > newest["seq"]:  # type: ignore[operator]
            newest = {"seq": one.seq, "kind": one.kind, "at": one.at}
    numbers = list(of_door)
    opened = [of_door[one].get("door.opened") for one in numbers]
    closed = [of_door[one].get("door.closed") for one in numbers]
    stopped = newest["kind"] == "agent.stopping"
    return [Edges(epoch, newest["at"], stopped, numbers, opened, closed)] if numbers else []  # type: ignore[arg-type]


@given(steps, st.sampled_from([0, 1, 44, 45, 46, 200]), st.randoms(use_true_random=False))
def test_what_is_redrawn_is_what_was_shown(
    given_steps: list[tuple[int, tuple[str, int | None, Any]]],
    later_s: int,
    shuffle: Any,  # noqa: ANN401
) -> None:
    live = Fleet(silent_after_ms=SILENT.total_seconds() * 1000)
    live.load([SPEC])
    told: list[DoorReport] = []
    for one in ledger(given_steps):
        now_ms = one.at.timestamp() * 1000
        live.sweep(now_ms=now_ms, at=one.at)
        live.heard(LOCKER, now_ms=now_ms, at=one.at)
        live.event(LOCKER, Event(t=0, at=0, kind=one.kind, door=one.door, data=one.data), at=one.at)  # type: ignore[arg-type]
        told.append(one)
        mixed = list(told)
        shuffle.shuffle(mixed)
        assert look(then(mixed, one.at, heard_at=one.at, heard_ever=True)) == look(live.lockers[LOCKER])
    at = told[-1].at + timedelta(seconds=later_s)
    live.sweep(now_ms=at.timestamp() * 1000, at=at)
    assert look(then(told, at, heard_at=told[-1].at, heard_ever=True)) == look(live.lockers[LOCKER])


@given(steps)
def test_the_last_edge_of_each_door_is_enough_for_the_counts(
    given_steps: list[tuple[int, tuple[str, int | None, Any]]],
) -> None:
    told = ledger(given_steps)
    at = told[-1].at
    forked = [replace(one, epoch=SECOND, at=one.at + timedelta(hours=1)) for one in told[1::2]]
    for part in (told, [*told[::2], *forked]):
        newest: dict[tuple[object, ...], DoorReport] = {}
        for one in part:
            if one.kind in {"snapshot", "board.offline"} and one.data is not None:
                of = [told_of[0] if isinstance(told_of, list) else told_of for told_of in one.data["doors"]]
                newest[one.epoch, one.kind, tuple(of)] = one
        edges = [one for epoch in (SECOND, FIRST) for one in edges_of(part, epoch)]
        counts = door_counts_then(SPEC, edges, newest.values(), reachable=True)
        # A word that is none hides, where it is the newest, what an earlier one of the same doors had said.
        if not any("ajar" in str(one.data) for one in part):
            assert counts == then(part, at, heard_at=at).door_counts()
        assert door_counts_then(SPEC, edges, newest.values(), reachable=False)["unknown"] == len(SPEC.doors)


def test_the_ledger_and_not_the_time_says_what_came_last() -> None:
    # The first message was under way for so long that it seems to be of later.
    opened = DoorReport(FIRST, 10, START + timedelta(seconds=5), "door.opened", 1)
    closed = DoorReport(FIRST, 11, START + timedelta(seconds=3), "door.closed", 1)
    shown = then([opened, closed], START + timedelta(seconds=6), heard_at=START + timedelta(seconds=5))
    assert shown.door_state(shown.doors[1]) is DoorState.CLOSED


def test_a_younger_epoch_speaks_last() -> None:
    before = DoorReport(FIRST, 900, START, "door.opened", 1)
    after = DoorReport(SECOND, 1, START + timedelta(seconds=1), "door.closed", 1)
    assert in_ledger_order([after, before]) == [before, after]


@pytest.mark.parametrize(
    ("signs", "state", "since"),
    [
        ({}, LockerState.NEVER_SEEN, None),
        ({"heard_ever": True}, LockerState.OFFLINE, None),
        ({"heard_at": START - SILENT}, LockerState.ONLINE, None),
        ({"heard_at": START - SILENT - timedelta(seconds=1)}, LockerState.OFFLINE, START - timedelta(seconds=1)),
        ({"heard_at": START, "stopped_at": START}, LockerState.OFFLINE, START),
        ({"heard_at": START, "offline_since": START}, LockerState.OFFLINE, START),
        # What was received right after the end of a session may be from before it; later it was there again.
        (
            {"heard_at": START, "offline_since": START - timedelta(seconds=5)},
            LockerState.OFFLINE,
            START - timedelta(seconds=5),
        ),
        ({"heard_at": START, "offline_since": START - timedelta(seconds=6)}, LockerState.ONLINE, None),
    ],
)
def test_who_is_silent_is_offline_and_its_doors_are_unknown(
    signs: dict[str, Any], state: LockerState, since: datetime | None
) -> None:
    shown = then([DoorReport(FIRST, 1, START - SILENT, "door.closed", 1)], START, **signs)
    assert (shown.state, shown.since) == (state, since)
    online = state is LockerState.ONLINE
    assert shown.door_state(shown.doors[1]) is (DoorState.CLOSED if online else DoorState.UNKNOWN)
    assert shown.doors[1].known is DoorState.CLOSED
    assert shown.door_state(shown.doors[2]) is DoorState.UNKNOWN


def test_a_farewell_counts_only_as_the_last_word() -> None:
    ended = Edges(FIRST, START, True, [None], [None], [None])  # noqa: FBT003 - the fields in order
    went_on = Edges(SECOND, START + timedelta(seconds=1), False, [1], [1], [None])  # noqa: FBT003
    assert stopped_at([]) is None
    assert stopped_at([ended]) == START
    assert stopped_at([ended, went_on]) is None
